"""AIPerf and GenAI-Perf: units are read, not assumed; telemetry tells power and, if nothing else does, the part."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferatlas.evidence.importers import import_evidence

GIVEN = {"accelerator": "h100", "accelerators": 2, "weights": "bf16", "engine": "vllm", "tp": 2}
RUN: dict[str, Any] = {
    "aiperf_version": "0.5.0", "benchmark_id": "b-1",
    "time_to_first_token": {"unit": "ms", "avg": 100.0, "p50": 90.0}, "inter_token_latency": {"unit": "ms", "avg": 8.0},
    "request_latency": {"unit": "ms", "avg": 1116.0}, "output_token_throughput": {"unit": "tokens/sec", "avg": 900.0},
    "input_sequence_length": {"unit": "tokens", "avg": 550.0}, "output_sequence_length": {"unit": "tokens", "avg": 128},
    "input_config": {"endpoint": {"model_names": ["meta-llama/Llama-3.1-8B-Instruct"]}, "loadgen": {"concurrency": 8}},
    "was_cancelled": False,
}  # fmt: skip


def gpu(name: str, watts: float, unit: str = "W") -> dict[str, Any]:
    return {"gpu_name": name, "metrics": {"gpu_power_usage": {"unit": unit, "avg": watts}}}


def telemetry(*gpus: dict[str, Any]) -> dict[str, Any]:
    return {"telemetry_data": {"endpoints": {"node:9401": {"gpus": {f"gpu_{i}": one for i, one in enumerate(gpus)}}}}}


def write(folder: Path, record: Any, name: str = "profile_export_aiperf.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(record))
    return file


def test_a_run_with_its_units(tmp_path: Path):
    done = import_evidence("aiperf", write(tmp_path, RUN), given=GIVEN)
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["ttft_s"], row["itl_s"], row["latency_s"]) == (pytest.approx(0.1), pytest.approx(0.008), 1.116)
    assert (row["model"], row["load"], row["concurrency"]) == ("llama-3.1-8b", "closed_loop", 8)
    assert (row["reference"], row["weight"], row["power_w"]) == ("b-1", 1.0, None)


def test_seconds_nanoseconds_and_units_nobody_knows(tmp_path: Path):
    other = RUN | {"time_to_first_token": {"unit": "s", "avg": 0.1}, "inter_token_latency": {"unit": "ns", "avg": 8e6}}
    row = import_evidence("aiperf", write(tmp_path, other), given=GIVEN).frame.row(0, named=True)
    assert (row["ttft_s"], row["itl_s"]) == (0.1, pytest.approx(0.008))
    odd = RUN | {"time_to_first_token": {"unit": "jiffies", "avg": 10}}
    done = import_evidence("aiperf", write(tmp_path, odd), given=GIVEN)
    assert "time_to_first_token: unit 'jiffies'" in done.problems[0].detail


def test_power_is_the_sum_of_the_gpus_and_their_count_is_a_fallback(tmp_path: Path):
    seen = RUN | telemetry(gpu("NVIDIA H100 80GB HBM3", 400.0), gpu("NVIDIA H100 80GB HBM3", 500000.0, "mW"))
    row = import_evidence("aiperf", write(tmp_path, seen), given={"weights": "bf16"}).frame.row(0, named=True)
    assert (row["power_w"], row["accelerator"], row["accelerators"]) == (900.0, "nvidia-h100-sxm", 2)
    assert row["weight"] == 0.3 and "what telemetry saw" in row["notes"]
    row = import_evidence("aiperf", write(tmp_path, seen), given=GIVEN).frame.row(0, named=True)
    assert (row["power_w"], row["weight"]) == (900.0, 1.0)


def test_power_of_more_gpus_than_the_run_used_is_left_out(tmp_path: Path):
    seen = RUN | telemetry(*[gpu("NVIDIA H100 80GB HBM3", 400.0)] * 8)
    row = import_evidence("aiperf", write(tmp_path, seen), given=GIVEN).frame.row(0, named=True)
    assert row["power_w"] is None and "telemetry saw 8 GPUs" in row["notes"]


def test_genai_perf_means_the_same(tmp_path: Path):
    older = RUN | {
        "input_config": {"model_names": ["meta-llama/Llama-3.1-8B-Instruct"],
                         "perf_analyzer": {"stimulus": {"concurrency": 8}}},
        "telemetry_stats": {"gpu_power_usage": {"unit": "W", "gpu0": {"avg": 400.0}, "gpu1": {"avg": 410.0}}},
    }  # fmt: skip
    file = write(tmp_path, older, "profile_export_genai_perf.json")
    row = import_evidence("aiperf", file, given=GIVEN).frame.row(0, named=True)
    assert (row["model"], row["concurrency"], row["power_w"]) == ("llama-3.1-8b", 8, 810.0)


def test_request_rates_are_open_loops_and_cancelled_runs_weigh_less(tmp_path: Path):
    rated = RUN | {"input_config": {"loadgen": {"request_rate": 5.0, "request_rate_mode": "constant"}}}
    rated |= {"was_cancelled": True}
    row = import_evidence("aiperf", write(tmp_path, rated), given=GIVEN | {"model": "llama-3.1-8b"}).frame.row(
        0, named=True
    )
    assert (row["load"], row["weight"]) == ("poisson", 0.3)
    assert "not Poisson" in row["notes"] and "cancelled" in row["notes"]


@pytest.mark.parametrize(
    ("record", "hint"),
    [
        ({"experiments": [{"requests": []}]}, "profile_export_genai_perf.json"),
        ({"timeslices": []}, "profile_export_aiperf.json"),
        ({"metadata": {}, "metrics": {}}, "profile_export_aiperf.json"),
    ],
)
def test_raw_exports_point_to_the_summary(tmp_path: Path, record: dict[str, Any], hint: str):
    (problem,) = import_evidence("aiperf", write(tmp_path, record)).problems
    assert problem.kind == "unreadable" and hint in (problem.hint or "")
