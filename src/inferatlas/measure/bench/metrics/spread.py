"""A distribution in a few numbers, with how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferatlas.measure.bench.metrics.gaps import Histogram, gaps_of, gaps_within
from inferatlas.measure.bench.metrics.intervals import (
    Blocks,
    Interval,
    blocks_of,
    percentile_intervals,
    ratio_interval,
    value_intervals,
)
from inferatlas.measure.bench.metrics.tails import PERCENTILES, too_small, upper_bound
from inferatlas.measure.bench.metrics.timings import Flags, Floats, Timings

Q = np.array(list(PERCENTILES.values()))
TAILS = ("p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, percentiles and ends of n values in seconds; None where unknown.

    Parameters
    ----------
    intervals : 95 %, of ``mean`` and of percentiles; None: too few values. upper : what a percentile does not exceed at
        99 % confidence, each value being independent of the others (`tails.upper_bound`).
    few : percentiles for which n is too small.
    """

    n: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    intervals: dict[str, Interval | None] = field(default_factory=dict)
    upper: dict[str, float | None] = field(default_factory=dict)
    few: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            **{one: getattr(self, one) for one in ("n", "mean", *PERCENTILES, "min", "max")},
            "intervals": {name: None if one is None else list(one) for name, one in self.intervals.items()},
            "upper_99": dict(self.upper),
            "n_too_small": list(self.few),
        }


def spread_of(values: Floats, blocks: Blocks | None) -> Spread:
    """The distribution over requests, shape (n,), NaN where a request has no such value.

    Examples
    --------
    >>> found = spread_of(np.array([0.1, 0.3, np.nan, 0.2]), None)
    >>> found.n, found.p50, found.max, found.few
    (3, 0.2, 0.3, ('p50', 'p90', 'p95', 'p99'))
    """
    ordered = np.sort(values[np.isfinite(values)])
    n = ordered.size
    if not n:
        return Spread(0)
    mean, percentiles = value_intervals(blocks, values, Q)
    p50, p90, p95, p99 = (float(one) for one in np.quantile(ordered, Q))
    return Spread(
        n,
        float(ordered.mean()),
        p50,
        p90,
        p95,
        p99,
        min=float(ordered[0]),
        max=float(ordered[-1]),
        intervals={"mean": mean, **dict(zip(PERCENTILES, percentiles, strict=True))},
        upper={name: upper_bound(ordered, PERCENTILES[name]) for name in TAILS},
        few=too_small(n),
    )


def gap_spreads(
    parts: Callable[[], Iterable[Timings]], arrived: Callable[[Floats], Flags], clock_s: Floats, block: int, seed: int
) -> tuple[Spread, Spread, Floats]:
    """Distributions of token gaps and chunk gaps, and how many tokens of each request arrived in time, shape (n,).

    Percentiles are within 0.05 % (`gaps.Histogram`). Their intervals are over requests: gaps of one request belong
    together.

    Parameters
    ----------
    parts : gives the events of the run, each time from the start. arrived : whether times of arrival are in the window.
    clock_s : shape (n,). block : requests of a block. seed : of the draws.
    """
    gaps = gaps_of(parts(), arrived)
    has = gaps.chunks > 0
    blocks = blocks_of(clock_s[has], block, seed=seed)
    within = gaps_within(parts(), arrived, gaps.token.quantile(Q), gaps.chunk.quantile(Q))
    kinds = ((gaps.token, gaps.token_seconds, gaps.tokens), (gaps.chunk, gaps.seconds, gaps.chunks))
    token, chunk = (
        _of_histogram(histogram, blocks, seconds[has], counts[has], upto[has])
        for (histogram, seconds, counts), upto in zip(kinds, within, strict=True)
    )
    return token, chunk, gaps.arrived


def _of_histogram(histogram: Histogram, blocks: Blocks | None, seconds: Floats, counts: Floats, upto: Floats) -> Spread:
    if not histogram.n:
        return Spread(0)
    percentiles = percentile_intervals(blocks, upto, counts, Q, histogram.quantile)
    p50, p90, p95, p99 = (float(one) for one in histogram.quantile(Q))
    return Spread(
        histogram.n,
        histogram.mean,
        p50,
        p90,
        p95,
        p99,
        min=histogram.least,
        max=histogram.greatest,
        intervals={"mean": ratio_interval(blocks, seconds, counts), **dict(zip(PERCENTILES, percentiles, strict=True))},
        few=too_small(histogram.n),
    )
