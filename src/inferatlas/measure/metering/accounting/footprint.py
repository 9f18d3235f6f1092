"""Carbon, water and cost of a measured energy: section 9 of reference/energy.md.

In: `Energy` of a window, a grid, what is known of the site. Out: a `Footprint`, figures with range and source. What
nobody stated is None and named in ``unknown``. Making the hardware is not in it: measured windows do not say how long
it lives.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.catalogue.carbon import grid_intensities
from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.intensity import Intensity
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.scope import Scope, one_scope
from inferatlas.predict.cost.carbon import JOULES_PER_KWH
from inferatlas.predict.cost.economics import grid_row, pue_row, source_of, water_row
from inferatlas.quantities import show

OWN = "given by the user"
Z80 = 1.2816  # standard uncertainties on each side of 80 %, the interval of all that is derived
MOST_PUE = 10.0
REMARKS = {
    "pue_not_applied": "the meter was at the facility, whose overhead it reads: no PUE was applied",
    "scope_partial": "the meter covers less than a server at its plug: host, network and supplies are not in it",
    "scope_stated": "the scope is the user's word, the log does not say it",
    "mean_power_used": "no reading lay in an interval of the series: the mean power of the window stands in",
    "tables_disagree": "another table has another intensity for the same grid: see the range",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its range and source; ``value`` None where something that it needs is not known.

    ``low`` and ``high`` : 80 % of the energy's uncertainty, together with the ends of what tables say.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Footprint:
    """Figures of a window. ``unknown`` : inputs not known. ``remarks`` : codes of `REMARKS` and of energies."""

    figures: tuple[Figure, ...]
    scope: Scope | None
    unknown: tuple[str, ...]
    valid: bool
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the figures that there are."""
        return tuple(one.name for one in self.figures)

    def __getitem__(self, name: str) -> Figure:
        """The figure of a name (KeyError)."""
        return {one.name: one for one in self.figures}[name]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "scope": None if self.scope is None else self.scope.label,
            "valid": self.valid,
            "reasons": list(self.reasons),
            "remarks": list(self.remarks),
            "unknown": list(self.unknown),
            "figures": {one.name: {k: v for k, v in asdict(one).items() if k != "name"} for one in self.figures},
        }


class OverTime(NamedTuple):
    """Energy of the intervals of a window: ``start_s``, ``stop_s`` in seconds since 1970 (UTC), ``joules`` of each."""

    start_s: ArrayLike
    stop_s: ArrayLike
    joules: ArrayLike


class _Range(NamedTuple):
    value: float | None
    low: float | None
    high: float | None
    source: str


_NOT_KNOWN = _Range(None, None, None, "not stated")


def footprint(
    energy: Energy, *, region: str, scope: Scope | None = None, site: str | None = None, pue: float | None = None,
    wue_site: float | None = None, usd_per_kwh: float | None = None, intensity: Intensity | None = None,
    over_time: OverTime | None = None,
) -> Footprint:  # fmt: skip
    """Carbon ``E PUE CI``, water ``E (WUE_site + PUE WUE_grid)`` and cost ``E PUE price`` of a window.

    The meter's scope decides on PUE: up to the rack it multiplies, at the facility it is in the reading already. Over a
    time series, ``E CI`` is the sum over intervals of energy times mean intensity.

    Parameters
    ----------
    region : a grid of the catalogue, by name or code; with ``intensity`` it is asked for water only.
    scope : what the meter covers, where the energy does not say.
    site, pue : overhead by a name of the catalogue, or as a number of 1 or more (1 leaves the facility out).
    wue_site : litres evaporated at the site per kWh of the machines. usd_per_kwh : price of electricity, 0 or more.
    intensity : the grid over time; needs ``over_time``, whose joules sum to the energy.

    Raises
    ------
    BadInput : a number out of range; site and PUE together; a PUE for a meter of unknown scope; a scope other than the
        energy's; a series without intervals, or that does not cover them. UnknownName : region, site.

    Examples
    --------
    >>> run = Energy(3.6e6, {"gain": 3.6e4}, "counter", "redfish", Scope.NODE_AC, 600.0, 600.0)
    >>> found = footprint(run, region="USA", pue=1.2, usd_per_kwh=0.08)
    >>> round(found["carbon"].value, 1), round(found["carbon"].low, 1), round(found["carbon"].high, 1)
    (442.8, 437.1, 467.2)
    >>> found["cost"].value, found.unknown
    (0.096, ('wue_site',))
    """
    meter = one_scope([energy.scope, scope]) if None not in (energy.scope, scope) else energy.scope or scope
    overhead = _overhead(meter, site, _number("pue", pue, 1.0, MOST_PUE))
    grid = _carbon_of(region, intensity, over_time, energy)
    row = water_row(region)
    water_grid = _NOT_KNOWN if row is None else _Range(row.value, row.low, row.high, source_of(row))
    water_site, price = _given(_number("wue_site", wue_site)), _given(_number("usd_per_kwh", usd_per_kwh))
    joules, kwh = _energy(energy, 1.0), _energy(energy, JOULES_PER_KWH)
    # water at the site goes by the energy of the machines alone, which a facility's meter does not tell
    machines = _NOT_KNOWN if meter in (Scope.FACILITY, None) else kwh
    site_l = _product("water_site", "L", machines, water_site)
    grid_l = _product("water_grid", "L", kwh, overhead, water_grid)
    figures = [
        Figure("energy", *joules[:3], "J", joules.source),
        Figure("pue", *overhead[:3], "1", overhead.source),
        _product("energy_with_overhead", "J", joules, overhead),
        Figure("intensity", *grid[:3], "gCO2e/kWh", grid.source),
        _product("carbon", "gCO2e", kwh, overhead, grid),
        site_l,
        grid_l,
        _sum("water", "L", site_l, grid_l),
        *([_product("cost", "USD", kwh, overhead, price)] if usd_per_kwh is not None else []),
    ]
    remarks = {
        "pue_not_applied": meter is Scope.FACILITY and not (site is None and pue is None),
        "scope_partial": (meter is not None and meter < Scope.NODE_AC) or energy.part != "",
        "scope_stated": energy.scope is None and scope is not None,
        "tables_disagree": grid.low != grid.high,
    }
    known = {
        "energy": joules.value is not None,
        "scope": meter is not None,
        "energy_of_machines": machines is kwh,
        "pue": overhead.value is not None,
        "intensity": grid.value is not None,
        "wue_site": wue_site is not None,
        "wue_grid": water_grid.value is not None,
    }
    return Footprint(
        figures=tuple(figures),
        scope=meter,
        unknown=tuple(name for name, stated in known.items() if not stated),
        valid=energy.valid,
        reasons=energy.reasons,
        remarks=(*energy.remarks, *(code for code, holds in remarks.items() if holds)),
    )


