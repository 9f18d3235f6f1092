"""Where curves cross, and how sure that is: pure functions on arrays, whatever the curves mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from inferatlas.predict.arrays import Floats

SURE = 0.8416212335729143  # standard deviations at which the normal distribution reaches 80 %
EQUAL = 1e-6  # of the logarithm: sweeps hold seven digits, so who is not further ahead is not ahead
How = Literal["overtaken", "ends", "begins"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """The best curve changes from one to another (numbers of rows).

    ``x`` is interpolated, ``first`` the first x given at which the newcomer is the best (None: only between two of
    them). From ``low`` to ``high`` the probability of the order is between 20 and 80 %; None where it never gets sure.
    ``how``: the newcomer overtakes, or the former best ends, or the newcomer begins (then x is where that is seen).
    """

    x: float
    before: int
    after: int
    low: float | None
    high: float | None
    first: float | None
    how: How


def leaders(value: Floats, *, higher: bool) -> list[int]:
    """The best curve at every x, -1 where there is none; who holds the lead keeps it while nobody is ahead.

    Parameters
    ----------
    value : positive, [curve, x]; NaN where a curve has no value. higher : whether more is better.

    Examples
    --------
    >>> leaders(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, np.nan]]), higher=True)
    [0, 0, 0]
    """
    return _leaders(_goodness(value, higher))


def _goodness(value: Floats, higher: bool) -> Floats:
    """Logarithms, more is better; -inf where there is no value."""
    known = np.isfinite(value)
    return np.where(known, np.log(np.where(known, value, 1.0)) * (1.0 if higher else -1.0), -np.inf)


def _leaders(good: Floats) -> list[int]:
    top, who, rows = good.max(axis=0).tolist(), good.argmax(axis=0).tolist(), good.tolist()
    found, held = [], -1
    for i, best in enumerate(top):
        if best == -np.inf:
            found.append(-1)
            continue
        if held < 0 or rows[held][i] < best - EQUAL:
            held = who[i]
        found.append(held)
    return found


def crossings(x: Floats, value: Floats, sigma: Floats, *, higher: bool) -> list[Crossing]:
    """Every change of the best curve, in the order of x.

    Between two x the logarithm of a value is taken as linear in that of x.

    Parameters
    ----------
    x : positive and increasing, [x]. value, sigma : values and the standard deviations of their logarithms (errors
        lognormal, of two curves independent), [curve, x]; NaN where a curve has no value.

    Examples
    --------
    >>> x = np.array([1.0, 10.0, 100.0])
    >>> found = crossings(x, np.array([100 / x, x]), np.full((2, 3), 0.1), higher=True)
    >>> [(round(one.x, 6), one.before, one.after, one.first) for one in found]
    [(10.0, 0, 1, 100.0)]
    """
    good, u = _goodness(value, higher), np.log(x)
    best = _leaders(good)
    served = [i for i, leader in enumerate(best) if leader >= 0]
    found: list[Crossing] = []
    for i, j in pairwise(served):
        if best[i] == best[j]:
            continue
        for t, before, after, how in _overtaken(good, i, j, best[i], best[j]):
            at = float(x[j]) if t >= 1.0 else float(np.exp(u[i] + t * (u[j] - u[i])))
            with np.errstate(invalid="ignore"):  # absent against absent is neither ahead nor behind: NaN
                ahead = good[after] - good[before]
            low, high = _unsure(x, ahead, np.hypot(sigma[before], sigma[after]), i, j)
            # both ends are roots of lines that meet in the crossing: rounding must not part them
            low, high = None if low is None else min(low, at), None if high is None else max(high, at)
            found.append(Crossing(at, before, after, low, high, float(x[j]) if after == best[j] else None, how))
    return found


def _overtaken(good: Floats, i: int, j: int, first: int, last: int) -> list[tuple[float, int, int, How]]:
    """Changes of the best between two x: (place from 0 to 1, before, after, how)."""
    if not np.isfinite(good[first, j]):
        return [(1.0, first, last, "ends")]
    if not np.isfinite(good[last, i]):
        return [(1.0, first, last, "begins")]
    both = np.flatnonzero(np.isfinite(good[:, i]) & np.isfinite(good[:, j])).tolist()
    lines = {k: (float(good[k, i]), float(good[k, j] - good[k, i])) for k in both}
    found: list[tuple[float, int, int, How]] = []
    held, t = first, 0.0
    while held != last:  # along the upper envelope of the lines, which grow steeper on it
        level, slope = lines[held]
        met = [(max((level - start) / (rise - slope), t), -rise, k) for k, (start, rise) in lines.items()
               if rise > slope]  # fmt: skip
        then, _, after = min(met, default=(2.0, 0.0, last))
        then, after = (then, after) if then <= 1.0 else (1.0, last)
        found.append((then, held, after, "overtaken"))
        held, t = after, then
    return found


def _unsure(x: Floats, ahead: Floats, sigma: Floats, i: int, j: int) -> tuple[float | None, float | None]:
    """The x around a crossing in segment i..j at which the order is sure on either side.

    ``ahead``: how far the newcomer is ahead, infinite where one of the two has no value.
    """
    spread = SURE * np.where(np.isfinite(ahead), sigma, 0.0)
    with np.errstate(invalid="ignore"):
        behind, beyond = ahead + spread, ahead - spread
        before, after = np.flatnonzero(behind[: i + 1] <= 0), np.flatnonzero(beyond[j:] >= 0)
    low = high = None
    if before.size and not np.isnan(ahead[before[-1] : i + 1]).any():
        k = int(before[-1])
        low = _root(x, behind, k, j if k == i else k + 1)
    if after.size and not np.isnan(ahead[j : j + after[0] + 1]).any():
        k = j + int(after[0])
        high = _root(x, beyond, i if k == j else k - 1, k)
    return low, high


def _root(x: Floats, line: Floats, a: int, b: int) -> float:
    """Where the line through two points is 0; at the second where it is no line."""
    if not (np.isfinite(line[a]) and np.isfinite(line[b])) or line[a] == line[b]:
        return float(x[b])
    return float(x[a] * (x[b] / x[a]) ** (-line[a] / (line[b] - line[a])))


def changes(words: Sequence[str | None]) -> list[tuple[int, str, str]]:
    """Where a word changes for good: (index, before, after); one that stands at a single place is passed over.

    None is no word; a change at the last place counts, for it may hold.

    Examples
    --------
    >>> changes(["a", "b", "a", None, "b", "b", "c"])
    [(4, 'a', 'b'), (6, 'b', 'c')]
    """
    places = [(i, word) for i, word in enumerate(words) if word is not None]
    found: list[tuple[int, str, str]] = []
    held = places[0][1] if places else ""
    for k, (i, word) in enumerate(places):
        if word != held and word == places[min(k + 1, len(places) - 1)][1]:
            found.append((i, held, word))
            held = word
    return found


__all__: Sequence[str] = ("Crossing", "changes", "crossings", "leaders")
