"""Writer of a run record as ``vllm bench serve --save-result --save-detailed`` would have written it.

Format: see `vllm`. In vLLM's own convention: TTFT and latency count from the send, ``itls`` are gaps between events,
the peak rate counts events (not tokens) in whole seconds. What vLLM does not write and its readers pass over is there
as well, so that nothing is lost on the way back: ``chunk_tokens``, and ``exported_by``, by which a reader knows that
the first event is one with a token.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec

from inferatlas.measure.bench.formats.foreign import NAME, OWN
from inferatlas.measure.bench.formats.records import Record, event_times, span_s, tpot_s

RANKS = (99,)  # percentiles that vLLM writes unless asked for others


def write(record: Record) -> str:
    """The text of the JSON file, one object."""
    rows = [row for row in record.requests() if row["sent_s"] is not None]
    done = [row for row in rows if row["status"] == "done"]
    load, duration = record.load, span_s(rows)
    read, written = (sum(row[f"{name}_tokens"] or 0 for row in done) for name in ("input", "output"))
    events = [event_times(row) for row in rows]
    run: dict[str, Any] = {
        "date": record.started.strftime("%Y%m%d-%H%M%S"), "endpoint_type": "openai-chat", "backend": "openai-chat",
        "label": None, "model_id": record.model, "tokenizer_id": None, "num_prompts": len(rows), OWN: NAME,
        "request_rate": load.get("request_rate") or "inf", "burstiness": load.get("burstiness") or 1.0,
        "max_concurrency": load.get("concurrency"), "duration": duration, "completed": len(done),
        "failed": len(rows) - len(done), "total_input_tokens": read, "total_output_tokens": written,
        "request_throughput": _rate(len(done), duration), "request_goodput": None,
        "output_throughput": _rate(written, duration), "total_token_throughput": _rate(read + written, duration),
        "input_lens": [row["input_tokens"] or 0 for row in rows],
        "output_lens": [(row["output_tokens"] or 0) * (row["status"] == "done") for row in rows],
        "ttfts": [_zero(row, "ttft_service_s") for row in rows],
        "itls": [[] if one is None else [b - a for a, b in pairwise(one[0])] for one in events],
        "latencies": [_zero(row, "latency_service_s") for row in rows],
        "start_times": [row["sent_s"] for row in rows],
        "queue_times": [row["send_lag_s"] or 0.0 for row in rows],
        "generated_texts": [""] * len(rows),
        "errors": [row["detail"] or row["reason"] or "failed" if row["status"] != "done" else "" for row in rows],
        "chunk_tokens": [None if one is None else one[1] for one in events],
        "max_output_tokens_per_s": _peak(done, [one[0] for one in events if one is not None]),
        "max_concurrent_requests": _most(done), "rtfx": 0.0,
    }  # fmt: skip
    gaps = [gap for one, row in zip(run["itls"], rows, strict=True) if row["status"] == "done" for gap in one]
    for name, values in (
        ("ttft", [row["ttft_service_s"] for row in done]), ("tpot", [tpot_s(row) for row in done]), ("itl", gaps),
        ("e2el", [row["latency_service_s"] for row in done]),
    ):  # fmt: skip
        run |= milliseconds(name, [value for value in values if value is not None])
    return msgspec.json.encode(run).decode()


def milliseconds(name: str, values: list[float], ranks: tuple[int, ...] = RANKS) -> dict[str, float]:
    """Statistics of durations in s under vLLM's keys, in ms; 0 where there are none, as vLLM writes it.

    Examples
    --------
    >>> milliseconds("ttft", [0.5, 1.5])["mean_ttft_ms"]
    1000.0
    """
    import numpy as np

    values = values or [0.0]
    return {
        f"mean_{name}_ms": float(np.mean(values)) * 1e3, f"median_{name}_ms": float(np.median(values)) * 1e3,
        f"std_{name}_ms": float(np.std(values)) * 1e3,
    } | {f"p{rank}_{name}_ms": float(np.percentile(values, rank)) * 1e3 for rank in ranks}  # fmt: skip


def _zero(row: dict[str, Any], name: str) -> float:
    # vLLM writes 0 where a request failed
    return (row[name] or 0.0) if row["status"] == "done" else 0.0


def _rate(many: int, seconds: float) -> float:
    return many / seconds if seconds else 0.0


def _peak(done: list[dict[str, Any]], events: list[list[float]]) -> float:
    """The most events in one whole second after the first send."""
    start = min((row["sent_s"] for row in done), default=0.0)
    seconds: dict[int, int] = {}
    for times in events:
        for time in times:
            second = int(time - start)
            seconds[second] = seconds.get(second, 0) + 1
    return float(max(seconds.values(), default=0))


def _most(done: list[dict[str, Any]]) -> int:
    """The most completed requests in flight at a time; one that ends when another starts does not count with it."""
    moments = sorted(
        [(row["sent_s"], 1) for row in done] + [(row["sent_s"] + (row["latency_service_s"] or 0.0), -1) for row in done]
    )
    flying = most = 0
    for _, change in moments:
        flying += change
        most = max(most, flying)
    return most
