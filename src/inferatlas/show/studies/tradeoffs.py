"""One quantity against another, the points of a series joined and marked (with their batch): ours and theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.predict.answer import Interval
from inferatlas.show.charts.front import set_names
from inferatlas.show.charts.style import INK, AnyChart, Span, span
from inferatlas.show.studies.looks import (
    NO_BANDS,
    PUBLISHED,
    Look,
    Panel,
    Row,
    Sheets,
    across,
    axis_of,
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
    ticks,
    values_of,
)
from inferatlas.studies.exhibits import Pair, Plot

SIZES = {1: (560, 340), 2: (340, 260), 3: (220, 210)}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a series with both quantities, ours or theirs (SI)."""

    series: str
    mark: str
    kind: str
    x: Interval
    y: Interval


def tradeoffs(shown: Sequence[Panel], plot: Plot, at: Mapping[str, int]) -> AnyChart | None:
    """A panel each, on the same axes; None where no point has both quantities.

    ``at`` : places of the series in the study, which fix their colours.
    """
    every = [pair for panel in shown for pair in panel.pairs]
    held = looks(in_order([series_of(pair, plot) for pair in every]), at)
    drawn = [(panel.title, found) for panel in shown if (found := points(panel.pairs, plot))]
    if not drawn:
        return None
    full = crowded(shown, plot)
    axes = (_axis(every, plot.x, not full), _axis(every, plot.y, not full))
    sheets, shape = Sheets(), kinds(every)
    columns = across(len(drawn))
    notes = [f"beside {'the ends' if full else 'the points'}: {plot.mark}"] if plot.mark else []
    notes += [NO_BANDS] if full else []
    charts = [(title, _panel(found, plot, axes, held, SIZES[columns], sheets, shape, full)) for title, found in drawn]
    return grid(charts, columns, sheets, plot.facet, notes)


def points(pairs: Sequence[Pair], plot: Plot) -> list[Point]:
    """Points in the order of the pairs: ours, and theirs, where both quantities are known."""
    held: dict[tuple[tuple[str, str], ...], dict[str, Pair]] = {}
    for pair in pairs:
        held.setdefault(tuple(pair.what.items()), {})[pair.quantity] = pair
    found: list[Point] = []
    for both in held.values():
        if plot.x not in both or plot.y not in both:
            continue
        a, b = both[plot.x], both[plot.y]
        series, mark = series_of(a, plot), a.what.get(plot.mark, "")
        for kind, x, y in (
            (kind_of(b), known(a.ours), known(b.ours)),
            (PUBLISHED, printed(a.published), printed(b.published)),
        ):
            if x and y:
                found.append(Point(series, mark, kind, x, y))
    return found


def _axis(every: Sequence[Pair], quantity: str, ends: bool) -> Span:
    chosen = [pair for pair in every if pair.quantity == quantity]
    return span(axis_of(chosen), values_of(chosen, ends=ends))


def _panel(
    found: Sequence[Point], plot: Plot, axes: tuple[Span, Span], held: Mapping[str, Look], size: tuple[int, int],
    sheets: Sheets, shape: alt.Shape, full: bool,
) -> AnyChart:  # fmt: skip
    across_, up = axes
    rows: list[Row] = [
        {"series": p.series, "kind": p.kind, "order": i, "path": f"{p.series} {p.kind == PUBLISHED}",
         "x": p.x.value * across_.factor, "x_low": p.x.low * across_.factor, "x_high": p.x.high * across_.factor,
         "y": p.y.value * up.factor, "y_low": p.y.low * up.factor, "y_high": p.y.high * up.factor}
        for i, p in enumerate(found)
    ]  # fmt: skip
    ours = [row for row in rows if row["kind"] != PUBLISHED]
    theirs = [row for row in rows if row["kind"] == PUBLISHED]
    hue, dash = hues(held, plot.colour), dashes(held)

    def x(field: str = "x") -> alt.X:
        return alt.X(f"{field}:Q", scale=across_.scale(), axis=ticks(across_))

    def y(field: str = "y") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=up.scale(), axis=ticks(up))

    def layer(chosen: Sequence[Row]) -> alt.Chart:
        return sheets.layer(chosen, size)

    line = layer(ours).mark_line(strokeWidth=2, strokeJoin="round")
    faint = layer(theirs).mark_line(strokeWidth=1.2, opacity=0.6, strokeDash=[2, 3])
    known_well = [] if full else ours
    whisker = layer(known_well).mark_rule(strokeWidth=1, opacity=0.35)
    layers = [
        whisker.encode(x=x("x_low"), x2="x_high:Q", y=y(), color=hue),
        whisker.encode(x=x(), y=y("y_low"), y2="y_high:Q", color=hue),
        line.encode(x=x(), y=y(), color=hue, strokeDash=dash, detail="path:N", order="order:Q"),
        faint.encode(x=x(), y=y(), color=hue, detail="path:N", order="order:Q"),
        layer(ours).mark_point(filled=True, size=42, opacity=1).encode(x=x(), y=y(), color=hue, shape=shape),
        layer(theirs)
        .mark_point(filled=False, size=70, strokeWidth=1.8, opacity=1)
        .encode(x=x(), y=y(), color=hue, shape=shape),
        _marks(_ends(found) if full else found, found, axes, size, sheets),
    ]
    return sheets.stack(layers)


def _ends(found: Sequence[Point]) -> list[Point]:
    """The first and the last point of every path."""
    paths: dict[tuple[str, bool], list[Point]] = {}
    for point in found:
        paths.setdefault((point.series, point.kind == PUBLISHED), []).append(point)
    return [point for path in paths.values() for point in (path[0], *path[1:][-1:])]


def _marks(
    chosen: Sequence[Point], found: Sequence[Point], axes: tuple[Span, Span], size: tuple[int, int], sheets: Sheets
) -> alt.Chart:
    """The marks of chosen points beside them, ours where there is one; none stands on another or on a point."""
    across_, up = axes

    def pixel(p: Point) -> tuple[float, float]:
        return across_.fraction(p.x.value) * size[0], (1 - up.fraction(p.y.value)) * size[1]

    ours = {(p.series, p.mark) for p in found if p.kind != PUBLISHED}
    marked = [p for p in chosen if p.mark and (p.kind != PUBLISHED or (p.series, p.mark) not in ours)]
    spots = set_names([p.mark for p in marked], [pixel(p) for p in marked], [pixel(p) for p in found], size)
    texts: list[Row] = [
        {"x": across_.at(spot[0] / size[0]), "y": up.at(1 - spot[1] / size[1]), "text": p.mark}
        for p, spot in zip(marked, spots, strict=True)
        if spot
    ]
    x, y = alt.X("x:Q", scale=across_.scale()), alt.Y("y:Q", scale=up.scale())
    return sheets.layer(texts, size).mark_text(fontSize=10, color=INK).encode(x=x, y=y, text="text:N")
