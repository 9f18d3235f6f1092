"""Seconds of what mixes tokens: attention, recurrent states, routed experts; (5), (6), (13) to (16), (25)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.attention import flops_per_pair, index_bytes, kept, kv_values_per_rank, pairs, reach, read
from inferatlas.predict.llm.experts import distinct_uniform
from inferatlas.predict.llm.operators import AttentionCore, RecurrenceCore
from inferatlas.predict.llm.recurrence import state_bytes
from inferatlas.predict.performance.parts import TINY
from inferatlas.predict.performance.prepared import Prepared, Routed
from inferatlas.predict.performance.shard import Shard

CHUNK = 256  # tokens that a recurrent layer takes together in a prompt, as the kernels of Mamba-2 do (arXiv:2405.21060)


@dataclass(frozen=True, slots=True)
class Work:
    """What one step does, per replica and micro-batch: the quantities of `step.run`, and what they add up to.

    ``fresh`` prompt tokens on each shard of the context, ``tokens`` in all, ``outputs`` of them through the head.
    """

    prefill: Floats | None
    cached: Floats | None
    decode: Floats
    context: Floats
    prompts: Floats | float
    queries: float
    fresh: Floats | float
    tokens: Floats
    outputs: Floats


def work_of(
    shard: Shard, prefill: Floats | None, cached: Floats | None, decode: Floats, context: Floats,
    prompts: Floats | float, queries: float,
) -> Work:  # fmt: skip
    """Add up a step."""
    new = decode if queries == 1.0 else decode * queries
    if prefill is None:
        return Work(prefill, cached, decode, context, prompts, queries, 0.0, new, new)
    fresh = prompts * (prefill if shard.cp_f is None else prefill / shard.cp_f)  # a prompt's tokens are divided
    outputs = new + prompts * np.minimum(prefill, 1.0)
    return Work(prefill, cached, decode, context, prompts, queries, fresh, fresh + new, outputs)


def attention(op: AttentionCore, p: Prepared, work: Work) -> tuple[Floats, Floats, Floats]:
    """Fused attention, equations (5) and (6), one pass over K and V (h_L2 = 1): compute, memory, values read a rank."""
    if op.over == "image":
        return _within_images(op, p, work)
    if op.over in ("answer", "source"):
        return _of_decoder(op, p, work)
    att, row, shares = op.attention, p.row, p.shard.cp_f
    encodes = op.over == "prompt"
    seen = np.zeros_like(work.decode) if encodes else work.decode * read(work.context, att)
    if shares is not None:
        seen /= shares
    flops = seen * (flops_per_pair(att, decode=True) * work.queries)
    if work.prefill is not None and work.cached is not None:
        prompt = pairs(work.prefill, work.cached, reach(att), causal=att.causal)
        prompt *= flops_per_pair(att, decode=False) * work.prompts
        prompt /= row.attention_efficiency
        if shares is not None:
            prompt /= shares
        flops += prompt
        seen += kept(work.cached + work.prefill, att.window) * (work.prompts * np.minimum(work.prefill, 1.0))
    flops *= p.per_flop
    seen *= kv_values_per_rank(att, p.shard.ranks_f)
    time = seen * (row.bytes_kv * row.cache_byte_s * row.unpacking)
    value = att.v_dim if att.is_mla else att.head_dim
    time += (work.fresh if encodes else work.tokens) * p.io_split * (att.heads * (att.head_dim + att.rope_dim + value))
    if att.index_heads and not encodes:
        tc, tm = _indexing(op, p, work)
        flops, time = flops + tc, time + tm
    return flops, time, seen


def _indexing(op: AttentionCore, p: Prepared, work: Work) -> tuple[Floats, Floats]:
    """Scores of every kept token by small heads, whole on every rank of a shard, to choose those that are read."""
    att = op.attention
    scored = work.decode * work.queries * kept(work.context, att.window)
    keys = work.decode * kept(work.context, att.window)
    if work.prefill is not None and work.cached is not None:
        scored = scored + work.prompts * pairs(work.prefill, work.cached, att.window)
        keys = keys + work.prompts * np.minimum(work.prefill, 1.0) * kept(work.cached + work.prefill, att.window)
    if p.shard.cp_f is not None:
        scored, keys = scored / p.shard.cp_f, keys / p.shard.cp_f
    flops = 2.0 * att.index_heads * att.index_dim * scored
    return flops * p.row.flop_s, keys * index_bytes(att) * p.row.cache_byte_s


def _of_decoder(op: AttentionCore, p: Prepared, work: Work) -> tuple[Floats, Floats, Floats]:
    """Attention of an encoder-decoder's decoder to its own answer so far, or to the whole prompt."""
    att, source = op.attention, p.shard.prompt
    length = source if op.over == "source" else np.maximum(work.context - source, 1.0)
    seen = work.decode * kept(length, att.window)
    begun = work.outputs - work.decode * work.queries  # prompts, whose first token has no answer before it
    first = begun * (kept(source, att.window) if op.over == "source" else 1.0)
    flops = (seen * work.queries + first) * flops_per_pair(att, decode=True) * p.per_flop
    seen = (seen + first) * kv_values_per_rank(att, p.shard.ranks_f)
    return (
        flops,
        seen * (p.row.bytes_kv * p.row.cache_byte_s * p.row.unpacking)
        + work.outputs * p.io_split * (2 * att.heads * att.head_dim),
        seen,
    )


