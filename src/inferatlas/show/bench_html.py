"""A bench, or one run of it, as a page with charts, all drawn from the folders of the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from inferatlas.measure.bench.running import Bench
from inferatlas.show.bench import (
    answer_words,
    asked_words,
    bench_words,
    best_of,
    failures,
    how_words,
    judged,
    knee,
    notes,
)
from inferatlas.show.bench_loads import Document, Load, Run, get, loads_of
from inferatlas.show.bench_tables import (
    client,
    delivered,
    engine,
    every_latency,
    latency_tables,
    protocol,
    repetitions,
    targets,
    throughput,
)
from inferatlas.show.html import Section, html_page
from inferatlas.show.page import Block, Column, Command, Paragraph, Table

DEFINED = (
    "ttft_s", "ttft_service_s", "itl_s", "latency_s", "token_gap_s", "output_tokens_per_s", "total_tokens_per_s",
    "requests_per_s", "goodput_per_s", "goodput_share", "latency_cv", "concurrency", "power_w", "tokens_per_joule",
    "send_lag_s", "window", "intervals",
)  # fmt: skip


def bench_html(found: Bench, typed: str) -> str:
    """Every load of a bench."""
    loads = loads_of(found.runs)
    records = [Command("Records", str(found.folder))]
    if not loads:
        return html_page("What does the endpoint give?", bench_words(found), [Section("r", "Records", records)], typed)
    best = best_of(loads)
    sections = [
        Section(
            "throughput", "Throughput, and what it costs in latency",
            [*throughput(loads), *targets(loads), *knee(found), *protocol(loads), *repetitions(loads)],
            lambda: _charts().cost_of_throughput(loads),
            "Time to first token, time between tokens and latency over output tokens per second, a point per load.",
            "A point per load, with its 95 % interval where it is known; hollow points are of invalid runs. Rules are "
            "targets.",
        ),
        *_latencies(loads),
        _tail(loads),
        _timeline(*best.runs[0], title=f"Over time: {best.runs[0][0].name}"),
        *_about(loads, found.runs, records),
    ]  # fmt: skip
    return html_page("What does the endpoint give?", bench_words(found), sections, typed, lead=asked_words(loads))


def run_html(folder: Path, document: Mapping[str, Any], typed: str) -> str:
    """One measured run: the page of its record.

    Parameters
    ----------
    folder : of the record; tables that are missing there have no chart. document : its `run.json`.
    typed : the command that makes this page.
    """
    loads = loads_of([(folder, document)])
    sections = [
        Section("throughput", "Throughput", [*throughput(loads), *targets(loads), *protocol(loads)]),
        _one_latency(loads[0]),
        _tail(loads),
        _timeline(folder, document, title="Over time"),
        *_about(loads, [(folder, document)], [Command("Record", str(folder))]),
    ]  # fmt: skip
    return html_page("What was measured?", answer_words(loads), sections, typed, lead=asked_words(loads))


def _charts() -> ModuleType:
    """What draws, loaded when something is drawn."""
    from inferatlas.show import bench_charts

    return bench_charts


def _latencies(loads: Sequence[Load]) -> list[Section]:
    if len(loads) == 1:
        return [_one_latency(loads[0])]
    every = "; of repeated loads the first run is drawn" if any(len(one.runs) > 1 for one in loads) else ""
    found = []
    for name, title, what in (
        ("ttft_s", "Time to first token", "first token comes"),
        ("itl_s", "Time between tokens (ITL)", "mean time between tokens is"),
        ("latency_s", "Latency of whole answers", "whole answer comes"),
    ):
        found.append(Section(
            name, title, every_latency(loads, name, title), lambda name=name: _charts().distribution(loads, name),
            f"Share of requests whose {what} within a time, by load.",
            f"Share of requests whose {what} within a time, a line per load{every}. Rules are targets.",
        ))  # fmt: skip
    return found


def _one_latency(load: Load) -> Section:
    return Section(
        "latency", "Latency", latency_tables([load]), lambda: _charts().distributions(*load.runs[0]),
        "Share of requests whose first token, mean gap between tokens and answer come within a time.",
        "Share of requests within a time: first token, mean gap between tokens, whole answer. Rules are targets.",
    )  # fmt: skip


def _tail(loads: Sequence[Load]) -> Section:
    several = every_latency(loads, "token_gap_s", "Every gap between tokens") if len(loads) > 1 else []
    return Section(
        "gaps", "Every gap between tokens", several,
        lambda: _charts().gaps(loads), "Share of the gaps between tokens that are longer than a time, by load.",
        "Share of gaps that are longer than a time. What a mean hides is at the lower right: stalls, prompts of others "
        "that are read between two tokens, and steps in which answers wait.",
    )  # fmt: skip


def _timeline(folder: Path, document: Document, *, title: str) -> Section:
    return Section(
        "timeline", title, [], lambda: _charts().timeline(folder, document),
        "Requests in flight, output tokens per second and power over the time of the run.",
        "The steady window, which the figures are of, is shaded.",
    )  # fmt: skip


def _about(loads: Sequence[Load], runs: Sequence[Run], records: list[Command]) -> list[Section]:
    """What is the same for a bench and for one run."""
    first = loads[0].first
    return [
        Section("omission", "Latency from the schedule, and from the sending", delivered(loads)),
        Section("engine", "Seen by the engine itself", engine(loads)),
        Section("believe", "Whether to believe it", [*judged(runs), *failures(runs), *client(loads)]),
        Section("how", "How it was measured", [
            Paragraph(how_words(loads)), *notes(runs), *_setting(first), *records,
        ]),
        Section("definitions", "Definitions", _definitions(first)),
    ]  # fmt: skip


def _setting(document: Document) -> list[Block]:
    """The software and machines that a record names."""
    machine, flags = document.get("environment") or {}, get(document, "software", "flags") or {}
    packages = machine.get("packages") or {}
    rows = {
        "model": ", ".join(document.get("models") or ()),
        "engine": " ".join(one for one in (get(document, "software", name) for name in ("engine", "version")) if one),
        "engine flags": ", ".join(f"{name} {value}" for name, value in flags.items()),
        "round trip": _seconds(get(document, "software", "round_trip_s")),
        "tokens of prompts": get(document, "tokens", "counter"),
        "client": ", ".join(str(machine[name]) for name in ("cpu", "cores", "kernel") if machine.get(name)),
        "inferatlas": packages.get("inferatlas"), "started": document.get("started"), "seed": document.get("seed"),
    }  # fmt: skip
    cells = [[name, str(value)] for name, value in rows.items() if value not in (None, "")]
    return [Table("Setting", [Column("what"), Column("value", wraps=True)], cells)] if cells else []


def _seconds(value: float | None) -> str | None:
    from inferatlas.quantities import show

    return None if value is None else show(value, "s")


def _definitions(document: Document) -> list[Block]:
    texts = document.get("definitions") or {}
    cells = [[name, texts[name]] for name in DEFINED if name in texts]
    return [Table("Definitions", [Column("metric"), Column("meaning", wraps=True)], cells)] if cells else []


__all__ = ["bench_html", "run_html"]
