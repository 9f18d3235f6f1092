"""The inputs of ownership: value, range and source of each, the owner's own figure before the catalogue and priors."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.carbon import grid_intensities
from inferatlas.errors import BadInput
from inferatlas.predict.cost.economics import LEAST_UTILISATION, embodied_of, grid_row, source_of, water_row
from inferatlas.predict.cost.owned import UTILISATION
from inferatlas.predict.cost.ownership import PRIORS
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.performance.priors import table

GIVEN = "given by the user"
PROVISIONED = ("power.provisioned_all_in", "power.provisioned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Figures of the owner, per accelerator; None leaves a figure to the catalogue, to a prior, or unknown.

    ``capex`` USD with the share of the server; ``life`` years; ``interest``, ``maintenance``: per year, the latter of
    capex; ``network``, ``residual``: shares of capex; ``availability``, ``utilisation``: shares of the year and of the
    usable hours; ``electricity`` USD/kWh; ``colo`` USD per kW reserved and month; ``provisioned`` W reserved; ``idle``
    W drawn idle; ``embodied`` gCO2e with the share of the server; ``water_site``, ``water_grid`` L/kWh.
    """

    capex: float | None = None
    life: float | None = None
    interest: float | None = None
    network: float | None = None
    residual: float | None = None
    maintenance: float | None = None
    availability: float | None = None
    utilisation: float | None = None
    electricity: float | None = None
    pue: float | None = None
    colo: float | None = None
    provisioned: float | None = None
    idle: float | None = None
    embodied: float | None = None
    water_site: float | None = None
    water_grid: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One input: its value, None where unknown, the ends of its range (10 to 90 %), and where it comes from."""

    parameter: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    source: str
    given: bool = False


# parameter -> field of `Owned`; these and no others have elasticities
FIELDS = {
    "capex": "capex_usd", "life": "life_years", "interest": "interest", "network": "network_share",
    "residual": "residual_share", "maintenance": "maintenance_share", "availability": "availability",
    "utilisation": "utilisation", "electricity": "usd_per_kwh", "pue": "pue", "colo": "colo_usd_per_kw_month",
    "provisioned": "provisioned_w", "idle": "idle_w", "embodied": "embodied_g", "water_site": "wue_site",
    "water_grid": "wue_grid", "grid": "gco2e_per_kwh", "power": "power_w", "throughput": "tokens_per_s",
}  # fmt: skip
UNITS = {
    "capex": "USD", "life": "years", "interest": "per year", "network": "of capex", "residual": "of capex",
    "maintenance": "of capex per year", "availability": "of the year", "utilisation": "of usable hours",
    "electricity": "USD/kWh", "pue": "", "colo": "USD/(kW month)", "provisioned": "W", "idle": "W", "embodied": "gCO2e",
    "water_site": "L/kWh", "water_grid": "L/kWh", "grid": "gCO2e/kWh", "power": "W", "throughput": "tokens/s",
}  # fmt: skip
# parameter -> least, most that an owner can mean; capex and life must be above the least
_BOUNDS = {
    "capex": (0.0, 1e9), "life": (0.0, 50.0), "interest": (0.0, 1.0), "network": (0.0, 10.0), "residual": (0.0, 1.0),
    "maintenance": (0.0, 1.0), "availability": (LEAST_UTILISATION, 1.0), "utilisation": (LEAST_UTILISATION, 1.0),
    "electricity": (0.0, 100.0), "pue": (1.0, 10.0), "colo": (0.0, 1e6), "provisioned": (0.0, 1e7), "idle": (0.0, 1e6),
    "embodied": (0.0, 1e12), "water_site": (0.0, 1e3), "water_grid": (0.0, 1e3),
}  # fmt: skip
_ABOVE = ("capex", "life")


def check(owner: Owner) -> None:
    """Refuse what no owner can mean.

    Raises
    ------
    BadInput : with the name of the figure and what is allowed.
    """
    for field in fields(Owner):
        name, value = field.name, getattr(owner, field.name)
        least, most = _BOUNDS[name]
        if value is None or (least <= value <= most and not (name in _ABOVE and value == least)):
            continue
        allowed = f"above {least:g}, up to {most:,g}" if name in _ABOVE else f"{least:g} to {most:,g}"
        raise BadInput(f"{value!r} is out of range", field=name, allowed=f"{allowed} {UNITS[name]}".strip())


def figures(owner: Owner, accelerator: Accelerator, part: Device, region: str) -> list[Figure]:
    """Every input but the predicted ones.

    Raises
    ------
    BadInput : see `check`. UnknownName : no such region.
    """
    check(owner)
    found = {
        one.parameter: one for one in (*_priors(accelerator), *_facts(accelerator, part), *_grid(accelerator, region))
    }
    out = []
    for name in FIELDS:
        known = found.get(name, Figure(name, None, UNITS.get(name, ""), None, None, "no source is known"))
        own = getattr(owner, name, None)
        if own is not None:
            low, high = (
                (None, None) if known.low is None or known.high is None else (min(known.low, own), max(known.high, own))
            )
            known = Figure(name, own, UNITS[name], low, high, GIVEN, given=True)
        out.append(known)
    return [one for one in out if one.parameter not in ("power", "throughput")]


def _priors(accelerator: Accelerator) -> list[Figure]:
    """Figures that this project starts from, with the ranges to vary them over."""
    held = {name: PRIORS[field] for name, field in FIELDS.items() if field in PRIORS} | {"utilisation": UTILISATION}
    out = [
        Figure(name, one.value, UNITS[name], one.low, one.high, one.source) for name, one in held.items()
    ]  # fmt: skip
    cluster = accelerator.cluster
    if cluster is not None and cluster.pue is not None:
        out.append(Figure("pue", cluster.pue, "", None, None, f"cluster {cluster.id}: {cluster.source}"))
    return out


def _facts(accelerator: Accelerator, part: Device) -> list[Figure]:
    """What the catalogue says of the accelerator: power reserved and idle, carbon of making it."""
    out, rated = [], part.power.rated_w
    fact = next(
        (one for one in map(accelerator.facts.chosen, PROVISIONED) if one and isinstance(one.value, float)), None
    )
    if fact is not None:
        out.append(_of("provisioned", fact.value, fact.low, fact.high, f"{fact.condition}: {fact.source}"))
    elif rated is not None:
        text = "the accelerator's rated power, for want of a published figure: servers, network and cooling need more"
        out.append(_of("provisioned", rated, None, None, text))
    idle = accelerator.facts.chosen("power.idle")
    if idle is not None and isinstance(idle.value, float):
        out.append(_of("idle", idle.value, idle.low, idle.high, idle.source))
    elif rated is not None:
        share = table()["power"]["idle_share"]
        value, low, high = (share[end] * rated for end in ("value", "low", "high"))
        out.append(_of("idle", value, low, high, f"prior: {share['value']:g} of rated power"))
    grams, source = embodied_of(part.architectural_class, part.node)
    if grams is not None:
        out.append(_of("embodied", grams, None, None, source or ""))
    return out


def _of(name: str, value: object, low: float | None, high: float | None, source: str) -> Figure:
    return Figure(name, value if isinstance(value, float) else None, UNITS[name], low, high, source)


def _grid(accelerator: Accelerator, region: str) -> list[Figure]:
    """Carbon and water of electricity; tables that disagree about one region are the range."""
    row, cluster = grid_row(region), accelerator.cluster
    if cluster is not None and cluster.gco2e_per_kwh is not None:
        carbon = _of("grid", cluster.gco2e_per_kwh, None, None, f"cluster {cluster.id}: {cluster.source}")
    else:
        values = [one.value for one in grid_intensities() if one.code == row.code and one.value is not None]
        ends = (min(values), max(values)) if len(values) > 1 else (None, None)
        carbon = _of("grid", row.value, *ends, source_of(row))
    water = water_row(region)
    if water is None or water.value is None:
        return [carbon]
    return [carbon, _of("water_grid", water.value, None, None, f"{water.region}: {water.source}")]


def unknown(found: list[Figure]) -> list[str]:
    """Names of the inputs that nobody stated."""
    return [one.parameter for one in found if one.value is None or not math.isfinite(one.value)]
