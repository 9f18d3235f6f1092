"""Tables I and II: every stated cell beside the catalogue's fact or the model's configuration, with its verdict."""

from __future__ import annotations

from collections import Counter
from functools import cache

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.auditing import Finding, find, published
from inferatlas.studies.claims.ledger import Table
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair
from inferatlas.studies.reproducing.brunetta.pairs import PAPER
from inferatlas.studies.reproducing.phrases import listed


def exhibits() -> tuple[Exhibit, ...]:
    """One exhibit per table of the paper."""
    return tuple(_exhibit(table) for table in published()[PAPER].tables.values())


def _exhibit(table: Table) -> Exhibit:
    found = _findings(table.id)
    count = Counter(one.verdict for one in found)
    wrong = [one.statement for one in found if one.verdict in ("inconsistent", "beyond_physics")]
    words = (
        f"Of {len(found)} stated cells {count['consistent']} agree with the catalogue, "
        f"{count['consistent_under_condition']} under a condition, {count['not_checkable']} cannot be checked and "
        f"{len(wrong)} do not agree{f' ({listed(wrong)})' if wrong else ''}."
    )
    return Exhibit(table.id, table.place, table.title, words, tuple(_pair(table, one) for one in found))


@cache
def _findings(table: str) -> tuple[Finding, ...]:
    """The verdicts of the table's cells."""
    books = published()
    cells = (claim for name, claim in books[PAPER].claims.items() if name.startswith(f"{table}/"))
    return tuple(find(claim, books) for claim in cells)


def _pair(table: Table, found: Finding) -> Pair:
    _, row, column = found.id.split("/")
    assert isinstance(found.asserted, Printed)
    ours, got = None, found.computed
    if got is not None and got.value is not None:
        low, high = (got.value if end is None else end for end in (got.low, got.high))
        ours = Interval(low, got.value, high)
    notes = [found.verdict.replace("_", " ") + (f": {found.condition}" if found.condition else "")]
    notes += [got.text] if got is not None and got.text else []
    notes += found.needs
    what = {"name": table.rows[row].title, "column": table.columns[column].title}
    return Pair(what, column, found.asserted.unit, found.asserted, ours, "catalogue", "; ".join(notes))
