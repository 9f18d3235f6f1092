"""The table of operators conserves: its FLOPs are those of the active weights, its bytes those of the streamed ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, model_ids, models
from inferatlas.errors import NotModelled
from inferatlas.predict.handbook.operator_law import gemm
from inferatlas.predict.handbook.state_space import decode_bytes, decode_flop
from inferatlas.predict.llm.operators import Gemm, Vector, operators
from inferatlas.predict.llm.parameters import count, expert_parameters, stack
from inferatlas.predict.llm.recurrence import small_parameters, state_bytes

MODELLED = [slug for slug in model_ids() if models()[slug].not_modelled is None]
VECTORS = [slug for slug in MODELLED if models()[slug].embeds]
DECODING = [slug for slug in MODELLED if slug not in VECTORS]
SOURCES = [slug for slug in DECODING if models()[slug].encoder]  # encoder-decoders
IN_CHUNKS = [
    slug for slug in DECODING
    if slug not in SOURCES and all(g.recurrence is None or g.recurrence.form == "mamba1" for g in models()[slug].layers)
]  # fmt: skip
EXPERTS = [slug for slug in MODELLED if any(g.ffn and g.ffn.is_moe for g in models()[slug].layers)]
NOT_MODELLED = Path(__file__).parents[2] / "not_modelled"


def multiplied(model: ModelConfig, *, every_expert: bool = False) -> int:
    """Weights that one token multiplies, from the counts: no tables, norms, biases and small tensors of states.

    A token of an answer does not make the keys and values of a source; the head comes with it where there is one.
    """
    held, hidden = stack(model.layers, model.hidden, model.hidden), model.hidden
    total = held.attention + held.ffn + held.router + held.recurrence + (0 if model.embeds else model.vocab * hidden)
    for group in model.layers:
        if group.ffn and group.ffn.is_moe and not every_expert:
            total -= group.count * (group.ffn.experts - group.ffn.top_k) * expert_parameters(group.ffn, hidden)
        if group.recurrence:
            total -= group.count * small_parameters(group.recurrence, hidden)
        if group.cross:
            total -= group.count * 2 * hidden * group.cross.kv_heads * group.cross.head_dim
    return total


def states(model: ModelConfig, batch: float) -> tuple[float, float]:
    """FLOP and bytes of all recurrent layers in a decode step, equation (5), by the handbook."""
    found = [(g.count, g.recurrence) for g in model.layers if g.recurrence]
    flop = sum(n * float(decode_flop(r.inner, r.key, batch)) for n, r in found)
    return flop, sum(n * float(decode_bytes(state_bytes(r, model.hidden), batch)) for n, r in found)


def seen_at_once(model: ModelConfig) -> float:
    """FLOP per token of an encoder-decoder whose source and answer are one token each."""
    blocks = [(g.count, a) for g in model.layers for a in (g.attention, g.cross) if g.cross and a]
    return sum(n * 4.0 * a.heads * a.head_dim for n, a in blocks)


@pytest.mark.parametrize("slug", DECODING)
def test_a_decode_step_does_two_flops_per_active_weight_and_sequence(ops_of, run_step, counting, slug):
    model = models()[slug]
    # exact per sequence: routing sends every token to top_k experts whatever the batch
    for batch in (1, 7):
        flops = run_step(ops_of(slug), counting, decode=batch, context=0).flop_s[0]
        of_mixers = states(model, batch)[0] + batch * seen_at_once(model)
        assert flops == pytest.approx(batch * 2 * multiplied(model) + of_mixers, rel=1e-12)


@pytest.mark.parametrize("slug", VECTORS)
def test_a_prompt_of_an_embedding_model_is_products_and_pairs_and_a_pooler_once(ops_of, run_step, counting, slug):
    model, q = models()[slug], 200
    flops = run_step(ops_of(slug), counting, prefill=q).flop_s[0]
    (attention,) = {g.attention for g in model.layers}
    pairs = q * (q + 1) / 2 if attention.causal else q * q
    mixing = model.layer_count * 4 * attention.heads * attention.head_dim * pairs
    pooled = 2 * model.hidden**2 if model.pooler else 0
    assert flops == pytest.approx(q * 2 * multiplied(model) + mixing + pooled, rel=1e-12)


@pytest.mark.parametrize("slug", DECODING)
def test_a_large_batch_streams_every_weight_once(ops_of, run_step, weights_only, slug):
    model, p, batch = models()[slug], count(models()[slug]), 4000
    streamed = run_step(ops_of(slug), weights_only, decode=batch, context=0).byte_s[0]
    one_token_each = 2 * batch * 2 * sum(
        g.count * a.kv_heads * a.head_dim for g in model.layers for a in (g.attention, g.cross) if g.cross and a
    )  # fmt: skip
    weights = multiplied(model, every_expert=True)
    assert streamed - states(model, batch)[1] - one_token_each == pytest.approx(2 * weights, rel=1e-9)
    # norms, biases and small tensors of states, which the table leaves out, are small
    assert 0 <= p.streamed - weights < 0.005 * p.streamed


@pytest.mark.parametrize("slug", EXPERTS)
def test_a_single_token_streams_the_experts_it_takes(ops_of, run_step, weights_only, slug):
    one = run_step(ops_of(slug), weights_only, decode=1, context=0).byte_s[0]
    assert one - states(models()[slug], 1)[1] == pytest.approx(2 * multiplied(models()[slug]), rel=1e-9)


@pytest.mark.parametrize("slug", DECODING)
def test_5_6_attention_flops_and_cache_bytes_grow_with_context_as_the_equations_say(ops_of, run_step, counting, slug):
    ops, batch, s = ops_of(slug), 5, 60  # 120 tokens are shorter than every window and every selection
    here, there = (run_step(ops, counting, decode=batch, context=c) for c in (s, 2 * s))
    pair = moved = 0.0
    for group in ops.model.layers:
        if (a := group.attention) is None:
            continue
        pair += group.count * (2 * a.heads * (2 * a.kv_lora + a.rope_dim) if a.kv_lora else 4 * a.heads * a.head_dim)
        moved += group.count * 2 * (a.kv_lora + a.rope_dim if a.kv_lora else 2 * a.kv_heads * a.head_dim)
        if a.index_heads:  # DeepSeek-V3.2: one key of a byte a value and a scale, scored by all small heads
            pair += group.count * 2 * a.index_heads * a.index_dim
            moved += group.count * a.index_dim * 132 / 128
    assert there.flop_s[0] - here.flop_s[0] == pytest.approx(batch * s * pair, rel=1e-9)
    assert there.byte_s[0] - here.byte_s[0] == pytest.approx(batch * s * moved, rel=1e-6)


@given(st.sampled_from(IN_CHUNKS), st.lists(st.integers(1, 4000), min_size=1, max_size=6))
def test_12_a_prefill_in_chunks_does_the_flops_of_the_whole(ops_of, run_step, counting, slug, chunks):
    assert_same_in_chunks(ops_of(slug), run_step, counting, chunks)


@given(
    st.sampled_from(sorted(set(DECODING) - set(IN_CHUNKS) - set(SOURCES))),
    st.lists(st.integers(1, 8).map(lambda n: 256 * n), min_size=1, max_size=5),
)
def test_5_states_pass_from_chunk_to_chunk_of_a_prefill(ops_of, run_step, counting, slug, chunks):
    # recurrent kernels take 256 tokens together: parts that these divide are the whole
    assert_same_in_chunks(ops_of(slug), run_step, counting, chunks)


def assert_same_in_chunks(ops, run_step, counting, chunks):
    whole = run_step(ops, counting, prefill=sum(chunks)).flop_s[0]
    starts = np.concatenate([[0], np.cumsum(chunks)[:-1]])
    parts = sum(run_step(ops, counting, prefill=c, cached=s).flop_s[0] for c, s in zip(chunks, starts, strict=True))
    heads = 2 * ops.model.vocab * ops.model.hidden * (len(chunks) - 1)  # each chunk also yields logits
    assert parts - heads == pytest.approx(whole, rel=1e-9)


def test_who_sees_later_tokens_takes_a_prompt_whole(ops_of):
    whole = {slug for slug in MODELLED if ops_of(slug).whole_prompts}
    assert whole == {slug for slug in MODELLED if models()[slug].kind in ("embedding", "encoder-decoder")} - {
        "e5-mistral-7b"  # a decoder whose last token is the vector
    }


@given(st.sampled_from(DECODING), st.integers(1, 64), st.integers(0, 4000), st.integers(0, 2000))
def test_a_mixed_step_does_the_work_of_its_parts(ops_of, run_step, counting, slug, batch, context, prompt):
    ops = ops_of(slug)
    mixed = run_step(ops, counting, decode=batch, context=context, prefill=prompt).flop_s[0]
    alone = run_step(ops, counting, decode=batch, context=context).flop_s[0]
    first = run_step(ops, counting, prefill=prompt).flop_s[0]
    assert mixed == pytest.approx(alone + first, rel=1e-9)


def divides(slug, tp):
    """Whether so many ranks divide the heads of every layer."""
    groups = models()[slug].layers
    heads = [mixer.heads for g in groups for mixer in (g.attention, g.recurrence) if mixer is not None]
    return not any(n % tp for n in heads)


@pytest.mark.parametrize(("slug", "tp"), [(slug, tp) for slug in DECODING for tp in (2, 4, 8) if divides(slug, tp)])
def test_tensor_parallel_shards_sum_to_the_whole_or_repeat_what_cannot_be_divided(ops_of, run_step, counting, slug, tp):
    ops = ops_of(slug)
    whole = run_step(ops, counting, decode=3, context=50).flop_s[0]
    shards = tp * run_step(ops, counting, tp=tp, decode=3, context=50).flop_s[0]
    repeated = 0.0  # KV heads beyond their number, latents of MLA, routers, groups of a state, adapters
    for row in ops.gemms:
        if row.on == "prompts":
            continue
        repeated += row.count * row.replicated * (tp - 1)
        if row.kv_weights:
            repeated += row.count * row.kv_weights * (np.ceil(row.kv_heads / tp) * tp / row.kv_heads - 1)
    # the scores of an indexer are computed whole on every rank
    indexed = [(row.count, row.attention) for row in ops.attentions if row.attention.index_heads]
    repeated += sum(n * 50 * a.index_heads * a.index_dim * (tp - 1) for n, a in indexed)
    assert shards == pytest.approx(whole + 3 * 2 * repeated, rel=1e-12)


def test_25_two_reductions_a_layer_and_one_for_a_block_that_is_absent(ops_of):
    assert ops_of("llama-3.1-8b").reductions == 2 * 32
    assert ops_of("llama-3.1-8b").expert_reductions == 0
    assert ops_of("mixtral-8x7b").expert_reductions == 32
    pruned = ops_of("nemotron-super-49b")
    blocks = sum(g.count * ((g.attention is not None) + (g.ffn is not None)) for g in pruned.model.layers)
    assert pruned.reductions == blocks < 2 * pruned.layers


def test_25_reductions_of_recurrent_layers_and_encoders(ops_of):
    # the product that makes B, C and the step of Mamba-1 sums over channels, which ranks have divided
    assert ops_of("falcon-mamba-7b").reductions == 2 * 64
    assert ops_of("mamba2-2.7b").reductions == 64
    assert ops_of("rwkv-6-world-7b").reductions == 2 * 32
    t5 = ops_of("flan-t5-xxl")
    assert (t5.prompt_reductions, t5.reductions) == (2 * 24, 3 * 24)


def test_a_tower_is_there_with_images_only_and_whole_on_every_rank():
    model = load_model("gemma-3-27b")
    text, seeing = operators(model), operators(model, images=2, patches=4096)
    tower = [row for row in seeing.rows if row.name.startswith("vision_") or row.name == "vision_projector"]
    assert set(seeing.rows) - set(text.rows) == set(tower)
    assert (seeing.patches, seeing.images, text.patches) == (8192, 2, 0)
    for row in tower:
        if isinstance(row, Gemm):
            assert row.on == "images" and row.weights == row.kv_weights == row.io_split == 0 < row.replicated
    tower_weights = stack(model.vision.layers, model.vision.hidden, 0)
    of_layers = tower_weights.attention + tower_weights.ffn
    assert sum(r.count * r.replicated for r in tower if isinstance(r, Gemm) and "projector" not in r.name) == of_layers


def test_merged_rows_keep_their_counts(ops_of):
    for slug in MODELLED:
        ops = ops_of(slug)
        groups = (*ops.model.layers, *ops.model.encoder)
        attends = sum(g.count * ((g.attention is not None) + (g.cross is not None)) for g in groups)
        assert sum(row.count for row in ops.attentions) == attends
        assert sum(row.count for row in ops.recurrences) == sum(g.count for g in groups if g.recurrence)
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
    assert list(model_ids()) == MODELLED
    with pytest.raises(NotModelled):
        operators(load_model(str(NOT_MODELLED)))


def test_a_plain_product_of_the_table_moves_what_equation_3_says(ops_of):
    # the feed-forward down-projection of Llama-3.1-8B: [M x 14336] times [14336 x 4096]
    row = next(row for row in ops_of("llama-3.1-8b").gemms if row.name == "ffn_down")
    flop, moved = gemm(32, 14336, 4096)
    assert 2 * 32 * row.weights == flop
    assert 2 * row.weights + 2 * 32 * (row.io_whole + row.io_split) == moved
