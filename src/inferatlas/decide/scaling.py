"""Scaling strategies side by side: one model on so many accelerators, spread in every way there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide import expert_choice, support
from inferatlas.decide.fleet import native_format
from inferatlas.decide.rank import OBJECTIVES
from inferatlas.decide.strategies import STRATEGIES, Candidates, Strategy, candidates
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.answer import Interval, Metric, metric_arrays
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.parallelism import pipeline_bubble, pipeline_utilisation
from inferatlas.predict.performance.platform import Platform, PlatformTable, platform_table
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions, make_points
from inferatlas.predict.performance.predictor import memory_budget, predict
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.traffic import sent_bytes
from inferatlas.predict.performance.variance import Variance, variance
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import check_context
from inferatlas.predict.replicas import MOST_ACCELERATORS, Layout, label_of, layout_notes
from inferatlas.workload import Workload, make_workload

PER_ACCELERATOR = 8  # requests in flight per accelerator, where no load is given
ON_CHIP = 64  # the same for a whole row of chips that holds the model in on-chip memory
LENGTHS = (1024, 256)  # of a request, where none are given: the study's prompt, and as in the regimes
INTERLEAVED = 2  # virtual stages per device that the table compares with one


@dataclass(frozen=True)
class Placed:
    """One strategy at its best layout. What does not fit has a reason and nothing else."""

    name: str
    layout: dict[str, float]
    fits: bool
    reason: dict[str, Any] | None
    exchange: str
    support: dict[str, Any]
    metrics: dict[str, Interval | None] = field(default_factory=dict)
    memory_bytes: dict[str, float] = field(default_factory=dict)  # per device
    params_per_flop: float | None = None
    latency_cov: float | None = None
    gap_cov: float | None = None
    variance_shares: dict[str, float] = field(default_factory=dict)
    bound: str | None = None
    bound_collective: str | None = None
    collective_share: float | None = None  # of a request's latency
    sent_bytes_per_s: float | None = None  # by one device, in decode
    details: dict[str, float | None] = field(default_factory=dict)
    label: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scaling:
    """Every strategy, best first; what does not fit last."""

    inputs: dict[str, Any]
    strategies: list[Placed]
    expert_choice: list[dict[str, Any]]
    searched: int
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas scale --format json``."""
        return asdict(self) | {"interval": 0.8}


@dataclass(frozen=True)
class _Setting:
    """What all strategies of one question share."""

    ops: Operators
    platform: Platform
    table: PlatformTable
    load: Workload
    money: Economics
    routing: Routing
    count: int


def scale(
    model: str, accelerator: str, *, count: int, workload: str | None = None, isl: int | None = None,
    osl: int | None = None, concurrency: int | None = None, request_rate: float | None = None,
    objective: str = "throughput", engine: str | None = None, weights: str | None = None,
    kv_cache: str | None = None, routing: Routing | None = None, price: float | None = None,
) -> Scaling:  # fmt: skip
    """Compare tensor, pipeline, expert, data and context parallelism, offload and their hybrids on ``count`` devices.

    Parameters
    ----------
    model, accelerator : catalogue names or paths. count : accelerators in all, 1 to 1,024.
    workload, isl, osl, concurrency, request_rate : traffic; without any 1,024/256 tokens and 8 requests in flight
        per accelerator (64 on a row of chips with the model in on-chip memory).
    objective : what is best, one of `rank.OBJECTIVES`. routing : popularity and placement of experts.

    Raises
    ------
    BadInput, UnknownName, NotModelled, NoFeasibleAnswer (engine or format). Strategies that do not fit are answers.

    Examples
    --------
    >>> found = scale("llama-3.3-70b", "h100", count=8)
    >>> found.strategies[0].name, {s.name: s.fits for s in found.strategies}["data"]
    ('tensor', False)
    """
    if objective not in OBJECTIVES:
        raise UnknownName("objective", objective, OBJECTIVES)
    if not 1 <= count <= MOST_ACCELERATORS or count != int(count):
        raise BadInput(f"{count} accelerators", field="count", allowed=f"1 to {MOST_ACCELERATORS}")
    config, known = load_model(model), load_accelerator(accelerator)
    if known.cluster is not None and count > known.cluster.count:
        raise BadInput(
            f"{count} accelerators are more than cluster {known.cluster.id} has",
            field="count", allowed=f"up to {known.cluster.count}",
        )  # fmt: skip
    light = ON_CHIP if is_resident(device(known)) else PER_ACCELERATOR * count
    load = _traffic(workload, isl, osl, concurrency, request_rate, light)
    check_context(config, load)
    ops = operators(config)
    weights = weights or native_format(config, device(known))[0]
    platform = bind(known, engine, weights, kv_cache=kv_cache, model=config.id)
    part = platform.device
    money = economics(part.id, part.architectural_class, part.node, price=price, cluster=known.cluster)
    setting = _Setting(
        ops, platform, platform_table([platform], is_moe=bool(ops.experts)), load, money, routing or Routing(), count
    )
    tried = candidates(ops, part, count)
    points = _points(setting, tried)
    predictions = predict(ops, setting.table, points, routing=setting.routing)
    goal, smaller = OBJECTIVES[objective]
    value = _metrics(setting, points, predictions)[goal].value * (1.0 if smaller else -1.0)
    chosen = {s.name: _best(s, tried, predictions, value) for s in STRATEGIES if _asked(s, ops)}
    placed = [_placed(setting, s, tried, points, predictions, chosen[s.name]) for s in STRATEGIES if s.name in chosen]
    order = {s.name: (not p.fits, _key(value, chosen[s.name]), k) for k, (s, p) in enumerate(_pairs(placed))}
    placed.sort(key=lambda one: order[one.name])
    return Scaling(
        inputs={
            "model": config.id, "accelerator": part.id, "count": count, "engine": platform.engine.name,
            "weights": platform.precision.weights, "kv_cache": platform.precision.kv_cache,
            "workload": asdict(load), "objective": objective, "routing": asdict(setting.routing),
            "domain": part.domain,
        },
        strategies=placed,
        expert_choice=expert_choice.table(ops, platform, setting.table) if ops.experts else [],
        searched=len(tried),
        assumptions=_assumptions(setting, placed),
    )  # fmt: skip


