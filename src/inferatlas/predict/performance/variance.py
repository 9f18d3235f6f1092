"""How much latency varies at a given load, and what share each cause has: equations (16), (17), (45), (47).

Squared coefficients of variation of independent causes add. Two clocks are kept apart: the gap between two tokens
of one stream, and the latency of a whole request, over whose many steps what is independent from step to step
averages out. Lengths of requests are a cause of their own; persistent skew of experts is bias, not variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import inclusion, zipf_popularity
from inferatlas.predict.llm.operators import Experts, Operators
from inferatlas.predict.llm.placement import (
    UNIFORM,
    Routing,
    balanced,
    contiguous,
    device_load,
    maximum_deviation,
    replicate,
)
from inferatlas.predict.performance.occupancy import occupancy_noise
from inferatlas.predict.performance.platform import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.priors import constant
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import Shard, shard_of
from inferatlas.predict.performance.step import step

CAUSES = ("routing", "batching", "queueing", "prefill", "stragglers", "lengths")
MEANING = {
    "routing": "experts of a step are touched unevenly, differently in every step",
    "batching": "requests come and go at random, and the batch with them (open loops)",
    "queueing": "requests wait for prompts before theirs, or for a place",
    "prefill": "some steps carry a chunk of another request's prompt",
    "stragglers": "every layer waits for the slowest of the devices that work on it",
    "lengths": "requests differ in their numbers of tokens",
}


@dataclass(frozen=True, slots=True)
class Variance:
    """Squared coefficients of variation by cause, arrays of one entry a point; ``lengths`` only in ``latency``."""

    gap: dict[str, Floats]
    latency: dict[str, Floats]

    def cov(self, clock: str = "latency", *, fixed_lengths: bool = True) -> Floats:
        """The coefficient of variation of ``gap`` or ``latency``; ``fixed_lengths`` leaves that cause out."""
        parts = getattr(self, clock)
        kept = [part for cause, part in parts.items() if not (fixed_lengths and cause == "lengths")]
        return np.sqrt(np.sum(kept, axis=0))

    def shares(self, clock: str = "latency") -> dict[str, Floats]:
        """Share of each cause in the variance; 0 for all where nothing varies."""
        parts = getattr(self, clock)
        total = np.sum(list(parts.values()), axis=0)
        return {cause: np.where(total > 0, part / np.maximum(total, 1e-300), 0.0) for cause, part in parts.items()}


def variance(
    ops: Operators, table: PlatformTable, points: Points, predictions: Predictions, routing: Routing = UNIFORM
) -> Variance:
    """Causes of variation at points that fit; NaN elsewhere. Platforms of one kind (resident or not) at a time.

    ``batching``: (45) for latency; for a gap the occupancy's variance ``b/(1-ρ)`` of the linearised birth and death
    of requests times the slope of the step. ``prefill``: chunks in a gap are counted like Poisson arrivals.
    ``stragglers``: jitter of a device, a prior, times the spread of the largest of n. ``queueing``: waits vary by
    their mean.
    """
    resident = bool(table.resident[points.platform].all()) if len(points) else False
    row = table.rows(points.platform)
    shard = shard_of(row, points)
    steps = _steps(ops, table, row, points, predictions, shard, resident)
    gaps = np.maximum(points.output_tokens.astype(np.float64) - 1.0, 1.0)
    itl = np.where(points.output_tokens > 1, predictions.itl_s, steps.decode)
    decoding = np.where(points.output_tokens > 1, gaps * predictions.itl_s, 0.0) / predictions.latency_s
    carried = np.maximum(itl * row.accepted - steps.decode, 0.0) / np.maximum(steps.added, 1e-30)
    prefill = np.where(steps.added > 0, carried * (steps.added / itl) ** 2, 0.0)
    # (44): a sequence costs its own slope and its share of the prompts
    slope = steps.slope + carried * steps.added / steps.batch
    load = np.minimum(slope * steps.batch / itl, 0.999)
    open_loop = ~np.isnan(points.request_rate)
    each = np.where(open_loop, (slope / itl) ** 2 * steps.batch, 0.0)
    routed = _routing(ops, shard, steps, routing) ** 2
    jitter = np.where(row.resident, 0.0, constant("jitter", "device"))
    ranks = np.maximum(np.maximum(shard.ranks, shard.ep) * shard.cp, 1)
    late = (jitter * np.array([maximum_deviation(int(n), fixed_total=False) for n in ranks])) ** 2
    lengths = _lengths(points, predictions, decoding)
    first = predictions.ttft_s / predictions.latency_s
    waited = np.maximum(predictions.ttft_cv**2 - (_prefill_share(predictions, steps) * points.input_cv) ** 2, 0.0)
    zero = np.zeros_like(itl)
    gap = {
        "routing": routed, "batching": each / (1.0 - load), "queueing": zero, "prefill": prefill, "stragglers": late,
    }  # fmt: skip
    latency = {
        "routing": routed / gaps * decoding**2,
        "batching": each * occupancy_noise(load) * decoding**2,
        "queueing": waited * first**2,
        "prefill": prefill / gaps * decoding**2,
        "stragglers": late / gaps * decoding**2,
        "lengths": lengths,
    }
    alive = np.where(predictions.fits, 1.0, np.nan)
    return Variance({k: v * alive for k, v in gap.items()}, {k: v * alive for k, v in latency.items()})


@dataclass(frozen=True, slots=True)
class _Steps:
    """Seconds of the steps at the predicted batch, and what they depend on."""

    batch: Floats  # sequences of a micro-batch
    decode: Floats
    slope: Floats  # per further sequence
    added: Floats  # by a chunk of a prompt
    mixed: Floats
    experts: Floats  # share of the decode step


def _steps(
    ops: Operators, table: PlatformTable, row: PlatformTable, points: Points, predictions: Predictions, shard: Shard,
    resident: bool,
) -> _Steps:  # fmt: skip
    run = resident_step if resident else step
    collectives = collectives_in_use(ops, table, points, resident)
    tokens = points.input_tokens.astype(np.float64)
    stages = np.ones(len(points)) if resident else shard.stages_f
    batch = np.maximum(np.nan_to_num(predictions.batch.astype(np.float64), nan=1.0) / stages, 1.0)
    context = tokens + 0.5 * points.output_tokens
    chunk = tokens if resident else np.minimum(tokens, row.step_tokens * points.cp)
    spent: dict[str, Floats] = {}
    zero = np.zeros(len(points))

    def sink(name: str, count: int, **seconds: Floats) -> None:
        spent[name] = spent.get(name, zero) + np.sum([np.broadcast_to(s, zero.shape) for s in seconds.values()], axis=0)

    decode = run(ops, row, shard, collectives, prefill=None, cached=None, decode=batch, context=context, sink=sink)
    more = run(ops, row, shard, collectives, prefill=None, cached=None, decode=batch + 1.0, context=context)
    others = batch * np.clip(batch - 1.0, 0.0, 1.0)
    mixed = run(
        ops, row, shard, collectives, prefill=chunk, cached=0.5 * np.maximum(tokens - chunk, 0.0), decode=others,
        context=context,
    )  # fmt: skip
    experts = spent.get("experts", zero) / decode.total
    added = np.maximum(mixed.total - decode.total, 0.0) * row.interference
    return _Steps(batch, decode.total, np.maximum(more.total - decode.total, 0.0), added, mixed.total, experts)


def _routing(ops: Operators, shard: Shard, steps: _Steps, routing: Routing) -> Floats:
    """Equation (17): the layers' variation over the root of their number, times the share of the step.

    Where experts are not spread, what varies is how many of them a step touches.
    """
    out = np.zeros_like(steps.batch)
    for op in ops.experts:
        noise = [
            layer_cov(op, float(batch) * max(int(ep) // max(int(ranks), 1), 1), int(ep), routing)
            for batch, ep, ranks in zip(steps.batch, shard.ep, shard.ranks, strict=True)
        ]
        out += (np.array(noise) * steps.experts) ** 2 / op.count * (op.count / sum(x.count for x in ops.experts)) ** 2
    return np.sqrt(out)


def layer_cov(op: Experts, tokens: float, groups: int, routing: Routing = UNIFORM) -> float:
    """Coefficient of variation of one layer's work on its busiest device, or of the experts touched if ``groups`` is 1.

    Examples
    --------
    >>> from inferatlas.predict.llm.operators import Experts
    >>> deepseek = Experts("experts", 58, 256, 8, 1, 7168, 2048)
    >>> round(layer_cov(deepseek, 64, 8), 3), layer_cov(deepseek, 64, 1) < 0.04
    (0.055, True)
    """
    pi = inclusion(zipf_popularity(op.experts, routing.exponent), op.top_k)
    if groups <= 1:
        touched = 1.0 - (1.0 - pi) ** tokens
        # visits share a total: fewer distinct experts here mean more visits there, which halves the variance or less;
        # taken as independent, an upper estimate
        return float(np.sqrt((touched * (1.0 - touched)).sum()) / touched.sum())
    load = pi
    if routing.redundant:
        load = replicate(pi, routing.redundant)[0]
    where = balanced(load, groups) if routing.placement == "balanced" else contiguous(load.size, groups)
    return device_load(load, where, tokens, groups).cov


def _prefill_share(predictions: Predictions, steps: _Steps) -> Floats:
    return np.clip(steps.mixed / predictions.ttft_s, 0.0, 1.0)


def _lengths(points: Points, predictions: Predictions, decoding: Floats) -> Floats:
    """What the spread of lengths adds to a request's latency: of outputs by their share, of prompts by theirs."""
    first = 1.0 - decoding
    return (decoding * points.output_cv) ** 2 + (first * points.input_cv) ** 2
