"""Reader of InferenceX (formerly InferenceMAX) results: ``agg_*.json``, lists of them, and the rows of its API.

Format: https://github.com/SemiAnalysisAI/InferenceX, ``utils/process_result.py`` and ``utils/aggregate_power.py``;
API rows: https://github.com/SemiAnalysisAI/InferenceX-app. Durations are in seconds. ``tput_per_gpu`` counts input
and output tokens; on several nodes ``output_tput_per_gpu`` is per *decode* GPU and ``input_tput_per_gpu`` per prefill
GPU. ``tp`` is the number of GPUs; with ``dp_attention`` the attention is replicated over them. ``avg_power_w`` is per
GPU and holds only where ``power_valid`` is 1.
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
    at,
    each,
    flag,
    json_records,
    need,
    number,
    positive,
    product,
    text,
)


def row(record: dict[str, Any]) -> Row:
    """One result; rates and power are of the whole deployment, names as printed. Raises `Unreadable`."""
    record = flat(record)
    need(record, "hw", "model", "framework", "conc")
    model, part = str(record["model"]), _hardware(str(record["hw"]))
    framework, image = str(record["framework"]), text(record, "image")
    one = Row({
        "accelerator": part, "engine": names.engine(framework), "engine_version": _version(image), "model": model,
        "weights": names.precision(text(record, "precision"), names.accelerator(part).slug, names.model(model).slug),
        "load": "closed_loop", "concurrency": positive(record, "conc"), "input_tokens": positive(record, "isl"),
        "output_tokens": positive(record, "osl"), "source": "inferencex", "licence": "Apache-2.0",
        "reference": text(record, "run_url") or "SemiAnalysisAI/InferenceX",
    }, notes=[f"{key}={value}" for key, value in (("framework", framework), ("image", image)) if value])  # fmt: skip
    v = one.values
    v["activations"] = names.activations(v["weights"])
    _layout(one, record)
    _throughput(one, record)
    for column, key, kind in (("ttft_s", "ttft", ""), ("itl_s", "tpot", "TPOT, "), ("latency_s", "e2el", "")):
        statistic = next((s for s in ("mean", "median") if positive(record, f"{s}_{key}")), None)
        if statistic is None:
            continue
        v[column] = positive(record, f"{statistic}_{key}")
        said = {"ttft_s": "ttft_statistic", "itl_s": "itl_statistic", "latency_s": "latency_meaning"}[column]
        v[said] = f"{statistic} of requests, end to end" if column == "latency_s" else f"{kind}{statistic}"
    if not any(v.get(c) for c in ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s")):
        raise Unreadable("no measured figure (tput_per_gpu, mean_ttft, mean_tpot, mean_e2el)")
    speculation = text(record, "spec_decoding") or text(record, "spec_method") or text(record, "mtp")
    if speculation and speculation.lower() not in ("none", "off", "false", "0"):
        one.notes.append(f"speculative decoding: {speculation}")
    _power(one, record)
    return one


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """A result in the words of ``agg_*.json``, also from a row of the API, which nests its figures."""
    if not isinstance(at(record, "metrics"), dict):
        return record
    found = record | record["metrics"]
    found.setdefault("hw", record.get("hardware"))
    if not flag(record, "disagg") and "tp" not in record:
        found |= {"tp": record.get("decode_tp"), "ep": record.get("decode_ep"), "is_multinode": False}
        found["dp_attention"] = record.get("decode_dp_attention")
        if workers := number(record, "num_decode_gpu"):  # one set of GPUs does both
            found["tp"] = workers
    return found


def _hardware(printed: str) -> str:
    """The accelerator of a runner: "h200-nb" and "mi355x-disagg" name the pool after the part."""
    if names.accelerator(printed).known:
        return printed
    head = re.split(r"[-_:]", printed, maxsplit=1)[0]
    return head if names.accelerator(head).known else printed


def _version(image: str | None) -> str | None:
    return image.rsplit(":", 1)[1] if image and ":" in image.rsplit("/", 1)[-1] else None


def _layout(row: Row, record: dict[str, Any]) -> None:
    v = row.values
    if flag(record, "is_multinode") or flag(record, "disagg"):
        parts = [positive(record, "num_prefill_gpu"), positive(record, "num_decode_gpu")]
        v["accelerators"] = None if None in parts else sum(p for p in parts if p)
        tp, ep, replicated = positive(record, "decode_tp"), positive(record, "decode_ep"), "decode_dp_attention"
        stages = [
            f"{s} tp={number(record, f'{s}_tp') or 0:g} ep={number(record, f'{s}_ep') or 0:g} "
            f"workers={number(record, f'{s}_num_workers') or 0:g} gpus={number(record, f'num_{s}_gpu') or 0:g}"
            for s in ("prefill", "decode")
        ]
        row.notes += ["disaggregated" if flag(record, "disagg") else "several nodes", *stages]
        row.cautions.append("prefill and decode on separate workers; the layout columns are the decode workers'")
    else:
        tp, ep, replicated = positive(record, "tp"), positive(record, "ep"), "dp_attention"
        v["accelerators"] = tp
    if flag(record, replicated):
        row.notes.append("attention replicated over the GPUs of tp")
        v |= {"tp": 1.0, "dp": tp, "pp": 1.0, "ep": ep}
    else:
        v |= {"tp": tp, "dp": 1.0, "pp": 1.0, "ep": ep}


def _throughput(row: Row, record: dict[str, Any]) -> None:
    count, out = row.values["accelerators"], positive(record, "output_tput_per_gpu")
    read, total = positive(record, "input_tput_per_gpu"), product(positive(record, "tput_per_gpu"), count)
    writers = count
    if flag(record, "is_multinode") or flag(record, "disagg"):
        prefill, decode = positive(record, "num_prefill_gpu"), positive(record, "num_decode_gpu")
        writers = decode
        if out and read and total and prefill and decode and count:
            by_role, by_all = out * decode + read * prefill, (out + read) * count
            if abs(by_all / total - 1) < 0.01 < abs(by_role / total - 1):
                writers = count  # some files divide everything by all GPUs: the total tells which
    rate = product(out, writers)
    if rate or total:
        row.values |= {
            "output_tokens_per_s": rate, "total_tokens_per_s": total,
            "throughput_origin": f"reported per GPU, times {writers or 0:g} GPUs",
        }  # fmt: skip


def _power(row: Row, record: dict[str, Any]) -> None:
    power = product(positive(record, "avg_power_w"), row.values["accelerators"])
    if power is None:
        return
    if "power_valid" in record and not flag(record, "power_valid"):
        row.notes.append("power withheld: the source marks it as not valid")
        return
    row.values |= {"power_w": power, "power_method": "mean measured power per GPU, times the number of GPUs"}


def read(file: Path) -> Iterator[Found]:
    """The rows of one JSON file: an object, a list of objects or JSON lines."""
    return each(json_records(file), row)


FORMAT = Format(read, ("agg_*.json", "*.json*"))
