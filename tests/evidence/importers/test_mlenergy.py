"""ML.ENERGY: energy per token agrees with power and rate; median gaps in ms (v3), mean gaps in s (v2)."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferatlas.evidence.importers import import_evidence

THIRD: dict[str, Any] = {
    "avg_batch_size": 15.99, "avg_output_len": 7432.0, "avg_power_watts": 494.3, "data_parallel": 1,
    "energy_per_request_joules": 3975.5, "energy_per_token_joules": 494.3 / 924.0, "expert_parallel": 1,
    "gpu_model": "H100", "max_num_seqs": 16, "median_itl_ms": 17.34, "model_id": "Qwen/Qwen3-14B", "num_gpus": 1,
    "output_throughput_tokens_per_sec": 924.0, "p99_itl_ms": 21.6, "tensor_parallel": 1,
    "weight_precision": "bfloat16",
}  # fmt: skip
SECOND: dict[str, Any] = {
    "Model": "mistralai/Mixtral-8x7B-Instruct-v0.1", "GPU": "NVIDIA A100-SXM4-40GB", "TP": 4, "PP": 1,
    "Energy/req (J)": 523.4, "Avg TPOT (s)": 0.0614, "Token tput (tok/s)": 516.3, "Avg Output Tokens": 380.2,
    "Avg BS (reqs)": 31.9, "Max BS (reqs)": 32,
}  # fmt: skip


def write(folder: Path, record: Any, name: str = "gpqa.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(record))
    return file


def test_a_configuration_of_version_3(tmp_path: Path):
    done = import_evidence("mlenergy", write(tmp_path, {"configurations": [THIRD]}))
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["model"], row["accelerator"], row["weights"]) == ("qwen3-14b", "nvidia-h100-sxm", "bf16")
    assert (row["itl_s"], row["itl_statistic"]) == (pytest.approx(0.01734), "median")
    assert (row["power_w"], row["output_tokens_per_s"], row["concurrency"]) == (494.3, 924.0, 15.99)
    assert (row["load"], row["input_tokens"], row["source"]) == ("saturated", None, "mlenergy_v3")
    assert "task=gpqa" in row["notes"] and "p99 ITL 21.6 ms" in row["notes"] and row["weight"] == 1.0


def test_version_2_derives_power_from_energy_per_request(tmp_path: Path):
    row = import_evidence("mlenergy", write(tmp_path, SECOND, "bs32+tp4+pp1.json")).frame.row(0, named=True)
    assert row["power_w"] == pytest.approx(523.4 / 380.2 * 516.3)
    assert row["power_method"].startswith("derived")
    assert (row["itl_s"], row["accelerators"], row["accelerator"]) == (0.0614, 4, "nvidia-a100-40gb-sxm")


def test_energy_that_contradicts_power_and_rate_lowers_the_weight(tmp_path: Path):
    broken = THIRD | {"energy_per_token_joules": 2 * THIRD["energy_per_token_joules"]}
    row = import_evidence("mlenergy", write(tmp_path, {"configurations": [broken]})).frame.row(0, named=True)
    assert row["weight"] == 0.3 and "0.50x the energy per token" in row["notes"]


def test_images_are_left_out_and_counted_and_other_records_are_told(tmp_path: Path):
    image = {"model_id": "m", "gpu_model": "H100", "num_gpus": 1, "energy_per_image_joules": 10.0}
    cut = {k: v for k, v in THIRD.items() if k != "output_throughput_tokens_per_sec"}
    done = import_evidence("mlenergy", write(tmp_path, {"configurations": [image, THIRD, cut, 7]}))
    assert (done.counts["skipped"], done.counts["kept"]) == (1, 1)
    assert [(p.kind, p.row) for p in done.problems] == [("unreadable", 3), ("unreadable", 4)]


def test_watts_in_milliwatts_are_told_as_a_unit(tmp_path: Path):
    wrong = THIRD | {"avg_power_watts": 494300.0}
    done = import_evidence("mlenergy", write(tmp_path, {"configurations": [wrong]}))
    assert [(p.kind, "milliwatts" in p.detail) for p in done.problems] == [("unit", True)]
