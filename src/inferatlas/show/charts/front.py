"""Staircases of attained points, and names set beside points without covering each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


def staircase(points: Sequence[tuple[float, float]], *, x_smaller: bool, y_smaller: bool) -> list[tuple[float, float]]:
    """Vertices of the attained front, to be joined by straight lines.

    Every vertex is a point that was attained or a corner that an attained point is at least as good as: the line
    never passes through what no point reaches. From left to right the step is flat, then down (or up) where a
    smaller x is better, and down first, then flat, where a larger x is better.

    Parameters
    ----------
    points : (x, y) pairs. x_smaller, y_smaller : whether smaller is better on the axis.

    Examples
    --------
    >>> staircase([(1, 5), (2, 6), (3, 2)], x_smaller=True, y_smaller=True)
    [(1, 5), (3, 5), (3, 2)]
    >>> staircase([(1, 5), (3, 2)], x_smaller=False, y_smaller=False)
    [(1, 5), (1, 2), (3, 2)]
    """
    sx, sy = (1 if x_smaller else -1), (1 if y_smaller else -1)
    front: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (sx * p[0], sy * p[1])):
        if not front or sy * y < sy * front[-1][1]:
            front.append((x, y))
    vertices = front[:1]
    for (_, y), (x_next, y_next) in pairwise(front):
        vertices += [(x_next, y), (x_next, y_next)]
    return vertices if x_smaller else vertices[::-1]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, from its middle."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        return (
            abs(self.x - other.x) * 2 < self.width + other.width
            and abs(self.y - other.y) * 2 < self.height + other.height
        )

    def inside(self, size: tuple[int, int]) -> bool:
        """Whether all of it lies within a picture of this width and height."""
        across, up = self.width / 2, self.height / 2
        return across <= self.x <= size[0] - across and up <= self.y <= size[1] - up


def along(vertices: Sequence[tuple[float, float]], apart: float = 8.0) -> list[tuple[float, float]]:
    """Points on a line through vertices, at most ``apart`` from each other, for names to keep clear of.

    >>> along([(0.0, 0.0), (10.0, 0.0)], 5.0)
    [(0.0, 0.0), (5.0, 0.0), (10.0, 0.0)]
    """
    found = list(vertices[:1])
    for (x0, y0), (x1, y1) in pairwise(vertices):
        pieces = max(math.ceil(math.hypot(x1 - x0, y1 - y0) / apart), 1)
        found += [(x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces) for i in range(1, pieces + 1)]
    return found


WIDTH_OF_LETTER = 5.3  # Arial at 11 px, a little more than the mean over words and digits


def _moves(side: float) -> list[tuple[float, float]]:
    """Where to try a name around its point, nearest first: beside it, then higher and lower, then further off."""
    moves = [
        (sign * (side + aside), up * away)
        for away in range(0, 92, 13)
        for aside in (0, 16, 34)
        for up in ((1,) if away == 0 else (-1, 1))
        for sign in (1, -1)
    ] + [(0.0, float(up * away)) for away in (16, 29) for up in (-1, 1)]
    return sorted(moves, key=lambda move: abs(move[1]) + max(abs(move[0]) - side, 0.0))


def set_names(
    names: Sequence[str],
    at: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]],
    size: tuple[int, int],
    line: Sequence[tuple[float, float]] = (),
) -> list[tuple[float, float] | None]:
    """Middles of the names beside their points (pixels), each clear of other names and points; None: no room.

    Parameters
    ----------
    names, at : texts and the points they belong to. others : further points to keep clear of.
    size : width and height of the picture, which names must not leave.
    line : vertices of a line that names cross only where there is no other room.
    """
    taken = [Box(x, y, 10, 10) for x, y in (*at, *others)]
    drawn = [Box(x, y, 10, 10) for x, y in along(line)]
    found: list[tuple[float, float] | None] = []
    for name, (x, y) in zip(names, at, strict=True):
        width, height = WIDTH_OF_LETTER * len(name), 14.0
        tried = [Box(x + dx, y + dy, width, height) for dx, dy in _moves(width / 2 + 10)]
        free = [box for box in tried if box.inside(size) and not any(box.overlaps(other) for other in taken)]
        clear = (box for box in free if not any(box.overlaps(piece) for piece in drawn))
        box = next(clear, free[0] if free else None)
        if box:
            taken.append(box)
        found.append((box.x, box.y) if box else None)
    return found
