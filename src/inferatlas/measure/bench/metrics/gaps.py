"""Gaps between tokens and between events, as histograms that can be added and never grow.

`token_gap_s`: the gap before an event divided by the tokens it brought, each of which counts once, so that an event of
four tokens after 36 ms is four gaps of 9 ms. `chunk_gap_s`: the same gap, undivided, counted once. The first event of a
request has no gap before it. A stall shows in both (reference/load-generation.md, sections 2 and 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.measure.bench.metrics.timings import Flags, Floats, Ints, Timings

LOW = 1e-6  # s; below it a gap is only known to be below: two events of one read share their time
HIGH = 1e4  # s, far beyond any timeout
STEP = float(np.log(1.001))  # each class is 0.1 % wide
CLASSES = int(np.ceil(np.log(HIGH / LOW) / STEP))


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Durations in classes 0.1 % wide from 1 µs to 10^4 s; number, sum, least and greatest are exact.

    A quantile is within 0.05 % of that of the values themselves (linear between neighbours, as `numpy.quantile`), or
    within 1 µs below 1 µs. Histograms add up: ``a + b``.

    Parameters
    ----------
    counts : shape (CLASSES + 2,), the first class is what is below, the last what is beyond.
    total : seconds. least, greatest : seconds, infinite where there are no values.

    Examples
    --------
    >>> one = histogram_of([0.01, 0.02, 0.03]) + histogram_of([0.5], [2])
    >>> one.n, round(one.mean, 6), one.greatest, round(float(one.quantile(0.5)), 4)
    (5, 0.212, 0.5, 0.03)
    """

    counts: Ints
    total: float
    least: float
    greatest: float

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return self.total / self.n

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(
            self.counts + other.counts,
            self.total + other.total,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    def quantile(self, q: ArrayLike) -> Floats:
        """The q-quantiles in seconds; NaN where there are no values."""
        q = np.asarray(q, np.float64)
        n = self.n
        if n == 0:
            return np.full(q.shape, np.nan)
        at = q * (n - 1)
        low = np.floor(at)
        below, above = self._ranked(low), self._ranked(np.minimum(low + 1, n - 1))
        return below + (at - low) * (above - below)

    def _ranked(self, rank: Floats) -> Floats:
        """About the value that has so many before it."""
        upto = np.cumsum(self.counts)
        place = np.searchsorted(upto, rank, side="right")
        middle = np.where(place == 0, 0.0, LOW * np.exp(STEP * (place - 0.5)))
        middle = np.where(place > CLASSES, self.greatest, np.clip(middle, self.least, self.greatest))
        return np.where(rank >= upto[-1] - 1, self.greatest, np.where(rank <= 0, self.least, middle))


def histogram_of(values: ArrayLike, weights: ArrayLike | None = None) -> Histogram:
    """The histogram of durations in seconds, shape (m,), each counted ``weights`` times (whole numbers; None: once)."""
    values = np.asarray(values, np.float64)
    if not values.size:
        return Histogram(np.zeros(CLASSES + 2, np.int64), 0.0, np.inf, -np.inf)
    place = np.floor(np.log(np.maximum(values, LOW / 2) / LOW) / STEP).clip(-1, CLASSES).astype(np.int64) + 1
    times = None if weights is None else np.asarray(weights, np.float64)
    counts = np.bincount(place, times, CLASSES + 2).astype(np.int64)
    total = float(values.sum() if times is None else values @ times)
    return Histogram(counts, total, float(values.min()), float(values.max()))


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Gaps of all requests, and of each: ``seconds`` of its gaps, ``tokens`` and ``chunks`` after them, shape (n,).

    ``token_seconds``: of the gaps before events whose tokens are known. ``arrived``: its tokens that arrived in time,
    those of the first event too.
    """

    token: Histogram
    chunk: Histogram
    seconds: Floats
    token_seconds: Floats
    tokens: Floats
    chunks: Floats
    arrived: Floats


def gap_events(timings: Timings, arrived: Callable[[Floats], Flags]) -> tuple[Floats, Floats, Ints]:
    """Gaps before events, tokens of these events, and their requests.

    Parameters
    ----------
    arrived : whether times of arrival, shape (m,), are to be counted.
    """
    if timings.chunk_s.size < 2:
        return np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    owner = timings.owner
    wanted = (owner[1:] == owner[:-1]) & arrived(timings.chunk_s[1:])
    return np.diff(timings.chunk_s)[wanted], timings.chunk_tokens[1:][wanted], owner[1:][wanted]


def gaps_of(parts: Iterable[Timings], arrived: Callable[[Floats], Flags]) -> Gaps:
    """Gaps whose later event arrived in time, over stretches of a run that follow each other.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> one = timings_of({"sent_s": [0.0], "done": [True]}, [0.2, 0.24, 0.28], [1, 4, 4], [0, 3], closed=True)
    >>> found = gaps_of([one], lambda at: at > 0)
    >>> found.token.n, round(found.token.mean, 6), found.chunk.n, round(found.chunk.mean, 6)
    (8, 0.01, 2, 0.04)
    """
    token, chunk = histogram_of(()), histogram_of(())
    each: list[tuple[Floats, ...]] = []
    for part in parts:
        gap, tokens, owner = gap_events(part, arrived)
        known = np.isfinite(tokens)
        counts = np.where(known, tokens, 0.0)
        token += histogram_of(gap[known] / tokens[known], tokens[known])
        chunk += histogram_of(gap)
        n = len(part)
        inside = arrived(part.chunk_s) & np.isfinite(part.chunk_tokens)
        each.append(
            (
                _each(owner, gap, n),
                _each(owner, gap * known, n),
                _each(owner, counts, n),
                _each(owner, np.ones(owner.size), n),
                _each(part.owner[inside], part.chunk_tokens[inside], n),
            )
        )
    return Gaps(token, chunk, *(np.concatenate(one) for one in zip(*each, strict=True)))


def gaps_within(
    parts: Iterable[Timings], arrived: Callable[[Floats], Flags], token_s: Floats, chunk_s: Floats
) -> tuple[Floats, Floats]:
    """How many gaps of each request are at most so long: for ``token_s`` and ``chunk_s``, shape (k,), each (n, k)."""
    found: list[tuple[Floats, Floats]] = []
    for part in parts:
        gap, tokens, owner = gap_events(part, arrived)
        known = np.isfinite(tokens)
        per_token, counts = np.divide(gap, tokens, out=np.zeros_like(gap), where=known), np.where(known, tokens, 0.0)
        upto_token = [_each(owner, counts * (per_token <= one), len(part)) for one in token_s]
        upto_chunk = [_each(owner, gap <= one, len(part)) for one in chunk_s]
        found.append((np.stack(upto_token, axis=1), np.stack(upto_chunk, axis=1)))
    return np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _each(owner: Ints, values: Floats | Flags, n: int) -> Floats:
    """Sums over the events of each request."""
    return np.asarray(np.bincount(owner, values, n), np.float64)
