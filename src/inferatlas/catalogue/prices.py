"""What accelerators and electricity cost: dated rows, each with its source, date, region and term."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inferatlas.catalogue.names import DATA
from inferatlas.catalogue.rows import Row, read_rows

KINDS = ("ownership", "rental", "purchase", "electricity")
_KEYS = ("kind", "per", "term", "region", "date")


@dataclass(frozen=True, slots=True)
class Price(Row):
    """One price: USD/h (ownership, rental), USD (purchase) or USD/kWh (electricity).

    ``kind``: *ownership* is the all-in cost of owning per hour, *rental* what a provider asks per hour.
    ``accelerator`` is a slug (None for electricity), ``per`` the thing priced (accelerator, node of 8, kWh), ``term``
    the contract or model of ownership, ``region`` may be "not stated", ``date`` is of the figure (or its reading).
    """

    kind: str
    per: str
    term: str
    region: str
    date: str
    accelerator: str | None


@lru_cache(maxsize=1)
def prices() -> tuple[Price, ...]:
    """Every price of the catalogue, in the order of the file.

    Examples
    --------
    >>> [(row.term, row.value) for row in prices() if row.accelerator == "nvidia-h200-sxm"]
    [('hyperscaler', 1.41), ('neocloud', 1.74), ('3-year rental', 1.6)]
    """
    return read_prices(DATA / "prices.yaml")


def read_prices(file: str | Path) -> tuple[Price, ...]:
    """Read a price table of one's own (errors as `rows.read_rows`: a row without source, date, region or term)."""
    units, words = ("USD/h", "USD", "USD/kWh"), {"kind": KINDS}
    return tuple(Price(**row) for row in read_rows(Path(file), units, _KEYS, ("accelerator",), words))
