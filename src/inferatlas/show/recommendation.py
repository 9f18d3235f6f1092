"""`inferatlas recommend` as a page and as rows."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.advisor.rank import TIES
from inferatlas.decide.advisor.recommend import Candidate, Recommendation
from inferatlas.quantities import percent
from inferatlas.show.deployment import (
    AIMS,
    figures_words,
    flat_metrics,
    layout_words,
    memory_bar,
    undecided,
    workload_words,
)
from inferatlas.show.numbers import figure, heading, in_words, listed, quantity, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

SHOWN = (
    "ttft_s", "itl_s", "output_tokens_per_s", "power_w", "tokens_per_joule", "usd_per_million_tokens",
    "gco2e_per_million_tokens",
)  # fmt: skip


def recommendation_page(found: Recommendation, typed: str) -> Page:
    """The whole answer; ``typed`` is the command that gave it."""
    if not found.candidates:
        return [
            Heading(f"No deployment of {found.inputs['model']} was found that meets {_asked(found)}."),
            Paragraph(_question(found)),
            *_why_not(found),
            *_ends(found, typed),
        ]
    best = found.candidates[0]
    launch = best.command or f"none known: {best.accelerator} is served by the stack of its vendor ({best.engine})"
    ranking = _ranking(found)
    return [
        Heading(_verdict(found, best)),
        Paragraph(_question(found)),
        ranking,
        Paragraph(figures_words(SHOWN, [ranking]), quiet=True),
        *simulated(found),
        Command(f"Start number 1 ({best.engine})", launch),
        memory_bar(best.memory, f"Memory of each device of number 1 at the expected batch of {best.batch:.0f}"),
        *([Items("Assumed for number 1", best.fallbacks)] if best.fallbacks else []),
        *_flips(found),
        *_why_not(found),
        *_ends(found, typed),
    ]


def _asked(found: Recommendation) -> str:
    limits = found.inputs["limits"]
    asked = list(found.inputs["slo"])
    if limits.get("usd_per_hour"):
        asked.append(f"at most {limits['usd_per_hour']:g} USD/h")
    if limits.get("power_w"):
        asked.append(f"at most {limits['power_w']:g} W")
    return " and ".join(asked) or "the limits given"


def _question(found: Recommendation) -> str:
    targets = ", ".join(found.inputs["slo"]) or "none"
    order = found.inputs["objective"]
    if found.candidates and undecided(order, found.candidates[0].metrics):
        order = f"{order}, which is unknown, then by {listed(TIES)}"
    return f"Workload {workload_words(found.inputs['workload'])}. Targets: {targets}. Ranked by {order}."


def _verdict(found: Recommendation, best: Candidate) -> str:
    metrics, objective = best.metrics, found.inputs["objective"]
    blind = undecided(objective, metrics)
    why = f"{blind}; it has the {TIES[0]} of all that qualify" if blind else f"{AIMS[objective]} of all that qualify"
    chance = (
        f" It meets {_asked(found)} with a probability of {percent(best.p_meets_target)}."
        if found.inputs["slo"]
        else ""
    )
    expected = ", ".join(
        f"{heading} {in_words(metrics.get(name), unit)}"
        for name, heading, unit in (
            ("ttft_s", "TTFT", "s"),
            ("itl_s", "ITL", "s"),
            ("usd_per_million_tokens", "USD per million output tokens", "1"),
        )
        if metrics.get(name) is not None
    )
    return (
        f"Use {best.count} x {best.name}, laid out {layout_words(best.layout)}, {best.weights} weights, {best.engine}: "
        f"{why}.{chance} Expect {expected} [{best.label}]."
    )


def _ranking(found: Recommendation) -> Table:
    columns = [Column("#", right=True), Column("deployment\nlayout"), Column("weights\nengine")]
    columns += [Column(heading(name), right=True) for name in SHOWN]
    columns += [Column("P(target)", right=True), Column("bound"), Column("label")]
    rows = [
        [
            str(one.rank),
            f"{one.count} x {one.accelerator}\n{layout_words(one.layout)}",
            f"{one.weights}\n{one.engine}",
            *(with_interval(one.metrics.get(name), quantity(name)[1]) for name in SHOWN),
            percent(one.p_meets_target) if found.inputs["slo"] else "none asked",
            one.bound.replace("_", "\n", 1), one.label,
        ]
        for one in found.candidates
    ]  # fmt: skip
    return Table("Ranked: the best layout and precision of each accelerator", columns, rows, keys=2)


def simulated(found: Recommendation) -> list[Block]:
    """What a simulation of the candidates says, where one was asked for."""
    seen = [(one, one.simulated) for one in found.candidates if one.simulated is not None]
    if not seen:
        return []
    columns = [Column("#", right=True), Column("deployment"), Column("scheduler")]
    columns += [Column(target, right=True) for target in found.inputs["slo"]]
    columns += [Column("TTFT p99", right=True), Column("ITL p99", right=True), Column("latency p99", right=True)]
    columns += [Column("P(target)", right=True)]
    rows = [
        [
            str(one.rank), f"{one.count} x {one.accelerator}", it.scheduler,
            *(figure(target["value"], "s") + ("" if target["met"] else " missed") for target in it.targets),
            *(figure(it.metrics[name]["p99"], "s") for name in ("ttft_s", "itl_s", "latency_s")),
            "saturated" if it.saturated else percent(it.p_meets_target),
        ]
        for one, it in seen
    ]  # fmt: skip
    return [Table(f"Simulated, {seen[0][1].requests:,} requests on each", columns, rows, keys=2)]


def _flips(found: Recommendation) -> list[Block]:
    if not found.flips:
        return []
    texts = [
        f"{flip.change}: {flip.winner}"
        + ("" if flip.probability is None else f" (already better with a probability of {percent(flip.probability)})")
        for flip in found.flips
    ]
    return [Items("What would change the winner", texts)]


def _why_not(found: Recommendation) -> list[Block]:
    if not found.rejected:
        return []
    columns = [Column("accelerator"), Column("reason"), Column("detail", wraps=True)]
    rows = [[one.accelerator, one.code, one.detail] for one in found.rejected]
    return [Table("Why not the others", columns, rows)]


def _ends(found: Recommendation, typed: str) -> list[Block]:
    searched = f"{found.searched:,} designs searched in {found.wall_s:.2f} s."
    return [
        *([Items("Notes", found.notes)] if found.notes else []),
        Paragraph(searched, quiet=True),
        Command("Reproduce", typed),
    ]


def recommendation_rows(found: Recommendation) -> list[dict[str, Any]]:
    """One flat row per candidate; intervals as ``x``, ``x_low``, ``x_high``."""
    return [
        {
            "rank": one.rank, "accelerator": one.accelerator, "name": one.name, "vendor": one.vendor,
            "count": one.count, **one.layout, "weights": one.weights, "activations": one.activations,
            "kv_cache": one.kv_cache, "engine": one.engine, **flat_metrics(one.metrics),
            "p_meets_target": one.p_meets_target, "bound": one.bound, "batch": one.batch, **one.memory,
            "usd_per_hour": one.usd_per_hour, "label": one.label, "pareto": one.pareto, "command": one.command,
        }
        for one in found.candidates
    ]  # fmt: skip
