"""Cells of a published table beside the catalogue: the fact chosen there, and the facts that compete with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.facts import Fact
from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.auditing import published
from inferatlas.studies.claims.checking import check
from inferatlas.studies.claims.ledger import Column, Ledger, Row, Table, ledger
from inferatlas.studies.claims.looking_up import Books
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair
from inferatlas.studies.reproducing.phrases import listed, plural

OPEN = "not_checkable"


@dataclass(frozen=True, slots=True)
class Compared:
    """One stated cell: its pair, and what the audit says of it beside the catalogue.

    ``condition``: under which it agrees, where it does not as it stands.
    """

    pair: Pair
    verdict: str
    condition: str


def exact(value: float) -> Interval:
    """A fact as an interval: all three equal.

    >>> exact(2.0)
    Interval(low=2.0, value=2.0, high=2.0)
    """
    return Interval(value, value, value)


def exhibit(paper: str, table: str) -> Exhibit:
    """A whole table beside the catalogue."""
    book = ledger(paper)
    held = book.tables[table]
    cells = compared(book, held)
    return Exhibit(
        id=held.id, place=held.place, title=held.title, finding=finding(cells),
        pairs=tuple(one.pair for one in cells), notes=tuple(notes(cells)),
    )  # fmt: skip


def compared(book: Ledger, table: Table) -> tuple[Compared, ...]:
    """Every stated cell of a table with the fact of its row's accelerator, row by row."""
    books = published()
    return tuple(
        _compared(book, books, table, row, key, printed)
        for row in table.rows.values()
        for key, printed in row.cells.items()
        if printed.stated
    )


def _compared(book: Ledger, books: Books, table: Table, row: Row, key: str, printed: Printed) -> Compared:
    claim, column = book.claim(f"{table.id}/{row.id}/{key}"), table.columns[key]
    pair = beside(row, column, printed)
    outcome = next((check(claim, one, books) for one in claim.checks if one.by == "catalogue"), None)
    if outcome is None:
        return Compared(pair, OPEN, "")
    if not column.facts and outcome.computed is not None:  # words that no field of the catalogue holds
        pair = replace(pair, note=f"documents say: {outcome.computed.words}")
    return Compared(pair, outcome.verdict, outcome.condition)


def beside(row: Row, column: Column, printed: Printed) -> Pair:
    """A cell beside the chosen fact, the facts that compete with it in the note."""
    what = {"accelerator": row.title, "parameter": column.title}
    if row.accelerator is None or not column.facts:
        why = column.needs or "the catalogue has no such field"
        return Pair(what, column.id, printed.unit, printed, None, "catalogue", why)
    known = load_accelerator(row.accelerator)
    field = field_of(known, column.facts)
    chosen = known.facts.chosen(field)
    others = [one for one in known.facts.all(field) if one is not chosen]
    ours = interval(chosen, printed.unit)
    return Pair(what, column.id, printed.unit, printed, ours, "catalogue", note(chosen, others))


def field_of(known: Accelerator, fields: Sequence[str]) -> str:
    """The first of some fields whose value is known of an accelerator; the first of all where none is."""
    return next((one for one in fields if (f := known.facts.chosen(one)) and f.value is not None), fields[0])


def interval(fact: Fact | None, unit: str) -> Interval | None:
    """The value of a fact, a range with its ends; None of words, of what is unknown or is counted in another unit."""
    if fact is None or not isinstance(fact.value, float) or fact.unit != unit:
        return None
    low = fact.value if fact.low is None else fact.low
    high = fact.value if fact.high is None else fact.high
    return Interval(low, fact.value, high)


def note(chosen: Fact | None, others: Iterable[Fact]) -> str:
    """What the catalogue says: the chosen value with its condition and source, then what competes with it."""
    if chosen is None:
        head = "not in the catalogue"
    elif chosen.value is None:
        head = "nobody publishes it, as far as the catalogue knows"
    else:
        head = f"{chosen.status}: {_said(chosen)}"
    return "; ".join([head, *(f"{one.status}: {_said(one)}" for one in others)])


def _said(fact: Fact) -> str:
    value = f"{fact.printed} {fact.printed_unit}".strip() or "unknown"
    condition = f", {fact.condition}" if fact.condition else ""
    source = "from memory, no document" if fact.provenance == "recalled" else fact.source
    return f"{value}{condition}" + (f" ({source})" if source else "")


def finding(cells: Sequence[Compared]) -> str:
    """One sentence: how many cells the catalogue confirms, and which it contradicts."""
    count = {name: sum(one.verdict == name for one in cells) for name in {one.verdict for one in cells}}
    differing = [_named(one) for one in cells if one.verdict not in (OPEN, "consistent", "consistent_under_condition")]
    checked = len(cells) - count.get(OPEN, 0)
    return (
        f"Of {plural(len(cells), 'stated cell')} {checked} can be compared with a document: "
        f"{count.get('consistent', 0)} agree with the fact that the catalogue chose, "
        f"{count.get('consistent_under_condition', 0)} under another condition, and {len(differing)} with "
        f"none{f' ({listed(differing)})' if differing else ''}."
    )


def _named(one: Compared) -> str:
    what = one.pair.what
    return f"{what['parameter']} of {what['accelerator']}"


def notes(cells: Sequence[Compared]) -> list[str]:
    """The conditions under which cells agree, and which cells have nothing to be compared with."""
    by: dict[str, list[str]] = {}
    for one in cells:
        if one.condition:
            by.setdefault(one.condition, []).append(_named(one))
    out = [f"agree if {condition}: {listed(names)}" for condition, names in by.items()]
    left = [_named(one) for one in cells if one.verdict == OPEN]
    return [*out, f"nothing to compare with: {listed(left)}"] if left else out
