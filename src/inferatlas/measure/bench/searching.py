"""Where a service stops keeping its targets, or stops giving more: the knee.

A pure search: it is told what each load gave and says which load to try next. It takes for granted that a service that
misses its targets at a load misses them at every higher one, and says where what it saw contradicts that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FACTOR = 2.0  # between loads until one fails
CLOSE = 1.1  # a rate is found when the next that fails is no more than 10 % higher
GAIN = 0.05  # of throughput, below which more load gives no more
MOST_TRIALS = 24


@dataclass(frozen=True, slots=True)
class Trial:
    """What a load gave. ``met`` : it was delivered, and every target met. ``throughput`` : output tokens per s."""

    load: float
    met: bool
    throughput: float | None = None


@dataclass(frozen=True, slots=True)
class Knee:
    """Between which loads it lies. ``low`` : the highest that was met, None where none was. ``high`` : the lowest that
    was not, None where all were. ``monotonic`` : no load was met above one that was not.
    """

    low: float | None
    high: float | None
    monotonic: bool


def next_load(trials: Sequence[Trial], *, whole: bool, most: float = math.inf) -> float | None:
    """The load to try next; None when the knee is known closely enough.

    Parameters
    ----------
    trials : so far, at least one. whole : loads are numbers of clients. most : no load above it.

    Examples
    --------
    >>> next_load([Trial(1, True), Trial(2, True)], whole=False), next_load([Trial(4, False)], whole=False)
    (4.0, 2.0)
    >>> [next_load([Trial(low, True), Trial(8, False)], whole=True) for low in (4, 7)]
    [6.0, None]
    """
    if len(trials) >= MOST_TRIALS:
        return None
    found = knee(trials)
    if found.high is None:
        assert found.low is not None
        return None if found.low >= most else min(found.low * FACTOR, most)
    if found.low is None:
        lower = found.high / FACTOR
        return (None if found.high <= 1 else float(math.floor(lower))) if whole else lower
    if whole:
        middle = math.floor((found.low + found.high) / 2)
        return (
            None if middle in (math.floor(found.low), found.high) or found.high <= found.low * CLOSE else float(middle)
        )
    return None if found.high <= found.low * CLOSE else math.sqrt(found.low * found.high)


def knee(trials: Sequence[Trial]) -> Knee:
    """What the trials say.

    Examples
    --------
    >>> knee([Trial(1, True), Trial(2, True), Trial(4, False)])
    Knee(low=2, high=4, monotonic=True)
    """
    missed = [one.load for one in trials if not one.met]
    high = min(missed, default=None)
    met = [one.load for one in trials if one.met and (high is None or one.load < high)]
    monotonic = high is None or not any(one.met and one.load > high for one in trials)
    return Knee(max(met, default=None), high, monotonic)


def saturated(trials: Sequence[Trial]) -> bool:
    """Whether the highest load of a closed loop gave hardly more than half of it did: no targets are needed.

    Examples
    --------
    >>> saturated([Trial(4, True, 400.0), Trial(8, True, 410.0)]), saturated([Trial(4, True, 400.0)])
    (True, False)
    """
    known = sorted((one.load, one.throughput) for one in trials if one.throughput is not None)
    return len(known) > 1 and known[-1][1] < known[-2][1] * (1 + GAIN)
