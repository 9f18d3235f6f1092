"""What the charts of studies share: marks of theirs and ours, colours of series, panels, and notes under a chart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.predict.answer import Interval
from inferatlas.show.charts.lines import DASHES
from inferatlas.show.charts.style import INK, LABELS, PALETTE, TICKS, AnyChart, Axis, Span, dress, span
from inferatlas.show.studies.words import heading_of, unit_of
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Pair, Plot

PUBLISHED = "printed in the paper"
SHAPES = LABELS | {"catalogue": "triangle-down", "derived": "cross"}
KINDS = {PUBLISHED: LABELS["published"]} | {
    f"ours, {label}": shape for label, shape in SHAPES.items() if label != "published"
}
MISSING = "× no value of ours: the table says why"
ROOM = 1.2  # left free at both ends of a logarithmic axis, as a factor
DECADES, TICKED = 2.5, 8  # an axis of more decades has powers of ten only, and so many of them
NUMBERS = "abs(datum.value) < 1e6 ? format(datum.value, ',~r') : format(datum.value, '~s')"
BANDED = 4  # series of a panel whose intervals are drawn in one picture
NO_BANDS = f"intervals of more than {BANDED} series in a panel are in the table"
LEGEND_LETTERS = 110  # letters of a legend's line
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and dashes of a series; series that share a colour differ in their dashes."""

    colour: str
    dash: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """The pairs of one picture: of one value of the facet and, except in a trade-off, of one quantity."""

    title: str
    pairs: tuple[Pair, ...]


