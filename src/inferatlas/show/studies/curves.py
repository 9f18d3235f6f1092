"""How a quantity grows, ours and theirs: a line with its band for every series, squares where the paper prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import altair as alt

from inferatlas.errors import BadInput
from inferatlas.show.charts.endings import beside_ends
from inferatlas.show.charts.front import along
from inferatlas.show.charts.lines import BAND
from inferatlas.show.charts.style import INK, AnyChart, Axis, Span, span
from inferatlas.show.studies.looks import (
    NO_BANDS,
    PUBLISHED,
    Look,
    Panel,
    Row,
    Sheets,
    across,
    crowded,
    dashes,
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
from inferatlas.studies.claims.printed import read_printed
from inferatlas.studies.exhibits import Pair, Plot

SIZES = {1: (470, 320), 2: (330, 230), 3: (215, 190)}
TICKED = 9  # so many different places are all ticked


def curves(shown: Sequence[Panel], plot: Plot, at: Mapping[str, int]) -> AnyChart | None:
    """A panel each, all of a quantity on the same axes. Series of a lone panel are named at their ends, else below.

    Pairs with a word where the axis below has numbers are left to the table, and None is drawn where all are.

    ``at`` : places of the series in the study, which fix their colours.
    """
    whole = [pair for panel in shown for pair in panel.pairs]
    shown = [Panel(one.title, tuple(p for p in one.pairs if place(p, plot) is not None)) for one in shown]
    shown = [panel for panel in shown if panel.pairs]
    every = [pair for panel in shown for pair in panel.pairs]
    if not every:
        return None
    held = looks(in_order([series_of(pair, plot) for pair in every]), at)
    x = span(Axis(plot.x, "1", None), _places(every, plot), room=0.02)
    full = crowded(shown, plot)
    spans = {
        name: span_of([pair for pair in every if pair.quantity == name], plot, ends=not full)
        for name in in_order([pair.quantity for pair in every])
    }
    sheets, shape, size = Sheets(), kinds(every), SIZES[across(len(shown))]
    drawn = [
        _panel(panel, plot, (x, spans[panel.pairs[0].quantity]), held, size, sheets, shape, full, len(shown) == 1)
        for panel in shown
    ]
    titled = [(panel.title, one) for panel, one in zip(shown, drawn, strict=True)]
    notes = [NO_BANDS] if full and any(pair.ours for pair in every) else []
    return grid(titled, across(len(shown)), sheets, plot.facet, [*notes, *_left_out(whole, plot)])


def _left_out(pairs: Sequence[Pair], plot: Plot) -> list[str]:
    """A note on what has no place on the axis below."""
    words = in_order([pair.what.get(plot.x, "") for pair in pairs if place(pair, plot) is None])
    return [f"only in the table: {', '.join(words)}"] if words else []


def _places(pairs: Sequence[Pair], plot: Plot) -> list[float]:
    return [x for pair in pairs if (x := place(pair, plot)) is not None]


def place(pair: Pair, plot: Plot) -> float | None:
    """Where a pair stands on the axis below: the number that its column holds; None for a word.

    >>> place(Pair({"batch": "1,024"}, "power_w", "W", None, None, "predicted"), Plot("lines", "batch"))
    1024.0
    """
    try:
        return read_printed(pair.what.get(plot.x, "")).value
    except BadInput:
        return None


def _panel(
    panel: Panel, plot: Plot, axes: tuple[Span, Span], held: Mapping[str, Look], size: tuple[int, int], sheets: Sheets,
    shape: alt.Shape, full: bool, named: bool,
) -> AnyChart:  # fmt: skip
    across_, up = axes
    f = up.factor
    ours: list[Row] = []
    theirs: list[Row] = []
    for at_x, pair in sorted(zip(_places(panel.pairs, plot), panel.pairs, strict=True), key=lambda one: one[0]):
        row: Row = {"x": at_x, "series": series_of(pair, plot)}
        if one := known(pair.ours):
            ours.append(row | {"low": one.low * f, "y": one.value * f, "high": one.high * f, "kind": kind_of(pair)})
        if one := printed(pair.published):
            low, high = max(one.low * f, up.low), min(one.high * f, up.high)
            theirs.append(row | {"y": one.value * f, "low": low, "high": high, "kind": PUBLISHED})
    theirs = _common(theirs)
    x = alt.X("x:Q", scale=across_.scale(), axis=_ticks(across_, _places(panel.pairs, plot)))
    hue, dash = hues(held, plot.colour, legend=not named), dashes(held)
    # what is printed for several series alike belongs to none of them
    stroke = alt.condition("datum.common", alt.value(INK), hue)

    def y(field: str = "y") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=up.scale(), axis=ticks(up))

    def layer(rows: Sequence[Row]) -> alt.Chart:
        return sheets.layer(rows, size)

    # several values of a series at one place are no line
    places = [(row["series"], row["x"]) for row in ours]
    joined = [row for row in ours if max(Counter(p for p in places if p[0] == row["series"]).values()) == 1]
    line = layer(joined).mark_line(strokeWidth=2, strokeJoin="round")
    layers = [
        line.encode(x=x, y=y(), color=hue, strokeDash=dash, detail="series:N"),
        layer(ours).mark_point(filled=True, size=34, opacity=1).encode(x=x, y=y(), color=hue, shape=shape),
        layer(theirs).mark_rule(strokeWidth=1.2).encode(x=x, y=y("low"), y2="high:Q", color=stroke),
        layer(theirs)
        .mark_point(filled=False, size=70, strokeWidth=1.8, opacity=1)
        .encode(x=x, y=y(), color=stroke, shape=shape),
    ]
    if not full:
        many = {name for name, count in Counter(str(row["series"]) for row in joined).items() if count > 1}
        lone = [row for row in ours if row["series"] not in many]
        area = layer([row for row in joined if row["series"] in many]).mark_area(opacity=BAND)
        rule = layer(lone).mark_rule(strokeWidth=2.5, opacity=0.55)
        bands = [one.encode(x=x, y=y("low"), y2="high:Q", color=hue, detail="series:N") for one in (area, rule)]
        layers = [*bands, *layers]
    if named and len(held) > 1:
        layers += _names(ours, theirs, axes, held, size, sheets)
    return sheets.stack(layers)


def _ticks(drawn: Span, places: Sequence[float]) -> alt.Axis:
    """Ticks where the points are, unless there are many."""
    found = sorted(set(places))
    apart = [drawn.fraction(b) - drawn.fraction(a) for a, b in pairwise(found)]
    if len(found) > TICKED or min(apart, default=1.0) < 0.04:
        return ticks(drawn)
    return ticks(drawn, found)


def _common(theirs: Sequence[Row]) -> list[Row]:
    """Each printed place once: what is printed alike for several series is marked as common to them."""
    held: dict[tuple[object, ...], list[Row]] = {}
    for row in theirs:
        held.setdefault((row["x"], row["low"], row["y"], row["high"]), []).append(row)
    return [rows[0] | {"common": len({str(row["series"]) for row in rows}) > 1} for rows in held.values()]


def _names(
    ours: Sequence[Row], theirs: Sequence[Row], axes: tuple[Span, Span], held: Mapping[str, Look],
    size: tuple[int, int], sheets: Sheets,
) -> list[alt.Chart]:  # fmt: skip
    """The name of every series beside its last point, led to by a line."""
    across_, up = axes

    def pixel(row: Row) -> tuple[float, float]:
        x, y = float(str(row["x"])), float(str(row["y"]))
        return across_.fraction(x) * size[0], (1 - up.fraction(y / up.factor)) * size[1]

    paths = {name: [pixel(r) for r in ours if r["series"] == name] or
             [pixel(r) for r in theirs if r["series"] == name] for name in held}  # fmt: skip
    names = [name for name, path in paths.items() if path]
    taken = [point for path in paths.values() for point in along(path)] + [pixel(row) for row in theirs]
    spots = beside_ends(names, [paths[name][-1] for name in names], taken, size)

    def at(x: float, y: float, suffix: str = "") -> Row:
        return {f"x{suffix}": across_.at(x / size[0]), f"y{suffix}": up.at(1 - y / size[1])}

    rows = [at(spot.x, spot.y) | {"name": name} for name, spot in zip(names, spots, strict=True)]
    leaders = [
        at(*spot.leader[0]) | at(*spot.leader[1], "2") | {"hue": held[name].colour}
        for name, spot in zip(names, spots, strict=True)
    ]
    x = alt.X("x:Q", scale=across_.scale())
    y = alt.Y("y:Q", scale=up.scale())
    return [
        sheets.layer(leaders, size)
        .mark_rule(opacity=0.7, strokeWidth=1)
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q", stroke=alt.Stroke("hue:N", scale=None, legend=None)),
        sheets.layer(rows, size)
        .mark_text(align="left", dx=3, fontSize=11, limit=330, color=INK)
        .encode(x=x, y=y, text="name:N"),
    ]
