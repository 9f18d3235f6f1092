"""Several runs of one load together: means with intervals over runs, and whether there are enough of them.

Runs differ by more than their requests do: caches, clocks, neighbours. An interval over requests of one run does not
know of that; this one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.intervals import (
    FEWEST_BLOCKS,
    Interval,
    blocks_of,
    ratio_interval,
    student_interval,
)
from inferatlas.measure.bench.metrics.tails import PERCENTILES

LEAST = 3  # runs before an interval is believed
MOST = 10  # runs after which nobody waits longer for a narrower one


@dataclass(frozen=True, slots=True)
class Repeated:
    """One metric over runs.

    Parameters
    ----------
    runs : those in which it is known. mean : over them. interval : 95 %, Student's t; None for one run.
    bootstrap : the same by drawing runs, from `FEWEST_BLOCKS` on. cv : standard deviation between runs over mean.
    """

    runs: int
    mean: float | None
    interval: Interval | None
    bootstrap: Interval | None
    cv: float | None

    @property
    def reach(self) -> float | None:
        """Half the interval over the mean."""
        if self.interval is None or not self.mean:
            return None
        low, high = self.interval
        return None if low is None or high is None else (high - low) / 2 / abs(self.mean)

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {**asdict(self), "reach": self.reach}


def repeated(values: Sequence[float | None], *, seed: int = 0) -> Repeated:
    """One metric of several runs of the same load, None where a run does not know it.

    Examples
    --------
    >>> found = repeated([10.0, 10.2, 9.8, None])
    >>> found.runs, found.mean, round(found.cv, 3), [round(one, 2) for one in found.interval]
    (3, 10.0, 0.02, [9.5, 10.5])
    """
    known = np.array([one for one in values if one is not None], np.float64)
    n = known.size
    if not n:
        return Repeated(0, None, None, None, None)
    mean = float(known.mean())
    drawn = ratio_interval(blocks_of(np.arange(float(n)), seed=seed), known, np.ones(n)) if n >= FEWEST_BLOCKS else None
    cv = float(known.std(ddof=1)) / abs(mean) if n > 1 and mean else None
    return Repeated(n, mean, student_interval(known), drawn, cv)


def together(runs: Sequence[Mapping[str, Any]]) -> dict[str, Repeated]:
    """Every metric over several runs of one load.

    Parameters
    ----------
    runs : `Metrics.as_dict()` of each. Distributions give their mean and percentiles, by names as ``ttft_s.p50``.

    Examples
    --------
    >>> found = together([{"ttft_s": {"n": 3, "mean": 0.2}, "power_w": None}, {"ttft_s": {"n": 3, "mean": 0.4}}])
    >>> list(found), round(found["ttft_s.mean"].mean, 3)
    (['ttft_s.mean', 'power_w'], 0.3)
    """
    flat = [headlines(one) for one in runs]
    names = dict.fromkeys(name for one in flat for name in one)
    return {name: repeated([one.get(name) for one in flat]) for name in names}


def headlines(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Single numbers of `Metrics.as_dict()`: mean and percentiles of distributions, and what is a number itself."""
    found: dict[str, float | None] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            if "mean" in value:
                found |= {f"{name}.{one}": value.get(one) for one in ("mean", *PERCENTILES) if one in value}
        elif not isinstance(value, list):
            found[name] = value
    return found


def again(values: Sequence[float | None], within: float, *, least: int = LEAST, most: int = MOST) -> bool:
    """Whether one more run is needed for an interval that is narrower than asked.

    Parameters
    ----------
    values : the chosen metric of the runs so far, None where unknown. within : half the interval may be such a share of
        the mean, above 0. least, most : runs.

    Raises
    ------
    BadInput : a width that is none, fewer than two runs.

    Examples
    --------
    >>> again([10.0, 10.2, 9.8], within=0.1), again([10.0, 10.2, 9.8], within=0.01), again([10.0] * 2, within=0.5)
    (False, True, True)
    """
    if not within > 0:
        raise BadInput(f"a width of {within}", field="within", allowed="a share of the mean, above 0")
    if not 2 <= least <= most:
        raise BadInput(f"from {least} to {most} runs", field="least", allowed="2 or more, and at most the greatest")
    if len(values) < least:
        return True
    if len(values) >= most:
        return False
    reach = repeated(values).reach
    return reach is None or reach > within
