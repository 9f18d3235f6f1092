"""95 % intervals by bootstrap over blocks of requests, with a cost that does not grow with the number of requests.

In open loop a block is one request; in a closed loop it is a round of the N users, because requests that run together
depend on each other. Beyond `MOST_BLOCKS` neighbouring blocks are joined, which keeps what they depend on together.
Means and coefficients of variation are computed again for every draw. Percentiles are found as Woodruff did
(1952, Journal of the American Statistical Association 47, 635): what is drawn is the share of values up to the
percentile, and the values at the ends of its interval are the answer; an end that the sample does not reach is None.
Few blocks give intervals that are too narrow; quantiles of draws are taken further out by the ratio that makes them
right for a mean (Hesterberg 2015, https://arxiv.org/abs/1411.5279, section 5.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.bench.metrics.timings import Floats

Interval = tuple[float | None, float | None]
DRAWS = 1000
MOST_BLOCKS = 1000
FEWEST_BLOCKS = 5  # with fewer nothing is said
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Requests in blocks, and how often each block was drawn.

    Parameters
    ----------
    of : shape (n,), the block of each request. many : blocks.
    drawn : shape (draws, many). ends : quantiles of the draws that are the ends of an interval.
    """

    of: NDArray[np.int64]
    many: int
    drawn: Floats
    ends: tuple[float, float]

    def sums(self, values: Floats) -> Floats:
        """Sums over each draw of values, shape (n,) or (n, k): (draws,) or (draws, k)."""
        if values.ndim == 1:
            return self.drawn @ np.bincount(self.of, values, self.many)
        return self.drawn @ np.stack([np.bincount(self.of, one, self.many) for one in values.T], axis=1)


def blocks_of(clock_s: Floats, length: int = 1, *, draws: int = DRAWS, seed: int = 0) -> Blocks | None:
    """Blocks of ``length`` neighbours in time; None where they are too few.

    Parameters
    ----------
    clock_s : shape (n,), when each request began. length : requests of a block: of a closed loop, its users.
    seed : of the draws, so that the same record always gives the same interval.
    """
    from scipy import special

    n = clock_s.size
    many = min(n // max(length, 1), MOST_BLOCKS)
    if many < FEWEST_BLOCKS:
        return None
    of = np.empty(n, np.int64)
    rounds = n // max(length, 1)  # what is left over at the end belongs to the last round
    of[np.argsort(clock_s, kind="stable")] = np.minimum(np.arange(n) // max(length, 1), rounds - 1) * many // rounds
    random = np.random.default_rng(seed)
    chosen = random.integers(0, many, (draws, many)) + many * np.arange(draws)[:, None]
    drawn = np.bincount(chosen.ravel(), minlength=draws * many).reshape(draws, many).astype(np.float64)
    tail = float(special.ndtr(-((many / (many - 1)) ** 0.5) * special.stdtrit(many - 1, (1 + LEVEL) / 2)))
    return Blocks(of, many, drawn, (tail, 1 - tail))


def ratio_interval(blocks: Blocks | None, above: Floats, below: Floats) -> Interval | None:
    """Interval of a sum over a sum, such as a mean: values over how many there are; shape (n,) each."""
    if blocks is None:
        return None
    numbers = blocks.sums(below)
    found = blocks.sums(above)[numbers > 0] / numbers[numbers > 0]
    return _ends(found, blocks)


def variation_interval(blocks: Blocks | None, values: Floats) -> Interval | None:
    """Interval of standard deviation over mean, of the values that are known."""
    if blocks is None:
        return None
    known = np.isfinite(values)
    if not known.any():
        return None
    scaled = np.where(known, values / np.mean(values[known]) - 1.0, 0.0)  # about 0, where squares lose no digits
    sums = blocks.sums(np.stack([known.astype(np.float64), scaled, scaled * scaled], axis=1))
    count, first, second = sums[sums[:, 0] > 0].T
    spread = np.sqrt(np.maximum(second / count - (first / count) ** 2, 0.0))
    return _ends(spread / (1.0 + first / count), blocks)


def percentile_intervals(
    blocks: Blocks | None, upto: Floats, counts: Floats, q: Floats, value_at: Callable[[Floats], Floats]
) -> list[Interval | None]:
    """Intervals of percentiles.

    Parameters
    ----------
    upto : shape (n, k), how many values of each request are at most the q-th percentile of all.
    counts : shape (n,), how many values each request has.
    q : shape (k,), from 0 to 1. value_at : the values at such shares of all values.
    """
    if blocks is None or not counts.any():
        return [None] * q.size
    numbers = blocks.sums(counts)
    shares = (blocks.sums(upto)[numbers > 0] / numbers[numbers > 0][:, None]) - upto.sum(axis=0) / counts.sum()
    low, high = np.quantile(shares, blocks.ends, axis=0)
    ranks = np.stack([q - high, q - low])
    values = value_at(np.clip(ranks, 0.0, 1.0))
    # an end at the very edge is only known to lie beyond: half a value's share tells rounding from reaching it
    edge = 0.5 / float(counts.sum())
    reached = (ranks > -edge) & (ranks < 1.0 + edge)
    return [(_or_none(values[0, k], reached[0, k]), _or_none(values[1, k], reached[1, k])) for k in range(q.size)]


def value_intervals(blocks: Blocks | None, values: Floats, q: Floats) -> tuple[Interval | None, list[Interval | None]]:
    """Intervals of the mean and of percentiles of one value per request, NaN where it has none.

    Examples
    --------
    >>> values = np.arange(1000.0)
    >>> mean, (p50, p99) = value_intervals(blocks_of(values), values, np.array([0.5, 0.99]))
    >>> [round(one, -1) for one in (*mean, *p50)], p99[1] > 989
    ([480.0, 520.0, 470.0, 530.0], True)
    """
    known = np.isfinite(values)
    if blocks is None or not known.any():
        return None, [None] * q.size
    ordered = np.sort(values[known])
    counts = known.astype(np.float64)
    upto = (np.where(known, values, np.inf)[:, None] <= np.quantile(ordered, q)).astype(np.float64)
    mean = ratio_interval(blocks, np.where(known, values, 0.0), counts)
    return mean, percentile_intervals(blocks, upto, counts, q, lambda at: np.quantile(ordered, at))


def student_interval(values: Floats) -> Interval | None:
    """Interval of the mean of independent values, shape (k,), by Student's t; None for fewer than two.

    >>> student_interval(np.array([1.0, 2.0, 3.0]))
    (-0.48..., 4.48...)
    """
    from scipy import special

    k = values.size
    if k < 2:
        return None
    half = float(special.stdtrit(k - 1, (1 + LEVEL) / 2)) * float(values.std(ddof=1)) / k**0.5
    return float(values.mean()) - half, float(values.mean()) + half


def _ends(draws: Floats, blocks: Blocks) -> Interval | None:
    if not draws.size:
        return None
    low, high = np.quantile(draws, blocks.ends)
    return float(low), float(high)


def _or_none(value: float, known: np.bool_) -> float | None:
    return float(value) if known else None
