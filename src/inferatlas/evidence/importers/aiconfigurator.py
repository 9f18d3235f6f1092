"""Reader of AIConfigurator's ``silicon_sample.csv``: measured serving points (Apache-2.0).

Format: https://github.com/ai-dynamo/aiconfigurator, ``src/aiconfigurator/systems/silicon_sample.csv``; how its columns
are used: ``tools/accuracy_regression_testing`` there. TTFT and TPOT are in milliseconds; throughput is not given. The
concurrency stands in ``silicon_data_source`` or in the id (``_c64_``), not in ``batch_size``, which is per replica of
the attention. A disaggregated row (mode disagg) has the layout of prefill and decode workers apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferatlas.evidence.importers import names
from inferatlas.evidence.importers.rows import (
    Format,
    Found,
    Row,
    Unreadable,
    csv_records,
    each,
    milliseconds,
    need,
    positive,
    product,
    text,
)


def _row(record: dict[str, Any]) -> Row:
    need(record, "model_path", "system", "mode", "isl", "osl")
    origin, label = text(record, "silicon_data_source") or "", text(record, "id") or ""
    mode = str(record["mode"]).lower()
    if mode not in ("agg", "disagg"):
        raise Unreadable(f"mode: '{mode}' is neither agg nor disagg")
    row = Row({
        "accelerator": record["system"], "engine": names.engine(text(record, "backend")),
        "engine_version": text(record, "backend_version"), "model": record["model_path"], "load": "closed_loop",
        "input_tokens": positive(record, "isl"), "output_tokens": positive(record, "osl"),
        "ttft_s": milliseconds(record, "silicon_ttft_ms"), "itl_s": milliseconds(record, "silicon_tpot_ms"),
        "source": "aic_silicon_" + _origin(origin, label),
        "ttft_statistic": "mean or median (not stated)", "itl_statistic": "TPOT, mean or median (not stated)",
        "licence": "Apache-2.0", "reference": "ai-dynamo/aiconfigurator silicon_sample.csv",
    }, notes=[mode, *([f"id={label}"] if label else []), *([origin] if origin else [])])  # fmt: skip
    v = row.values
    if not v["ttft_s"] and not v["itl_s"]:
        raise Unreadable("neither silicon_ttft_ms nor silicon_tpot_ms")
    _precision(row, record)
    (_aggregated if mode == "agg" else _disaggregated)(row, record, label, v["source"].endswith("inferencex"))
    v["concurrency"] = _concurrency(record, origin, label)
    if v["ttft_s"] and v["itl_s"] and (v["output_tokens"] or 0) > 1:
        v["latency_s"] = v["ttft_s"] + v["itl_s"] * (v["output_tokens"] - 1)
        v["latency_meaning"] = "derived: TTFT + TPOT x (output tokens - 1)"
        if rate := product(v["concurrency"], v["output_tokens"], 1 / v["latency_s"]):
            v["output_tokens_per_s"] = rate
            v["throughput_origin"] = "derived: concurrency x output tokens / latency (Little's law), an upper estimate"
    if v["ttft_s"] and v["ttft_s"] > 100:
        row.cautions.append(f"a TTFT of {v['ttft_s']:.0f} s is mostly queueing")
    if re.search(r"\bwip\b", f"{origin} {label}", re.IGNORECASE):
        row.cautions.append("marked as work in progress")
    return row


def _origin(origin: str, label: str) -> str:
    words = f"{origin} {label}".lower()
    if "db-dump" in words or "inferencex" in words or "inferencemax" in words:
        return "inferencex"
    return "nv-internal" if "nv-internal" in words or "internal" in words else "other"


def _concurrency(record: dict[str, Any], origin: str, label: str) -> float | None:
    stated = re.search(r"silicon_concurrency=(\d+)", origin) or re.search(r"(?:^|_)c(\d+)(?:_|$)", label)
    if stated:
        return float(stated[1])
    return product(positive(record, "batch_size"), positive(record, "attention_dp_size") or 1.0)


def _precision(row: Row, record: dict[str, Any]) -> None:
    model, part = names.model(row.values["model"]).slug, names.accelerator(row.values["accelerator"]).slug
    dense, experts = text(record, "gemm_quant_mode"), text(record, "moe_quant_mode")
    printed = (experts if experts and names.is_moe(model) else dense) or text(record, "precision")
    weights = names.precision(printed, part, model)
    row.values |= {"weights": weights, "activations": _activations(printed, weights)}
    if dense and experts and names.is_moe(model) is None and dense != experts:
        row.notes.append(f"experts in {experts}")


def _activations(printed: str | None, weights: str | None) -> str | None:
    match printed:
        case "w4a16_mxfp4" | "int4_wo" | "int8_wo":
            return "bf16"
        case "w4a8_mxfp4_mxfp8" | "w4afp8":
            return "fp8"
        case _:
            return weights if weights in ("bf16", "fp16", "fp8", "nvfp4") else None


def _aggregated(row: Row, record: dict[str, Any], label: str, inferencex: bool) -> None:
    tp, pp = positive(record, "tp_size"), positive(record, "pp_size") or 1.0
    dp, ep = positive(record, "attention_dp_size") or 1.0, positive(record, "moe_ep_size")
    count = product(tp, pp, dp)
    named = re.search(r"(?:^|_)tp(\d+)(?:_|$)", label)
    if named and count and dp > 1 and float(named[1]) != count:
        row.cautions.append(f"the layout's product is {count:g}, the id says tp{named[1]}: the id's count is used")
        tp, dp, count = 1.0, float(named[1]) / pp, float(named[1])
    elif inferencex and count and dp > 1 and tp and tp > 1:
        # InferenceX counts its GPUs as tp; with attention replicated over them the export multiplies by dp again
        row.cautions.append(f"tp {tp:g} x attention dp {dp:g} counts twice in InferenceX rows: {tp * pp:g} GPUs")
        tp, dp, count = 1.0, tp, tp * pp
    if ep and count and ep > count:
        ep = count
    row.values |= {"tp": tp, "pp": pp, "dp": dp, "ep": ep, "accelerators": count}


def _disaggregated(row: Row, record: dict[str, Any], _label: str, _inferencex: bool) -> None:
    total: float | None = 0.0
    for stage in ("prefill", "decode"):
        tp, pp = positive(record, f"{stage}_tp_size"), positive(record, f"{stage}_pp_size") or 1.0
        dp, workers = positive(record, f"{stage}_attention_dp_size") or 1.0, positive(record, f"{stage}_num_workers")
        part = product(tp, pp, dp, workers)
        total = None if total is None or part is None else total + part
        row.notes.append(f"{stage} tp={tp or 0:g} pp={pp:g} dp={dp:g} workers={'?' if not workers else f'{workers:g}'}")
        if stage == "decode":
            row.values |= {"tp": tp, "pp": pp, "dp": dp, "ep": positive(record, "decode_moe_ep_size")}
    row.values["accelerators"] = total or None
    row.cautions.append("prefill and decode on separate workers; the layout columns are the decode workers'")


def read(file: Path) -> Iterator[Found]:
    """The rows of one CSV file."""
    return each(csv_records(file), _row)


FORMAT = Format(read, ("*silicon*.csv",))
