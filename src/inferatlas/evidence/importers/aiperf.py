"""Reader of AIPerf's ``profile_export_aiperf.json`` and GenAI-Perf's ``profile_export_genai_perf.json``.

Format: https://github.com/ai-dynamo/aiperf, ``src/aiperf/common/models/export_models.py`` (``JsonExportData``, made to
the pattern of GenAI-Perf's): a metric is an object with ``unit`` and statistics, of which the mean (``avg``) is taken.
GPU power is that of every GPU the telemetry saw; their count is used only where nothing else tells it.
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
    branch,
    each,
    flag,
    json_records,
    positive,
    text,
)

_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_WATTS = {"w": 1.0, "watts": 1.0, "mw": 1e-3, "kw": 1e3}


def _row(record: dict[str, Any]) -> Row:
    if "experiments" in record:
        raise Unreadable("raw timestamps of requests", "import the profile_export_genai_perf.json beside it")
    if "timeslices" in record or ("metadata" in record and "metrics" in record and "input_config" not in record):
        raise Unreadable("an export of slices or single requests", "import the profile_export_aiperf.json beside it")
    config = branch(record, "input_config")
    row = Row({
        "model": _model(config), "input_tokens": _figure(record, "input_sequence_length"),
        "output_tokens": _figure(record, "output_sequence_length"),
        "ttft_s": _seconds(record, "time_to_first_token"), "itl_s": _seconds(record, "inter_token_latency"),
        "latency_s": _seconds(record, "request_latency"),
        "output_tokens_per_s": _figure(record, "output_token_throughput"),
        "total_tokens_per_s": _figure(record, "total_token_throughput"), "source": "aiperf",
        "reference": text(record, "benchmark_id"),
    })  # fmt: skip
    v = row.values
    if not any(v[c] for c in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s")):
        raise Unreadable("no measured figure (output_token_throughput, time_to_first_token, inter_token_latency)")
    v |= {
        "ttft_statistic": "mean" if v["ttft_s"] else None,
        "itl_statistic": "mean of requests, without the first token" if v["itl_s"] else None,
        "latency_meaning": "mean of requests, end to end" if v["latency_s"] else None,
        "throughput_origin": "reported output tokens/s over the whole run" if v["output_tokens_per_s"] else None,
    }
    _load(row, config)
    _telemetry(row, record)
    if flag(record, "was_cancelled"):
        row.cautions.append("the run was cancelled")
    if failed := _figure(record, "error_request_count"):
        row.cautions.append(f"{failed:g} requests failed")
    if version := text(record, "aiperf_version"):
        row.notes.append(f"aiperf {version}")
    return row


def _load(row: Row, config: dict[str, Any]) -> None:
    concurrency, rate = _seek(config, "concurrency"), _seek(config, "request_rate")
    v = row.values
    if isinstance(rate, (int, float)) and rate > 0:
        v["load"] = "poisson"
        row.notes.append(f"request rate {rate:g}/s")
        mode = str(_seek(config, "request_rate_mode") or _seek(config, "arrival_pattern") or "poisson").lower()
        if "poisson" not in mode:
            row.cautions.append(f"arrivals '{mode}', not Poisson")
    elif concurrency is not None:
        v["load"] = "closed_loop"
    if isinstance(concurrency, (int, float)) and not isinstance(concurrency, bool) and concurrency > 0:
        v["concurrency"] = float(concurrency)
    if v.get("load") is None:
        row.cautions.append("neither concurrency nor request rate is stated")


def _telemetry(row: Row, record: dict[str, Any]) -> None:
    seen: list[str] = []
    watts = 0.0
    for endpoint in branch(record, "telemetry_data", "endpoints").values():
        for gpu in branch(endpoint, "gpus").values():
            power = branch(gpu, "metrics", "gpu_power_usage")
            if (mean := positive(power, "avg")) is not None:
                watts += mean * _scale(power, _WATTS, "gpu_power_usage")
                seen.append(text(gpu, "gpu_name") or "")
    older = branch(record, "telemetry_stats", "gpu_power_usage")
    for name, gpu in older.items():
        if name.startswith("gpu") and (mean := positive(branch({"gpu": gpu}, "gpu"), "avg")) is not None:
            watts += mean * _scale(older, _WATTS, "gpu_power_usage")
            seen.append("")
    if not seen:
        return
    row.values |= {"power_w": watts, "power_method": f"mean GPU power by DCGM over the run, {len(seen)} GPUs seen"}
    if len(set(seen)) == 1 and seen[0]:
        row.late["accelerator"] = seen[0]
    row.late["accelerators"] = float(len(seen))
    row.derive = _compare_count


def _compare_count(row: Row) -> None:
    seen, used = row.late["accelerators"], row.values.get("accelerators")
    if "accelerators" in row.assumed:
        row.cautions.append(f"the count of {seen:g} accelerators is what telemetry saw")
    elif used and used != seen:
        row.values |= {"power_w": None, "power_method": None}
        row.notes.append(f"power left out: telemetry saw {seen:g} GPUs, the run used {used:g}")


def _scale(figure: dict[str, Any], units: dict[str, float], name: str) -> float:
    unit = text(figure, "unit")
    if unit is None or unit.lower() not in units:
        raise Unreadable(f"{name}: unit '{unit}' (allowed: {', '.join(units)})")
    return units[unit.lower()]


def _seconds(record: dict[str, Any], name: str) -> float | None:
    value = _figure(record, name)
    return None if value is None else value * _scale(branch(record, name), _SECONDS, name)


def _figure(record: dict[str, Any], name: str) -> float | None:
    return positive(branch(record, name), "avg")


def _model(config: dict[str, Any]) -> str | None:
    found = _seek(config, "model_names") or _seek(config, "models") or _seek(config, "model")
    if isinstance(found, list):
        found = found[0] if len(found) == 1 else None
    if isinstance(found, dict):
        found = found.get("name")
    return found if isinstance(found, str) and found else None


def _seek(tree: Any, key: str, depth: int = 6) -> Any:
    """The first value of that key in nested dicts: where settings stand changes with the version."""
    if not isinstance(tree, dict) or depth == 0:
        return None
    if tree.get(key) is not None:
        return tree[key]
    return next((found for one in tree.values() if (found := _seek(one, key, depth - 1)) is not None), None)


def read(file: Path) -> Iterator[Found]:
    """The row of one export."""
    return each(json_records(file), _row)


FORMAT = Format(read, ("profile_export*.json",))
