"""The search for the highest load as a page and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.predict.answer import Interval
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, figure, in_words, listed
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.simulate.capacity import SUSTAINED, Capacity, Tried
from inferatlas.workload.targets import LATENCIES, ServiceTarget, parse_target

HOW = "Every load is simulated with the same random numbers; the interval (80 %) is that of the step times."


def capacity_page(found: Capacity, name: str, label: str, typed: str, notes: Sequence[str] = ()) -> Page:
    """The highest load of a deployment called ``name``, and every load that was tried."""
    return [
        Heading(capacity_words(found, name, label)),
        tried_table(found),
        Paragraph(HOW, quiet=True),
        *([Items("Assumed and left out", notes)] if notes else []),
        Command("Reproduce", typed),
    ]


def capacity_words(found: Capacity, name: str, label: str) -> str:
    """The load, its interval, and what ends it."""
    if found.rate is None:
        return f"{name}: no load that was tried keeps every target; of the lowest: {_missed(found.missed)} [{label}]."
    if found.low is not None and found.high is not None:
        load = in_words(Interval(found.low, found.rate, found.high), "1")
        end = f"; beyond: {_missed(found.missed)}" if found.missed else ""
    else:
        load, end = f"at least {figure(found.rate, '1')}", "; no limit was found"
    return f"{name}: {load} {found.unit} at most keep every target{end} [{label}]."


def _missed(missed: Sequence[str]) -> str:
    if SUSTAINED in missed:  # which is why it keeps no latency, whatever the value
        return "the backlog grows"
    return f"misses {listed(missed)}" if missed else NONE


def tried_table(found: Capacity) -> Table:
    """A row per load, with the value of every target."""
    slos = list(dict.fromkeys(slo for one in found.tried for slo in one.values))
    rows = [
        [figure(one.rate, "1"), *(figure(one.values.get(slo), _unit(slo)) for slo in slos),
         _missed(one.missed) if one.missed else "kept"]
        for one in found.tried
    ]  # fmt: skip
    columns = [
        Column(found.unit, right=True),
        *(Column(slo, right=True) for slo in slos),
        Column("verdict", wraps=True),
    ]
    return Table("Loads that were tried", columns, rows)


def _target(slo: str) -> ServiceTarget | None:
    try:
        return parse_target(slo)
    except BadInput:
        return None


def _unit(slo: str) -> str:
    target = _target(slo)
    return "s" if target is not None and target.metric in LATENCIES else "1"


def capacity_rows(found: Capacity, name: str, label: str) -> list[dict[str, Any]]:
    """A row per load that was tried."""
    return [
        {"name": name, "load": one.rate, "unit": found.unit, **one.values, "missed": ", ".join(one.missed),
         "kept": not one.missed, "label": label}
        for one in found.tried
    ]  # fmt: skip


def capacity_html(found: Capacity, name: str, label: str, typed: str, notes: Sequence[str] = ()) -> str:
    """The same with every target's value over its bound."""
    below: list[Block] = [tried_table(found), Paragraph(HOW, quiet=True)]
    sections = [
        Section("load", "Targets over the load", below, lambda: _chart(found),
                "Value of each target over its bound, by load.",
                "Every line is a target's value over its bound: above 1 it is missed (for throughput: below)."),
        Section("assumed", "Assumed", [Items("Assumed and left out", notes)] if notes else []),
    ]  # fmt: skip
    return html_page("How much load keeps the targets?", capacity_words(found, name, label), sections, typed)


def _chart(found: Capacity):
    from inferatlas.show.charts.lines import Crossing, Series, lines
    from inferatlas.show.charts.style import Axis

    tried: list[Tried] = sorted({one.rate: one for one in found.tried}.values(), key=lambda one: one.rate)
    targets = {slo: target for one in tried for slo in one.values if (target := _target(slo)) is not None}
    if len(tried) < 2 or not targets:
        return None
    x = [one.rate for one in tried]
    series = []
    for slo, target in targets.items():
        values = [one.values.get(slo) for one in tried]
        series.append(Series(slo, slo, x, [float("nan") if v is None else v / target.bound for v in values]))
    series.append(Series("bound", "", x, [1.0] * len(x)))
    marks = [] if found.rate is None else [Crossing(found.rate, f"highest kept: {figure(found.rate, '1')}")]
    return lines(series, Axis(found.unit, "1", None), Axis("value over bound", "1", None), marks)


__all__ = ["capacity_html", "capacity_page", "capacity_rows"]
