"""Weights and cache that wait in slower memory: how they spread over its tiers and what no work hides, (28) to (30).

What is read least often leaves the main memory first: experts, of which a step reads only those that its tokens take,
the least popular before the others; then dense weights. The tables of embedding and head stay. In the tiers what every
step reads is spread so that all of them end together, as far as they hold it, equation (29); experts go to what is left
of the fastest tier if it holds them all and that costs less (requests for them wait for the latency of every tier that
they are in), else they are spread too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import distinct_uniform, inclusion
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.mapping.memory import weight_bytes
from inferatlas.predict.performance.parts import Sink
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in slower memory: arrays of one row a point, one column a tier, the fastest first.

    ``hot`` bytes of weights that every step reads, ``cold`` bytes of experts, both through all stages of one engine
    device; ``hot_held`` and ``cold_held`` the shares of each in a tier, ``byte_s`` its seconds per byte. ``first``:
    whether the fastest tier holds all the experts. ``late_s``: what requests for experts, made once the router has
    chosen, wait for latency in one step, in the tiers that hold them and in the fastest. ``share`` of the experts that
    waits.
    """

    hot: Floats
    cold: Floats
    hot_held: Floats
    cold_held: Floats
    byte_s: Floats
    first: NDArray[np.bool_]
    late_s: tuple[Floats, Floats]
    share: Floats
    routing: Routing

    @property
    def held(self) -> Floats:
        """Bytes of weights in each tier, through all stages of one engine device."""
        return self.hot[:, None] * self.hot_held + self.cold[:, None] * self.cold_held

    def everything(self, cache_bytes: Floats) -> Floats:
        """Seconds of the busiest tier to bring all weights that wait, and ``cache_bytes``."""
        return ((self.held + cache_bytes[:, None] * self.hot_held) * self.byte_s).max(axis=1)

    def every_step(self, cache_bytes: Floats) -> Floats:
        """The same without the experts."""
        return ((self.hot + cache_bytes)[:, None] * self.hot_held * self.byte_s).max(axis=1)

    def experts(self, touched: Floats) -> Floats:
        """Of a share of the waiting experts alone, latency included: spread over the tiers or all in the fastest."""
        some = self.cold * touched
        spread = (some[:, None] * self.cold_held * self.byte_s).max(axis=1) + self.late_s[0]
        return np.minimum(spread, np.where(self.first, some * self.byte_s[:, 0] + self.late_s[1], np.inf))


