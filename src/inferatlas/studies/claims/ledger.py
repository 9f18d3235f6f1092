"""The ledger: papers, their tables as printed, and what they claim, with what recomputes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput, UnknownName
from inferatlas.studies.claims.expression import Expression
from inferatlas.studies.claims.printed import Printed

PAPERS = Path(__file__).parent.parent / "papers"
KINDS = ("arithmetic", "consistency", "between", "catalogue", "physics", "dimension", "statistics", "model")
BASES = ("measured", "specification", "derived", "modelled", "cited", "opinion")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file, for messages."""

    file: str
    line: int

    def bad(self, message: str, field: str | None = None, allowed: str | None = None, hint: str | None = None):
        """The refusal of what stands here."""
        return BadInput(message, field=field, allowed=allowed, hint=hint, file=self.file, line=self.line)


@dataclass(frozen=True, slots=True)
class Paper:
    """A publication; ``text`` is the file of its text where one is at hand, ``address`` where it can be read."""

    id: str
    title: str
    authors: str
    year: int | None
    address: str | None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of an input comes from: one ``kind`` (cell, fact, model, claim, value, ask, unpublished, ...)."""

    kind: str
    of: Any  # the reference, the constant's text or texts, the question's name
    about: str = ""  # the source of a constant
    given: Mapping[str, Any] = field(default_factory=dict)  # what a question is asked with
    at: Place = Place("", 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to compute what is asserted; ``under`` is the condition under which it is the right one."""

    expression: Expression
    inputs: Mapping[str, Source]
    under: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What recomputes a claim: as stated (``readings[0]``), then under conditions that the paper does not state.

    ``bound``: the claim must stay below (``at_most``) or above (``at_least``) what is computed, else be equal to it.
    """

    by: str
    readings: tuple[Reading, ...]
    bound: str | None
    at: Place


@dataclass(frozen=True, slots=True)
class Formula:
    """What is asserted is a formula over the check's inputs."""

    expression: Expression
    unit: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a paper; ``asserted`` as printed, or a formula."""

    id: str
    paper: str
    place: str
    statement: str
    quotes: tuple[str, ...]
    basis: str
    asserted: Printed | Formula
    checks: tuple[Check, ...]
    tolerance: float | None  # None: that of the kind of check
    tolerance_because: str
    at: Place

    @property
    def key(self) -> str:
        """Its name among all papers."""
        return f"{self.paper}/{self.id}"

    @property
    def asserted_words(self) -> str:
        """What it asserts, as printed."""
        return self.asserted.expression.text if isinstance(self.asserted, Formula) else self.asserted.text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; ``facts`` of an accelerator, or the quantity ``of_model``, are what it must agree with."""

    id: str
    title: str
    unit: str
    words: bool
    facts: tuple[str, ...]
    of_model: str | None
    needs: str
    renamed: Mapping[str, str]  # printed cell -> the word compared
    tolerance: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, about an accelerator or a model of the catalogue where it is about one."""

    id: str
    title: str
    accelerator: str | None
    model: str | None
    cells: Mapping[str, Printed]
    at: Place


@dataclass(frozen=True, slots=True)
class Table:
    """A table as printed."""

    id: str
    place: str
    title: str
    columns: Mapping[str, Column]
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is no claim, and why: quotations, or patterns (regular expressions)."""

    quotes: tuple[str, ...]
    patterns: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that one paper states: its tables, its claims (those of tables' cells included), what is left out."""

    paper: Paper
    tables: Mapping[str, Table]
    claims: Mapping[str, Claim]
    left_out: tuple[LeftOut, ...]

    def claim(self, name: str) -> Claim:
        """The claim of that id.

        Raises
        ------
        UnknownName : there is none; near ones are offered.
        """
        if name not in self.claims:
            raise UnknownName("claim", name, self.claims)
        return self.claims[name]

    def cell(self, address: str) -> Printed | None:
        """What ``table/row/column`` states; None where the cell is empty.

        Raises
        ------
        UnknownName : no such table, row or column.
        """
        table, row, column = self.at(address)
        return found if (found := table.rows[row].cells.get(column)) and found.stated else None

    def at(self, address: str) -> tuple[Table, str, str]:
        """Table, row and column of an address; a row may be ``*``."""
        parts = address.split("/")
        if len(parts) != 3:
            raise BadInput(f"'{address}' names no cell", field="cell", allowed="table/row/column")
        if parts[0] not in self.tables:
            raise UnknownName("table", parts[0], self.tables)
        table = self.tables[parts[0]]
        if parts[1] != "*" and parts[1] not in table.rows:
            raise UnknownName("row", parts[1], table.rows)
        if parts[2] not in table.columns:
            raise UnknownName("column", parts[2], table.columns)
        return table, parts[1], parts[2]


def paper_ids() -> tuple[str, ...]:
    """The papers of the package.

    Examples
    --------
    >>> paper_ids()
    ('brunetta', 'park-review', 'sharma-2025')
    """
    return tuple(sorted(one.name for one in PAPERS.iterdir() if (one / "paper.yaml").is_file()))


@lru_cache(maxsize=8)
def ledger(paper: str) -> Ledger:
    """The ledger of one of the package's papers.

    Raises
    ------
    UnknownName : no such paper.
    """
    from inferatlas.studies.claims.reading import read_ledger  # it needs this file

    if paper not in paper_ids():
        raise UnknownName("paper", paper, paper_ids())
    return read_ledger(PAPERS / paper)
