"""Tables of a bench, a row per load: throughput, latencies, targets, what was delivered, engine, client, energy.

Columns that no load knows anything of are left out, and so are tables without any column left.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.measure.bench.metrics.missed import missed_targets
from inferatlas.quantities import percent
from inferatlas.show.bench_loads import Load, get
from inferatlas.show.numbers import NONE, as_given, figure
from inferatlas.show.page import Column, Table
from inferatlas.workload import parse_targets

LATENCIES = (("TTFT", "ttft_s"), ("ITL", "itl_s"), ("latency", "latency_s"))
PERCENTILES = ("p50", "p90", "p99")
STATISTICS = ("mean", "p50", "p90", "p95", "p99")
STAR = " (*: too few requests to bound this percentile)"
VERDICTS = "invalid", "degraded", "valid"  # the worst first


def known(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], keys: int = 1) -> list[Table]:
    """The table without columns in which nothing is known; nothing where none is left beside the keys."""
    kept = [n for n in range(len(columns)) if n < keys or any(row[n] not in (NONE, "") for row in rows)]
    if len(kept) == keys or not rows:
        return []
    return [Table(title, [columns[n] for n in kept], [[row[n] for n in kept] for row in rows], keys)]


def numbers(*names: str) -> list[Column]:
    return [Column(name, right=True) for name in names]


def throughput(loads: Sequence[Load]) -> list[Table]:
    """What was done, and whether to believe it."""
    rows = [
        [
            one.name, _requests(one), figure(one.values.get("concurrency"), "1"),
            one.cell("output_tokens_per_s", "1"), one.cell("total_tokens_per_s", "1"), one.cell("requests_per_s", "1"),
            one.cell("power_w", "W"), one.cell("tokens_per_joule", "1"), one.cell("tokens_per_joule_net", "1"),
            verdict(one),
        ]
        for one in loads
    ]  # fmt: skip
    names = "requests", "in flight", "output tok/s", "total tok/s", "req/s", "power", "tok/J", "net tok/J"
    columns = [Column("load"), *numbers(*names), Column("verdict", wraps=True)]
    return known(f"Throughput{_of_runs(loads)}", columns, rows)


def _of_runs(loads: Sequence[Load]) -> str:
    """What the figures of the tables are, for their title."""
    if any(len(one.runs) > 1 for one in loads):
        many = " or ".join(sorted({str(len(one.runs)) for one in loads}))
        return f" (means of {many} runs; second lines: 95 % intervals over runs)"
    return " (second lines: 95 % intervals)" if any(one.ends for one in loads) else ""


def _requests(load: Load) -> str:
    done = [value for one in load.documents if (value := get(one, "requests", "completed")) is not None]
    failed = sum(sum((get(one, "requests", "failed") or {}).values()) for one in load.documents)
    text = f"{sum(done):,}" if done else NONE
    return f"{text}\n{failed:,} failed" if failed else text


def verdict(load: Load) -> str:
    """The word for the worst run of a load."""
    words = [get(one, "validity", "verdict") for one in load.documents]
    return next((one for one in VERDICTS if one in words), NONE)


def latency_tables(loads: Sequence[Load]) -> list[Table]:
    """Of several loads until the first token and between tokens, then whole answers and every gap; of one, all."""
    if len(loads) == 1:
        return _all_latencies(loads[0])
    few = any(one.few(name, p) for one in loads for _, name in LATENCIES for p in PERCENTILES)
    star = STAR if few else ""
    first = [f"{title} {p}" for title, _ in LATENCIES[:2] for p in PERCENTILES]
    rows = [[one.name, *(_percentile(one, name, p) for _, name in LATENCIES[:2] for p in PERCENTILES)] for one in loads]
    found = known(f"First token, and pace after it{star}", [Column("load"), *numbers(*first)], rows)
    rows = [
        [
            one.name, *(_percentile(one, "latency_s", p) for p in PERCENTILES), one.cell("latency_cv", "1"),
            *(_percentile(one, "token_gap_s", p) for p in ("p50", "p99")),
            figure(one.most("metrics", "token_gap_s", "max"), "s"),
        ]
        for one in loads
    ]  # fmt: skip
    last = (*(f"latency {p}" for p in PERCENTILES), "CoV", "gap p50", "gap p99", "gap max")
    return found + known("Whole answers, and every gap between tokens", [Column("load"), *numbers(*last)], rows)


def _all_latencies(load: Load) -> list[Table]:
    """A row per latency, with all that is known of it."""
    rows = [
        [title, *(_percentile(load, name, p) for p in STATISTICS), figure(load.most("metrics", name, "max"), "s")]
        for title, name in (*LATENCIES, ("gap between tokens", "token_gap_s"))
    ]
    star = STAR if any("*" in cell for row in rows for cell in row) else ""
    variation = load.cell("latency_cv", "1").replace("\n", ", ")
    varies = "" if variation == NONE else f"; coefficient of variation of latency {variation}"
    return known(f"Latencies{star}{varies}", [Column("latency"), *numbers(*STATISTICS, "max")], rows)


def _percentile(load: Load, metric: str, statistic: str) -> str:
    return load.cell(f"{metric}.{statistic}", "s", mark="*" if load.few(metric, statistic) else "")


def every_latency(loads: Sequence[Load], name: str, title: str) -> list[Table]:
    """All that is known of one latency."""
    rows = [
        [
            one.name, _n(one, name), *(_percentile(one, name, p) for p in STATISTICS),
            figure(one.most("metrics", name, "max"), "s"),
        ]
        for one in loads
    ]  # fmt: skip
    return known(title, [Column("load"), *numbers("values", *STATISTICS, "max")], rows)


def _n(load: Load, name: str) -> str:
    found = [value for one in load.documents if (value := get(one, "metrics", name, "n")) is not None]
    return f"{sum(found):,}" if found else NONE


def targets(loads: Sequence[Load]) -> list[Table]:
    """Every target with the value that it bounds, and goodput."""
    asked = parse_targets(get(loads[0].first, "slo") or ()) if loads else ()
    if not asked:
        return []
    rows = []
    for load in loads:
        cells = []
        for target in asked:
            latency = target.metric in ("ttft", "itl", "latency")
            name = f"{target.metric}_s.{target.statistic}" if latency else target.metric
            missed = sum(bool(missed_targets(dict(one), [target])) for one in load.documents)
            word = "kept" if not missed else "missed" if missed == len(load.runs) else f"missed {missed} times"
            cells.append(f"{figure(load.values.get(name), 's' if latency else '1')}\n{word}")
        share = load.values.get("goodput_share")
        rows.append([load.name, *cells, load.cell("goodput_per_s", "1"), NONE if share is None else percent(share)])
    columns = [Column("load"), *numbers(*(one.text() for one in asked), "goodput, req/s", "within all limits")]
    return known("Targets", columns, rows)


def delivered(loads: Sequence[Load]) -> list[Table]:
    """Open loops: how late requests were sent, and what the latencies would be if that were not counted."""
    open_loops = [one for one in loads if one.kind not in ("closed", "offline", None)]
    rows = [
        [
            one.name, figure(one.mean("metrics", "load", "asked_rate_per_s"), "1"),
            figure(one.mean("metrics", "load", "rate_per_s"), "1"),
            *(figure(one.values.get(f"send_lag_s.{p}"), "s") for p in ("p50", "p99")),
            *(_both(one, metric, p) for metric, p in (("ttft", "p50"), ("ttft", "p99"), ("latency", "p99"))),
        ]
        for one in open_loops
    ]  # fmt: skip
    names = "asked req/s", "sent req/s", "send lag p50", "send lag p99", "TTFT p50", "TTFT p99", "latency p99"
    title = "Coordinated omission (first lines count from when a request was due, second lines from its sending)"
    return known(title, [Column("load"), *numbers(*names)], rows)


def _both(load: Load, metric: str, statistic: str) -> str:
    due, sent = (load.values.get(f"{metric}{way}_s.{statistic}") for way in ("", "_service"))
    return NONE if due is None else f"{figure(due, 's')}\n{figure(sent, 's')}"


def engine(loads: Sequence[Load]) -> list[Table]:
    """The engine's own mean times beside the client's."""
    if not any(get(document, "engine") for one in loads for document in one.documents):
        return []
    rows = []
    for one in loads:
        cells = []
        for name, ours in (("ttft_s", "ttft_service_s"), ("itl_s", "itl_s"), ("latency_s", "latency_service_s")):
            theirs, seen = one.mean("engine", name, "mean_s"), figure(one.values.get(f"{ours}.mean"), "s")
            cells.append(NONE if theirs is None else f"{seen}\n{figure(theirs, 's')}")
        cells += [figure(one.mean("engine", name, "mean_s"), "s") for name in ("queue_s", "prefill_s", "decode_s")]
        rows.append([one.name, *cells])
    columns = [Column("load"), *numbers("TTFT", "ITL", "latency", "engine: queue", "prefill", "decode")]
    return known("Means seen by the client; second lines by the engine itself", columns, rows)


def client(loads: Sequence[Load]) -> list[Table]:
    """How the client did: of several runs the worst."""
    rows = [
        [
            one.name, percent(one.most("client", "cpu_share")),
            *(figure(one.most("client", name), "s") for name in ("stamp_delay_p50_s", "stamp_delay_p99_s",
                                                                 "event_loop_lag_p99_s", "event_loop_lag_max_s")),
            *(as_given(one.most("client", name)) for name in ("opened", "retries")),
            _memory(one.most("client", "memory_bytes")),
        ]
        for one in loads
    ]  # fmt: skip
    names = (
        "core used", "stamp delay p50", "p99", "loop lag p99", "max", "connections", "retries", "memory"
    )  # fmt: skip
    return known("The client itself", [Column("load"), *numbers(*names)], rows)


def _memory(value: float | None) -> str:
    return NONE if value is None else f"{value / 1e6:,.0f} MB"


def protocol(loads: Sequence[Load]) -> list[Table]:
    """Metrics as the protocol of the bench defines them."""
    if not any(get(one.first, "protocol_metrics") for one in loads):
        return []
    rows = [
        [
            one.name, figure(one.mean("protocol_metrics", "throughput_total_tokens_per_s"), "1"),
            figure(one.mean("protocol_metrics", "itl_mean_over_tokens_s"), "s"),
            figure(one.mean("protocol_metrics", "ttft_mean_s"), "s"),
            figure(one.mean("protocol_metrics", "total_tokens_per_joule"), "1"),
        ]
        for one in loads
    ]  # fmt: skip
    names = "throughput, tok/s", "ITL over tokens", "mean TTFT", "tok/J"
    title = f"As {get(loads[0].first, 'protocol')} counts (input + output tokens, whole run)"
    return known(title, [Column("load"), *numbers(*names)], rows)


def repetitions(loads: Sequence[Load]) -> list[Table]:
    """Each run of loads that were measured several times."""
    rows = [
        [
            folder.name, figure(get(document, "metrics", "output_tokens_per_s"), "1"),
            *(figure(get(document, "metrics", name, "p50"), "s") for _, name in LATENCIES),
            figure(get(document, "metrics", "power_w"), "W"),
            get(document, "validity", "verdict") or NONE,
        ]
        for one in loads if len(one.runs) > 1 for folder, document in one.runs
    ]  # fmt: skip
    names = "output tok/s", "TTFT p50", "ITL p50", "latency p50", "power"
    return known("Each run", [Column("run"), *numbers(*names), Column("verdict", wraps=True)], rows)
