"""Statistics over requests and over time: percentiles, and 95 % intervals by batch means and by replications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Summary = dict[str, float | None]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
BATCHES = 20  # Schmeiser (1982), "Batch size effects": 10 to 30 are enough, more gain little
LEAST_IN_BATCH = 10
ALIKE = 0.5  # correlation of neighbouring batches, of which 20 independent ones reach 0.44 once in 40 times
# Student's t at 97.5 % for 1 to 30 degrees of freedom (any table of the distribution)
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423,
)  # fmt: skip
_NORMAL = 1.959964


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t distribution, to 4 digits.

    Beyond the table its expansion about the normal quantile (Abramowitz and Stegun 26.7.5).

    >>> student(19), round(student(120), 3)
    (2.093, 1.98)
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    z, n = _NORMAL, float(freedom)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n * n)


def summary(values: Floats, lost: int = 0) -> Summary:
    """Mean and percentiles; every value None where there are none.

    Parameters
    ----------
    values : of the requests that have one; their mean is the mean.
    lost : requests that never came to have one: they count as infinite in the percentiles.

    Examples
    --------
    >>> summary(np.array([3.0, 1.0, 2.0]))["p50"], summary(np.array([1.0, 1.0]), lost=2)["p90"]
    (2.0, inf)
    """
    if not values.size:
        return dict.fromkeys(("mean", *QUANTILES))
    # sorting all is no dearer than partitioning about eight places: numpy sorts with vector instructions
    ordered = np.sort(values)
    return {"mean": float(values.mean()), **{name: quantile(ordered, q, lost) for name, q in QUANTILES.items()}}


def quantile(ordered: Floats, q: float, lost: int = 0) -> float:
    """The q-quantile of ascending values, between neighbours linearly, ``lost`` more of them being infinite."""
    at = q * (ordered.size + lost - 1)
    low = int(at)
    if at > ordered.size - 1:
        return float("inf")
    if at == low:
        return float(ordered[low])
    return float(ordered[low] + (at - low) * (ordered[low + 1] - ordered[low]))


def histogram_summary(counts: Floats, low: float, step: float) -> Summary:
    """The same of a histogram whose n-th class ends at ``low exp(step (n + 1))``.

    >>> one = np.zeros(1000)
    >>> one[500] = 7.0
    >>> found = histogram_summary(one, 1e-3, 0.01)["p99"]
    >>> 0.1484 < found < 0.1499
    True
    """
    total = float(counts.sum())
    if total <= 0:
        return dict.fromkeys(("mean", *QUANTILES))
    upto = np.cumsum(counts) / total
    found: Summary = {"mean": float(counts @ (low * np.exp(step * (np.arange(counts.size) + 0.5))) / total)}
    for name, q in QUANTILES.items():
        n = int(np.searchsorted(upto, q))
        before = upto[n - 1] if n else 0.0
        found[name] = float(low * np.exp(step * (n + (q - before) / (upto[n] - before))))
    return found


def batch_interval(batches: Floats, value: float) -> tuple[float, float]:
    """95 % interval of a statistic from its values in batches, around its value over all.

    >>> batch_interval(np.array([1.0, 2.0, 3.0]), 2.0)
    (-0.48..., 4.48...)
    """
    half = student(batches.size - 1) * float(batches.std(ddof=1)) / batches.size**0.5
    return value - half, value + half


def batched(values: Floats) -> Floats | None:
    """Values, in the order of time, as (BATCHES, m) with m of at least 10; what is left over at the end is left out."""
    each = values.size // BATCHES
    return None if each < LEAST_IN_BATCH else values[: each * BATCHES].reshape(BATCHES, each)


def intervals_of(values: Floats, over: Summary) -> dict[str, list[float]]:
    """95 % intervals of mean and percentiles by batch means; only of percentiles that a batch has values beyond."""
    batches = batched(values)
    if batches is None or over["mean"] is None:
        return {}
    found = {"mean": list(batch_interval(batches.mean(axis=1), over["mean"]))}
    ordered, each = np.sort(batches, axis=1), batches.shape[1]
    for name, q in QUANTILES.items():
        value = over[name]
        if each * (1 - q) < 1 - 1e-9 or value is None or not np.isfinite(value):
            continue
        at = q * (each - 1)
        low = int(at)
        high = min(low + 1, each - 1)
        found[name] = list(batch_interval(ordered[:, low] + (at - low) * (ordered[:, high] - ordered[:, low]), value))
    return found


def alike(values: Floats) -> float | None:
    """Correlation of neighbouring batch means, from -1 to 1: above `ALIKE` the intervals are too narrow."""
    batches = batched(values)
    if batches is None:
        return None
    means = batches.mean(axis=1)
    off = means - means.mean()
    spread = float(off @ off)
    return float(off[1:] @ off[:-1]) / spread if spread > 1e-24 * max(float(means.mean()) ** 2, 1e-300) else 0.0


def replicated(values: Sequence[Any]) -> dict[str, float | int | None]:
    """Mean and 95 % interval over replications, of the values that are known.

    >>> replicated([1.0, 2.0, 3.0, None])
    {'mean': 2.0, 'low': -0.48..., 'high': 4.48..., 'runs': 3}
    """
    known = np.array([one for one in values if one is not None and np.isfinite(one)], np.float64)
    if not known.size:
        return {"mean": None, "low": None, "high": None, "runs": 0}
    mean = float(known.mean())
    low, high = batch_interval(known, mean) if known.size > 1 else (None, None)
    return {"mean": mean, "low": low, "high": high, "runs": int(known.size)}
