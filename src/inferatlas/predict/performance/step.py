"""Time of one step (mixed prefill and decode) on machines that run operators one after another.

Equations (3), (5) to (7), (10), (12), (15), (25), (26): every operator takes
``t = t0 + sqrt((FLOP/(η_c P))² + (bytes/(η_m M))²)`` (q = 2), layers add all-reduces, the step adds
per-sequence and host overhead. Works on arrays of any number of points; `prepared` holds what steps share.
"""

from __future__ import annotations

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import IMAGES, OUTPUTS, PROMPTS, TOKENS
from inferatlas.predict.performance.mixers import Work, attention, experts, exposed_ring, recurrence, work_of
from inferatlas.predict.performance.parts import Parts, Sink, Sums
from inferatlas.predict.performance.prepared import Prepared
from inferatlas.predict.performance.waiting import exposed


def run(
    p: Prepared,
    *,
    prefill: Floats | None,
    cached: Floats | None,
    decode: Floats,
    context: Floats,
    prompts: Floats | float = 1.0,
    queries: float = 1.0,
    sink: Sink | None = None,
) -> Parts:
    """One pass through all layers and the head.

    Parameters (arrays, per replica and micro-batch)
    ----------
    prefill : new prompt tokens of each prompt in this step (None: a pure decode step for all points).
    cached : tokens of that sequence already in the cache (None: no prompt).
    decode : sequences that are decoded (may be fractional: an average).
    context : their mean cached length.
    prompts : prompts that share the step, each with ``prefill`` tokens.
    queries : tokens of each of these sequences: 1, or those that a verification tries at once.
    sink : called per operator with the seconds it adds, for the breakdown.
    """
    work = work_of(p.shard, prefill, cached, decode, context, prompts, queries)
    units = {TOKENS: work.tokens, OUTPUTS: work.outputs}
    if prefill is not None:
        units[PROMPTS] = work.fresh + np.zeros_like(work.tokens)
        units[IMAGES] = units[PROMPTS] * (p.ops.patches / p.shard.prompt)
    sums = Sums.of(work.tokens, sink)
    for x in p.products:
        if x.op.on not in units:
            continue  # of prompts, in a step without any
        rows = units[x.op.on]
        tm = rows * x.io
        tm += x.weights if x.op.on in (TOKENS, OUTPUTS) else x.weights * np.minimum(rows, 1.0)
        sums.add(x.op.name, x.op.count, rows * x.per_row, tm)
    ring, cache_bytes = _mixed(p, work, sums)
    for op, per_row in p.moved:
        if op.on in units:
            sums.move(op.name, op.count, units[op.on] * per_row)
    network = p.exchange.spend(units, sink)
    if ring is not None:
        network += ring
        if sink is not None:
            sink("context ring", p.ops.layers, network=ring)
    launches = _overhead(p, prefill, work.outputs, sink)
    if p.waiting is not None:
        busy = sums.compute + sums.memory + network + launches
        routed = work.tokens * p.routed[0].group if p.routed else work.tokens  # of all replicas that share the experts
        network = network + exposed(p.waiting, p.ops, busy, cache_bytes, routed, sink)
    return Parts.of(sums.compute, sums.memory, network, launches, sums.flop_s, sums.byte_s)


def _mixed(p: Prepared, work: Work, sums: Sums) -> tuple[Floats | None, Floats]:
    """Attention, recurrences and experts; returns what a ring of context shards adds, and cache read from elsewhere."""
    divided = p.shard.cp_f is not None and work.prefill is not None
    ring = np.zeros_like(work.tokens) if divided else None
    cache_bytes = np.zeros_like(work.tokens)
    for op in p.ops.attentions:
        if work.prefill is None and not op.kept:
            continue
        tc, tm, values = attention(op, p, work)
        if ring is not None:
            ring += op.count * exposed_ring(op, p, work, np.hypot(tc, tm))
        if p.shard.kv_offload is not None and op.kept:
            cache_bytes += op.count * p.shard.kv_offload * values * p.row.bytes_kv
        sums.add(op.name, op.count, tc, tm)
    for op in p.ops.recurrences:
        tc, tm, moved = recurrence(op, p, work)
        if p.shard.kv_offload is not None:
            cache_bytes += op.count * p.shard.kv_offload * moved
        sums.add(op.name, op.count, tc, tm)
    for y in p.routed:
        sums.add(y.op.name, y.op.count, *experts(y, p.shard, work.tokens))
    return ring, cache_bytes


def _overhead(p: Prepared, prefill: Floats | None, outputs: Floats, sink: Sink | None) -> Floats:
    """Launches, routing of experts, and the host: equation (10), B h_seq + t_host."""
    row, kernels, layers = p.row, p.ops.kernels, p.ops.layers
    launches = row.kernel_s if prefill is None else np.where(prefill > 0, row.prefill_kernel_s, row.kernel_s)
    if prefill is not None and p.ops.prompt_kernels:
        kernels = kernels + p.ops.prompt_kernels * np.minimum(prefill, 1.0)
        layers = layers + p.ops.prompt_layers * np.minimum(prefill, 1.0)
    launches = launches * kernels
    launches += layers * row.layer_s
    if p.routed:
        launches += p.ops.expert_reductions * row.routing_s
    host = outputs * row.sequence_s + row.step_s
    if sink is not None:
        sink("kernel launches", p.ops.kernels, overhead=launches.copy())
        sink("host", 1, overhead=host)
    return launches + host
