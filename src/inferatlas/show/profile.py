"""`inferatlas profile` as a page: from a trace to regimes, constraint, class, layout, software and signatures."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.profiles.mix import LOADS
from inferatlas.decide.profiles.profile import Profile
from inferatlas.quantities import percent
from inferatlas.show.deployment import figures_words, layout_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, figure, in_words, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table

FOLLOWS = {
    "memory_bandwidth": "reading weights and caches takes longer than multiplying them: bandwidth per accelerator, or "
    "fewer bytes (narrower weights, smaller caches), speeds this up; more peak compute does not",
    "compute": "multiplications bind: rates of the format used, or narrower formats, speed this up; bandwidth does not",
    "memory_capacity": "the cache limits how many requests run at once: capacity, a narrower cache, or more replicas",
    "interconnect": "exchanges between devices bind: smaller groups, stages for tensor parallelism, faster links",
    "overhead": "launches, layer latencies and the host bind: another engine, larger batches, fewer devices a replica",
    "latency_variance": "the mean would do, its spread does not: static scheduling, separate prefill, smaller chunks",
}
METRICS = ("ttft_s", "itl_s", "latency_s", "power_w", "tokens_per_joule", "usd_per_million_tokens")


def profile_page(found: Profile, typed: str) -> Page:
    """The whole path."""
    blocks: list[Block] = [Heading(answer(found)), Paragraph(trace_words(found)), regimes(found), constraints(found)]
    blocks += [follows(found), classes(found), *deployment(found)]
    blocks += [signatures(found), *experiments(found), Items("Assumed", found.assumptions)]
    blocks.append(Command("Reproduce", typed))
    return blocks


def answer(found: Profile) -> str:
    """The mix, the constraint and the deployment in two sentences."""
    main = max(LOADS, key=lambda name: found.regimes[name])
    one = found.deployment
    classes = [kind["name"].replace("_", " ") for kind in found.architecture_classes]
    suits = f"{classes[0]} suits the mix best" if classes else "no class is graded"
    shown = [s.name for s in found.signatures if s.detected]
    warned = f" Signs of trouble: {', '.join(shown)}." if shown else " No failure signature shows."
    return (
        f"{percent(found.regimes[main])} of the requests are {main.replace('-', ' ')}; "
        f"{found.constraint.replace('_', ' ')} binds. {suits}; {one.count} x {one.accelerator} "
        f"({layout_words(one.layout)}, {one.weights}, {one.engine}) serves it [{one.label}].{warned}"
    )


def trace_words(found: Profile) -> str:
    """The trace in a sentence."""
    held = found.trace
    isl, osl = held["input_tokens"], held["output_tokens"]
    beyond = held["beyond_context"]
    least = "" if held["arrival_step_s"] is None else "at least "
    tail = f" {percent(beyond)} of them exceed the model's context." if beyond else ""
    return (
        f"{found.inputs['trace']} ({held['format']}): {held['requests']:,} requests in {figure(held['span_s'], 's')}, "
        f"{held['request_rate']:.3g} a second, intervals vary by {least}{held['interarrival_cv']:.2f}; "
        f"input {isl['mean']:,.0f} tokens (p99 {isl['p99']:,.0f}, most {isl['max']:,.0f}), output {osl['mean']:,.0f} "
        f"(p99 {osl['p99']:,.0f}, most {osl['max']:,.0f}).{tail}"
    )


def regimes(found: Profile) -> Table:
    """Share of each regime."""
    rows = [
        [name, percent(share), "one of five that add up" if name in LOADS else "beside those"]
        for name, share in found.regimes.items()
    ]
    return Table("Regimes of the requests", [Column("regime"), Column("share", right=True), Column("counted")], rows)


def constraints(found: Profile) -> Table:
    """How much each resource takes of the deployment, and where it binds."""
    rows = []
    for one in sorted(found.constraints, key=lambda one: -one["value"]):
        binds = NONE if one["binds_on"] is None else f"{one['binds_on']} of {one['accelerators']}"
        mark = "primary" if one["name"] == found.constraint else ""
        rows.append([one["name"].replace("_", " "), percent(one["value"]), one["of"], binds, mark])
    columns = [Column("resource"), Column("takes", right=True), Column("of"),
               Column("binds on accelerators", right=True), Column("")]  # fmt: skip
    return Table("What limits it", columns, rows)


def follows(found: Profile) -> Paragraph:
    """What helps where the primary constraint binds."""
    return Paragraph(f"What follows: {FOLLOWS[found.constraint]}.")


def classes(found: Profile) -> Table:
    """Architecture classes by their best accelerator over the mix."""
    rows = [
        [one["name"].replace("_", " "), one["accelerator"], f"{one['score']:.2f}",
         NONE if one["least_count"] is None else str(one["least_count"]), one["why"], one["label"] or NONE]
        for one in found.architecture_classes
    ]  # fmt: skip
    columns = [Column("class"), Column("best of it"), Column("score", right=True), Column("serves with", right=True),
               Column("why", wraps=True), Column("label")]  # fmt: skip
    return Table("Architecture classes over this mix", columns, rows)


def deployment(found: Profile) -> list[Block]:
    """The deployment looked at, what it gives, and how it is started."""
    one = found.deployment
    shown = [name for name in METRICS if one.metrics.get(name) is not None]
    rows = [[quantity(name)[0], in_words(one.metrics[name], quantity(name)[1])] for name in shown]
    engines = ", ".join(
        f"{name} {level}" for name, level in found.software.items() if name not in ("level", "answered")
    )
    title = (
        f"{one.count} x {one.accelerator}, {layout_words(one.layout)}: {one.batch:.1f} requests at once in a replica"
    )
    table = Table(title, [Column("metric"), Column("value (80 % interval)")], rows)
    return [
        table,
        Paragraph(figures_words(shown, [table], where="Brackets"), quiet=True),
        Paragraph(f"Software: {engines}. Layout support: {one.support['level']}"
                  + (f" ({one.support['why']})" if one.support["why"] else "") + "."),
        *([Command("Start it", one.command)] if one.command else []),
    ]  # fmt: skip


def signatures(found: Profile) -> Table:
    """Failure signatures with their numbers and remedies."""
    rows = [[one.name, "detected" if one.detected else "no", one.why, one.remedy] for one in found.signatures]
    columns = [
        Column("signature", wraps=True),
        Column("shows"),
        Column("why", wraps=True),
        Column("remedy", wraps=True),
    ]
    return Table("Failure signatures", columns, rows)


def experiments(found: Profile) -> list[Block]:
    """The first three experiments, one command each."""
    return [Command(f"Experiment {i}: {one['question']}", one["command"]) for i, one in enumerate(found.experiments, 1)]


def profile_rows(found: Profile) -> list[dict[str, Any]]:
    """A row per finding: kind, name, value, words."""
    rows: list[dict[str, Any]] = [
        {"kind": "regime", "name": name, "value": share, "words": None} for name, share in found.regimes.items()
    ]
    rows += [
        {"kind": "constraint", "name": one["name"], "value": one["value"], "words": one["of"]}
        for one in found.constraints
    ]
    rows += [
        {"kind": "class", "name": one["name"], "value": one["score"], "words": one["accelerator"]}
        for one in found.architecture_classes
    ]
    rows += [
        {"kind": "signature", "name": one.name, "value": float(one.detected), "words": one.why}
        for one in found.signatures
    ]
    return rows


def profile_html(found: Profile, typed: str) -> str:
    """The same as a page with the mix as a chart."""
    sections = [
        Section(
            "regimes", "Regimes", [regimes(found)], lambda: _chart(found),
            "A stacked bar of the regimes of the requests.", "Share of the requests in each regime.",
        ),
        Section("limits", "What limits it", [constraints(found), follows(found)]),
        Section("classes", "Architecture classes", [classes(found)]),
        Section("deployment", "The deployment", deployment(found)),
        Section("signatures", "Failure signatures", [signatures(found)]),
        Section("experiments", "First experiments", experiments(found)),
        Section("assumed", "Assumed", [Items("Assumed", found.assumptions)]),
    ]  # fmt: skip
    return html_page(
        "What is this workload, and what follows?", answer(found), sections, typed, lead=trace_words(found)
    )


def _chart(found: Profile):
    from inferatlas.show.charts.shares import shares

    return shares([("requests", [(name, 100.0 * found.regimes[name]) for name in LOADS])], "Share of the requests (%)")
