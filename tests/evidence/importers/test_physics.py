"""No point may beat peak compute, one reading of the weights per step, or its own sums."""

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from inferatlas.evidence import table
from inferatlas.evidence.importers import physics

MEASURED = Path(__file__).resolve().parents[4] / "shared" / "measured" / "calibration.parquet"
POINT: dict[str, Any] = {
    "model": "llama-3.1-8b", "accelerator": "nvidia-h100-sxm", "accelerators": 1, "weights": "bf16",
    "activations": "bf16", "load": "closed_loop", "concurrency": 16, "input_tokens": 1024, "output_tokens": 512,
    "ttft_s": 0.1, "itl_s": 0.008, "latency_s": 4.188, "output_tokens_per_s": 1900.0,
}  # fmt: skip
# 8.03e9 weights less the 0.525e9 of the input embedding; bf16 has 2 bytes; H100: 3.35 TB/s, 989.4 TFLOP/s
ACTIVE = 7.5049e9
STEP_S = ACTIVE * 2 / 3.35e12
PREFILL_S = 2 * (ACTIVE - 0.5253e9) * 1024 / 989.4e12


def judge(**change: Any) -> physics.Broken | None:
    return physics.judge(table.conform(pl.DataFrame([POINT | change])))[0]


def test_an_honest_point_stands():
    assert judge() is None


@pytest.mark.parametrize(
    ("change", "bound", "factor"),
    [
        ({"itl_s": STEP_S / 2}, "itl_s: 1.96x faster than reading the active weights", 2 / 1.02),
        ({"ttft_s": PREFILL_S / 3}, "ttft_s: 2.94x faster than the prompt at the peak compute", 3 / 1.02),
        ({"ttft_s": 8.376, "itl_s": None}, "ttft_s: 1.96x the whole latency", 2 / 1.02),
        ({"latency_s": STEP_S * 128, "ttft_s": None, "concurrency": None}, "latency_s: 3.92x faster", 4 / 1.02),
        ({"output_tokens_per_s": 3912.0}, "Little's law", 2 / 1.1),
        (
            {"output_tokens_per_s": 2 * 989.4e12 / 2 / ACTIVE, "concurrency": None},
            "1.96x the peak compute of all accelerators",
            2 / 1.02,
        ),
    ],
)
def test_each_bound_names_itself_and_its_factor(change: dict[str, Any], bound: str, factor: float):
    found = judge(**change)
    assert found is not None and found.kind == "broken_physics"
    assert bound in found.text
    assert found.factor == pytest.approx(factor, rel=2e-3)


@pytest.mark.parametrize(
    "change", [{"itl_s": STEP_S}, {"ttft_s": PREFILL_S}, {"output_tokens_per_s": 16 * 512 / 4.188}]
)
def test_the_bound_itself_is_allowed(change: dict[str, Any]):
    assert judge(**change) is None


def test_more_accelerators_and_fewer_bits_allow_more():
    fast = {"itl_s": STEP_S / 2, "latency_s": None}
    assert judge(**fast) is not None
    assert judge(**fast, accelerators=2) is None
    assert judge(**fast, weights="fp8", activations="fp8") is None
    assert judge(**fast, weights=None, activations=None) is None  # unknown: the fewest bytes that exist


def test_only_the_active_experts_of_a_mixture_must_be_read():
    experts = {"model": "gpt-oss-120b", "weights": "mxfp4", "output_tokens_per_s": None, "latency_s": None}
    assert judge(**experts, itl_s=0.002) is None
    assert judge(**experts, itl_s=0.0005) is not None


def test_formats_that_a_part_lacks_are_judged_at_the_next_wider_rate():
    narrow = physics.bounds("llama-3.1-8b", "nvidia-h100-sxm", "nvfp4", "nvfp4")
    assert narrow.flop_s == physics.bounds("llama-3.1-8b", "nvidia-h100-sxm", "fp8", "fp8").flop_s
    wide = physics.bounds("llama-3.1-8b", "nvidia-h100-sxm", "int4", "fp16")
    assert wide.flop_s == physics.bounds("llama-3.1-8b", "nvidia-h100-sxm", "bf16", "").flop_s


def test_speculative_decoding_is_not_judged_by_one_token_per_step():
    assert judge(itl_s=STEP_S / 2, latency_s=None, notes="speculative decoding: mtp") is None


@pytest.mark.parametrize(
    ("change", "hint"),
    [({"itl_s": 8.0}, "milliseconds?"), ({"ttft_s": 1001.0}, "milliseconds?"), ({"power_w": 650e3}, "milliwatts?")],
)
def test_milli_units_are_told_as_units(change: dict[str, Any], hint: str):
    found = judge(**({"latency_s": None} | change))
    assert found is not None and (found.kind, hint in found.text) == ("unit", True)


def test_seconds_converted_once_too_often_are_guessed():
    found = judge(itl_s=8e-6)
    assert found is not None and found.text.endswith("was a unit converted twice?")


def test_what_is_unknown_or_empty_is_judged_by_its_own_sums_only():
    assert judge(model="acme-7b", itl_s=1e-9, latency_s=None) is None
    assert judge(accelerator="acme-1", itl_s=1e-9, latency_s=None) is None
    assert judge(accelerators=None, itl_s=1e-9, latency_s=None) is None
    assert judge(model="acme-7b", ttft_s=9.0) is not None
    assert physics.judge(pl.DataFrame({"model": ["llama-3.1-8b"]})) == [None]
    assert physics.judge(table.conform(pl.DataFrame([POINT])).clear()) == []


def test_a_path_in_a_table_opens_nothing(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("not: a model")
    assert judge(model=str(file), accelerator=str(file), itl_s=1e-9, latency_s=None) is None


def test_several_bounds_passed_are_all_named():
    found = judge(itl_s=1e-5, ttft_s=1e-5)
    assert found is not None and "itl_s" in found.text and "ttft_s" in found.text


def test_broken_gives_the_words_of_judge():
    frame = table.conform(pl.DataFrame([POINT, POINT | {"itl_s": 8.0, "latency_s": None}]))
    assert physics.broken(frame)[0] is None
    assert physics.broken(frame)[1] == str(physics.judge(frame)[1])


def test_ten_thousand_rows_take_well_under_a_second():
    frame = table.conform(pl.DataFrame([POINT] * 10_000))
    physics.judge(frame)
    start = time.perf_counter()
    assert not any(physics.judge(frame))
    assert time.perf_counter() - start < 0.5


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured points are not part of the repository")
def test_no_measured_point_of_the_calibration_set_is_refused():
    frame = pl.read_parquet(MEASURED)
    assert [(frame["row_id"][i], why) for i, why in enumerate(physics.broken(frame)) if why] == []
