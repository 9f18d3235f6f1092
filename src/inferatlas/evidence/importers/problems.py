"""What an import found wrong, as data: a file of ten thousand rows is never refused for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from inferatlas.errors import BadInput

KINDS = ("broken_physics", "unit", "unreadable", "duplicate", "invalid", "unknown_model", "unknown_accelerator")


class BrokenPhysics(BadInput):
    """A measured point that is faster than the hardware can be."""


class WrongUnit(BadInput):
    """A figure so far off that its unit must be another one."""


class UnreadableRow(BadInput):
    """A file or a row without the fields of its format."""


class DuplicateRow(BadInput):
    """A point that is there already: the same configuration and the same figures."""


class InvalidRun(BadInput):
    """A run whose own verdict is that it must not be believed."""


class UnknownInEvidence(BadInput):
    """A model or an accelerator that the catalogue does not hold."""


_ERRORS: dict[str, type[BadInput]] = {
    "broken_physics": BrokenPhysics,
    "unit": WrongUnit,
    "unreadable": UnreadableRow,
    "duplicate": DuplicateRow,
    "invalid": InvalidRun,
    "unknown_model": UnknownInEvidence,
    "unknown_accelerator": UnknownInEvidence,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: its kind (of `KINDS`), where, and what.

    ``row`` is the line of a CSV file (the header is line 1) or the number of the record in a JSON file, from 1;
    None where the whole file is meant. ``hint`` says what to do.
    """

    kind: str
    file: str
    row: int | None
    detail: str
    hint: str | None = None

    @property
    def error(self) -> BadInput:
        """The problem as an error of the one tree (exit code 2), for callers that stop at the first."""
        field = self.kind.removeprefix("unknown_") if self.kind.startswith("unknown_") else None
        return _ERRORS[self.kind](self.detail, field=field, hint=self.hint, file=self.file, line=self.row)

    def __str__(self) -> str:
        where = f"{self.file}:{self.row}" if self.row else self.file
        return f"{where}: {self.kind}: {self.detail}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True)
class Imported:
    """An evidence table read from a public format.

    ``frame`` conforms to `evidence.table.SCHEMA`; rows of the kinds broken_physics, unit, unreadable, duplicate
    and invalid are not in it, rows with unknown names are. ``counts``: files, rows (read), kept, skipped (other tasks
    than text generation), and the number of problems of each kind.
    """

    frame: pl.DataFrame
    problems: tuple[Problem, ...]
    counts: dict[str, int]


def place(file: Path, root: Path) -> str:
    """How a file is named in problems and row ids: relative to what was imported, so that ids are stable."""
    return file.relative_to(root).as_posix() if file != root else file.name
