"""Machines that hold the whole model in on-chip memory: pipelines of chips and wafers, section 8.

Equation (34): a layer takes its roofline part on the chips that hold it plus one constant τ per part
(synchronisation, hops, pipeline fill, instruction issue). Published bandwidth alone is hundreds of
times too optimistic. Tokens follow one another layer by layer, so the model's layers are the stages.
"""

from __future__ import annotations

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import flops_per_pair, kept, kv_values, pairs
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.exchange import INSIDE, Collectives
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.step import TINY, Parts, Sink, exposed_stream, streaming


def resident_step(
    ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives, *,
    prefill: Floats | None, cached: Floats | None, decode: Floats, context: Floats, prompts: Floats | float = 1.0,
    sink: Sink | None = None,
) -> Parts:  # fmt: skip
    """The same step as `step.run`, on a row of ``pp`` chips that holds the model.

    Each layer works on the share of the chips that holds it, so the roofline part of one token is
    L times that of a machine that could put all its bandwidth on one layer. Prompt tokens stream through
    all stages at once. More sequences than layers wait for a free stage, prompts beside them do not.
    """
    chips = shard.stages_f
    layers = float(ops.layers)
    zero = np.zeros_like(decode)
    prefill, cached = zero if prefill is None else prefill, zero if cached is None else cached
    weights, macs = zero.copy(), 0.0
    for op in ops.gemms:
        elements = op.weights + op.kv_weights + op.replicated
        weights += op.count * elements * (row.bytes_wide if op.wide else row.bytes_dense)
        macs += op.count * elements
    for op in ops.experts:  # every expert is resident; a token reads the ones it takes
        weights += op.count * op.top_k * op.weights * row.bytes_w
        macs += op.count * op.top_k * op.weights
    cache, flops_decode, flops_prefill = zero.copy(), zero.copy(), zero.copy()
    for op in ops.attentions:
        att = op.attention
        seen = kept(context, att.window)
        cache += op.count * kv_values(att) * seen * row.bytes_kv
        flops_decode += op.count * flops_per_pair(att, decode=True) * seen
        flops_prefill += op.count * flops_per_pair(att, decode=False) * pairs(prefill, cached, att.window)
    active = np.minimum(decode, 1.0)  # one token at a time per stage
    tm = active * layers * (weights + cache) * row.byte_s / chips
    tc = active * layers * (2.0 * macs + flops_decode) * row.flop_s / chips
    stream = prompts * (prefill * 2.0 * macs + flops_prefill / row.attention_efficiency) * row.flop_s / chips
    tm_prefill = np.minimum(prefill, 1.0) * weights * row.byte_s / chips
    crowd = np.maximum(decode / layers, 1.0)  # more sequences than stages wait their turn
    compute, memory = zero.copy(), zero.copy()
    for c, m, turns in ((tc, tm, crowd), (stream, tm_prefill, 1.0)):
        scale = np.maximum(np.sqrt(c * c + m * m), TINY) / turns
        compute += c * c / scale
        memory += m * m / scale
    overhead = (layers * row.layer_s + row.step_s) * crowd
    hop = zero
    if collectives.send is not None:
        # hops between chips are part of τ, between wafers they are not
        systems = np.where(row.wafer, shard.stages_f - 1.0, 0.0).astype(decode.dtype)
        at = (shard.index, np.where(systems > 0, INSIDE, 0))
        token = 2.0 * ops.model.hidden * collectives.send.per_byte[at] * row.hop_byte_scale
        latency = collectives.send.latency[at] * row.hop_scale
        hop = ((latency + active * token) * crowd + prompts * prefill * token) * systems
    if sink is not None:
        sink("layers in on-chip memory", int(layers), compute=compute, memory=memory)
        sink("layer latency", int(layers), overhead=overhead)
        sink("hops between systems", 1, network=hop)
    waiting = streaming(ops, row, shard)
    if waiting is not None:
        hop = hop + exposed_stream(waiting, compute + memory + hop + overhead, ops.layers, sink)
    busy = np.maximum(decode, 1.0) / layers  # of the stages, each with a sequence of its own
    return Parts.of(compute, memory, hop, overhead, tc * busy + stream, tm * busy + tm_prefill)
