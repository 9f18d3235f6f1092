"""Layouts TP x PP x EP x DP x CP: which are legal, all of them up to a count, or all of one count.

``tp`` and ``pp`` are per replica, ``dp`` the number of replicas, ``ep`` the ranks over which the experts
are spread, ``cp`` the shards of a replica's context; the deployment has tp*pp*dp*cp accelerators. With
ep <= tp the experts of one replica are spread over its ranks; with ep a multiple of tp they are spread over
ep/tp replicas, whose attention stays data-parallel. On cards that an engine sees as several devices, tensor
parallelism inside the card multiplies with tp (equation (4) is applied to the product).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.model import FeedForward
from inferatlas.predict.arrays import Ints
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping import reasons


@dataclass(frozen=True, slots=True)
class Layouts:
    """A struct of arrays of equal length."""

    tp: Ints
    pp: Ints
    ep: Ints
    dp: Ints
    cp: Ints

    def __len__(self) -> int:
        return len(self.tp)

    @property
    def count(self) -> Ints:
        return self.tp * self.pp * self.dp * self.cp


def is_resident(device: Device) -> bool:
    """Whether the model lives in the on-chip memory of a row of chips (static pipeline, wafer)."""
    return device.style in ("static_pipeline", "wafer")


def legal(
    ops: Operators, device: Device, tp: Ints, pp: Ints, ep: Ints, dp: Ints, cp: Ints | int = 1,
    offload: NDArray[np.floating] | float = 0.0,
) -> NDArray[np.int8]:  # fmt: skip
    """Reason code per layout (`reasons`), 0 where it is legal; memory is not looked at here."""
    code = np.zeros(np.broadcast(tp, pp, ep, dp, cp, offload).shape, dtype=np.int8)
    if device.offload is None:
        code[np.broadcast_to(np.asarray(offload) > 0, code.shape)] = reasons.OFFLOAD
    if is_resident(device):
        code[(tp != 1) | (ep != 1) | (np.asarray(cp) != 1)] = reasons.RESIDENT
        return code
    ranks = tp * device.engine_devices
    ok = _blocks_divide(ops, ranks, ep) & np.ones(code.shape, dtype=bool)
    code[~ok] = reasons.HEADS
    if ops.recurrences or ops.whole_prompts or ops.model.encoder:
        code[np.broadcast_to(np.asarray(cp) != 1, code.shape)] = reasons.UNDIVIDED
    code[pp > ops.layers] = reasons.LAYERS
    if ops.experts:
        bad = ((ep > ranks) & ((ep % ranks != 0) | (ranks * dp % ep != 0))) | ((ep <= ranks) & (ranks % ep != 0))
        for row in ops.experts:
            bad = bad | (row.experts % ep != 0)
    else:
        bad = ep != 1
    code[bad] = reasons.EXPERTS
    outside = np.maximum(ranks * cp, ep) > device.domain * device.engine_devices
    if device.scale_out_bytes_per_s is None:
        code[outside & (code == 0)] = reasons.INTERCONNECT
    return code


def _blocks_divide(ops: Operators, ranks: Ints, ep: Ints) -> NDArray[np.bool_]:
    """Whether heads, groups and widths can be divided among the ranks; towers are whole on every rank."""
    ok = np.ones(np.shape(ranks), dtype=bool)
    for row in ops.attentions:
        if row.over == "image":
            continue
        ok &= row.attention.heads % ranks == 0
        if not row.attention.is_mla:
            kv = row.attention.kv_heads
            ok &= (kv % ranks == 0) | (ranks % kv == 0)
    for row in ops.recurrences:
        groups = row.recurrence.groups
        ok &= (row.recurrence.heads % ranks == 0) & ((groups % ranks == 0) | (ranks % groups == 0))
    for group in (*ops.model.layers, *ops.model.encoder):
        if isinstance(group.ffn, FeedForward):
            ok = ok & _width_divides(group.ffn, ranks, ep)
    return ok


def _width_divides(ffn: FeedForward, ranks: Ints, ep: Ints) -> NDArray[np.bool_]:
    split = np.maximum(ranks // np.maximum(ep, 1), 1) if ffn.is_moe else ranks
    ok = ffn.width % split == 0
    if ffn.shared_experts:
        ok &= (ffn.shared_experts * (ffn.shared_width or ffn.width)) % ranks == 0
    return ok


def enumerate_layouts(ops: Operators, device: Device, max_count: int, *, every_count: bool = True) -> Layouts:
    """All legal layouts with 1..``max_count`` accelerators.

    tp runs over the divisors of the query heads inside one scale-up domain, pp over the divisors of the
    layer count and the powers of two, ep over the powers of two and tp itself; dp over every number of
    replicas up to 64 (``every_count``) and the powers of two. Resident machines: pp chips in a row, dp rows.
    """
    if is_resident(device):
        chips = np.arange(1, max_count + 1, dtype=np.int32)
        rows = [(1, int(p), 1, d) for p in chips for d in range(1, max_count // int(p) + 1)]
    else:
        heads = min(_heads(ops), default=1)
        widest = min(max_count, device.domain)
        moe = bool(ops.experts)
        tps = [t for t in range(1, widest + 1) if heads % (t * device.engine_devices) == 0]
        pps = [p for p in range(1, min(max_count, ops.layers) + 1) if ops.layers % p == 0 or p & (p - 1) == 0]
        rows = [
            (t, p, e, d)
            for t in tps
            for p in pps
            if t * p <= max_count
            for d in _replicas(max_count // (t * p), every_count)
            for e in _expert_ranks(moe, t * device.engine_devices, d)
        ]
    table = np.array(rows, dtype=np.int32).reshape(-1, 4)
    tp, pp, ep, dp = (np.ascontiguousarray(table[:, i]) for i in range(4))
    keep = legal(ops, device, tp, pp, ep, dp) == reasons.OK
    return Layouts(tp[keep], pp[keep], ep[keep], dp[keep], np.ones(keep.sum(), dtype=np.int32))


def layouts_of(ops: Operators, device: Device, count: int, *, context: bool = False) -> Layouts:
    """All legal layouts of exactly ``count`` accelerators; ``context``: with shards of the context too.

    tp and pp run over the divisors of ``count`` (tp inside one scale-up domain, pp up to the layers), cp over its
    powers of two, ep as in `enumerate_layouts`; dp is what is left. There may be none.
    """
    divisors = [n for n in range(1, count + 1) if count % n == 0]
    if is_resident(device):
        rows = [(1, p, 1, count // p, 1) for p in divisors]
    else:
        moe = bool(ops.experts)
        rows = [
            (t, p, e, count // (t * p * c), c)
            for t in divisors
            if t <= device.domain
            for p in divisors
            if p <= ops.layers and count % (t * p) == 0
            for c in (divisors if context else [1])
            if c & (c - 1) == 0 and count % (t * p * c) == 0
            for e in _expert_ranks(moe, t * device.engine_devices, count // (t * p * c))
        ]
    table = np.array(rows, dtype=np.int32).reshape(-1, 5)
    tp, pp, ep, dp, cp = (np.ascontiguousarray(table[:, i]) for i in range(5))
    keep = legal(ops, device, tp, pp, ep, dp, cp) == reasons.OK
    return Layouts(tp[keep], pp[keep], ep[keep], dp[keep], cp[keep])


def _heads(ops: Operators) -> Iterator[int]:
    """Of the blocks that ranks divide among them."""
    yield from (row.attention.heads for row in ops.attentions if row.over != "image")
    yield from (row.recurrence.heads for row in ops.recurrences)


EVERY_REPLICA = 64  # beyond, only powers of two: nobody tells 700 replicas from 701


def _replicas(most: int, every: bool) -> list[int]:
    return [d for d in range(1, most + 1) if d & (d - 1) == 0 or (every and d <= EVERY_REPLICA)]


def _expert_ranks(moe: bool, ranks: int, dp: int) -> list[int]:
    if not moe:
        return [1]
    wide = [ranks * d for d in range(2, dp + 1) if dp % d == 0 and d & (d - 1) == 0]
    return sorted({1, ranks, *(e for e in (2, 4, 8, 16, 32, 64) if e < ranks), *wide})
