"""A tornado: how far does each input move the total over its range?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.quantities import show
from inferatlas.show.charts.front import WIDTH_OF_LETTER
from inferatlas.show.charts.style import INK, PALETTE, ROW_HEIGHT, AnyChart, Axis, data, dress, rows_axis, span

WIDTH = 520
ENDS = ("input at its low end", "input at its high end")


@dataclass(frozen=True, slots=True)
class Swing:
    """One row: the total with the input at either end of its range, and these ends in words; ``name`` is unique."""

    name: str
    at_low: float
    at_high: float
    low: str
    high: str


def tornado(rows: Sequence[Swing], value: float, axis: Axis) -> AnyChart:
    """Bars from the total to where each input takes it, in the order given, the total as a line.

    Parameters
    ----------
    rows : at least one. value : the total itself. axis : of the total; values are plain numbers of its unit.

    Examples
    --------
    >>> chart = tornado([Swing("life", 1.4, 0.9, "3", "6")], 1.0, Axis("cost", "USD", True))
    >>> [(row["end"], row["to"]) for row in chart.to_dict()["layer"][0]["data"]["values"]]
    [('input at its low end', 1.4), ('input at its high end', 0.9)]
    """
    ends = [value, *(end for row in rows for end in (row.at_low, row.at_high))]
    names = [row.name for row in rows]
    bars, texts = [], []
    for row in rows:
        pair = [(ENDS[0], row.at_low, row.low), (ENDS[1], row.at_high, row.high)]
        bars += [{"name": row.name, "end": end, "from": value, "to": at} for end, at, _ in pair]
        (_, least, left), (_, most, right) = sorted(pair, key=lambda one: one[1])
        texts.append({"name": row.name, "at": min(least, value), "text": f"{left}: {show(least, '1')}", "side": "left"})
        texts.append({"name": row.name, "at": max(most, value), "text": f"{right}: {show(most, '1')}", "side": "right"})
    room = max(len(str(text["text"])) for text in texts) * WIDTH_OF_LETTER / WIDTH
    least, most = min(ends), max(ends)
    drawn = span(axis, [max(least - room * (most - least) * 1.2, 0.0), most], room=room)
    y = rows_axis(names)
    colours = alt.Color(
        "end:N", scale=alt.Scale(domain=list(ENDS), range=[PALETTE[0], PALETTE[6]]),
        legend=alt.Legend(title=None, orient="top", symbolType="square", symbolStrokeWidth=0, labelLimit=200),
    )  # fmt: skip

    def x(field: str) -> alt.X:
        return alt.X(field, scale=drawn.scale(), axis=drawn.ticks())

    def label(side: str) -> alt.Chart:
        return alt.Chart(data([text for text in texts if text["side"] == side]))

    base = alt.Chart(data(bars)).properties(width=WIDTH, height=ROW_HEIGHT * len(rows))
    return dress(
        alt.layer(
            base.mark_bar(height=13).encode(x=x("from:Q"), x2="to:Q", y=y, color=colours),
            label("left").mark_text(align="right", dx=-5, fontSize=11).encode(x=x("at:Q"), y=y, text="text:N"),
            label("right").mark_text(align="left", dx=5, fontSize=11).encode(x=x("at:Q"), y=y, text="text:N"),
            alt.Chart(data([{"value": value}])).mark_rule(color=INK, strokeWidth=1.5).encode(x=x("value:Q")),
        )
    )
