"""The functions of expressions: what they give, what they do to units, and where they can lie between ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferatlas.decide.regimes.ranks import rank_correlation

Number = float | np.ndarray
Span = tuple[Number, Number]  # the least and the most that something can be


@dataclass(frozen=True, slots=True)
class Function:
    """A function of an expression.

    ``unit``: what it gives is in the unit of its arguments (same), its root (root), or a bare number (ratio);
    pure: the arguments are bare numbers too; pair: they are two columns of any units.
    ``span``: of spans of its arguments the span of what it gives.
    """

    value: Callable[..., Any]
    unit: str
    fewest: int
    most: int
    span: Callable[..., Span]


def _over(function: Callable[[np.ndarray], Any]) -> Callable[..., float]:
    """A function over one vector or several numbers; entries that are not stated drop out."""

    def of(*values: Number) -> float:
        all_ = np.concatenate([np.atleast_1d(value) for value in values])
        there = all_[np.isfinite(all_)]
        return float(function(there)) if len(there) else math.nan

    return of


def _rising(function: Callable[..., Any]) -> Callable[..., Span]:
    """The span of what grows with each of its arguments, and with each of their entries."""

    def of(*spans: Span) -> Span:
        return function(*(low for low, _ in spans)), function(*(high for _, high in spans))

    return of


def rising(value: Callable[..., Any], unit: str, most: int = 1) -> Function:
    """A function that grows with each of its arguments."""
    return Function(value, unit, 1, most, _rising(value))


def of_abs(span: Span) -> Span:
    """Where a magnitude lies; 0 where the span holds it."""
    low, high = span
    return np.maximum(0.0, np.maximum(low, -np.asarray(high))), np.maximum(np.abs(low), np.abs(high))


_MIN, _MAX = _over(np.min), _over(np.max)


def _of_spread(*spans: Span) -> Span:
    """Largest over smallest, every entry anywhere in its own span."""
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    if not _MIN(*lows) > 0:
        return -math.inf, math.inf
    return max(1.0, _MAX(*lows) / _MIN(*highs)), _MAX(*highs) / _MIN(*lows)


def _paired(x: Number, y: Number) -> tuple[np.ndarray, np.ndarray]:
    """The entries that both vectors have; a correlation takes three."""
    x, y = np.broadcast_arrays(np.atleast_1d(x), np.atleast_1d(y))
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]


def _corr(x: Number, y: Number) -> float:
    a, b = _paired(x, y)
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and np.ptp(a) and np.ptp(b) else math.nan


def _spearman(x: Number, y: Number) -> float:
    a, b = _paired(x, y)
    return rank_correlation(a, b) if len(a) > 2 and np.ptp(a) and np.ptp(b) else math.nan


def _shaken(function: Callable[[Number, Number], float]) -> Callable[[Span, Span], Span]:
    """The span of a correlation: what each entry changes by itself between its ends, added up (to first order)."""

    def of(*spans: Span) -> Span:
        columns = [np.atleast_1d(np.add(low, high) / 2) for low, high in spans]
        middle, moved = function(*columns), 0.0
        for k, (low, high) in enumerate(spans):
            ends = np.broadcast_arrays(np.atleast_1d(low), np.atleast_1d(high))
            for i in np.flatnonzero(ends[0] != ends[1]):
                changes = []
                for end in ends:
                    other = [column.copy() for column in columns]
                    other[k][i] = end[i]
                    changes.append(abs(function(*other) - middle))
                moved += np.nanmax([0.0, *changes])
        return max(-1.0, middle - moved), min(1.0, middle + moved)

    return of


FUNCTIONS: dict[str, Function] = {
    "min": rising(_MIN, "same", 20), "max": rising(_MAX, "same", 20),
    "sum": rising(_over(np.sum), "same", 20), "mean": rising(_over(np.mean), "same", 20),
    "median": rising(_over(np.median), "same", 20),
    "spread": Function(_over(lambda x: x.max() / x.min()), "ratio", 1, 20, _of_spread),
    "count": rising(_over(len), "ratio", 20),
    "abs": Function(np.abs, "same", 1, 1, of_abs), "sqrt": rising(np.sqrt, "root"),
    "ceil": rising(np.ceil, "pure"), "floor": rising(np.floor, "pure"),
    "log": rising(np.log, "pure"), "exp": rising(np.exp, "pure"),
    "corr": Function(_corr, "pair", 2, 2, _shaken(_corr)),
    "spearman": Function(_spearman, "pair", 2, 2, _shaken(_spearman)),
}  # fmt: skip
