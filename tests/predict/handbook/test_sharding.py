"""Equations (25) and (26): what a divided layer sends, and how far dividing it pays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook import sharding
from inferatlas.predict.performance.parallelism import ExpertLayer
from inferatlas.predict.performance.platform_table import platform_table


@given(st.sampled_from([2, 4, 8, 16, 32, 64]), st.integers(1, 32), st.integers(1, 10**5))
def test_26_volumes_stand_as_k_to_n(n, top_k, tokens):
    layer = ExpertLayer(256, top_k, 1, 4096)
    ratio = sharding.expert_parallel_bytes(layer, n, tokens) / sharding.tensor_parallel_bytes(layer, n, tokens)
    assert ratio == pytest.approx(top_k / n)


@given(st.integers(1024, 65536), st.floats(1e9, 1e12), st.integers(1, 1024), st.floats(1e11, 1e13), st.floats(0.01, 10))
def test_25_at_the_limit_a_device_streams_its_share_while_the_rows_cross_its_link(width, link, batch, memory, times):
    limit = float(sharding.decode_sharding_limit(width, link, batch, memory))
    hidden = 4096  # of either, 16 bit: it cancels
    streaming = 2 * width * hidden / (times * limit) / memory
    crossing = 2 * batch * hidden / link
    assert streaming / crossing == pytest.approx(1 / times)  # more devices than the limit wait for their links


@given(st.sampled_from([2, 4, 8]), st.integers(64, 100_000), st.floats(1e9, 1e13))
def test_25_a_ring_shows_in_a_step_where_attention_does_not_hide_it(
    ops_of, run_step, make_device, lossless, n, tokens, link
):
    ops, seen = ops_of("llama-3.1-8b"), {}

    def sink(name, _count, **seconds):
        seen[name] = sum(float(np.sum(value)) for value in seconds.values())

    run_step(ops, platform_table([lossless(make_device(link=link))]), cp=n, prefill=tokens, sink=sink)
    attention, sent = seen["attention"] / ops.layers, tokens / n * 2 * 8 * 128 * 2
    # a step hides n-1 sends behind all its attention, which is n blocks
    if sharding.ring_is_hidden(attention / (n - 1) * (1 - 1e-6), sent, link):
        assert seen["context ring"] == 0
    elif not sharding.ring_is_hidden(attention / (n - 1) * (1 + 1e-6), sent, link):
        assert seen["context ring"] > 0
