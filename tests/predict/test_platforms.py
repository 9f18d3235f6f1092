"""From names to platforms: the engine that answers, the formats a device takes, and what has to be assumed."""

from dataclasses import replace

import pytest

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.catalogue.engines import load_engine
from inferatlas.catalogue.facts import FactSheet
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, NoFeasibleAnswer, UnknownName
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.precision import FORMATS, SIXTEEN_BIT
from inferatlas.predict.performance.platform import EngineSettings
from inferatlas.predict.platforms import (
    bind,
    checkpoint_format,
    default_engine,
    settings,
    supported_engines,
    weight_choices,
)

LLAMA = load_model("llama-3.1-8b")
every_part = pytest.mark.parametrize("part", accelerator_ids())


def settings_of(engine: str, part: str) -> EngineSettings:
    return settings(load_engine(engine), load_accelerator(part))


@every_part
def test_every_accelerator_of_the_catalogue_can_be_bound_with_nothing_but_its_name(part: str):
    platform = bind(part)
    assert platform.device.id == part
    assert platform.engine.name == default_engine(load_accelerator(part))
    assert platform.precision.weights in SIXTEEN_BIT
    assert platform.precision.activations == platform.precision.kv_cache == platform.precision.weights
    assert platform.label in ("predicted", "extrapolated")
    assert 0 < platform.coefficients.memory_fraction <= 1


@every_part
def test_the_default_engine_is_official_where_any_is(part: str):
    usable = supported_engines(load_accelerator(part))
    levels = list(usable.values())
    assert set(levels) <= {"official", "experimental"}
    assert levels == sorted(levels, key=["official", "experimental"].index)
    assert default_engine(load_accelerator(part)) == next(iter(usable))
    if usable.get("vllm") == "official":
        assert default_engine(load_accelerator(part)) == "vllm"


@every_part
def test_every_weight_format_that_is_offered_can_be_bound(part: str):
    known, engine = device(load_accelerator(part)), load_engine(default_engine(load_accelerator(part)))
    for model in ("llama-3.1-8b", "gpt-oss-20b", "deepseek-r1"):
        choices = weight_choices(load_model(model), known)
        assert len(choices) == len(set(choices)) > 0
        runs = [form for form in choices if engine.lacks_kernel(form, load_accelerator(part)) is None]
        assert len(choices) - len(runs) <= 1
        for weights in runs:
            platform = bind(part, weights=weights)
            assert FORMATS[platform.compute].rate in known.peaks  # nothing is multiplied at a rate of another format
            assert FORMATS[platform.precision.activations].bits >= min(8, FORMATS[weights].bits)


def test_narrow_weights_do_not_multiply_at_a_narrow_rate_without_one():
    assert bind("h100", weights="fp8").compute == "fp8"
    assert bind("a100", weights="fp8").compute == "bf16"  # widened on the way to the multiplier
    assert bind("h100", weights="int4").compute == "bf16"
    assert bind("b200", weights="nvfp4").compute == "nvfp4"


def test_each_vendor_has_its_own_four_bits():
    b200, mi355x = (device(load_accelerator(name)) for name in ("b200", "mi355x"))
    assert "nvfp4" in weight_choices(LLAMA, b200) and "mxfp4" not in weight_choices(LLAMA, b200)
    assert "mxfp4" in weight_choices(LLAMA, mi355x) and "nvfp4" not in weight_choices(LLAMA, mi355x)
    with pytest.raises(NoFeasibleAnswer, match="NVIDIA") as caught:
        bind("mi355x", weights="nvfp4")
    assert caught.value.code == "precision"


def test_a_checkpoint_is_offered_in_its_own_format_on_kernels_only():
    gpt_oss, r1 = load_model("gpt-oss-20b"), load_model("deepseek-r1")
    assert "mxfp4" in weight_choices(gpt_oss, device(load_accelerator("h100")))
    assert "fp8" in weight_choices(r1, device(load_accelerator("a100")))
    assert weight_choices(gpt_oss, device(load_accelerator("groq"))) == ["fp16", "int8"]


@pytest.mark.parametrize("name", ["llama-3.3-70b", "deepseek-r1", "gpt-oss-120b", "kimi-k2.5"])
@every_part
def test_a_model_is_served_in_its_checkpoint_s_format_where_the_part_runs_it_else_in_16_bit(part: str, name: str):
    model, known = load_model(name), device(load_accelerator(part))
    choices, weights = weight_choices(model, known), checkpoint_format(model, known)
    if model.checkpoint_weights in choices:
        assert weights == model.checkpoint_weights
    elif {"bf16", "fp16"} & set(choices):
        assert weights in ("bf16", "fp16")
    else:
        assert weights in choices


