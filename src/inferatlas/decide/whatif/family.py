"""A parametric family of devices: ranges of facts, every member in one pass, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.facts import FactSheet
from inferatlas.decide.whatif.axes import Axis
from inferatlas.decide.whatif.deployment import METRICS
from inferatlas.decide.whatif.elasticities import values
from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.performance.collectives import faster
from inferatlas.predict.performance.parameters import energy_kept
from inferatlas.predict.performance.platform import Platform, with_units
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import Asked

# what a front may be asked for by -> metric
OBJECTIVES = {
    "latency": "latency_s", "ttft": "ttft_s", "itl": "itl_s", "throughput": "output_tokens_per_s",
    "energy": "joules_per_output_token", "cost": "usd_per_million_tokens", "power": "power_w",
}  # fmt: skip
MISSING = {
    "cost": "no price is known: give a price",
    "energy": "no rated power is known",
    "power": "no rated power is known",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One device of the family: its ``parameters`` by axis in SI (a multiple where the axis has no unit), its metrics.

    ``front``: no other member is better by one of the two objectives and at least as good by the other.
    """

    parameters: dict[str, float]
    fits: bool
    metrics: dict[str, float | None]
    front: bool


@dataclass(frozen=True)
class Family:
    """Every member, the last axis moving fastest; ``label`` is *extrapolated*: none of them was measured."""

    axes: list[Axis]
    by: tuple[str, str]
    metrics: tuple[str, str]
    members: list[Member]
    label: str
    notes: list[str]


def family(one: Asked, money: Economics, axes: Sequence[Axis], by: Sequence[str]) -> Family:
    """Predict every member in the layout of the device itself, and mark the front.

    Energy per byte of memory and per FLOP stays as it is, so a member with more of either has a higher rating; where
    power is varied the rating is what that says.

    Raises
    ------
    BadInput : an objective about which nothing is known.
    """
    grid = [x.ravel() for x in np.meshgrid(*(axis.factors for axis in axes), indexing="ij")]
    table = _table(one, axes, grid)
    found = values(one, table, one.points[np.zeros(len(grid[0]), dtype=int)], money)
    first, second = (OBJECTIVES[name] for name in by)
    for name in by:
        if name in MISSING and np.isnan(found[OBJECTIVES[name]]).all() and np.isfinite(found["latency_s"]).any():
            raise BadInput(MISSING[name], field="by", allowed=", ".join(x for x in OBJECTIVES if x != name))
    front = on_front(*(found[m] if METRICS.get(m, True) else -found[m] for m in (first, second)))
    fits = np.isfinite(found["latency_s"])
    shown = [axis.value_of(x) for axis, x in zip(axes, grid, strict=True)]
    members = [
        Member(
            {axis.field: float(x[i]) for axis, x in zip(axes, shown, strict=True)}, bool(fits[i]),
            {metric: float(x[i]) if math.isfinite(x[i]) else None for metric, x in found.items()}, bool(front[i]),
        )
        for i in range(len(fits))
    ]  # fmt: skip
    return Family(list(axes), (by[0], by[1]), (first, second), members, "extrapolated", _notes(one, axes))


def _notes(one: Asked, axes: Sequence[Axis]) -> list[str]:
    words = [
        "members have the coefficients (efficiencies, overheads) of the device itself and its layout; none was measured"
    ]
    moved = {axis.parameter for axis in axes}
    if (
        one.platform.device.power.rated_w is not None
        and "power" not in moved
        and moved & {"compute", "memory_bandwidth"}
    ):
        words.append(
            "energy per FLOP and per byte of memory is kept: a member's rating grows with what it computes and moves "
            "(vary power to say otherwise)"
        )
    return words


