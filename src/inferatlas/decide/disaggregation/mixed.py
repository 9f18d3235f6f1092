"""Fleets that do both phases on the same machines: what a split is measured against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.decide.disaggregation.doubt import COARSE, ROWS
from inferatlas.decide.disaggregation.rates import MIXED, Settings, UnitRates, largest, serves, unit_tops
from inferatlas.decide.disaggregation.sides import Index, Side
from inferatlas.decide.disaggregation.splits import Pair, pool_rates
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators


@dataclass(frozen=True)
class Share:
    """Accelerators of one side in a fleet: best unit and copies per setting, rate [row of the table, setting]."""

    side: Side
    count: int
    unit: Index
    copies: Index
    rate: Floats


@dataclass(frozen=True)
class Fleet:
    """A mixed fleet: its name, its shares, its rate [scenario, setting]; requests go to shares by what they carry."""

    name: str
    shares: tuple[Share, ...]
    rate: Floats


def fleets(
    pair: Pair, asked: Settings, rates: tuple[UnitRates, UnitRates], count: int, rows: list[tuple[int, int, float]]
) -> list[Fleet]:
    """All of the prefill part, all of the decode part, half of each; of one part on both sides, all of it.

    ``rows``: scenarios (`doubt.scenarios`). A fleet larger than the cluster it is from is left out.
    """
    first, second = (pair.prefill, rates[0]), (pair.decode, rates[1])
    if pair.prefill is pair.decode:
        options = [("mixed", [(*first, count)])]
    else:
        halves = [(*first, count // 2), (*second, count - count // 2)]
        options = [("all prefill part", [(*first, count)]), ("all decode part", [(*second, count)]), ("half", halves)]
    options = [(name, parts) for name, parts in options if all(1 <= n <= side.most for side, _, n in parts)]
    held: dict[tuple[int, int], Share] = {}
    for side, unit in (first, second) if pair.prefill is not pair.decode else (first,):
        counts = sorted({n for _, parts in options for other, _, n in parts if other is side})
        held |= {(id(side), n): share for n, share in _shares(pair.ops, side, asked, unit.mixed, counts).items()}
    out = []
    for name, parts in options:
        shares = tuple(held[id(side), n] for side, _, n in parts)
        each = [
            share.rate[[(p if share.side is pair.prefill else d) for p, d, _ in rows]] for share in shares
        ]  # fmt: skip
        out.append(Fleet(name, shares, np.sum(each, axis=0)))
    return out


def _shares(ops: Operators, side: Side, asked: Settings, units: Floats, counts: list[int]) -> dict[int, Share]:
    """By accelerators: the best unit of every setting, its copies and rate; with other rows, that of the best rival.

    All counts are searched together: a pass costs much the same for few points and for many.
    """
    if not counts:
        return {}
    value, which = pool_rates(units, side.units.size, max(counts))
    value, which = value[:, counts, :], which[:, counts, :]  # [setting, count, rival]
    row = np.repeat(np.arange(1, ROWS), which.size)
    s = np.tile(np.repeat(np.arange(len(asked)), which[0].size), ROWS - 1)
    u = np.tile(which.ravel(), ROWS - 1)
    top = MIXED * np.minimum(*unit_tops(ops, side, asked, s, u, row))
    found = largest(lambda rate, at: serves(ops, side, asked, "mixed", s[at], u[at], rate, row[at]), top, COARSE)
    found = found.reshape(ROWS - 1, *which.shape)
    out = {}
    for k, count in enumerate(counts):
        copies = count // side.units.size[which[:, k]]
        rate = np.concatenate([value[None, :, k, 0], (found[:, :, k] * copies).max(axis=2)])
        rate = np.where(value[:, k, 0] > 0, rate, 0.0)
        out[count] = Share(side, count, which[:, k, 0], copies[:, 0], rate)
    return out
