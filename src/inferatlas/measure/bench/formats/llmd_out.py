"""Writer of a run record as llm-d's benchmark report, version 0.2, in YAML.

Format: see `llmd`; fields of the newer schema. Figures are ours, and ``tool`` says so: TTFT counts from when a request
was due in open loop, ``time_per_output_token`` is our ITL, ``inter_token_latency`` our gaps between tokens. What a
statistic is of: completed requests. Power is there where the record's metrics tell it. Rates need a mean only.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import yaml

from inferatlas.measure.bench.formats.fields import known
from inferatlas.measure.bench.formats.foreign import NAME
from inferatlas.measure.bench.formats.records import Record, span_s

_SPELT = {"std": "stddev", "p0.1": "p0p1", "p99.9": "p99p9"}
_RANKS = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def write(record: Record) -> str:
    """The text of the YAML file."""
    figures = _from_requests(record) if record.columns is not None else _from_metrics(record)
    report = {
        "version": "0.2",
        "run": known({"uid": record.folder.name, "eid": record.folder.parent.name or None, "time": known({
            "start": record.started.isoformat(), "duration": f"PT{figures['duration']}S" if figures["duration"] else
            None})}),
        "scenario": {"load": _load(record, figures)} | _stack(record),
        "results": {"request_performance": {"aggregate": known({
            "requests": figures["requests"], "latency": figures["latency"] or None,
            "throughput": figures["throughput"] or None})}},
    }  # fmt: skip
    if (power := record.power_w()) is not None:
        report["results"]["observability"] = {"components": [
            {"component_label": "engine", "aggregate": {"power_consumption": {"units": "Watts", "mean": power}}}
        ]}  # fmt: skip
    return yaml.safe_dump(report, sort_keys=False, allow_unicode=True)


def _load(record: Record, figures: dict[str, Any]) -> dict[str, Any]:
    load = record.load
    native = {key: value for key, value in load.items() if isinstance(value, (str, int, float, bool))}
    said = known({
        "tool": NAME, "tool_version": version(NAME), "source": "unknown", "stage": 0,
        "input_seq_len": {"distribution": "other", "value": figures["input"] or 0},
        "output_seq_len": {"distribution": "other", "value": figures["output"]} if figures["output"] else None,
        "rate_qps": load.get("request_rate"), "concurrency": load.get("concurrency"),
    })  # fmt: skip
    return {"metadata": {"schema_version": "0.0.1", "cfg_id": _hash(native)}, "standardized": said,
            "native": {"config": native}}  # fmt: skip


def _stack(record: Record) -> dict[str, Any]:
    """The engine, as far as the record tells it; nothing where it does not tell the accelerators, which are asked."""
    software, hardware = (record.where.table(record.run, name) for name in ("software", "hardware"))
    part, count = hardware.get("accelerator"), hardware.get("accelerators")
    if not part or not count:
        return {}
    engine = {
        "tool": str(software.get("engine") or "unknown"), "tool_version": str(software.get("version") or "unknown"),
        "role": "replica", "model": {"name": record.model},
        "accelerator": {"model": str(part), "count": int(count), "parallelism": {"tp": int(hardware.get("tp") or 1)}},
    }  # fmt: skip
    return {"stack": [{
        "metadata": {"schema_version": "0.0.1", "label": "engine", "cfg_id": _hash(engine)},
        "standardized": {"kind": "inference_engine"} | engine, "native": {},
    }]}  # fmt: skip


def _hash(table: dict[str, Any]) -> str:
    import json

    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _from_requests(record: Record) -> dict[str, Any]:
    rows = [row for row in record.requests() if row["sent_s"] is not None]
    done = [row for row in rows if row["status"] == "done"]
    duration = span_s(rows)
    cut = sum(row["reason"] == "interrupted" for row in rows if row["status"] != "done")
    gaps = [after - before for row in done for before, after in pairwise(row["token_s"] or [])]
    latency = known({
        "time_to_first_token": _statistics("s", [row["ttft_s"] for row in done]),
        "time_per_output_token": _statistics("s/token", [row["itl_s"] for row in done]),
        "inter_token_latency": _statistics("s/token", gaps),
        "request_latency": _statistics("s", [row["latency_s"] for row in done]),
    })  # fmt: skip
    read, written = (sum(row[f"{name}_tokens"] or 0 for row in done) for name in ("input", "output"))
    lengths = {name: _statistics("count", [row[f"{name}_tokens"] for row in done]) for name in ("input", "output")}
    rates = {"input_token_rate": read, "output_token_rate": written, "total_token_rate": read + written,
             "request_rate": len(done)}  # fmt: skip
    return {
        "duration": duration, "latency": latency, "input": (lengths["input"] or {}).get("mean"),
        "output": (lengths["output"] or {}).get("mean"),
        "requests": {"total": len(rows), "failures": len(rows) - len(done) - cut, "incomplete": cut}
        | known({f"{name}_length": one for name, one in lengths.items()}),
        "throughput": {
            name: {"units": "queries/s" if name == "request_rate" else "tokens/s", "mean": many / duration}
            for name, many in rates.items()
        } if duration else {},
    }  # fmt: skip


def _from_metrics(record: Record) -> dict[str, Any]:
    """Figures of a record without requests: what its metrics tell."""
    metrics, load = record.where.table(record.run, "metrics"), record.load
    counts = record.where.table(record.run, "requests")
    names = {"time_to_first_token": ("ttft_s", "s"), "time_per_output_token": ("itl_s", "s/token"),
             "inter_token_latency": ("token_gap_s", "s/token"), "request_latency": ("latency_s", "s")}  # fmt: skip
    rates = {"output_token_rate": "output_tokens_per_s", "total_token_rate": "total_tokens_per_s",
             "request_rate": "requests_per_s"}  # fmt: skip
    failed = record.where.table(counts, "failed")
    sent = counts.get("sent") or load.get("requests")
    return {
        "duration": load.get("duration_s"), "input": load.get("input_tokens"), "output": load.get("output_tokens"),
        "requests": None if sent is None else {
            "total": sent, "failures": sum(failed.values()) - failed.get("interrupted", 0),
            "incomplete": failed.get("interrupted", 0)},
        "latency": {name: {"units": unit} | {_SPELT.get(key, key): value for key, value in metrics[ours].items()}
                    for name, (ours, unit) in names.items() if isinstance(metrics.get(ours), dict)
                    and metrics[ours].get("mean") is not None},
        "throughput": {name: {"units": "queries/s" if name == "request_rate" else "tokens/s", "mean": metrics[ours]}
                       for name, ours in rates.items() if metrics.get(ours) is not None},
    }  # fmt: skip


def _statistics(unit: str, values: list[float | None]) -> dict[str, Any] | None:
    import numpy as np

    held = [value for value in values if value is not None]
    if not held:
        return None
    tails = np.percentile(held, (0.1, *_RANKS, 99.9))
    names = ("p0p1", *(f"p{rank}" for rank in _RANKS), "p99p9")
    return {
        "units": unit, "mean": float(np.mean(held)), "stddev": float(np.std(held)), "min": float(min(held)),
        "max": float(max(held)),
    } | {name: float(value) for name, value in zip(names, tails, strict=True)}  # fmt: skip
