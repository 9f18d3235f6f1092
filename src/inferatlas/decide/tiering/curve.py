"""Capacity against slowdown: what memories behind the main one hold, and what reaching for it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from inferatlas.decide.tiering.conditions import conditions, restoring
from inferatlas.decide.tiering.contexts import longest_contexts
from inferatlas.decide.tiering.grown import Way, grown, ways
from inferatlas.decide.tiering.setting import Setting, setting_of
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.memories import tier_energy
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import Z80, sigma, table
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.stepping import waiting_cache
from inferatlas.predict.performance.waiting import Waiting, waiting_of
from inferatlas.predict.placing import place
from inferatlas.predict.replicas import Layout, points_of

SCALES = (1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
SLOWDOWN = 1.3  # Sharma 2025, VIII: "15 to 30 % performance degradation"


@dataclass(frozen=True)
class TierPoint:
    """One size of model: what it needs, how much slower it is than in main memory alone, and where it lies.

    ``capacity_bytes`` of the whole deployment, main memory included. ``slowdown``: mean latency of a request over that
    of the same model if main memory held all of it; low, value, high at 80 %. ``placement``: bytes by memory, shares in
    slower memory, and energy of the stream. ``max_context_tokens`` of one request of the model that was asked about,
    with as much capacity; ``context_slowdown`` of that. ``hiding_batch``: sequences whose arithmetic hides the stream
    (28).
    """

    capacity_bytes: float
    model_scale: float
    parameters: int
    max_context_tokens: int
    slowdown: dict[str, float]
    context_slowdown: float | None
    latency_s: float
    output_tokens_per_s: float
    hiding_batch: float | None
    placement: dict[str, Any]


@dataclass(frozen=True)
class Tiers:
    """The curve, its knee, and what it depends on.

    ``knee``: the largest model within ``slowdown`` (the last point before it is exceeded). ``conditions``: by requests
    in flight, the largest scale within it, and the rate of slower memory that a model five times as large needs.
    """

    inputs: dict[str, Any]
    points: list[TierPoint]
    knee: dict[str, Any] | None
    conditions: list[dict[str, Any]]
    restore: list[dict[str, Any]]
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas tiers --format json``."""
        return asdict(self)


def tiers(
    model: str, accelerator: str, *, count: int | None = None, tp: int | None = None, pp: int | None = None,
    ep: int | None = None, dp: int | None = None, tier: str | Sequence[str] = (), grow: Way | None = None,
    slowdown: float = SLOWDOWN, workload: str | None = None, isl: int | None = None, osl: int | None = None,
    concurrency: int | None = None, engine: str | None = None, weights: str | None = None,
    kv_cache: str | None = None, kv_compression: float | None = None, routing: Routing = UNIFORM,
) -> Tiers:  # fmt: skip
    """How much larger a model or a context memory tiers hold, and at which slowdown.

    Parameters
    ----------
    model, accelerator : names or files. count, tp, pp, ep, dp : the deployment; what is left open is chosen.
    tier : memories of each accelerator (`techniques.parse_tier`); none: its host's and an NVMe drive (`setting.usual`).
    grow : a larger model has more ``layers`` or more ``experts`` a layer; a mixture of experts grows by its experts.
    slowdown : the most that a larger model may cost, for the knee and the conditions.
    workload, isl, osl, concurrency : the load; 1,024 and 256 tokens, 16 requests in flight unless given.
    engine, weights, kv_cache, kv_compression : as `question.ask`. routing : popularity of experts.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : not even the model asked about fits.

    Examples
    --------
    >>> found = tiers("llama-3.3-70b", "nvidia-h100-sxm", count=2, tier=["cxl:1TiB@64GB/s"])
    >>> found.points[0].model_scale, found.points[-1].slowdown["value"] > found.points[0].slowdown["value"] >= 1
    (1.0, True)
    """
    if not 1 < slowdown < math.inf:
        raise BadInput(f"{slowdown!r} is no slowdown", field="slowdown", allowed="above 1, as in 1.3")
    setting = setting_of(
        model, accelerator, count=count, tp=tp, pp=pp, ep=ep, dp=dp, tier=tier, workload=workload, isl=isl, osl=osl,
        concurrency=concurrency, engine=engine, weights=weights, kv_cache=kv_cache, kv_compression=kv_compression,
        routing=routing,
    )  # fmt: skip
    way = grow or ways(setting.model)[0]
    if way not in ways(setting.model):
        raise BadInput(f"{setting.model.id} has no experts to grow", field="grow", allowed="layers")
    points = [point for scale in SCALES if (point := _point(setting, scale, way)) is not None]
    if not points:
        raise NoFeasibleAnswer(
            f"{setting.model.id} does not fit on {setting.layout.count} x {setting.platform.device.id} and these tiers",
            code="tiers_full", field="tier",
        )  # fmt: skip
    return Tiers(
        inputs=setting.inputs(way, slowdown),
        points=points,
        knee=_knee(points, slowdown),
        conditions=conditions(setting, way, slowdown, SCALES),
        restore=restoring(setting),
        assumptions=[*setting.assumptions(way), *_left_out(points)],
    )


