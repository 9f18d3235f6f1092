"""Engine defaults: sourced, and chosen by the device as the engines choose them."""

from pathlib import Path

import pytest

from inferatlas.catalogue import engine_ids, engines, load_accelerator, load_engine
from inferatlas.catalogue.accelerator import ENGINES
from inferatlas.catalogue.engines import read_engine
from inferatlas.errors import BadInput, UnknownName


def test_every_engine_the_house_names_is_there():
    assert set(engine_ids()) == set(ENGINES)


def test_every_default_has_a_source_or_is_a_gap():
    for engine in engines():
        for fact in engine.facts:
            assert fact.address or fact.provenance == "gap", (engine.id, fact)


def test_vllm_takes_a_fraction_of_all_memory_and_tensorrt_of_what_is_free():
    vllm, trt = load_engine("vllm").facts, load_engine("trt-llm").facts
    assert (vllm.number("memory_fraction"), vllm.text("memory_basis")) == (0.9, "total")
    assert (trt.number("memory_fraction"), trt.text("memory_basis")) == (0.9, "free")
    assert (vllm.number("kv_block_tokens"), trt.number("kv_block_tokens")) == (16, 32)


def test_defaults_follow_the_device():
    vllm, sglang = load_engine("vllm"), load_engine("sglang")
    tokens = {name: vllm.default("max_batched_tokens", load_accelerator(name)) for name in ("h100", "a100", "mi250")}
    assert tokens == {"h100": 8192, "a100": 2048, "mi250": 2048}  # MI250: two devices of 64 GiB
    chunk = {name: sglang.default("max_batched_tokens", load_accelerator(name)) for name in ("l4", "h100", "b200")}
    assert chunk == {"l4": 2048, "h100": 8192, "b200": 16384}
    assert load_engine("native").default("max_sequences", load_accelerator("groq")) is None


def test_support_is_a_fact_of_the_accelerator():
    assert load_engine("vllm").support(load_accelerator("h100")) == "official"
    assert load_engine("vllm").support(load_accelerator("groq")) == "none"
    assert load_engine("native").support(load_accelerator("groq")) == "official"


def test_every_strategy_is_a_flag_or_no_and_says_where_it_was_read():
    for engine in engines():
        for fact in engine.facts:
            if fact.field.startswith("strategy."):
                assert fact.address and fact.condition, (engine.id, fact.field)
                assert not fact.used or fact.value == "no" or str(fact.value).startswith("--"), (engine.id, fact.field)


def test_strategies_by_engine():
    names = ("tensor", "pipeline", "expert", "data", "context", "offload")
    said = {engine.id: [engine.strategy(name) for name in names] for engine in engines()}
    assert said == {
        "vllm": [
            "--tensor-parallel-size", "--pipeline-parallel-size", "--enable-expert-parallel", "--data-parallel-size",
            "--decode-context-parallel-size", "--cpu-offload-gb",
        ],
        "sglang": ["--tp-size", "--pp-size", "--ep-size", "--dp-size", "--dcp-size", "--cpu-offload-gb"],
        "tensorrt-llm": ["--tp_size", "--pp_size", "--ep_size", "--enable_attention_dp", "--cp_size", None],
        "deepspeed": ["--tensor-parallel", "no", "no", "--replica-num", None, "no"],
        "native": [None] * 6,
    }  # fmt: skip


def test_what_a_removed_backend_offered_does_not_answer():
    trt = load_engine("tensorrt-llm")
    assert [(fact.value, fact.status) for fact in trt.facts.all("strategy.offload")] == [
        ("--weight_streaming", "alternative")
    ]
    assert trt.strategy("offload") is None


@pytest.mark.parametrize("value", ['"yes"', '"tp"', "no", "8"])  # a bare no is false in YAML
def test_a_strategy_that_is_neither_flag_nor_no_is_refused(value: str, tmp_path: Path):
    bad = tmp_path / "engine.yaml"
    bad.write_text(
        "id: e\nname: E\nsupport_field: software.vllm\nfacts:\n  strategy.tensor:\n"
        f"    - {{value: {value}, status: chosen, provenance: retrieved, source: a manual}}\n",
        encoding="utf-8",
    )
    with pytest.raises(BadInput) as caught:
        read_engine(bad)
    assert caught.value.line in (5, 6)


def test_a_strategy_nobody_named_is_an_unknown_field(tmp_path: Path):
    bad = tmp_path / "engine.yaml"
    bad.write_text(
        "id: e\nname: E\nsupport_field: software.vllm\nfacts:\n  strategy.tensors:\n"
        '    - {value: "no", status: chosen, provenance: retrieved, source: a manual}\n',
        encoding="utf-8",
    )
    with pytest.raises(BadInput, match=r"strategy\.tensor"):
        read_engine(bad)


def test_unknown_engine_and_bad_engine_file(tmp_path: Path):
    with pytest.raises(UnknownName):
        load_engine("vlm2")
    bad = tmp_path / "engine.yaml"
    bad.write_text("id: e\nname: E\nsupport_field: vllm\nfacts: {}\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read_engine(bad)
    assert caught.value.line == 3