def looks(names: Sequence[str], known: Mapping[str, int] | None = None) -> dict[str, Look]:
    """A look for every series: by its place in the whole study where that tells all of them apart, else in the chart.

    >>> looks(["a", "b"])["b"].colour == PALETTE[1], looks(["a", "b"], {"a": 1, "b": 0})["b"].colour == PALETTE[0]
    (True, True)
    """
    at = [(known or {}).get(name, len(PALETTE)) for name in names]
    if max(at, default=0) >= len(PALETTE):
        at = list(range(len(names)))
    return {
        name: Look(PALETTE[i % len(PALETTE)], tuple(DASHES[i // len(PALETTE) % len(DASHES)]))
        for name, i in zip(names, at, strict=True)
    }


class Sheets:
    """The rows of all layers of a chart by name: what stands inside a layer, Altair copies with it time and again."""

    def __init__(self) -> None:
        self.held: dict[str, Sequence[Row]] = {}

    def layer(self, rows: Sequence[Row], size: tuple[int, int]) -> alt.Chart:
        """A layer of these rows; layers of the same rows share them."""
        name = next((name for name, one in self.held.items() if one is rows), f"rows-{len(self.held)}")
        self.held[name] = rows
        return alt.Chart(alt.NamedData(name)).properties(width=size[0], height=size[1])

    def stack(self, layers: Sequence[alt.Chart]) -> AnyChart:
        """The layers that have rows, one over the other."""
        return alt.layer(*(one for one in layers if self.held[one["data"]["name"]]))


def in_order(texts: Sequence[str]) -> list[str]:
    """Each text once, in the order of first appearance."""
    return list(dict.fromkeys(texts))


def series_of(pair: Pair, plot: Plot) -> str:
    """The name of the series a pair belongs to; empty where the plot has only one."""
    return pair.what.get(plot.colour, "") if plot.colour else ""


def panels(pairs: Sequence[Pair], plot: Plot) -> list[Panel]:
    """A panel for every value of the facet and every quantity that has numbers; a trade-off keeps its two together."""
    kept = [pair for pair in pairs if plot.kind in ("heatmap", "tradeoff") or plot.y in ("", pair.quantity)]
    both = plot.kind == "tradeoff"
    held: dict[tuple[str, str], list[Pair]] = {}
    for pair in kept:
        key = (pair.what.get(plot.facet, "") if plot.facet else "", "" if both else pair.quantity)
        held.setdefault(key, []).append(pair)
    several = len({quantity for _, quantity in held}) > 1
    return [
        Panel(", ".join(filter(None, [facet, heading_of(quantity) if several else ""])), tuple(chosen))
        for (facet, quantity), chosen in held.items()
        if values_of(chosen)
    ]


def known(interval: Interval | None) -> Interval | None:
    """An interval that can be drawn: None without a finite value; an end that is not finite becomes the value."""
    if interval is None or not math.isfinite(interval.value):
        return None
    low, high = (end if math.isfinite(end) else interval.value for end in (interval.low, interval.high))
    return Interval(low, interval.value, high)


def printed(one: Printed | None) -> Interval | None:
    """What the paper prints, with its rounding; None for a word and for nothing."""
    if one is None or one.value is None:
        return None
    low, high = (one.value if end is None else end for end in one.shown)
    return known(Interval(low, one.value, high))


def values_of(pairs: Sequence[Pair], *, ends: bool = True) -> list[float]:
    """What is drawn of pairs on one axis (SI): our values, with the ends of their intervals, and what is printed."""
    ours = [one for pair in pairs if (one := known(pair.ours))]
    theirs = [one.value for pair in pairs if (one := printed(pair.published))]
    return [value for one in ours for value in ((one.low, one.value, one.high) if ends else (one.value,))] + theirs


def span_of(pairs: Sequence[Pair], plot: Plot, *, zero: bool = False, ends: bool = True) -> Span:
    """The axis of a quantity settled: logarithmic where the plot asks for it, or a range of more than 20 to 1 does."""
    values = values_of(pairs, ends=ends) or [0.0, 1.0]
    found = span(axis_of(pairs), values, zero=zero and min(values) >= 0)
    if not plot.log or found.log or min(values) <= 0:
        return found
    low, high = min(values) * found.factor, max(values) * found.factor
    return Span(found.axis, found.factor, found.unit, low / ROOM, high * ROOM, True)


def ticks(drawn: Span, places: Sequence[float] = ()) -> alt.Axis:
    """Ticks at these places (drawn numbers), else as the span has them; of many decades only the powers of ten."""
    if places:
        return alt.Axis(title=drawn.title, labelExpr=NUMBERS, values=list(places))
    if drawn.log and drawn.high / drawn.low > 10**DECADES:
        powers = range(math.ceil(math.log10(drawn.low)), math.floor(math.log10(drawn.high)) + 1)
        step = math.ceil(len(powers) / TICKED)
        return alt.Axis(title=drawn.title, labelExpr=TICKS, values=[10.0**k for k in powers[::step]])
    return drawn.ticks()


def axis_of(pairs: Sequence[Pair]) -> Axis:
    """The axis of the quantity of these pairs."""
    return Axis(heading_of(pairs[0].quantity), unit_of(pairs[0]), None)


def kind_of(pair: Pair) -> str:
    """The legend's word for our value of a pair."""
    return f"ours, {pair.label}"


def kinds(pairs: Sequence[Pair]) -> alt.Shape:
    """Shapes by kind of number; the legend above the chart names those that all its panels have."""
    present = {kind_of(pair) for pair in pairs if known(pair.ours)}
    present |= {PUBLISHED for pair in pairs if printed(pair.published)}
    return alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=list(KINDS), range=list(KINDS.values())),
        legend=alt.Legend(
            title=None, orient="top", values=[kind for kind in KINDS if kind in present],
            symbolFillColor="transparent", symbolStrokeColor=INK, symbolStrokeWidth=1.6, symbolSize=80,
        ),
    )  # fmt: skip


def hues(held: Mapping[str, Look], title: str, *, legend: bool = True) -> alt.Color:
    """Colours by series, named in a legend below the chart."""
    longest = max(map(len, held), default=1) + 4
    return alt.Color(
        "series:N",
        scale=alt.Scale(domain=list(held), range=[look.colour for look in held.values()]),
        legend=alt.Legend(
            title=title, orient="bottom", columns=max(min(LEGEND_LETTERS // longest, len(held)), 1), labelLimit=330,
            symbolType="stroke", symbolStrokeWidth=4, symbolSize=220, symbolOpacity=1, titleAnchor="start",
        )
        if legend and len(held) > 1
        else None,
    )  # fmt: skip


def crowded(shown: Sequence[Panel], plot: Plot) -> bool:
    """Whether some panel has more series than intervals can be drawn of: they would hide each other and the print."""
    return max(len({series_of(pair, plot) for pair in panel.pairs}) for panel in shown) > BANDED


def dashes(held: Mapping[str, Look]) -> alt.StrokeDash:
    """Dashes by series, beside their colours."""
    scale = alt.Scale(domain=list(held), range=[list(look.dash) for look in held.values()])
    return alt.StrokeDash("series:N", scale=scale, legend=None)


def across(count: int) -> int:
    """How many of so many panels stand side by side.

    >>> across(1), across(4), across(5)
    (1, 2, 3)
    """
    return 1 if count == 1 else 2 if count in (2, 4) else 3


def grid(
    drawn: Sequence[tuple[str, AnyChart]], columns: int, sheets: Sheets, facet: str = "", notes: Sequence[str] = ()
) -> AnyChart:
    """Panels with their titles in rows, dressed; under them the name of the facet, and notes."""
    if len(drawn) > 1 and facet not in ("", "quantity"):
        notes = [f"a panel for each: {facet}", *notes]
    titled = [
        chart.properties(title=alt.TitleParams(title, anchor="start", fontSize=13, color=INK)) if title else chart
        for title, chart in drawn
    ]
    # one concat of all panels: rows of rows would be copied once more each
    whole: AnyChart = titled[0] if len(titled) == 1 and not notes else alt.concat(*titled, columns=columns, spacing=22)
    if notes:
        whole = whole.properties(
            title=alt.TitleParams(
                list(notes), orient="bottom", anchor="start", fontSize=12, fontWeight="normal", color=INK, offset=12
            )
        )
    whole = dress(whole)
    whole["datasets"] = sheets.held
    return whole
