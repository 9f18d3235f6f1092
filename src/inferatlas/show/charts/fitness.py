"""Heat map of scores, accelerators by regimes: who is good at what, and where does nothing run?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

import altair as alt

from inferatlas.show.charts.style import INK, PALETTE, AnyChart, data, dress
from inferatlas.show.numbers import NONE

LOWEST, HIGHEST = 0.01, 1.0
# The fill is one colour over the page, thin for low scores: on a light and on a dark page more colour means better,
# and the ink of the page is readable on every cell (4.5:1; tests/show/test_style.py computes it).
HUE, THINNEST, THICKEST = PALETTE[0], 0.05, 0.74
ROW, TWO_LINES, NARROWEST, WIDEST = 22, 34, 66, 118
LETTER = 6.2  # pixels at 11 px, for words in cells and above columns
STUDY = "study: "  # before a published grade
PUBLISHED = "second lines: the study's grade"
DIFFERS = "▲ a published grade differs"
TALL = 25  # a map of more rows names its columns at the foot too


@dataclass(frozen=True, slots=True)
class Mark:
    """One accelerator in one regime: a score from 0 to 1 (None: none), the words in the cell.

    ``published``: the grade that a study gave, a second and smaller line; ``differs`` marks a cell where it is
    another one.
    """

    row: str
    column: str
    score: float | None
    text: str
    published: str = ""
    differs: bool = False


def fitness(cells: Sequence[Mark]) -> AnyChart:
    """Rows and columns in the order in which they are first given, filled by score on a logarithmic scale.

    Scores below 0.01 are filled as 0.01; a cell without a score is an empty frame with a dash, and so is a pair of
    row and column that was not given. At least one cell is given; of its words the first line is drawn.

    Examples
    --------
    >>> chart = fitness([Mark("H100", "chat", 0.8, "good"), Mark("L4", "chat", None, "")])
    >>> [len(layer["data"]["values"]) for layer in chart.to_dict()["layer"][:2]]
    [1, 1]
    """
    rows, names = list(dict.fromkeys(c.row for c in cells)), list(dict.fromkeys(c.column for c in cells))
    held = {(c.row, c.column): c for c in cells}
    every = [held.get((row, column), Mark(row, column, None, "")) for row in rows for column in names]
    width = _width(every, names)
    published = [c for c in every if c.published]
    row = TWO_LINES if published else ROW
    headings = _headings(names, int(width / LETTER))
    lines = max((one.count("\n") for one in headings.values()), default=0) + 1
    y = alt.Y("row:N", sort=rows, scale=alt.Scale(domain=rows, padding=0.06), axis=_names_axis("left"))

    def x(orient: Literal["top", "bottom"] | None) -> alt.X:
        order = list(headings.values())
        axis = _names_axis(orient, lines) if orient else None
        return alt.X("column:N", sort=order, scale=alt.Scale(domain=order, padding=0.03), axis=axis)

    def layer(chosen: Sequence[Mark]) -> alt.Chart:
        table = [
            {"row": c.row, "column": headings[c.column], "score": _score(c), "text": _first_line(c.text) or NONE,
             "published": f"{STUDY}{c.published}"}
            for c in chosen
        ]  # fmt: skip
        return alt.Chart(data(table)).properties(width=width * len(names), height=row * len(rows))

    def words(chosen: Sequence[Mark], field: str, size: float, dy: float) -> alt.Chart:
        text = layer(chosen).mark_text(fontSize=size, dy=dy, limit=width - 6)
        return text.encode(x=x(None), y=y, text=f"{field}:N")

    layers = [
        layer([c for c in every if _score(c) is not None])
        .mark_rect(color=HUE)
        .encode(x=x("top"), y=y, opacity=_fill()),
        layer([c for c in every if _score(c) is None])
        .mark_rect(fillOpacity=0, stroke=INK, strokeOpacity=0.3, strokeDash=[2, 3])
        .encode(x=x(None), y=y),
        words([c for c in every if not c.published], "text", 11, 0),
        words(published, "text", 11, -5),
        words(published, "published", 10, 8),
    ]
    differing = [c for c in every if c.differs]
    if differing:
        marks = layer(differing).mark_point(
            shape="triangle-up", filled=True, size=34, opacity=1, color=INK,
            xOffset=width * 0.485 - 5, yOffset=6 - row / 2,
        )  # fmt: skip
        layers.append(marks.encode(x=x(None), y=y))
    if len(rows) > TALL:
        layers.append(layer(every[:1]).mark_point(opacity=0).encode(x=x("bottom"), y=y))
    chart = alt.layer(*layers).resolve_axis(x="independent")
    notes = [*([PUBLISHED] if published else []), *([DIFFERS] if differing else [])]
    return dress(chart.properties(title=_note("; ".join(notes))) if notes else chart)


def _score(cell: Mark) -> float | None:
    """The score inside the scale; None where there is none."""
    if cell.score is None or math.isnan(cell.score):
        return None
    return min(max(cell.score, LOWEST), HIGHEST)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _width(cells: Sequence[Mark], names: Sequence[str]) -> int:
    """Pixels of a column: what its words need, within bounds that keep eight columns on a page."""
    words = [_first_line(c.text) for c in cells] + [f"{STUDY}{c.published}" for c in cells if c.published]
    words += [word for name in names for word in name.split()]
    return round(min(max(NARROWEST, LETTER * max(map(len, words), default=0) + 14), WIDEST))


def _headings(names: Sequence[str], letters: int) -> dict[str, str]:
    """Names broken into lines of so many letters, all of one height: shorter ones begin with empty lines."""
    broken = {name: wrap(name, letters) or [name] for name in names}
    height = max(map(len, broken.values()), default=1)
    return {name: "\n".join([""] * (height - len(lines)) + lines) for name, lines in broken.items()}


def _names_axis(orient: Literal["top", "bottom", "left"], lines: int = 1) -> alt.Axis:
    above = orient == "top"  # there Vega sets the first line where the last one should be
    return alt.Axis(
        title=None, orient=orient, labelAngle=0, labelLimit=330 if orient == "left" else WIDEST, ticks=False,
        domain=False, grid=False, labelOverlap=False, labelPadding=6 + 15 * (lines - 1) * above,
        labelExpr=f"split({'datum.label' if above else 'trim(datum.label)'}, '\\n')",
    )  # fmt: skip


def _fill() -> alt.Opacity:
    scale = alt.Scale(type="log", domain=[LOWEST, HIGHEST], range=[THINNEST, THICKEST], clamp=True)
    legend = alt.Legend(
        title="score", orient="top", titleOrient="left", values=[0.01, 0.03, 0.1, 0.3, 1.0], format="~g",
        symbolType="square", symbolSize=220, symbolFillColor=HUE, symbolStrokeWidth=0,
    )  # fmt: skip
    return alt.Opacity("score:Q", scale=scale, legend=legend)


def _note(text: str) -> alt.TitleParams:
    return alt.TitleParams(
        text, orient="bottom", anchor="start", fontSize=12, fontWeight="normal", color=INK, offset=12
    )
