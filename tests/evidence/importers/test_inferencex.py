"""InferenceX: seconds; per-GPU rates whose denominator depends on the layout; the runner names the hardware."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferatlas.evidence.importers import import_evidence

SINGLE: dict[str, Any] = {
    "hw": "h200-nb", "conc": 64, "image": "vllm/vllm-openai:v0.11.2", "model": "openai/gpt-oss-120b",
    "framework": "vllm", "precision": "fp4", "spec_decoding": "none", "disagg": False, "isl": 1024, "osl": 1024,
    "is_multinode": False, "tp": 4, "ep": 1, "dp_attention": "false", "tput_per_gpu": 2000.0,
    "output_tput_per_gpu": 1000.0, "input_tput_per_gpu": 1000.0, "mean_ttft": 0.3, "median_ttft": 0.2,
    "mean_tpot": 0.0155, "mean_itl": 0.0156, "mean_e2el": 15.4,
}  # fmt: skip
MULTI = SINGLE | {
    "hw": "gb200-nv", "model": "deepseek-ai/DeepSeek-R1-0528", "framework": "dynamo-sglang", "is_multinode": True,
    "disagg": True, "num_prefill_gpu": 8, "num_decode_gpu": 32, "prefill_tp": 8, "prefill_ep": 8,
    "prefill_num_workers": 1, "decode_tp": 32, "decode_ep": 32, "decode_num_workers": 1,
    "decode_dp_attention": "true", "output_tput_per_gpu": 300.0, "input_tput_per_gpu": 1200.0,
    "tput_per_gpu": (300.0 * 32 + 1200.0 * 8) / 40, "conc": 512, "mean_e2el": 30.0, "mean_tpot": 0.02, "mean_ttft": 2.0,
}  # fmt: skip


def write(folder: Path, record: Any, name: str = "agg_run.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(record))
    return file


def test_rates_are_of_all_gpus_and_durations_are_means_in_seconds(tmp_path: Path):
    done = import_evidence("inferencex", write(tmp_path, SINGLE))
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["accelerator"], row["accelerators"], row["tp"]) == ("nvidia-h200-sxm", 4, 4)
    assert (row["output_tokens_per_s"], row["total_tokens_per_s"]) == (4000, 8000)
    assert (row["ttft_s"], row["itl_s"], row["latency_s"]) == (0.3, 0.0155, 15.4)
    assert (row["ttft_statistic"], row["itl_statistic"]) == ("mean", "TPOT, mean")
    assert (row["weights"], row["engine"], row["engine_version"]) == ("mxfp4", "vllm", "v0.11.2")
    assert (row["load"], row["concurrency"], row["weight"]) == ("closed_loop", 64, 1.0)


def test_on_several_nodes_output_is_per_decode_gpu(tmp_path: Path):
    row = import_evidence("inferencex", write(tmp_path, MULTI)).frame.row(0, named=True)
    assert (row["accelerators"], row["accelerator"]) == (40, "nvidia-gb200")
    assert row["output_tokens_per_s"] == 300 * 32
    assert (row["tp"], row["dp"], row["ep"]) == (1, 32, 32)
    assert row["weight"] == 0.3 and "disaggregated" in row["notes"]


def test_a_file_that_divides_everything_by_all_gpus_is_recognised_by_its_total(tmp_path: Path):
    row = import_evidence("inferencex", write(tmp_path, MULTI | {"tput_per_gpu": 1500.0})).frame.row(0, named=True)
    assert row["output_tokens_per_s"] == 300 * 40


def test_rows_of_the_api_mean_the_same(tmp_path: Path):
    metrics = {k: v for k, v in SINGLE.items() if k.startswith(("mean", "median")) or "tput" in k}
    api = {
        "hardware": "h200", "model": "openai/gpt-oss-120b", "framework": "vllm", "precision": "fp4", "conc": 64,
        "isl": 1024, "osl": 1024, "disagg": False, "is_multinode": False, "decode_tp": 4, "decode_ep": 1,
        "num_prefill_gpu": 4, "num_decode_gpu": 4, "image": SINGLE["image"], "metrics": metrics,
    }  # fmt: skip
    figures = ["accelerators", "output_tokens_per_s", "ttft_s", "itl_s", "tp", "weights"]
    first = import_evidence("inferencex", write(tmp_path, [api], "api.json")).frame.select(figures)
    assert first.rows() == import_evidence("inferencex", write(tmp_path, SINGLE)).frame.select(figures).rows()


def test_power_is_of_all_gpus_and_only_where_the_source_holds_it_valid(tmp_path: Path):
    records = [SINGLE | {"avg_power_w": 500.0, "power_valid": 1}, SINGLE | {"avg_power_w": 500.0, "power_valid": 0}]
    frame = import_evidence("inferencex", write(tmp_path, records)).frame
    assert frame["power_w"].to_list() == [2000.0, None]
    assert "not valid" in frame["notes"][1]


def test_fp4_means_another_format_on_another_vendor(tmp_path: Path):
    model = {"model": "deepseek-ai/DeepSeek-R1-0528", "mean_ttft": 0.4}
    amd, nvidia = SINGLE | model | {"hw": "mi355x-amds"}, SINGLE | model | {"hw": "b200-trt"}
    frame = import_evidence("inferencex", write(tmp_path, [amd, nvidia])).frame
    assert frame["weights"].to_list() == ["mxfp4", "nvfp4"]


def test_a_folder_is_read_in_the_order_of_names_and_ids_name_the_file_in_it(tmp_path: Path):
    (tmp_path / "b").mkdir()
    write(tmp_path, SINGLE | {"conc": 32, "mean_e2el": 8.0}, "agg_1.json")
    write(tmp_path / "b", SINGLE, "agg_0.json")
    write(tmp_path, {"not": "ours"}, "notes.json")
    done = import_evidence("inferencex", tmp_path)
    assert done.frame["row_id"].to_list() == ["inferencex:agg_1.json:1", "inferencex:b/agg_0.json:1"]
    assert done.problems == () and done.counts["files"] == 2


def test_more_output_than_the_concurrency_allows_is_refused(tmp_path: Path):
    done = import_evidence("inferencex", write(tmp_path, SINGLE | {"output_tput_per_gpu": 1300.0}))
    assert done.frame.height == 0 and "Little" in done.problems[0].detail


@pytest.mark.parametrize("missing", ["hw", "model", "framework", "conc"])
def test_missing_keys_are_named(tmp_path: Path, missing: str):
    done = import_evidence("inferencex", write(tmp_path, {k: v for k, v in SINGLE.items() if k != missing}))
    assert done.problems[0].detail == f"no '{missing}'" and done.problems[0].row == 1
