"""A simulated run as a page, as a page with charts, and as a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.quantities import percent
from inferatlas.show.deployment import layout_words, workload_words
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, counted, figure, listed, quantity, span
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.outcome import RATE_METRICS, Outcome
from inferatlas.simulate.part import LATENCY_METRICS

STATISTICS = ("mean", "p50", "p90", "p95", "p99")
REASONS = {"saturated": "the backlog grows, whatever the run's length", None: ""}


def simulation_page(found: Simulation, typed: str) -> Page:
    """The whole answer; ``typed`` is the command that gave it."""
    return [
        Heading(answer(found)),
        *warned(found.outcome),
        *verdicts(found),
        asked(found),
        *latencies(found),
        rates(found.outcome),
        *over_runs(found.outcome),
        held(found.outcome),
        *pools(found.outcome),
        *assumed(found),
        Command("Reproduce", typed),
    ]


def answer(found: Simulation) -> str:
    """Deployment, what came out, and whether the targets are kept."""
    out = found.outcome
    ttft, itl, tokens = out.metrics["ttft_s"]["p95"], out.metrics["itl_s"]["mean"], out.metrics["output_tokens_per_s"]
    text = f"{found.name}: TTFT p95 {figure(ttft, 's')}, ITL {figure(itl, 's')}, {figure(tokens, '1')} output tokens/s"
    if out.saturated:
        text = f"{found.name}: saturated at {figure(tokens, '1')} output tokens/s, the backlog grows by "
        text += f"{figure(out.queue['growth_per_s'], '1')} requests/s"
    if found.meets is not None:
        missed = [one["slo"] for one in found.verdicts if not one["met"]]
        text += f"; it misses {listed(missed)}" if missed else "; it keeps every target"
    return f"{text} [{found.label}]."


def warned(out: Outcome) -> list[Block]:
    return [Items("To know before reading on", out.warnings)] if out.warnings else []


def verdicts(found: Simulation) -> list[Block]:
    """Every target with the value it bounds."""
    if not found.verdicts:
        return []
    rows = [
        [one["slo"], figure(one["value"], "s" if one["metric"] in {"ttft", "itl", "latency"} else "1"),
         "kept" if one["met"] else "missed", REASONS[one["reason"]]]
        for one in found.verdicts
    ]  # fmt: skip
    columns = [Column("target"), Column("value", right=True), Column("verdict"), Column("", wraps=True)]
    return [Table("Targets", columns, rows)]


def asked(found: Simulation) -> Table:
    """What was asked, a row per input and per pool."""
    rows: list[list[str]] = []
    for name, value in found.inputs.items():
        if name == "pools":
            rows += [[f"pool {one['name']}", _pool_words(one)] for one in value]
        elif name == "workload":
            rows.append([name, workload_words(value)])
        else:
            rows.append([name.replace("_", " "), _words(value)])
    return Table("Asked", [Column("input"), Column("value", wraps=True)], rows)


def _pool_words(pool: Mapping[str, Any]) -> str:
    """A pool in a line: machines, layout, scheduler, memory."""
    replicas = "" if pool["replicas"] == 1 else f"{pool['replicas']} replicas of "
    role = "" if pool["role"] == "both" else f", for {pool['role']}"
    blocks = f"{pool['kv_blocks']:,} blocks of {counted(pool['block_tokens'], 'token')}"
    return (
        f"{replicas}{pool['accelerators_per_replica']} x {pool['accelerator']} ({layout_words(pool['layout'])}){role}; "
        f"{pool['scheduler']['name']}: {pool['step_tokens']:,} tokens and {pool['max_sequences']:,} sequences a step, "
        f"{blocks}"
    )


def latencies(found: Simulation) -> list[Block]:
    """Latencies over requests on both clocks, gaps over tokens, waiting; second lines are intervals."""
    out = found.outcome
    intervals = _batch_intervals(out)
    rows = [
        [*_row(quantity(name)[0], out.metrics[name], intervals.get(name)), _span(found.model_intervals.get(name))]
        for name in LATENCY_METRICS
    ]
    for name, values in (
        ("gap between tokens", out.gap_s),
        ("wait for admission", out.queue_wait_s),
        ("TTFT, engine's clock", out.engine_clock["ttft_s"]),
        ("latency, engine's clock", out.engine_clock["latency_s"]),
    ):
        rows.append([*_row(name, values), ""])
    last = Column("mean, 80 %\nby the model", right=True)
    columns = [Column("latency"), *(Column(name, right=True) for name in STATISTICS), last]
    words = _window_words(out)
    if any(found.model_intervals.values()):
        words += " The last column is what the error of the step times makes of the mean."
    else:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return [Table("Latencies", columns, rows), Paragraph(words, quiet=True)]


def _span(between: Sequence[float] | None) -> str:
    return NONE if between is None else span(max(between[0], 0.0), between[1], "s")


def _row(name: str, values: Mapping[str, float | None], intervals: Mapping[str, Any] | None = None) -> list[str]:
    cells = []
    for one in STATISTICS:
        value = values[one]
        cell = "never" if value is not None and math.isinf(value) else figure(value, "s")
        between = (intervals or {}).get(one)
        cells.append(f"{cell}\n{span(max(between[0], 0.0), between[1], 's')}" if between else cell)
    return [name, *cells]


def _window_words(out: Outcome) -> str:
    text = "On the client's clock, from the scheduled sending. "
    if out.steady is None:
        return text + "Over all requests: there is no steady window."
    one = out.steady
    text += f"Over the {counted(one['requests'], 'request')} that were sent in the steady window, "
    text += f"{figure(one['from_s'], 's')} to {figure(one['to_s'], 's')} of {figure(out.duration_s, 's')}."
    return text + (" Second lines are 95 % intervals, by batch means." if _batch_intervals(out) else "")


def rates(out: Outcome) -> Table:
    """Throughput, energy and cost in the steady window, and over the whole run."""
    rows = []
    for name in RATE_METRICS:
        unit = quantity(name)[1]
        between = _batch_intervals(out).get(name)
        cell = figure(out.metrics[name], unit)
        cell += f"\n{span(max(between[0], 0.0), between[1], unit)}" if between else ""
        rows.append([_heading(name), cell, figure(out.whole_run[name], unit)])
    dollars = out.cost["usd_per_million_output_tokens"]
    rows.append(["USD per million output tokens", figure(dollars, "1"), ""])
    columns = [Column("rate"), Column("steady" if out.steady else "all", right=True), Column("whole run", right=True)]
    return Table("Throughput, energy and cost", columns, rows)


def over_runs(out: Outcome) -> list[Block]:
    """Means over runs with other seeds, with their intervals, where there are several."""
    several = out.intervals or {}
    if several.get("by") != "replications":
        return []

    def cell(one: Mapping[str, Any], unit: str) -> str:
        value = figure(one["mean"], unit)
        return value if one["low"] is None else f"{value}\n{span(max(one['low'], 0.0), one['high'], unit)}"

    rows = [
        [quantity(name)[0], *(cell(several[name][one], "s") for one in STATISTICS)] for name in LATENCY_METRICS
    ] + [[_heading(name), cell(several[name], quantity(name)[1]), "", "", "", ""] for name in RATE_METRICS]  # fmt: skip
    columns = [Column("over runs"), *(Column(name, right=True) for name in STATISTICS)]
    title = f"Means of {counted(several['runs'], 'run')} with other seeds, and their 95 % intervals"
    if several["saturated"]:
        title += f" ({several['saturated']} of them saturated)"
    return [Table(title, columns, rows)]


def _batch_intervals(out: Outcome) -> Mapping[str, Any]:
    """Intervals from the one run that is shown."""
    return {} if out.intervals is None or out.intervals.get("by") == "replications" else out.intervals


def _heading(name: str) -> str:
    return "goodput, requests/s" if name == "goodput_per_s" else quantity(name)[0]


def held(out: Outcome) -> Table:
    """What the fleet held: batch, memory, queue."""
    rows = [
        ["decoding requests per step of a replica", figure(out.batch["mean"], "1"), figure(out.batch["max"], "1")],
        ["KV cache in use", share(out.kv_used_fraction["mean"]), share(out.kv_used_fraction["max"])],
        ["requests waiting", figure(out.queue["waiting_mean"], "1"), figure(out.queue["waiting_max"], "1")],
        ["requests in flight", figure(out.queue["in_flight_mean"], "1"), figure(out.queue["in_flight_max"], "1")],
    ]
    text = f"{counted(out.preemptions, 'preemption')}; {share(out.hit_rate)} of input tokens found in a cache"
    title = f"Held ({text}; {out.completed:,} of {out.requests:,} requests completed, {out.failed:,} failed)"
    return Table(title, [Column("quantity"), Column("mean", right=True), Column("most", right=True)], rows)


def pools(out: Outcome) -> list[Block]:
    """A row per pool, where there is more than one or its replicas do not run all the time."""
    if len(out.pools) == 1 and not (out.pools[0]["model_switches"] or out.pools[0]["loading_fraction"]):
        return []
    rows = [
        [one["name"], one["role"], str(one["replicas"]), share(one["busy_fraction"]), share(one["loading_fraction"]),
         f"{one['steps']:,}", f"{one['preemptions']:,}", f"{one['model_switches']:,}"]
        for one in out.pools
    ]  # fmt: skip
    names = ("replicas", "busy", "loading", "steps", "preemptions", "model switches")
    return [Table("Pools", [Column("pool"), Column("role"), *(Column(n, right=True) for n in names)], rows)]


def assumed(found: Simulation) -> list[Block]:
    return [Items("Assumed and left out", found.notes)] if found.notes else []


def share(value: float | None) -> str:
    return NONE if value is None else percent(value)


def _words(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def simulation_rows(found: Simulation) -> list[dict[str, Any]]:
    """The outcome as one flat row: ``ttft_p95_s``, ``output_tokens_per_s``, ``kv_used_mean``."""
    out = found.outcome
    row: dict[str, Any] = {"name": found.name} | {
        name: value for name, value in found.inputs.items() if isinstance(value, str | int | float | None)
    }
    row |= {name: getattr(out, name) for name in ("requests", "completed", "failed", "saturated", "duration_s")}
    for name in LATENCY_METRICS:
        stem = name.removesuffix("_s")
        row |= {f"{stem}_{q}_s": out.metrics[name][q] for q in STATISTICS}
    row |= {name: out.metrics[name] for name in RATE_METRICS}
    return [
        row
        | {
            "usd_per_million_output_tokens": out.cost["usd_per_million_output_tokens"],
            "batch_mean": out.batch["mean"], "kv_used_mean": out.kv_used_fraction["mean"],
            "waiting_mean": out.queue["waiting_mean"], "preemptions": out.preemptions, "hit_rate": out.hit_rate,
            "meets": found.meets, "label": found.label,
        }
    ]  # fmt: skip


def simulation_html(found: Simulation, typed: str) -> str:
    """The same as a page with charts."""
    from inferatlas.show.simulation_charts import distributions, memory_over_time, numbers_over_time

    out = found.outcome
    sections = [
        Section("targets", "Targets", [*warned(out), *verdicts(found), asked(found)]),
        Section(
            "latencies", "Latencies", latencies(found), lambda: distributions(found),
            "Share of requests whose first token, gap and answer come within a time.",
            "Share of requests within a time: first token, mean gap between tokens, whole answer. Rules are targets.",
        ),
        Section(
            "queue", "Running and waiting", [held(out), *pools(out)], lambda: numbers_over_time(out),
            "Requests running and waiting over time.",
            "Between the rules is the steady window, from which the metrics come.",
        ),
        Section("memory", "Memory", [], lambda: memory_over_time(out), "Share of the KV cache in use over time."),
        Section("rates", "Throughput, energy and cost", [rates(out), *over_runs(out)]),
        Section("assumed", "Assumed", assumed(found)),
    ]  # fmt: skip
    return html_page("What will requests see?", answer(found), sections, typed)


__all__ = ["share", "simulation_html", "simulation_page", "simulation_rows"]
