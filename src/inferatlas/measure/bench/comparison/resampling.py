"""Block bootstrap: how much a mean or a percentile would vary if the run were repeated.

Requests that follow each other depend on each other, so whole blocks of them are drawn (Künsch, 1989, Annals of
Statistics 17:1217). All draws are made at once, as counts of each block; a replicate of a mean or of a percentile is
then a product of matrices, and no request is touched twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REPLICATES = 1000  # the standard error is then known to 1/sqrt(2 x 1000) = 2 %
MOST_BLOCKS = 400  # more would not be known better, and cost time
GRID = 256  # values at which the distribution of a replicate is looked at, around the percentile
REACH = 8.0  # standard errors of the percentile that the values span on each side
LAG_BOUND = 2.0  # Politis and White (2004): autocorrelations beyond 2 sqrt(log10(n)/n) count


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Blocks of the requests (``block``: of each its number) and how often each is in each replicate (R, blocks)."""

    block: NDArray[np.int64]
    counts: Floats

    @property
    def blocks(self) -> int:
        return self.counts.shape[1]

    def means(self, values: Floats) -> Floats:
        """Mean of each replicate; values that are NaN do not count."""
        known = np.isfinite(values)
        sums = np.bincount(self.block[known], values[known], self.blocks)
        many = np.bincount(self.block[known], minlength=self.blocks)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.counts @ sums) / (self.counts @ many)

    def quantiles(self, values: Floats, q: float) -> Floats:
        """The q-quantile of each replicate."""
        known = np.isfinite(values)
        v, block = values[known], self.block[known]
        grid = _around(np.sort(v), q, self.blocks)
        cell = block * (grid.size + 1) + np.searchsorted(grid, v)
        inside = np.bincount(cell, minlength=self.blocks * (grid.size + 1)).reshape(self.blocks, grid.size + 1)
        upto = self.counts @ np.cumsum(inside, axis=1, dtype=np.float64)
        reached = upto[:, :-1] >= q * upto[:, -1:] - 1e-9
        return np.where(reached.any(axis=1), grid[np.argmax(reached, axis=1)], grid[-1])


def draw(sizes: Sequence[int], length: int, rng: np.random.Generator) -> Draws:
    """Draws from runs of these many requests, in blocks of at least ``length`` that do not reach over two runs."""
    length = max(length, -(-sum(sizes) // MOST_BLOCKS))
    parts, before = [], 0
    for size in sizes:
        many = max(size // length, 1)
        parts.append(before + np.arange(size) * many // max(size, 1))
        before += many
    block = np.concatenate(parts)
    counts = rng.multinomial(before, np.full(before, 1.0 / before), REPLICATES).astype(np.float64)
    return Draws(block, counts)


def _around(ordered: Floats, q: float, blocks: int) -> Floats:
    """Values among which the q-quantile of a replicate surely lies."""
    reach = REACH * (q * (1.0 - q) / blocks) ** 0.5
    low, high = (int(np.clip(q + sign * reach, 0.0, 1.0) * (ordered.size - 1)) for sign in (-1, 1))
    return np.unique(ordered[np.unique(np.linspace(low, high, GRID).round().astype(np.int64))])


def dependence(values: Floats) -> int:
    """Length of blocks beyond which values in a row are as good as independent, 1 where they are so already.

    The automatic choice of Politis and White (2004), Econometric Reviews 23:53, with the correction of Patton, Politis
    and White (2009), for the circular block bootstrap; at most a tenth of the values.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=4000)
    >>> dependence(noise), dependence(np.convolve(noise, np.ones(50))) > 20
    (1, True)
    """
    v = values[np.isfinite(values)]
    n = v.size
    off = v - v.mean() if n else v
    if n < 20 or not float(off @ off) > 1e-24 * n:
        return 1
    most = int(np.ceil(n**0.5)) + max(5, int(np.log10(n) ** 0.5))
    spectrum = np.fft.rfft(off, 2 * n)
    cov = np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[: min(2 * most, n - 1) + 1] / n
    small = np.abs(cov[1:] / cov[0]) < LAG_BOUND * (np.log10(n) / n) ** 0.5
    run = max(5, int(np.log10(n) ** 0.5))  # so many small ones in a row end the dependence
    ends = np.flatnonzero(np.convolve(small, np.ones(run), "valid") == run)
    last = int(ends[0]) if ends.size else most
    if last == 0:
        return 1
    lags = np.arange(1, min(2 * last, cov.size - 1) + 1)
    weight = np.clip(2.0 * (1.0 - lags / (2.0 * last)), 0.0, 1.0)  # flat top
    g = 2.0 * float(weight @ (lags * cov[lags]))
    d = 4.0 / 3.0 * (cov[0] + 2.0 * float(weight @ cov[lags])) ** 2
    length = (2.0 * g * g / max(d, 1e-300) * n) ** (1.0 / 3.0)
    return int(np.clip(np.ceil(length), 1, n // 10))


__all__ = ["Draws", "dependence", "draw"]
