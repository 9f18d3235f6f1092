"""What each parameter of a device buys: by the last percent, by a tenth more, by the watt and by the dollar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.decide.whatif.deployment import METRICS
from inferatlas.errors import BadInput
from inferatlas.predict.answer import metric_arrays
from inferatlas.predict.arrays import Floats
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.performance.parameters import (
    PARAMETERS,
    idle_fixed,
    log_derivatives,
    parameters_with_watts,
    scaled,
)
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.question import Asked

STEP = 0.10  # of each parameter, in `steps`
# parameter -> the share of the rating that it draws when it is busy
DRAWING = {"compute": "power_compute", "memory_bandwidth": "power_memory"}
LIFTED = 0.25  # of the shares of power: together they stay below the rating
# share of a price -> parameters that grow with it
BOUGHT = {
    "compute": ("compute",), "memory": ("memory_bandwidth", "memory_capacity"), "link": ("link_bandwidth",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effect:
    """One parameter's effect on one metric; None where the metric is unknown."""

    parameter: str
    metric: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Watts:
    """What a parameter draws at this load and what it buys, its own watts counted.

    ``watts``: of all accelerators together; ``share`` of their power. ``value``: elasticity of the metric where the
    rating grows with the parameter; ``per_watt``: the same per watt that the parameter draws (1/W).
    """

    parameter: str
    watts: float
    share: float
    metric: str
    value: float
    per_watt: float | None


@dataclass(frozen=True, slots=True)
class Dollars:
    """What a part of the price buys: relative change of the metric per relative change of that part, and of the price.

    ``per_price``: of the metric, where all of a higher price is spent on this part.
    """

    part: str
    share: float
    metric: str
    value: float
    per_price: float


@dataclass(frozen=True)
class Sensitivity:
    """Everything at one operating point; rows in the order of what a percent of each parameter buys in latency."""

    elasticities: list[Effect]
    steps: list[Effect]
    watts: list[Watts]
    dollars: list[Dollars]
    notes: list[str]


def sensitivity(one: Asked, money: Economics, shares: Mapping[str, float]) -> Sensitivity:
    """Elasticities, steps of `STEP`, watts and dollars of one deployment; ``shares`` as of `cost_shares`."""
    slopes = _with_energy(log_derivatives(one.ops, one.table, one.points))
    tokens = slopes["output_tokens_per_s"]
    priced = money.usd_per_hour is not None
    slopes["usd_per_million_tokens"] = {name: -tokens[name] if priced else math.nan for name in tokens}
    moves, notes = _parameters(one)
    # neither moves a prediction: both enter the price of tokens as factors (51)
    economic = {"price": 1.0, "utilisation": -1.0}
    tenth = steps(one, money, moves)
    moves = sorted(moves, key=lambda name: (-abs(slopes["latency_s"][name]), -_largest(slopes, name)))
    elasticities = [Effect(name, metric, _known(slopes[metric][name])) for name in moves for metric in METRICS]
    for name, power_of in economic.items() if priced else ():
        elasticities += [Effect(name, metric, power_of * (metric == "usd_per_million_tokens")) for metric in METRICS]
    watts, said = _watts(one)
    return Sensitivity(
        elasticities,
        [Effect(name, metric, tenth[name][metric]) for name in moves for metric in METRICS],
        watts,
        _dollars(slopes, shares, priced),
        [*notes, *said],
    )


def _parameters(one: Asked) -> tuple[list[str], list[str]]:
    """Parameters that this deployment has, and why one is left out."""
    names, notes = list(PARAMETERS), []
    if not one.layout.waits:
        names = [name for name in names if not name.startswith("tier_")]
    part = one.platform.device
    if part.power.rated_w is None:
        names = [name for name in names if name not in ("rated_power", "idle_power")]
    elif part.power.idle_w is None:
        names.remove("idle_power")
        notes.append(f"idle power of {part.id} is not published: it moves with the rating")
    return names, notes


def _largest(slopes: Mapping[str, Mapping[str, float]], name: str) -> float:
    return max(abs(np.nan_to_num(slopes[metric][name])) for metric in METRICS)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def steps(one: Asked, money: Economics, names: list[str]) -> dict[str, dict[str, float | None]]:
    """Relative change of every metric with a tenth more of each parameter, in the same layout: parameter -> metric.

    One pass over as many copies of the platform; what is bought in whole pieces (sequences that fit) shows here.
    """
    copies = 1 + len(names)
    table = one.table.rows(np.zeros(copies, dtype=np.int32))
    table = replace(
        table, platforms=one.table.platforms * copies,
        width=one.table.width.repeat(copies, axis=1), surplus=one.table.surplus.repeat(copies, axis=0),
        factor=one.table.factor.repeat(copies, axis=0),
    )  # fmt: skip
    factors = np.where(np.eye(copies, dtype=bool)[1:], 1.0 + STEP, 1.0)
    found = values(
        one, scaled(table, dict(zip(names, factors, strict=True))), one.points[np.zeros(copies, dtype=int)], money
    )
    with np.errstate(invalid="ignore"):
        changes = {metric: x[1:] / x[0] - 1.0 for metric, x in found.items()}
    return {name: {metric: _known(float(changes[metric][i])) for metric in METRICS} for i, name in enumerate(names)}


