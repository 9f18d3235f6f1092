"""What an answer says about its techniques: what they assume, how much drafting gains, what lies in which memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.memories import tier_energy
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.speculation import MOST_DRAFTED, Speculation
from inferatlas.predict.performance.waiting import turns_of, waiting_of
from inferatlas.workload import Workload

MOST_TRIED = 16  # drafted tokens


def assumed(
    drafts: Speculation | None, load: Workload, keep: int | None, read: int | None, images: int, seen: int
) -> Iterator[str]:
    """What an answer assumes about drafts, shared prefixes, a smaller cache and images."""
    if drafts is not None:
        who = drafts.draft.model.id if drafts.draft else "a head of one layer of the model's own"
        yield (
            f"speculative decoding: {who} drafts {drafts.gamma} tokens of which each is accepted with probability "
            f"{drafts.acceptance:g}: {drafts.tokens:.3g} tokens per verification; the acceptance is yours"
        )
    if load.prefix_tokens:
        yield f"{load.prefix_tokens:g} tokens of every prompt are shared, held once and never computed"
    if keep is not None:
        yield f"no more than {keep:,} tokens of a context are kept, whatever that does to quality"
    if read is not None:
        yield f"no query reads more than {read:,} tokens, chosen at no cost, whatever that does to quality"
    if images:
        yield f"{images} image{'s' if images > 1 else ''} a prompt are {seen:,} of its input tokens, after the tower"


def drafting(ops: Operators, table: PlatformTable, point: Points, how: Speculation) -> dict[str, Any]:
    """What speculation gains at this load: latency and ITL against none, and the best number of drafts, equation (48).

    The integer search keeps acceptance, width and the draft model as they are.
    """
    most = min(MOST_TRIED, MOST_DRAFTED // how.width)
    tried = [(g, predict(ops, table, point, speculation=replace(how, gamma=g))) for g in range(most + 1)]
    latency = {g: float(found.latency_s[0]) for g, found in tried if found.fits[0]}
    plain, mine = (dict(tried).get(g) for g in (0, how.gamma))
    best = min(latency, key=lambda g: latency[g]) if latency else None
    out: dict[str, Any] = {
        "gamma": how.gamma, "acceptance": how.acceptance, "width": how.width, "tokens_per_verification": how.tokens,
        "best_gamma": best, "latency_s_by_gamma": latency,
    }  # fmt: skip
    if plain is not None and plain.fits[0]:
        mine = mine or predict(ops, table, point, speculation=how)
        gain = {"latency": plain.latency_s[0] / mine.latency_s[0], "itl": plain.itl_s[0] / mine.itl_s[0]}
        out["speed_up"] = {name: float(value) if np.isfinite(value) else None for name, value in gain.items()}
    return out


def memories(ops: Operators, table: PlatformTable, point: Points, found: Predictions) -> list[dict[str, Any]]:
    """What waits in each memory behind the main one of a device: bytes, and power of the stream at most.

    Power is of all devices, as if all that waits came with every step; rates are of one engine device.
    """
    row = table.rows(point.platform)
    shard = shard_of(row, point)
    budget = budget_of(ops, table, point)
    batch = max(float(np.nan_to_num(found.batch[0])), 1.0)
    cache = float(budget.kv_waiting[0]) * batch
    waiting = waiting_of(ops, row, shard, cache)
    if waiting is None:
        return []
    turns = float(turns_of(ops, shard.stages_f, resident=bool(row.resident.all()))[0])
    weights, cached = waiting.held[0] / turns, cache * waiting.hot_held[0]
    devices = float(point.accelerators[0] * row.dies[0])
    step_s = max(float(np.nan_to_num(found.itl_s[0], nan=np.inf)), 1e-12)
    out = []
    for k, tier in enumerate(table.platforms[0].device.behind):
        moved = float(weights[k] * turns + cached[k])
        out.append(
            {
                "name": tier.name, "weights_bytes": float(weights[k]), "kv_bytes": float(cached[k]),
                "capacity_bytes": tier.bytes / float(row.dies[0]), "bytes_per_s": float(row.tier_rate[0, k]),
                "power_w_at_most": moved * tier_energy(tier.name) / step_s * devices,
            }
        )  # fmt: skip
    return out
