"""`inferatlas catalogue check`: read every file strictly, then hold the facts against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import read_accelerator
from inferatlas.catalogue.carbon import read_embodied, read_grid, read_pues
from inferatlas.catalogue.engines import read_engine
from inferatlas.catalogue.facts import Fact
from inferatlas.catalogue.models import load_model
from inferatlas.catalogue.names import DATA, slug
from inferatlas.catalogue.prices import read_prices
from inferatlas.documents import read_document
from inferatlas.errors import BadInput, ConflictingData

Kind = Literal["error", "conflict", "note"]
_TOLERANCE = 0.02  # of bidirectional against twice per direction
_TABLES = {"kind": read_prices, "site": read_pues, "item": read_embodied, "code": read_grid}  # a key only it has


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a file.

    Parameters
    ----------
    kind : ``error`` must be mended (a file is refused, a sparse peak is in use); ``conflict``: two statements
        contradict each other while each could stand alone (an alias of two things, directions of a link that do not
        add up); ``note`` deserves a look and breaks nothing.
    text : the file, its line and field where known, and what is wrong.
    """

    kind: Kind
    text: str


def exit_code(findings: Iterable[Finding]) -> int:
    """2 with errors, 5 with conflicts alone, else 0.

    Examples
    --------
    >>> exit_code([Finding("note", "a price for something unknown"), Finding("conflict", "an alias of two things")])
    5
    """
    kinds = {finding.kind for finding in findings}
    return BadInput.exit_code if "error" in kinds else ConflictingData.exit_code if "conflict" in kinds else 0


def check(path: str | Path | None = None) -> list[Finding]:
    """What is wrong with the catalogue, or with a user's file or folder of files.

    Parameters
    ----------
    path : a YAML file of any kind of the catalogue, or a folder of them; None for the catalogue's own.

    Raises
    ------
    BadInput : ``path`` does not exist or holds no YAML file.
    """
    files = _files(Path(path).expanduser() if path is not None else DATA)
    found: list[Finding] = []
    read: list[Accelerator] = []
    for file in files:
        try:
            thing = _reader(file)(file)
        except BadInput as error:
            found.append(Finding("error", str(error).replace("\n ", "")))
            continue
        if isinstance(thing, Accelerator):
            read.append(thing)
            found += check_accelerator(thing)
        elif isinstance(thing, tuple):
            found += _unknown_accelerators(file, thing)
    return found + _shared_names(read)


def check_accelerator(accelerator: Accelerator) -> list[Finding]:
    """Findings on the facts of one accelerator held against each other."""
    facts, file = accelerator.facts, accelerator.file
    found = [
        Finding("error", f"{file}: {fact.field}: a sparse peak is in use ({fact.condition})")
        for fact in facts
        if _is_sparse(fact)
    ]
    stated = facts.text("architectural_class")
    if stated is not None and stated != accelerator.architectural_class:
        found.append(Finding("conflict", f"{file}: architectural_class: the fact says {stated}"))
    for field in facts.fields():
        if not field.endswith(".bidirectional"):
            continue
        both, one = facts.number(field), facts.number(field.replace(".bidirectional", ".per_direction"))
        if both and one and abs(both - 2 * one) > _TOLERANCE * both:
            text = f"{file}: {field}: {both:g} B/s is not twice the {one:g} B/s per direction"
            found.append(Finding("conflict", text))
    return found


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


def _unknown_accelerators(file: Path, rows: Iterable[Any]) -> list[Finding]:
    known = {one.stem for one in (DATA / "accelerators").glob("*.yaml")}
    named = sorted({row.accelerator for row in rows if getattr(row, "accelerator", None)} - known)
    return [Finding("note", f"{file}: accelerator '{name}' is not in the catalogue") for name in named]


def _shared_names(accelerators: list[Accelerator]) -> list[Finding]:
    """Slugs, aliases and full names that mean two accelerators, and slugs that are not their file's name."""
    found: list[Finding] = []
    owner: dict[str, str] = {}
    for one in accelerators:
        if Path(one.file).is_relative_to(DATA) and Path(one.file).stem != one.id:
            found.append(Finding("error", f"{one.file}: id: '{one.id}' is not the name of the file"))
        for name in dict.fromkeys(slug(name) for name in (one.id, one.name, *one.aliases)):
            if owner.setdefault(name, one.id) != one.id:
                found.append(Finding("conflict", f"{one.file}: aliases: '{name}' already means {owner[name]}"))
    return found
