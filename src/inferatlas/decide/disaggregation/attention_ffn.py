"""Attention and feed-forward layers on accelerators of their own: ratio, gap between tokens, gain; equation (50).

Attention devices keep the cache and hand each layer's hidden states to feed-forward devices, which see the batches of
several of them and read their weights once for all: two hops per layer more, in return for larger products. Two
micro-batches alternate, so that both kinds work at once: a token takes ``2 max(t_att, t_ffn) + hops``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.decide.disaggregation.sides import Side
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.collectives import hop_cost
from inferatlas.predict.performance.exchange import BYTES
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.serving_question import Question
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.stepping import one_step_of

FEED_FORWARD = ("ffn_up", "ffn_down", "activation", "experts", "shared_expert", "router", "expert all_to_all")
BOTH = ("norm+residual", "all_reduce", "kernel launches")  # once per block of either kind
BATCHES = np.geomspace(1.0, 4096.0, 97)
RATIOS = np.geomspace(1.0, 64.0, 61)  # attention devices per feed-forward device
EQUAL = 1e-6


@dataclass(frozen=True)
class AttentionFfn:
    """The split of a decode unit. ``ratio_by_time`` is t_att:t_ffn of its own step; ``ratio`` what is best.

    Both are attention over feed-forward accelerators. ``gain``: tokens/s per accelerator over the unsplit unit's at
    the same ITL; None where no split keeps it, and then ``ratio`` and ``itl_s`` are those of the shortest gap.
    """

    ratio_by_time: float
    attention_s: float
    feed_forward_s: float
    hop_s: float
    hops: int
    ratio: float
    batch: float
    itl_s: float
    itl_limit_s: float
    gain: float | None


def attention_ffn(ops: Operators, side: Side, point: Points, running: float, limit_s: float) -> AttentionFfn | None:
    """Split one decode unit within a gap of ``limit_s`` seconds between tokens.

    Parameters
    ----------
    point : the unit as a single point; of a pipeline every stage is split. running : sequences that decode per replica.

    Returns
    -------
    None for machines with the model in on-chip memory, whose layers have devices of their own, and for models without
    feed-forward layers. Recurrent layers count as attention.
    """
    feeds = bool(ops.experts) or any(op.name in FEED_FORWARD for op in ops.gemms)
    if bool(side.table.resident[0]) or not feeds:
        return None
    stages, size, copies = float(point.pp[0]), float(point.accelerators[0]), float(point.dp[0])
    own = max(running / stages, 1.0)  # of a micro-batch
    attention, feed_forward = _times(ops, side, point, np.append(BATCHES, own))
    places, with_room = _places(ops, side, point)
    hop_latency, per_byte, _ = hop_cost(side.platform.network, across=True)
    lanes = float(point.tp[0])  # every rank sends its share of the hidden states
    hops = 2 * ops.layers
    b, r = np.meshgrid(BATCHES, RATIOS, indexing="ij")
    hop = hop_latency + b * BYTES * ops.model.hidden * per_byte / lanes
    fed = np.exp(np.interp(np.log(b * r), np.log(BATCHES), np.log(feed_forward[:-1])))
    itl = 2.0 * np.maximum(attention[:-1, None], fed) + hops * hop
    held = 2.0 * b * stages  # two micro-batches a stage
    tokens = held * copies / itl / (size * (1.0 + 1.0 / r))
    room = (held <= with_room) & (b * r <= BATCHES[-1])
    step = float(attention[-1] + feed_forward[-1])
    unsplit = min(own * stages, places) * copies / step / size
    keeps = room & (itl <= limit_s * (1.0 + EQUAL))
    best = np.argmax(np.where(keeps, tokens, -np.inf)) if keeps.any() else np.argmin(np.where(room, itl, np.inf))
    at = np.unravel_index(int(best), b.shape)
    return AttentionFfn(
        ratio_by_time=float(attention[-1] / feed_forward[-1]), attention_s=float(attention[-1]),
        feed_forward_s=float(feed_forward[-1]), hop_s=float(hop[at]), hops=hops, ratio=float(r[at]),
        batch=float(held[at]), itl_s=float(itl[at]), itl_limit_s=limit_s,
        gain=float(tokens[at] / unsplit) if keeps.any() else None,
    )  # fmt: skip


def _times(ops: Operators, side: Side, point: Points, sequences: Floats) -> tuple[Floats, Floats]:
    """Seconds of a decode step in attention and in feed-forward, for micro-batches of a replica; everything counts."""
    points = point[np.zeros(len(sequences), dtype=np.intp)]
    row = side.table.rows(points.platform)
    shard = shard_of(row, points)
    collectives = collectives_in_use(ops, side.table, points, False)
    budget = memory_budget(ops, row, shard, points, False)
    step = one_step_of(ops, row, shard, collectives, points, budget, resident=False)
    attention, feed_forward = np.zeros(len(sequences)), np.zeros(len(sequences))

    def sink(name: str, count: int, **seconds: Floats) -> None:
        spent = np.sum([np.broadcast_to(part, sequences.shape) for part in seconds.values()], axis=0)
        share = 1.0 if name in FEED_FORWARD else 0.5 if name in BOTH else 0.0
        feed_forward[:] += share * spent
        attention[:] += (1.0 - share) * spent

    context = points.input_tokens.astype(np.float64) + 0.5 * points.output_tokens
    step(prefill=None, cached=None, decode=sequences, context=context, sink=sink)
    uneven = np.maximum(np.ceil(ops.layers / shard.stages_f) * shard.stages_f / ops.layers, 1.0)
    return attention * uneven, feed_forward * uneven


def _places(ops: Operators, side: Side, point: Points) -> tuple[float, float]:
    """Sequences of a replica that memory and engine let run, and with the feed-forward weights gone."""
    row = side.table.rows(point.platform)
    shard = shard_of(row, point)
    budget = memory_budget(ops, row, shard, point, False)
    slots = float(Question.of(point, row, shard, budget, ops, False).slots[0])
    ranks, ep = float(shard.ranks_f[0]), float(shard.ep_f[0])
    dense = sum(op.count * op.weights for op in ops.gemms if op.name in FEED_FORWARD) / ranks * row.bytes_dense[0]
    routed = sum(op.count * op.experts * op.weights for op in ops.experts) / max(ranks, ep) * row.bytes_w[0]
    more = float((dense + routed) / budget.kv_per_sequence[0])
    return slots, min(slots + more, max(float(row.max_sequences[0]), slots))
