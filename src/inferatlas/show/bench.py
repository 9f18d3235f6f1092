"""A bench as a page and as rows: a line per load, what to believe of it, and where the records are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.measure.bench.fates import meaning
from inferatlas.measure.bench.metrics.validity import CODES
from inferatlas.measure.bench.running import Bench, missed_targets
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.workload import parse_targets

LATENCIES = (("TTFT", "ttft_s"), ("ITL", "itl_s"), ("latency", "latency_s"))
OF_LOAD = "kind", "concurrency", "request_rate", "input_tokens", "output_tokens"
STATISTICS = ("mean", "p50", "p90", "p99")


def bench_page(found: Bench, typed: str) -> Page:
    """What was measured."""
    return [
        Heading(bench_words(found)),
        _loads(found),
        _latencies(found),
        *_judged(found),
        *_failures(found),
        *_knee(found),
        *([Items("Notes", notes)] if (notes := _notes(found)) else []),
        Paragraph(_how(found), quiet=True),
        Command("Records", str(found.folder)),
        Command("Reproduce", typed),
    ]


def bench_words(found: Bench) -> str:
    """The answer in a sentence."""
    if not found.runs:
        return "Nothing was measured."
    folder, best = max(found.runs, key=lambda one: one[1]["metrics"]["output_tokens_per_s"] or 0.0)
    model, metrics = best["models"][0], best["metrics"]
    invalid = sum(not one["validity"]["valid"] for _, one in found.runs)
    doubt = f" {invalid} of {len(found.runs)} runs are invalid." if invalid else ""
    most = "" if len(found.runs) == 1 else " at most"
    return (
        f"{model} gave{most} {_rate(metrics['output_tokens_per_s'])} output tokens/s ({folder.name}), "
        f"with a TTFT of {show(_of(metrics, 'ttft_s', 'p50'), 's')} and an ITL of "
        f"{show(_of(metrics, 'itl_s', 'p50'), 's')} (medians) [measured].{doubt}"
    )


def bench_rows(found: Bench) -> list[dict[str, Any]]:
    """A row per run, of plain numbers."""
    rows = []
    for folder, document in found.runs:
        metrics, load = document["metrics"], document["load"]
        row: dict[str, Any] = {
            "directory": str(folder), "label": document["label"], "model": document["models"][0],
            **{name: load.get(name) for name in OF_LOAD},
            "verdict": document["validity"]["verdict"], "reasons": " ".join(document["validity"]["reasons"]),
            "remarks": " ".join(document["validity"]["remarks"]), "sent": document["requests"]["sent"],
            "completed": document["requests"]["completed"], "failed": sum(document["requests"]["failed"].values()),
        }  # fmt: skip
        for _, name in LATENCIES:
            row |= {f"{name[:-2]}_{one}_s": _of(metrics, name, one) for one in STATISTICS}
        names = (
            "output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "goodput_per_s", "latency_cv", "power_w",
            "tokens_per_joule",
        )  # fmt: skip
        row |= {name: metrics.get(name) for name in names}
        row |= {name: document["client"].get(name) for name in ("cpu_s", "event_loop_lag_p99_s")}
        rows.append(row)
    return rows


def _loads(found: Bench) -> Table:
    columns = [
        Column("load"), Column("requests", right=True), Column("output tok/s", right=True),
        Column("total tok/s", right=True), Column("req/s", right=True), Column("goodput/s", right=True),
        Column("power", right=True), Column("tok/J", right=True), Column("verdict", wraps=True),
    ]  # fmt: skip
    rows = []
    for folder, one in found.runs:
        m, failed = one["metrics"], sum(one["requests"]["failed"].values())
        interval = (m["rates"]["output_tokens_per_s"] or {}).get("interval")
        lost = f", {failed} failed" if failed else ""
        rows.append(
            [
                folder.name, f"{one['requests']['completed']:,}{lost}",
                _rate(m["output_tokens_per_s"]) + _interval(interval), _rate(m["total_tokens_per_s"]),
                _rate(m["requests_per_s"]), _rate(m["goodput_per_s"]), show(m["power_w"], "W"),
                _rate(m["tokens_per_joule"]), one["validity"]["verdict"],
            ]
        )  # fmt: skip
    return Table("Throughput (steady window where there is one; second lines: 95 % interval)", columns, rows)


def _latencies(found: Bench) -> Table:
    columns = [
        Column("load"),
        *(Column(f"{title} {one}", right=True) for title, _ in LATENCIES for one in STATISTICS[1:]),
        Column("CoV", right=True),
    ]
    rows = []
    for folder, one in found.runs:
        m = one["metrics"]
        cells = [show(_of(m, name, p), "s") + _small(m, name, p) for _, name in LATENCIES for p in STATISTICS[1:]]
        rows.append([folder.name, *cells, _rate(m["latency_cv"])])
    return Table("Latency (*: too few requests to bound this percentile)", columns, rows)


def _small(metrics: Mapping[str, Any], name: str, percentile: str) -> str:
    return "*" if percentile in ((metrics.get(name) or {}).get("too_small") or ()) else ""


def _judged(found: Bench) -> list[Block]:
    seen: dict[str, list[str]] = {}
    for folder, one in found.runs:
        for code in (*one["validity"]["reasons"], *one["validity"]["remarks"]):
            seen.setdefault(code, []).append(folder.name)
    every = len(found.runs)
    texts = [
        f"{code} ({'all' if len(names) == every and every > 1 else ', '.join(names)}): {CODES.get(code, code)}"
        for code, names in seen.items()
    ]
    return [Items("What to know before believing it", texts)] if texts else []


def _failures(found: Bench) -> list[Block]:
    texts = [
        f"{folder.name}: {count:,} × {reason}, {meaning(reason)}"
        for folder, one in found.runs
        for reason, count in one["requests"]["failed"].items()
    ]
    missed = [
        f"{folder.name} misses {', '.join(names)}"
        for folder, one in found.runs
        if (names := missed_targets(one, parse_targets(one["slo"])))
    ]
    return [
        *([Items("Requests that failed", texts)] if texts else []),
        *([Items("Targets that were missed", missed)] if missed else []),
    ]


def _knee(found: Bench) -> list[Block]:
    if found.knee is None:
        return []
    unit = "clients" if found.plan.points[-1].kind == "closed" else "requests/s"
    low, high = found.knee.low, found.knee.high
    what = "every target is kept" if found.plan.slo else "the load is served, and more of it still gives more"
    if low is None:
        text = f"No load that was tried is low enough: at {high:g} {unit} it is too much already."
    elif high is None:
        text = f"Up to {low:g} {unit} {what}; no limit was found."
    else:
        text = f"Up to {low:g} {unit} {what}; at {high:g} no more."
    if not found.knee.monotonic:
        text += " A higher load was kept where a lower one was not: the limit is not sharp."
    return [Paragraph(text)]


def _notes(found: Bench) -> list[str]:
    return list(dict.fromkeys(note for _, one in found.runs for note in one["notes"]))


def _how(found: Bench) -> str:
    clients = [one["client"] for _, one in found.runs if one["client"]]
    share = max((one["cpu_share"] for one in clients), default=0.0)
    delays = [one["stamp_delay_p99_s"] for one in clients if one.get("stamp_delay_p99_s") is not None]
    late = f", stamped events within {show(max(delays), 's')} (p99)" if delays else ""
    clock = "when it was due" if any(one["load"]["kind"] != "closed" for _, one in found.runs) else "its sending"
    itl = "ITL is the time from the first token to the last over the tokens between"
    return f"The client used up to {share:.0%} of a core{late}. Latency counts from {clock}; {itl}."


def _of(metrics: Mapping[str, Any], name: str, statistic: str) -> float | None:
    return (metrics.get(name) or {}).get(statistic)


def _rate(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if not interval else f"\n{_rate(interval[0])} to {_rate(interval[1])}"


def bench_html(found: Bench, typed: str) -> str:
    """The same as a page."""
    from inferatlas.show.html import Section, html_page

    sections = [
        Section("throughput", "Throughput", [_loads(found)]),
        Section("latency", "Latency", [_latencies(found)]),
        Section("judged", "Whether to believe it", [*_judged(found), *_failures(found), *_knee(found)]),
        Section("how", "How it was measured", [
            *([Items("Notes", notes)] if (notes := _notes(found)) else []), Paragraph(_how(found), quiet=True),
        ]),
    ]  # fmt: skip
    return html_page("What does the endpoint give?", bench_words(found), sections, typed)
