"""Failure signatures: what would go wrong with a deployment under a trace, with the numbers and the remedy.

The three of the digest of Sharma 2025: out of memory at long context, variance above 10 % on a mixture of experts,
low use at a small batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from inferatlas.decide.variability import HIGH
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import Routing, layer_load
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.mapping.memory import Budget
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.shard import shard_of
from inferatlas.quantities import show
from inferatlas.workload.traces import Trace

LOW_USE = 0.10  # share of the peak below which the compute of a deployment counts as idle
TAIL = 95.0  # percentile of requests in flight and of lengths that memory should hold at once

# the symptom without that cause
ELSEWHERE = "not by routing: `inferatlas variance` names the cause (arrivals, prompts of others, waiting) and its share"


@dataclass(frozen=True)
class Signature:
    """One signature: whether it shows, why, and what to do."""

    name: str
    detected: bool
    why: str
    remedy: str


def out_of_memory(
    trace: Trace, ops: Operators, table: PlatformTable, points: Points, predictions: Predictions
) -> Signature:
    """Whether the cache of long requests outgrows memory: the longest one alone, or a busy moment of long ones.

    ``predictions.batch`` sequences are in flight on average; the moment has as many as the 95th percentile of a
    Poisson count of that mean, each of the 95th percentile of lengths.
    """
    total = trace.input_tokens + trace.output_tokens
    longest, long = float(total.max()), float(np.percentile(total, TAIL))
    budget = _memory(longest, ops, table, points)
    left = float(budget.usable[0] - budget.weights[0] - budget.activations[0] - budget.reserve[0])
    flying = float(predictions.batch[0])
    busy = max(round(flying + 1.645 * np.sqrt(flying)), 1)
    alone, together = float(budget.kv_longest[0]), busy * float(_memory(long, ops, table, points).kv_longest[0])
    detected = alone > left or together > left
    why = (
        f"memory has room for {show(left, 'B')} of cache a device; the longest request ({longest:,.0f} tokens) "
        f"takes {show(alone, 'B')}, {busy:,} requests of {long:,.0f} tokens (95th percentiles) take "
        f"{show(together, 'B')}"
    )
    if not detected:
        return Signature("out of memory at long context", False, why, "none needed")
    platform, resident = table.platforms[points.platform[0]], bool(table.resident[points.platform[0]])
    narrower = FORMATS[platform.precision.kv_cache].bytes == 2 and platform.engine.name != "native"
    remedies = ["an FP8 cache, which halves that"] if narrower and max(alone, together) <= 2 * left else []
    remedies.append("more accelerators per replica (`inferatlas scale --count N`)")
    remedies += [] if resident else ["shards of the context (`--cp`)"]
    remedies += ["longer queues: engines then admit fewer requests at once"] if alone <= left else []
    return Signature("out of memory at long context", True, why, "; or ".join(remedies))


def _memory(tokens: float, ops: Operators, table: PlatformTable, points: Points) -> Budget:
    """Memory where a request has so many tokens; windows and blocks make its cache no multiple of another's."""
    one = np.ones(1, dtype=np.float32)
    point = replace(points, input_tokens=one * (tokens - 1.0), output_tokens=one)
    return budget_of(ops, table, point)


def variance_of_experts(
    ops: Operators, table: PlatformTable, points: Points, predictions: Predictions, cov: float
) -> Signature:
    """Whether latency of a mixture of experts varies by more than 10 %, or the load of a layer's busiest device does.

    ``cov`` is that of latency at fixed lengths: the symptom, which may have other causes than routing.
    """
    name = "variance above 10 % on a mixture of experts"
    if not ops.experts:
        return Signature(name, False, f"{ops.model.id} has no experts", "none needed")
    op = max(ops.experts, key=lambda one: one.count)
    ep = int(points.ep[0])
    if ep == 1:
        why = f"experts are not spread (ep 1); latency varies by {cov:.1%} at fixed lengths, not by routing"
        return Signature(name, cov > HIGH, why, ELSEWHERE if cov > HIGH else "none needed")
    ranks = int(shard_of(table.rows(points.platform), points).ranks[0])
    tokens = _in_a_step(table, points, predictions) * max(ep // ranks, 1)  # of every replica that shares the experts
    load = layer_load(op, tokens, ep, Routing())
    uneven, detected = load.cov > HIGH, load.cov > HIGH or cov > HIGH
    why = (
        f"latency varies by {cov:.1%} at fixed lengths; "
        f"{tokens:,.0f} tokens a step over {ep} devices load the busiest of a layer {load.imbalance:.2f} times the "
        f"mean, varying by {load.cov:.1%} from layer to layer; over {op.count} layers a step varies by "
        f"{load.cov / np.sqrt(op.count):.1%}"
    )
    remedy = (
        "measure the routing and place experts by it (`inferatlas variance --counts FILE --redundant 32`), spread them "
        "over fewer devices, or serve larger batches"
        if uneven
        else ELSEWHERE
        if detected
        else "none needed; check the routing distribution once it can be measured (`inferatlas variance --counts`)"
    )
    return Signature(name, bool(detected), why, remedy)


def low_use(ops: Operators, table: PlatformTable, points: Points, predictions: Predictions) -> Signature:
    """Whether compute idles because the batch is below the ridge point, equation (11): B_crit = P b_w/(2 M_bw)."""
    platform = table.platforms[points.platform[0]]
    part = platform.device
    peak = platform.peak_flop_per_s
    active = count(ops.model).active_without_embedding
    outputs = float(points.output_tokens[0])
    tokens = float(predictions.output_tokens_per_s[0]) * (float(points.input_tokens[0]) + outputs) / outputs
    accelerators = int(points.accelerators[0])
    used = tokens * 2.0 * active / (accelerators * peak)
    spread = ops.experts[0].experts / ops.experts[0].top_k if ops.experts else 1.0
    width = FORMATS[platform.precision.weights].bytes
    critical = peak * width / (2.0 * (part.memory.bytes_per_s or np.nan)) * spread
    if table.resident[points.platform[0]]:  # a token a layer at a time: what fills the machine is as many in flight
        batch, critical = max(float(predictions.batch[0]), 1.0), float(ops.layers)
        held = f"{batch:,.1f} sequences are in flight, and {critical:,.0f}, one a layer, fill the row of chips"
    else:
        batch = _in_a_step(table, points, predictions)
        held = f"a step holds {batch:,.1f} sequences, and compute would bind from about {critical:,.0f}"
        held += ": weights are read for few tokens each time" if batch < critical else ""
    detected = used < LOW_USE and batch < critical
    why = f"{used:.1%} of the peak of {accelerators} x {part.id} is used; {held}"
    remedy = (
        "fewer or smaller accelerators if latency allows, several services on one deployment, or a class with more "
        "bandwidth per FLOP (`inferatlas regimes --regime single-stream`)"
        if detected
        else "none needed"
    )
    return Signature("low use at a small batch", bool(detected), why, remedy)


def _in_a_step(table: PlatformTable, points: Points, predictions: Predictions) -> float:
    """Sequences of one step of a replica: of a micro-batch, and one at least; one on machines of token after token."""
    if table.resident[points.platform[0]]:
        return 1.0
    return max(float(predictions.batch[0]) / float(points.pp[0]), 1.0)