def waiting_of(
    ops: Operators, row: PlatformTable, shard: Shard, cache_bytes: Floats | float = 0.0, routing: Routing = UNIFORM
) -> Waiting | None:
    """Spread what waits over the tiers; None where nothing does.

    ``cache_bytes``: of the KV cache, per engine device, that waits too and takes its room in the tiers. Every stage
    streams its own part over its own devices, one after the other for one micro-batch.
    """
    if shard.offload is None and shard.kv_offload is None:
        return None
    kind, none = shard.ranks_f.dtype, np.zeros_like(shard.ranks_f)
    share = none if shard.offload is None else shard.offload
    whole, routed = offloadable(ops, row, shard, routing.redundant)
    stages = shard.stages_f
    turns = turns_of(ops, stages, resident=bool(row.resident.all()))
    whole, routed, stages = whole / stages * turns, routed / stages * turns, turns
    out = share * whole
    cold = np.minimum(out, routed)
    hot = out - cold
    room, rate = row.tier_bytes, row.tier_rate
    held = _together((hot / stages) + cache_bytes, room, rate)
    left = np.maximum(room - held, 0.0)
    rest = _together(cold / stages, left, rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_byte = np.where(rate > 0, 1.0 / rate, 0.0)
    blocks = float(sum(op.count for op in ops.experts)) * (cold > 0)
    late = np.where(rest > 0, row.tier_latency, 0.0).max(axis=1), row.tier_latency[:, 0]
    held, rest = (
        x / np.maximum(of, 1e-9)[:, None] for x, of in ((held, hot / stages + cache_bytes), (rest, cold / stages))
    )
    shares = np.where(routed > 0, cold / np.maximum(routed, 1.0), 0.0)
    return Waiting(
        hot, cold, held.astype(kind), rest.astype(kind), per_byte.astype(kind), cold / stages <= left[:, 0],
        ((late[0] * blocks).astype(kind), (late[1] * blocks).astype(kind)), shares, routing,
    )  # fmt: skip


def turns_of(ops: Operators, stages: Floats, *, resident: bool) -> Floats:
    """Groups of engine devices that stream one after the other: the stages, each with all its ranks.

    On a longer row of chips than layers, those of one layer stream together, those of the next when the token is there.
    """
    return np.minimum(stages, float(ops.layers)) if resident else stages


def offloadable(ops: Operators, row: PlatformTable, shard: Shard, redundant: int = 0) -> tuple[Floats, Floats]:
    """Bytes of the layers' weights, and of the experts among them, through all stages of one engine device."""
    whole = weight_bytes(
        ops, shard.ranks_f, 1.0, shard.ep_f, row.bytes_w, row.bytes_wide, row.bytes_dense, redundant=redundant,
        tables=False,
    )  # fmt: skip
    routed = sum(op.count * op.experts * op.weights for op in ops.experts) * row.bytes_w
    return whole, routed / np.maximum(shard.ranks_f, shard.ep_f) + np.zeros_like(whole)


def _together(size: Floats, room: Floats, rate: Floats) -> Floats:
    """Bytes by tier so that all tiers end together, equation (29): ``W_i/ΣW``, as far as each has room.

    A tier that would hold more than it has is full, and the others share what is left by their rates. Tiers fill in the
    order of the time that reading them whole takes.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        fill = np.where(rate > 0, room / rate, np.inf)
    order = np.argsort(fill, axis=1)
    held, left, together = np.zeros_like(rate), size.copy(), rate.sum(axis=1)
    points = np.arange(len(size))
    for k in range(rate.shape[1]):
        at = order[:, k]
        mine = np.minimum(left * rate[points, at] / np.maximum(together, 1e-9), room[points, at])
        held[points, at] = mine
        left, together = left - mine, together - rate[points, at]
    return held


def exposed(p: Waiting, ops: Operators, busy: Floats, cache_bytes: Floats, tokens: Floats, sink: Sink | None) -> Floats:
    """Seconds of a step that streaming adds, equation (28): ``t_load(1) + Σ max(t_layer, bytes_off/W)`` less the work.

    All of it a layer ahead, or experts only once the router has chosen those that the tokens take (nothing hides
    these, and each block waits for the latency of its requests): whichever is less.
    """
    out = hidden_behind(p.everything(cache_bytes), busy, ops.layers)
    if p.share.any():
        on_demand = hidden_behind(p.every_step(cache_bytes), busy, ops.layers)
        on_demand = on_demand + p.experts(touched_share(p, ops, tokens))
        out = np.minimum(out, on_demand)
    if sink is not None:
        sink("slower memory", ops.layers, network=out)
    return out


def hidden_behind(stream: Floats, busy: Floats, layers: int) -> Floats:
    """What no work hides of a stream fetched a layer ahead: its first layer, and what outlasts the work."""
    return stream / layers + np.maximum(stream - busy, 0.0)


def touched_share(p: Waiting, ops: Operators, tokens: Floats) -> Floats:
    """Share of the waiting experts that a step's tokens take, equations (13) and (14); the least popular wait."""
    op = ops.experts[0]
    seen = np.maximum(tokens, 0.0)
    if not p.routing.is_skewed:
        return distinct_uniform(op.experts, op.top_k, seen) / op.experts
    rare = np.sort(inclusion(p.routing.weights(op.experts), op.top_k))
    taken = np.cumsum(1.0 - (1.0 - rare) ** seen[:, None], axis=1)  # of the rarest so many experts
    many = np.clip(np.rint(p.share * op.experts), 1, op.experts).astype(np.intp)
    return (taken[np.arange(len(many)), many - 1] / many).astype(seen.dtype)
