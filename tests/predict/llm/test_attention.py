"""Equations (4) to (6): what attention multiplies, holds and reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention
from inferatlas.predict.llm import attention as att

GQA = Attention(heads=64, kv_heads=8, head_dim=128)
MLA = Attention(128, 128, 128, q_lora=1536, kv_lora=512, rope_dim=64, v_dim=128)
windows = st.one_of(st.none(), st.integers(1, 5000))


@given(st.integers(0, 300), st.integers(0, 300), st.one_of(st.none(), st.integers(1, 400)))
def test_5_pairs_are_counted_row_by_row(new, cached, window):
    rows = range(cached + 1, cached + new + 1)
    assert att.pairs(new, cached, window) == sum(min(row, window or row) for row in rows)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8), st.integers(0, 4000), windows)
def test_12_chunks_of_a_prefill_do_the_attention_of_the_whole(chunks, cached, window):
    starts = cached + np.concatenate([[0], np.cumsum(chunks)[:-1]])
    assert att.pairs(chunks, starts, window).sum() == pytest.approx(float(att.pairs(sum(chunks), cached, window)))


@given(st.integers(0, 10**6), st.integers(1, 10**5))
def test_4_a_window_keeps_at_most_its_tokens(context, window):
    assert att.kept(context, window) == min(context, window)
    assert att.kept(context, None) == context


@pytest.mark.parametrize(
    ("model", "bytes_per_token"),
    [("llama-3.1-8b", 131_072), ("llama-3.3-70b", 327_680), ("llama-2-7b", 524_288), ("deepseek-r1", 70_272)],
)
def test_4_cache_of_a_token_over_all_layers_at_16_bit(ops_of, model, bytes_per_token):
    rows = ops_of(model).attentions
    assert 2 * sum(row.count * att.kv_values(row.attention) for row in rows) == bytes_per_token


def test_4_heads_are_replicated_beyond_their_number_and_mla_is_never_divided():
    shares = att.kv_values_per_rank(GQA, [1, 2, 4, 8, 16, 32])
    assert shares.tolist() == [2048, 1024, 512, 256, 256, 256]
    assert set(att.kv_values_per_rank(MLA, [1, 8, 64]).tolist()) == {576.0}


def test_5_absorbed_mla_decode_costs_2h_times_2r_plus_rope_and_prefill_less():
    assert att.flops_per_pair(MLA, decode=True) == 2 * 128 * (2 * 512 + 64)
    assert att.flops_per_pair(MLA, decode=False) == 2 * 128 * (128 + 64 + 128)
    assert att.flops_per_pair(GQA, decode=True) == att.flops_per_pair(GQA, decode=False) == 4 * 64 * 128