def _overhead(scope: Scope | None, site: str | None, pue: float | None) -> _Range:
    """What a reading is multiplied with to have the whole site in it."""
    if site is not None and pue is not None:
        raise BadInput("is given beside a site", field="pue", allowed="a site or a number, not both")
    row = None if site is None else pue_row(site)
    if scope is Scope.FACILITY:
        return _Range(1.0, 1.0, 1.0, "in the reading: the meter is the facility's")
    if site is None and pue is None:
        return _NOT_KNOWN
    if scope is None:
        raise BadInput(
            "the log does not say what the meter covers: a facility's meter has the overhead in its reading",
            field="scope", allowed=", ".join(one.label for one in Scope), hint="state the scope, or leave PUE out",
        )  # fmt: skip
    return _given(pue) if row is None else _Range(row.value, row.low, row.high, source_of(row))


def _carbon_of(region: str, series: Intensity | None, over_time: OverTime | None, energy: Energy) -> _Range:
    """Intensity of the grid: of the series, weighted by the energy of each interval; or of the year, by the tables."""
    if (series is None) != (over_time is None):
        field = "over_time" if over_time is None else "intensity"
        raise BadInput("is missing", field=field, allowed="a series together with the energy of intervals, or neither")
    if series is None or over_time is None:
        row = grid_row(region)
        held = [one for one in grid_intensities() if one.code == row.code and one.value is not None]
        values = [end for one in held for end in (one.value, one.low, one.high) if end is not None]
        others = "".join(f"; {one.value:g} by {source_of(one)}" for one in held if one is not row)
        return _Range(row.value, min(values), max(values), source_of(row) + others)
    start, stop, joules = (np.asarray(column, dtype=np.float64) for column in over_time)
    if not (start.shape == stop.shape == joules.shape and joules.ndim == 1 and np.all(joules >= 0) and joules.size):
        raise BadInput("no energies of intervals", field="over_time", allowed="one start, stop and energy (0 or more)")
    whole, window = math.fsum(joules), energy.joules
    room = 0.0 if window is None else 2 * (energy.uncertainty_j or 0.0) + 1e-6 * abs(window)
    if not whole > 0 or (window is not None and abs(whole - window) > room):
        message = f"the intervals hold {whole:.6g} J, the window {show(window, 'J')}"
        raise BadInput(message, field="over_time", allowed="intervals that make up the window")
    value = float(joules @ series.mean(start, stop)) / whole
    return _Range(value, value, value, f"{series.name} ({series.method}), {len(series.gco2e_per_kwh):,} values")


def _number(field: str, value: float | None, low: float = 0.0, high: float = math.inf) -> float | None:
    if value is not None and not (low <= value <= high and math.isfinite(value)):
        allowed = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
        raise BadInput(f"{value!r} is out of range", field=field, allowed=allowed)
    return value


def _given(value: float | None) -> _Range:
    return _NOT_KNOWN if value is None else _Range(value, value, value, OWN)


def _energy(energy: Energy, unit_j: float) -> _Range:
    """The energy in units of so many joules, with 80 % of its uncertainty."""
    source = f"{energy.method or 'no reading'}, {energy.source}"
    if energy.joules is None:
        return _Range(None, None, None, source)
    off = Z80 * (energy.uncertainty_j or 0.0)
    low, value, high = (each / unit_j for each in (energy.joules - off, energy.joules, energy.joules + off))
    return _Range(value, low, high, source)


def _product(name: str, unit: str, *factors: _Range) -> Figure:
    """All factors together; unknown where one of them is. Only the first, the energy, may be below 0."""
    source = "; ".join(dict.fromkeys(one.source for one in factors))
    value, corners = 1.0, [1.0]
    for one in factors:
        if one.value is None:
            return Figure(name, None, None, None, unit, source)
        ends = [one.value if end is None else end for end in (one.low, one.high)]
        value, corners = value * one.value, [each * end for each in corners for end in ends]
    return Figure(name, value, min(corners), max(corners), unit, source)


def _sum(name: str, unit: str, one: Figure, other: Figure) -> Figure:
    def both(left: float | None, right: float | None) -> float | None:
        return None if left is None or right is None else left + right

    value, low, high = both(one.value, other.value), both(one.low, other.low), both(one.high, other.high)
    return Figure(name, value, low, high, unit, f"{one.name} + {other.name}")
