"""Printed names find the catalogue's entry, and never another part or model."""

from pathlib import Path

import pytest

from inferatlas.evidence.importers import names


@pytest.mark.parametrize(
    ("printed", "slug"),
    [
        ("H100_SXM", "nvidia-h100-sxm"), ("h100_sxm", "nvidia-h100-sxm"), ("NVIDIA H100 80GB HBM3", "nvidia-h100-sxm"),
        ("NVIDIA H100-SXM-80GB", "nvidia-h100-sxm"), ("Nvidia H100 GPU", "nvidia-h100-sxm"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-40gb-sxm"), ("NVIDIA A100-SXM-80GB", "nvidia-a100-80gb-sxm"),
        ("NVIDIA H200", "nvidia-h200-sxm"), ("NVIDIA B200-SXM-180GB", "nvidia-b200-sxm"),
        ("gb200_sxm", "nvidia-gb200"), ("AMD Instinct MI300X 192GB HBM3", "amd-mi300x"),
        ("TPU v6e", "google-tpu-v6e"), ("SambaNova SN40L", "sambanova-sn40l"), ("Habana Gaudi2", "intel-gaudi-2"),
    ],
)  # fmt: skip
def test_accelerators(printed: str, slug: str):
    assert names.accelerator(printed) == names.Name(printed, slug, True)


@pytest.mark.parametrize("printed", ["NVIDIA H100-PCIe-80GB", "NVIDIA A100 80GB PCIe", "NVIDIA H100-NVL-94GB"])
def test_a_form_factor_is_never_taken_for_another(printed: str):
    assert not names.accelerator(printed).slug.endswith("-sxm")


def test_a_memory_size_must_be_the_parts():
    assert not names.accelerator("AMD MI300X 64GB").known
    assert "amd-mi300x" in names.accelerator("AMD MI300Y").near


@pytest.mark.parametrize(
    ("printed", "slug", "weights"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b", None),
        ("nvidia/Llama-3.1-405B-Instruct-FP8", "llama-3.1-405b", "fp8"),
        ("nvidia/DeepSeek-R1-0528-FP4-v2", "deepseek-r1", "fp4"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8", "llama-3.1-8b", "int8"),
        ("/models/Llama-3.1-8B-Instruct/", "llama-3.1-8b", None), ("QWEN3_32B", "qwen3-32b", None),
    ],
)  # fmt: skip
def test_models(printed: str, slug: str, weights: str | None):
    found = names.model(printed)
    assert (found.slug, found.known, found.weights) == (slug, True, weights)


def test_a_distillate_is_not_its_teacher():
    assert names.model("deepseek-ai/DeepSeek-R1-Distill-Llama-8B").slug != "deepseek-r1"


def test_unknown_models_keep_their_name_and_get_near_ones():
    found = names.model("Acme/Llama-3.1-9B-Instruct")
    assert (found.slug, found.known) == ("llama-3.1-9b-instruct", False)
    assert "llama-3.1-8b" in found.near


def test_a_name_that_is_a_path_opens_no_file(tmp_path: Path):
    file = tmp_path / "model.yaml"
    file.write_text("id: stolen\n")
    assert not names.model(str(file)).known
    assert not names.accelerator(str(file)).known


def test_names_are_cut_and_lose_what_would_move_a_cursor():
    found = names.model("\x1b[2Jevil" + "x" * 10_000)
    assert len(found.slug) <= names.LONGEST and "\x1b" not in found.slug


def test_precisions():
    printed = ["fp8_block", "float16", "w4a16_mxfp4", "int8_sq", "", "auto", None, "NVFP4"]
    assert [names.precision(p) for p in printed] == ["fp8", "fp16", "mxfp4", "int8", None, None, None, "nvfp4"]
    assert names.precision("fp4", "nvidia-b200-sxm", "gpt-oss-120b") == "mxfp4"
    assert names.precision("fp4", "nvidia-b200-sxm", "deepseek-r1") == "nvfp4"


def test_engines():
    printed = ["TensorRT-LLM", "dynamo-trtllm", "mori-sglang", "Deepspeed-MII", "sambaflow", None]
    assert [names.engine(p) for p in printed] == [
        "tensorrt-llm", "tensorrt-llm", "sglang", "deepspeed-mii", "sambaflow", None,
    ]  # fmt: skip
