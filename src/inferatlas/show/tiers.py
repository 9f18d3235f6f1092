"""`inferatlas tiers` as a page: capacity against slowdown, the knee, when it pays, restore or recompute."""

from __future__ import annotations

import math
from typing import Any

from inferatlas.decide.tiering.conditions import TIMES
from inferatlas.decide.tiering.curve import TierPoint, Tiers
from inferatlas.quantities import show
from inferatlas.show.deployment import layout_words, workload_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

MOST_SHOWN = 100.0  # times slower, beyond which no digit matters


def tiers_page(found: Tiers, typed: str) -> Page:
    """The whole answer."""
    return [
        Heading(answer(found)), *curve(found), *when(found), *restored(found), Items("Assumed", found.assumptions),
        Command("Reproduce", typed),
    ]  # fmt: skip


def answer(found: Tiers) -> str:
    """The knee, and what is beyond it."""
    inputs = found.inputs
    what = f"{inputs['model']} on {inputs['count']} x {inputs['accelerator']} ({layout_words(inputs['layout'])})"
    last = found.points[-1]
    beyond = f"{_times(last.model_scale)} the model takes {_slow(last)} the time [extrapolated]"
    if found.knee is None:
        return f"{what}: even the model itself costs more than {inputs['within']:g} times; {beyond}."
    knee = found.knee
    size = "the model itself" if knee["model_scale"] == 1 else f"{_times(knee['model_scale'])} the model"
    if not knee["more"]:
        return f"{what}: {size} stays within {inputs['within']:g} times the latency [extrapolated]."
    return (
        f"{what}: up to {size} within {inputs['within']:g} times the latency "
        f"({show(knee['capacity_bytes'], 'B')} in all); {beyond}."
    )


def _times(scale: float) -> str:
    return f"{scale:g} times"


def _slow(point: TierPoint) -> str:
    slow = point.slowdown
    return f"{_factor(slow['value'])} times ({_factor(slow['low'])} to {_factor(slow['high'])})"