def _point(setting: Setting, scale: float, way: Way) -> TierPoint | None:
    """A model of this scale; None where not even all tiers hold it."""
    config = grown(setting.model, scale, way)
    ops, layout = operators(replace(config, context_length=0)), setting.layout
    there, routing = points_of(setting.load, [layout]), setting.routing
    placed = place(ops, setting.table, setting.load, [layout], routing=routing)
    if placed is None:
        return None
    ideal = predict(ops, setting.boundless, there, routing=routing)
    width = np.hypot(_tier_sigma(), float(ideal.latency_sigma[0]))
    rates = np.exp(np.array([1.0, 0.0, -1.0]) * Z80 * width)
    several = setting.at_rates(setting.table.tier_rate * rates[:, None])
    found = predict(ops, several, _repeated(setting, placed, 3), routing=routing)
    slow = np.maximum(found.latency_s / ideal.latency_s[0], 1.0)
    held = _held(setting, ops, placed)
    contexts = longest_contexts(setting, held["slower_bytes"])
    return TierPoint(
        capacity_bytes=held["capacity_bytes"],
        model_scale=scale,
        parameters=parameters(config).total,
        max_context_tokens=contexts.tokens,
        slowdown={"low": float(slow[0]), "value": float(slow[1]), "high": float(slow[2])},
        context_slowdown=contexts.slowdown,
        latency_s=float(found.latency_s[1]),
        output_tokens_per_s=float(found.output_tokens_per_s[1]),
        hiding_batch=_hiding_batch(setting, ops, placed),
        placement=held["placement"] | {"tier_joules_per_token": _stream_energy(setting, ops, placed, found)},
    )


def _tier_sigma() -> float:
    """Log standard deviation of the rate that slower memory reaches."""
    return sigma(table()["offload"]["efficiency"])


def _repeated(setting: Setting, layout: Layout, times: int) -> Points:
    return replace(points_of(setting.load, [layout] * times), platform=np.arange(times, dtype=np.int32))


def _held(setting: Setting, ops: Operators, layout: Layout) -> dict[str, Any]:
    """Bytes of the whole deployment by memory: of the slower ones, what waits there of weights and cache."""
    points = points_of(setting.load, [layout])
    row = setting.table.rows(points.platform)
    shard = shard_of(row, points)
    budget = budget_of(ops, setting.table, points, setting.routing.redundant)
    cache = waiting_cache(shard, points, budget) + np.zeros(1)  # of one engine device, for the requests in flight
    waiting = waiting_of(ops, row, shard, cache, setting.routing)
    devices = layout.count * setting.platform.device.engine_devices
    main = float(setting.table.capacity[0]) * devices
    by_tier = dict.fromkeys((tier.name for tier in setting.platform.device.behind), 0.0)
    experts = 0.0
    if waiting is not None:
        per_device = waiting.held[0] / setting.turns
        per_device = per_device + cache[0] * waiting.hot_held[0]
        by_tier = {name: float(size) * devices for name, size in zip(by_tier, per_device, strict=True)}
        experts = float(waiting.share[0])
    slower = sum(by_tier.values())
    return {
        "capacity_bytes": main + slower,
        "slower_bytes": slower,
        "placement": {
            "main_bytes": main, "tiers_bytes": by_tier, "weights_share": layout.offload,
            "cache_share": layout.kv_offload, "experts_share": experts,
        },
    }  # fmt: skip


def _hiding_batch(setting: Setting, ops: Operators, layout: Layout) -> float | None:
    """Equation (28): ``W_off P/(2 N_act W_link)`` of one replica, all tiers streaming what they hold; weights alone."""
    waiting = _stream(setting, ops, layout)
    if waiting is None or not layout.offload:
        return None
    token = 2.0 * parameters(ops.model).active_without_embedding * float(setting.table.flop_s[0])
    return float(waiting.everything(np.zeros(1))[0]) / (token / setting.streaming_devices)


def _stream(setting: Setting, ops: Operators, layout: Layout) -> Waiting | None:
    points = points_of(setting.load, [layout])
    row = setting.table.rows(points.platform)
    return waiting_of(ops, row, shard_of(row, points), routing=setting.routing)


def _stream_energy(setting: Setting, ops: Operators, layout: Layout, found: Predictions) -> float | None:
    """Joules per output token that the tiers spend on the stream, at most: as if all that waits came every step."""
    waiting = _stream(setting, ops, layout)
    if waiting is None:
        return None
    per_byte = np.array([tier_energy(tier.name) for tier in setting.platform.device.behind])
    sequences = float(found.batch[1]) / (1.0 if setting.table.resident[0] else layout.pp)
    return float((waiting.held[0] * per_byte).sum() * setting.streaming_devices / max(sequences, 1.0))


def _left_out(points: Sequence[TierPoint]) -> list[str]:
    """Sizes that were tried and do not fit."""
    held = {point.model_scale for point in points}
    out = [f"{scale:g}" for scale in SCALES if scale not in held]
    return [f"main memory and tiers do not hold {', '.join(out)} times the model"] if out else []


def _knee(points: Sequence[TierPoint], slowdown: float) -> dict[str, Any] | None:
    """The last point within the slowdown; None where the first is beyond it."""
    within = [point for point in points if point.slowdown["value"] <= slowdown]
    if not within:
        return None
    last = within[-1]
    return {
        "capacity_bytes": last.capacity_bytes, "model_scale": last.model_scale,
        "max_context_tokens": last.max_context_tokens, "slowdown": last.slowdown, "within": slowdown,
        "more": len(within) < len(points),
    }  # fmt: skip
