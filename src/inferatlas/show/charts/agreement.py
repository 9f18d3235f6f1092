"""Predicted against measured, one panel a metric: points on the line agree, dashes are a factor of 1.25 off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from inferatlas.show.charts.style import INK, PALETTE, SHAPES, TICKS, AnyChart, data, dress
from inferatlas.show.numbers import quantity

SIDE, ACROSS = 236, 3
OFF = 1.25
Point = tuple[float, float, str]  # measured, predicted (SI), and the series that gives colour and shape


def agreement(panels: Mapping[str, Sequence[Point]]) -> AnyChart:
    """A panel per metric with logarithmic axes of the same range; series share colours over all panels."""
    series = sorted({one[2] for points in panels.values() for one in points})
    drawn = [_panel(metric, points, series) for metric, points in panels.items() if points]
    rows = [alt.hconcat(*drawn[i : i + ACROSS], spacing=24) for i in range(0, len(drawn), ACROSS)]
    return dress(alt.vconcat(*rows, spacing=28) if len(rows) > 1 else rows[0])


def _panel(metric: str, points: Sequence[Point], series: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    name, unit = quantity(metric)
    both = [value for one in points for value in one[:2]]
    factor, unit = (1e3, "ms") if unit == "s" and sorted(both)[len(both) // 2] < 1 else (1.0, unit)
    low, high = min(both) * factor / 1.2, max(both) * factor * 1.2
    table = data([{"x": m * factor, "y": p * factor, "series": s} for m, p, s in points])
    title = f"{name} ({unit})" if unit != "1" else name

    def axis(words: str) -> alt.Axis:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1,) if high / low > 100 else (1, 2, 5)
        values = [m * 10.0**k for k in decades for m in steps if low <= m * 10.0**k <= high]
        return alt.Axis(title=f"{words} {title}", labelExpr=TICKS, values=values)

    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x, y = alt.X("x:Q", scale=scale, axis=axis("measured")), alt.Y("y:Q", scale=scale, axis=axis("predicted"))
    marks = alt.Chart(table).mark_point(filled=True, size=14, opacity=0.45)
    layers = [
        marks.encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=list(series), range=[PALETTE[i % len(PALETTE)] for i in range(len(series))]),
                legend=alt.Legend(title=None, orient="top", symbolOpacity=1, symbolSize=60),
            ),
            shape=alt.Shape(
                "series:N",
                scale=alt.Scale(domain=list(series), range=[SHAPES[i % len(SHAPES)] for i in range(len(series))]),
                legend=alt.Legend(title=None, orient="top", symbolOpacity=1, symbolSize=60),
            ),
        )
    ]
    for shift, dash in ((1.0, [1, 0]), (OFF, [4, 4]), (1 / OFF, [4, 4])):
        ends = [max(low, low / shift), min(high, high / shift)]
        line = data([{"x": e, "y": e * shift} for e in ends])
        layers.append(
            alt.Chart(line).mark_line(color=INK, strokeWidth=1, strokeDash=dash, opacity=0.7).encode(x=x, y=y)
        )
    return alt.layer(*layers).properties(width=SIDE, height=SIDE)
