"""`inferatlas catalogue check`: read every file strictly, then hold the facts against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import read_accelerator
from inferatlas.catalogue.carbon import read_embodied, read_grid, read_pues
from inferatlas.catalogue.engines import read_engine
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.models import load_model
from inferatlas.catalogue.names import DATA, slug
from inferatlas.catalogue.prices import read_prices
from inferatlas.documents import read_document
from inferatlas.errors import BadInput

ERROR, NOTE = "error: ", "note: "
_TOLERANCE = 0.02  # of bidirectional against twice per direction
_TABLES = {"kind": read_prices, "site": read_pues, "item": read_embodied, "code": read_grid}  # a key only it has


def check(path: str | Path | None = None) -> list[str]:
    """What is wrong with the catalogue, or with a user's file or folder of files.

    Parameters
    ----------
    path : a YAML file of any kind of the catalogue, or a folder of them; None for the catalogue's own.

    Returns
    -------
    One line per finding, each with its file: ``error: ...`` must be mended (a file is refused, an alias means two
    things, a sparse peak is in use), ``note: ...`` deserves a look (directions of a link that do not add up).

    Raises
    ------
    BadInput : ``path`` does not exist or holds no YAML file.
    """
    files = _files(Path(path).expanduser() if path is not None else DATA)
    lines: list[str] = []
    read: list[Accelerator] = []
    for file in files:
        try:
            thing = _reader(file)(file)
        except BadInput as error:
            lines.append(ERROR + str(error).replace("\n ", ""))
            continue
        if isinstance(thing, Accelerator):
            read.append(thing)
            lines += check_accelerator(thing)
        elif isinstance(thing, tuple):
            lines += _unknown_accelerators(file, thing)
    return lines + _shared_names(read)


def check_accelerator(accelerator: Accelerator) -> list[str]:
    """Findings on the facts of one accelerator held against each other."""
    facts = accelerator.facts
    lines = [f"{ERROR}{accelerator.file}: {fact.field}: a sparse peak is in use ({fact.condition})"
             for fact in facts if _is_sparse(fact)]  # fmt: skip
    stated = facts.text("architectural_class")
    if stated is not None and stated != accelerator.architectural_class:
        lines.append(f"{ERROR}{accelerator.file}: architectural_class: the fact says {stated}")
    for field in facts.fields():
        if not field.endswith(".bidirectional"):
            continue
        both, one = facts.number(field), facts.number(field.replace(".bidirectional", ".per_direction"))
        if both and one and abs(both - 2 * one) > _TOLERANCE * both:
            lines.append(f"{NOTE}{accelerator.file}: {field}: {both:g} B/s is not twice the {one:g} B/s per direction")
    return lines


def _is_sparse(fact: Fact) -> bool:
    """A peak in use that counts zeros; "dense (no sparsity)" and fields named sparse are what they say."""
    peak = fact.used and fact.field.startswith("peak_") and "sparse" not in fact.field
    return peak and "spars" in fact.condition.lower() and not fact.condition.lower().startswith("dense")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml"))
        if not files:
            raise BadInput("no YAML file in this folder", file=path)
        return files
    if not path.exists():
        raise BadInput("no such file or folder", file=path)
    return [path]


def _reader(file: Path) -> Callable[[Path], Any]:
    """The reader for what a file describes, told by a key that only that kind has."""
    data = read_document(file).data
    rows = data.get("rows")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        return next((read for key, read in _TABLES.items() if key in rows[0]), read_prices)
    if "support_field" in data:
        return read_engine
    if "config" in data or "hf_id" in data:
        return load_model
    return read_accelerator


def _unknown_accelerators(file: Path, rows: Iterable[Any]) -> list[str]:
    known = {one.stem for one in (DATA / "accelerators").glob("*.yaml")}
    named = sorted({row.accelerator for row in rows if getattr(row, "accelerator", None)} - known)
    return [f"{NOTE}{file}: accelerator '{name}' is not in the catalogue" for name in named]


def _shared_names(accelerators: list[Accelerator]) -> list[str]:
    """Slugs, aliases and full names that mean two accelerators, and slugs that are not their file's name."""
    lines, owner = [], {}
    for one in accelerators:
        if Path(one.file).is_relative_to(DATA) and Path(one.file).stem != one.id:
            lines.append(f"{ERROR}{one.file}: id: '{one.id}' is not the name of the file")
        for name in dict.fromkeys(slug(name) for name in (one.id, one.name, *one.aliases)):
            if owner.setdefault(name, one.id) != one.id:
                lines.append(f"{ERROR}{one.file}: aliases: '{name}' already means {owner[name]}")
    return lines
