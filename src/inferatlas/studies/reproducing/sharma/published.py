"""What Sharma 2025 prints, from its ledger."""

from __future__ import annotations

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.studies.claims.ledger import Row, Table, ledger
from inferatlas.studies.claims.printed import Printed

PAPER = "sharma-2025"


def table(name: str) -> Table:
    """One table of the paper, as printed."""
    return ledger(PAPER).tables[name]


def claimed(name: str) -> Printed:
    """What a claim of the paper asserts, a number.

    Raises
    ------
    UnknownName : the ledger has no such claim.

    Examples
    --------
    >>> claimed("bandwidth-correlation").value
    0.88
    """
    found = ledger(PAPER).claim(name).asserted
    assert isinstance(found, Printed)  # those that are reproduced here are no formulas
    return found


def machines(name: str) -> dict[str, tuple[Row, Accelerator]]:
    """The rows of a table that are about accelerators, each with the catalogue's."""
    return {
        key: (row, load_accelerator(row.accelerator))
        for key, row in table(name).rows.items()
        if row.accelerator is not None
    }


def stated(row: Row, column: str) -> Printed | None:
    """A cell of a row; None where it states nothing.

    Examples
    --------
    >>> row = table("table-iii").rows["groq-lpu"]
    >>> stated(row, "generation-rate").value, stated(table("table-iii").rows["google-tpu-v7"], "ttft")
    (185.0, None)
    """
    return found if (found := row.cells.get(column)) is not None and found.stated else None
