"""Techniques from text: what is malformed is refused with its field, what is taken is what was said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model, models
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.question import ask
from inferatlas.predict.techniques import parse_speculation, parse_tier, parse_tiers, with_cache_policy, with_images

few = settings(max_examples=40)


def refused(caught: pytest.ExceptionInfo[BadInput], field: str) -> None:
    """A mistake of the user's, by its field, with what is allowed."""
    assert caught.value.exit_code == 2
    assert caught.value.field == field
    assert caught.value.allowed


# tiers


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "tier"), (" ", "tier"), ("cxl", "tier"), ("cxl:1TiB", "tier"), ("cxl@64GB/s", "tier"),
        (":1TiB@64GB/s", "tier"),
        ("1TiB@64GB/s", "tier"), ("cxl:@64GB/s", "tier"), ("cxl:1TiB@", "tier"), ("c xl:1TiB@64GB/s", "tier"),
        ("9:1TiB@64GB/s", "tier"), ("cxl:1TiB@64GB/s,", "tier"), ("cxl:1TiB@64GB/s,latency", "tier"),
        ("cxl:1TiB@64GB/s,latency=", "tier"), ("cxl:1TiB@64GB/s,speed=3", "tier"), ("cxl:1TiB@64GB/s,=3", "tier"),
        ("cxl:lots@64GB/s", "tier"), ("cxl:1TiB@fast", "tier"), ("cxl:1TiB/s@64GB", "tier"), ("cxl:1@64GB/s", "tier"),
        ("cxl:1TiB@64", "tier"), ("cxl:1TiB@64GB", "tier"), ("cxl:64GB/s@1TiB", "tier"),
        ("cxl:0TiB@64GB/s", "tier.capacity"), ("cxl:-1TiB@64GB/s", "tier.capacity"), ("cxl:1TiB@0GB/s", "tier.rate"),
        ("cxl:1TiB@-64GB/s", "tier.rate"), ("cxl:1TiB@64GB/s,latency=0s", "tier.latency"),
        ("cxl:1TiB@64GB/s,latency=-1us", "tier.latency"), ("cxl:1TiB@64GB/s,latency=fast", "tier.latency"),
        ("cxl:1TiB@64GB/s,latency=3GB", "tier.latency"), ("cxl:1TiB@64GB/s,latency=3", "tier.latency"),
        ("cxl:1TiB@64GB/s,latency=1us,latency=2us", "tier.latency"),
        ("nvme:8TB@12GB/s,outstanding=0,request=4KiB", "tier.outstanding"),
        ("nvme:8TB@12GB/s,outstanding=many,request=4KiB", "tier.outstanding"),
        ("nvme:8TB@12GB/s,outstanding=8,request=0B", "tier.request"),
        ("nvme:8TB@12GB/s,outstanding=8,request=4", "tier.request"), ("nvme:8TB@12GB/s,outstanding=8", "tier.request"),
        ("nvme:8TB@12GB/s,request=4KiB", "tier.request"),
    ],
)  # fmt: skip
def test_a_malformed_tier_is_refused_with_its_field(text, field):
    with pytest.raises(BadInput) as caught:
        parse_tier(text)
    refused(caught, field)


@pytest.mark.parametrize("number", ["nan", "inf", "1e400"])
def test_nor_does_a_tier_have_a_size_that_is_no_number(number):
    for text in (f"cxl:{number}TiB@64GB/s", f"cxl:1TiB@{number}GB/s", f"cxl:1TiB@64GB/s,latency={number}us"):
        with pytest.raises(BadInput) as caught:
            parse_tier(text)
        assert caught.value.exit_code == 2 and (caught.value.field or "").startswith("tier")


