"""One scaling strategy at its best layout: everything that the table of strategies says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.decide.scaling import expert_choice, support
from inferatlas.decide.scaling.strategies import Candidates, Strategy
from inferatlas.predict.answer import Interval, Metric, metric_arrays
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import Routing
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.parallelism import pipeline_bubble, pipeline_utilisation
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions
from inferatlas.predict.performance.serving_question import chunks_of
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.traffic import sent_bytes
from inferatlas.predict.performance.variance import Variance, variance
from inferatlas.predict.question import reason_of
from inferatlas.predict.replicas import Layout, label_of, layout_notes
from inferatlas.workload import Workload

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
class Setting:
    """What all strategies of one question share."""

    ops: Operators
    platform: Platform
    table: PlatformTable
    load: Workload
    money: Economics
    routing: Routing
    count: int


def metrics_of(setting: Setting, points: Points, predictions: Predictions) -> dict[str, Metric]:
    """Every metric of points at the prices of a setting."""
    return metric_arrays(predictions, points, setting.table, [setting.money])


def placed(
    setting: Setting, strategy: Strategy, tried: Candidates, points: Points, predictions: Predictions, i: int | None
) -> Placed:
    """Strategy at layout i of those tried; None: there is no such layout."""
    if i is None:
        words = f"no layout of {setting.count} accelerators is {strategy.name}"
        why = {"code": "no_layout", "detail": words, "least_count": None}
        return Placed(strategy.name, {}, False, why, strategy.exchange, support.of(setting.platform, strategy, None))
    whole = {n: int(getattr(tried, n)[i]) for n in ("tp", "pp", "ep", "dp", "cp")}
    layout = Layout(**whole, offload=float(tried.offload[i]))
    held = support.of(setting.platform, strategy, layout)
    if not predictions.fits[i]:
        code = int(predictions.reason[i])
        why = reason_of(code, setting.ops, setting.table, setting.load, count=setting.count)
        return Placed(strategy.name, asdict(layout), False, why, strategy.exchange, held)
    return _fitting(setting, strategy, layout, points[i : i + 1], predictions[i : i + 1], held)


def _fitting(
    setting: Setting, strategy: Strategy, layout: Layout, one: Points, answer: Predictions, held: dict[str, Any]
) -> Placed:
    spread = variance(setting.ops, setting.table, one, answer, setting.routing)
    metrics = {name: metric.at() for name, metric in metrics_of(setting, one, answer).items()}
    row = setting.table.rows(one.platform)
    shard = shard_of(row, one)
    chunks = float(chunks_of(row, shard, one.input_tokens, bool(setting.table.resident[0]))[0])
    collective, share = _collective(setting, one, answer, chunks)
    budget = budget_of(setting.ops, setting.table, one, setting.routing.redundant)
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
        details=_details(setting, layout, chunks, batch),
        label=label_of(setting.platform, layout),
        notes=layout_notes(setting.platform, layout),
    )  # fmt: skip


def _shares(spread: Variance) -> dict[str, float]:
    """Shares of the causes in the variance of latency at fixed lengths."""
    kept = {cause: float(part[0]) for cause, part in spread.latency.items() if cause != "lengths"}
    total = sum(kept.values())
    return {cause: part / total if total > 0 else 0.0 for cause, part in kept.items()}


def _collective(setting: Setting, point: Points, answer: Predictions, chunks: float) -> tuple[str | None, float]:
    """The exchange that a request spends most time on, and its share of the latency."""
    spent: dict[str, float] = {}
    steps = {"prefill": chunks, "decode": max(setting.load.output_tokens - 1.0, 0.0)}
    for row in breakdown(setting.ops, setting.table, point, answer, setting.routing):
        spent[row.operator] = spent.get(row.operator, 0.0) + row.network_s * steps[row.phase]
    name = max(spent, key=lambda key: spent[key], default=None)
    if name is None or spent[name] <= 0:
        return None, 0.0
    return name, min(spent[name] / float(answer.latency_s[0]), 1.0)


def _details(setting: Setting, layout: Layout, chunks: float, batch: float) -> dict[str, float | None]:
    """What is peculiar to pipelines and to experts; ``chunks``: steps that a prompt takes."""
    out: dict[str, float | None] = {}
    if layout.pp > 1 and not setting.table.resident[0]:
        out["micro_batches_prefill"] = chunks
        out["bubble"] = float(pipeline_bubble(layout.pp, chunks))
        out[f"bubble_interleaved_{INTERLEAVED}"] = float(pipeline_bubble(layout.pp, INTERLEAVED * chunks))
        out["decode_utilisation"] = float(pipeline_utilisation(layout.pp, batch * layout.pp))
    if layout.ep > 1:
        dies = setting.platform.device.engine_devices
        out |= expert_choice.imbalance(setting.ops, layout, batch, setting.routing, dies=dies)
    return out
