"""The highest load that keeps every target: a search over simulated percentiles, with an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.predict.performance.priors import Z80

NARROW = 0.01  # relative width at which the search ends
WIDEN = 1.6  # between two loads while the limit lies beyond them
MOST_TRIED = 40
SUSTAINED = "sustained"


@dataclass(frozen=True, slots=True)
class Tried:
    """One load of the search: what each target came to, and which were missed (`SUSTAINED` where the queue grows)."""

    rate: float
    values: dict[str, float | None]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest load found, with its 80 % interval; ``missed`` are the targets that the next higher load misses.

    ``rate`` is None where even the lowest load tried misses one, and ``high`` is None where the search found no limit.
    """

    rate: float | None
    low: float | None
    high: float | None
    unit: str
    missed: tuple[str, ...]
    tried: tuple[Tried, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Trial = Callable[[float, float], Tried]  # of a load, with step times so many times as long


def find_capacity(
    trial: Trial, guess: float, sigma: float, *, unit: str = "requests/s", whole: bool = False
) -> Capacity:
    """Search the highest load that meets every target.

    Every load is simulated with the same random numbers, its intervals stretched, so that more load is never luckier.
    The interval repeats the search with step times that are longer and shorter by their own error.

    Parameters
    ----------
    trial : simulates a load, see `Trial`.
    guess : a load near the limit, from closed forms.
    sigma : standard deviation of the logarithm of the error of step times. whole : loads are whole numbers.

    Examples
    --------
    >>> def trial(rate, stretch):
    ...     return Tried(rate, {"ttft:p95<8s": rate * stretch}, () if rate * stretch < 8 else ("ttft:p95<8s",))
    >>> found = find_capacity(trial, 5.0, 0.1)
    >>> [round(x, 1) for x in (found.low, found.rate, found.high)]
    [7.0, 8.0, 9.0]
    """
    tried: list[Tried] = []
    rate, over = _search(trial, guess, 1.0, tried, whole)
    missed = () if over is None else over.missed
    if rate is None:
        return Capacity(None, None, None, unit, missed, tuple(tried))
    ends = []
    for sign in (1.0, -1.0):
        stretch = float(np.exp(sign * Z80 * sigma))
        ends.append(_search(trial, rate / stretch, stretch, [], whole)[0] if sigma > 0 else rate)
    low, high = ends
    high = high if high is not None and over is not None else None
    return Capacity(rate, 0.0 if low is None else min(low, rate), None if high is None else max(high, rate), unit,
                    missed, tuple(sorted(tried, key=lambda t: t.rate)))  # fmt: skip


def _search(
    trial: Trial, guess: float, stretch: float, tried: list[Tried], whole: bool
) -> tuple[float | None, Tried | None]:
    """The highest load that is met, and the lowest tried that is not."""
    good: float | None = None
    over: Tried | None = None
    rate = max(round(guess), 1) if whole else guess
    while len(tried) < MOST_TRIED:
        one = trial(rate, stretch)
        tried.append(one)
        if one.missed:
            over = one
        else:
            good = rate
        if good is not None and over is not None:
            if over.rate / good <= 1.0 + NARROW or (whole and over.rate - good <= 1):
                break
            rate = float(np.sqrt(good * over.rate))
        elif whole and over is not None and over.rate <= 1:
            break
        else:
            rate *= 1.0 / WIDEN if one.missed else WIDEN
        rate = _between(rate, good, over) if whole else rate
    return good, over


def _between(rate: float, good: float | None, over: Tried | None) -> float:
    """A whole number near ``rate`` that was not tried yet."""
    least = 1.0 if good is None else good + 1.0
    most = float("inf") if over is None else over.rate - 1.0
    return float(min(max(round(rate), least), most))
