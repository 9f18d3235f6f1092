"""The cache on its way: bytes by kind of attention, time on a shared link, what shows of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.performance.kv_transfer import cache_bytes, hidden_s, needed_bytes_per_s, transfer


@pytest.mark.parametrize(
    ("model", "tokens", "bytes_kv", "expected"),
    [
        ("llama-3.1-8b", 1000, 2.0, 1000 * 32 * 2 * 8 * 128 * 2.0),
        ("llama-3.1-8b", 1000, 1.0, 1000 * 32 * 2 * 8 * 128 * 1.0),
        ("deepseek-r1", 4096, 2.0, 4096 * 61 * (512 + 64) * 2.0),  # latent and rotary part only
    ],
)
def test_bytes_of_a_cache_by_kind_of_attention(model, tokens, bytes_kv, expected):
    assert float(cache_bytes(operators(load_model(model)), tokens, bytes_kv)) == pytest.approx(expected)


def test_a_window_bounds_what_its_layers_send():
    ops = operators(load_model("gpt-oss-120b"))
    windowed = [row for row in ops.attentions if row.attention.window]
    assert windowed
    short, long = (float(cache_bytes(ops, n, 2.0)) for n in (64, 64_000))
    assert long < 1000 * short


def test_an_idle_link_takes_bytes_over_rate_and_the_latency():
    sent = transfer(3e9, 1e-9, 30e9, 60e9, 0.0, 8, 1e-3)
    assert float(sent.seconds) == pytest.approx(0.101) and float(sent.exposed_s) == pytest.approx(0.101)


def test_a_prompt_hides_all_but_its_last_layer():
    assert float(hidden_s(1.0, 4)) == 0.75
    assert float(transfer(1e9, 1e-9, 1e9, 1e9, 1.0, 4).exposed_s) == pytest.approx(0.25)


def test_a_link_that_carries_less_than_is_sent_has_no_end():
    sent = transfer(1e9, 11.0, 10e9, 10e9, 1.0, 10)
    assert float(sent.utilisation) > 1 and np.isinf(sent.seconds) and np.isinf(sent.exposed_s)


sizes, rates, links, prompts = st.floats(1e5, 1e11), st.floats(1e-4, 1e3), st.floats(1e8, 1e12), st.floats(1e-3, 30.0)


@given(size=sizes, rate=rates, link=links, more=st.floats(1.0, 100.0), prompt=prompts)
def test_more_link_never_hurts(size, rate, link, more, prompt):
    less, plenty = (transfer(size, rate, w, w, prompt, 80) for w in (link, link * more))
    assert plenty.seconds <= less.seconds and plenty.exposed_s <= less.exposed_s
    assert plenty.utilisation <= less.utilisation


@given(size=sizes, rate=rates, prompt=prompts)
def test_on_the_link_that_is_needed_nothing_shows_and_nothing_queues_for_ever(size, rate, prompt):
    need = float(needed_bytes_per_s(size, rate, prompt, 80))
    assert need > rate * size
    enough, short = (transfer(size, rate, w, w, prompt, 80) for w in (need * 1.0001, need * 0.99))
    assert float(enough.exposed_s) <= 1e-6 * prompt
    assert float(short.exposed_s) > 0
