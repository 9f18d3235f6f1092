"""One quantity against another, a line per accelerator: how does it grow, and where does the best one change?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.show.charts.endings import FLAG, GAP, beside_ends, levels
from inferatlas.show.charts.front import along
from inferatlas.show.charts.style import INK, SHAPES, AnyChart, Axis, Span, colour, data, dress, span
from inferatlas.show.charts.traces import Drawn, Series, runs, trace

WIDTH, HEIGHT = 440, 300  # small enough that a narrow page shows the picture with its names
BAND = 0.15  # opacity of a band
BANDED = 6  # bands of more series would hide each other: none is drawn
# lines of one colour differ in how they are dashed, in the order given
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [12, 4], [4, 6])
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where one line overtakes another (SI), in words."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """Both axes with their ranges, and the size of the picture."""

    across: Span
    up: Span
    height: int

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        return self.across.fraction(x) * WIDTH, (1 - self.up.fraction(y)) * self.height

    def at(self, x: float, y: float, suffix: str = "") -> Row:
        """What stands at a pixel, inside the picture or beside it."""
        return {f"x{suffix}": self.across.at(x / WIDTH), f"y{suffix}": self.up.at(1 - y / self.height)}

    def point(self, x: float, y: float) -> Row:
        return {"x": x * self.across.factor, "y": y * self.up.factor}

    @property
    def x(self) -> alt.X:
        return alt.X("x:Q", scale=self.across.scale(), axis=self.across.ticks())

    @property
    def y(self) -> alt.Y:
        return self.y_of("y")

    def y_of(self, field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=self.up.scale(), axis=self.up.ticks())


def lines(series: Sequence[Series], x: Axis, y: Axis, crossings: Sequence[Crossing] = ()) -> AnyChart:
    """Lines with their bands, each named at its end; rules at the crossings, open marks where the bound changes.

    An axis of more than 20 to 1 is logarithmic. At most 200 points of a series are drawn, its ends and changes among
    them. More than six series have no bands. Crossings outside the axis are left out; a series without any value is
    named as such.

    Examples
    --------
    >>> one = Series("H100", "nvidia-h100-sxm", [1, 10, 100], [0.01, 0.02, 0.08])
    >>> chart = lines([one], Axis("concurrency", "1", None), Axis("ITL", "s", True), [Crossing(7.0, "A before B")])
    >>> chart.to_dict()["layer"][0]["encoding"]["x"]["scale"]["type"]
    'log'
    """
    frame = _frame(series, x, y)
    drawn = [trace(one, frame.across, frame.up) for one in series]
    shown = [one for one in crossings if math.isfinite(one.x) and 0 <= frame.across.fraction(one.x) <= 1]
    layers = [
        *_rules(frame, shown),
        *_drawn_lines(frame, drawn),
        *_marks(frame, drawn, 8 + FLAG * (1 + max(_levels(frame, shown), default=-1))),
        *_names(frame, drawn, shown),
    ]
    return dress(alt.layer(*layers).properties(width=WIDTH, height=frame.height))


def _frame(series: Sequence[Series], x: Axis, y: Axis) -> _Frame:
    points = [(one, i) for one in series for i, known in enumerate(one.known()) if known]
    bands = [end for one, i in points for end in one.band(i) or ()] if len(series) <= BANDED else []
    xs, ys = [one.x[i] for one, i in points], [one.y[i] for one, i in points] + bands
    height = max(HEIGHT, math.ceil(1.6 * GAP * (len(series) + 1)))
    return _Frame(span(x, xs or [1.0], room=0.02), span(y, ys or [1.0]), height)


def _layer(rows: Sequence[Row]) -> alt.Chart:
    return alt.Chart(data(rows))


def _hue() -> alt.Color:
    return alt.Color("colour:N", scale=None, legend=None)


def _drawn_lines(frame: _Frame, drawn: Sequence[Drawn]) -> list[alt.Chart]:
    """Bands under lines; a point between two gaps is a dot, and its band a rule."""
    bands: list[list[Row]] = []
    strokes: list[list[Row]] = []
    for one, look in zip(drawn, _looks(drawn), strict=True):
        for piece in one.pieces:
            rows = [frame.point(one.series.x[i], one.series.y[i]) | look for i in piece]
            ends = [one.series.band(i) if len(drawn) <= BANDED else None for i in piece]
            strokes.append(rows)
            bands += [
                [rows[k] | dict(zip(("low", "high"), _scaled(ends[k], frame.up.factor), strict=False)) for k in stretch]
                for stretch in runs([end is not None for end in ends])
            ]
    x, y, low, hue, dashes = frame.x, frame.y, frame.y_of("low"), _hue(), alt.StrokeDash("dash:N", scale=None)
    area = _layer(_long(bands)).mark_area(opacity=BAND)
    rule = _layer(_lone(bands)).mark_rule(strokeWidth=3, opacity=0.55)
    stroke = _layer(_long(strokes)).mark_line(strokeWidth=2, strokeJoin="round")
    dot = _layer(_lone(strokes)).mark_point(filled=True, size=40, opacity=1)
    return [
        area.encode(x=x, y=low, y2="high:Q", color=hue, detail="piece:N"),
        rule.encode(x=x, y=low, y2="high:Q", color=hue),
        stroke.encode(x=x, y=y, color=hue, detail="piece:N", strokeDash=dashes),
        dot.encode(x=x, y=y, color=hue),
    ]


def _looks(drawn: Sequence[Drawn]) -> list[Row]:
    """Colour and dashes of every line: those of one colour differ in their dashes."""
    seen: Counter[str] = Counter()
    looks: list[Row] = []
    for hue in (colour(one.series.accelerator) for one in drawn):
        looks.append({"colour": hue, "dash": DASHES[seen[hue] % len(DASHES)]})
        seen[hue] += 1
    return looks


def _scaled(ends: tuple[float, float] | None, factor: float) -> tuple[float, ...]:
    return tuple(end * factor for end in ends or ())


def _long(pieces: Sequence[list[Row]]) -> list[Row]:
    """Rows of all pieces that make a line, each with the number of its piece."""
    return [row | {"piece": number} for number, rows in enumerate(pieces) if len(rows) > 1 for row in rows]


def _lone(pieces: Sequence[list[Row]]) -> list[Row]:
    return [row for rows in pieces if len(rows) == 1 for row in rows]


def _marks(frame: _Frame, drawn: Sequence[Drawn], legend_offset: float) -> list[alt.Chart]:
    """Open marks on the lines; their shape says what bounds the series from there on."""
    rows = [
        frame.point(x, y) | {"words": words, "colour": colour(one.series.accelerator)}
        for one in drawn
        for x, y, words in one.marks
    ]
    if not rows:
        return []
    words = list(dict.fromkeys(str(row["words"]) for row in rows))
    legend = alt.Legend(
        title="from the mark on, bound by", titleOrient="left", titlePadding=10, orient="top", columns=3,
        offset=legend_offset,
        symbolFillColor="transparent", symbolStrokeColor=INK, symbolStrokeWidth=1.8,
    )  # fmt: skip
    scale = alt.Scale(domain=words, range=[SHAPES[i % len(SHAPES)] for i in range(len(words))])
    marks = _layer(rows).mark_point(filled=False, size=75, strokeWidth=1.8, opacity=1)
    return [marks.encode(x=frame.x, y=frame.y, color=_hue(), shape=alt.Shape("words:N", scale=scale, legend=legend))]


def _levels(frame: _Frame, crossings: Sequence[Crossing]) -> list[int]:
    return levels([frame.across.fraction(one.x) * WIDTH for one in crossings], [one.text for one in crossings])


def _rules(frame: _Frame, crossings: Sequence[Crossing]) -> list[alt.Chart]:
    """Upright rules with their words above the picture, like flags on poles."""
    rows = []
    for one, level in zip(crossings, _levels(frame, crossings), strict=True):
        x, top = frame.across.fraction(one.x) * WIDTH, -FLAG * (level + 1)
        rows.append(frame.at(x, top + 2) | frame.at(x, frame.height, "2") | {"text": one.text})
    flags = _layer(rows)
    pole = flags.mark_rule(color=INK, strokeDash=[5, 3], opacity=0.6).encode(x=frame.x, y=frame.y, y2="y2:Q")
    return [
        pole,
        flags.mark_text(align="left", baseline="top", dx=4, fontSize=11).encode(x=frame.x, y=frame.y, text="text:N"),
    ]


def _names(frame: _Frame, drawn: Sequence[Drawn], crossings: Sequence[Crossing]) -> list[alt.Chart]:
    """The name of every line, led to from its end by a line of its colour and dashes."""
    ends = [frame.pixel(*one.end) if one.end else (float(WIDTH), float(frame.height)) for one in drawn]
    paths = [[frame.pixel(one.series.x[i], one.series.y[i]) for i in piece] for one in drawn for piece in one.pieces]
    poles = [[(at := frame.across.fraction(one.x) * WIDTH, 0.0), (at, float(frame.height))] for one in crossings]
    taken = [point for path in [*paths, *poles] for point in along(path)]
    names = [one.series.name + ("" if one.end else " (no values)") for one in drawn]
    spots = beside_ends(names, ends, taken, (WIDTH, frame.height))
    leaders, texts = [], []
    for one, look, name, spot in zip(drawn, _looks(drawn), names, spots, strict=True):
        texts.append(frame.at(spot.x, spot.y) | {"name": name})
        if one.end:
            leaders.append(frame.at(*spot.leader[0]) | frame.at(*spot.leader[1], "2") | look)
    dashes = alt.StrokeDash("dash:N", scale=None)
    return [
        _layer(leaders)
        .mark_rule(opacity=0.7, strokeWidth=1)
        .encode(x=frame.x, y=frame.y, x2="x2:Q", y2="y2:Q", color=_hue(), strokeDash=dashes),
        _layer(texts).mark_text(align="left", dx=3, fontSize=11, limit=330).encode(x=frame.x, y=frame.y, text="name:N"),
    ]


__all__ = ["Crossing", "Series", "lines"]
