"""`inferatlas scale` as a page: strategies side by side, what binds each, what varies, and where experts pay."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.scaling.compare import Scaling
from inferatlas.decide.scaling.placed import Placed
from inferatlas.predict.llm.placement import SPARE
from inferatlas.predict.performance.variance import MEANING
from inferatlas.quantities import percent, show
from inferatlas.show.deployment import figures_words, flat_metrics, layout_words, undecided
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted, heading, in_words, quantity, with_interval
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

SHOWN = ("ttft_s", "itl_s", "output_tokens_per_s", "power_w", "tokens_per_joule", "usd_per_million_tokens")
EXPLAINED = (
    "Parameters per FLOP: what the model holds over what a token costs at the pace of the busiest device (0.5: dense, "
    "and all of it multiplied; more with an input embedding of its own, which is only looked up). "
    "Variation: coefficient of variation of a request's latency and of the gap between two tokens, at fixed lengths. "
    "Exchange: the collective that takes most of a request, its share of the latency, and what a device sends."
)


def scaling_page(found: Scaling, typed: str) -> Page:
    """The whole comparison."""
    return [
        Heading(answer(found)),
        *performance(found),
        *structure(found),
        *causes(found),
        *infeasible(found),
        *experts(found),
        Items("Assumed", assumed(found)),
        Paragraph(f"{counted(found.searched, 'layout')} searched.", quiet=True),
        Command("Reproduce", typed),
    ]


def answer(found: Scaling) -> str:
    """The best strategy, and how far the best pure one is behind."""
    asked = f"{found.inputs['model']} on {found.inputs['count']} x {found.inputs['accelerator']}"
    fits = [one for one in found.strategies if one.fits]
    if not fits:
        return f"No strategy places {asked}."
    best = fits[0]
    if blind := undecided(found.inputs["objective"], best.metrics):
        return (
            f"Which strategy is best for {asked} is open: {blind}. "
            f"{len(fits)} strateg{'y fits' if len(fits) == 1 else 'ies fit'}, listed in no order, each in the first "
            "layout that fits."
        )
    pure = next((one for one in fits if not one.name.startswith("hybrid")), None)
    words = in_words(best.metrics.get("output_tokens_per_s"), "1")
    text = f"Best by {found.inputs['objective']} for {asked}: {layout_words(best.layout)}, {words} output tokens/s"
    text += f" [{best.label}]."
    if pure is None:
        return f"{text} No strategy of one kind alone fits."
    if pure.layout == best.layout:
        return f"{text} That is {pure.name} parallelism alone."
    behind = in_words(pure.metrics.get("output_tokens_per_s"), "1")
    return f"{text} Of one kind alone, {pure.name} is best: {behind}."


def _deployment(one: Placed) -> str:
    return f"{one.name}\n{layout_words(one.layout)}"


def performance(found: Scaling) -> list[Block]:
    """Latency, throughput, energy and cost of what fits, best first; nothing where nothing fits."""
    columns = [Column("strategy\nlayout"), *(Column(heading(name), right=True) for name in SHOWN)]
    columns += [Column("bound"), Column("label")]
    rows = [
        [_deployment(one), *(with_interval(one.metrics.get(name), quantity(name)[1]) for name in SHOWN),
         (one.bound or NONE).replace("_", "\n", 1), one.label or NONE]
        for one in found.strategies if one.fits
    ]  # fmt: skip
    if not rows:
        return []
    objective = found.inputs["objective"]
    blind = undecided(objective, found.strategies[0].metrics)
    table = Table(f"What fits ({blind})" if blind else f"Best first by {objective}", columns, rows)
    return [table, Paragraph(figures_words(SHOWN, [table]), quiet=True)]


def structure(found: Scaling) -> list[Block]:
    """Memory, parameters per compute, variation, exchange and support of what fits; nothing where nothing fits."""
    columns = [
        Column("strategy\nlayout"), Column("weights\nper device", right=True),
        Column("KV cache\nper device", right=True), Column("parameters\nper FLOP", right=True),
        Column("latency varies\ngap varies", right=True),
        Column("exchange\nshare of latency"), Column("device sends\nof its link", right=True),
        Column("support\npublished"), Column("why", wraps=True),
    ]  # fmt: skip
    rows = [_structure_row(one, found.inputs["link_bytes_per_s"]) for one in found.strategies if one.fits]
    return [Table("What it takes", columns, rows), Paragraph(EXPLAINED, quiet=True)] if rows else []


def _structure_row(one: Placed, link: float) -> list[str]:
    collective = f"{one.bound_collective}\n{percent(one.collective_share)}" if one.bound_collective else NONE
    rate = one.sent_bytes_per_s
    sent = NONE if rate is None else f"{show(rate, 'B/s')}\n{percent(rate / link)}"
    published = one.support.get("published")
    notes = "; ".join([one.support["why"], *_peculiar(one)]).strip("; ")
    return [
        _deployment(one), show(one.memory_bytes["weights"], "B"), show(one.memory_bytes["kv"], "B"),
        f"{one.params_per_flop:.2f}", f"{percent(one.latency_cov)}\n{percent(one.gap_cov)}", collective, sent,
        f"{one.support['level']}\n{published or ''}".strip(), notes or NONE,
    ]  # fmt: skip


def _peculiar(one: Placed) -> list[str]:
    """Bubbles of pipelines, imbalance of experts, in words."""
    held, out = one.details, []
    if (bubble := held.get("bubble")) is not None:
        interleaved = held.get("bubble_interleaved_2")
        out.append(
            f"bubble of a prompt alone {percent(bubble)}, {percent(interleaved)} with two virtual stages a device"
        )
    if (uneven := held.get("imbalance")) is not None:
        out.append(
            f"busiest device {uneven:.2f}x the mean (contiguous {held['imbalance_contiguous']:.2f}, balanced "
            f"{held['imbalance_balanced']:.2f}, with {SPARE} spare copies {held['imbalance_spare']:.2f})"
        )
    return out


def causes(found: Scaling) -> list[Block]:
    """Share of each cause in the variance of latency."""
    fits = [one for one in found.strategies if one.fits]
    if not fits:
        return []
    names = list(fits[0].variance_shares)
    rows = [[_deployment(one), *(percent(one.variance_shares[name]) for name in names)] for one in fits]
    columns = [Column("strategy\nlayout"), *(Column(name, right=True) for name in names)]
    return [
        Table("Causes of the variation of latency, share of the variance", columns, rows),
        Items("", [f"{name}: {MEANING[name]}" for name in names]),
    ]


def infeasible(found: Scaling) -> list[Block]:
    """What does not fit, with the reason."""
    rows = [
        [one.name, layout_words(one.layout) if one.layout else NONE, one.reason["code"], one.reason["detail"]]
        for one in found.strategies
        if one.reason is not None
    ]
    if not rows:
        return []
    columns = [Column("strategy"), Column("layout"), Column("reason"), Column("detail", wraps=True)]
    return [Table("What does not fit", columns, rows)]


def experts(found: Scaling) -> list[Block]:
    """From how many tokens a step experts are better spread than divided."""
    if not found.expert_choice:
        return []
    devices = sorted({row["devices"] for row in found.expert_choice})
    kinds = list(dict.fromkeys((row["experts"], row["top_k"], row["link"], row["own"]) for row in found.expert_choice))
    held = {(row["experts"], row["top_k"], row["link"], row["devices"]): row["tokens"] for row in found.expert_choice}

    def cell(kind: tuple[int, int, float, bool], n: int) -> str:
        key = (*kind[:3], n)
        return NONE if key not in held else "never" if held[key] is None else f"{held[key]:,}"

    rows = [
        [f"{kind[0]} experts, top {kind[1]}" + (" (the model's)" if kind[3] else ""), f"{kind[2]:g}x",
         *(cell(kind, n) for n in devices)]
        for kind in kinds
    ]  # fmt: skip
    columns = [Column("experts"), Column("link", right=True), *(Column(f"{n} devices", right=True) for n in devices)]
    text = (
        "Equation (26) for one layer with its exchanges: attention and memory of the whole model, which the table of "
        "strategies has, can decide otherwise. 'never': not up to 65,536 tokens a step."
    )
    return [
        Table(
            "Tokens in a step from which expert parallelism is cheaper than tensor parallelism", columns, rows, keys=2
        ),
        Paragraph(text, quiet=True),
    ]


def assumed(found: Scaling) -> list[str]:
    """Assumptions of the whole, then those of single strategies, each said once."""
    own: dict[str, list[str]] = {}
    for one in found.strategies:
        for note in one.notes:
            own.setdefault(note, []).append(one.name)
    return [*found.assumptions, *(f"{', '.join(names)}: {note}" for note, names in own.items())]


def scaling_rows(found: Scaling) -> list[dict[str, Any]]:
    """A row per strategy."""
    return [
        {
            "strategy": one.name, "fits": one.fits, "reason": one.reason["code"] if one.reason else None,
            **{name: one.layout.get(name) for name in ("tp", "pp", "ep", "dp", "cp", "offload")},
            **flat_metrics(one.metrics), "params_per_flop": one.params_per_flop, "latency_cov": one.latency_cov,
            "gap_cov": one.gap_cov, "bound": one.bound, "bound_collective": one.bound_collective,
            "collective_share": one.collective_share, "sent_bytes_per_s": one.sent_bytes_per_s,
            **{f"memory_{name}_bytes": value for name, value in one.memory_bytes.items()},
            "support": one.support["level"], "published_support": one.support.get("published"), "label": one.label,
        }
        for one in found.strategies
    ]  # fmt: skip


def scaling_html(found: Scaling, typed: str) -> str:
    """The same as a page, with the causes of variation as a chart."""
    sections = [
        Section("performance", "Performance", performance(found)),
        Section("structure", "What it takes", structure(found)),
        Section(
            "variance", "What makes latency vary", causes(found), lambda: _causes_chart(found),
            "Stacked bars of the causes of variation, one bar a strategy.",
            "Coefficient of variation of latency, divided by the causes' shares in the variance.",
        ),
        Section("infeasible", "What does not fit", infeasible(found)),
        Section("experts", "Experts: spread or divided", experts(found)),
        Section("assumed", "Assumed", [Items("Assumed", assumed(found))]),
    ]  # fmt: skip
    lead = f"{counted(found.searched, 'layout')} of {counted(found.inputs['count'], 'accelerator')}."
    return html_page("How to spread a model over many accelerators", answer(found), sections, typed, lead=lead)


def _causes_chart(found: Scaling):
    from inferatlas.show.charts.shares import shares

    rows = [
        (
            f"{one.name} ({layout_words(one.layout)})",
            [(cause, 100.0 * share * (one.latency_cov or 0.0)) for cause, share in one.variance_shares.items()],
        )
        for one in found.strategies
        if one.fits
    ]
    return shares(rows, "Coefficient of variation of latency (%)") if rows else None
