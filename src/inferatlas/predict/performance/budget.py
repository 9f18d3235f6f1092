"""Memory of design points: what weights, cache, drafts and activations take, what waits elsewhere, and what fits then.

Equations (4), (32) and (33). ``predictor`` asks it of every chunk of points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping import memory, reasons
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.shard import Shard, shard_of
from inferatlas.predict.performance.speculation import Speculation, own_head


def budget_of(
    ops: Operators, table: PlatformTable, points: Points, redundant: int = 0, speculation: Speculation | None = None
) -> memory.Budget:
    """Memory of points that are all on machines with the model in on-chip memory, or none; ``redundant`` experts."""
    row = table.rows(points.platform)
    resident = bool(table.resident[points.platform[0]])
    return memory_budget(ops, row, shard_of(row, points), points, resident, redundant, speculation)


@dataclass(frozen=True, slots=True)
class _Cache:
    """Bytes of the KV cache and states on one device: of a sequence at its mean and full length, and shared by all."""

    mean: Floats
    longest: Floats
    shared: Floats

    def plus(self, other: _Cache) -> _Cache:
        return _Cache(self.mean + other.mean, self.longest + other.longest, self.shared + other.shared)


def memory_budget(
    ops: Operators, row: PlatformTable, shard: Shard, points: Points, resident: bool, redundant: int = 0,
    speculation: Speculation | None = None,
) -> memory.Budget:  # fmt: skip
    """Memory per engine device and the sequences that fit, equations (4), (32), (33)."""
    held = partial(
        memory.weight_bytes, ops, shard.ranks_f, shard.stages_f, shard.ep_f, row.bytes_w, row.bytes_wide,
        row.bytes_dense, resident=resident, redundant=redundant,
    )  # fmt: skip
    weights, cache = held(), _cache(ops, row, shard, points, resident)
    # of what streams in, every stage needs the room of two layers; chips that hold part of one have none to spare
    spare = np.maximum(1.0 - 2.0 * shard.stages_f / ops.layers, 0.0)
    behind, waiting = row.tier_bytes.sum(axis=1), np.zeros_like(weights)
    if shard.offload is not None:
        waiting = held(tables=False) * shard.offload
        weights = weights - waiting * spare
    kv_waiting, in_tiers = np.zeros_like(cache.mean), np.full_like(cache.mean, np.inf)
    if shard.kv_offload is not None:
        kv_waiting = shard.kv_offload * cache.mean
        room = np.maximum(behind - waiting, 0.0)
        in_tiers = np.where(kv_waiting > 0, room / np.maximum(kv_waiting, 1e-9), np.inf)
        kept = 1.0 - shard.kv_offload * spare
        cache = _Cache(cache.mean * kept, cache.longest * kept, cache.shared)
    if speculation is not None and speculation.gamma:
        drafts = speculation.draft or own_head(ops.model)
        weights = weights + _draft_weights(drafts, row, shard, resident, own=speculation.draft is None)
        cache = cache.plus(_cache(drafts, row, shard, points, resident))
    activations = _activations(ops, row, shard, points, resident)
    taken = weights + activations + row.reserve + cache.shared
    # the fraction is of all memory, or of what is free once the weights are loaded
    left = np.where(row.of_free > 0, (row.capacity - taken) * row.fraction, row.capacity * row.fraction - taken)
    fits = np.where(cache.mean > 0, np.maximum(np.floor(left / np.maximum(cache.mean, 1e-9)), 1.0), np.inf)
    sequences = np.where((left > 0) & (cache.longest <= left), fits, 0.0)
    full = (waiting > behind) | (in_tiers < 1.0)
    sequences = np.where(full, 0.0, np.minimum(sequences, np.floor(in_tiers)))
    return memory.Budget(
        weights, activations, row.reserve + cache.shared, row.capacity, taken + left, cache.mean, cache.longest,
        sequences, full, kv_waiting,
    )  # fmt: skip


def _cache(ops: Operators, row: PlatformTable, shard: Shard, points: Points, resident: bool) -> _Cache:
    """What sequences keep of a model. Of a shared prefix each keeps the state and what windows hold beyond it."""
    kind = row.dies.dtype
    tokens, output, prefix = (x.astype(kind) for x in (points.input_tokens, points.output_tokens, points.prefix))
    ranks = np.ones_like(tokens) if resident else shard.ranks_f

    def held(length: Floats) -> Floats:
        kept = memory.kv_bytes(
            ops, ranks, shard.stages_f, length, row.bytes_kv, block=row.block, resident=resident, source=tokens
        )
        return kept if shard.cp_f is None else kept / shard.cp_f

    shared = held(prefix) * (prefix > 0) if points.prefix.any() else np.zeros_like(prefix)
    return _Cache(held(tokens + 0.5 * output - prefix), held(tokens + output - prefix), shared)


def _draft_weights(drafts: Operators, row: PlatformTable, shard: Shard, resident: bool, *, own: bool) -> Floats:
    """A model whole on every stage, or all over a row of chips; a head of the model's ``own`` has no tables."""
    return memory.weight_bytes(
        drafts, shard.ranks_f, shard.stages_f if resident else 1.0, 1.0, row.bytes_w, row.bytes_wide,
        row.bytes_dense, resident=resident, tables=not own,
    )  # fmt: skip


def _activations(ops: Operators, row: PlatformTable, shard: Shard, points: Points, resident: bool) -> Floats:
    """Of a step: its token budget, or a whole prompt where that cannot be cut; one token where layers follow."""
    tokens = points.input_tokens.astype(row.dies.dtype)
    if resident:
        return memory.activation_bytes(ops, shard.ranks_f, np.ones_like(tokens), row.bytes_a) / shard.stages_f
    at_once = np.inf if ops.whole_prompts else row.step_tokens
    return memory.activation_bytes(ops, shard.ranks_f, np.minimum(at_once, np.maximum(tokens, 256.0)), row.bytes_a)


def memory_reason(budget: memory.Budget) -> NDArray[np.int8]:
    """Why memory does not do, by `reasons`; 0 where it does."""
    over = budget.weights + budget.activations + budget.reserve > budget.usable
    code = np.where(over, reasons.WEIGHTS, np.where(budget.sequences < 1, reasons.KV_CACHE, 0))
    return np.where((code == reasons.KV_CACHE) & budget.tiers_full, reasons.TIERS, code).astype(np.int8)
