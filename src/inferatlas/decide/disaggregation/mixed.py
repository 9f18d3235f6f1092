"""Fleets that do both phases on the same machines: what a split is measured against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.decide.disaggregation.doubt import ROWS
from inferatlas.decide.disaggregation.rates import MIXED, Settings, UnitRates, largest, serves, unit_tops
from inferatlas.decide.disaggregation.sides import Side
from inferatlas.decide.disaggregation.splits import Pair, pool_rates
from inferatlas.predict.arrays import Floats, Ints
from inferatlas.predict.llm.operators import Operators


@dataclass(frozen=True)
class Share:
    """Accelerators of one side in a fleet: best unit and copies per setting, rate [row of the side's table, setting]."""

    side: Side
    count: int
    unit: Ints
    copies: Ints
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
    out = []
    for name, parts in options:
        if any(n > side.most or n < 1 for side, _, n in parts):
            continue
        shares = tuple(_share(pair.ops, side, asked, unit.mixed, n) for side, unit, n in parts)
        each = [
            share.rate[[(p if share.side is pair.prefill else d) for p, d, _ in rows]] for share in shares
        ]  # fmt: skip
        out.append(Fleet(name, shares, np.sum(each, axis=0)))
    return out


def _share(ops: Operators, side: Side, asked: Settings, units: Floats, count: int) -> Share:
    """The best unit of every setting, its copies, and their rate with every row of the side's table."""
    value, which = pool_rates(units, side.units.size, count)
    unit, base = which[:, count, 0], value[:, count, 0]
    copies = count // side.units.size[unit]
    row = np.repeat(np.arange(1, ROWS), len(asked))
    s, u = np.tile(np.arange(len(asked)), ROWS - 1), np.tile(unit, ROWS - 1)
    top = MIXED * np.minimum(*unit_tops(ops, side, asked, s, u, row))
    found = largest(lambda rate: serves(ops, side, asked, "mixed", s, u, rate, row), top)
    rate = np.concatenate([base[None, :], found.reshape(ROWS - 1, -1) * copies[None, :]])
    return Share(side, count, unit, copies, np.where(base > 0, rate, 0.0))
