"""Rank correlation of two orders of the same machines, its spread, and how far errors let each machine move.

In: values of n machines on two sides, larger is better, and draws of them. Out: ranks, Spearman's coefficient with
80 % of its spread, places gained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.priors import Z80

DRAWS, SEED = 1000, 20260101
ENDS = (10.0, 90.0)  # percentiles: 80 %


def places(values: Floats) -> NDArray[np.int64]:
    """The place of each value, 1 for the largest; equals share the better one.

    >>> places(np.array([5.0, 9.0, 5.0, 1.0])).tolist()
    [2, 1, 2, 4]
    """
    return (values[None, :] > values[:, None]).sum(axis=1) + 1


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's coefficient, equals taking their mean rank; NaN where one side is all equal.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
    0.5
    """
    return float(_weighted(x, y, np.ones((1, len(x))))[0])


def spread(x: Floats, y: Floats) -> Interval:
    """The coefficient with 80 % of its spread over machines drawn with replacement (bootstrap, a fixed seed).

    It says whether few machines make it what it is. Samples that are all of one machine are left out.
    """
    n, generator = len(x), np.random.default_rng(SEED)
    samples = generator.multinomial(n, np.full(n, 1.0 / n), size=DRAWS).astype(np.float64)
    low, high = _middle(_weighted(x, y, samples))
    value = rank_correlation(x, y)
    return Interval(min(low, value), value, max(high, value))


def _middle(found: Floats) -> tuple[float, float]:
    known = found[np.isfinite(found)]
    low, high = np.percentile(known, ENDS) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def _weighted(x: Floats, y: Floats, samples: Floats) -> Floats:
    """Spearman's coefficient of every sample, a row each with how often it holds every machine."""
    a, b = _mean_ranks(x, samples), _mean_ranks(y, samples)
    middle = (samples.sum(axis=1, keepdims=True) + 1.0) / 2.0
    a, b = a - middle, b - middle
    both, one, other = ((samples * p * q).sum(axis=1) for p, q in ((a, b), (a, a), (b, b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(one * other)  # of one order with itself exactly 1


def _mean_ranks(values: Floats, samples: Floats) -> Floats:
    """The mean rank of every machine in every sample, among as many copies as the sample holds."""
    _, group = np.unique(values, return_inverse=True)
    size = np.zeros((len(samples), int(group.max()) + 1))
    for machine, g in enumerate(group):
        size[:, g] += samples[:, machine]
    return (np.cumsum(size, axis=1) - (size - 1.0) / 2.0)[:, group]


def draws(intervals: Sequence[Interval], *, higher: bool, seed: int) -> Floats:
    """Values drawn from 80 % intervals (a row a draw), larger is better: each side log-normal with its own width."""
    low, value, high = (np.array([getattr(one, name) for one in intervals]) for name in ("low", "value", "high"))
    z = np.random.default_rng((SEED, seed)).standard_normal((DRAWS, len(value))) / Z80
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(z > 0, z * np.log(high / value), np.where(low > 0, -z * np.log(low / value), -np.inf))
    drawn = np.log(value) + logs
    return drawn if higher else -drawn


def moves(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Least and most places that each machine gains from y to x, 80 % of the pairs of draws of both."""
    gained = _ordered(y) - _ordered(x)
    low, high = np.percentile(gained, ENDS, axis=0)
    return low, high


def under_errors(x: Floats, y: Floats) -> tuple[float, float]:
    """80 % of the rank correlations of the pairs of draws."""
    a, b = (ranks - (ranks.shape[1] + 1) / 2.0 for ranks in (_ordered(x), _ordered(y)))
    return _middle((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))


def _ordered(drawn: Floats) -> Floats:
    """Rank of each machine in each draw, 1 for the largest."""
    order = np.argsort(-drawn, axis=1, kind="stable")
    ranks = np.empty(drawn.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, drawn.shape[1] + 1)[None, :].repeat(len(drawn), axis=0), axis=1)
    return ranks
