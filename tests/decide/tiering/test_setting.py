"""The deployment that tiers are added to, and models that grow."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model, model_ids
from inferatlas.decide.tiering.grown import grown, ways
from inferatlas.decide.tiering.setting import HOST_BYTES, setting_of, usual
from inferatlas.predict.hardware.device import MemoryTier
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.llm.placement import UNIFORM
from inferatlas.predict.loads import CONCURRENCY, ISL, OSL

OPEN = dict.fromkeys(
    ("count", "tp", "pp", "ep", "dp", "workload", "isl", "osl", "concurrency", "engine", "weights", "kv_cache",
     "kv_compression")
)  # fmt: skip
few = settings(max_examples=40)


def setting(model: str, part: str, **asked):
    return setting_of(model, part, **(OPEN | {"tier": (), "routing": UNIFORM} | asked))


@few
@given(st.sampled_from(model_ids()), st.floats(1.0, 12.0))
def test_a_model_grows_by_what_it_is_made_of(slug, scale):
    model = load_model(slug)
    before = count(model)
    for way in ways(model):
        after = count(larger := grown(model, scale, way))
        assert operators(larger).model is larger
        assert after.embedding == before.embedding and after.lm_head == before.lm_head
        if way == "experts":
            assert larger.layer_count == model.layer_count
            assert after.active == pytest.approx(before.active, rel=0.05)  # a token takes as many; routers grow
            assert after.total >= before.total
        else:
            # whole layers of each group
            assert larger.layer_count == pytest.approx(scale * model.layer_count, abs=0.51 * len(model.layers))
    assert grown(model, 1.0, "layers") == model


def test_only_mixtures_grow_by_experts():
    assert ways(load_model("mixtral-8x7b")) == ("experts", "layers")
    assert ways(load_model("llama-3.1-8b")) == ("layers",)


def test_no_tiers_given_are_those_of_a_common_server():
    host, drive = usual(None)
    assert (host.name, drive.name) == ("host", "nvme") and host.bytes == HOST_BYTES
    own, _ = usual(MemoryTier("ddr", math.inf, 200e9))
    assert (own.name, own.bytes, own.bytes_per_s) == ("ddr", HOST_BYTES, 200e9)
    found = setting("llama-3.1-8b", "h100")
    assert any("no tiers given" in note for note in found.notes)
    assert [tier["name"] for tier in found.inputs("layers", 1.3)["tiers"]] == ["host", "nvme"]


def test_no_load_given_is_said():
    found = setting("llama-3.1-8b", "h100")
    assert (found.load.input_tokens, found.load.output_tokens, found.load.concurrency) == (ISL, OSL, CONCURRENCY)
    assert any("requests in flight" in note for note in found.notes)


def test_the_same_platform_without_end_differs_in_its_memory_alone():
    found = setting("llama-3.1-8b", "h100")
    assert found.boundless.capacity[0] > 1e17 > found.table.capacity[0]
    assert found.boundless.byte_s[0] == found.table.byte_s[0]
    assert found.layout.offload == found.layout.kv_offload == 0.0


def test_a_model_beyond_main_memory_gets_the_layout_of_least_latency():
    found = setting("llama-3.1-405b", "h100", count=4, tier="cxl:4TiB@64GB/s", concurrency=1)
    assert found.layout.count == 4
    assert any("what does not fit in the tiers" in note for note in found.notes)
