"""Load accelerators: the catalogue's own by slug or alias, a user's by the path of a YAML file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerator import ARCHITECTURAL_CLASSES, EXECUTION_STYLES, TOPOLOGIES, Accelerator
from inferatlas.catalogue.cluster import clustered
from inferatlas.catalogue.factfile import bad, check_keys, read_facts
from inferatlas.documents import Document, read_document
from inferatlas.errors import BadInput
from inferatlas.inputs import several

FOLDER = "accelerators"
ALL = "all"  # stands for every accelerator of the catalogue where several may be named
_KEYS = ("id", "name", "vendor", "architectural_class", "execution", "facts")
_EXECUTION_KEYS = ("style", "topology", "devices_per_card", "reason")


def accelerator_ids() -> tuple[str, ...]:
    """The slugs of the catalogue's accelerators, sorted."""
    return names.ids(FOLDER)


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """One accelerator with all its facts; reads one file.

    Parameters
    ----------
    name_or_path : slug, alias or full name (any case), or the path of a YAML file of the same form, or of a
        cluster's (`cluster.clustered`).

    Raises
    ------
    UnknownName : the catalogue has no such accelerator; near names are offered.
    BadInput : the file is refused; with file and line.

    Examples
    --------
    >>> h100 = load_accelerator("H100")
    >>> h100.id, h100.facts.number("mem.hbm.bandwidth"), h100.facts.chosen("peak_bf16").condition
    ('nvidia-h100-sxm', 3350000000000.0, 'dense, per chip')
    """
    file = names.find(FOLDER, "accelerator", str(name_or_path))
    return read_accelerator(file) if names.is_path(str(name_or_path)) else _own(file)


def is_own(accelerator: Accelerator) -> bool:
    """Whether a part was described by a user, in a file of its own or behind a cluster's.

    Examples
    --------
    >>> is_own(load_accelerator("h100"))
    False
    """
    if accelerator.cluster is not None:  # whose file says only where the part stands
        return accelerator.id not in accelerator_ids()
    return names.DATA not in Path(accelerator.file).resolve().parents


@lru_cache(maxsize=1)
def accelerators() -> tuple[Accelerator, ...]:
    """Every accelerator of the catalogue, in the order of their slugs."""
    return tuple(load_accelerator(one) for one in accelerator_ids())


def accelerators_named(names: str | Iterable[str] | None = None) -> list[Accelerator]:
    """The accelerators of these names or files, each once; ``all`` stands for the whole catalogue, and so does nothing.

    Answers go by an accelerator's name, so a cluster cannot stand beside the same part at other conditions.

    Raises
    ------
    UnknownName, BadInput : as `load_accelerator`; an empty name, or one accelerator named twice.

    Examples
    --------
    >>> [one.id for one in accelerators_named(["h100", "l4"])], len(accelerators_named("all")) == len(accelerators())
    (['nvidia-h100-sxm', 'nvidia-l4'], True)
    """
    found: dict[str, Accelerator] = {}
    for name in several(names, "accelerator") or (ALL,):
        for known in accelerators() if str(name).lower() == ALL else (load_accelerator(name),):
            if known.id in found:
                raise _twice(found[known.id], known)
            found[known.id] = known
    return list(found.values())


def _twice(first: Accelerator, second: Accelerator) -> BadInput:
    names = "" if first.file == second.file else f", as '{first.name}' and as '{second.name}'"
    return BadInput(f"{first.id} is named twice{names}", field="accelerator", allowed="each accelerator once")


@lru_cache(maxsize=256)
def _own(file: Path) -> Accelerator:
    return read_accelerator(file)


def read_accelerator(file: str | Path) -> Accelerator:
    """Read and check one accelerator file, uncached (see `load_accelerator` for the errors)."""
    document = read_document(file)
    data = document.data
    if "nodes" in data:
        return clustered(document, load_accelerator)
    check_keys(document, (), data, _KEYS, ("aliases",))
    check_keys(document, ("execution",), data["execution"], _EXECUTION_KEYS)
    for path in (("id",), ("name",), ("vendor",), ("execution", "reason")):
        _text(document, path)
    if data["id"] != names.slug(data["id"]):
        raise bad(document, f"'{data['id']}' is not a slug", "id", allowed="lower-case words joined by hyphens")
    execution: dict[str, Any] = data["execution"]
    _one_of(document, ("architectural_class",), ARCHITECTURAL_CLASSES)
    _one_of(document, ("execution", "style"), EXECUTION_STYLES)
    _one_of(document, ("execution", "topology"), TOPOLOGIES)
    devices = execution["devices_per_card"]
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise bad(document, f"'{devices}' is not a whole number >= 1", "execution", "devices_per_card")
    aliases = data.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise bad(document, "a list of texts is needed here", "aliases", allowed='[h100, "4090"]')
    return Accelerator(
        id=data["id"], name=data["name"], vendor=data["vendor"], aliases=tuple(aliases),
        architectural_class=data["architectural_class"], execution=execution["style"], topology=execution["topology"],
        devices_per_card=devices, facts=read_facts(document, "accelerator"), file=str(file),
    )  # fmt: skip


def _at(document: Document, path: tuple[str, ...]) -> Any:
    value: Any = document.data
    for step in path:
        value = value[step]
    return value


def _text(document: Document, path: tuple[str, ...]) -> None:
    value = _at(document, path)
    if not isinstance(value, str) or not value.strip():
        raise bad(document, "a text is needed here", *path)


def _one_of(document: Document, path: tuple[str, ...], words: tuple[str, ...]) -> None:
    value = _at(document, path)
    if value not in words:
        raise bad(document, f"'{value}' is not allowed here", *path, allowed=", ".join(words))
