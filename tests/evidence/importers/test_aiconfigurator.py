"""AIConfigurator's silicon_sample.csv: milliseconds, concurrency in the source's text, rates derived."""

from pathlib import Path

import pytest

from inferatlas.evidence.importers import import_evidence

STAGE = ("batch_size", "num_workers", "tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
HEADER = [
    "id", "silicon_data_source", "backend", "backend_version", "model_path", "system", "precision", "mode", "isl",
    "osl", "gemm_quant_mode", "moe_quant_mode", "batch_size", "tp_size", "pp_size", "attention_dp_size",
    "moe_tp_size", "moe_ep_size", *(f"prefill_{s}" for s in STAGE), *(f"decode_{s}" for s in STAGE),
    "silicon_ttft_ms", "silicon_tpot_ms",
]  # fmt: skip
AGG = {
    "id": "dsr1_b200_sglang_fp8_agg_1024x1024_c32_cfg1", "backend": "sglang", "backend_version": "0.5.9",
    "silicon_data_source": "db-dump/2026-04-27; config_id=1; silicon_concurrency=32; measured=2026-04-17",
    "model_path": "deepseek-ai/DeepSeek-R1", "system": "b200_sxm", "precision": "fp8", "mode": "agg", "isl": "1024",
    "osl": "1024", "gemm_quant_mode": "fp8", "moe_quant_mode": "fp8_block", "batch_size": "32", "tp_size": "8",
    "pp_size": "1", "attention_dp_size": "1", "moe_tp_size": "8", "moe_ep_size": "1", "silicon_ttft_ms": "400.5",
    "silicon_tpot_ms": "15.25",
}  # fmt: skip


def write(folder: Path, *rows: dict[str, str]) -> Path:
    file = folder / "silicon_sample.csv"
    lines = [",".join(HEADER), *(",".join(row.get(key, "") for key in HEADER) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_milliseconds_become_seconds_and_the_rate_is_derived_and_says_so(tmp_path: Path):
    done = import_evidence("aiconfigurator", write(tmp_path, AGG))
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["ttft_s"], row["itl_s"]) == (pytest.approx(0.4005), pytest.approx(0.01525))
    assert row["latency_s"] == pytest.approx(0.4005 + 0.01525 * 1023)
    assert row["output_tokens_per_s"] == pytest.approx(32 * 1024 / row["latency_s"])
    assert row["throughput_origin"].startswith("derived") and row["latency_meaning"].startswith("derived")
    assert (row["model"], row["accelerator"], row["accelerators"]) == ("deepseek-r1", "nvidia-b200-sxm", 8)
    assert (row["weights"], row["activations"], row["concurrency"]) == ("fp8", "fp8", 32)
    assert (row["source"], row["load"], row["engine_version"]) == ("aic_silicon_inferencex", "closed_loop", "0.5.9")


def test_the_concurrency_is_not_the_batch_per_replica(tmp_path: Path):
    replicated = AGG | {"batch_size": "4", "tp_size": "1", "attention_dp_size": "8", "moe_tp_size": "1"}
    replicated |= {"moe_ep_size": "8"}
    from_id = replicated | {"silicon_data_source": "nv-internal", "id": "x_c48_y", "silicon_ttft_ms": "410"}
    from_batch = from_id | {"id": "x", "silicon_ttft_ms": "420"}
    frame = import_evidence("aiconfigurator", write(tmp_path, replicated, from_id, from_batch)).frame
    assert frame["concurrency"].to_list() == [32, 48, 32]
    assert frame["accelerators"].to_list() == [8, 8, 8]
    assert frame["source"].to_list()[1] == "aic_silicon_nv-internal"


def test_layouts_that_count_gpus_twice_are_corrected_and_weigh_less(tmp_path: Path):
    twice = AGG | {"tp_size": "4", "attention_dp_size": "4", "moe_tp_size": "1", "moe_ep_size": "16"}
    named = twice | {"id": "dsr1_b200_tp8_ep8_c32", "tp_size": "1", "attention_dp_size": "64", "silicon_ttft_ms": "410"}
    frame = import_evidence("aiconfigurator", write(tmp_path, twice, named)).frame
    assert frame.select("accelerators", "tp", "dp", "ep").rows() == [(4, 1, 4, 4), (8, 1, 8, 8)]
    assert frame["weight"].to_list() == [0.3, 0.3]
    assert "counts twice" in frame["notes"][0] and "the id says tp8" in frame["notes"][1]


def test_a_disaggregated_row_counts_both_stages_and_takes_the_layout_of_decode(tmp_path: Path):
    stages = {"mode": "disagg", "batch_size": "", "tp_size": ""}
    for stage, tp, workers in (("prefill", "4", "3"), ("decode", "8", "2")):
        stages |= {f"{stage}_tp_size": tp, f"{stage}_pp_size": "1", f"{stage}_attention_dp_size": "1"}
        stages |= {f"{stage}_num_workers": workers, f"{stage}_moe_ep_size": "1"}
    unknown = {**stages, "prefill_num_workers": "", "silicon_ttft_ms": "700"}
    frame = import_evidence("aiconfigurator", write(tmp_path, AGG | stages, AGG | unknown)).frame
    assert frame["accelerators"].to_list() == [28, None]
    assert frame["tp"].to_list() == [8, 8]
    assert frame["weight"].to_list() == [0.3, 0.3]
    assert "number of accelerators not stated" in frame["notes"][1]


def test_formats_of_experts_count_for_models_with_experts(tmp_path: Path):
    oss = AGG | {
        "model_path": "openai/gpt-oss-120b", "gemm_quant_mode": "bfloat16", "moe_quant_mode": "w4a16_mxfp4",
        "precision": "fp4", "silicon_tpot_ms": "9",
    }  # fmt: skip
    dense = AGG | {"model_path": "Qwen/Qwen3-32B", "gemm_quant_mode": "fp8", "moe_quant_mode": "nvfp4"}
    silent = AGG | {"model_path": "Qwen/Qwen3-32B", "gemm_quant_mode": "", "moe_quant_mode": "", "precision": ""}
    frame = import_evidence("aiconfigurator", write(tmp_path, oss, dense, silent)).frame
    assert frame.select("weights", "activations").rows() == [("mxfp4", "bf16"), ("fp8", "fp8"), (None, None)]
    assert frame["weight"].to_list() == [1.0, 1.0, 0.3]


def test_identical_points_are_kept_once_and_other_figures_stay(tmp_path: Path):
    other = AGG | {"silicon_tpot_ms": "15.5"}
    done = import_evidence("aiconfigurator", write(tmp_path, AGG, AGG, other))
    assert done.frame.height == 2
    (problem,) = done.problems
    assert (problem.kind, problem.row) == ("duplicate", 3)
    assert "aiconfigurator:silicon_sample.csv:2" in problem.detail


def test_seconds_under_a_millisecond_heading_break_physics(tmp_path: Path):
    done = import_evidence("aiconfigurator", write(tmp_path, AGG | {"silicon_tpot_ms": "0.01525"}))
    assert done.frame.height == 0
    assert done.counts["broken_physics"] == 1
    assert "itl_s" in done.problems[0].detail and "unit" in done.problems[0].detail


def test_microseconds_under_a_millisecond_heading_are_told_as_a_unit(tmp_path: Path):
    done = import_evidence("aiconfigurator", write(tmp_path, AGG | {"silicon_tpot_ms": "15250"}))
    assert [problem.kind for problem in done.problems] == ["unit"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "static"}, "neither agg nor disagg"),
        ({"model_path": ""}, "no 'model_path'"),
        ({"silicon_ttft_ms": "", "silicon_tpot_ms": ""}, "neither silicon_ttft_ms nor silicon_tpot_ms"),
        ({"isl": "1k"}, "isl: '1k' is not a number"),
    ],
)
def test_rows_without_their_fields_are_told(tmp_path: Path, change: dict[str, str], said: str):
    done = import_evidence("aiconfigurator", write(tmp_path, AGG | change))
    assert done.frame.height == 0
    assert said in done.problems[0].detail and done.problems[0].row == 2