def _within_images(op: AttentionCore, p: Prepared, work: Work) -> tuple[Floats, Floats, Floats]:
    """Patches of an image, a tile or a window see each other; towers are whole on every rank."""
    att, none = op.attention, np.zeros_like(work.decode)
    patches = work.fresh * p.ops.patches / p.shard.prompt
    flops = patches * p.ops.patches_seen(att) * flops_per_pair(att, decode=False) / p.row.attention_efficiency
    ranks = p.shard.ranks_f
    return flops * p.per_flop * ranks, patches * p.io_split * ranks * (4 * att.heads * att.head_dim), none


def recurrence(op: RecurrenceCore, p: Prepared, work: Work) -> tuple[Floats, Floats, Floats]:
    """States of fixed size, equation (5), read and written once a step: compute, memory, bytes of states moved a rank.

    ``6 D_in N`` FLOP a token. A prompt of Mamba-1 is a scan of such updates; other forms multiply matrices by chunks of
    c tokens: ``2 Q H (c d_k + c d_v + 2 d_k d_v)``.
    """
    r, row, ranks = op.recurrence, p.row, p.shard.ranks_f
    update = 6.0 * r.inner * r.key / ranks
    flops = work.decode * work.queries * update * row.vector_flop_s
    states = work.decode
    if work.prefill is not None:
        if r.form == "mamba1":
            flops = flops + work.fresh * update * row.vector_flop_s
        else:
            c = np.minimum(work.prefill, float(CHUNK))
            products = 2.0 * r.heads * (c * (r.key + r.value) + 2.0 * r.key * r.value)
            flops = flops + work.fresh * products * p.per_flop / row.attention_efficiency
        states = states + work.prompts * np.minimum(work.prefill, 1.0)
    moved = 2.0 * states * state_bytes(r, p.ops.model.hidden) / ranks
    return flops, moved * row.cache_byte_s + work.tokens * p.io_split * 4 * r.inner, moved


def exposed_ring(op: AttentionCore, p: Prepared, work: Work, busy: Floats) -> Floats:
    """Ring attention (25): n-1 sends of the local keys and values per layer, hidden behind attention itself."""
    if p.exchange.ring is None or p.shard.cp_f is None or work.prefill is None or work.cached is None:
        return np.zeros_like(busy)
    latency, per_byte = p.exchange.ring
    local = work.prompts * kept(work.cached + work.prefill, op.attention.window) / p.shard.cp_f
    local *= kv_values_per_rank(op.attention, p.shard.ranks_f) * p.row.bytes_kv
    return np.maximum((p.shard.cp_f - 1.0) * (latency + local * per_byte) - busy, 0.0)


def experts(y: Routed, shard: Shard, tokens: Floats) -> tuple[Floats, Floats]:
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
