"""`inferatlas crossover` as a page: who is best up to where, by every metric, and what binds whom from where on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from inferatlas.decide.sweeps.crossovers import Crossover, Crossovers, Lead
from inferatlas.decide.sweeps.swept import METRICS
from inferatlas.predict.answer import Interval
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.show.deployment import figures_words, layout_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, figure, heading, listed, quantity, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

SHOWN = 8  # x whose values are shown
MARKED = 8  # changes of the best in a chart, those that last longest
TOLD = 3  # accelerators that a sentence follows one after the other
PER_ACCELERATOR = "output_tokens_per_s_per_accelerator"
SWEPT = {
    "batch": "requests in flight", "isl": "input tokens", "osl": "output tokens", "rate": "requests/s",
    "count": "accelerators",
}  # fmt: skip
UNSURE = "Unsure (the brackets after an end): the probability of the order is between 20 and 80 %."
HOW = {"overtaken": "{} overtakes", "ends": "serves no further,\n{} does", "begins": "{} serves from there"}


def crossover_page(found: Crossovers, typed: str) -> Page:
    """The answer, crossovers of all metrics, changes of bound, values, assumptions."""
    blocks: list[Block] = [Heading(answer(found)), *_best(found), *bounds(found), *values(found), *_closing(found)]
    return [*blocks, Command("Reproduce", typed)]


def _best(found: Crossovers) -> list[Block]:
    """Nothing where there is nobody to compare with."""
    return [crossovers(found), Paragraph(UNSURE, quiet=True)] if len(found.accelerators) > 1 else []


def answer(found: Crossovers) -> str:
    """Who is best by the primary metric up to where; of one accelerator, what binds it."""
    if len(found.accelerators) == 1:
        return _bound_words(found)
    also = sorted({one.metric for one in found.crossovers} - {found.metric}, key=list(METRICS).index)
    more = f" The best also changes for {listed([name_of(name) for name in also])}." if also else ""
    return _best_words(found, found.metric) + more


def _best_words(found: Crossovers, metric: str) -> str:
    leads = [one for one in found.leads if one.metric == metric]
    changes = [one for one in found.crossovers if one.metric == metric and one.first is not None]
    if not leads:
        return f"Which of these accelerators has {superlative(metric)} is unknown."
    head = f"{leads[0].accelerator} has {superlative(metric)}"
    if len(leads) == 1:
        ends = leads[0].x_from, leads[0].x_to
        where = "throughout" if ends == (found.x[0], found.x[-1]) else "wherever there is one"
        return f"{head} {where}, {_range(*ends, found)}."
    until = [_until(lead, change, found) for lead, change in zip_longest(leads[:-1], changes) if lead is not None]
    if len(leads) <= TOLD:
        rest = [f"{lead.accelerator} {words}" for lead, words in zip(leads[1:-1], until[1:], strict=True)]
        return ", ".join([f"{head} {until[0]}", *rest, f"{leads[-1].accelerator} from there on"]) + "."
    last = f"{leads[-1].accelerator} from {shown(leads[-1].x_from, found)} on"
    return f"{head} {until[0]}, then the best changes {len(leads) - 2} more times; {last}."


def _until(lead: Lead, change: Crossover | None, found: Crossovers) -> str:
    sure = f" ({_unsure(change, found)})" if change is not None and change.how == "overtaken" else ""
    return f"up to {amount(lead.x_to, found)}{sure}"


def _range(x_from: float, x_to: float, found: Crossovers) -> str:
    return amount(x_to, found) if x_from == x_to else f"{shown(x_from, found)} to {amount(x_to, found)}"


def _sharp(one: Crossover) -> bool:
    """Nothing to be unsure of: one of the two cannot serve on either side."""
    return one.how != "overtaken" and one.x_low == one.x_high


def _unsure(one: Crossover, found: Crossovers) -> str:
    """The range in which the order is unsure: ``4–9``, ``from 4``, ``up to 9``."""
    low = None if one.x_low is None else shown(one.x_low, found, math.floor)
    high = None if one.x_high is None else shown(one.x_high, found, math.ceil)
    if low is None and high is None:
        return "never sure"
    return f"unsure from {low} on" if high is None else f"unsure below {high}" if low is None else f"{low}–{high}"


def shown(x: float, found: Crossovers, rounded=round) -> str:
    """An x as people read it: whole, except rates."""
    return figure(x, "1") if found.over == "rate" else f"{rounded(x):,}"


def amount(x: float, found: Crossovers) -> str:
    """An x with what it counts."""
    unit = SWEPT[found.over]
    return f"{shown(x, found)} {unit.replace('s', '', 1) if x == 1 and found.over == 'batch' else unit}"


def name_of(metric: str) -> str:
    """A metric in words."""
    return "output tokens/s per accelerator" if metric == PER_ACCELERATOR else quantity(metric)[0]


def superlative(metric: str) -> str:
    """The best of a metric in words.

    >>> superlative("itl_s"), superlative("output_tokens_per_s_per_accelerator")
    ('the lowest ITL', 'the most output tokens/s per accelerator')
    """
    return f"the {'most' if METRICS[metric] else 'lowest'} {name_of(metric)}"


def _bound_words(found: Crossovers) -> str:
    """What binds a single accelerator from where to where."""
    name = found.accelerators[0]
    words = [BOUNDS[int(found.found.bound[i])] for i in found.rows()[:1]] + [one.after for one in found.bounds]
    words = [word.replace("_", " ") for word in words]
    if not words:
        return f"What binds the design of {name} with {superlative(found.metric)} is unknown."
    if len(words) == 1:
        return f"{name} is bound by {words[0]} throughout, {_range(float(found.x[0]), float(found.x[-1]), found)}."
    ends = [f"by {word} up to {(shown if i else amount)(one.last, found)}"
            for i, (word, one) in enumerate(zip(words, found.bounds, strict=False))]  # fmt: skip
    return f"{name} is bound {', '.join(ends)}, by {words[-1]} from there on."


def crossovers(found: Crossovers) -> Table:
    """Every metric: who is best from where to where, and how sure the end of that is."""
    columns = [
        Column("metric"), Column("best"), Column(f"from\n{SWEPT[found.over]}", right=True), Column("to", right=True),
        Column("then the order is\nunsure in", right=True), Column("why it ends"),
    ]  # fmt: skip
    rows = []
    for metric in METRICS:
        leads = [one for one in found.leads if one.metric == metric]
        changes = [one for one in found.crossovers if one.metric == metric and one.first is not None]
        better = "more is better" if METRICS[metric] else "less is better"
        star = "primary, " if metric == found.metric else ""
        if not leads:
            rows.append([f"{name_of(metric)}\n{star}{better}", NONE, NONE, NONE, NONE, "unknown"])
        for i, (lead, change) in enumerate(zip_longest(leads, changes)):
            rows.append(
                [
                    f"{name_of(metric)}\n{star}{better}" if i == 0 else "", lead.accelerator, shown(lead.x_from, found),
                    shown(lead.x_to, found), NONE if change is None or _sharp(change) else _unsure(change, found),
                    "end of the sweep" if change is None else HOW[change.how].format(change.after),
                ]
            )  # fmt: skip
    return Table("Who is best, by every metric", columns, rows)


def bounds(found: Crossovers) -> list[Block]:
    """From where on something else binds the best design of an accelerator; where none is known, why."""
    columns = [Column("accelerator"), Column("bound by"), Column(f"up to\n{SWEPT[found.over]}", right=True),
               Column("then by"), Column("from", right=True)]  # fmt: skip
    rows = []
    for name in found.accelerators:
        mine = [one for one in found.bounds if one.accelerator == name]
        for one in mine:
            rows.append([name, one.before.replace("_", " "), shown(one.last, found), one.after.replace("_", " "),
                         shown(one.x, found)])  # fmt: skip
        row = found.curves[found.metric].row[found.accelerators.index(name)]
        if not mine and (row >= 0).any():
            last = int(np.flatnonzero(row >= 0)[-1])
            word = BOUNDS[int(found.found.bound[row[last]])].replace("_", " ")
            rows.append([name, word, shown(float(found.x[last]), found), NONE, NONE])
    if not rows:
        return [Paragraph(_unknown(found, found.metric))]
    return [Table(f"What binds the designs with {superlative(found.metric)}", columns, rows)]


def _unknown(found: Crossovers, metric: str) -> str:
    """Why a metric has no value anywhere."""
    why = dict.fromkeys(one.detail for one in found.rejected if one.metric == metric)
    return f"No {name_of(metric)} can be given: {'; '.join(why) or 'nothing is known of it'}."


def values(found: Crossovers) -> list[Block]:
    """Values at some x that are served, in intervals; nothing where there is none."""
    served = np.flatnonzero((found.curves[found.metric].row >= 0).any(axis=0))
    if not served.size:
        return []
    metrics = [found.metric, *(name for name in METRICS if name not in (found.metric, "output_tokens_per_s"))]
    columns = [
        Column(SWEPT[found.over].replace(" ", "\n", 1), right=True), Column("deployment\nlayout"),
        Column("weights\nengine"), *(Column(_heading(name), right=True) for name in metrics), Column("bound\nlabel"),
    ]  # fmt: skip
    rows = []
    for point in found.points([int(served[i]) for i in _some(len(served))]):
        ends = (point["metrics"][name] for name in metrics)
        cells = [None if one is None else Interval(**one) for one in ends]
        rows.append(
            [
                shown(point["x"], found), f"{point['count']} x {point['accelerator']}\n{layout_words(point['layout'])}",
                f"{point['weights']}\n{point['engine']}",
                *(with_interval(cell, quantity(name)[1]) for cell, name in zip(cells, metrics, strict=True)),
                f"{point['bound'].replace('_', ' ')}\n{point['label']}",
            ]
        )  # fmt: skip
    table = Table(f"Designs with {superlative(found.metric)}", columns, rows, keys=2)
    reading = figures_words(metrics, [table], unless="a heading says per accelerator")
    return [table, Paragraph(reading, quiet=True)]


def _some(count: int) -> list[int]:
    """Up to eight places among so many, evenly apart.

    >>> _some(3), _some(60)
    ([0, 1, 2], [0, 8, 17, 25, 34, 42, 51, 59])
    """
    if count <= SHOWN:
        return list(range(count))
    return [round(k * (count - 1) / (SHOWN - 1)) for k in range(SHOWN)]


def _heading(metric: str) -> str:
    return "tokens/s per\naccelerator" if metric == PER_ACCELERATOR else heading(metric)


def _closing(found: Crossovers) -> Iterator[Block]:
    if found.rejected:
        columns = [Column("accelerator"), Column(f"{SWEPT[found.over]}"), Column("what"), Column("why", wraps=True)]
        rows = [
            [one.accelerator, " – ".join(dict.fromkeys((shown(one.x_from, found), shown(one.x_to, found)))),
             "nothing" if one.metric is None else f"no {name_of(one.metric)}", one.detail]
            for one in found.rejected
        ]  # fmt: skip
        yield Table("What is missing", columns, rows)
    yield Items("Assumed", found.assumptions)


def crossover_rows(found: Crossovers) -> dict[str, Any]:
    """A row per x and accelerator, as columns; crossovers are in the JSON."""
    rows, of = found.rows(), found.found
    owner = of.platform[rows]

    def words(get) -> np.ndarray:
        return np.array([get(platform) for platform in of.platforms])[owner]

    columns: dict[str, Any] = {
        "over": np.full(len(rows), found.over), "x": of.x[rows], "accelerator": words(lambda p: p.device.id),
        "count": of.count[rows].astype(np.int64),
        **{name: column[rows].astype(np.int64) for name, column in of.layout.items()},
        "weights": words(lambda p: p.precision.weights), "engine": words(lambda p: p.engine.name),
    }  # fmt: skip
    for name, (low, value, high) in found.metrics(rows).items():
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return columns | {"bound": np.array(BOUNDS)[of.bound[rows]], "label": words(lambda p: p.label)}


def crossover_html(found: Crossovers, typed: str) -> str:
    """The same as a page with a chart of the primary metric and one of the ITL (or tokens/s, if that is the ITL)."""
    other = "itl_s" if found.metric != "itl_s" else PER_ACCELERATOR
    sections = [
        Section(
            "primary", _titled(found.metric), [*_undrawn(found, found.metric), *_best(found)],
            lambda: _chart(found, found.metric), f"{name_of(found.metric)} over {SWEPT[found.over]}", _caption(found),
        ),
        Section("bounds", "What binds", bounds(found)),
        Section(
            "second", _titled(other), _undrawn(found, other), lambda: _chart(found, other),
            f"{name_of(other)} over {SWEPT[found.over]}", _caption(found),
        ),
        Section("values", "Values", values(found)),
        Section("assumed", "Assumed", list(_closing(found))),
    ]  # fmt: skip
    return html_page("Where does the best accelerator change?", answer(found), sections, typed, lead=_lead(found))


def _titled(metric: str) -> str:
    name = name_of(metric)
    return f"{name[0].upper()}{name[1:]}"


def _caption(found: Crossovers) -> str:
    from inferatlas.show.charts.lines import BANDED

    bands = "bands are" if len(found.accelerators) <= BANDED else "the tables have the"
    return f"At each x the best layout of each accelerator by this metric; {bands} 80 % intervals."


def _known_at(found: Crossovers, metric: str) -> list[float]:
    """The x at which an accelerator has a value."""
    return found.x[np.isfinite(found.curves[metric].value).any(axis=0)].tolist()


def _undrawn(found: Crossovers, metric: str) -> list[Block]:
    """Why there is no chart of a metric; nothing where there is one."""
    known = _known_at(found, metric)
    if len(known) > 1:
        return []
    if not known:
        return [Paragraph(_unknown(found, metric))]
    return [Paragraph(f"Only at {amount(known[0], found)} is there a value, so there is no line to draw.")]


def _lead(found: Crossovers) -> str:
    return f"{found.inputs['model']}, {found.assumptions[0]}; {_range(float(found.x[0]), float(found.x[-1]), found)}."


def _chart(found: Crossovers, metric: str):
    from inferatlas.show.charts.lines import Crossing, Series, lines
    from inferatlas.show.charts.style import Axis

    curve, x = found.curves[metric], found.x.tolist()
    if len(_known_at(found, metric)) < 2:
        return None
    series = [
        Series(
            name, name, x, curve.value[k].tolist(), curve.low[k].tolist(), curve.high[k].tolist(),
            [(one.x, one.after.replace("_", " ")) for one in found.bounds
             if one.accelerator == name and metric == found.metric],
        )
        for k, name in enumerate(found.accelerators)
    ]  # fmt: skip
    changes = [one for one in found.crossovers if one.metric == metric and one.first is not None]
    leads = [one for one in found.leads if one.metric == metric][1:]
    lasting = sorted(zip(changes, leads, strict=True), key=lambda pair: pair[1].x_from / pair[1].x_to)[:MARKED]
    marks = [Crossing(one.x, f"{one.after} from {shown(lead.x_from, found)}") for one, lead in lasting]
    across, up = Axis(SWEPT[found.over], "1", None), Axis(name_of(metric), quantity(metric)[1], not METRICS[metric])
    return lines(series, across, up, marks)


__all__: Sequence[str] = ("crossover_html", "crossover_page", "crossover_rows")
