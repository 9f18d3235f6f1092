"""Find the file behind a name: slug, alias, full name or the path of a user's own file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from inferatlas.documents import parse_document
from inferatlas.errors import UnknownName

DATA = Path(__file__).parent / "data"


def slug(name: str) -> str:
    """A name as the catalogue spells it: ``slug("NVIDIA H100 SXM") == "nvidia-h100-sxm"``.

    Examples
    --------
    >>> slug(" H100_SXM ")
    'h100-sxm'
    """
    return "-".join(name.strip().lower().replace("_", " ").split())


def is_path(name: str) -> bool:
    """Whether ``name`` points to a user's YAML file rather than into the catalogue."""
    return name.lower().endswith((".yaml", ".yml"))


@lru_cache(maxsize=8)
def ids(folder: str) -> tuple[str, ...]:
    """The slugs of ``data/<folder>``, sorted; a slug is the file's name."""
    return tuple(sorted(file.stem for file in (DATA / folder).glob("*.yaml")))


@lru_cache(maxsize=8)
def aliases(folder: str) -> dict[str, str]:
    """Alias (and full name) -> slug over ``data/<folder>``; reads only the head of each file."""
    found: dict[str, str] = {}
    for one in ids(folder):
        file = DATA / folder / f"{one}.yaml"
        head, _, _ = file.read_text(encoding="utf-8").partition("\nfacts:")
        data = parse_document(head, str(file)).data
        for alias in [*data.get("aliases", ()), str(data.get("name", ""))]:
            found.setdefault(slug(alias), one)
    return found


def find(folder: str, kind: str, name: str) -> Path:
    """The file that ``name`` means.

    Raises
    ------
    UnknownName : no slug, alias or full name of that spelling; near names are offered.
    """
    if is_path(name):
        return Path(name).expanduser()
    wanted = slug(name)
    if wanted not in ids(folder):
        try:
            wanted = aliases(folder)[wanted]
        except KeyError:
            raise UnknownName(kind, name, [*ids(folder), *aliases(folder)]) from None
    return DATA / folder / f"{wanted}.yaml"