def _factor(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def curve(found: Tiers) -> list[Block]:
    """A row per size of model."""
    names = list(found.points[0].placement["tiers_bytes"])
    rows = [
        [f"{point.model_scale:g}", show(point.parameters, "1"), show(point.capacity_bytes, "B"),
         *(show(point.placement["tiers_bytes"][name], "B") for name in names),
         _factor(point.slowdown["value"]), f"{_factor(point.slowdown['low'])} to {_factor(point.slowdown['high'])}",
         _tokens(point.max_context_tokens), NONE if point.context_slowdown is None else _factor(point.context_slowdown),
         NONE if point.hiding_batch is None else _tokens(point.hiding_batch)]
        for point in found.points
    ]  # fmt: skip
    columns = [
        Column("model\nscale", right=True), Column("parameters", right=True), Column("capacity\nin all", right=True),
        *(Column(f"in {name}", right=True) for name in names), Column("slowdown", right=True),
        Column("80 %", right=True), Column("longest context\nof the model asked", right=True),
        Column("its\nslowdown", right=True), Column("sequences that\nhide the stream", right=True),
    ]  # fmt: skip
    text = (
        f"Load: {workload_words(found.inputs['workload'])}. Slowdown: mean latency against a main memory that holds "
        "everything. Longest context: one request, with as much capacity; its slowdown: of the tokens after it. The "
        "last column is equation (28): from so many sequences per replica arithmetic takes as long as the stream."
    )
    return [
        Table("What fits, and at which slowdown", columns, rows),
        Paragraph(text, quiet=True),
    ]


def _tokens(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) and value < 1e12 else "no limit"


def when(found: Tiers) -> list[Block]:
    """By requests in flight: the largest model within bounds, and the rate that one 5 times as large needs."""
    rows = [
        [f"{row['concurrency']:,}", NONE if row["model_scale"] is None else f"{row['model_scale']:g}",
         "more than 10 TB/s" if row["rate_for_5x_bytes_per_s"] is None else show(row["rate_for_5x_bytes_per_s"], "B/s")]
        for row in found.conditions
    ]  # fmt: skip
    within = found.inputs["within"]
    columns = [
        Column("requests in flight", right=True), Column(f"largest scale\nwithin {within:g} times", right=True),
        Column(f"rate of slower memory, per accelerator,\nfor {TIMES:g} times within {within:g}", right=True),
    ]  # fmt: skip
    return [Table("Under which conditions a larger model costs little", columns, rows)]


def restored(found: Tiers) -> list[Block]:
    """By tier: bringing the cache of a prompt back against computing it again."""
    rows = [
        [row["tier"], show(row["restore_s"], "s"), show(row["recompute_s"], "s"),
         "restore" if row["restoring_wins"] else "recompute", show(row["break_even_bytes_per_s"], "B/s")]
        for row in found.restore
    ]  # fmt: skip
    if not rows:
        return []
    tokens = found.restore[0]["tokens"]
    columns = [
        Column("tier"), Column("restore", right=True), Column("recompute", right=True), Column("faster"),
        Column("break-even rate\nper accelerator", right=True),
    ]  # fmt: skip
    return [Table(f"The cache of a prompt of {tokens:,.0f} tokens: restore or recompute", columns, rows)]


def tiers_rows(found: Tiers) -> list[dict[str, Any]]:
    """A row per size of model."""
    return [
        {
            "model_scale": point.model_scale, "parameters": point.parameters, "capacity_bytes": point.capacity_bytes,
            "main_bytes": point.placement["main_bytes"],
            **{f"{name}_bytes": size for name, size in point.placement["tiers_bytes"].items()},
            "weights_share": point.placement["weights_share"], "cache_share": point.placement["cache_share"],
            "experts_share": point.placement["experts_share"], "slowdown": point.slowdown["value"],
            "slowdown_low": point.slowdown["low"], "slowdown_high": point.slowdown["high"],
            "max_context_tokens": point.max_context_tokens, "context_slowdown": point.context_slowdown,
            "latency_s": point.latency_s, "output_tokens_per_s": point.output_tokens_per_s,
            "hiding_batch": point.hiding_batch, "tier_joules_per_token": point.placement["tier_joules_per_token"],
            "label": "extrapolated",
        }
        for point in found.points
    ]  # fmt: skip


def tiers_html(found: Tiers, typed: str) -> str:
    """The same as a page, with the curve drawn."""
    sections = [
        Section(
            "curve", "Capacity against slowdown", curve(found), lambda: _chart(found),
            "A line of slowdown against capacity with its 80 % band; a second one for the longest context.",
            "Slowdown against capacity in all: a larger model, and the longest context of the model asked about.",
        ),
        Section("when", "When a larger model costs little", when(found)),
        Section("restore", "Restore or recompute", restored(found)),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]  # fmt: skip
    lead = f"{counted(len(found.points), 'size')} of model in main memory and {len(found.inputs['tiers'])} tiers."
    return html_page(
        "How much larger a model or a context memory tiers hold", answer(found), sections, typed, lead=lead
    )


def _chart(found: Tiers):
    from inferatlas.show.charts.lines import Crossing, lines
    from inferatlas.show.charts.style import Axis
    from inferatlas.show.charts.traces import Series

    x = [point.capacity_bytes for point in found.points]
    slow = [point.slowdown for point in found.points]
    name = found.inputs["accelerator"]
    series = [
        Series(
            "larger model", name, x, [one["value"] for one in slow], [one["low"] for one in slow],
            [one["high"] for one in slow],
        )
    ]  # fmt: skip
    known = [(point.capacity_bytes, point.context_slowdown) for point in found.points if point.context_slowdown]
    if len(known) > 1:
        series.append(Series("longest context", name, [a for a, _ in known], [b for _, b in known]))
    rules = []
    if found.knee is not None and found.knee["more"]:
        rules.append(Crossing(found.knee["capacity_bytes"], f"within {found.inputs['within']:g} times up to here"))
    return lines(series, Axis("capacity in all", "B", None), Axis("slowdown (times)", "1", True), rules)
