"""Reader of MLPerf Inference results: the submission checker's ``summary.csv`` and ``*_results.json``.

Format: https://github.com/mlcommons/inference, ``tools/submission/submission_checker/results.py`` (CSV columns) and
``tools/submission/generate_final_report.py`` (JSON keys); the mean output lengths of the data sets are the reference
TOKENS_PER_SAMPLE of ``submission_checker/constants.py``. Only results in Tokens/s (language models) are taken, other
tasks are left out and counted. Tokens are generated tokens. Power is that of the whole system at the wall and so no
figure of the accelerators: it goes into the notes.
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
    json_records,
    need,
    positive,
    product,
    text,
)

# mean tokens of the reference's answers
_OUTPUT = {
    "llama2-70b": 294.45, "mixtral-8x7b": 144.84, "llama3.1-405b": 684.68, "deepseek-r1": 3886.2274,
    "llama3.1-8b": 8167644 / 13368,
}  # fmt: skip
_LOADS = {"offline": "offline", "server": "poisson", "interactive": "poisson"}
_KEYS = {
    "submitter": "organization", "category": "division", "accelerator": "accelerator_model_name", "nodes":
    "number_of_nodes", "a#": "accelerators_per_node", "software": "framework", "system": "systemname",
    "performance_result": "result", "performance_units": "units", "suite": "systemtype",
}  # fmt: skip


def _row(record: dict[str, Any]) -> Row | None:
    record = _spelt(record)
    need(record, "scenario", "units")
    scenario, units = str(record["scenario"]).strip().lower(), str(record["units"]).strip().lower()
    if units not in ("tokens/s", "tokens/sec") or scenario not in _LOADS:
        return None
    need(record, "mlperfmodel", "result", "accelerator_model_name")
    benchmark = str(record["mlperfmodel"]).strip()
    base = re.sub(r"(-interactive)?(-99(\.9)?)?$", "", benchmark.lower())
    rate = positive(record, "result")
    if rate is None:
        raise Unreadable("result: no tokens/s")
    accelerator, software = str(record["accelerator_model_name"]), text(record, "framework")
    model = names.model(base).slug
    weights = names.precision(text(record, "weight_data_types"), names.accelerator(accelerator).slug, model)
    row = Row({
        "accelerator": accelerator, "accelerators": _count(record), "engine": names.engine(software),
        "engine_version": software, "model": base, "weights": weights, "activations": names.activations(weights),
        "load": _LOADS[scenario], "output_tokens": _OUTPUT.get(base), "output_tokens_per_s": rate,
        "throughput_origin": "reported generated tokens/s of the whole system",
        "source": "mlperf_inference" + (f"_{text(record, 'version')}" if text(record, "version") else ""),
        "licence": "MLCommons results: cite submission id, Apache-2.0 repository",
        "reference": text(record, "id") or text(record, "location") or text(record, "details")
        or "MLCommons inference results",
    }, notes=[f"benchmark={benchmark}", f"scenario={scenario}"])  # fmt: skip
    row.notes += [f"{k}={record[k]}" for k in ("organization", "systemname", "platform", "division") if record.get(k)]
    if row.values["output_tokens"]:
        row.notes.append("output length is the mean of the reference's answers")
    if (power := text(record, "power_result")) and text(record, "power_units"):
        row.notes.append(f"whole system at the wall: {power} {text(record, 'power_units')}")
    if (text(record, "division") or "closed").lower() != "closed":
        row.cautions.append("open division: model, data or accuracy may differ from the benchmark's")
    if names.model(text(record, "model") or base).slug != model and "model" in record and "usedmodel" not in record:
        row.notes.append(f"submitted model={record['model']}")
    return row


def _spelt(record: dict[str, Any]) -> dict[str, Any]:
    """The keys of the report's JSON in the words of the CSV, lower case."""
    lower = {key.strip().lower(): value for key, value in record.items()}
    spelt = {_KEYS.get(key, key): value for key, value in lower.items()}
    if "mlperfmodel" not in spelt and "model" in spelt:  # the report renames MlperfModel to Model
        spelt["mlperfmodel"] = spelt["model"]
    return spelt


def _count(record: dict[str, Any]) -> float | None:
    stated = text(record, "total_accelerators")
    each_node, nodes = text(record, "accelerators_per_node"), text(record, "number_of_nodes") or "1"
    if stated is None and (each_node is None or not each_node.replace(".", "", 1).isdigit()):
        return None
    return positive(record, "total_accelerators") or product(
        positive(record, "accelerators_per_node"), positive({"number_of_nodes": nodes}, "number_of_nodes")
    )


def read(file: Path) -> Iterator[Found]:
    """The language-model rows of one CSV or JSON file."""
    return each(csv_records(file) if file.suffix.lower() == ".csv" else json_records(file), _row)


FORMAT = Format(read, ("*summary*.csv", "*summary*.json", "*_results.json"))