@few
@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0.01, 1e6), st.integers(1, 10_000))
def test_a_tier_is_what_was_typed(size, rate, latency, outstanding):
    text = (
        f" CXL-2.0:{size:.6g} GiB @ {rate:.6g} GB/s , latency = {latency:.6g} ns, request=64B,outstanding={outstanding}"
    )
    tier = parse_tier(text.strip())
    assert tier.name == "cxl-2.0"
    assert tier.bytes == pytest.approx(size * 2**30, rel=1e-5)
    assert tier.bytes_per_s == pytest.approx(rate * 1e9, rel=1e-5)
    assert tier.latency_s == pytest.approx(latency * 1e-9, rel=1e-5)
    assert (tier.outstanding, tier.line_bytes) == (outstanding, 64)
    assert tier.reached_bytes_per_s == pytest.approx(min(rate * 1e9, outstanding * 64 / (latency * 1e-9)), rel=1e-4)


def test_several_tiers_have_names_of_their_own():
    both = parse_tiers(["cxl:1TiB@64GB/s", "nvme:8TB@12GB/s"])
    assert [tier.name for tier in both] == ["cxl", "nvme"] and parse_tiers(None) == parse_tiers(()) == ()
    assert parse_tiers("cxl:1TiB@64GB/s,latency=200ns") == (parse_tier("cxl:1TiB@64GB/s,latency=200ns"),)
    for twice in (["cxl:1TiB@64GB/s", "CXL:2TiB@64GB/s"], [""], ["cxl:1TiB@64GB/s", " "]):
        with pytest.raises(BadInput) as caught:
            parse_tiers(twice)
        refused(caught, "tier")


# drafts


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "speculate"), ("4", "speculate"), ("gamma", "speculate"), ("gamma=", "speculate"), ("=4", "speculate"),
        ("gamma=4,accept=0.7", "speculate"), ("gamma=4;acceptance=0.7", "speculate.acceptance"),
        ("gamma=4,,", "speculate"),
        ("gamma=4", "speculate.acceptance"), ("acceptance=0.7", "speculate.gamma"),
        ("gamma=4,gamma=5,acceptance=0.7", "speculate.gamma"), ("gamma=2.5,acceptance=0.7", "speculate.gamma"),
        ("gamma=-1,acceptance=0.7", "speculate.gamma"), ("gamma=65,acceptance=0.7", "speculate.gamma"),
        ("gamma=four,acceptance=0.7", "speculate.gamma"), ("gamma=4,acceptance=1.01", "speculate.acceptance"),
        ("gamma=4,acceptance=-0.1", "speculate.acceptance"), ("gamma=4,acceptance=high", "speculate.acceptance"),
        ("gamma=4,acceptance=0.7,width=0", "speculate.width"), ("gamma=4,acceptance=0.7,width=1.5", "speculate.width"),
        ("gamma=33,acceptance=0.7,width=2", "speculate.gamma"), ("gamma=4,acceptance=0.7,draft=", "speculate"),
        ("gamma=4,acceptance=0.7,draft=bge-m3", "speculate.draft"),
        ("gamma=4,acceptance=0.7,draft=flan-t5-xxl", "speculate.draft"),
    ],
)  # fmt: skip
def test_malformed_drafts_are_refused_with_their_field(text, field):
    with pytest.raises(BadInput) as caught:
        parse_speculation(text)
    refused(caught, field)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["gamma", "acceptance", "width"])
def test_nor_is_a_number_of_drafts_anything_but_a_number(number, name):
    values = {"gamma": "4", "acceptance": "0.7", "width": "1"} | {name: number}
    with pytest.raises(BadInput) as caught:
        parse_speculation(",".join(f"{key}={value}" for key, value in values.items()))
    assert caught.value.exit_code == 2 and (caught.value.field or "").startswith("speculate")


