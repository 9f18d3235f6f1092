"""Coefficients are priors shifted on their links by what was measured, and nothing shifts them out of physics."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.errors import NotModelled
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.calibrated import NOTHING, Calibration
from inferatlas.predict.performance.coefficients import (
    LOGIT,
    TOP,
    TUNED,
    Closest,
    Coefficients,
    answering,
    coefficients,
    from_link,
    levels,
    to_link,
)
from inferatlas.predict.performance.priors import sigma, table

BF16 = Precision("bf16", "bf16", "bf16")
H100 = device(load_accelerator("h100"))
effects = st.floats(-30, 30)


def learned(points: dict[str, int] | None = None, **shifts: dict[str, float]) -> Calibration:
    return Calibration("test", "2026-01-01", shifts, points or {}, {})


def of(calibration: Calibration, part=H100, **asked) -> Coefficients:
    return coefficients(part, "vllm", BF16, "bf16", calibration=calibration, **asked)


def value(found: Coefficients, name: str) -> float:
    return getattr(found, name)


@pytest.mark.parametrize("name", TUNED)
@given(x=st.floats(1e-9, TOP))
def test_links_are_undone_by_their_inverses(name: str, x: float):
    assert float(from_link(name, to_link(name, x))) == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("name", TUNED)
def test_links_rise_and_zero_stays_zero(name: str):
    x = np.array([0.0, 1e-6, 0.1, 0.5, 0.9, TOP])
    assert (np.diff(to_link(name, x)[1:]) > 0).all()
    assert np.isneginf(to_link(name, 0.0))
    assert float(from_link(name, to_link(name, 0.0) + 3.0)) == 0.0


@pytest.mark.parametrize("part", accelerator_ids())
def test_without_calibration_every_coefficient_is_its_prior(part: str):
    try:
        known = device(load_accelerator(part))
    except NotModelled:
        return
    entries = table()["styles"][known.style] | table()["parts"].get(known.id, {})
    found = of(NOTHING, known)
    assert {*TUNED, "memory_fraction", "reserve_bytes"} == entries.keys()
    for name, entry in entries.items():
        # nobody measured this question: no harness, so nobody waits for another client's slot
        assert value(found, name) == (0.0 if name == "straggling" else entry["value"]), name
        assert entry["low"] <= entry["value"] <= entry["high"], name
    assert found.sigma_compute == sigma(entries["compute_efficiency"])
    assert found.closest == Closest("prior")


# straggling and accepted speak of measurements: a question has neither
@pytest.mark.parametrize("name", [n for n in TUNED if n not in ("interference", "straggling", "accepted")])
@given(wide=st.floats(-2, 2), close=st.floats(-2, 2))
def test_effects_of_all_levels_add_on_the_link(name: str, wide: float, close: float):
    shifts = {"class:gpu_simt": wide, "accelerator:nvidia-h100-sxm": close, "accelerator:amd-mi300x": 5.0}
    found = of(learned(**{name: shifts}))
    prior = value(of(NOTHING), name)
    shifted = float(to_link(name, prior)) + wide + close
    assert value(found, name) == pytest.approx(float(from_link(name, shifted)) if prior else 0.0, rel=1e-9)
    for other in TUNED:
        if other not in (name, "interference"):
            assert value(found, other) == value(of(NOTHING), other), other


@given(st.lists(effects, min_size=4, max_size=4))
def test_efficiencies_stay_within_0_and_1_and_all_else_positive_whatever_the_effects(shifts: list[float]):
    names = ("class:gpu_simt", "vendor:NVIDIA", "engine:vllm", "accelerator:nvidia-h100-sxm")
    found, prior = of(learned(**{name: dict(zip(names, shifts, strict=True)) for name in TUNED})), of(NOTHING)
    for name in TUNED:
        assert np.isfinite(value(found, name)) and (value(found, name) > 0) == (value(prior, name) > 0), name
    for name in LOGIT:
        assert value(found, name) <= 1, name
        if sum(shifts) < 30:  # beyond, 1 - 1e-16 is 1 in floating point
            assert value(found, name) < 1, name


@given(effects, effects)
def test_prompts_in_a_shared_step_never_cost_less_than_their_flops(shift: float, efficiency: float):
    found = of(learned(interference={"engine:vllm": shift}, compute_efficiency={"engine:vllm": efficiency}))
    assert found.interference >= found.compute_efficiency


def test_levels_that_the_question_does_not_belong_to_shift_nothing():
    strange = {
        "class:wafer_scale", "vendor:Cerebras", "engine:sglang", "era:2023", "release:vllm@2023", "format:fp8/fp8",
        "accelerator:nvidia-h200-sxm", "pair:nvidia-h100-sxm/sglang@2025", "model:llama-3.1-8b", "source:someone",
        "version:vllm@0.1", "no level",
    }  # fmt: skip
    assert of(learned(**{name: dict.fromkeys(strange, 1.0) for name in TUNED})) == of(NOTHING)


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        ({"model": "llama-3.1-8b"}, "model:llama-3.1-8b"),
        ({"model": "llama-3.1-8b"}, "served:llama-3.1-8b/vllm@2025"),
        ({"model": "llama-3.1-8b"}, "case:llama-3.1-8b/nvidia-h100-sxm/vllm@2025"),
        ({"era": "2023"}, "release:vllm@2023"), ({"version": "0.9"}, "version:vllm@0.9"),
        ({"source": "someone"}, "source:someone"), ({"source": "someone"}, "harness:someone/vllm"),
        ({"model": "llama-3.1-8b", "drafted": True, "version": "0.9"}, "drafted:llama-3.1-8b/vllm@0.9"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_named_adds_its_levels(asked: dict, level: str):
    shifted = learned(step_s={level: 0.7})
    assert of(shifted, **asked).step_s == pytest.approx(of(NOTHING).step_s * np.exp(0.7))
    assert of(shifted).step_s == of(NOTHING).step_s


def test_what_costs_nothing_stays_free_and_what_is_perfect_can_only_lose():
    wafer = device(load_accelerator("cerebras-wse-3"))
    for shift in (-2.0, 2.0):
        shifts = {name: {f"class:{wafer.architectural_class}": shift} for name in TUNED}
        found = of(learned(**shifts), wafer)
        assert found.kernel_s == found.step_s == 0.0
        assert found.memory_efficiency < 1.0


def test_an_engines_memory_fraction_replaces_the_prior_on_machines_that_run_kernels():
    wafer = device(load_accelerator("cerebras-wse-3"))
    assert of(NOTHING, memory_fraction=0.7).memory_fraction == 0.7
    assert of(NOTHING, wafer, memory_fraction=0.7).memory_fraction == of(NOTHING, wafer).memory_fraction


NAMES = levels(
    architectural_class="gpu_simt", vendor="NVIDIA", accelerator="nvidia-h100-sxm", engine="vllm", era="2025",
    weights="bf16", compute="bf16", model="llama-3.1-8b",
)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "answer"),
    [
        ({}, ("prior", 0, False)),
        ({"model:llama-3.1-8b": 50, "format:bf16/bf16": 50}, ("prior", 0, False)),
        ({"engine:vllm": 9}, ("prior", 0, False)),
        ({"class:gpu_simt": 9}, ("class", 9, False)),
        ({"class:gpu_simt": 9, "engine:vllm": 2}, ("class+engine", 9, False)),
        ({"class:gpu_simt": 9, "engine:vllm": 2, "accelerator:nvidia-h100-sxm": 3}, ("accelerator", 3, False)),
        (
            {"class:gpu_simt": 9, "engine:vllm": 2, "accelerator:nvidia-h100-sxm": 3, "format:bf16/bf16": 1},
            ("accelerator", 3, True),  # another engine on this part, this engine elsewhere, this format somewhere
        ),
        (
            {"accelerator:nvidia-h100-sxm": 3, "pair:nvidia-h100-sxm/vllm@2025": 2, "engine:vllm": 2},
            ("accelerator+engine", 2, False),
        ),
        (
            {"pair:nvidia-h100-sxm/vllm@2025": 2, "case:llama-3.1-8b/nvidia-h100-sxm/vllm@2025": 1},
            ("model+accelerator+engine", 1, False),
        ),
        ({"accelerator:amd-mi300x": 70, "pair:nvidia-h100-sxm/sglang@2025": 70}, ("prior", 0, False)),
    ],
    ids=str,
)
def test_the_closest_level_with_points_answers(points: dict[str, int], answer: tuple):
    assert answering(learned(points), NAMES)[:3] == answer


def test_a_model_and_a_source_that_were_measured_elsewhere_are_known():
    mine = (*NAMES, "source:mine")
    assert answering(learned({"class:gpu_simt": 9}), mine)[3:] == (False, False)
    assert answering(learned({"model:llama-3.1-8b": 50}), mine)[3:] == (True, False)
    assert answering(learned({"source:mine": 50}), mine)[3:] == (False, True)
    assert not answering(learned({"source:mine": 50}), NAMES).source  # a question without a source is new


def test_a_public_engine_away_from_where_it_is_written_is_a_port():
    def named(vendor: str, engine: str) -> list[str]:
        found = levels(
            architectural_class="gpu_simt", vendor=vendor, accelerator="a", engine=engine, era="2025", weights="bf16",
            compute="bf16",
        )  # fmt: skip
        return [name for name in found if name.startswith(("port:", "stack:"))]

    assert named("AMD", "vllm") == ["stack:AMD@2025", "port:vllm"]
    assert named("NVIDIA", "vllm") == []
    assert named("Groq", "native") == ["stack:Groq@2025"]


def test_what_is_compiled_shares_no_level_with_other_styles_of_execution():
    def named(vendor: str, engine: str, style: str) -> set[str]:
        return set(levels(
            architectural_class=f"class of {vendor}", vendor=vendor, accelerator=f"part of {vendor}", engine=engine,
            era="2025", weights="fp16", compute="fp16", style=style,
        ))  # fmt: skip

    groq, cerebras = named("Groq", "native", "static_pipeline"), named("Cerebras", "native", "wafer")
    assert not groq & cerebras
    google, amazon = named("Google", "native", "kernel"), named("AWS", "native", "kernel")
    assert google & amazon == {"era:2025", "engine:native", "release:native@2025", "bits:16", "format:fp16/fp16"}
    assert not google & cerebras


def test_every_tuned_name_is_a_coefficient_and_a_question_has_one_level_of_a_kind():
    assert {f.name for f in fields(Coefficients)} >= {*TUNED}
    kinds = {level.partition(":")[0] for level in NAMES}
    assert len(kinds) == len(NAMES)
