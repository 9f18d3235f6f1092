"""What the steps of a set of points share: every operator's cost per row and per weight, on each point's layout.

Equations (3), (15) and (25): what does not depend on tokens and batch is computed once, since every answer needs
several steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import imbalance_slope
from inferatlas.predict.llm.operators import Experts, Gemm, Operators, Vector
from inferatlas.predict.llm.placement import UNIFORM, Routing, bias_of, distinct_table
from inferatlas.predict.performance.exchange import Collectives, Exchange, prepare_exchange
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.waiting import Waiting, waiting_of


@dataclass(frozen=True, slots=True)
class Product:
    """One GEMM: seconds of compute and of activations per row, seconds to stream its weights."""

    op: Gemm
    per_row: Floats
    io: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class Routed:
    """Experts of some layers: what their cost per visit and per touched expert is on one device."""

    op: Experts
    group: Floats  # replicas that share the experts
    uneven: Floats  # (largest over mean load - 1) times sqrt(tokens), equation (16)
    visits: Floats  # expert visits per device and token seen
    compute: Floats  # seconds per visit
    io: Floats
    stream: Floats  # seconds to read one expert
    bias: Floats | None  # persistent surplus of the busiest device under skewed routing
    touched: tuple[Floats, Floats] | None  # distinct experts by the logarithm of tokens, under skewed routing


@dataclass(frozen=True, slots=True)
class Prepared:
    """Arrays of one entry a point."""

    ops: Operators
    row: PlatformTable
    shard: Shard
    products: tuple[Product, ...]
    routed: tuple[Routed, ...]
    moved: tuple[tuple[Vector, Floats], ...]  # elementwise work: seconds per row
    per_flop: Floats  # of 16-bit products on one rank
    io_split: Floats
    exchange: Exchange
    waiting: Waiting | None  # in slower memory


def prepare(
    ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives, routing: Routing = UNIFORM,
    cache_bytes: Floats | float = 0.0,
) -> Prepared:  # fmt: skip
    """Everything that does not depend on tokens and batch; see `step.run`.

    ``cache_bytes``: of the KV cache per engine device that waits in slower memory.
    """
    ranks = shard.ranks_f
    io_whole = row.byte_s * row.bytes_a
    io_split = io_whole / ranks
    narrow, wide = 2.0 * row.flop_s / ranks, 2.0 * row.flop_s_wide / ranks
    stream = row.byte_s / ranks
    stream_narrow, stream_wide = stream * row.bytes_dense, stream * row.bytes_wide
    shares: dict[int, Floats] = {}
    products: list[Product] = []
    for op in ops.gemms:
        elements: Floats | float = float(op.weights)
        if op.replicated:
            elements = elements + op.replicated * ranks
        if op.kv_weights:  # KV heads are replicated once there are more ranks than heads
            if op.kv_heads not in shares:
                shares[op.kv_heads] = np.ceil(op.kv_heads / ranks) * ranks / op.kv_heads
            elements = elements + op.kv_weights * shares[op.kv_heads]
        rate, weight = (wide, stream_wide) if op.wide else (narrow, stream_narrow)
        io = op.io_whole * io_whole + op.io_split * io_split if op.io_whole else op.io_split * io_split
        products.append(Product(op, rate * elements, io, weight * elements))
    moved = tuple((op, op.io_whole * io_whole + op.io_split * io_split) for op in ops.rows if isinstance(op, Vector))
    return Prepared(
        ops, row, shard, tuple(products), tuple(_routed(op, row, shard, routing) for op in ops.experts), moved,
        row.flop_s_wide / ranks, io_split, prepare_exchange(ops, row, shard, collectives),
        waiting_of(ops, row, shard, cache_bytes, routing),
    )  # fmt: skip


def _routed(op: Experts, row: PlatformTable, shard: Shard, routing: Routing) -> Routed:
    bias, touched = None, None
    if routing.is_skewed:
        sizes = np.flatnonzero(np.bincount(shard.ep)).tolist()
        surplus = bias_of(op.experts, op.top_k, routing, tuple(sizes))
        bias = surplus[np.searchsorted(sizes, shard.ep)].astype(shard.ep_f.dtype)
        touched = distinct_table(op.experts, op.top_k, routing)
    ranks, ep = shard.ranks_f, shard.ep_f
    split = np.maximum(ranks / ep, 1.0)  # devices that share one expert
    return Routed(
        op,
        group=np.maximum(ep / ranks, 1.0),
        uneven=imbalance_slope(op.experts, op.top_k, shard.ep).astype(ep.dtype) * row.imbalance,
        visits=op.top_k / ep,
        compute=2.0 * op.weights / split * row.flop_s / row.grouped_efficiency,
        io=(2.0 * op.hidden + 3.0 * op.width / split) * row.byte_s * row.bytes_a,
        stream=op.weights / split * (row.bytes_w * row.expert_byte_s),
        bias=bias,
        touched=touched,
    )
