"""Stacked bars of parts: what does each row consist of?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from inferatlas.quantities import percent
from inferatlas.show.charts.front import WIDTH_OF_LETTER
from inferatlas.show.charts.style import PALETTE, ROW_HEIGHT, TICKS, AnyChart, data, dress, rows_axis
from inferatlas.show.numbers import NONE

WIDTH = 440
REST = "#8a929c"  # of the parts that no colour is left for
Rows = Sequence[tuple[str, Sequence[tuple[str, float | None]]]]


def shares(rows: Rows, title: str) -> AnyChart:
    """A bar per row, its parts in one order and colour for all, with their share of the row where there is room.

    Parameters
    ----------
    rows : at least one, each a unique name and its parts as (name, size), all sizes in one unit. What is missing,
        NaN or not above 0 is not drawn. Of more than eight parts the seven largest over all rows keep a colour of
        their own.
    title : of the axis, with the unit.

    Examples
    --------
    >>> chart = shares([("H100", [("length", 0.7), ("load", 0.3)]), ("L4", [("load", 1.0)])], "share of variance")
    >>> [(row["part"], row["text"]) for row in chart.to_dict()["layer"][0]["data"]["values"]]
    [('length', '70 %'), ('load', '30 %'), ('load', '100 %')]
    """
    names = [name for name, _ in rows]
    colours = _colours(rows)
    sums = [_summed(parts, colours) for _, parts in rows]
    most = max((sum(held.values()) for held in sums), default=0.0) or 1.0
    pieces: list[dict[str, object]] = []
    for name, held in zip(names, sums, strict=True):
        whole, start = sum(held.values()), 0.0
        for part, size in held.items():
            text = percent(size / whole)
            fits = size / most * WIDTH > WIDTH_OF_LETTER * len(text) + 8
            pieces.append(
                {"name": name, "part": part, "start": start, "end": start + size, "middle": start + size / 2,
                 "text": text if fits else "", "ink": ink_on(colours[part])}
            )  # fmt: skip
            start += size
    x = {
        "scale": alt.Scale(domain=[0, most], nice=False),
        "axis": alt.Axis(title=f"{title[:1].upper()}{title[1:]}", labelExpr=TICKS, tickCount=6),
    }
    legend = alt.Legend(title=None, orient="top", columns=4, symbolType="square", symbolStrokeWidth=0, labelLimit=200)
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    base = alt.Chart(data(pieces)).properties(width=WIDTH, height=ROW_HEIGHT * len(names))
    empty = [{"name": name, "start": 0, "text": NONE} for name, held in zip(names, sums, strict=True) if not held]
    y = rows_axis(names)
    return dress(
        alt.layer(
            base.mark_bar(height=17, x2Offset=-1).encode(
                x=alt.X("start:Q", **x), x2="end:Q", y=y, color=alt.Color("part:N", scale=scale, legend=legend)
            ),
            base.mark_text(fontSize=11).encode(
                x=alt.X("middle:Q", **x), y=y, text="text:N", color=alt.Color("ink:N", scale=None, legend=None)
            ),
            alt.Chart(data(empty)).mark_text(align="left", dx=4).encode(x=alt.X("start:Q", **x), y=y, text="text:N"),
        )
    )


def _size(size: float | None) -> float:
    return size if size is not None and math.isfinite(size) and size > 0 else 0.0


def _colours(rows: Rows) -> dict[str, str]:
    """Part -> colour, in the order in which parts are first named; the rest last."""
    total: dict[str, float] = {}
    for _, parts in rows:
        for part, size in parts:
            total[part] = total.get(part, 0.0) + _size(size)
    if len(total) <= len(PALETTE):
        return dict(zip(total, PALETTE, strict=False))
    largest = sorted(total, key=lambda part: -total[part])[: len(PALETTE) - 1]
    rest = f"{len(total) - len(largest)} other parts"
    return dict(zip([part for part in total if part in largest], PALETTE, strict=False)) | {rest: REST}


def _summed(parts: Sequence[tuple[str, float | None]], colours: dict[str, str]) -> dict[str, float]:
    """Part -> size in the order of the colours, without empty ones; parts without a colour are added up."""
    last = list(colours)[-1] if colours else ""
    held = dict.fromkeys(colours, 0.0)
    for part, size in parts:
        held[part if part in colours else last] += _size(size)
    return {part: size for part, size in held.items() if size > 0}


def ink_on(fill: str) -> str:
    """Black or white, whichever is readable on the fill: one of them always has a contrast of 4.5:1.

    >>> ink_on("#ffe080"), ink_on("#202060")
    ('#000000', '#ffffff')
    """
    red, green, blue = (((int(fill[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5))
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"
