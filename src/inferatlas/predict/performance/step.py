"""Time of one step (mixed prefill and decode) on machines that run operators one after another.

Equations (3), (5) to (7), (10), (12), (15), (25), (26): every operator takes
``t = t0 + sqrt((FLOP/(η_c P))² + (bytes/(η_m M))²)`` (q = 2), layers add all-reduces, the step adds
per-sequence and host overhead. Works on arrays of any number of points: what does not depend on the
batch is prepared once, since every answer needs several steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import flops_per_pair, kept, kv_values_per_rank, pairs
from inferatlas.predict.llm.experts import distinct_uniform, imbalance_slope
from inferatlas.predict.llm.operators import AttentionCore, Experts, Gemm, Operators, Vector
from inferatlas.predict.llm.placement import UNIFORM, Routing, bias_of, distinct_table
from inferatlas.predict.mapping.memory import weight_bytes
from inferatlas.predict.performance.exchange import Collectives, Exchange, prepare_exchange
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard

TINY = 1e-30  # below any operator's time squared, above the smallest single-precision number
Sink = Callable[..., None]  # (name, count, *, compute, memory, network, overhead): seconds, all counts together


@dataclass(slots=True)
class Parts:
    """Seconds of a step by what they are spent on; ``total`` is their sum.

    Within an operator the time is shared as the squares of its compute and memory terms, which is how
    it responds to each (equation (54)). ``flop_s`` and ``byte_s`` are the two terms themselves, summed:
    what the units were busy with, for power.
    """

    compute: Floats
    memory: Floats
    network: Floats
    overhead: Floats
    flop_s: Floats
    byte_s: Floats
    total: Floats

    @staticmethod
    def of(compute: Floats, memory: Floats, network: Floats, overhead: Floats, flop_s: Floats, byte_s: Floats) -> Parts:
        total = compute + memory
        total += network
        total += overhead
        return Parts(compute, memory, network, overhead, flop_s, byte_s, total)

    def times(self, factor: Floats) -> Parts:
        """The same step, so many times as long."""
        return Parts(*(getattr(self, f.name) * factor for f in fields(Parts)))

    def towards(self, other: Parts, share: Floats) -> Parts:
        """The average of steps of which ``share`` are like ``other`` and the rest like this one."""

        def between(name: str) -> Floats:
            a = getattr(self, name)
            out = getattr(other, name) - a
            out *= share
            out += a
            return out

        return Parts(*(between(f.name) for f in fields(Parts)))


@dataclass(frozen=True, slots=True)
class _Product:
    """One GEMM: seconds of compute and of activations per row, seconds to stream its weights."""

    op: Gemm
    per_row: Floats
    io: Floats
    weights: Floats


@dataclass(frozen=True, slots=True)
class _Routed:
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
    """What the steps of a set of points share (arrays of one entry a point)."""

    ops: Operators
    row: PlatformTable
    shard: Shard
    products: tuple[_Product, ...]
    routed: tuple[_Routed, ...]
    moved: tuple[tuple[Vector, Floats], ...]  # elementwise work: seconds per row
    per_flop: Floats  # of 16-bit products on one rank
    io_split: Floats
    exchange: Exchange
    waiting: Floats | None  # seconds to stream what waits in slower memory, once per step


def prepare(
    ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives, routing: Routing = UNIFORM
) -> Prepared:
    """Everything that does not depend on tokens and batch; see `run`."""
    ranks = shard.ranks_f
    io_whole = row.byte_s * row.bytes_a
    io_split = io_whole / ranks
    narrow, wide = 2.0 * row.flop_s / ranks, 2.0 * row.flop_s_wide / ranks
    stream = row.byte_s / ranks
    stream_narrow, stream_wide = stream * row.bytes_dense, stream * row.bytes_wide
    shares: dict[int, Floats] = {}
    products: list[_Product] = []
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
        products.append(_Product(op, rate * elements, io, weight * elements))
    moved = tuple((op, op.io_whole * io_whole + op.io_split * io_split) for op in ops.rows if isinstance(op, Vector))
    return Prepared(
        ops, row, shard, tuple(products), tuple(_routed(op, row, shard, routing) for op in ops.experts), moved,
        row.flop_s_wide / ranks, io_split, prepare_exchange(ops, row, shard, collectives),
        streaming(ops, row, shard, routing.redundant),
    )  # fmt: skip


def _routed(op: Experts, row: PlatformTable, shard: Shard, routing: Routing) -> _Routed:
    bias, touched = None, None
    if routing.is_skewed:
        sizes = np.flatnonzero(np.bincount(shard.ep)).tolist()
        surplus = bias_of(op.experts, op.top_k, routing, tuple(sizes))
        bias = surplus[np.searchsorted(sizes, shard.ep)].astype(shard.ep_f.dtype)
        touched = distinct_table(op.experts, op.top_k, routing)
    ranks, ep = shard.ranks_f, shard.ep_f
    split = np.maximum(ranks / ep, 1.0)  # devices that share one expert
    return _Routed(
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


def run(
    p: Prepared,
    *,
    prefill: Floats | None,
    cached: Floats | None,
    decode: Floats,
    context: Floats,
    prompts: Floats | float = 1.0,
    sink: Sink | None = None,
) -> Parts:
    """One pass through all layers and the head.

    Parameters (arrays, per replica and micro-batch)
    ----------
    prefill : new prompt tokens of each prompt in this step (None: a pure decode step for all points).
    cached : tokens of that sequence already in the cache (None: no prompt).
    decode : sequences that produce one token each (may be fractional: an average).
    context : their mean cached length.
    prompts : prompts that share the step, each with ``prefill`` tokens.
    sink : called per operator with the seconds it adds, for the breakdown.
    """
    shares = None if p.shard.cp_f is None or prefill is None else p.shard.cp_f  # a prompt's tokens are divided
    fresh = 0.0 if prefill is None else prompts * (prefill if shares is None else prefill / shares)
    tokens = decode if prefill is None else fresh + decode
    outputs = decode if prefill is None else decode + prompts * np.minimum(prefill, 1.0)
    compute, memory = np.zeros_like(tokens), np.zeros_like(tokens)
    flop_s, byte_s = np.zeros_like(tokens), np.zeros_like(tokens)

    def add(name: str, count: int, tc: Floats, tm: Floats) -> None:
        nonlocal compute, memory, flop_s, byte_s
        flop_s += tc * count
        byte_s += tm * count
        tc *= tc
        tm *= tm
        scale = tc + tm
        np.sqrt(scale, out=scale)
        np.maximum(scale, TINY, out=scale)
        np.divide(count, scale, out=scale)
        tc *= scale
        tm *= scale
        compute += tc
        memory += tm
        if sink is not None:
            sink(name, count, compute=tc, memory=tm)

    for x in p.products:
        rows = outputs if x.op.per_output else tokens
        tm = rows * x.io
        tm += x.weights
        add(x.op.name, x.op.count, rows * x.per_row, tm)
    ring = np.zeros_like(tokens)
    for op in p.ops.attentions:
        tc, tm = _attention(op, p, prefill, cached, decode, context, tokens, prompts)
        if shares is not None and prefill is not None and cached is not None:
            ring += op.count * _exposed_ring(op, p, np.hypot(tc, tm), prefill, cached, prompts)
        add(op.name, op.count, tc, tm)
    for y in p.routed:
        add(y.op.name, y.op.count, *_experts(y, p.shard, tokens))
    for op, per_row in p.moved:
        seconds = (outputs if op.per_output else tokens) * per_row
        seconds *= op.count
        memory += seconds
        byte_s += seconds
        if sink is not None:
            sink(op.name, op.count, memory=seconds)
    network = p.exchange.spend(tokens, outputs, sink)
    if shares is not None:
        network += ring
        if sink is not None:
            sink("context ring", p.ops.layers, network=ring)
    launches = _overhead(p, prefill, outputs, sink)
    if p.waiting is not None:
        network += exposed_stream(p.waiting, compute + memory + network + launches, p.ops.layers, sink)
    return Parts.of(compute, memory, network, launches, flop_s, byte_s)


def _overhead(p: Prepared, prefill: Floats | None, outputs: Floats, sink: Sink | None) -> Floats:
    """Launches, routing of experts, and the host: equation (10), B h_seq + t_host."""
    row = p.row
    launches = row.kernel_s if prefill is None else np.where(prefill > 0, row.prefill_kernel_s, row.kernel_s)
    launches = launches * p.ops.kernels
    launches += p.ops.layers * row.layer_s
    if p.routed:
        launches += p.ops.expert_reductions * row.routing_s
    host = outputs * row.sequence_s + row.step_s
    if sink is not None:
        sink("kernel launches", p.ops.kernels, overhead=launches.copy())
        sink("host", 1, overhead=host)
    launches += host
    return launches


def streaming(ops: Operators, row: PlatformTable, shard: Shard, redundant: int = 0) -> Floats | None:
    """Seconds to stream the layers' weights in slower memory through a replica's devices, once; None: none wait there.

    Every stage streams its own part over its own devices, one after the other for one micro-batch.
    """
    if shard.offload is None:
        return None
    whole = weight_bytes(
        ops, shard.ranks_f, 1.0, shard.ep_f, row.bytes_w, row.bytes_wide, row.bytes_dense, redundant=redundant,
        tables=False,
    )  # fmt: skip
    seconds = np.where(shard.offload > 0, whole * shard.offload * row.offload_s, 0.0)
    return (seconds / shard.stages_f if bool(row.resident.all()) else seconds).astype(shard.ranks_f.dtype)


def exposed_stream(waiting: Floats, busy: Floats, layers: int, sink: Sink | None) -> Floats:
    """Equation (28) with prefetch: ``t_load(1) + Σ max(t_layer, bytes_off/W)``, the part that no work hides."""
    exposed = waiting / layers + np.maximum(waiting - busy, 0.0)
    if sink is not None:
        sink("weights from slower memory", layers, network=exposed)
    return exposed


def _exposed_ring(
    op: AttentionCore, p: Prepared, busy: Floats, prefill: Floats, cached: Floats, prompts: Floats | float
) -> Floats:
    """Ring attention (25): n-1 sends of the local keys and values per layer, hidden behind attention itself."""
    if p.exchange.ring is None or p.shard.cp_f is None:
        return np.zeros_like(busy)
    latency, per_byte = p.exchange.ring
    local = prompts * kept(cached + prefill, op.attention.window) / p.shard.cp_f
    local *= kv_values_per_rank(op.attention, p.shard.ranks_f) * p.row.bytes_kv
    return np.maximum((p.shard.cp_f - 1.0) * (latency + local * per_byte) - busy, 0.0)


def _attention(
    op: AttentionCore, p: Prepared, prefill: Floats | None, cached: Floats | None, decode: Floats, context: Floats,
    tokens: Floats, prompts: Floats | float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Fused attention, equations (5) and (6), one pass over K and V (h_L2 = 1)."""
    att, row = op.attention, p.row
    shares = p.shard.cp_f
    seen = decode * kept(context, att.window)
    if shares is not None:
        seen /= shares
    flops = seen * flops_per_pair(att, decode=True)
    if prefill is not None and cached is not None:
        prompt = pairs(prefill, cached, att.window)
        prompt *= flops_per_pair(att, decode=False) * prompts
        prompt /= row.attention_efficiency
        if shares is not None:
            prompt /= shares
        flops += prompt
        seen += kept(cached + prefill, att.window) * (prompts * np.minimum(prefill, 1.0))
    flops *= p.per_flop
    seen *= kv_values_per_rank(att, p.shard.ranks_f) * (row.bytes_kv * row.cache_byte_s)
    value = att.v_dim if att.is_mla else att.head_dim
    seen += tokens * p.io_split * (att.heads * (att.head_dim + att.rope_dim + value))
    return flops, seen


