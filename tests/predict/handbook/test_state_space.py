"""Equations (4) and (5) for layers with a state: size, work, chunks, and when they beat attention."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention, FeedForward, Layers, Recurrence
from inferatlas.catalogue.models import load_model, models
from inferatlas.errors import BadInput
from inferatlas.predict.handbook import state_space as ss
from inferatlas.predict.handbook.kv_cache import kv_values_per_token
from inferatlas.predict.llm.attention import flops_per_pair, pairs
from inferatlas.predict.llm.recurrence import state_values

FALCON = Recurrence("mamba1", heads=8192, key=16, value=1, conv=4)
MAMBA2 = Recurrence("mamba2", heads=80, key=128, value=64, conv=4)
GQA = Attention(heads=32, kv_heads=8, head_dim=128)
sizes = st.integers(1, 256)
contexts = st.integers(0, 1_000_000)


def test_4_a_layer_of_falcon_mamba_and_of_mamba2_keep_what_is_stated():
    assert ss.recurrent_values(FALCON) == ss.mamba1_state(8192, 16, 4) == 155_648
    assert ss.matrix_state(80, 128, 64) == 655_360
    assert ss.recurrent_values(MAMBA2) == 655_360 + 3 * 5376 == 671_488


@pytest.mark.parametrize(
    ("slug", "layer", "layers"),
    [("falcon-mamba-7b", FALCON, 64), ("mamba2-2.7b", MAMBA2, 64), ("jamba-1.5-mini", FALCON, 28)],
)
def test_4_the_facts_hold_one_tap_more(slug, layer, layers):
    # implementations keep the newest input of the convolution too: k taps for the k - 1 that the next token needs
    channels = layer.inner + (2 * layer.groups * layer.key if layer.form == "mamba2" else 0)
    facts = models()[slug].facts
    assert facts is not None
    assert layers * (ss.recurrent_values(layer) + channels) == facts.number("state.values_per_sequence")


@given(sizes, sizes, sizes, st.integers(1, 8), st.integers(2, 8))
def test_4_predictions_count_the_same_state(heads, key, value, groups, taps):
    layers = (
        Recurrence("mamba1", heads=heads, key=key, value=1, conv=taps),
        Recurrence("mamba2", heads=heads, key=key, value=value, groups=groups, conv=taps),
        Recurrence("rwkv7", heads=heads, key=key, value=key),
    )
    assert [ss.recurrent_values(layer) for layer in layers] == [state_values(layer, layer.inner) for layer in layers]


@pytest.mark.parametrize("slug", ["rwkv-6-world-7b", "rwkv-7-world-7.2b"])
def test_4_rwkv_keeps_what_its_facts_say(slug):
    facts = models()[slug].facts
    assert facts is not None
    rwkv = Recurrence("rwkv6", heads=64, key=64, value=64)
    assert 32 * ss.recurrent_values(rwkv) == facts.number("state.values_per_sequence")


@given(st.integers(0, 60), st.integers(0, 60), contexts)
def test_4_a_hybrid_is_the_sum_of_its_kinds_of_layers(recurrent, attending, context):
    ffn = FeedForward(14336)
    mixed = [Layers(recurrent, None, ffn, recurrence=MAMBA2), Layers(attending, GQA, ffn)]
    kv = 2 * 8 * 128
    assert float(ss.values_held(mixed, context)) == recurrent * 671_488 + attending * kv * context
    windowed = [Layers(attending, Attention(32, 8, 128, window=4096), ffn)]
    assert float(ss.values_held(windowed, context)) == attending * kv * min(context, 4096)


def test_4_of_a_transformer_is_its_cache():
    llama = load_model("llama-3.1-8b")
    assert float(ss.values_held(llama.layers, 1000)) == 1000 * kv_values_per_token(llama)


@given(sizes, sizes, sizes, sizes, st.floats(0.5, 4))
def test_5_decode_is_bound_by_memory_whatever_the_batch(heads, key, value, batch, width):
    state = width * ss.matrix_state(heads, key, value)
    intensity = ss.decode_flop(heads * value, key, batch) / ss.decode_bytes(state, batch)
    assert float(intensity) == pytest.approx(3.0 / width)
    assert float(ss.decode_intensity(heads * value, key, state)) == pytest.approx(3.0 / width)
    assert 3.0 / width < 10  # ridge points are 153 to 295


def test_5_prefill_of_one_chunk_is_attention_without_a_mask_and_the_state():
    # with keys and values of one size: 2 T² H d each for scores and values, 2 T H d² each into the state and out of it
    tokens, heads, size = 64, 8, 32
    by_hand = 2 * 2 * tokens**2 * heads * size + 2 * 2 * tokens * heads * size**2
    assert float(ss.prefill_flop(1, tokens, heads, size, size, tokens)) == by_hand


@given(sizes, sizes, sizes, st.integers(1, 1024), st.integers(1, 100_000), st.integers(1, 64))
def test_5_prefill_is_linear_in_the_prompt_and_grows_with_the_chunk(heads, key, value, chunk, tokens, batch):
    one = float(ss.prefill_flop(1, 1, heads, key, value, chunk))
    assert float(ss.prefill_flop(batch, tokens, heads, key, value, chunk)) == pytest.approx(batch * tokens * one)
    assert float(ss.prefill_flop(1, 1, heads, key, value, chunk + 1)) > one


@given(sizes, sizes, st.floats(1, 8), st.floats(1e13, 1e16), st.floats(1e11, 1e13))
def test_5_no_chunk_is_faster_than_the_best(key, value, width, peak, bandwidth):
    best = float(ss.best_chunk(key, value, width, peak, bandwidth))

    def seconds(chunk):
        return ss.prefill_time(4096, 8, key, value, chunk, width, peak, bandwidth)

    others = best * np.geomspace(0.01, 100, 401)
    assert float(seconds(best)) <= float(seconds(others).min()) * (1 + 1e-12)
    assert others[seconds(others).argmin()] == pytest.approx(best, rel=0.02)


def test_5_the_chunk_of_mamba2_is_near_the_best_on_an_h100_and_an_a100():
    best = ss.best_chunk(128, 64, 4.0, [989e12, 312e12], [3.35e12, 2.039e12])
    assert np.all((best > 128) & (best < 256))
    at = [float(ss.prefill_time(8192, 80, 128, 64, chunk, 4.0, 989e12, 3.35e12)) for chunk in (256, float(best[0]))]
    assert at[0] < 1.01 * at[1]


@given(st.floats(1e3, 1e8), st.floats(1, 1e5), contexts)
def test_from_the_break_even_context_a_state_is_smaller_and_moves_less(state, kv, context):
    smaller, faster = float(ss.smaller_from(state, kv)), float(ss.faster_from(state, kv))
    assert (state < context * kv) == (context > smaller) or context == pytest.approx(smaller)
    assert (float(ss.decode_bytes(state, 1)) < context * kv) == (context > faster) or context == pytest.approx(faster)
    assert faster == 2 * smaller


def test_a_layer_of_falcon_mamba_is_smaller_than_one_of_llama_from_76_tokens():
    assert float(ss.smaller_from(2 * 155_648, 2 * 2048)) == 76.0
    # Mamba-2 keeps larger states in 32 bit, which is passed after several hundred tokens
    assert 600 < float(ss.smaller_from(4 * 655_360 + 2 * 3 * 5376, 2 * 2048)) < 700


@given(sizes, sizes, sizes, st.integers(1, 512), sizes, sizes)
def test_5_from_the_break_even_prompt_it_takes_fewer_flop_than_attention(heads, key, value, chunk, others, size):
    attention = Attention(others, others, size)
    prompt = float(ss.fewer_flop_from(heads, key, value, chunk, others, size))

    def work(tokens):
        return float(ss.prefill_flop(1, tokens, heads, key, value, chunk)), flops_per_pair(
            attention, decode=False
        ) * float(pairs(tokens, 0))

    if prompt > 1:
        recurrent, attending = work(prompt)
        assert recurrent == pytest.approx(attending)
    recurrent, attending = work(prompt * 1.01 + 1)
    assert recurrent < attending


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ss.decode_bytes(-1.0, 1),
        lambda: ss.prefill_flop(1, 1, 80, 128, 64, 0),
        lambda: ss.best_chunk(128, 64, 4.0, 0.0, 1e12),
        lambda: ss.smaller_from(1e6, 0.0),
        lambda: ss.values_held([], -1),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
