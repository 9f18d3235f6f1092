"""The largest request rate at which a unit, prefill, decode or mixed, keeps its targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.disaggregation.sides import Index, Side
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.pools import decode_pool, prefill_pool
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.workload import ServiceTarget

DEEP = 1e4  # the lowest rate looked at, as a part of what a unit could do without targets
FINE = 4e-3  # of a rate, whose interval is a hundred times as wide
MIXED = 1.4  # a mixed unit carries at most so many times what its prompts or its answers alone would let it


@dataclass(frozen=True)
class Settings:
    """What is asked, several times: lengths, and the bound of every target [target, setting]."""

    isl: Floats
    osl: Floats
    cv: tuple[float, float]
    targets: tuple[ServiceTarget, ...]
    bounds: Floats

    def __len__(self) -> int:
        return len(self.isl)

    def met(self, s: Index, slack: Floats | float = 1.0, **means_and_cvs: tuple[Floats, Floats]) -> NDArray[np.bool_]:
        """Whether settings s meet the targets on the metrics given as ``ttft=(mean, cv)``; others are not looked at.

        ``slack`` multiplies the bounds.
        """
        ok = np.ones(len(s), dtype=bool)
        for target, bounds in zip(self.targets, self.bounds, strict=True):
            if target.metric in means_and_cvs:
                value = percentile_of(*means_and_cvs[target.metric], target.statistic)
                bound = bounds[s] * slack
                ok &= value <= bound if "=" in target.sense else value < bound
        return ok


@dataclass(frozen=True)
class UnitRates:
    """Largest rates [setting, unit] of prefill, of decode and of mixed units of one side; 0 where there is none."""

    prefill: Floats
    decode: Floats
    mixed: Floats


def largest(ok: Callable[[Floats, Index], NDArray[np.bool_]], top: Floats, tolerance: float = FINE) -> Floats:
    """The largest rates up to ``top`` at which ``ok`` holds, which it does below if it does above; 0 if nowhere.

    ``ok`` is asked with rates and with the places that they belong to, and only where the answer is not settled.
    Most answers lie close to what could be without targets: the first guesses are there.

    Examples
    --------
    >>> largest(lambda rate, at: rate < np.array([2.0, 2.0])[at], np.array([10.0, 1.0])).round(2).tolist()
    [2.0, 1.0]
    """
    top = np.maximum(np.nan_to_num(top), 1e-12)
    low, high = np.zeros_like(top), top.copy()
    open_ = np.arange(len(top))
    for share in (1.0, 0.9, 0.5, 1.0 / DEEP):
        if not open_.size:
            break
        good = ok(share * top[open_], open_)
        low[open_[good]] = share * top[open_[good]]
        open_ = open_[~good]
        high[open_] = share * top[open_]
    open_ = np.flatnonzero((low > 0) & (high > low * (1.0 + tolerance)))
    while open_.size:
        middle = np.sqrt(low[open_] * high[open_])
        good = ok(middle, open_)
        low[open_[good]], high[open_[~good]] = middle[good], middle[~good]
        open_ = open_[high[open_] > low[open_] * (1.0 + tolerance)]
    return low


def unit_rates(ops: Operators, side: Side, asked: Settings, *, roles: Sequence[str]) -> UnitRates:
    """Largest rates of every unit under every setting, each role for itself: no transfer, no latency of the whole.

    ``roles`` of ``prefill``, ``decode``, ``mixed``: the others are 0.
    """
    n, many = len(side.units), len(asked)
    s, u = np.repeat(np.arange(many), n), np.tile(np.arange(n), many)
    zero = np.zeros((many, n))
    if not n:
        return UnitRates(zero, zero, zero)
    tops = unit_tops(ops, side, asked, s, u)

    def found(role: str, top: Floats) -> Floats:
        return largest(lambda rate, at: serves(ops, side, asked, role, s[at], u[at], rate), top).reshape(many, n)

    by_role = dict(zip(("prefill", "decode"), tops, strict=True)) | {"mixed": MIXED * np.minimum(*tops)}
    return UnitRates(
        *(found(role, by_role[role]) if role in roles else zero for role in ("prefill", "decode", "mixed"))
    )


def unit_tops(
    ops: Operators, side: Side, asked: Settings, s: Index, u: Index, row: Index | int = 0
) -> tuple[Floats, Floats]:
    """Requests per second of units that only compute prompts, and of units that only decode, without any target."""
    points = side.points(u, row, np.full(len(u), 1e-9), asked.isl[s], asked.osl[s], asked.cv)
    prefill, decode = prefill_pool(ops, side.table, points), decode_pool(ops, side.table, points)
    return np.where(prefill.reason == 0, prefill.fastest, 0.0), np.where(decode.reason == 0, decode.fastest, 0.0)


def serves(
    ops: Operators, side: Side, asked: Settings, role: str, s: Index, u: Index, rate: Floats, row: Index | int = 0,
    slack: Floats | float = 1.0,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether units serve a rate each within the targets that the role decides."""
    points = side.points(u, row, rate, asked.isl[s], asked.osl[s], asked.cv)
    if role == "prefill":
        pool = prefill_pool(ops, side.table, points)
        return (pool.reason == 0) & asked.met(s, slack, ttft=(pool.ttft_s, pool.ttft_cv))
    if role == "decode":
        pool = decode_pool(ops, side.table, points)
        return (pool.reason == 0) & asked.met(s, slack, itl=(pool.itl_s, pool.itl_cv))
    answers = predict(ops, side.table, points, checked=True)
    means = {
        name: (getattr(answers, f"{name}_s"), getattr(answers, f"{name}_cv").astype(np.float64))
        for name in ("ttft", "itl", "latency")
    }
    return answers.fits & asked.met(s, slack, **means)