def _experts(y: _Routed, shard: Shard, tokens: Floats) -> tuple[Floats, Floats]:
    """Routed experts on the busiest device, equations (13), (15), (16)."""
    op, ep = y.op, shard.ep_f
    seen = tokens * y.group
    # (16) falls with the square root of the tokens, and never exceeds one device taking all; where loads are unequal
    # to begin with, noise adds to the bias in squares: within 2 % (rms) of the integral of (16), 12 % at worst
    noise = y.uneven / np.sqrt(np.maximum(seen, TINY))
    uneven = np.minimum(1.0 + (noise if y.bias is None else np.hypot(noise, y.bias - 1.0)), ep)
    visits = seen * y.visits
    visits *= uneven
    if y.touched is None:
        touched = distinct_uniform(op.experts, op.top_k, seen)
    else:  # below one token: a share of what one touches
        touched = np.interp(np.log(np.maximum(seen, 1.0)), *y.touched) * np.minimum(seen, 1.0)
        touched = touched.astype(seen.dtype)
    touched /= ep
    # the busiest device also touches more distinct experts, up to one per visit and all it holds
    touched = np.minimum(touched * uneven, np.minimum(np.maximum(visits, touched), op.experts / ep))
    return visits * y.compute, touched * y.stream + visits * y.io
