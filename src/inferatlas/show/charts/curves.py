"""Panels over one axis: lines through named points, with limits across; what is paid in latency for throughput?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from inferatlas.show.charts.endings import GAP, spread
from inferatlas.show.charts.front import WIDTH_OF_LETTER
from inferatlas.show.charts.style import INK, PALETTE, AnyChart, Axis, Span, data, dress, span

WIDTH, HEIGHT = 440, 190
ASIDE = 12  # pixels from the picture to the names of its lines
UNDER = 14  # pixels from a point to its name
FAR = 20.0  # a limit so many times beyond the values is not drawn: it would press them together
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """One point in SI values. ``low``, ``high``: ends of its interval, None where unknown. ``sure``: a full mark."""

    name: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Curve:
    """Points joined in their order; ``hue`` is a place in the palette, so that panels agree."""

    name: str
    hue: int
    spots: Sequence[Spot]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one quantity, and limits on it as (value, words)."""

    y: Axis
    curves: Sequence[Curve]
    limits: Sequence[tuple[float, str]] = ()


def curves(x: Axis, panels: Sequence[Panel]) -> AnyChart | None:
    """A panel per quantity, one under the other; None where there is nothing to draw.

    The points of the first curve of a panel are named. A limit far beyond all values is left to the text.

    Examples
    --------
    >>> line = Curve("p50", 0, [Spot("c1", 10.0, 0.1), Spot("c2", 19.0, 0.12)])
    >>> chart = curves(Axis("output tokens/s", "1", False), [Panel(Axis("TTFT", "s", True), [line])])
    >>> [row["name"] for row in chart.to_dict()["layer"][4]["data"]["values"]]
    ['c2', 'c1']
    """
    shown = [one for one in panels if any(curve.spots for curve in one.curves)]
    xs = [spot.x for one in shown for curve in one.curves for spot in curve.spots]
    if not xs:
        return None
    across = span(x, [*xs], room=0.1)
    drawn = [_panel(across, one, last=one is shown[-1]) for one in shown]
    return dress(alt.vconcat(*drawn, spacing=22) if len(drawn) > 1 else drawn[0])


def _panel(across: Span, panel: Panel, *, last: bool) -> alt.LayerChart | alt.FacetChart:
    spots = [spot for curve in panel.curves for spot in curve.spots]
    most = max(spot.y for spot in spots)
    limits = [one for one in panel.limits if one[0] <= FAR * most]
    ends = [end for spot in spots for end in (spot.low, spot.high) if end is not None and math.isfinite(end)]
    up = span(panel.y, [*(spot.y for spot in spots), *ends, *(value for value, _ in limits)], room=0.1, zero=True)
    fx = alt.X("x:Q", scale=across.scale(), axis=shared_ticks(across, named=last))
    fy = alt.Y("y:Q", scale=up.scale(), axis=up.ticks())
    rows = [_row(spot, curve, across, up) for curve in panel.curves for spot in curve.spots]
    hue = alt.Color("hue:N", scale=None, legend=None)
    layers = [
        alt.Chart(data([one for one in rows if "low" in one])).mark_rule(strokeWidth=2, opacity=0.5)
        .encode(x=fx, y=alt.Y("low:Q", scale=up.scale(), axis=up.ticks()), y2="high:Q", color=hue),
        alt.Chart(data(rows)).mark_line(strokeWidth=2, opacity=0.8).encode(x=fx, y=fy, color=hue, order="i:Q",
                                                                           detail="curve:N"),
        alt.Chart(data([one for one in rows if one["sure"]])).mark_point(filled=True, size=55, opacity=1)
        .encode(x=fx, y=fy, color=hue),
        alt.Chart(data([one for one in rows if not one["sure"]])).mark_point(filled=False, size=60, strokeWidth=1.8)
        .encode(x=fx, y=fy, color=hue),
        _names(panel, across, up, fx, fy),
        *_limits(limits, across, up, fx, fy),
        _beside(panel, across, up, fx, fy),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def shared_ticks(across: Span, *, named: bool) -> alt.Axis:
    """The axis of one of several panels over each other: all have its grid, and the last one its words."""
    axis = across.ticks()
    if not named:
        axis.title, axis.labels, axis.ticks = None, False, False
    return axis


def _row(spot: Spot, curve: Curve, across: Span, up: Span) -> Row:
    ends = {} if spot.low is None or spot.high is None else {"low": spot.low * up.factor, "high": spot.high * up.factor}
    return {
        "x": spot.x * across.factor, "y": spot.y * up.factor, "curve": curve.name, "sure": spot.sure,
        "hue": PALETTE[curve.hue % len(PALETTE)], "i": list(curve.spots).index(spot),
    } | ends  # fmt: skip


def _names(panel: Panel, across: Span, up: Span, fx: alt.X, fy: alt.Y) -> alt.Chart:
    """Names of the points of the first curve, under them (over those at the bottom), as far as they do not touch."""
    rows: list[Row] = []
    taken = math.inf  # where the last name begins
    for spot in reversed(panel.curves[0].spots):
        x, y = across.fraction(spot.x) * WIDTH, (1 - up.fraction(spot.y)) * HEIGHT
        half = WIDTH_OF_LETTER * len(spot.name) / 2
        if x + half > taken - 3:
            continue
        taken = x - half
        below = y + UNDER if y + UNDER < HEIGHT - 2 else y - UNDER
        rows.append({"name": spot.name, "x": spot.x * across.factor, "y": up.at(1 - below / HEIGHT)})
    return alt.Chart(data(rows)).mark_text(fontSize=11).encode(x=fx, y=fy, text="name:N")


def _limits(limits: Sequence[tuple[float, str]], across: Span, up: Span, fx: alt.X, fy: alt.Y) -> list[alt.Chart]:
    """Rules across the picture, with their words above the left end."""
    rows = [{"y": value * up.factor, "text": words, "x": across.low} for value, words in limits]
    table = alt.Chart(data(rows))
    return [
        table.mark_rule(color=INK, strokeDash=[5, 3], opacity=0.6).encode(y=fy),
        table.mark_text(align="left", baseline="bottom", dx=4, dy=-2, fontSize=11).encode(x=fx, y=fy, text="text:N"),
    ]


def _beside(panel: Panel, across: Span, up: Span, fx: alt.X, fy: alt.Y) -> alt.Chart:
    """The name of each curve to the right of the picture, at the height of its last point."""
    some = [curve for curve in panel.curves if curve.spots]
    wanted = [(1 - up.fraction(curve.spots[-1].y)) * HEIGHT for curve in some]
    at = across.at(1 + ASIDE / WIDTH)
    rows = [
        {"name": curve.name, "x": at, "y": up.at(1 - y / HEIGHT), "hue": PALETTE[curve.hue % len(PALETTE)]}
        for curve, y in zip(some, spread(wanted, GAP, HEIGHT), strict=True)
    ]
    words = alt.Chart(data(rows)).mark_text(align="left", fontSize=12, fontWeight="bold")
    return words.encode(x=fx, y=fy, text="name:N", color=alt.Color("hue:N", scale=None, legend=None))


__all__ = ["Curve", "Panel", "Spot", "curves", "shared_ticks"]
