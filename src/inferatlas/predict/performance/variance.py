"""How much latency varies at a given load, and what share each cause has: equations (16), (17), (35), (45), (47).

Squared coefficients of variation of independent causes add. Two clocks are kept apart: the gap between two tokens
of one stream, and the latency of a whole request, over whose many steps what is independent from step to step
averages out. Lengths of requests are a cause of their own; persistent skew of experts is bias, not variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import inclusion
from inferatlas.predict.llm.operators import Experts, Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing, layer_load, maximum_deviation
from inferatlas.predict.performance.arrivals import MOST, arrival_noise, boundary_noise
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.priors import constant
from inferatlas.predict.performance.shard import Shard, shard_of
from inferatlas.predict.performance.under_load import UnderLoad, under_load

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

    ``batching``: `arrival_noise`, and the wait for the boundary of a step (45). ``prefill``: chunks of a closed loop
    come independently of one another, those of an open loop with their requests. ``stragglers``: jitter of a device,
    a prior, times the spread of the largest of n. ``queueing``: waits vary by their mean. ``lengths``: of outputs by
    their share of the latency, of prompts by that of the prompt's own steps.
    """
    row = table.rows(points.platform)
    shard = shard_of(row, points)
    steps = under_load(ops, table, points, predictions, routing)
    gaps = np.maximum(points.output_tokens.astype(np.float64) - 1.0, 1.0)
    itl = np.where(points.output_tokens > 1, predictions.itl_s, steps.decode.total)
    decoding = np.where(points.output_tokens > 1, gaps * predictions.itl_s, 0.0) / predictions.latency_s
    whole = itl * row.accepted  # a step, prompts included
    chunks = steps.carried * (steps.added / whole) ** 2
    # one sequence more lengthens the steps of one of the micro-batches that are under way
    stages = np.where(row.resident, 1.0, shard.stages_f)
    running = np.nan_to_num(predictions.batch.astype(np.float64), nan=1.0)
    per_replica = np.nan_to_num(points.request_rate / points.dp)
    ahead = per_replica * steps.chunks * steps.added / stages  # of the time goes to prompts
    met = steps.carried * gaps / row.accepted * stages / steps.chunks
    batch = per_replica * gaps * itl  # that decodes
    noise = arrival_noise(steps.slope / stages * batch / whole, ahead, batch, met)
    open_loop = ~np.isnan(points.request_rate)
    routed = _routing(ops, shard, steps, routing) ** 2
    jitter = np.where(row.resident, 0.0, constant("jitter", "device"))
    ranks = np.maximum(np.maximum(shard.ranks, shard.ep) * shard.cp, 1)
    late = (jitter * np.array([maximum_deviation(int(n), fixed_total=False) for n in ranks])) ** 2
    first = predictions.ttft_s / predictions.latency_s
    passes = (steps.chunks + stages - 1.0) / stages  # of a request's own prompt
    prompt = np.clip(steps.mixed.total * passes / predictions.ttft_s, 0.0, 1.0) * points.input_cv
    zero = np.zeros_like(itl)
    gap = {
        "routing": routed,
        "batching": np.where(open_loop, noise.gap, 0.0),
        "queueing": zero,
        "prefill": np.where(open_loop, chunks / (1.0 - np.minimum(ahead, MOST) ** 2), chunks),
        "stragglers": late,
    }
    latency = {
        "routing": routed / gaps * decoding**2,
        "batching": np.where(open_loop, noise.request + boundary_noise(running, gaps), 0.0) * decoding**2,
        "queueing": np.maximum(predictions.ttft_cv**2 - prompt**2, 0.0) * first**2,
        "prefill": np.where(open_loop, noise.prompts, chunks / gaps) * decoding**2,
        "stragglers": late / gaps * decoding**2,
        "lengths": (decoding * points.output_cv) ** 2 + (first * prompt) ** 2,
    }
    alive = np.where(predictions.fits, 1.0, np.nan)
    return Variance({k: v * alive for k, v in gap.items()}, {k: v * alive for k, v in latency.items()})


def _routing(ops: Operators, shard: Shard, steps: UnderLoad, routing: Routing) -> Floats:
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
    if groups <= 1:
        pi = inclusion(routing.weights(op.experts), op.top_k)
        missed = (1.0 - pi) ** tokens
        # a token takes k experts, no fewer: what the total of visits would explain of the experts touched drops out,
        # all of it for one token
        explained = tokens * (pi @ missed) ** 2 / max((pi * (1.0 - pi)).sum(), 1e-30)
        return float(np.sqrt(max((missed * (1.0 - missed)).sum() - explained, 0.0)) / (1.0 - missed).sum())
    return layer_load(op, tokens, groups, routing).cov
