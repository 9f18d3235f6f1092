"""Reader of LLM-Inference-Bench's CSV files (Argonne National Laboratory, arXiv:2411.00136, BSD-3-Clause).

Format: https://github.com/argonne-lcf/LLM-Inference-Bench, ``docs/data/*/All_results.csv`` and ``Plots/*/*.csv``: one
static batch per row, latency of the whole batch in seconds, throughput = (input + output) x batch / latency,
``avg_power`` in milliwatts of GPU 0. Input and output lengths are equal where one column holds both. Rows of
``Plots/Fig_22`` give the latency of a one-token run as TTFT and that of a run with as many output tokens as input
tokens as ``end_latency``; where "Output Length" is 1 without those columns, the latency is the TTFT. Precision columns
hold "Weight = fp16, KV Cache = fp8", in some files without quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferatlas.evidence.importers import names
from inferatlas.evidence.importers.rows import Format, Found, Row, Unreadable, csv_records, each, need, positive, text

_FIXED = {
    "hardware", "num of hardware", "framework", "model", "input output length", "input length", "output length",
    "batch size", "latency", "throughput", "avg_power", "ttft latency", "ttft", "end_latency",
}  # fmt: skip
_FORMATS = re.compile(r"weight\s*=\s*([\w-]+)\s*,\s*kv cache\s*=\s*([\w-]+)", re.IGNORECASE)
_PARTS = {"nvidia a100 gpu": "nvidia-a100-40gb-sxm"}  # the A100s of this benchmark have 40 GB


def _mend(header: list[str], cells: list[str]) -> list[str]:
    """Join "Weight = fp8" and " KV Cache = fp8" that an unquoted comma split."""
    for i, cell in enumerate(cells[:-1]):
        if _FORMATS.fullmatch(joined := f"{cell},{cells[i + 1]}".strip()):
            return [*cells[:i], joined, *cells[i + 2 :]]
    return cells


def _row(record: dict[str, Any]) -> Row:
    need(record, "hardware", "model", "batch size")
    hardware, engine = str(record["hardware"]), names.engine(text(record, "framework"))
    count, batch = positive(record, "num of hardware"), positive(record, "batch size")
    both = positive(record, "input output length")
    read, written = both or positive(record, "input length"), both or positive(record, "output length")
    row = Row({
        "accelerator": _PARTS.get(hardware.lower(), hardware), "accelerators": count, "engine": engine,
        "model": record["model"], "load": "static_batch", "concurrency": batch, "input_tokens": read, "dp": 1.0,
        "source": "argonne_lib", "licence": "BSD-3-Clause",
        "reference": "argonne-lcf/LLM-Inference-Bench (arXiv:2411.00136)",
    })  # fmt: skip
    v = row.values
    _layout(row, record, count, engine)
    _precision(row, record, engine)
    row.notes += [f"{key}: {value}" for key in record if key and key not in _FIXED and (value := _said(record, key))]
    ttft, end = positive(record, "ttft latency") or positive(record, "ttft"), positive(record, "end_latency")
    if ttft is None and written == 1:
        ttft = positive(record, "latency")
    if ttft:
        v |= {"ttft_s": ttft, "ttft_statistic": "latency of a run with one output token"}
        if end and read and read > 1:
            v |= {
                "output_tokens": read, "latency_s": end, "itl_s": (end - ttft) / (read - 1),
                "itl_statistic": "(end latency - TTFT) / (output tokens - 1)",
            }  # fmt: skip
            if end <= ttft:
                raise Unreadable(f"end_latency {end:g} s is not above TTFT {ttft:g} s")
            row.notes.append("end latency is of a run with as many output tokens as input tokens")
        else:
            v |= {"output_tokens": 1.0, "latency_s": ttft, "latency_meaning": "first token"}
    else:
        v |= {"output_tokens": written, "latency_s": positive(record, "latency")}
    if not ttft and not v["latency_s"] and not positive(record, "throughput"):
        raise Unreadable("neither latency nor throughput")
    if v.get("output_tokens") != 1.0 and v["latency_s"]:
        v["latency_meaning"] = "whole batch end to end"
    _throughput(row, record, ttft is not None)
    if (power := positive(record, "avg_power", 1e-3)) and count == 1:
        v |= {"power_w": power, "power_method": "board power of GPU 0 by the driver, sampled, mean of the run"}
    return row


def _said(record: dict[str, Any], key: str) -> str | None:
    """What a further column says; "Without Speculative Decoding" says nothing."""
    value = text(record, key)
    return None if value and value.lower().startswith("without") else value


def _layout(row: Row, record: dict[str, Any], count: float | None, engine: str | None) -> None:
    style = next((str(value).lower() for key, value in record.items() if key.startswith("parallel")), "tensor")
    if engine == "sambaflow":
        return
    if "pipeline" in style:
        row.values |= {"tp": 1.0, "pp": count}
    elif "tensor" in style and "hybrid" not in style:
        row.values |= {"tp": count, "pp": 1.0}
    else:
        row.cautions.append("how tensor and pipeline parallelism share the devices is not stated")


def _precision(row: Row, record: dict[str, Any], engine: str | None) -> None:
    printed = next((str(value) for key, value in record.items() if "dtype" in key.replace(" ", "_")), "")
    if found := _FORMATS.search(printed):
        weights, cache = names.precision(found[1]), names.precision(found[2])
        row.values |= {"weights": weights, "activations": weights, "kv_cache": cache}
    elif not printed and engine in ("vllm", "tensorrt-llm", "deepspeed-mii"):
        row.values |= {"weights": "fp16", "activations": "fp16", "kv_cache": "fp16"}  # unless a column says
    elif printed:
        row.values["kv_cache"] = names.precision(printed)


def _throughput(row: Row, record: dict[str, Any], first_token: bool) -> None:
    v, total = row.values, positive(record, "throughput")
    read, written, batch, latency = v["input_tokens"], v["output_tokens"], v["concurrency"], v["latency_s"]
    if not (read and written and batch) or v.get("latency_meaning") == "first token":
        return
    computed = (read + written) * batch / latency if latency else None
    if total is None or first_token:
        total, origin = computed, "computed: (input + output) x batch / latency"
    else:
        origin = "reported total (input + output); output by share of the lengths"
        if computed and abs(total / computed - 1) > 0.05:
            row.cautions.append(f"throughput is {total / computed:.2f}x (input + output) x batch / latency")
    if total:
        v |= {
            "total_tokens_per_s": total, "output_tokens_per_s": total * written / (read + written),
            "throughput_origin": origin,
        }  # fmt: skip


def read(file: Path) -> Iterator[Found]:
    """The rows of one CSV file."""
    return each(csv_records(file, _mend), _row)


FORMAT = Format(read, ("*.csv",))
