"""Arrival times that were recorded in coarse steps: which step it is, and the same times spread over their steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

OFF = 0.01  # of a step: clocks that write every 3 s do so within milliseconds


def step_of(arrival_s: NDArray[np.float64]) -> float | None:
    """Seconds of the steps in which times were recorded; None: they are no multiples of one step, or few share one.

    Times were recorded in steps if most are that of the request before, and the distances of the others are whole
    multiples of one step, to within 1 % of it. Two distances at least must agree.

    Parameters
    ----------
    arrival_s : shape (n,), ascending, in seconds.

    Examples
    --------
    >>> step_of(np.array([0.0, 0.0, 0.0, 3.001, 3.001, 3.001, 9.0, 9.0]))
    3.0
    >>> step_of(np.array([0.0, 3.0, 6.0])) is None, step_of(np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.7])) is None
    (True, True)
    """
    gaps = np.diff(arrival_s)
    apart = gaps[gaps > 0]
    if len(apart) < 2 or 2 * (len(gaps) - len(apart)) <= len(arrival_s):
        return None
    single = float(np.median(apart[apart < 1.5 * apart.min()]))
    steps = np.round(apart / single)
    step = float(apart.sum() / steps.sum())
    return step if np.all(np.abs(apart - steps * step) <= OFF * step) else None


def spread(arrival_s: NDArray[np.float64], step_s: float) -> NDArray[np.float64]:
    """Times recorded in steps, those of one step evenly over it, ascending.

    What a step hides stays unknown: intervals inside it are made equal, so that they vary as little as they can.

    Examples
    --------
    >>> spread(np.array([0.0, 0.0, 3.0, 3.0, 3.0]), 3.0)
    array([0.75, 2.25, 3.5 , 4.5 , 5.5 ])
    """
    times, first, count = np.unique(arrival_s, return_index=True, return_counts=True)
    # a clock that is a little early leaves its step a little shorter
    width = np.minimum(np.diff(times, append=times[-1] + step_s), step_s)
    place = np.arange(len(arrival_s)) - np.repeat(first, count)
    return arrival_s + np.repeat(width / count, count) * (place + 0.5)
