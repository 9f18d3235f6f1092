"""Long series for drawing: as few points as the eye needs, gaps where values are missing, marks on the line."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from inferatlas.show.charts.style import Span

DRAWN = 200  # points of a series


@dataclass(frozen=True, slots=True)
class Series:
    """One line in SI values over ascending ``x``; NaN is a gap.

    ``low`` and ``high`` are the ends of the 80 % band (empty: none). ``changes``: the x where something else begins
    to bound the series, and what. ``name`` is unique.
    """

    name: str
    accelerator: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    changes: Sequence[tuple[float, str]] = ()

    def known(self) -> list[bool]:
        """Which points there are to draw."""
        return [math.isfinite(x) and math.isfinite(y) for x, y in zip(self.x, self.y, strict=True)]

    def band(self, i: int) -> tuple[float, float] | None:
        """The ends of the band at a point, None where one is missing."""
        if not (self.low and self.high):
            return None
        low, high = self.low[i], self.high[i]
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn of a series: the numbers of its points, a list for each stretch without gap, and its marks.

    ``marks`` are changes as (x, y, words), on the line.
    """

    series: Series
    pieces: list[list[int]]
    marks: list[tuple[float, float, str]]

    @property
    def end(self) -> tuple[float, float] | None:
        """The last point, None where there is none."""
        last = self.pieces[-1][-1] if self.pieces else None
        return None if last is None else (self.series.x[last], self.series.y[last])


def trace(series: Series, across: Span, up: Span) -> Drawn:
    """Choose what to draw of a series on these axes."""
    stretches = runs(series.known())
    if not stretches:
        return Drawn(series, [], [])
    points = [i for stretch in stretches for i in stretch]
    must, marks = {points[0], points[-1]}, []
    for x, words in series.changes:
        if math.isfinite(x):
            around = _around(series.x, stretches, points, x)
            must |= set(around)
            marks.append((*_on_line(series, around, x, across, up), words))
    ends = {i for stretch in stretches for i in (stretch[0], stretch[-1])}
    must |= ends if len(must | ends) <= DRAWN // 2 else set()  # a series of nothing but gaps keeps some of them
    places = [across.fraction(series.x[i]) for i in points]
    drawn = [points[k] for k in thinned(places, {k for k, i in enumerate(points) if i in must}, DRAWN)]
    pieces = [[i for i in drawn if i in stretch] for stretch in stretches]
    return Drawn(series, [piece for piece in pieces if piece], marks)


def _around(xs: Sequence[float], stretches: Sequence[range], points: Sequence[int], x: float) -> tuple[int, int]:
    """The points to both sides of x, or twice the nearest where x is in a gap."""
    for stretch in stretches:
        if xs[stretch[0]] <= x <= xs[stretch[-1]]:
            right = bisect_left(xs, x, stretch.start, stretch.stop)
            return max(right - 1, stretch.start), right
    nearest = min(points, key=lambda i: abs(xs[i] - x))
    return nearest, nearest


def _on_line(series: Series, around: tuple[int, int], x: float, across: Span, up: Span) -> tuple[float, float]:
    """The place on the line as it is drawn, which is straight on the axes and not in the values."""
    i, j = around
    x0, x1 = across.fraction(series.x[i]), across.fraction(series.x[j])
    y0, y1 = up.fraction(series.y[i]), up.fraction(series.y[j])
    if x0 == x1:
        return series.x[j], series.y[j]
    return x, up.at(y0 + (y1 - y0) * (across.fraction(x) - x0) / (x1 - x0)) / up.factor


def thinned(places: Sequence[float], must: Collection[int], most: int) -> list[int]:
    """Numbers of the points to draw, in order: at most ``most`` unless more must be.

    Points are chosen evenly along the axis and not along the series: on a logarithmic axis those of the first decade
    stand far apart and are all kept, while those of the last lie on each other.

    Parameters
    ----------
    places : place of each point on the axis, 0 to 1. must : numbers of points to keep in any case.

    Examples
    --------
    >>> thinned([0.0, 0.1, 0.11, 0.12, 0.9, 1.0], {0, 3, 5}, 5)
    [0, 3, 4, 5]
    """
    if len(places) <= most:
        return list(range(len(places)))
    room = max(most - len(must), 0)
    cells: dict[int, int] = {}  # part of the axis -> first point in it
    for i, place in enumerate(places):
        cells.setdefault(min(math.floor(place * room), room - 1), i)
    return sorted({*must, *(cells.values() if room else ())})


def runs(known: Sequence[bool]) -> list[range]:
    """Stretches of neighbouring points that are known.

    >>> runs([True, True, False, True])
    [range(0, 2), range(3, 4)]
    """
    found, start = [], None
    for i, one in enumerate([*known, False]):
        if one and start is None:
            start = i
        elif not one and start is not None:
            found.append(range(start, i))
            start = None
    return found
