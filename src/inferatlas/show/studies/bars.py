"""Ours beside theirs, a row for every name and series: a bar with its 80 % interval, and what the paper prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from inferatlas.show.charts.style import INK, AnyChart, Span
from inferatlas.show.studies.looks import (
    MISSING,
    PUBLISHED,
    Look,
    Panel,
    Row,
    Sheets,
    across,
    grid,
    hues,
    in_order,
    kind_of,
    kinds,
    known,
    looks,
    printed,
    series_of,
    span_of,
    ticks,
)
from inferatlas.studies.exhibits import Pair, Plot

WIDTHS = {1: 560, 2: 300, 3: 200}
SLOT, AIR = 15, 9  # pixels of a series in a row, and between rows


def bars(shown: Sequence[Panel], plot: Plot, at: Mapping[str, int]) -> AnyChart:
    """A panel each, those of one quantity on one axis. A range of more than 20 to 1 is logarithmic: dots, no bars.

    ``at`` : places of the series in the study, which fix their colours.
    """
    every = [pair for panel in shown for pair in panel.pairs]
    held = looks(in_order([series_of(pair, plot) for pair in every]), at)
    spans = {
        name: span_of([pair for pair in every if pair.quantity == name], plot, zero=True) for name in _quantities(every)
    }
    sheets, shape = Sheets(), kinds(every)
    names = [_names(panel, plot) for panel in shown]
    shared = all(one == names[0] for one in names)
    columns = across(len(shown)) if shared else min(across(len(shown)), 2)
    drawn = [
        _panel(panel, plot, spans[panel.pairs[0].quantity], held, WIDTHS[columns], sheets, shape,
               labels=not shared or not i % columns)
        for i, panel in enumerate(shown)
    ]  # fmt: skip
    notes = [MISSING] if any(known(pair.ours) is None for pair in every) else []
    return grid(
        [(panel.title, one) for panel, one in zip(shown, drawn, strict=True)], columns, sheets, plot.facet, notes
    )


def _quantities(pairs: Sequence[Pair]) -> list[str]:
    return in_order([pair.quantity for pair in pairs])


def _names(panel: Panel, plot: Plot) -> list[str]:
    return in_order([pair.what.get(plot.x, "") for pair in panel.pairs])


def _panel(
    panel: Panel, plot: Plot, drawn: Span, held: Mapping[str, Look], width: int, sheets: Sheets, shape: alt.Shape,
    *, labels: bool,
) -> AnyChart:  # fmt: skip
    """One panel; a name that several pairs of a series share (another column tells them apart) has a slot for each."""
    names, slots = _names(panel, plot), [name for name in held if any(series_of(p, plot) == name for p in panel.pairs)]
    f = drawn.factor
    ours: list[Row] = []
    theirs: list[Row] = []
    missing: list[Row] = []
    for pair in panel.pairs:
        row: Row = {"name": pair.what.get(plot.x, ""), "series": series_of(pair, plot)}
        if one := known(pair.ours):
            ours.append(row | {"low": one.low * f, "value": one.value * f, "high": one.high * f, "kind": kind_of(pair)})
        else:
            missing.append(row | {"value": drawn.low, "text": "×"})
        if one := printed(pair.published):
            ends = {"low": max(one.low * f, drawn.low), "high": min(one.high * f, drawn.high)}
            theirs.append(row | {"value": one.value * f, "kind": PUBLISHED} | ends)
    height = (SLOT * len(slots) + AIR) * len(names)
    air = AIR / (SLOT * len(slots) + AIR)
    y = alt.Y(
        "name:N", sort=names, scale=alt.Scale(domain=names, paddingInner=air, paddingOuter=air / 2),
        axis=alt.Axis(title=None, labelLimit=260, labels=labels, ticks=False, domain=False, grid=False),
    )  # fmt: skip
    offset = alt.YOffset("series:N", sort=slots, scale=alt.Scale(domain=slots))
    hue = hues(held, plot.colour)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=drawn.scale(), axis=ticks(drawn))

    def layer(rows: Sequence[Row]) -> alt.Chart:
        return sheets.layer(rows, (width, height))

    spans = layer(ours).mark_rule(strokeWidth=2.5, opacity=0.75)
    dots = layer(ours).mark_point(filled=True, size=52, opacity=1)
    reach = layer(theirs).mark_rule(strokeWidth=1.2, color=INK)
    squares = layer(theirs).mark_point(filled=False, size=74, strokeWidth=1.7, opacity=1, color=INK)
    crosses = layer(missing).mark_text(align="left", dx=4, fontSize=13)
    layers = [
        spans.encode(x=x("low"), x2="high:Q", y=y, yOffset=offset, color=hue),
        dots.encode(x=x("value"), y=y, yOffset=offset, color=hue, shape=shape),
        reach.encode(x=x("low"), x2="high:Q", y=y, yOffset=offset),
        squares.encode(x=x("value"), y=y, yOffset=offset, shape=shape),
        crosses.encode(x=x("value"), y=y, yOffset=offset, text="text:N"),
    ]
    if not drawn.log and drawn.low == 0:  # a bar has a meaning only from 0 on
        filled = layer(ours).mark_bar(opacity=0.3)
        layers.insert(0, filled.encode(x=x("value"), y=y, yOffset=offset, color=hue))
    return sheets.stack(layers)