def on_front(x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points of two objectives, smaller is better, no other point beats; NaN is never on the front.

    Examples
    --------
    >>> on_front(np.array([1.0, 2.0, 3.0, 2.0]), np.array([3.0, 1.0, 2.0, 1.0])).tolist()
    [True, True, False, True]
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    ordered = known[np.lexsort((y[known], x[known]))]
    best = np.minimum.accumulate(y[ordered]) if ordered.size else y[ordered]
    first = np.searchsorted(x[ordered], x[ordered], side="left")  # where points of the same x begin
    before = np.where(first > 0, best[np.maximum(first - 1, 0)], np.inf)  # the best of those with a smaller x
    out = np.zeros(len(x), dtype=bool)
    out[ordered] = (y[ordered] < before) & (y[ordered] == best[first])
    return out


def _table(one: Asked, axes: Sequence[Axis], grid: Sequence[Floats]) -> PlatformTable:
    """The members as a platform table, each built from facts as a device of the catalogue is."""
    bases = {factor: _sized(one, factor) for factor in _factors(axes, "memory_capacity")}
    links: dict[float, Any] = {x: faster(one.platform.network, x) for x in _factors(axes, "link_bandwidth")}
    members = [_member(bases, links, axes, [float(x[i]) for x in grid]) for i in range(len(grid[0]))]
    near = one.platform.coefficients.closest
    # what was measured of the device itself says nothing sure of its relatives
    level = near.level if near.level in ("class", "prior") else "class+engine"
    unseen = near._replace(level=level, points=0, covered=False)
    table = platform_table(members, is_moe=bool(one.ops.experts), closest=[unseen] * len(members))
    return _powered(table, axes, grid, one)


def _factors(axes: Sequence[Axis], parameter: str) -> list[float]:
    axis = next((axis for axis in axes if axis.parameter == parameter), None)
    return [1.0] if axis is None else axis.factors.tolist()


def _sized(one: Asked, factor: float) -> Platform:
    """The platform with another memory: engines choose some of their defaults by its size."""
    if factor == 1.0:
        return one.platform
    field = f"mem.{one.platform.device.memory.name}.capacity"
    facts = FactSheet(
        replace(fact, value=fact.value * factor) if fact.field == field and fact.used and isinstance(fact.value, float)
        else fact
        for fact in one.accelerator.facts
    )  # fmt: skip
    precision = one.platform.precision
    return bind(
        replace(one.accelerator, facts=facts), one.platform.engine.name, precision.weights, precision.activations,
        precision.kv_cache, model=one.model.id,
    )  # fmt: skip


def _member(
    bases: Mapping[float, Platform], links: Mapping[float, Any], axes: Sequence[Axis], factors: Sequence[float]
) -> Platform:
    by = {axis.parameter: (axis, factor) for axis, factor in zip(axes, factors, strict=True)}
    base = bases[by["memory_capacity"][1] if "memory_capacity" in by else 1.0]
    part = base.device
    changed: dict[str, Any] = {}
    if "compute" in by:
        axis, factor = by["compute"]
        changed["peaks"] = {
            x: rate * (factor if axis.rates is None or x in axis.rates else 1.0) for x, rate in part.peaks.items()
        }
    if "memory_bandwidth" in by:
        changed["memory"] = replace(
            part.memory, bytes_per_s=(part.memory.bytes_per_s or math.nan) * by["memory_bandwidth"][1]
        )
    if "power" in by:
        changed["power"] = replace(part.power, rated_w=(part.power.rated_w or math.nan) * by["power"][1])
    network = links[by["link_bandwidth"][1]] if "link_bandwidth" in by else base.network
    member = replace(base, device=replace(part, **changed), network=network)
    return with_units(member, {name: factor for name, (_, factor) in by.items()})


def _powered(table: PlatformTable, axes: Sequence[Axis], grid: Sequence[Floats], one: Asked) -> PlatformTable:
    """Ratings of members with more compute or memory bandwidth, unless power is varied itself."""
    moved = {axis.parameter: factor for axis, factor in zip(axes, grid, strict=True)}
    if "power" in moved or not moved.keys() & {"compute", "memory_bandwidth"}:
        return table
    compute = next((axis for axis in axes if axis.parameter == "compute"), None)
    draws = compute is not None and (compute.rates is None or one.platform.compute_rate in compute.rates)
    return energy_kept(table, moved["compute"] if draws else 1.0, moved.get("memory_bandwidth", 1.0))
