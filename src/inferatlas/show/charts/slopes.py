"""Ranks of the same things on two sides, a line from one to the other: does the order change?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inferatlas.show.charts.endings import spread
from inferatlas.show.charts.style import INK, AnyChart, colour, data, dress

WIDTH, ROW = 110, 4.6  # pixels of a panel, and from one rank to the next
LEAST = 120  # pixels a panel is high at least
ABREAST = 3
TICKS = 24  # pixels left of a panel, for ranks
ASIDE, NAMES = 14, 170  # names stand so far to the right of a panel, and may be so long
HEAD, FOOT = 42, 20  # pixels above a panel, for its title and the names of its sides, and below it
LINE = 12.0  # pixels from one name to the next
QUIET = 0.28  # opacity of the lines without a name
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slope:
    """One thing and its rank on the left and on the right, 1 at the top; ``named``: in its colour, with its name."""

    name: str
    left: int
    right: int
    named: bool = False
    mark: str = ""  # after the name


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of orders: a title, what its sides are, and the lines between them (at least one)."""

    title: str
    left: str
    right: str
    slopes: Sequence[Slope]


def slopes(panels: Sequence[Panel]) -> AnyChart:
    """At least one panel, three abreast; named lines have their name at the right end.

    All of it is one chart in pixels: a chart per panel takes five times as long to make.

    Examples
    --------
    >>> both = [Slope("nvidia-h100-sxm", 2, 1, named=True), Slope("nvidia-l4", 1, 2)]
    >>> chart = slopes([Panel("chat", "llama", "mamba", both)])
    >>> [row["name"] for row in chart.to_dict()["layer"][1]["data"]["values"]]
    ['nvidia-h100-sxm']
    """
    most = max(max(one.left, one.right) for panel in panels for one in panel.slopes)
    high = max(LEAST, round(ROW * most))
    wide = TICKS + WIDTH + ASIDE + NAMES
    drawn: dict[str, list[Row]] = {
        part: [] for part in ("quiet", "named", "leaders", "names", "titles", "sides", "ranks")
    }
    for i, panel in enumerate(panels):
        left, top = i % ABREAST * wide + TICKS, i // ABREAST * (HEAD + high + FOOT) + HEAD
        for part, rows in _panel(panel, most, high).items():
            drawn[part] += [_moved(row, left, top) for row in rows]
    size = (wide * min(len(panels), ABREAST), (HEAD + high + FOOT) * -(-len(panels) // ABREAST))
    return dress(alt.layer(*_layers(drawn, size)).properties(width=size[0], height=size[1]))


def _panel(panel: Panel, most: int, high: int) -> dict[str, list[Row]]:
    """Rows of every part of one panel, in pixels from its upper left corner."""

    def at(rank: float) -> float:
        return (rank - 0.5) / most * high

    def lines(chosen: Sequence[Slope]) -> list[Row]:
        return [
            {"name": one.name, "x": 0, "y": at(one.left), "x2": WIDTH, "y2": at(one.right), "colour": colour(one.name)}
            for one in chosen
        ]

    named = sorted((one for one in panel.slopes if one.named), key=lambda one: one.right)
    spots = spread([at(one.right) for one in named], LINE, float(high))
    leaders = [
        {"x": WIDTH, "y": at(one.right), "x2": WIDTH + ASIDE, "y2": spot, "colour": colour(one.name)}
        for one, spot in zip(named, spots, strict=True)
    ]
    words = [f"{one.name} {one.mark}".rstrip() for one in named]
    return {
        "quiet": lines([one for one in panel.slopes if not one.named]),
        "named": lines(named),
        "leaders": leaders,
        "names": [
            {"x": WIDTH + ASIDE + 4, "y": y, "text": text} for y, text in zip(spots, words, strict=True)
        ],
        "titles": [{"x": 0, "y": 12 - HEAD, "text": panel.title}],
        "sides": [{"x": x, "y": -9, "text": text} for x, text in ((0, panel.left), (WIDTH, panel.right))],
        "ranks": [{"x": -6, "y": at(rank), "text": str(rank)} for rank in (1, *range(10, most + 1, 10))],
    }  # fmt: skip


def _moved(row: Row, x: float, y: float) -> Row:
    by = {"x": x, "x2": x, "y": y, "y2": y}
    return {key: value + by[key] if key in by else value for key, value in row.items()}


def _layers(drawn: dict[str, list[Row]], size: tuple[int, int]) -> list[alt.Chart]:
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, size[0]], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[size[1], 0], nice=False), axis=None)
    ends: dict[str, Any] = {"x": x, "y": y, "x2": "x2:Q", "y2": "y2:Q"}
    hue = alt.Color("colour:N", scale=None, legend=None)

    def layer(part: str) -> alt.Chart:
        return alt.Chart(data(drawn[part]))

    def words(part: str, **look: Any) -> alt.Chart:
        return layer(part).mark_text(baseline="middle", **look).encode(x=x, y=y, text="text:N")

    return [
        layer("quiet").mark_rule(color=INK, strokeWidth=1, opacity=QUIET).encode(**ends),
        layer("named").mark_rule(strokeWidth=2).encode(color=hue, **ends),
        layer("leaders").mark_rule(strokeWidth=1, opacity=0.6).encode(color=hue, **ends),
        words("names", align="left", fontSize=10, limit=NAMES - 8),
        words("titles", align="left", fontSize=12, fontWeight="bold"),
        words("sides", align="center", fontSize=11, limit=WIDTH - 6),
        words("ranks", align="right", fontSize=10),
    ]
