"""Equations (4), (5), (31) and (32): values cached per token, intensity of decode, restoring, the longest context."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention, FeedForward, Layers, ModelConfig
from inferatlas.catalogue.models import load_model, model_ids, models
from inferatlas.errors import BadInput, NotModelled
from inferatlas.predict.handbook.kv_cache import (
    decode_intensity,
    kv_values_per_token,
    longest_context,
    recompute_time,
    restore_time,
    restored_from,
    restoring_rate,
)

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


def test_what_is_not_modelled_is_not_counted():
    with pytest.raises(NotModelled, match="not modelled yet") as caught:
        kv_values_per_token(load_model(Path(__file__).parents[2] / "not_modelled"))
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


tokens = st.integers(1, 1_000_000)
rates = st.floats(1e8, 1e12)


@given(tokens, st.floats(1e3, 1e6), st.floats(10, 1e6))
def test_31_at_the_break_even_rate_restoring_takes_as_long_as_computing(count, kv, prefill):
    rate = float(restoring_rate(kv, prefill))
    again = float(recompute_time(count, prefill))
    assert float(restore_time(count, kv, rate)) == pytest.approx(again)
    assert float(restore_time(count, kv, 1.01 * rate)) < again < float(restore_time(count, kv, 0.99 * rate))


@given(tokens, st.floats(1e3, 1e6), rates, st.floats(10, 1e6), st.floats(1e-6, 0.1))
def test_31_a_late_tier_wins_from_the_break_even_prompt(count, kv, rate, prefill, latency):
    first = float(restored_from(kv, rate, prefill, latency))
    wins = float(restore_time(count, kv, rate, latency)) < float(recompute_time(count, prefill))
    if count > first * (1 + 1e-6):
        assert wins
    elif count < first * (1 - 1e-6):
        assert not wins
    if rate < float(restoring_rate(kv, prefill)):
        assert first == float("inf")


def test_31_one_drive_restores_an_8b_model_faster_than_it_is_computed():
    # Gen4 drive of 7 GB/s at 90 µs, an H100 that reads prompts at 20,000 tokens/s: 131,072 B x 20,000/s = 2.6 GB/s
    assert float(restoring_rate(131_072, 20_000)) / 1e9 == pytest.approx(2.62, abs=0.01)
    assert float(restored_from(131_072, 7e9, 20_000, 90e-6)) < 16  # less than a block
    assert float(restore_time(32_768, 131_072, 7e9, 90e-6)) < 0.4 * float(recompute_time(32_768, 20_000))


@pytest.mark.parametrize(
    "wrong", [lambda: restore_time(-1, 1.0, 1.0), lambda: recompute_time(1, 0.0), lambda: restored_from(1, 0.0, 1, 0)]
)
def test_31_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
