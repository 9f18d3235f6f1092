"""Reader of the ML.ENERGY benchmark: version 3 task files and version 2 result files (Apache-2.0, arXiv:2505.06371).

Format: https://github.com/ml-energy/leaderboard, version 3 ``public/data/tasks/*.json`` (an object with
``configurations``); version 2 ``data/llm_text_generation/**/bs*.json`` as written by
``benchmark/llm_text_generation/chat/scripts/aggregate_results.py``. Power is that of all GPUs, by the driver's energy
counter (Zeus), in the steady state; input lengths are not published. ``avg_batch_size`` is the mean number of running
requests at a limit of ``max_num_seqs``.
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
    positive,
    product,
    text,
)

_COUNTER = "driver's energy counter (Zeus/NVML), all GPUs, steady state; no host"


def _row(record: dict[str, Any]) -> Row | None:
    row = _second(record) if "Token tput (tok/s)" in record or "Energy/req (J)" in record else _third(record)
    if row is not None:
        row.values |= {"load": "saturated", "licence": "Apache-2.0; cite arXiv:2505.06371", "engine": "vllm"}
        row.values["activations"] = names.activations(row.values.get("weights"))
    return row


def _third(record: dict[str, Any]) -> Row | None:
    need(record, "model_id", "gpu_model", "num_gpus")
    if "output_throughput_tokens_per_sec" not in record:
        if any(key.startswith(("energy_per_image", "energy_per_video", "energy_per_generation")) for key in record):
            return None  # images and videos
        raise Unreadable("no 'output_throughput_tokens_per_sec'")
    rate, power = positive(record, "output_throughput_tokens_per_sec"), positive(record, "avg_power_watts")
    energy = positive(record, "energy_per_token_joules")
    derived = power is None
    power = power or product(energy, rate)
    row = Row({
        "accelerator": record["gpu_model"], "accelerators": positive(record, "num_gpus"),
        "model": record["model_id"], "weights": names.precision(text(record, "weight_precision")),
        "tp": positive(record, "tensor_parallel"), "pp": 1.0, "ep": positive(record, "expert_parallel"),
        "dp": positive(record, "data_parallel"), "concurrency": positive(record, "avg_batch_size"),
        "output_tokens": positive(record, "avg_output_len"), "itl_s": milliseconds(record, "median_itl_ms"),
        "itl_statistic": "median", "output_tokens_per_s": rate, "power_w": power,
        "throughput_origin": "reported output tokens/s of all GPUs, steady state", "source": "mlenergy_v3",
        "power_method": f"derived: energy per token x output tokens/s; {_COUNTER}" if derived else _COUNTER,
        "reference": "ml-energy/leaderboard (ML.ENERGY benchmark v3)",
    })  # fmt: skip
    row.notes += [f"{key}={value}" for key in ("task", "max_num_seqs") if (value := text(record, key))]
    if text(record, "task") in ("image-chat", "video-chat"):
        row.values["quality"] = "ok-multimodal"
    row.notes += [
        f"{p} ITL {value * 1e3:.4g} ms" for p in ("p90", "p95", "p99") if (value := milliseconds(record, f"{p}_itl_ms"))
    ]
    if power and rate and energy and not derived and abs(power / rate / energy - 1) > 0.05:
        row.cautions.append(f"power / throughput is {power / rate / energy:.2f}x the energy per token")
    _drop_method(row)
    return row


def _second(record: dict[str, Any]) -> Row:
    need(record, "Model", "GPU", "TP")
    tp, pp = positive(record, "TP"), positive(record, "PP") or 1.0
    rate, written = positive(record, "Token tput (tok/s)"), positive(record, "Avg Output Tokens")
    energy = positive(record, "Energy/req (J)")
    if rate is None:
        raise Unreadable("no 'Token tput (tok/s)'")
    row = Row({
        "accelerator": record["GPU"], "accelerators": product(tp, pp), "model": record["Model"], "tp": tp, "pp": pp,
        "dp": 1.0, "concurrency": positive(record, "Avg BS (reqs)"), "output_tokens": written,
        "output_tokens_per_s": rate,
        "itl_s": positive(record, "Avg TPOT (s)"), "itl_statistic": "TPOT, mean",
        "throughput_origin": "reported generated tokens/s of all GPUs, steady state", "source": "mlenergy_v2",
        "power_w": energy * rate / written if energy and written else None,
        "power_method": f"derived: energy per request / mean output tokens x tokens/s; {_COUNTER}",
        "reference": "ml-energy/leaderboard (ML.ENERGY benchmark v2)",
    })  # fmt: skip
    row.notes += [f"{key}={value}" for key in ("Energy/req (J)", "Max BS (reqs)") if (value := text(record, key))]
    if names.model(str(record["Model"])).weights is None:  # not in the file
        row.values["weights"] = "bf16"
        row.notes.append("16-bit weights assumed, the file does not say")
    _drop_method(row)
    return row


def _drop_method(row: Row) -> None:
    for figure, said in (("power_w", "power_method"), ("itl_s", "itl_statistic")):
        if row.values[figure] is None:
            row.values[said] = None


def _configurations(file: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    for at, record in json_records(file):
        inner = record.get("configurations") if isinstance(record, dict) else None
        if not isinstance(inner, list):
            yield at, record
            continue
        task = record.get("task", file.stem)
        for one in inner:
            number += 1
            yield number, {"task": task, **one} if isinstance(one, dict) else one


def read(file: Path) -> Iterator[Found]:
    """The rows of one JSON file."""
    return each(_configurations(file), _row)


FORMAT = Format(read, ("*.json",))