def test_drafts_are_what_was_typed():
    found = parse_speculation(" gamma = 3 , acceptance=0.5, width=2, draft=llama-3.2-1b ")
    assert found is not None and found.draft is not None
    assert (found.gamma, found.acceptance, found.width, found.draft.model.id) == (3, 0.5, 2, "llama-3.2-1b")
    assert parse_speculation(None) is None
    percent = parse_speculation("acceptance=70%,gamma=4")
    assert percent is not None and percent.acceptance == pytest.approx(0.7)
    with pytest.raises(UnknownName) as caught:
        parse_speculation("gamma=4,acceptance=0.7,draft=llama-3.2-1")
    assert caught.value.exit_code == 2


def test_a_vector_needs_no_drafts_and_no_drafts_need_no_room():
    with pytest.raises(BadInput) as caught:
        ask("bge-m3", "h100", isl=64, concurrency=1, speculate="gamma=4,acceptance=0.7")
    assert caught.value.field == "speculate"


@pytest.mark.parametrize("part", ["nvidia-l4", "groq-lpu-v1", "cerebras-wse-3"])
def test_an_open_layout_leaves_room_for_drafts(part):
    asked = {"isl": 512, "osl": 64, "concurrency": 1}
    plain = ask("llama-3.1-8b", part, **asked)
    drafting = ask("llama-3.1-8b", part, speculate="gamma=4,acceptance=0.7,draft=llama-3.2-3b", **asked)
    assert plain.fits and drafting.fits
    assert drafting.inputs["count"] >= plain.inputs["count"]
    assert drafting.label == "extrapolated" and any("is yours" in note for note in drafting.fallbacks)


# caches and images


@pytest.mark.parametrize(("name", "field"), [("keep", "kv_keep"), ("read", "kv_read")])
@pytest.mark.parametrize("value", [0, -5])
def test_no_cache_of_no_tokens(name, field, value):
    with pytest.raises(BadInput) as caught:
        with_cache_policy(load_model("llama-3.1-8b"), **{name: value})
    refused(caught, field)


@few
@given(st.sampled_from(sorted(models())), st.integers(1, 100_000), st.integers(1, 100_000))
def test_a_policy_only_ever_makes_a_cache_smaller(slug, keep, read):
    model = load_model(slug)
    smaller = with_cache_policy(model, keep=keep, read=read)
    for before, after in zip(model.layers, smaller.layers, strict=True):
        if before.attention is None or not before.attention.causal:
            assert after == before
            continue
        assert after.attention is not None
        assert after.attention.window == min(before.attention.window or math.inf, keep)
        assert after.attention.selected == min(before.attention.selected or math.inf, read)
    assert with_cache_policy(model) is model


@pytest.mark.parametrize(
    "size", ["", "1024", "1024x", "x768", "0x768", "-1x5", "1024*768", "1e3x768", "1024x768x3", "100000x1"]
)
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(BadInput) as caught:
        with_images(load_model("gemma-3-27b"), 1, size)
    refused(caught, "image_size")


def test_images_need_eyes():
    for model, images in (("llama-3.1-8b", 1), ("gemma-3-27b", -1)):
        with pytest.raises(BadInput) as caught:
            with_images(load_model(model), images, "1024x768")
        refused(caught, "images")
    assert with_images(load_model("llama-3.1-8b"), 0, "nonsense")[1] == 0


def test_images_take_their_place_in_the_prompt_and_are_named():
    asked = {"isl": 500, "osl": 64, "concurrency": 1}
    plain, seeing = (ask("gemma-3-27b", "h100", images=n, image_size="1024x768", **asked) for n in (0, 3))
    assert seeing.inputs["workload"]["input_tokens"] == 500 + 3 * 256
    assert seeing.metrics["ttft_s"].value > plain.metrics["ttft_s"].value
    text = ask("gemma-3-27b", "h100", **(asked | {"isl": 1268}))
    assert seeing.metrics["ttft_s"].value > text.metrics["ttft_s"].value  # the tower is not free
    assert np.isclose(seeing.metrics["itl_s"].value, text.metrics["itl_s"].value, rtol=1e-6)
    assert any("768 of its input tokens" in note for note in seeing.fallbacks) and seeing.label == "extrapolated"
