"""Ours beside theirs, a row for every name and series: a bar with its 80 % interval, and what the paper prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.predict.answer import Interval
from inferatlas.show.charts.front import WIDTH_OF_LETTER
from inferatlas.show.charts.style import INK, PALETTE, AnyChart, Span
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
LONG, LIMIT = 40, 430  # letters of a name for which panels stand below each other; pixels of the longest
ASIDE = 9  # pixels between marks and the name beside them
SLOT, AIR = 15, 9  # pixels of a series in a row, and between rows


@dataclass(frozen=True, slots=True)
class Slots:
    """Rows of a panel from the top: a name for every group, and the middles (pixels) of the rows of its pairs."""

    names: tuple[str, ...]
    middles: tuple[tuple[float, ...], ...]
    height: float

    @property
    def labels(self) -> list[float]:
        """Where the names of the groups stand."""
        return [(rows[0] + rows[-1]) / 2 for rows in self.middles]


def bars(shown: Sequence[Panel], plot: Plot, at: Mapping[str, int]) -> AnyChart:
    """A panel each, those of one quantity on one axis. A range of more than 20 to 1 is logarithmic: dots, no bars.

    A name has a row for every one of its pairs, in the order of the series. ``at`` : places of the series in the
    study, which fix their colours.
    """
    every = [pair for panel in shown for pair in panel.pairs]
    held = looks(in_order([series_of(pair, plot) for pair in every]), at)
    spans = {
        name: span_of([pair for pair in every if pair.quantity == name], plot, zero=True)
        for name in in_order([pair.quantity for pair in every])
    }
    sheets, shape = Sheets(), kinds(every)
    rows = [_slots(panel, plot) for panel in shown]
    shared = all(one == rows[0] for one in rows)
    long = max(len(name) for one in rows for name in one.names) > LONG
    columns = 1 if long or _repeated(held) else across(len(shown)) if shared else min(across(len(shown)), 2)
    drawn = [
        _panel(_sorted(panel, plot, list(held)), slots, plot, spans[panel.pairs[0].quantity], held, WIDTHS[columns],
               sheets, shape, labels=not shared or not i % columns)
        for i, (panel, slots) in enumerate(zip(shown, rows, strict=True))
    ]  # fmt: skip
    notes = [MISSING] if any(known(pair.ours) is None for pair in every) else []
    titled = [(panel.title, one) for panel, one in zip(shown, drawn, strict=True)]
    return grid(titled, columns, sheets, plot.facet, notes)


def _slots(panel: Panel, plot: Plot) -> Slots:
    names = in_order([pair.what.get(plot.x, "") for pair in panel.pairs])
    y, middles = AIR / 2, []
    for name in names:
        count = sum(pair.what.get(plot.x, "") == name for pair in panel.pairs)
        middles.append(tuple(y + SLOT * (i + 0.5) for i in range(count)))
        y += SLOT * count + AIR
    return Slots(tuple(names), tuple(middles), y - AIR / 2)


def _sorted(panel: Panel, plot: Plot, series: Sequence[str]) -> list[list[Pair]]:
    """The pairs of every name, in the order of the series."""
    held: dict[str, list[Pair]] = {}
    for pair in panel.pairs:
        held.setdefault(pair.what.get(plot.x, ""), []).append(pair)
    return [sorted(pairs, key=lambda pair: series.index(series_of(pair, plot))) for pairs in held.values()]


def _panel(
    groups: Sequence[Sequence[Pair]], slots: Slots, plot: Plot, drawn: Span, held: Mapping[str, Look], width: int,
    sheets: Sheets, shape: alt.Shape, *, labels: bool,
) -> AnyChart:  # fmt: skip
    f = drawn.factor
    ours: list[Row] = []
    theirs: list[Row] = []
    missing: list[Row] = []
    for pairs, middles in zip(groups, slots.middles, strict=True):
        for pair, y in zip(pairs, middles, strict=True):
            row: Row = {"series": series_of(pair, plot), "y": y, "top": y - SLOT / 2 + 1, "foot": y + SLOT / 2 - 1}
            if one := known(pair.ours):
                ends = {"low": one.low * f, "value": one.value * f, "high": one.high * f}
                ours.append(row | ends | {"zero": 0.0, "kind": kind_of(pair)})
            else:
                missing.append(row | {"value": drawn.low, "text": "×"})
        theirs += _printed(pairs, middles, drawn)
    size = (width, round(slots.height))
    scale = alt.Scale(domain=[size[1], 0], nice=False, zero=False)
    names = json.dumps({f"{place:g}": name for place, name in zip(slots.labels, slots.names, strict=True)})
    axis = alt.Axis(
        title=None, values=slots.labels, labelExpr=f"{names}[format(datum.value, '~g')]", labelLimit=LIMIT,
        labels=labels, ticks=False, domain=False, grid=False, labelOverlap=False,
    )  # fmt: skip
    hue = hues(held, plot.colour, legend=not _repeated(held))

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=drawn.scale(), axis=ticks(drawn))

    def y_of(field: str = "y") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)

    spans = sheets.layer(ours, size).mark_rule(strokeWidth=2.5, opacity=0.75)
    dots = sheets.layer(ours, size).mark_point(filled=True, size=52, opacity=1)
    reach = sheets.layer(theirs, size).mark_rule(strokeWidth=1.2, color=INK)
    squares = sheets.layer(theirs, size).mark_point(filled=False, size=74, strokeWidth=1.7, opacity=1, color=INK)
    crosses = sheets.layer(missing, size).mark_text(align="left", dx=4, fontSize=13)
    layers = [
        spans.encode(x=x("low"), x2="high:Q", y=y_of(), color=hue),
        dots.encode(x=x("value"), y=y_of(), color=hue, shape=shape),
        reach.encode(x=x("low"), x2="high:Q", y=y_of()),
        reach.encode(x=x("value"), y=y_of("top"), y2="foot:Q"),
        squares.encode(x=x("value"), y=y_of(), shape=shape),
        crosses.encode(x=x("value"), y=y_of(), text="text:N", color=hue),
    ]
    if _repeated(held):
        layers += [
            one.encode(x=x("x"), y=y_of(), text="name:N")
            for one in _names([*ours, *missing], theirs, drawn, size, sheets)
        ]
    if not drawn.log and drawn.low == 0:  # a bar has a meaning only from 0 on
        filled = sheets.layer(ours, size).mark_rect(opacity=0.3)
        layers.insert(0, filled.encode(x=x("zero"), x2="value:Q", y=y_of("top"), y2="foot:Q", color=hue))
    return sheets.stack(layers)


def _repeated(held: Mapping[str, Look]) -> bool:
    """Whether colours repeat: then every row says its series."""
    return len(held) > len(PALETTE)


def _names(
    rows: Sequence[Row], theirs: Sequence[Row], drawn: Span, size: tuple[int, int], sheets: Sheets
) -> list[alt.Chart]:
    """The series of every row, at the right of its marks (also beyond the panel), or at their left where it fits."""
    right: list[Row] = []
    left: list[Row] = []
    for row in rows:
        beside = [one for one in theirs if float(str(one["top"])) <= float(str(row["y"])) <= float(str(one["foot"]))]
        ends = [float(str(one[end])) for one in (row, *beside) for end in ("low", "value", "high") if end in one]
        low, high = (size[0] * drawn.fraction(end / drawn.factor) for end in (min(ends), max(ends)))
        needed = WIDTH_OF_LETTER * len(str(row["series"])) + ASIDE
        chosen, end = (left, min(ends)) if size[0] - high < needed <= low else (right, max(ends))
        chosen.append({"x": end, "y": row["y"], "name": row["series"]})
    return [
        sheets.layer(right, size).mark_text(align="left", dx=ASIDE, fontSize=10),
        sheets.layer(left, size).mark_text(align="right", dx=-ASIDE, fontSize=10),
    ]


def _printed(pairs: Sequence[Pair], middles: Sequence[float], drawn: Span) -> list[Row]:
    """What is printed for the pairs of a name: once in the middle of neighbours for which it is the same."""
    found: list[tuple[Interval, list[float]]] = []
    for pair, y in zip(pairs, middles, strict=True):
        one = printed(pair.published)
        if one and found and found[-1][0] == one and y - found[-1][1][-1] <= SLOT:
            found[-1][1].append(y)
        elif one:
            found.append((one, [y]))
    f = drawn.factor
    return [
        {"value": one.value * f, "low": max(one.low * f, drawn.low), "high": min(one.high * f, drawn.high),
         "y": (ys[0] + ys[-1]) / 2, "top": ys[0], "foot": ys[-1], "kind": PUBLISHED}
        for one, ys in found
    ]  # fmt: skip
