"""`inferatlas variance` as a page: how much latency varies, by which causes, and what routing does at each spread."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.variability import HIGH, QUANTILES, Variability
from inferatlas.predict.llm.placement import SPARE
from inferatlas.quantities import percent
from inferatlas.show.deployment import layout_words, workload_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import figure
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

CLOCKS = (
    "The gap is the time between two tokens of one stream; over a request's many gaps, independent causes average out."
)


def variability_page(found: Variability, typed: str) -> Page:
    """The whole answer."""
    return [
        Heading(answer(found)),
        Paragraph(f"Workload {workload_words(found.inputs['workload'])}."),
        causes(found),
        Paragraph(CLOCKS, quiet=True),
        percentiles(found),
        *routing(found),
        Items("Assumed", found.assumptions),
        Command("Reproduce", typed),
    ]


def answer(found: Variability) -> str:
    """Both coefficients of variation, each with its largest cause."""
    asked = found.inputs
    where = f"{asked['model']} on {asked['count']} x {asked['accelerator']} ({layout_words(asked['layout'])}, "
    where += f"{asked['weights']} weights, {asked['engine']})"
    text = f"Latency of {where} varies by {percent(found.cov['latency'])} at fixed lengths"
    if found.cov["latency_with_lengths"] > found.cov["latency"] * 1.005:
        text += f" ({percent(found.cov['latency_with_lengths'])} with the lengths of this workload)"
    text += _mostly(found, "latency") + f"; the gap between tokens by {percent(found.cov['gap'])}"
    text += _mostly(found, "gap")
    if found.deterministic:
        text += ". Inside the machine nothing varies: it is compiled"
    return f"{text} [{found.label}]."


def _mostly(found: Variability, clock: str) -> str:
    """The cause with the largest share in what varies; none where nothing does."""
    if not found.cov[clock] > 0:
        return ""
    own = (one for one in found.causes if one["cause"] != "lengths")
    top = max(own, key=lambda one: one[f"{clock}_share"] or 0.0)
    return f", mostly {top['cause']}"


def causes(found: Variability) -> Table:
    """The causes, largest first."""
    rows = [
        [
            one["cause"], percent(one["gap_cov"]), percent(one["gap_share"]), percent(one["latency_cov"]),
            percent(one["latency_share"]), one["meaning"],
        ]
        for one in sorted(found.causes, key=lambda one: -one["latency_share"])
    ]  # fmt: skip
    columns = [Column("cause"), Column("gap\nCoV", right=True), Column("share of\nits variance", right=True),
               Column("latency\nCoV", right=True), Column("share of\nits variance", right=True),
               Column("what it is", wraps=True)]  # fmt: skip
    return Table("Coefficients of variation by cause", columns, rows)


def percentiles(found: Variability) -> Table:
    """Percentiles of latency, with fixed lengths and with the workload's."""
    names = {"latency_s": "at fixed lengths", "latency_with_lengths_s": "with the lengths of the workload"}
    rows = [
        [words, figure(found.means["latency_s"], "s"), *(figure(found.percentiles[name][q], "s") for q in QUANTILES)]
        for name, words in names.items()
    ]
    columns = [Column("latency"), Column("mean", right=True), *(Column(q, right=True) for q in QUANTILES)]
    return Table("Latency of a request", columns, rows)


def routing(found: Variability) -> list[Block]:
    """What one layer's routing does on every number of devices; nothing for a dense model."""
    if not found.routing:
        return []
    first = found.routing[0]
    rows = [
        [
            f"{row['devices']}", f"{row['tokens']:,.0f}", f"{row['distinct']:,.1f}",
            f"{row['imbalance_contiguous']:.2f}", f"{row['imbalance_balanced']:.2f}", f"{row['imbalance_spare']:.2f}",
            percent(row["layer_cov"]) + (" high" if row["high"] else ""), percent(row["step_cov"]),
        ]
        for row in found.routing
    ]  # fmt: skip
    names = (
        "devices", "tokens\nin a step", "distinct experts\nof one device", "busiest/mean\ncontiguous",
        "busiest/mean\nbalanced", f"busiest/mean\n{SPARE} spare copies", "layer\nCoV", "step\nCoV",
    )  # fmt: skip
    asked = found.inputs["routing"]
    law = (
        "measured popularity" if asked["measured"]
        else f"Zipf popularity of exponent {asked['exponent']:.2f}" if asked["exponent"]
        else "uniform popularity"
    )  # fmt: skip
    title = f"Routing of {first['experts']} experts, top {first['top_k']}, {first['layers']} layers, {law}"
    text = (
        f"A replica of {found.inputs['layout']['tp']} accelerators brings its batch of {found.batch:,.0f} sequences; "
        f"more devices are more such replicas. Above {percent(HIGH)} a layer "
        "counts as high; balanced placement and spare copies mend persistent skew, a larger batch mends noise."
    )
    return [Table(title, [Column(name, right=True) for name in names], rows), Paragraph(text, quiet=True)]


def variability_rows(found: Variability) -> list[dict[str, Any]]:
    """A row per cause."""
    return [{name: value for name, value in one.items() if name != "meaning"} for one in found.causes]


def variability_html(found: Variability, typed: str) -> str:
    """The same as a page with the causes as a chart."""
    sections = [
        Section(
            "causes", "Causes", [causes(found), Paragraph(CLOCKS, quiet=True)], lambda: _chart(found),
            "Stacked bars of the causes of variation of the gap and of the latency.",
            "Coefficient of variation, divided by the causes' shares in the variance.",
        ),
        Section("latency", "Latency", [percentiles(found)]),
        Section("routing", "Routing of experts", routing(found)),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]  # fmt: skip
    lead = f"Workload {workload_words(found.inputs['workload'])}."
    return html_page("How much does latency vary, and why?", answer(found), sections, typed, lead=lead)


def _chart(found: Variability):
    from inferatlas.show.charts.shares import shares

    def bar(clock: str, whole: str) -> list[tuple[str, float | None]]:
        total = 100.0 * found.cov[whole]
        return [(one["cause"], total * (one[f"{clock}_share"] or 0.0)) for one in found.causes]

    rows = [("gap between tokens", bar("gap", "gap")), ("latency of a request", bar("latency", "latency_with_lengths"))]
    return shares(rows, "Coefficient of variation (%)") if any(v for _, part in rows for _, v in part) else None


__all__ = ["variability_html", "variability_page", "variability_rows"]
