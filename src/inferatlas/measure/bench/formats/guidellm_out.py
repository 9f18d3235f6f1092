"""Writer of a run record as GuideLLM would have written it: a report of one benchmark, JSON or YAML, version 1 or 2.

Format: see `guidellm`. In GuideLLM's convention: moments are Unix times (of the record's start plus the run's
monotonic seconds, so 2e-7 s is lost), ``time_per_output_token_ms`` includes the first token, statistics of token
latencies weigh a request by its tokens, ITL takes the first event as one token, percentiles are values that occurred.
Rates are counted in bins of about a second over the run, where GuideLLM looks at every gap between events: means are
alike, tails are not. What GuideLLM does not write is there as well: ``chunk_tokens``, by which our ITL comes back.
Unverified: whether GuideLLM's own reader takes it, which asks for settings that a record does not hold.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from inferatlas.measure.bench.formats.foreign import NAME, OWN
from inferatlas.measure.bench.formats.records import Record, ended, tpot_s

_RANKS = {"p001": 0.001, "p01": 0.01, "p05": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9,
          "p95": 0.95, "p99": 0.99, "p999": 0.999}  # fmt: skip
_STRATEGIES = {"closed": "concurrent", "open": "poisson", "trace": "trace", "offline": "throughput"}


def write(record: Record, *, version: int = 2, yaml: bool = False) -> str:
    """The text of the report."""
    rows = [row for row in record.requests() if row["sent_s"] is not None]
    report: dict[str, Any] = {
        "metadata": {"version": version, "guidellm_version": None, "python_version": None, "platform": None, OWN: NAME},
        "config" if version == 2 else "args": _config(record, version),
        "benchmarks": [_benchmark(record, rows)],
    }  # fmt: skip
    if yaml:
        from yaml import safe_dump

        return safe_dump(report, sort_keys=False, allow_unicode=True)
    import msgspec

    return msgspec.json.encode(report).decode()


def _config(record: Record, version: int) -> dict[str, Any]:
    backend = {"kind": "openai_http", "model": record.model}
    return {"spec": {"backend": backend}} if version == 2 else {"backend": "openai_http", "model": record.model}


def _benchmark(record: Record, rows: list[dict[str, Any]]) -> dict[str, Any]:
    load, origin = record.load, record.started.timestamp()
    name = _STRATEGIES.get(str(load.get("kind")), "concurrent")
    if name == "poisson" and load.get("arrival") == "constant":
        name = "constant"
    begin = min((row["sent_s"] for row in rows), default=0.0)
    end = max((e for row in rows if (e := ended(row)) is not None), default=begin)
    strategy = {"type_": name, "kind": name, "streams": load.get("concurrency"), "rate": load.get("request_rate"),
                "max_concurrency": load.get("concurrency")}  # fmt: skip
    done = [row for row in rows if row["status"] == "done"]
    cut = [row for row in rows if row["status"] != "done" and row["reason"] == "interrupted"]
    failed = [row for row in rows if row["status"] != "done" and row["reason"] != "interrupted"]
    totals = {"successful": len(done), "incomplete": len(cut), "errored": len(failed), "total": len(rows)}
    return {
        "type_": "generative_benchmark",
        "config": {
            "run_id": record.folder.name, "run_index": 0, "strategy": {k: v for k, v in strategy.items() if v},
            "constraints": {}, "profile": {"kind": name}, "requests": {}, "environment": {},
            "backend": {"kind": "openai_http", "model": record.model}, "warmup": {"percent": None, "value": None},
            "cooldown": {"percent": None, "value": None},
        },
        "scheduler_state": {"start_time": origin, "end_time": origin + end},
        "scheduler_metrics": {
            "start_time": origin, "request_start_time": origin + begin, "measure_start_time": origin + begin,
            "measure_end_time": origin + end, "request_end_time": origin + end, "end_time": origin + end,
            "requests_made": totals, "strategy_type": name,
        },
        "metrics": {"request_totals": totals} | _metrics(done, begin, end),
        "requests": {
            "successful": [_request(row, origin, "completed", is_open=name in ("poisson", "constant", "trace"))
                           for row in done],
            "incomplete": [_request(row, origin, "cancelled", is_open=False) for row in cut],
            "errored": [_request(row, origin, "errored", is_open=False) for row in failed],
            "total": None,
        },
        "start_time": origin + begin, "end_time": origin + end, "duration": end - begin, "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }  # fmt: skip


def _request(row: dict[str, Any], origin: float, status: str, *, is_open: bool) -> dict[str, Any]:
    def at(name: str) -> float | None:
        return None if row[name] is None else origin + row[name]

    over = ended(row)
    end = None if over is None else origin + over
    counted = {side: {"text_tokens": row[f"{side}_tokens"], "total_tokens": row[f"{side}_tokens"]}
               for side in ("input", "output")}  # fmt: skip
    tokens, latency = row["output_tokens"], None if over is None else over - row["sent_s"]
    whole = (row["finish_s"] or over or 0.0) - row["sent_s"]
    return {
        "type_": "generative_request_stats", "request_id": str(row["id"]),
        "info": {
            "request_id": str(row["id"]), "status": status,
            "conversation_id": None if row["conversation"] is None else str(row["conversation"]),
            "turn_index": row["turn"] or 0, "error": None if status == "completed" else row["detail"] or row["reason"],
            "timings": {
                "targeted_start": at("due_s") if is_open or row["due_s"] is not None else at("sent_s"),
                "resolve_start": at("sent_s"), "request_start": at("sent_s"),
                "first_token_iteration": at("first_token_s"), "first_output_token_iteration": at("first_answer_s"),
                "last_token_iteration": at("finish_s"), "request_iterations": row["chunks"] or 0,
                "token_iterations": row["chunks"] or 0, "request_end": end, "resolve_end": end,
            },
        },
        "input_metrics": counted["input"] | {"cached_tokens": row["cached_tokens"]},
        "output_metrics": counted["output"], "chunk_tokens": row["chunk_tokens"],
        "request_start_time": at("sent_s"), "request_end_time": end, "request_latency": latency,
        "prompt_tokens": row["input_tokens"], "output_tokens": tokens,
        "time_to_first_token_ms": _ms(row["ttft_service_s"]), "inter_token_latency_ms": _ms(tpot_s(row)),
        "time_per_output_token_ms": _ms(whole / tokens) if tokens and status == "completed" else None,
    }  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _metrics(done: list[dict[str, Any]], begin: float, end: float) -> dict[str, Any]:
    def spread(values: list[tuple[float | None, float]], scale: float = 1.0) -> dict[str, Any]:
        return _by_status(distribution([(v * scale, w) for v, w in values if v is not None]))

    def once(name: str) -> list[tuple[float | None, float]]:
        return [(row[name], 1.0) for row in done]

    tokens = [((row["finish_s"] or ended(row) or 0.0) - row["sent_s"], row["output_tokens"] or 0) for row in done]
    times = {row["id"]: row["token_s"] or [ended(row) or 0.0] * (row["output_tokens"] or 0) for row in done}
    written = [(time, 1.0) for one in times.values() for time in one]
    read = [(row["first_token_s"] or ended(row) or 0.0, float(row["input_tokens"] or 0)) for row in done]
    both = [(float((row["input_tokens"] or 0) + (row["output_tokens"] or 0)), 1.0) for row in done]
    over = [(ended(row) or 0.0, 1.0) for row in done]
    return {
        "requests_per_second": _by_status(_rates(over, begin, end)),
        "request_concurrency": _by_status(_concurrency([(row["sent_s"], ended(row) or row["sent_s"]) for row in done])),
        "request_latency": spread([((ended(row) or row["sent_s"]) - row["sent_s"], 1.0) for row in done]),
        "prompt_token_count": spread(once("input_tokens")), "output_token_count": spread(once("output_tokens")),
        "total_token_count": spread([*both]), "time_to_first_token_ms": spread(once("ttft_service_s"), 1e3),
        "time_per_output_token_ms": spread([(time / n, n) for time, n in tokens if n], 1e3),
        "inter_token_latency_ms": spread([(tpot_s(row), (row["output_tokens"] or 1) - 1) for row in done], 1e3),
        "prompt_tokens_per_second": _by_status(_rates(read, begin, end)),
        "output_tokens_per_second": _by_status(_rates(written, begin, end)),
        "tokens_per_second": _by_status(_rates(read + written, begin, end)),
    }  # fmt: skip


def _by_status(successful: dict[str, Any]) -> dict[str, Any]:
    empty = distribution([])
    return {"successful": successful, "incomplete": empty, "errored": empty, "total": successful}


def distribution(values: list[tuple[float, float]]) -> dict[str, Any]:
    """GuideLLM's summary of weighted values; zeros where there are none, as GuideLLM writes it.

    Examples
    --------
    >>> distribution([(1.0, 1.0), (3.0, 1.0)])["mean"]
    2.0
    """
    import numpy as np

    values = [one for one in values if one[1] > 0]
    if not values:
        none = dict.fromkeys(("mean", "median", "mode", "variance", "std_dev", "min", "max", "total_sum"), 0.0)
        return none | {"count": 0, "percentiles": dict.fromkeys(_RANKS, 0.0), "pdf": None}
    value, weight = np.array(sorted(values)).T
    share = weight / weight.sum()
    mean, filled = float(value @ share), np.cumsum(share)
    variance = float((value - mean) ** 2 @ share)
    at = np.minimum(np.searchsorted(filled, list(_RANKS.values())), len(value) - 1)
    ranks = dict(zip(_RANKS, map(float, value[at]), strict=True))
    kinds, index = np.unique(value, return_inverse=True)
    return {
        "mean": mean, "median": ranks["p50"], "mode": float(kinds[np.bincount(index, weight).argmax()]),
        "variance": variance, "std_dev": variance**0.5, "min": float(value[0]), "max": float(value[-1]),
        "count": round(float(weight.sum())), "total_sum": mean * round(float(weight.sum())), "percentiles": ranks,
        "pdf": None,
    }  # fmt: skip


def _rates(events: list[tuple[float, float]], begin: float, end: float) -> dict[str, Any]:
    """Rates in equal bins of about a second, so that their mean is the rate of the whole run."""
    import numpy as np

    if end <= begin or not events:
        return distribution([])
    times, weights = np.array(events).T
    bins = max(round(end - begin), 1)
    sums, _ = np.histogram(times, bins=bins, range=(begin, end), weights=weights)
    return distribution([(float(one) * bins / (end - begin), 1.0) for one in sums])


def _concurrency(spans: list[tuple[float, float]]) -> dict[str, Any]:
    """Requests in flight, weighted by how long so many were."""
    moments = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    held, flying = [], 0
    for (moment, change), (after, _) in pairwise(moments):
        flying += change
        held.append((float(flying), after - moment))
    return distribution(held)
