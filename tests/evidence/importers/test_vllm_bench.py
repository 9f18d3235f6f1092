"""vllm bench: serve gives ms and the model; latency and throughput need to be told what they measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferatlas.evidence.importers import import_evidence

SERVE: dict[str, Any] = {
    "date": "20251122-101010", "endpoint_type": "openai", "backend": "openai", "model_id":
    "meta-llama/Llama-3.1-8B-Instruct", "num_prompts": 200, "request_rate": "inf", "burstiness": 1.0,
    "max_concurrency": 16, "duration": 60.0, "completed": 200, "total_input_tokens": 204800,
    "total_output_tokens": 25600, "output_throughput": 426.7, "total_token_throughput": 3840.0,
    "mean_ttft_ms": 120.0, "mean_tpot_ms": 9.0, "mean_itl_ms": 9.1, "mean_e2el_ms": 1263.0,
}  # fmt: skip
GIVEN = {"accelerator": "h100", "accelerators": 1, "weights": "bf16", "tp": 1, "engine": "vllm"}


def write(folder: Path, *records: Any) -> Path:
    file = folder / "run.json"
    file.write_text("\n".join(json.dumps(record) for record in records))
    return file


def test_serve_in_a_closed_loop(tmp_path: Path):
    done = import_evidence("vllm-bench", write(tmp_path, SERVE), given=GIVEN)
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["ttft_s"], row["itl_s"], row["latency_s"]) == (0.12, 0.009, 1.263)
    assert (row["input_tokens"], row["output_tokens"]) == (1024, 128)
    assert (row["load"], row["concurrency"], row["output_tokens_per_s"]) == ("closed_loop", 16, 426.7)
    assert (row["accelerator"], row["accelerators"], row["weights"]) == ("nvidia-h100-sxm", 1, "bf16")
    assert (row["engine"], row["reference"], row["weight"]) == ("vllm", "20251122-101010", 1.0)


def test_the_client_protocol_is_no_engine_and_what_nobody_says_stays_empty(tmp_path: Path):
    done = import_evidence("vllm-bench", write(tmp_path, SERVE))
    row = done.frame.row(0, named=True)
    assert (row["engine"], row["accelerator"], row["weight"]) == (None, None, 0.3)
    (problem,) = done.problems
    assert problem.kind == "unknown_accelerator" and "no accelerator named in 1 row" in problem.detail
    assert problem.hint == "give one: accelerator=..."


def test_arrivals_decide_the_load(tmp_path: Path):
    poisson = SERVE | {"request_rate": 4.0, "max_concurrency": None}
    gamma = poisson | {"burstiness": 0.5, "mean_ttft_ms": 130.0}
    offline = SERVE | {"max_concurrency": None, "mean_ttft_ms": 140.0}
    frame = import_evidence("vllm-bench", write(tmp_path, poisson, gamma, offline), given=GIVEN).frame
    assert frame["load"].to_list() == ["poisson", "poisson", "offline"]
    assert frame["weight"].to_list() == [1.0, 0.3, 1.0]


def test_metadata_of_the_run_wins_over_what_is_given(tmp_path: Path):
    told = SERVE | {"gpu": "H200", "tensor_parallel_size": "2", "num_gpus": "2", "quantization": "fp8"}
    row = import_evidence("vllm-bench", write(tmp_path, told), given=GIVEN).frame.row(0, named=True)
    assert (row["accelerator"], row["tp"], row["accelerators"], row["weights"]) == ("nvidia-h200-sxm", 2, 2, "fp8")


def test_a_cut_file_of_appended_results_gives_what_is_whole(tmp_path: Path):
    file = write(tmp_path, SERVE, SERVE | {"mean_ttft_ms": 125.0})
    file.write_text(file.read_text()[:-40])
    done = import_evidence("vllm-bench", file, given=GIVEN)
    assert done.frame.height == 1
    (problem,) = done.problems
    assert (problem.kind, problem.row) == ("unreadable", 2)
    assert "line 2" in problem.detail and problem.hint == "was the file cut short?"


def test_latency_computes_its_rate_from_what_is_given(tmp_path: Path):
    file = write(tmp_path, {"avg_latency": 2.0, "latencies": [2.0, 2.0], "percentiles": {"50": 2.0}})
    lengths = {"model": "llama-3.1-8b", "concurrency": 8, "input_tokens": 32, "output_tokens": 128}
    row = import_evidence("vllm-bench", file, given=GIVEN | lengths).frame.row(0, named=True)
    assert (row["load"], row["latency_s"], row["output_tokens_per_s"]) == ("static_batch", 2.0, 8 * 128 / 2.0)
    bare = import_evidence("vllm-bench", file).frame.row(0, named=True)
    assert (bare["output_tokens_per_s"], bare["throughput_origin"]) == (None, None)


def test_throughput_separates_output_only_with_the_length(tmp_path: Path):
    record = {"elapsed_time": 10.0, "num_requests": 100, "total_num_tokens": 115200, "requests_per_second": 10.0,
              "tokens_per_second": 11520.0}  # fmt: skip
    lengths = {"model": "llama-3.1-8b", "input_tokens": 1024, "output_tokens": 128}
    row = import_evidence("vllm-bench", write(tmp_path, record), given=GIVEN | lengths).frame.row(0, named=True)
    assert (row["load"], row["total_tokens_per_s"], row["output_tokens_per_s"]) == ("offline", 11520.0, 1280.0)
    bare = import_evidence("vllm-bench", write(tmp_path, record)).frame.row(0, named=True)
    assert bare["output_tokens_per_s"] is None and bare["throughput_origin"] == "reported total (input + output)"


def test_failed_requests_lower_the_weight_and_no_request_is_no_row(tmp_path: Path):
    row = import_evidence("vllm-bench", write(tmp_path, SERVE | {"failed": 3}), given=GIVEN).frame.row(0, named=True)
    assert row["weight"] == 0.3 and "3 requests failed" in row["notes"]
    done = import_evidence("vllm-bench", write(tmp_path, SERVE | {"completed": 0}), given=GIVEN)
    assert done.frame.height == 0 and "no request succeeded" in done.problems[0].detail


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"benchmark": {}, "metric": {}}, "PyTorch export"),
        ({"duration": 1.0, "completed": 1}, "no 'model_id'"),
        (SERVE | {"mean_ttft_ms": "quick"}, "mean_ttft_ms: 'quick' is not a number"),
        (SERVE | {"mean_ttft_ms": -1.0}, "negative"),
        (SERVE | {"model_id": {"a": 1}}, "model: \"{'a': 1}\" is not a text"),
        ([1, 2], "a record is needed here, not int"),
    ],
)
def test_what_is_no_result_is_told(tmp_path: Path, record: Any, said: str):
    done = import_evidence("vllm-bench", write(tmp_path, record), given=GIVEN)
    assert done.frame.height == 0
    assert said in done.problems[0].detail
