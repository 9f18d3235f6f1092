"""Strips over one time axis, one under the other, with stretches of time shaded: what happened when?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inferatlas.show.charts.curves import shared_ticks
from inferatlas.show.charts.endings import GAP, spread
from inferatlas.show.charts.style import INK, PALETTE, AnyChart, Axis, Span, data, dress, span
from inferatlas.show.charts.traces import runs

WIDTH, HEIGHT = 560, 84
ASIDE = 8  # pixels from the picture to the names of its lines
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """Values at the times of its strip, in SI; NaN is a gap. ``name`` stands at its end, where several need names."""

    name: str
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Strip:
    """One quantity over time, from 0 up."""

    y: Axis
    lines: Sequence[Line]


def strips(
    time: Axis, times: Sequence[float], chosen: Sequence[Strip], shaded: Sequence[tuple[float, float]] = ()
) -> AnyChart | None:
    """A strip per quantity; None where nothing is known of any.

    Parameters
    ----------
    time : the axis. times : seconds, ascending, of every value. chosen : strips; empty ones are left out.
    shaded : (from, to) in seconds.

    Examples
    --------
    >>> strip = Strip(Axis("in flight", "1", None), [Line("", [0.0, 8.0, 8.0])])
    >>> chart = strips(Axis("time", "s", None), [0.0, 1.0, 2.0], [strip], [(0.5, 1.5)])
    >>> chart.to_dict()["layer"][0]["data"]["values"]
    [{'x': 0.5, 'x2': 1.5}]
    """
    shown = [
        Strip(one.y, [line for line in one.lines if any(map(math.isfinite, line.y))])
        for one in chosen
        if any(math.isfinite(value) for line in one.lines for value in line.y)
    ]
    if not shown or not times:
        return None
    across = span(time, [0.0, *times], room=0.0, zero=True)
    drawn = [_strip(across, times, one, shaded, last=one is shown[-1]) for one in shown]
    return dress(alt.vconcat(*drawn, spacing=26) if len(drawn) > 1 else drawn[0])


def _strip(
    across: Span, times: Sequence[float], strip: Strip, shaded: Sequence[tuple[float, float]], *, last: bool
) -> alt.LayerChart | alt.FacetChart:
    values = [value for line in strip.lines for value in line.y if math.isfinite(value)]
    up = span(strip.y, [0.0, *values], room=0.08, zero=True)
    fx = alt.X("x:Q", scale=across.scale(), axis=shared_ticks(across, named=last))
    axis = alt.Axis(
        title=up.title, titleAngle=0, titleAlign="left", titleAnchor="end", titleBaseline="bottom", titleX=0, titleY=-7,
        tickCount=3, labelExpr=up.ticks().labelExpr,
    )  # fmt: skip
    fy = alt.Y("y:Q", scale=up.scale(), axis=axis)
    bands: list[Row] = [{"x": low * across.factor, "x2": high * across.factor} for low, high in shaded]
    rows, lone = _rows(across, up, times, strip)
    hue = alt.Color("hue:N", scale=None, legend=None)
    layers = [
        alt.Chart(data(bands)).mark_rect(color=INK, opacity=0.08).encode(x=fx, x2="x2:Q"),
        alt.Chart(data(rows)).mark_line(strokeWidth=1.6, strokeJoin="round").encode(x=fx, y=fy, color=hue,
                                                                                    detail="piece:N"),
        alt.Chart(data(lone)).mark_point(filled=True, size=14, opacity=1).encode(x=fx, y=fy, color=hue),
    ]  # fmt: skip
    if len(strip.lines) > 1:
        layers.append(_names(across, up, strip, fx, fy))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _rows(across: Span, up: Span, times: Sequence[float], strip: Strip) -> tuple[list[Row], list[Row]]:
    """Points of lines by stretch without gap, and points that have no neighbour."""
    rows: list[Row] = []
    lone: list[Row] = []
    for number, line in enumerate(strip.lines):
        for stretch in runs([math.isfinite(value) for value in line.y]):
            own = [
                {"x": times[i] * across.factor, "y": line.y[i] * up.factor, "piece": f"{number}/{stretch.start}",
                 "hue": PALETTE[number % len(PALETTE)]}
                for i in stretch
            ]  # fmt: skip
            (rows if len(own) > 1 else lone).extend(own)
    return rows, lone


def _names(across: Span, up: Span, strip: Strip, fx: alt.X, fy: alt.Y) -> alt.Chart:
    last = [next(value for value in reversed(line.y) if math.isfinite(value)) for line in strip.lines]
    wanted = [(1 - up.fraction(value)) * HEIGHT for value in last]
    rows = [
        {"x": across.at(1 + ASIDE / WIDTH), "y": up.at(1 - y / HEIGHT), "name": line.name,
         "hue": PALETTE[number % len(PALETTE)]}
        for number, (line, y) in enumerate(zip(strip.lines, spread(wanted, GAP, HEIGHT), strict=True))
    ]  # fmt: skip
    words = alt.Chart(data(rows)).mark_text(align="left", fontSize=11, fontWeight="bold", limit=240)
    return words.encode(x=fx, y=fy, text="name:N", color=alt.Color("hue:N", scale=None, legend=None))


__all__ = ["Line", "Strip", "strips"]
