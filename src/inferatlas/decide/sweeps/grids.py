"""The values of a sweep: given one by one, or in equal ratios between two ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload.workload import MOST_IN_FLIGHT

# ends where none are given; lengths end with the model's context before that
RANGES = {"batch": (1.0, 1024.0), "isl": (128.0, 131_072.0), "osl": (16.0, 8192.0), "rate": (0.1, 100.0)}
COUNTS = tuple(float(2**k) for k in range(11))
STEPS, MOST_STEPS = 60, 10_000
ALL_BETWEEN = 16  # whole numbers between two points that are tried one by one; of more, so many first
NEAR = 1.01  # ratio of two rates between which no more are tried


def grid(
    over: str, values: Sequence[float] | None, first: float | None, last: float | None, steps: int, room: float
) -> list[float]:
    """The x of a sweep, increasing.

    Parameters
    ----------
    over : what is swept; rates may be fractions, all else is whole.
    values : the x themselves; or ``first``, ``last`` and about how many ``steps``.
    room : tokens that the model's context leaves to the length that is swept.

    Raises
    ------
    BadInput : fewer than two values, not increasing, out of range, not whole; values and ends at once.

    Examples
    --------
    >>> grid("batch", None, 1, 16, 6, 0.0), grid("rate", None, 0.5, 2.0, 3, 0.0)
    ([1.0, 2.0, 3.0, 5.0, 9.0, 16.0], [0.5, 1.0, 2.0])
    """
    if values is None and over == "count" and first is None and last is None:
        values = COUNTS  # few other numbers of accelerators can be divided into layouts
    for field, end in {"from": first, "to": last}.items():
        if end is not None and values is not None:
            raise BadInput("contradicts the values given", field=field, allowed="either values, or from and to")
        if end is not None:
            _check(over, end, field)
    if values is not None:
        return _given(over, [float(x) for x in values])
    if not 2 <= steps <= MOST_STEPS:
        raise BadInput(f"{steps} steps", field="steps", allowed=f"2 to {MOST_STEPS:,}")
    low, high = RANGES.get(over, (1.0, float(MOST_ACCELERATORS)))
    low = low if first is None else float(first)
    if over in ("isl", "osl") and room > low:
        high = min(high, room)
    high = high if last is None else float(last)
    if low >= high:
        field = "to" if first is None else "from"
        raise BadInput(f"{low:g} is not below {high:g}", field=field, allowed="from below to")
    return _ratios(low, high, steps, whole=over != "rate")


def _given(over: str, values: list[float]) -> list[float]:
    if not 2 <= len(values) <= MOST_STEPS:
        raise BadInput(f"{len(values):,} values", field="values", allowed=f"2 to {MOST_STEPS:,}")
    for x in values:
        _check(over, x, "values")
    if any(b <= a for a, b in pairwise(values)):
        raise BadInput("the values do not increase", field="values", allowed=_allowed(over))
    return values


def _check(over: str, x: float, field: str) -> None:
    least, most = _limits(over)
    if not least <= x <= most:
        raise BadInput(f"{x:g} is out of range", field=field, allowed=_allowed(over))
    if over != "rate" and x != int(x):
        raise BadInput(f"{x:g} is not a whole number", field=field, allowed=_allowed(over))


def _limits(over: str) -> tuple[float, float]:
    # float32, in which sweeps are predicted, holds whole numbers up to 2^24
    most = {"batch": float(MOST_IN_FLIGHT), "count": float(MOST_ACCELERATORS)}.get(over, 2.0**24)
    return (1e-6, 1e6) if over == "rate" else (1.0, most)


def _allowed(over: str) -> str:
    least, most = _limits(over)
    return f"increasing {'' if over == 'rate' else 'whole '}numbers, {least:g} to {most:,.0f}"


def _ratios(low: float, high: float, points: int, *, whole: bool) -> list[float]:
    """About so many points in equal ratios; of whole numbers more are tried, for the first ones coincide."""
    tried = points
    while True:
        found = np.geomspace(low, high, tried)
        found[0], found[-1] = low, high
        if not whole:
            return found.tolist()
        distinct = sorted(set(np.round(found).tolist()))
        if len(distinct) >= min(points, int(high - low) + 1) or tried > 20 * points:
            return distinct
        tried += points - len(distinct)


def between(a: float, b: float, *, whole: bool) -> list[float]:
    """Values between two neighbours to look at more closely; none where they are near enough.

    Of whole numbers all if they are few, else some; of others some, in equal ratios.

    Examples
    --------
    >>> between(3.0, 6.0, whole=True), len(between(1000.0, 9000.0, whole=True)), between(1.0, 1.005, whole=False)
    ([4.0, 5.0], 16, [])
    """
    if not whole:
        return [] if b / a <= NEAR else np.geomspace(a, b, ALL_BETWEEN + 2)[1:-1].tolist()
    gap = int(b - a) - 1
    tried = min(gap, ALL_BETWEEN)
    return [a + 1 + math.floor(k * gap / tried) for k in range(tried)]
