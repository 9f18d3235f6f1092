"""`inferatlas pool` as a page: the gain over the number of nodes, its price, and what a fabric may cost."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.disaggregation.pool import Pooled
from inferatlas.quantities import percent
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, as_given, counted, figure
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

CLAIMS = {"compute": "use of compute", "capacity": "use of memory", "cost": "cost"}
MONEY = ("usd_per_hour_alone", "usd_per_hour_saved", "break_even_fabric_usd", "usd_per_hour_fabric")


def pooling_page(found: Pooled, typed: str) -> Page:
    """The whole comparison."""
    return [
        Heading(answer(found)),
        *curve(found),
        *claims(found),
        Items("Assumed", found.assumptions),
        Command("Reproduce", typed),
    ]


def answer(found: Pooled) -> str:
    """What so many nodes save together, what remote accesses take of it, and what a fabric may cost."""
    asked = found.inputs
    verb = "shares a pool needs" if asked["nodes"] == 1 else "share a pool need"
    text = f"{counted(asked['nodes'], 'node')} that {verb} {figure(found.saved * 100, '1')} % less than "
    text += f"nodes that each hold their own peak: gain {found.gain:.2f}"
    if asked["correlation"] > 0:
        text += f" (they vary like {figure(asked['independent_nodes'], '1')} independent ones)"
    text += "."
    if found.slowdown is not None:
        text += f" Remote accesses make work {found.slowdown:.2f} times as long: {found.net_gain:.2f} is left."
        if found.net_gain < 1:
            text += " The pool costs more than it saves."
    if found.break_even_fabric_usd is not None:
        if found.break_even_fabric_usd > 0:
            text += f" A fabric breaks even at {as_given(round(found.break_even_fabric_usd, 2))} USD per node."
        else:
            text += " No fabric pays, however cheap."
    if found.cost_change is not None:
        text += f" With the fabric's price the cost changes by {100 * found.cost_change:+.0f} %."
    return text


def curve(found: Pooled) -> list[Block]:
    """A row per number of nodes."""
    charged = found.slowdown is not None
    priced = found.usd_per_hour_alone is not None
    columns = [Column("nodes", right=True), Column("gain", right=True), Column("saved", right=True)]
    if charged:
        columns += [Column("remote\nshare", right=True), Column("slowdown", right=True), Column("net gain", right=True),
                    Column("net saved", right=True)]  # fmt: skip
    if priced:
        columns += [Column("saved\nUSD/h a node", right=True), Column("break-even fabric\nUSD a node", right=True)]
    if found.cost_change is not None:
        columns.append(Column("cost", right=True))
    rows = []
    for row in found.curve:
        cells = [f"{row['nodes']:,}", f"{row['gain']:.3f}", percent(row["saved"])]
        if charged:
            cells += [percent(row["remote_share"]), f"{row['slowdown']:.3f}", f"{row['net_gain']:.3f}",
                      f"{100 * row['net_saved']:.0f} %"]  # fmt: skip
        if priced:
            cells += [figure(row["usd_per_hour_saved"], "1"), figure(row["break_even_fabric_usd"], "1")]
        if found.cost_change is not None:
            cells.append(f"{100 * row['cost_change']:+.0f} %")
        rows.append(cells)
    asked = found.inputs
    text = (
        f"Demand of a node varies by {percent(asked['demand_cv'])}; capacity suffices {100 * asked['service']:g} % of "
        f"the time, {asked['z']:.2f} standard deviations above the mean; correlation {asked['correlation']:g}."
    )
    return [Table("Gain by nodes that share the pool", columns, rows), Paragraph(text, quiet=True)]


def claims(found: Pooled) -> list[Block]:
    """From how many nodes on the published changes follow."""
    rows = []
    for one in found.claims:
        if one["claim"] == "cost":
            here = NONE if one["found"] is None else f"{100 * one['found']:+.0f} % here"
            rows.append([CLAIMS["cost"], f"{100 * one['low']:+.0f} %", here])
            continue
        ends = [
            f"{100 * one[end]:+.0f} % {'never' if (n := one[f'nodes_{end}']) is None else f'from {n:,}'}"
            for end in ("low", "high")
        ]
        rows.append(
            [CLAIMS[one["claim"]], f"{100 * one['low']:+.0f} to {100 * one['high']:+.0f} %", ", ".join(ends)]
        )  # fmt: skip
    columns = [Column("published claim"), Column("claimed", right=True), Column("nodes that give it, before its price")]
    text = (
        "Sharma 2025 states no conditions. By (50) a gain in use follows from how demand varies, not from the machine."
    )
    return [Table("Published gains beside these", columns, rows), Paragraph(text, quiet=True)]


def pooling_rows(found: Pooled) -> list[dict[str, Any]]:
    """A row per number of nodes."""
    return found.curve


def pooling_html(found: Pooled, typed: str) -> str:
    """The same as a page, with the gain over nodes as a chart."""
    sections = [
        Section(
            "gain", "Gain by nodes", curve(found), lambda: _chart(found), "Gain of a pool by the nodes that share it.",
            "Capacity of nodes that each hold their own peak over that of the pool.",
        ),
        Section("claims", "Published gains", claims(found)),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]  # fmt: skip
    return html_page("What does a pool save?", answer(found), sections, typed)


def _chart(found: Pooled):
    from inferatlas.show.charts.lines import Series, lines
    from inferatlas.show.charts.style import Axis

    if len(found.curve) < 2:
        return None
    x = [float(row["nodes"]) for row in found.curve]
    series = [Series("gain", "gain", x, [row["gain"] for row in found.curve])]
    if found.slowdown is not None:
        series.append(Series("after remote accesses", "net", x, [row["net_gain"] for row in found.curve]))
    return lines(series, Axis("nodes that share the pool", "1", None), Axis("gain", "1", False))


__all__ = ["pooling_html", "pooling_page", "pooling_rows"]
