"""Equations (4), (5) and (32): values cached per token, intensity of decode, and the longest context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig
from inferatlas.catalogue.models import load_model, model_ids, models
from inferatlas.errors import NotModelled
from inferatlas.predict.handbook.kv_cache import decode_intensity, kv_values_per_token, longest_context

GQA = Attention(heads=64, kv_heads=8, head_dim=128)
MLA = Attention(128, 128, 128, q_lora=1536, kv_lora=512, rope_dim=64, v_dim=128)
MODELLED = [slug for slug in model_ids() if models()[slug].not_modelled is None]


@pytest.mark.parametrize(
    ("slug", "bytes_per_token"),
    [("llama-3.1-8b", 131_072), ("llama-3.1-70b", 327_680), ("llama-2-7b", 524_288), ("deepseek-r1", 70_272)],
)
def test_4_gives_its_acceptance_values_at_16_bit(slug, bytes_per_token):
    assert 2 * kv_values_per_token(load_model(slug)) == bytes_per_token


@pytest.mark.parametrize("slug", MODELLED)
def test_4_values_equal_the_facts(slug):
    facts = models()[slug].facts
    assert facts is not None
    assert kv_values_per_token(models()[slug]) == facts.number("kv.values_per_token")


def test_4_a_uniform_formula_would_cache_nemotron_two_thirds_larger():
    uniform = Layers(80, GQA, FeedForward(28672))
    naive = ModelConfig("x", "x", "x", "dense", 8192, 128256, (uniform,), False, 131072)
    nemotron = load_model("nemotron-super-49b")
    assert kv_values_per_token(naive) / kv_values_per_token(nemotron) == pytest.approx(1.63, abs=0.01)


@pytest.mark.parametrize("slug", sorted(set(model_ids()) - set(MODELLED)))
def test_what_is_not_modelled_is_not_counted(slug):
    with pytest.raises(NotModelled, match="not modelled yet") as caught:
        kv_values_per_token(models()[slug])
    assert caught.value.exit_code == 3


def test_5_decode_intensity_is_8_for_gqa_and_242_for_mla():
    assert decode_intensity(GQA, 2.0) == 8.0
    assert decode_intensity(MLA, 2.0) == pytest.approx(241.8, abs=0.05)


@given(st.floats(1e9, 1e12), st.floats(0.5, 1.0), st.floats(0, 1e12), st.integers(1, 300), st.sampled_from([1, 16, 64]))
def test_32_the_longest_context_fits_and_one_block_more_does_not(capacity, fraction, weights, sequences, block):
    kv = 131_072.0
    longest = longest_context(capacity, fraction, weights, 0.0, kv, sequences, block)
    room = capacity * fraction - weights
    assert longest % block == 0
    if longest:
        assert longest * kv * sequences <= room * (1 + 1e-12)
    if room > 0:
        assert (longest + block) * kv * sequences > room * (1 - 1e-12)
