"""The table of operators conserves: its FLOPs are those of the active weights, its bytes those of the streamed ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import model_ids, models
from inferatlas.errors import NotModelled
from inferatlas.predict.handbook.operator_law import gemm
from inferatlas.predict.llm.operators import Gemm, Vector, operators
from inferatlas.predict.llm.parameters import count, expert_parameters

MODELLED = [slug for slug in model_ids() if models()[slug].not_modelled is None]
EXPERTS = [slug for slug in MODELLED if any(g.ffn and g.ffn.is_moe for g in models()[slug].layers)]


def multiplied(slug: str) -> int:
    """Weights that one token multiplies: active ones without tables, norms and biases, and the output projection."""
    model, p = models()[slug], count(models()[slug])
    moe = [(g.count, g.ffn) for g in model.layers if g.ffn and g.ffn.is_moe]
    idle = sum(n * (f.experts - f.top_k) * expert_parameters(f, model.hidden) for n, f in moe)
    return p.attention + p.ffn + p.router - idle + model.vocab * model.hidden


@pytest.mark.parametrize("slug", MODELLED)
def test_a_decode_step_does_two_flops_per_active_weight_and_sequence(ops_of, run_step, counting, slug):
    ops = ops_of(slug)
    # exact per sequence: routing sends every token to top_k experts whatever the batch
    for batch in (1, 7):
        flops = run_step(ops, counting, decode=batch, context=0).flop_s[0]
        assert flops == pytest.approx(batch * 2 * multiplied(slug), rel=1e-12)


@pytest.mark.parametrize("slug", MODELLED)
def test_a_large_batch_streams_every_weight_once(ops_of, run_step, weights_only, slug):
    p = count(models()[slug])
    norms_and_biases = p.norms + p.biases + (models()[slug].vocab if models()[slug].lm_head_bias else 0)
    streamed = run_step(ops_of(slug), weights_only, decode=1e6, context=0).byte_s[0] / 2
    assert streamed == pytest.approx(p.streamed - norms_and_biases, rel=1e-9)
    assert norms_and_biases < 0.002 * p.streamed  # what the table leaves out is small


@pytest.mark.parametrize("slug", EXPERTS)
def test_a_single_token_streams_the_experts_it_takes(ops_of, run_step, weights_only, slug):
    one = run_step(ops_of(slug), weights_only, decode=1, context=0).byte_s[0] / 2
    assert one == pytest.approx(multiplied(slug), rel=1e-9)


@pytest.mark.parametrize("slug", MODELLED)
def test_5_6_attention_flops_and_cache_bytes_grow_with_context_as_the_equations_say(ops_of, run_step, counting, slug):
    ops, batch, s = ops_of(slug), 5, 60  # 120 tokens are shorter than every window
    here, there = (run_step(ops, counting, decode=batch, context=c) for c in (s, 2 * s))
    pair = values = 0
    for row in ops.attentions:
        a = row.attention
        pair += row.count * (2 * a.heads * (2 * a.kv_lora + a.rope_dim) if a.kv_lora else 4 * a.heads * a.head_dim)
        values += row.count * (a.kv_lora + a.rope_dim if a.kv_lora else 2 * a.kv_heads * a.head_dim)
    assert there.flop_s[0] - here.flop_s[0] == pytest.approx(batch * s * pair, rel=1e-9)
    assert there.byte_s[0] - here.byte_s[0] == pytest.approx(batch * s * values * 2, rel=1e-6)


@given(st.sampled_from(MODELLED), st.lists(st.integers(1, 4000), min_size=1, max_size=6))
def test_12_a_prefill_in_chunks_does_the_flops_of_the_whole(ops_of, run_step, counting, slug, chunks):
    ops, total = ops_of(slug), sum(chunks)
    whole = run_step(ops, counting, prefill=total).flop_s[0]
    starts = np.concatenate([[0], np.cumsum(chunks)[:-1]])
    parts = sum(run_step(ops, counting, prefill=c, cached=s).flop_s[0] for c, s in zip(chunks, starts, strict=True))
    heads = 2 * ops.model.vocab * ops.model.hidden * (len(chunks) - 1)  # each chunk also yields logits
    assert parts - heads == pytest.approx(whole, rel=1e-9)


@given(st.sampled_from(MODELLED), st.integers(1, 64), st.integers(0, 4000), st.integers(0, 2000))
def test_a_mixed_step_does_the_work_of_its_parts(ops_of, run_step, counting, slug, batch, context, prompt):
    ops = ops_of(slug)
    mixed = run_step(ops, counting, decode=batch, context=context, prefill=prompt).flop_s[0]
    alone = run_step(ops, counting, decode=batch, context=context).flop_s[0]
    first = run_step(ops, counting, prefill=prompt).flop_s[0]
    assert mixed == pytest.approx(alone + first, rel=1e-9)


@pytest.mark.parametrize("slug", MODELLED)
@pytest.mark.parametrize("tp", [2, 4, 8])
def test_tensor_parallel_shards_sum_to_the_whole_or_repeat_what_cannot_be_divided(ops_of, run_step, counting, slug, tp):
    ops = ops_of(slug)
    if any(row.attention.heads % tp for row in ops.attentions):
        pytest.skip(f"{tp} does not divide the heads")
    whole = run_step(ops, counting, decode=3, context=50).flop_s[0]
    shards = tp * run_step(ops, counting, tp=tp, decode=3, context=50).flop_s[0]
    repeated = 0.0  # KV heads beyond their number, latents of MLA, routers
    for row in ops.gemms:
        repeated += row.count * row.replicated * (tp - 1)
        if row.kv_weights:
            repeated += row.count * row.kv_weights * (np.ceil(row.kv_heads / tp) * tp / row.kv_heads - 1)
    assert shards == pytest.approx(whole + 3 * 2 * repeated, rel=1e-12)


def test_25_two_reductions_a_layer_and_one_for_a_block_that_is_absent(ops_of):
    assert ops_of("llama-3.1-8b").reductions == 2 * 32
    assert ops_of("llama-3.1-8b").expert_reductions == 0
    assert ops_of("mixtral-8x7b").expert_reductions == 32
    pruned = ops_of("nemotron-super-49b")
    blocks = sum(g.count * ((g.attention is not None) + (g.ffn is not None)) for g in pruned.model.layers)
    assert pruned.reductions == blocks < 2 * pruned.layers


def test_merged_rows_keep_their_counts(ops_of):
    for slug in MODELLED:
        ops = ops_of(slug)
        assert sum(row.count for row in ops.attentions) == sum(g.count for g in ops.model.layers if g.attention)
        assert len({(row.name, row) for row in ops.rows}) == len(ops.rows)


def test_the_head_and_router_stay_16_bit_and_elementwise_work_has_no_products(ops_of, run_step, counting):
    ops = ops_of("mixtral-8x7b")
    assert {row.name for row in ops.gemms if row.wide} == {"lm_head", "router"}
    seen = {}
    run_step(ops, counting, decode=1, sink=lambda name, _count, **seconds: seen.update({name: seconds}))
    for row in ops.rows:
        if isinstance(row, Vector):
            assert np.sum(seen[row.name].get("compute", 0.0)) == 0.0
        elif isinstance(row, Gemm):
            assert np.sum(seen[row.name].get("compute", 0.0)) > 0.0


def test_models_without_a_performance_model_are_refused():
    slug = next(slug for slug in model_ids() if models()[slug].not_modelled is not None)
    with pytest.raises(NotModelled):
        operators(models()[slug])


def test_a_plain_product_of_the_table_moves_what_equation_3_says(ops_of):
    # the feed-forward down-projection of Llama-3.1-8B: [M x 14336] times [14336 x 4096]
    row = next(row for row in ops_of("llama-3.1-8b").gemms if row.name == "ffn_down")
    flop, moved = gemm(32, 14336, 4096)
    assert 2 * 32 * row.weights == flop
    assert 2 * row.weights + 2 * 32 * (row.io_whole + row.io_split) == moved
