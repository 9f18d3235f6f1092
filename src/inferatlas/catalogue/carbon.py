"""Carbon: intensity of grids, overhead of sites (PUE) and embodied carbon, as dated rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from inferatlas.catalogue.names import DATA
from inferatlas.catalogue.rows import Row, read_rows


@dataclass(frozen=True, slots=True)
class GridIntensity(Row):
    """Carbon (gCO2e/kWh) or, where ``unit`` is L/kWh, water per kWh of a grid in a year.

    ``method``: life cycle or direct; ``basis``: location or market. Two tables of one country differ by 4 to 26 %:
    always show which was used.
    """

    region: str
    code: str
    table: str
    year: str
    method: str
    basis: str
    licence: str


@dataclass(frozen=True, slots=True)
class Pue(Row):
    """Power usage effectiveness of a site: energy at the meter over energy of the computers (>= 1)."""

    site: str
    year: str


@dataclass(frozen=True, slots=True)
class Embodied(Row):
    """Carbon of making a thing, gCO2e each; or per FLOP over its life (``unit`` gCO2e/FLOP: never convert to kg).

    ``accelerator`` is a slug, or None for things in general; ``lifetime`` as the source states it.
    """

    item: str
    per: str
    year: str
    accelerator: str | None
    lifetime: str | None


@lru_cache(maxsize=1)
def grid_intensities() -> tuple[GridIntensity, ...]:
    """Carbon intensity of grids, gCO2e/kWh; several tables may hold the same country.

    Examples
    --------
    >>> [(row.table, row.value) for row in grid_intensities() if row.code == "FRA"]
    [('Ember', 56.0), ('EcoLogits', 41.4)]
    """
    return tuple(row for row in _grids() if row.unit == "gCO2e/kWh")


@lru_cache(maxsize=1)
def water_intensities() -> tuple[GridIntensity, ...]:
    """Water used in making electricity, L/kWh."""
    return tuple(row for row in _grids() if row.unit == "L/kWh")


@lru_cache(maxsize=1)
def _grids() -> tuple[GridIntensity, ...]:
    return read_grid(DATA / "grid.yaml") + read_grid(DATA / "grid-ecologits.yaml")


def read_grid(file: str | Path) -> tuple[GridIntensity, ...]:
    """Read a table of grids of one's own (errors as `rows.read_rows`)."""
    keys = ("region", "code", "table", "year", "method", "basis", "licence")
    return tuple(GridIntensity(**row) for row in read_rows(Path(file), ("gCO2e/kWh", "L/kWh"), keys))


@lru_cache(maxsize=1)
def pues() -> tuple[Pue, ...]:
    """PUE by site.

    Examples
    --------
    >>> [row.value for row in pues() if row.site == "on premises"]
    [1.58]
    """
    return read_pues(DATA / "pue.yaml")


def read_pues(file: str | Path) -> tuple[Pue, ...]:
    """Read a table of PUE of one's own (errors as `rows.read_rows`)."""
    return tuple(Pue(**row) for row in read_rows(Path(file), ("1",), ("site", "year")))


@lru_cache(maxsize=1)
def embodied() -> tuple[Embodied, ...]:
    """Embodied carbon; rows without a value are things for which nothing is published.

    Examples
    --------
    >>> next(row.value for row in embodied() if row.item == "generic GPU")  # gCO2e
    273000.0
    """
    return read_embodied(DATA / "embodied.yaml")


def read_embodied(file: str | Path) -> tuple[Embodied, ...]:
    """Read a table of embodied carbon of one's own (errors as `rows.read_rows`)."""
    keys, optional = ("item", "per", "year"), ("accelerator", "lifetime")
    return tuple(Embodied(**row) for row in read_rows(Path(file), ("gCO2e", "gCO2e/FLOP"), keys, optional))
