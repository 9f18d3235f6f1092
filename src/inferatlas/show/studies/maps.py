"""Heat map of a quantity over two columns: our value in every cell, under it what the paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import altair as alt

from inferatlas.show.charts.fitness import HUE, LETTER, NARROWEST, ROW, THICKEST, THINNEST, TWO_LINES, WIDEST
from inferatlas.show.charts.style import INK, TICKS, AnyChart, Span, span
from inferatlas.show.numbers import NONE
from inferatlas.show.studies.looks import Panel, Row, Sheets, axis_of, grid, in_order, known
from inferatlas.show.studies.words import RELATIONS, amount, printed_words, unit_of
from inferatlas.studies.exhibits import Pair, Plot

PAPER = "paper: "
WORDS = 12  # letters of a printed value with its unit that have room in a cell
SECOND = "second lines: what the paper prints"
EMPTY = "dashed: no value of ours, the table says why"


def heatmap(shown: Sequence[Panel], plot: Plot) -> AnyChart:
    """A map each, one under the other; maps of one quantity share their scale. More colour is a larger value."""
    every = [pair for panel in shown for pair in panel.pairs]
    sheets, width = Sheets(), _width(every, plot)
    drawn = [(panel.title, _map(panel, plot, _span(every, panel, plot), width, sheets)) for panel in shown]
    notes = [SECOND] if any(_theirs(pair) for pair in every) else []
    notes += [EMPTY] if any(known(pair.ours) is None for pair in every) else []
    whole = grid(drawn, 1, sheets, plot.facet, notes)
    # a quantity's colours are not those of another
    return whole.resolve_scale(opacity="independent") if len(drawn) > 1 else whole


def _theirs(pair: Pair) -> str:
    if pair.published is None or not pair.published.stated:
        return ""
    words = printed_words(pair.published)
    if len(words) > WORDS and pair.published.value is not None:
        words = RELATIONS[pair.published.relation] + amount(pair.published.value, unit_of(pair))
    return f"{PAPER}{words}"


def _width(every: Sequence[Pair], plot: Plot) -> int:
    """Pixels of a column: what the words in the cells and the longest word over them need."""
    words = [word for pair in every for word in (*pair.what.get(plot.x, "").split(), _theirs(pair), _ours(pair))]
    return round(min(max(NARROWEST, LETTER * max(map(len, words)) + 14), WIDEST))


def _span(every: Sequence[Pair], panel: Panel, plot: Plot) -> Span:
    chosen = [pair for pair in every if pair.quantity == panel.pairs[0].quantity]
    values = [one.value for pair in chosen if (one := known(pair.ours))] or [1.0]
    found = span(axis_of(chosen), values, room=0.0)
    if plot.log and min(values) > 0 and not found.log:
        low, high = (value * found.factor for value in (min(values), max(values)))
        return Span(found.axis, found.factor, found.unit, low, max(high, low * 1.01), True)
    return found


def _map(panel: Panel, plot: Plot, drawn: Span, width: int, sheets: Sheets) -> AnyChart:
    rows, names = (in_order([pair.what.get(key, "") for pair in panel.pairs]) for key in (plot.y, plot.x))
    cells = [_cell(pair, plot, drawn) for pair in panel.pairs]
    height = TWO_LINES if any(cell["published"] for cell in cells) else ROW
    size = (width * len(names), height * len(rows))
    headings = {name: "\n".join(wrap(name, int(width / LETTER)) or [name]) for name in names}
    lines = max(heading.count("\n") for heading in headings.values()) + 1
    y = alt.Y(
        "row:N", sort=rows, scale=alt.Scale(domain=rows, padding=0.06),
        axis=alt.Axis(title=plot.y, labelLimit=260, ticks=False, domain=False, grid=False),
    )  # fmt: skip
    # a long title stands on lines of one height with the others: Vega sets the first line where the last should be
    order = [heading.rjust(len(heading) + lines - 1 - heading.count("\n"), "\n") for heading in headings.values()]
    columns = dict(zip(names, order, strict=True))
    x = alt.X(
        "column:N", sort=order, scale=alt.Scale(domain=order, padding=0.03),
        axis=alt.Axis(
            title=plot.x, orient="top", labelAngle=0, labelLimit=WIDEST, ticks=False, domain=False, grid=False,
            labelOverlap=False, labelPadding=6 + 15 * (lines - 1), labelExpr="split(datum.label, '\\n')",
            titlePadding=10,
        ),
    )  # fmt: skip

    def layer(chosen: Sequence[Row]) -> alt.Chart:
        return sheets.layer([cell | {"column": columns[str(cell["column"])]} for cell in chosen], size)

    def text(chosen: Sequence[Row], field: str, letters: int, dy: float) -> alt.Chart:
        return layer(chosen).mark_text(fontSize=letters, dy=dy, limit=width - 4).encode(x=x, y=y, text=f"{field}:N")

    empty = [cell for cell in cells if cell["value"] is None]
    double = [cell for cell in cells if cell["published"]]
    layers = [
        layer([cell for cell in cells if cell["value"] is not None])
        .mark_rect(color=HUE)
        .encode(x=x, y=y, opacity=_fill(drawn)),
        layer(empty).mark_rect(fillOpacity=0, stroke=INK, strokeOpacity=0.4, strokeDash=[2, 3]).encode(x=x, y=y),
        text([cell for cell in cells if not cell["published"]], "text", 11, 0),
        text(double, "text", 11, -6),
        text(double, "published", 10, 8),
    ]
    return sheets.stack(layers)


def _ours(pair: Pair) -> str:
    one = known(pair.ours)
    return NONE if one is None else amount(one.value, unit_of(pair))


def _cell(pair: Pair, plot: Plot, drawn: Span) -> Row:
    one = known(pair.ours)
    return {
        "row": pair.what.get(plot.y, ""), "column": pair.what.get(plot.x, ""),
        "value": None if one is None else one.value * drawn.factor,
        "text": _ours(pair), "published": _theirs(pair),
    }  # fmt: skip


def _fill(drawn: Span) -> alt.Opacity:
    scale = alt.Scale(
        type="log" if drawn.log else "linear", domain=[drawn.low, drawn.high], range=[THINNEST, THICKEST], clamp=True
    )
    legend = alt.Legend(
        title=drawn.title, orient="bottom", titleOrient="left", values=[drawn.at(i / 3) for i in range(4)],
        labelExpr=TICKS.replace("'~g'", "'.3~g'").replace("'~s'", "'.3~s'"),
        symbolType="square", symbolSize=220, symbolFillColor=HUE, symbolStrokeWidth=0, titleLimit=420,
    )  # fmt: skip
    return alt.Opacity("value:Q", scale=scale, legend=legend)
