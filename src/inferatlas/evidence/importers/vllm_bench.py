"""Reader of what ``vllm bench serve --save-result``, ``latency`` and ``throughput`` write.

Format: https://github.com/vllm-project/vllm, ``vllm/benchmarks/serve.py``, ``latency.py``, ``throughput.py``. ``serve``
gives milliseconds and the model; with ``--metadata KEY=VALUE`` also what else was told. ``latency`` and ``throughput``
name neither model nor lengths: tell them with ``given``. ``backend`` is the protocol of the client ("openai"), and
the engine only where it names one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inferatlas.evidence.importers import names
from inferatlas.evidence.importers.rows import (
    Format,
    Found,
    Row,
    Unreadable,
    each,
    json_records,
    milliseconds,
    need,
    number,
    positive,
    product,
    text,
)

_PROTOCOLS = ("openai", "openai-chat", "openai-audio", "openai-embeddings", "infinity", "custom")
_METADATA = {
    "accelerator": ("accelerator", "gpu", "gpu_type", "hardware"), "accelerators": ("accelerators", "num_gpus", "gpus"),
    "engine": ("engine",), "engine_version": ("engine_version", "vllm_version", "version"),
    "weights": ("weights", "precision", "dtype", "quantization"), "kv_cache": ("kv_cache", "kv_cache_dtype"),
    "tp": ("tp", "tensor_parallel_size"), "pp": ("pp", "pipeline_parallel_size"),
    "dp": ("dp", "data_parallel_size"), "ep": ("ep", "expert_parallel_size"),
}  # fmt: skip
_COUNTS = ("accelerators", "tp", "pp", "dp", "ep")


def _row(record: dict[str, Any]) -> Row:
    if "avg_latency" in record:
        return _latency(record)
    if "elapsed_time" in record and "requests_per_second" in record:
        return _throughput(record)
    if "benchmark" in record and "metric" in record:
        raise Unreadable("the PyTorch export of a result", "import the .json file beside it")
    return _serve(record)


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Columns that a user wrote with ``--metadata``."""
    told: dict[str, Any] = {}
    for column, keys in _METADATA.items():
        key = next((key for key in keys if text(record, key)), None)
        if key is not None:
            told[column] = positive(record, key) if column in _COUNTS else text(record, key)
    told["weights"] = names.precision(told.get("weights"))
    told["kv_cache"] = names.precision(told.get("kv_cache"))
    return told


def _serve(record: dict[str, Any]) -> Row:
    need(record, "model_id", "duration", "completed")
    completed = positive(record, "completed")
    if completed is None:
        raise Unreadable("completed: no request succeeded")
    backend = text(record, "backend") or text(record, "endpoint_type")
    rate, limit = text(record, "request_rate"), positive(record, "max_concurrency")
    row = Row({
        **_told(record), "model": record["model_id"], "concurrency": limit,
        "input_tokens": product(positive(record, "total_input_tokens"), 1 / completed),
        "output_tokens": product(positive(record, "total_output_tokens"), 1 / completed),
        "ttft_s": milliseconds(record, "mean_ttft_ms"), "latency_s": milliseconds(record, "mean_e2el_ms"),
        "output_tokens_per_s": positive(record, "output_throughput"),
        "total_tokens_per_s": positive(record, "total_token_throughput"), "source": "vllm_bench_serve",
        "throughput_origin": "reported tokens/s over the whole run, with its ramp up and down",
        "reference": text(record, "date"),
    })  # fmt: skip
    v = row.values
    if backend and backend not in _PROTOCOLS and not v.get("engine"):
        v["engine"] = names.engine(backend)
    for key, said in (("mean_tpot_ms", "TPOT, mean of requests"), ("mean_itl_ms", "mean gap between chunks")):
        if not v.get("itl_s") and (itl := milliseconds(record, key)):
            v |= {"itl_s": itl, "itl_statistic": said}
    v["ttft_statistic"] = "mean" if v["ttft_s"] else None
    v["latency_meaning"] = "mean of requests, end to end" if v["latency_s"] else None
    if rate is None or rate.lower() in ("inf", "infinity"):
        v["load"] = "closed_loop" if limit else "offline"
    else:
        v["load"] = "poisson"
        row.notes.append(f"request_rate={rate}/s")
        burstiness = number(record, "burstiness")
        if burstiness is not None and burstiness != 1.0:
            row.cautions.append(f"arrivals are gamma distributed (burstiness {burstiness:g}), not Poisson")
    if failed := positive(record, "failed"):
        row.cautions.append(f"{failed:g} requests failed")
    if any(text(record, key) for key in ("ramp_up_strategy",)):
        row.cautions.append("the request rate ramps up over the run")
    if positive(record, "spec_decode_acceptance_rate"):
        row.notes.append("speculative decoding")
    if not any(v.get(c) for c in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s")):
        raise Unreadable("no measured figure (output_throughput, mean_ttft_ms, mean_tpot_ms)")
    return row


def _latency(record: dict[str, Any]) -> Row:
    latency = positive(record, "avg_latency")
    if latency is None:
        raise Unreadable("avg_latency: no duration")
    row = Row({
        **_told(record), "model": text(record, "model"), "engine": "vllm", "load": "static_batch",
        "latency_s": latency, "latency_meaning": "whole batch end to end", "source": "vllm_bench_latency",
    }, derive=_batch_rate)  # fmt: skip
    return row


def _batch_rate(row: Row) -> None:
    v = row.values
    if rate := product(v.get("concurrency"), v.get("output_tokens"), 1 / v["latency_s"]):
        v["output_tokens_per_s"] = rate
        v["throughput_origin"] = "computed: batch x output tokens / latency"


def _throughput(record: dict[str, Any]) -> Row:
    row = Row({
        **_told(record), "model": text(record, "model"), "engine": "vllm", "load": "offline",
        "total_tokens_per_s": positive(record, "tokens_per_second"), "source": "vllm_bench_throughput",
    }, derive=_output_share)  # fmt: skip
    requests, tokens = positive(record, "requests_per_second"), positive(record, "total_num_tokens")
    row.late["_requests_per_s"] = requests
    if count := positive(record, "num_requests"):
        row.notes.append(f"num_requests={count:g}" + (f", {tokens / count:.1f} tokens each" if tokens else ""))
    if row.values["total_tokens_per_s"] is None:
        raise Unreadable("tokens_per_second: no rate")
    return row


def _output_share(row: Row) -> None:
    v = row.values
    if rate := product(row.late["_requests_per_s"], v.get("output_tokens")):
        v["output_tokens_per_s"] = rate
        v["throughput_origin"] = "reported total; output computed: requests/s x output tokens"
    else:
        v["throughput_origin"] = "reported total (input + output)"


def read(file: Path) -> Iterator[Found]:
    """The rows of one result file: an object, or one per line where ``--append-result`` was used."""
    return each(json_records(file), _row)


FORMAT = Format(read, ("*.json*",))
