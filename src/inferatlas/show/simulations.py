"""Simulated runs side by side: a row per deployment, and their distributions over each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import counted, figure
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Table
from inferatlas.show.simulation import share, simulation_rows
from inferatlas.simulate.answered import Simulation


def comparison_page(several: Sequence[Simulation], typed: str) -> Page:
    """A row per deployment."""
    return [
        Heading(compared(several)),
        beside(several),
        *_each(several),
        Command("Reproduce", typed),
    ]


def compared(several: Sequence[Simulation]) -> str:
    """Which keep the targets, and which of them costs the least per token (or serves the most)."""
    good = [one for one in several if one.meets is not False and not one.outcome.saturated]
    if not good:
        many = counted(len(several), "deployment")
        return f"None of {many} keeps every target without being saturated [{_label(several)}]."
    prices = [one.outcome.cost["usd_per_million_output_tokens"] for one in good]
    if all(price is not None for price in prices):
        best = min(zip(prices, range(len(good)), strict=True))[1]  # pyright: ignore[reportArgumentType] - none is None
        why = f"costs the least, {figure(prices[best], '1')} USD per million output tokens"
    else:
        values = [one.outcome.metrics["latency_s"]["mean"] or math.inf for one in good]
        best = values.index(min(values))
        why = f"has the shortest mean latency, {figure(values[best], 's')}"
    kept = "keep every target" if good[0].meets is not None else "have a steady state or end"
    verb = f"{len(good)} of {counted(len(several), 'deployment')} {kept}"
    return f"{verb}; {good[best].name} {why} [{_label(several)}]."


def _label(several: Sequence[Simulation]) -> str:
    return "extrapolated" if any(one.label == "extrapolated" for one in several) else "predicted"


def beside(several: Sequence[Simulation]) -> Table:
    columns = [
        Column("deployment", wraps=True), *(Column(name, right=True) for name in (
            "TTFT\np50 / p95", "ITL\nmean / p95", "latency\np50 / p95", "output\ntokens/s", "goodput\nrequests/s",
            "power\ntokens/J", "USD/Mtok\noutput", "KV use\nbatch")), Column("verdict"),
    ]  # fmt: skip
    rows = []
    for one in several:
        m, out = one.outcome.metrics, one.outcome
        rows.append(
            [one.name, _pair(m["ttft_s"], "p50"), _pair(m["itl_s"], "mean"), _pair(m["latency_s"], "p50"),
             figure(m["output_tokens_per_s"], "1"), figure(m["goodput_per_s"], "1"),
             f"{figure(m['power_w'], 'W')}\n{figure(m['tokens_per_joule'], '1')}",
             figure(out.cost["usd_per_million_output_tokens"], "1"),
             f"{share(out.kv_used_fraction['mean'])}\n{figure(out.batch['mean'], '1')}", _verdict(one)]
        )  # fmt: skip
    return Table("Side by side", columns, rows)


def _pair(values: Mapping[str, float | None], first: str) -> str:
    return f"{figure(values[first], 's')}\n{figure(values['p95'], 's')}"


def _verdict(one: Simulation) -> str:
    if one.outcome.saturated:
        return "saturated"
    return {True: "keeps all", False: "misses", None: ""}[one.meets]


def _each(several: Sequence[Simulation]) -> list[Block]:
    texts = [f"{one.name}: {text}" for one in several for text in [*one.outcome.warnings, *one.notes]]
    return [Items("To know before reading on", list(dict.fromkeys(texts)))] if texts else []


def comparison_rows(several: Sequence[Simulation]) -> list[dict[str, Any]]:
    """A flat row per deployment."""
    return [row for one in several for row in simulation_rows(one)]


def comparison_html(several: Sequence[Simulation], typed: str) -> str:
    """The same with distributions over each other."""
    from inferatlas.show.simulation_charts import distribution, flying_over_time

    words = {"ttft_s": "TTFT", "itl_s": "ITL"}
    sections = [
        Section("beside", "Side by side", [beside(several)]),
        *(
            Section(name, title, [], lambda name=name: distribution(several, name),
                    f"Share of requests by {title}, a line per deployment.",
                    "Share of requests within a time; rules are targets.")
            for name, title in words.items()
        ),
        Section("queue", "In flight", [], lambda: flying_over_time(several), "Requests in flight over time."),
        Section("known", "To know", _each(several)),
    ]  # fmt: skip
    return html_page("Which deployment serves these requests better?", compared(several), sections, typed)


__all__ = ["comparison_html", "comparison_page", "comparison_rows"]
