"""A run as one flat row: what was asked of what, whether it is valid, and its main figures.

Measured and simulated records say the same things in different places; here they meet. What a record does not say, or
says in another form than expected, is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from inferatlas.measure.bench.record.finding import Record

LATENCIES = ("ttft_s", "itl_s", "latency_s")
STATISTICS = ("mean", "p50", "p90", "p95", "p99")
RATES = ("output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "latency_cov", "power_w", "tokens_per_joule")
Kind = Literal["text", "whole", "number", "flag", "texts"]
# column -> what it holds; the order is that of the table
COLUMNS: dict[str, Kind] = {
    "run": "text", "directory": "text", "kind": "text", "label": "text", "started": "text", "model": "text",
    "engine": "text", "engine_version": "text", "accelerator": "text", "accelerators": "whole",
    "load": "text", "concurrency": "whole", "request_rate": "number", "arrival": "text",
    "input_tokens": "number", "output_tokens": "number", "dataset": "text", "protocol": "text", "seed": "whole",
    "valid": "flag", "verdict": "text", "reasons": "texts", "remarks": "texts",
    "sent": "whole", "completed": "whole", "failed": "whole", "duration_s": "number",
    **{f"{name}_{statistic}": "number" for name in LATENCIES for statistic in STATISTICS},
    **dict.fromkeys(RATES, "number"),
    "command": "text",
}  # fmt: skip


def flat(record: Record) -> dict[str, Any]:
    """The row of a record, with every column of `COLUMNS`; times in seconds, rates per second.

    ``run`` is the name by which commands take it, ``directory`` its absolute path.
    """
    d = record.document
    of = _simulated if d.get("kind") == "simulated" else _measured
    validity = mapping(d.get("validity"))
    known = {
        "run": record.name, "directory": str(record.path.absolute()),
        "kind": d.get("kind"), "label": d.get("label"), "started": d.get("started") or d.get("written"),
        "model": _joined(d.get("models")), "seed": d.get("seed"), "command": d.get("command"),
        "valid": validity.get("valid"), "verdict": validity.get("verdict") or _verdict(validity.get("valid")),
        "reasons": validity.get("reasons"), "remarks": validity.get("remarks"),
        **of(d), **metrics_of(d),
    }  # fmt: skip
    return {name: _typed(known.get(name), kind) for name, kind in COLUMNS.items()}


def metrics_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a run under the names of `COLUMNS`: ``ttft_s_p50``, ``output_tokens_per_s``."""
    told = mapping(document.get("metrics") or mapping(document.get("outcome")).get("metrics"))
    found = {name: told.get(name) for name in RATES}
    for name in LATENCIES:
        values = mapping(told.get(name))
        found |= {f"{name}_{statistic}": values.get(statistic) for statistic in STATISTICS}
    return found


def _measured(d: Mapping[str, Any]) -> dict[str, Any]:
    load, software, requests = (mapping(d.get(name)) for name in ("load", "software", "requests"))
    hardware, failed = mapping(d.get("hardware")), requests.get("failed")
    name, count = _devices(hardware)
    return {
        "engine": software.get("engine"), "engine_version": software.get("version") or software.get("engine_version"),
        "accelerator": name, "accelerators": count, "load": load.get("kind"), "concurrency": load.get("concurrency"),
        "request_rate": load.get("request_rate") or load.get("offered_per_s"), "arrival": load.get("arrival"),
        "input_tokens": average(load.get("input_tokens")), "output_tokens": average(load.get("output_tokens")),
        "dataset": _called(load.get("dataset")), "protocol": d.get("protocol") or load.get("protocol"),
        "sent": requests.get("sent"), "completed": requests.get("completed"),
        "failed": sum(one for one in failed.values() if _is_number(one)) if isinstance(failed, Mapping) else failed,
        "duration_s": mapping(d.get("client")).get("duration_s"),
    }  # fmt: skip


def _simulated(d: Mapping[str, Any]) -> dict[str, Any]:
    work, out, hardware = (mapping(d.get(name)) for name in ("workload", "outcome", "hardware"))
    load = mapping(work.get("workload"))
    pools = [mapping(one) for one in hardware.get("pools") or ()]
    concurrency = load.get("concurrency") or work.get("clients")
    return {
        "engine": _joined(mapping(d.get("software")).get("engines")),
        "accelerator": _joined(list(dict.fromkeys(one.get("accelerator") for one in pools))),
        "accelerators": hardware.get("accelerators"), "load": "closed" if concurrency else "open",
        "concurrency": concurrency, "request_rate": load.get("request_rate") or work.get("offered_per_s"),
        "input_tokens": load.get("input_tokens"), "output_tokens": load.get("output_tokens"),
        "dataset": load.get("name") or work.get("name"), "sent": out.get("requests"),
        "completed": out.get("completed"), "failed": out.get("failed"), "duration_s": out.get("duration_s"),
    }  # fmt: skip


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def average(value: Any) -> Any:
    """Tokens as a number, or the mean of a description."""
    return value.get("mean") if isinstance(value, Mapping) else value


def _verdict(valid: Any) -> str | None:
    return {True: "valid", False: "invalid"}.get(valid) if isinstance(valid, bool) else None


def _called(value: Any) -> Any:
    return value.get("name") or value.get("path") if isinstance(value, Mapping) else value


def _devices(hardware: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Name and count of the accelerators: a list of names or of descriptions, or a name beside a count."""
    told = hardware.get("accelerators")
    if not isinstance(told, list):
        return hardware.get("accelerator"), told if _is_number(told) else hardware.get("count")
    names = [one.get("name") if isinstance(one, Mapping) else one for one in told]
    return _joined(list(dict.fromkeys(names))), len(told) or None


def _joined(values: Any) -> str | None:
    texts = [one for one in values if isinstance(one, str)] if isinstance(values, list | tuple) else []
    return ", ".join(texts) or None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _typed(value: Any, kind: Kind) -> Any:
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    if kind == "texts":
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    if not _is_number(value) or not math.isfinite(value):
        return None
    return float(value) if kind == "number" else int(value)


__all__ = ["COLUMNS", "LATENCIES", "RATES", "STATISTICS", "average", "flat", "mapping", "metrics_of"]
