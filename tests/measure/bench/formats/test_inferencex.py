"""InferenceX: rates stand per GPU and are total, TTFT may be that of the event of the role."""

from __future__ import annotations

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign

# Fields: https://github.com/SemiAnalysisAI/InferenceX, utils/process_result.py and utils/aggregate_power.py
RESULT = {
    "hw": "h200", "conc": 64, "image": "vllm/vllm-openai:v0.11.0", "model": "openai/gpt-oss-120b",
    "infmax_model_prefix": "gptoss", "framework": "vllm", "precision": "fp4", "spec_decoding": "none", "disagg": False,
    "isl": 1024, "osl": 1024, "is_multinode": False, "tp": 4, "ep": 1, "dp_attention": "false",
    "tput_per_gpu": 1000.0, "output_tput_per_gpu": 500.0, "input_tput_per_gpu": 500.0, "mean_ttft": 0.2,
    "median_ttft": 0.19, "std_ttft": 0.01, "p99_ttft": 0.5, "mean_tpot": 0.02, "median_tpot": 0.02,
    "median_intvty": 50.0, "mean_itl": 0.021, "mean_e2el": 20.0, "median_e2el": 19.5, "p99_e2el": 25.0,
}  # fmt: skip


def test_rates_are_of_the_whole_deployment(write):
    found = read_foreign(write(RESULT, "agg_run.json"))[0]
    assert found.metrics["total_tokens_per_s"] == 4000.0
    assert found.metrics["output_tokens_per_s"] == 2000.0
    assert found.metrics["latency_s"] == {"mean": 20.0, "p50": 19.5, "p99": 25.0}
    assert found.load == {
        "kind": "closed", "concurrency": 64, "input_tokens": 1024.0, "output_tokens": 1024.0,
        "model": "openai/gpt-oss-120b", "accelerator": "h200", "accelerators": 4.0,
    }  # fmt: skip


def test_ttft_and_tpot_stay_foreign(write):
    found = read_foreign(write(RESULT))[0]
    assert found.foreign["ttft"]["p50"] == 0.19
    assert found.foreign["intvty"] == {"p50": 50.0}
    assert "role" in found.definitions["tpot"]
    assert found.definitions["tput_per_gpu"] == "input and output tokens/s / GPUs"
    assert found.remarks == ("ttft_may_count_role_event",)


def test_power_holds_only_where_it_is_valid(write):
    power = {"avg_power_w": 600.0, "joules_per_total_token": 0.6}
    assert read_foreign(write(RESULT | power | {"power_valid": 1}))[0].metrics["power_w"] == 2400.0
    withheld = read_foreign(write(RESULT | power | {"power_valid": 0}))[0]
    assert "power_w" not in withheld.metrics
    assert any("withheld" in note for note in withheld.notes)


def test_several_nodes_have_roles(write):
    several = RESULT | {"is_multinode": True, "disagg": True, "num_prefill_gpu": 8, "num_decode_gpu": 16,
                        "prefill_tp": 8, "decode_tp": 16, "output_tput_per_gpu": 900.0, "input_tput_per_gpu": 1200.0,
                        "tput_per_gpu": 1000.0}  # fmt: skip
    found = read_foreign(write(several))[0]
    assert found.metrics["output_tokens_per_s"] == 900.0 * 16
    assert found.metrics["total_tokens_per_s"] == 24000.0


def test_lists_and_rows_of_the_api(write):
    head = {key: RESULT[key] for key in ("model", "framework", "precision", "conc", "isl", "osl")}
    figures = {key: value for key, value in RESULT.items() if isinstance(value, float)}
    row = head | {"hardware": "h200", "decode_tp": 4, "decode_ep": 1, "metrics": figures}
    found = read_foreign(write([row, row | {"conc": 8}]))
    assert [one.load["concurrency"] for one in found] == [64, 8]
    assert found[0].metrics["total_tokens_per_s"] == 4000.0


def test_what_is_wrong_is_told(write):
    with pytest.raises(BadInput, match="framework: missing"):
        read_foreign(write(RESULT | {"framework": None}))
    with pytest.raises(BadInput, match=r"\[1\].*not a result"):
        read_foreign(write([RESULT, 5]))
    with pytest.raises(BadInput, match="tput_per_gpu"):
        read_foreign(write(RESULT | {"tput_per_gpu": "lots"}))