def test_a_checkpoint_in_nvidia_s_four_bits_is_not_run_elsewhere():
    model = replace(LLAMA, checkpoint_weights="nvfp4")
    formats = {part: checkpoint_format(model, device(load_accelerator(part))) for part in ("b200", "h100", "mi300x")}
    assert formats == {"b200": "nvfp4", "h100": "nvfp4", "mi300x": "bf16"}
    for part, weights in formats.items():
        bind(part, weights=weights)


@pytest.mark.parametrize(
    ("part", "weights", "rate"),
    [("b200", "nvfp4", "fp4"), ("h100", "int4", "bf16"), ("mi355x", "fp8", "fp8"), ("groq", "int8", "int8")],
)
def test_the_peak_is_that_of_the_format_in_which_products_are_formed(part: str, weights: str, rate: str):
    platform = bind(part, weights=weights)
    assert platform.peak_flop_per_s == platform.device.peaks[rate]


@pytest.mark.parametrize(
    ("part", "weights"), [("groq", "fp8"), ("groq", "int4"), ("cerebras-wse-3", "int8"), ("sambanova-sn40l", "fp8")]
)
def test_compiled_machines_take_only_what_they_multiply(part: str, weights: str):
    with pytest.raises(NoFeasibleAnswer, match=f"does not multiply {weights}") as caught:
        bind(part, weights=weights)
    assert (caught.value.code, caught.value.exit_code) == ("precision", 3)
    assert bind("groq", weights="int8").compute == "int8"


def test_sixteen_bit_formats_stand_in_for_one_another_and_that_is_said():
    platform = bind("cerebras-wse-3", weights="bf16")
    assert platform.compute == "fp16"
    assert any("fp16 rate is used" in note for note in platform.notes)


@pytest.mark.parametrize(("name", "part", "engine"), [("TRT-LLM", "h100", "tensorrt-llm"), ("vLLM", "mi300x", "vllm")])
def test_engines_go_by_all_their_names(name: str, part: str, engine: str):
    assert bind(part, name).engine.name == engine
    assert bind(part, name).engine == settings_of(engine, part)


@pytest.mark.parametrize(
    ("part", "asked", "error"),
    [
        ("h100", {"engine": "vlm"}, UnknownName), ("h1000", {}, UnknownName), ("h100", {"weights": "fp5"}, BadInput),
        ("h100", {"activations": "fp5"}, BadInput), ("h100", {"kv_cache": "fp4"}, BadInput),
        ("groq", {"engine": "vllm"}, NoFeasibleAnswer), ("mi300x", {"engine": "tensorrt-llm"}, NoFeasibleAnswer),
        ("groq", {"weights": "fp5"}, BadInput), ("a100", {"weights": "fp8", "activations": "fp8"}, NoFeasibleAnswer),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_bound_says_what_could(part: str, asked, error):
    with pytest.raises(error) as caught:
        bind(part, **asked)
    assert caught.value.allowed or caught.value.hint


def test_an_accelerator_that_no_engine_knows():
    known = load_accelerator("groq")
    silent = FactSheet([fact for fact in known.facts if not fact.field.startswith("software.")])
    with pytest.raises(NoFeasibleAnswer, match="no serving engine") as caught:
        bind(replace(known, facts=silent))
    assert caught.value.code == "engine"


def test_what_is_assumed_is_noted():
    notes = {part: " ".join(bind(part).notes) for part in ("mi250", "google-tpu-v5e", "h100", "tpu-v4")}
    assert "an engine sees 2 devices per amd-mi250" in notes["mi250"]
    assert "publishes no rated power" in notes["google-tpu-v5e"]
    assert "an engine sees" not in notes["h100"]
    assert "experimental" in " ".join(bind("tpu-v4", "vllm").notes)
    assert "experimental" not in notes["tpu-v4"]  # its own stack is official


def test_engines_defaults_follow_the_device():
    large, small = settings_of("vllm", "h100"), settings_of("vllm", "l4")
    assert large.memory_fraction == small.memory_fraction == 0.9
    assert large.step_tokens > small.step_tokens
    assert settings_of("tensorrt-llm", "h100").of_free
    assert not large.of_free


@pytest.mark.parametrize(("part", "engine"), [("nvidia-gb200", "vllm"), ("nvidia-b200-sxm", "sglang")])
def test_a_format_without_kernels_in_the_engine_is_refused_though_the_part_multiplies_it(part: str, engine: str):
    assert "int8" in device(load_accelerator(part)).peaks
    with pytest.raises(NoFeasibleAnswer, match="no int8 products") as refused:
        bind(part, engine, "int8")
    assert (refused.value.code, refused.value.field) == ("precision", "weights")
    assert "int8" not in (refused.value.allowed or "") and "fp8" in (refused.value.allowed or "")
    assert bind(part, engine, "int8", proven=True).compute == "int8"  # it was measured there
    assert bind(part, engine, "int8", "bf16").compute == "bf16"  # widened on the way to the multiplier
    assert bind("h100", engine, "int8").compute == "int8"