def _pairs(placed: Sequence[Placed]) -> list[tuple[Strategy, Placed]]:
    named = {s.name: s for s in STRATEGIES}
    return [(named[one.name], one) for one in placed]


def _traffic(
    workload: str | None, isl: int | None, osl: int | None, concurrency: int | None, rate: float | None, flying: int
) -> Workload:
    if workload is None and isl is None and osl is None:
        isl, osl = LENGTHS
    if concurrency is None and rate is None:
        concurrency = flying
    return make_workload(workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=rate)


def _asked(strategy: Strategy, ops: Operators) -> bool:
    """Expert parallelism is no question of a dense model."""
    return bool(ops.experts) or "expert" not in strategy.name


def _points(setting: _Setting, tried: Candidates) -> Points:
    load = setting.load
    return make_points(
        0, tp=tried.tp, pp=tried.pp, ep=tried.ep, dp=tried.dp, cp=tried.cp, offload=tried.offload,
        concurrency=np.nan if load.concurrency is None else load.concurrency,
        request_rate=np.nan if load.request_rate is None else load.request_rate,
        input_tokens=load.input_tokens, output_tokens=load.output_tokens, input_cv=load.input_cv,
        output_cv=load.output_cv,
    )  # fmt: skip


def _metrics(setting: _Setting, points: Points, predictions: Predictions) -> dict[str, Metric]:
    load = setting.load
    return metric_arrays(
        predictions, [setting.money], points.platform, points.accelerators, load.total_tokens / load.output_tokens,
        load.request_rate is not None, setting.table.rated_w,
    )  # fmt: skip


def _best(strategy: Strategy, tried: Candidates, predictions: Predictions, value: np.ndarray) -> int | None:
    """The best layout of a strategy; if none fits, one that says why; None if there is none at all."""
    mine = np.flatnonzero(strategy.belongs(tried))
    if not mine.size:
        return None
    fits = mine[predictions.fits[mine]]
    if fits.size:
        return int(fits[np.argmin(np.nan_to_num(value[fits], nan=np.inf))])
    # the reason that is closest to fitting: memory before anything that is no layout at all, most offloaded first
    nearest = min(mine, key=lambda i: (_DISTANCE.get(int(predictions.reason[i]), 2), -tried.offload[i], i))
    return int(nearest)


_DISTANCE = {reasons.KV_CACHE: 0, reasons.RATE: 0, reasons.WEIGHTS: 1}


def _key(value: np.ndarray, i: int | None) -> float:
    return float("inf") if i is None or not np.isfinite(value[i]) else float(value[i])


def _placed(
    setting: _Setting, strategy: Strategy, tried: Candidates, points: Points, predictions: Predictions, i: int | None
) -> Placed:
    if i is None:
        why = {"code": "no_layout", "detail": _no_layout(setting, strategy), "least_count": None}
        return Placed(strategy.name, {}, False, why, strategy.exchange, support.of(setting.platform, strategy, None))
    whole = {n: int(getattr(tried, n)[i]) for n in ("tp", "pp", "ep", "dp", "cp")}
    layout = Layout(**whole, offload=float(tried.offload[i]))
    held = support.of(setting.platform, strategy, layout)
    if not predictions.fits[i]:
        code = int(predictions.reason[i])
        why = {"code": reasons.CODES[code], "detail": reasons.DETAILS[code], "least_count": None}
        return Placed(strategy.name, asdict(layout), False, why, strategy.exchange, held)
    one, answer = points[np.array([i])], _taken(predictions, i)
    spread = variance(setting.ops, setting.table, one, answer, setting.routing)
    collective, share = _collective(setting, one, answer)
    metrics = {name: metric.at() for name, metric in _metrics(setting, one, answer).items()}
    row = setting.table.rows(one.platform)
    shard = shard_of(row, one)
    budget = memory_budget(setting.ops, row, shard, one, bool(setting.table.resident[0]), setting.routing.redundant)
    batch = float(answer.batch[0]) / (1.0 if setting.table.resident[0] else layout.pp)
    # in the time between two tokens all micro-batches pass a device
    passing = np.maximum(answer.batch.astype(np.float64), 1.0)
    sent = sum(float(b[0]) for b in sent_bytes(setting.ops, shard, passing).values())
    return Placed(
        strategy.name, asdict(layout), True, None, strategy.exchange, held,
        metrics=metrics,
        memory_bytes={
            "weights": float(budget.weights[0]), "kv": float(budget.kv_per_sequence[0] * answer.batch[0]),
            "usable": float(budget.usable[0]),
        },
        params_per_flop=expert_choice.params_per_flop(
            setting.ops, layout, max(batch, 1.0), setting.routing, dies=setting.platform.device.engine_devices
        ),
        latency_cov=float(spread.cov()[0]),
        gap_cov=float(spread.cov("gap")[0]),
        variance_shares=_shares(spread),
        bound=BOUNDS[int(answer.bound[0])],
        bound_collective=collective,
        collective_share=share,
        sent_bytes_per_s=sent / float(answer.itl_s[0]) if np.isfinite(answer.itl_s[0]) else None,
        details=_details(setting, layout, one, batch),
        label=label_of(setting.platform, layout),
        notes=layout_notes(setting.platform, layout),
    )  # fmt: skip


