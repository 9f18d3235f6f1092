"""GuideLLM: a row per benchmark, means of successful requests, ms for tokens and s for requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferatlas.evidence.importers import import_evidence

GIVEN = {"accelerator": "NVIDIA H100 80GB HBM3", "accelerators": 1, "weights": "bf16", "engine": "vllm"}


def summary(mean: float) -> dict[str, Any]:
    return {"successful": {"mean": mean, "median": mean}, "errored": {"mean": 0.0}, "incomplete": {"mean": 0.0}}


def benchmark(strategy: dict[str, Any], ttft_ms: float = 60.0) -> dict[str, Any]:
    metrics = {
        "request_concurrency": summary(7.5), "request_latency": summary(1.2), "prompt_token_count": summary(512.0),
        "output_token_count": summary(128.0), "time_to_first_token_ms": summary(ttft_ms),
        "inter_token_latency_ms": summary(8.9), "output_tokens_per_second": summary(800.0),
        "tokens_per_second": summary(4000.0), "request_totals": {"successful": 100, "errored": 0, "total": 100},
    }  # fmt: skip
    return {"config": {"strategy": strategy, "backend": {"model": "meta-llama/Llama-3.1-8B-Instruct"}},
            "metrics": metrics}  # fmt: skip


def write(folder: Path, *benchmarks: Any, **more: Any) -> Path:
    file = folder / "benchmarks.json"
    file.write_text(json.dumps({"metadata": {"version": 2}, "benchmarks": benchmarks, **more}))
    return file


def test_a_concurrent_benchmark(tmp_path: Path):
    done = import_evidence("guidellm", write(tmp_path, benchmark({"type_": "concurrent", "streams": 8})), given=GIVEN)
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["ttft_s"], row["itl_s"]) == (pytest.approx(0.06), pytest.approx(0.0089))
    assert (row["latency_s"], row["output_tokens_per_s"], row["total_tokens_per_s"]) == (1.2, 800.0, 4000.0)
    assert (row["load"], row["concurrency"], row["weight"]) == ("closed_loop", 8, 1.0)
    assert (row["model"], row["input_tokens"], row["output_tokens"]) == ("llama-3.1-8b", 512, 128)


def test_strategies_are_told_apart_and_a_constant_rate_is_not_poisson(tmp_path: Path):
    kinds: list[dict[str, Any]] = [
        {"type_": "synchronous"},
        {"type_": "throughput", "max_concurrency": 512},
        {"type_": "poisson", "rate": 4.0},
        {"type_": "constant", "rate": 4.0},
        {"type_": "replayed"},
    ]
    runs = [benchmark(kind, ttft_ms=60.0 + index) for index, kind in enumerate(kinds)]
    runs[0]["metrics"]["output_tokens_per_second"] = summary(100.0)
    frame = import_evidence("guidellm", write(tmp_path, *runs), given=GIVEN).frame
    assert frame["load"].to_list() == ["closed_loop", "saturated", "poisson", "poisson", None]
    assert frame["concurrency"].to_list() == [1, 512, 7.5, 7.5, 7.5]
    assert frame["weight"].to_list() == [1.0, 1.0, 1.0, 0.3, 0.3]
    assert frame["row_id"].to_list()[2] == "guidellm:benchmarks.json:3"


def test_zero_means_not_streamed_and_older_reports_keep_strategy_and_model_elsewhere(tmp_path: Path):
    old = benchmark({"type_": "concurrent", "streams": 8}, ttft_ms=0.0)
    old["args"] = {"strategy": old.pop("config")["strategy"]}
    old["worker"] = {"backend_model": "meta-llama/Llama-3.1-8B-Instruct"}
    row = import_evidence("guidellm", write(tmp_path, old), given=GIVEN).frame.row(0, named=True)
    assert (row["ttft_s"], row["ttft_statistic"], row["concurrency"]) == (None, None, 8)
    assert row["model"] == "llama-3.1-8b"


def test_the_model_of_the_report_stands_for_benchmarks_without_one(tmp_path: Path):
    one = benchmark({"type_": "concurrent", "streams": 8})
    del one["config"]["backend"]
    file = write(tmp_path, one, args={"model": "Qwen/Qwen3-8B"})
    assert import_evidence("guidellm", file, given=GIVEN).frame["model"].to_list() == ["qwen3-8b"]


def test_reports_without_benchmarks_and_benchmarks_without_figures_are_told(tmp_path: Path):
    file = write(tmp_path, {"config": {}}, {"metrics": {"request_latency": {"successful": {"mean": None}}}}, "text")
    said = [(p.row, p.detail) for p in import_evidence("guidellm", file, given=GIVEN).problems]
    assert said == [
        (1, "a benchmark without 'metrics'"),
        (2, "no measured figure of successful requests"),
        (3, "a record is needed here, not str"),
    ]
    file.write_text("{}")
    assert import_evidence("guidellm", file).problems[0].detail == "no 'benchmarks'"
