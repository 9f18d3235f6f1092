"""Equations (31) and (32): what reading less, quantising and evicting the cache save, and what widening costs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook.kv_cache import longest_context
from inferatlas.predict.handbook.kv_compression import (
    affordable_flop,
    compression_pays,
    effective_bits,
    kept_tokens,
    read_time,
    selected_bytes,
)

bandwidths = st.floats(1e11, 1e13)
vectors = st.floats(1e12, 1e15)
ratios = st.floats(1.0, 16.0)


@given(st.integers(0, 1_000_000), st.integers(0, 100_000), st.floats(1, 1e5), st.floats(0, 1e3))
def test_31_sparse_attention_reads_the_selected_tokens_and_every_index(context, selected, kv, index):
    read = float(selected_bytes(context, selected, kv, index))
    assert read == pytest.approx(min(context, selected) * kv + context * index)
    assert float(selected_bytes(context, selected, kv)) <= context * kv * (1 + 1e-12)


def test_31_the_indexer_of_deepseek_v32_bounds_what_selection_saves():
    # 2,048 of the tokens, 576 values each in 16 bit, chosen by an FP8 key of 128 values per token and layer
    read = selected_bytes([2048, 131_072], 2048, 2 * 576, 128)
    saved = np.array([2048, 131_072]) * 2 * 576 / read
    assert saved[0] < 1 and 7 < saved[1] < 9
    assert float(selected_bytes(1e9, 2048, 2 * 576, 128)) == pytest.approx(128e9, rel=1e-3)


@given(st.integers(0, 1_000_000), st.integers(0, 100_000), st.floats(0, 1))
def test_eviction_keeps_a_share_up_to_a_limit(context, limit, share):
    kept = float(kept_tokens(context, limit, share))
    assert kept <= min(context, limit)
    assert kept == pytest.approx(min(context * share, limit))


@given(ratios, st.floats(1e9, 1e11), st.floats(1e3, 1e6))
def test_32_compression_lengthens_the_longest_context_by_its_ratio(ratio, room, kv):
    plain, longer = (longest_context(room, 1.0, 0.0, 0.0, kv / r, block=1) for r in (1.0, ratio))
    assert longer == pytest.approx(ratio * plain, abs=ratio + 1)


@given(st.floats(1, 1e12), st.floats(0.5, 4), bandwidths, ratios)
def test_32_free_widening_divides_the_time_by_the_ratio(values, width, bandwidth, ratio):
    one, less = (float(read_time(values, width, bandwidth, r)) for r in (1.0, ratio))
    assert less == pytest.approx(one / ratio)


@given(st.floats(1, 1e12), st.floats(0.5, 4), ratios, st.floats(0, 200), bandwidths, vectors)
def test_32_it_pays_exactly_where_the_step_gets_shorter(values, width, ratio, flop, bandwidth, vector):
    most = float(affordable_flop(width, ratio, bandwidth, vector))
    one = float(read_time(values, width, bandwidth))
    if flop < most * (1 - 1e-6):
        assert bool(compression_pays(width, ratio, flop, bandwidth, vector))
        assert float(read_time(values, width, bandwidth, ratio, flop, vector)) < one
    elif flop > most * (1 + 1e-6):
        assert not bool(compression_pays(width, ratio, flop, bandwidth, vector))
        assert float(read_time(values, width, bandwidth, ratio, flop, vector)) > one * (1 - 1e-12)


def test_32_eight_to_ten_times_the_context_is_two_bits_with_little_beside_them():
    # Sharma: 8 to 10 times longer contexts from engines for the cache
    assert 16 / float(effective_bits(2.0)) == 8.0
    gear = float(effective_bits(2.0 + 2 * 16 / 128, 0.02, rank=4, rows=1024, columns=128))
    assert 5 < 16 / gear < 6  # scales and zeros of groups of 128, outliers and factors: half of it again is gone


@given(st.floats(1, 8), st.floats(0, 0.1), st.integers(0, 8), st.integers(64, 4096), st.sampled_from([64, 128, 256]))
def test_32_effective_bits_are_the_bits_of_a_block_counted(bits, sparse, rank, rows, columns):
    block = rows * columns
    counted = block * bits + 16 * sparse * block + 16 * rank * rows + 16 * rank * columns
    assert float(effective_bits(bits, sparse, rank, rows, columns)) == pytest.approx(counted / block)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: effective_bits(0.0),
        lambda: effective_bits(4.0, sparse_share=2.0),
        lambda: read_time(1e9, 2.0, 1e12, ratio=0.5),
        lambda: kept_tokens(100, 10, share=1.5),
        lambda: selected_bytes(-1, 10, 1.0),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
