"""Where the names of lines stand, and the flags over vertical rules: in pixels, none on another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.show.charts.front import WIDTH_OF_LETTER, set_names

GAP = 15.0  # pixels from one name to the next
ASIDE = 20.0  # names stand so far to the right of the picture
FLAG = 15.0  # height of a flag
TOP = 9.0  # names stand so far below the upper edge, where flags are


@dataclass(frozen=True, slots=True)
class Spot:
    """The left end of a name, and where the line that leads to it begins and ends (the same place: none); pixels."""

    x: float
    y: float
    leader: tuple[tuple[float, float], tuple[float, float]]


def spread(wanted: Sequence[float], gap: float, most: float) -> list[float]:
    """Places at least ``gap`` apart between 0 and ``most``, in the order of ``wanted`` and as near to it as can be.

    Least squares: neighbours that are too close become one block around the mean of what they wanted.

    >>> spread([10.0, 12.0, 80.0], 10.0, 100.0), spread([99.0, 98.0], 10.0, 100.0)
    ([6.0, 16.0, 80.0], [100.0, 90.0])
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # mean of what is wanted less the gaps before it, number of places
    for place, i in enumerate(order):
        mean, count = wanted[i] - place * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, n = blocks.pop()
            mean, count = (before * n + mean * count) / (n + count), n + count
        blocks.append((mean, count))
    top = max(most - (len(wanted) - 1) * gap, 0.0)
    firsts = [min(max(mean, 0.0), top) for mean, count in blocks for _ in range(count)]
    found = [0.0] * len(wanted)
    for place, i in enumerate(order):
        found[i] = firsts[place] + place * gap
    return found


def beside_ends(
    names: Sequence[str],
    ends: Sequence[tuple[float, float]],
    lines: Sequence[tuple[float, float]],
    size: tuple[int, int],
) -> list[Spot]:
    """A place for the name of every line: beside its end where there is room, else in a column at the right.

    Parameters
    ----------
    names, ends : names and the last points of the lines (pixels).
    lines : points along all lines, which names inside the picture keep clear of. size : width and height.
    """
    width, height = size
    early = [i for i, (x, _) in enumerate(ends) if x < 0.9 * width]
    middles = set_names([names[i] for i in early], [ends[i] for i in early], lines, size)
    found = {
        i: _inside(ends[i], at, WIDTH_OF_LETTER * len(names[i]))
        for i, at in zip(early, middles, strict=True)
        if at is not None
    }
    rest = [i for i in range(len(names)) if i not in found]
    heights = [TOP + y for y in spread([ends[i][1] - TOP for i in rest], GAP, height - TOP)]
    found |= {i: Spot(width + ASIDE, y, (ends[i], (width + ASIDE, y))) for i, y in zip(rest, heights, strict=True)}
    return [found[i] for i in range(len(names))]


def _inside(end: tuple[float, float], middle: tuple[float, float], length: float) -> Spot:
    """A name inside the picture; a line leads to it where it does not stand right beside the end."""
    left, y = middle[0] - length / 2, middle[1]
    near = (min(max(end[0], left), left + length), y + math.copysign(min(7.0, abs(end[1] - y)), end[1] - y))
    beside = abs(end[1] - y) < 14 and abs(end[0] - near[0]) < 16
    return Spot(left, y, (end, end if beside else near))


def levels(places: Sequence[float], texts: Sequence[str]) -> list[int]:
    """The level (0 is lowest) of a flag that begins at each place: no flag lies on another or across a rule.

    >>> levels([0.0, 20.0, 200.0], ["first flag", "second", "third"])
    [1, 0, 0]
    """
    found = [0] * len(places)
    done: list[int] = []
    for i in sorted(range(len(places)), key=lambda i: places[i], reverse=True):
        end = places[i] + WIDTH_OF_LETTER * 1.1 * len(texts[i]) + 12
        found[i] = max((found[j] + 1 for j in done if places[j] < end), default=0)
        done.append(i)
    return found
