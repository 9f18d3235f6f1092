"""Machines that hold the whole model in on-chip memory: pipelines of chips and wafers, section 8.

Equation (34): a layer takes its roofline part on the chips that hold it plus one constant τ per part
(synchronisation, hops, pipeline fill, instruction issue). Published bandwidth alone is hundreds of
times too optimistic. Tokens follow one another layer by layer, so the model's layers are the stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import flops_per_pair, kept, kv_values, pairs, reach, read
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.llm.operators import IMAGES, PROMPTS, AttentionCore, Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.llm.recurrence import state_bytes
from inferatlas.predict.performance.exchange import INSIDE, Collectives
from inferatlas.predict.performance.parts import TINY, Parts, Sink
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.waiting import exposed, waiting_of


def resident_step(
    ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives, *,
    prefill: Floats | None, cached: Floats | None, decode: Floats, context: Floats, prompts: Floats | float = 1.0,
    queries: float = 1.0, sink: Sink | None = None, routing: Routing = UNIFORM, cache_bytes: Floats | float = 0.0,
) -> Parts:  # fmt: skip
    """The same step as `step.run`, on a row of ``pp`` chips that holds the model.

    Each layer works on the share of the chips that holds it, so the roofline part of one token is
    L times that of a machine that could put all its bandwidth on one layer. Prompt tokens stream through
    all stages at once. More sequences than layers wait for a free stage, prompts beside them do not. Tokens that a
    verification tries at once multiply the products of their sequence, not what is read for it, but for the experts
    that only some of them take. ``routing`` and ``cache_bytes`` (that wait, per chip): as of `waiting_of`.
    """
    chips = shard.stages_f
    layers = float(ops.layers)
    zero = np.zeros_like(decode)
    prefill, cached = zero if prefill is None else prefill, zero if cached is None else cached
    c = _counted(ops, row, shard, prefill, cached, context, queries)
    active = np.minimum(decode, 1.0)  # one token at a time per stage
    tm = active * layers * (c.weights + c.cache) * row.byte_s / chips
    tc = active * layers * queries * (2.0 * c.macs + c.flops_decode) * row.flop_s / chips
    through, read_once = (c.encoder, c.encoding) if ops.model.encoder else (c.macs + c.encoder, c.weights + c.encoding)
    stream = prompts * (prefill * 2.0 * through + c.flops_prefill / row.attention_efficiency) * row.flop_s / chips
    tm_prefill = np.minimum(prefill, 1.0) * read_once * row.byte_s / chips
    crowd = np.maximum(decode / layers, 1.0)  # more sequences than stages wait their turn
    compute, memory = zero.copy(), zero.copy()
    for x, m, turns in ((tc, tm, crowd), (stream, tm_prefill, 1.0)):
        scale = np.maximum(np.sqrt(x * x + m * m), TINY) / turns
        compute += x * x / scale
        memory += m * m / scale
    overhead = (layers * row.layer_s + row.step_s) * crowd
    if ops.prompt_layers:
        overhead = overhead + ops.prompt_layers * row.layer_s * np.minimum(prefill, 1.0)
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
    waiting = waiting_of(ops, row, shard, cache_bytes, routing)
    if waiting is not None:
        part = zero if shard.kv_offload is None else shard.kv_offload * decode * c.cache / chips
        hop = hop + exposed(waiting, ops, compute + memory + hop + overhead, part, prompts * prefill + decode, sink)
    busy = np.maximum(decode, 1.0) / layers  # of the stages, each with a sequence of its own
    return Parts.of(compute, memory, hop, overhead, tc * busy + stream, tm * busy + tm_prefill)


def _seen(op: AttentionCore, shard: Shard, context: Floats) -> Floats:
    """Tokens that one decoded token reads of the cache."""
    if op.over == "context":
        return read(context, op.attention)
    return kept(shard.prompt if op.over == "source" else np.maximum(context - shard.prompt, 1.0), op.attention.window)


@dataclass(frozen=True, slots=True)
class _Counted:
    """Bytes and products of one token through all layers, and of a prompt."""

    weights: Floats  # bytes that a decoded token meets
    macs: float
    cache: Floats  # bytes of cache and states
    flops_decode: Floats  # of attention and states
    encoding: Floats  # bytes of weights that prompts alone pass, or their images
    encoder: Floats | float  # products of those per prompt token
    flops_prefill: Floats  # of attention and states, of the whole prompt


def _counted(
    ops: Operators, row: PlatformTable, shard: Shard, prefill: Floats, cached: Floats, context: Floats,
    queries: float,
) -> _Counted:  # fmt: skip
    zero = np.zeros_like(context)
    weights, macs = zero.copy(), 0.0
    encoding, encoder = zero.copy(), 0.0  # what prompts alone pass, or their images
    for op in ops.gemms:
        elements = float(op.weights + op.kv_weights + op.replicated)
        size = op.count * elements * (row.bytes_wide if op.wide else row.bytes_dense)
        if op.on in (PROMPTS, IMAGES):
            encoding += size
            encoder = encoder + op.count * elements * (ops.patches / shard.prompt if op.on == IMAGES else 1.0)
        else:
            weights += size
            macs += op.count * elements
    for op in ops.experts:  # every expert is resident; a token reads the ones it takes
        taken = op.top_k if queries == 1.0 else float(distinct_uniform(op.experts, op.top_k, queries))
        weights += op.count * taken * op.weights * row.bytes_w
        macs += op.count * op.top_k * op.weights
    cache, flops_decode, flops_prefill = zero.copy(), zero.copy(), zero.copy()
    for op in ops.attentions:
        att, per_prompt = op.attention, op.count * flops_per_pair(op.attention, decode=False)
        if op.kept:
            seen = _seen(op, shard, context)
            cache += op.count * kv_values(att) * seen * row.bytes_kv * row.unpacking
            flops_decode += op.count * flops_per_pair(att, decode=True) * seen
        if op.over == "image":
            flops_prefill += per_prompt * prefill / shard.prompt * ops.patches * ops.patches_seen(att)
        elif op.over in ("context", "prompt"):
            flops_prefill += per_prompt * pairs(prefill, cached, reach(att), causal=att.causal)
    for op in ops.recurrences:
        update = 6.0 * op.count * op.recurrence.inner * op.recurrence.key
        cache += 2.0 * op.count * state_bytes(op.recurrence, ops.model.hidden)
        flops_decode += update
        flops_prefill += prefill * update
    return _Counted(weights, macs, cache, flops_decode, encoding, encoder, flops_prefill)