def values(one: Asked, table: PlatformTable, points: Points, money: Economics) -> dict[str, np.ndarray]:
    """`METRICS` and ``power_w`` of members of a table, each a platform of its own; NaN where one is infeasible."""
    points = replace(points, platform=np.arange(len(points), dtype=np.int32))
    predictions = predict(one.ops, table, points, checked=True)  # the layout is that of a deployment that was
    arrays = metric_arrays(predictions, points, table, [money] * len(points))
    found = {name: arrays[name].value for name in (*METRICS, "power_w") if name in arrays}
    with np.errstate(divide="ignore", invalid="ignore"):
        found["joules_per_output_token"] = 1.0 / arrays["tokens_per_joule"].value
    return found


def _watts(one: Asked) -> tuple[list[Watts], list[str]]:
    """The next watt: what compute and memory draw, and what more of them does at the same energy per FLOP and byte."""
    part, table = one.platform.device, idle_fixed(one.table)
    total = float(predict(one.ops, one.table, one.points).power_w[0])
    if not math.isfinite(total):
        return [], [f"no rated power of {part.id} is known: no answer by the watt"]
    directions = parameters_with_watts(table) | {"rating": {"rated_w": 1}, "floor": {"power_floor": 1}}
    slopes = _with_energy(log_derivatives(one.ops, table, one.points, directions))
    # the shares of (39) out of reach of the cap, where each moves what is drawn: those of the watts above idle
    lifted = {column: LIFTED * getattr(table, column) for column in ("power_floor", *DRAWING.values())}
    free = replace(table, **lifted, idle_w=0.0 * table.idle_w)
    shares = log_derivatives(one.ops, free, one.points, {name: {column: 1} for name, column in DRAWING.items()})
    rows = []
    for name in DRAWING:
        share = float(shares["power_w"][name][0]) * slopes["power_w"]["rating"]
        watts = share * total
        rows += [
            Watts(name, watts, share, metric, slopes[metric][name], slopes[metric][name] / watts if watts > 0 else None)
            for metric in METRICS
            if metric in slopes and math.isfinite(slopes[metric][name])
        ]
    notes = []
    if slopes["power_w"]["floor"] == 0.0:
        notes.append(f"{part.id} draws all that its rating allows; its watts are told apart by how busy its parts are")
    return sorted(rows, key=lambda row: -abs(slopes["latency_s"][row.parameter])), notes


def _with_energy(found: Mapping[str, Mapping[str, Floats]]) -> dict[str, dict[str, float]]:
    """Slopes of the first point as numbers, with those of joules per output token."""
    slopes = {metric: {name: float(x[0]) for name, x in row.items()} for metric, row in found.items()}
    power, tokens = slopes["power_w"], slopes["output_tokens_per_s"]
    return slopes | {"joules_per_output_token": {name: power[name] - tokens[name] for name in power}}


def _dollars(slopes: Mapping[str, Mapping[str, float]], shares: Mapping[str, float], priced: bool) -> list[Dollars]:
    """The next dollar, where the user says which share of the price grows with a part."""
    rows = []
    for part, share in shares.items():
        for metric in METRICS:
            value = sum(slopes[metric][name] for name in BOUGHT[part])
            value += share * (metric == "usd_per_million_tokens")
            if math.isfinite(value) and (priced or metric != "usd_per_million_tokens"):
                rows.append(Dollars(part, share, metric, value, value / share))
    latency = {row.part: abs(row.per_price) for row in rows if row.metric == "latency_s"}
    return sorted(rows, key=lambda row: -latency.get(row.part, 0.0))


def cost_shares(given: str | Mapping[str, float] | None) -> dict[str, float]:
    """Shares of a device's price by what grows with them, from ``compute=0.4,memory=0.35`` or a mapping.

    ``memory`` buys bandwidth and capacity together. Without any there is no answer by the dollar.

    Raises
    ------
    BadInput : an unknown part, a share outside 0 to 1, shares of more than 1 together.

    Examples
    --------
    >>> cost_shares("compute=0.4,memory=0.35")
    {'compute': 0.4, 'memory': 0.35}
    """
    field, allowed = "cost_share", f"{', '.join(BOUGHT)}, as compute=0.4,memory=0.35"
    pairs = [part.partition("=")[::2] for part in given.split(",")] if isinstance(given, str) else (given or {}).items()
    shares: dict[str, float] = {}
    for part, text in pairs:
        name = str(part).strip()
        if name not in BOUGHT or name in shares:
            raise BadInput(
                f"'{name}' is {'given twice' if name in shares else 'no part of a price'}", field=field, allowed=allowed
            )
        try:
            shares[name] = float(text)
        except (TypeError, ValueError):
            raise BadInput(f"'{text}' is not a share", field=field, allowed=allowed) from None
        if not 0 < shares[name] <= 1:
            raise BadInput(f"{name} {text} is not a share of the price", field=field, allowed="above 0 and up to 1")
    if sum(shares.values()) > 1 + 1e-9:
        raise BadInput(f"shares add up to {sum(shares.values()):g}", field=field, allowed="1 together, or less")
    return shares