def _taken(predictions: Predictions, i: int) -> Predictions:
    from dataclasses import fields

    return Predictions(**{f.name: getattr(predictions, f.name)[i : i + 1] for f in fields(Predictions)})


def _shares(spread: Variance) -> dict[str, float]:
    """Shares of the causes in the variance of latency at fixed lengths."""
    kept = {cause: float(part[0]) for cause, part in spread.latency.items() if cause != "lengths"}
    total = sum(kept.values())
    return {cause: part / total if total > 0 else 0.0 for cause, part in kept.items()}


def _collective(setting: _Setting, point: Points, answer: Predictions) -> tuple[str | None, float]:
    """The exchange that a request spends most time on, and its share of the latency."""
    spent: dict[str, float] = {}
    steps = {"prefill": _chunks(setting, point), "decode": max(setting.load.output_tokens - 1.0, 0.0)}
    for row in breakdown(setting.ops, setting.table, point, answer):
        spent[row.operator] = spent.get(row.operator, 0.0) + row.network_s * steps[row.phase]
    name = max(spent, key=lambda key: spent[key], default=None)
    if name is None or spent[name] <= 0:
        return None, 0.0
    return name, min(spent[name] / float(answer.latency_s[0]), 1.0)


def _chunks(setting: _Setting, point: Points) -> float:
    """Steps that a request's own prompt takes; a fraction where the last is short."""
    return max(float(point.input_tokens[0]) / float(setting.table.step_tokens[0]), 1.0)


def _details(setting: _Setting, layout: Layout, point: Points, batch: float) -> dict[str, float | None]:
    """What is peculiar to pipelines and to experts."""
    out: dict[str, float | None] = {}
    if layout.pp > 1 and not setting.table.resident[0]:
        micro = max(_chunks(setting, point) / layout.cp, 1.0)
        out["micro_batches_prefill"] = micro
        out["bubble"] = float(pipeline_bubble(layout.pp, micro))
        out[f"bubble_interleaved_{INTERLEAVED}"] = float(pipeline_bubble(layout.pp, INTERLEAVED * micro))
        out["decode_utilisation"] = float(pipeline_utilisation(layout.pp, batch * layout.pp))
    if layout.ep > 1:
        dies = setting.platform.device.engine_devices
        out |= expert_choice.imbalance(setting.ops, layout, batch, setting.routing, dies=dies)
    return out


def _no_layout(setting: _Setting, strategy: Strategy) -> str:
    return f"no layout of {setting.count} accelerators is {strategy.name}"


def _assumptions(setting: _Setting, placed: Sequence[Placed]) -> list[str]:
    load, routing = setting.load, setting.routing
    flying, rate = load.concurrency, load.request_rate
    words = f"{flying:,} requests in flight" if flying is not None else f"{rate:g} requests/s"
    calibrated = [one.name for one in placed if one.label == "predicted"]
    other = [one.name for one in placed if one.label == "extrapolated"]
    out = [
        f"{load.input_tokens:,.0f} input and {load.output_tokens:,.0f} output tokens, {words} over the deployment",
        f"{setting.platform.precision.weights} weights, {setting.platform.engine.name}; the pure strategies use one "
        "kind of parallelism over all accelerators, the hybrids the best layout of their kind",
        "experts are chosen uniformly" if not routing.exponent
        else f"experts are chosen by a Zipf law of exponent {routing.exponent:g}, {routing.placement} placement, "
        f"{routing.redundant} spare copies a layer",
        "variation of latency is at fixed lengths of requests; theory, not calibrated by measurements of spread",
    ]  # fmt: skip
    out.append(f"calibrated (predicted): {', '.join(calibrated) or 'none'}; extrapolated: {', '.join(other) or 'none'}")
    if setting.platform.device.offload is not None:
        out.append("offload: weights are prefetched a layer ahead; the slower memory is taken to be large enough")
    return out
