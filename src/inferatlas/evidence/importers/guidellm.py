"""Reader of GuideLLM's ``benchmarks.json``.

Format: https://github.com/vllm-project/guidellm, ``src/guidellm/benchmark/schemas/generative`` (report, benchmark,
metrics): a row per benchmark, from the means over its successful requests. ``time_to_first_token_ms`` and
``inter_token_latency_ms`` are in milliseconds, ``request_latency`` in seconds; rates are of the server as a whole.
GuideLLM writes 0 where a request has no such figure. The strategy stands in ``config.strategy`` (``args.strategy``
before version 0.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferatlas.evidence.importers.rows import (
    Format,
    Found,
    Row,
    Unreadable,
    at,
    branch,
    each,
    json_records,
    milliseconds,
    positive,
    text,
)

_MODEL = (
    ("config", "backend", "model"), ("config", "backend", "model_id"), ("worker", "backend_model"),
    ("args", "backend", "model"), ("benchmarker", "backend", "model"), ("args", "model"), ("model",),
)  # fmt: skip


def _row(record: dict[str, Any]) -> Row:
    metrics = branch(record, "metrics")
    if not metrics:
        raise Unreadable("a benchmark without 'metrics'")
    row = Row({
        "model": _model(record), "input_tokens": _mean(metrics, "prompt_token_count"),
        "output_tokens": _mean(metrics, "output_token_count"), "source": "guidellm",
        "ttft_s": _mean(metrics, "time_to_first_token_ms", 1e-3), "ttft_statistic": "mean",
        "itl_s": _mean(metrics, "inter_token_latency_ms", 1e-3),
        "itl_statistic": "mean over tokens, without the first", "latency_s": _mean(metrics, "request_latency"),
        "latency_meaning": "mean of requests, end to end",
        "output_tokens_per_s": _mean(metrics, "output_tokens_per_second"),
        "total_tokens_per_s": _mean(metrics, "tokens_per_second"),
        "throughput_origin": "reported rate of the server, mean over the measured window",
    })  # fmt: skip
    v = row.values
    if not any(v[c] for c in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s")):
        raise Unreadable("no measured figure of successful requests")
    for figure, said in (("ttft_s", "ttft_statistic"), ("itl_s", "itl_statistic"), ("latency_s", "latency_meaning")):
        v[said] = v[said] if v[figure] else None
    _load(row, record, metrics)
    totals = branch(metrics, "request_totals")
    if (errored := positive(totals, "errored")) and errored > 0.01 * (positive(totals, "total") or 0):
        row.cautions.append(f"{errored:g} requests failed")
    return row


def _load(row: Row, record: dict[str, Any], metrics: dict[str, Any]) -> None:
    strategy = branch(record, "config", "strategy") or branch(record, "args", "strategy")
    kind, v = text(strategy, "type_") or text(strategy, "type"), row.values
    running = _mean(metrics, "request_concurrency")
    match kind:
        case "synchronous":
            v |= {"load": "closed_loop", "concurrency": 1.0}
        case "concurrent":
            v |= {"load": "closed_loop", "concurrency": positive(strategy, "streams") or running}
        case "throughput":
            v |= {"load": "saturated", "concurrency": positive(strategy, "max_concurrency") or running}
        case "poisson" | "constant" | "async":
            v |= {"load": "poisson", "concurrency": running}
            row.notes.append(f"request rate {text(strategy, 'rate') or '?'}/s, concurrency is the measured mean")
            if kind != "poisson":
                row.cautions.append("arrivals at a constant rate, not Poisson")
        case _:
            v["concurrency"] = running
            row.cautions.append(f"the strategy '{kind or 'unknown'}' says not how requests arrive")


def _mean(metrics: dict[str, Any], name: str, scale: float = 1.0) -> float | None:
    figure = branch(metrics, name)
    summary = branch(figure, "successful") or figure
    return milliseconds(summary, "mean") if scale == 1e-3 else positive(summary, "mean")


def _model(record: dict[str, Any]) -> str | None:
    return next((found for path in _MODEL if isinstance(found := at(record, *path), str) and found), None)


def _benchmarks(file: Path) -> Iterator[tuple[int, Any]]:
    for number, report in json_records(file):
        inner = report.get("benchmarks") if isinstance(report, dict) else None
        if not isinstance(inner, list):
            hint = "is this a GuideLLM report?"
            yield number, report if isinstance(report, Unreadable) else Unreadable("no 'benchmarks'", hint)
            continue
        model = _model(report)
        for index, one in enumerate(inner, start=1):
            yield index, {"model": model, **one} if isinstance(one, dict) else one


def read(file: Path) -> Iterator[Found]:
    """A row per benchmark of one report."""
    return each(_benchmarks(file), _row)


FORMAT = Format(read, ("*.json",))
