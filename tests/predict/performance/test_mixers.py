"""What mixes tokens beyond causal attention: states (4), (5), encoders and cross attention, selections (31), images."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.model import Attention, Layers
from inferatlas.catalogue.models import load_model
from inferatlas.predict.handbook.kv_compression import selected_bytes
from inferatlas.predict.handbook.state_space import decode_bytes, decode_flop, prefill_flop, values_held
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.parameters import stack
from inferatlas.predict.llm.recurrence import state_bytes
from inferatlas.predict.llm.vision import image_patches, image_tokens
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.predict.performance.mixers import CHUNK
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.platforms import bind
from inferatlas.predict.techniques import with_cache_policy

RECURRENT = ["falcon-mamba-7b", "mamba-2.8b", "mamba2-2.7b", "rwkv-6-world-7b", "rwkv-7-world-7.2b"]
HYBRID = ["jamba-1.5-mini", "nemotron-h-8b"]
PARTS = ["nvidia-h100-sxm", "google-tpu-v6e", "groq-lpu-v1", "cerebras-wse-3", "sambanova-sn40l"]
T5, SPARSE, SEEING = "flan-t5-xxl", "deepseek-v3.2", "gemma-3-27b"
few = settings(max_examples=25)
lengths = st.integers(1, 30_000)


def on_part(part: str, slug: str) -> PlatformTable:
    model = load_model(slug)
    return platform_table([bind(part, model=model)], is_moe=any(g.ffn and g.ffn.is_moe for g in model.layers))


def answers(ops: Operators, table: PlatformTable, **asked):
    """Predictions on a layout that holds anything asked here; resident machines as a row of chips."""
    chips = {"groq-lpu-v1": 900, "cerebras-wse-3": 8}.get(table.platforms[0].device.id)
    layout = {"pp": min(chips, 1000)} if chips else {"tp": 4}
    return predict(ops, table, make_points(0, **layout, **({"concurrency": 1} | asked)), proven=True)


@pytest.fixture(scope="module")
def chips(counting) -> Callable[..., tuple[float, float]]:
    """FLOP and bytes of a step on a row of one chip that takes a second for each."""
    table = replace(counting, resident=np.array([True]))

    def counts(ops: Operators, *, prefill=0.0, cached=0.0, decode=0.0, context=0.0, source=1.0, queries=1.0):
        points = make_points(0, concurrency=1, input_tokens=source, output_tokens=1)
        row = table.rows(points.platform)
        one = partial(resident_step, ops, row, shard_of(row, points), collectives_in_use(ops, table, points, True))
        load = {"prefill": prefill, "cached": cached, "decode": decode, "context": context}
        parts = one(queries=queries, **{name: np.array([float(value)]) for name, value in load.items()})
        return float(parts.flop_s[0]), float(parts.byte_s[0])

    return counts


# states of fixed size


@pytest.mark.parametrize("slug", RECURRENT)
@given(batch=st.integers(1, 256), context=lengths)
@few
def test_5_decode_of_recurrent_layers_reads_and_writes_its_states_at_any_context(
    ops_of, run_step, weights_only, slug, batch, context
):
    ops = ops_of(slug)
    empty, found = (run_step(ops, weights_only, decode=batch, context=c) for c in (0, context))
    assert found.byte_s[0] == empty.byte_s[0] and found.flop_s[0] == empty.flop_s[0]
    one, more = (run_step(ops, weights_only, decode=b, context=context) for b in (batch, 2 * batch))
    states = sum(
        g.count * float(decode_bytes(state_bytes(g.recurrence, ops.model.hidden), batch)) for g in ops.model.layers
    )
    assert more.byte_s[0] - one.byte_s[0] == pytest.approx(states, rel=1e-6)  # weights are read once


@pytest.mark.parametrize("slug", RECURRENT + HYBRID)
def test_4_a_sequence_keeps_what_the_handbook_counts(ops_of, slug):
    ops, context = ops_of(slug), np.array([1.0, 100.0, 5000.0])
    values = values_held(ops.model.layers, context)  # in 16 bit, but for the matrices of RWKV
    wide = sum(2.0 * g.count * g.recurrence.heads * g.recurrence.key * g.recurrence.value for g in ops.model.layers
               if g.recurrence and g.recurrence.form.startswith("rwkv"))  # fmt: skip
    np.testing.assert_allclose(kv_bytes(ops, 1, 1, context, 2.0), 2.0 * values + wide, rtol=1e-12)


@pytest.mark.parametrize("slug", RECURRENT + HYBRID)
def test_4_states_are_divided_by_heads_over_ranks_and_by_layers_over_stages(ops_of, slug):
    ops = ops_of(slug)
    one = kv_bytes(ops, 1, 1, 0.0, 2.0)
    assert kv_bytes(ops, 4, 1, 0.0, 2.0) == pytest.approx(one / 4)
    assert kv_bytes(ops, 1, 2, 0.0, 2.0) == pytest.approx(one * np.ceil(ops.layers / 2) / ops.layers)


@pytest.mark.parametrize("slug", RECURRENT)
@given(prompt=st.integers(1, 20_000))
@few
def test_5_prefill_of_states_is_the_form_of_the_handbook(ops_of, run_step, counting, slug, prompt):
    ops, seen = ops_of(slug), {}
    run_step(ops, counting, prefill=prompt, sink=lambda name, n, **s: seen.update({name: s}))
    whole = run_step(ops, counting, prefill=prompt).flop_s[0]
    products = prompt * 2 * sum(
        row.count * (row.weights + row.kv_weights + row.replicated) for row in ops.gemms if row.name != "lm_head"
    ) + 2 * ops.model.vocab * ops.model.hidden  # fmt: skip
    mixing = 0.0
    for g in ops.model.layers:
        r = g.recurrence
        scan = prompt * decode_flop(r.inner, r.key, 1)
        by_chunks = prefill_flop(1, prompt, r.heads, r.key, r.value, min(prompt, CHUNK))
        mixing += g.count * float(scan if r.form == "mamba1" else by_chunks)
    assert whole == pytest.approx(products + mixing, rel=1e-9)
    assert seen["recurrence"]


@pytest.mark.parametrize("slug", RECURRENT)
def test_prefill_is_linear_in_a_long_prompt(ops_of, run_step, counting, slug):
    ops = ops_of(slug)
    work = [run_step(ops, counting, prefill=n).flop_s[0] for n in (4096, 8192, 16384)]
    assert work[2] - work[1] == pytest.approx(2 * (work[1] - work[0]), rel=1e-9)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("slug", RECURRENT[::2])
def test_on_every_machine_decode_of_a_recurrent_model_does_not_know_the_context(ops_of, part, slug):
    ops = operators(replace(load_model(slug), context_length=0))
    found = answers(ops, on_part(part, slug), input_tokens=[16, 1024, 1_000_000], output_tokens=64)
    np.testing.assert_allclose(found.itl_s, found.itl_s[0], rtol=1e-6)
    assert found.ttft_s[0] < found.ttft_s[1] < found.ttft_s[2]
    attends = answers(operators(replace(load_model("llama-3.1-8b"), context_length=0)), on_part(part, "llama-3.1-8b"),
                      input_tokens=[16, 1_000_000], output_tokens=64)  # fmt: skip
    assert attends.itl_s[1] > 1.01 * attends.itl_s[0]


@pytest.mark.parametrize("slug", ["falcon-mamba-7b", "jamba-1.5-mini", "llama-3.1-8b", T5])
def test_chips_in_a_row_do_the_same_work_of_decode(ops_of, run_step, counting, chips, slug):
    ops, load = ops_of(slug), {"decode": 1.0, "context": 700.0, "source": 500.0}
    assert chips(ops, **load)[0] == pytest.approx(run_step(ops, counting, **load).flop_s[0], rel=1e-9)


@pytest.mark.parametrize("slug", ["falcon-mamba-7b", "llama-3.1-8b", "bge-m3"])
def test_and_of_prompts_but_for_the_head(ops_of, run_step, counting, chips, slug):
    ops, q = ops_of(slug), 300.0
    head = 0 if ops.model.embeds else 2 * (q - 1) * ops.model.vocab * ops.model.hidden
    pooled = 2 * (q - 1) * ops.model.hidden**2 if ops.model.pooler else 0
    plain = run_step(ops, counting, prefill=q).flop_s[0]
    assert chips(ops, prefill=q)[0] == pytest.approx(plain + head + pooled, rel=1e-9)


# encoder and decoder


def test_an_encoder_is_paid_once_a_prompt(ops_of, run_step, counting):
    ops, q = ops_of(T5), 400
    model, hidden = ops.model, ops.model.hidden
    (encoder,), (decoder,) = model.encoder, model.layers
    held, once = stack(model.encoder, hidden, 0), stack(model.layers, hidden, 0)
    keys = decoder.count * 2 * hidden * decoder.cross.kv_heads * decoder.cross.head_dim
    pairs = encoder.count * 4 * encoder.attention.heads * encoder.attention.head_dim * q * q  # every token sees every
    first = decoder.count * 4 * decoder.attention.heads * decoder.attention.head_dim * (q + 1)
    token = once.attention + once.ffn - keys + model.vocab * hidden
    whole = run_step(ops, counting, prefill=q, source=q).flop_s[0]
    assert whole == pytest.approx(2 * q * (held.attention + held.ffn + keys) + pairs + 2 * token + first, rel=1e-9)
    decode = run_step(ops, counting, decode=1, context=q + 1, source=q).flop_s[0]
    assert decode == pytest.approx(2 * token + first, rel=1e-9)  # the encoder is not in it


@given(batch=st.integers(1, 64), source=st.integers(1, 2000), answer=st.integers(1, 2000), more=st.integers(1, 500))
@few
def test_cross_attention_grows_with_the_source_and_self_attention_with_the_answer_alone(
    ops_of, run_step, counting, batch, source, answer, more
):
    ops = ops_of(T5)
    (decoder,) = ops.model.layers
    a = decoder.attention
    assert (a.heads, a.kv_heads, a.head_dim) == (decoder.cross.heads, decoder.cross.kv_heads, decoder.cross.head_dim)
    per_token = batch * decoder.count * 2 * a.kv_heads * a.head_dim * 2
    base, longer, later = (
        run_step(ops, counting, decode=batch, context=s + n, source=s).byte_s[0]
        for s, n in ((source, answer), (source + more, answer), (source, answer + more))
    )
    assert longer - base == pytest.approx(more * per_token, rel=1e-6)
    assert later - base == pytest.approx(more * per_token, rel=1e-6)
    kept = [float(kv_bytes(ops, 1, 1, s + n, 2.0, source=s)) for s, n in ((source, answer), (source, answer + more))]
    assert kept[0] == pytest.approx(per_token / batch * (source + answer))
    assert kept[1] - kept[0] == pytest.approx(per_token / batch * more)


def test_tokens_tried_at_once_read_source_and_answer_once(ops_of, run_step, weights_only):
    load = {"decode": 8.0, "context": 900.0, "source": 500.0}
    one, five = (run_step(ops_of(T5), weights_only, queries=q, **load) for q in (1.0, 5.0))
    assert five.byte_s[0] == pytest.approx(one.byte_s[0], rel=1e-12)
    assert five.flop_s[0] == pytest.approx(5 * one.flop_s[0], rel=1e-12)


@pytest.mark.parametrize("part", PARTS)
def test_on_every_machine_a_longer_source_costs_the_first_token_most(ops_of, part):
    ops, table = operators(replace(load_model(T5), context_length=0)), on_part(part, T5)
    found = answers(ops, table, input_tokens=[64, 8192], output_tokens=32)
    assert found.ttft_s[1] > found.ttft_s[0] and found.itl_s[1] > found.itl_s[0]
    assert found.ttft_s[1] - found.ttft_s[0] > found.itl_s[1] - found.itl_s[0]


# vectors


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("slug", ["bge-m3", "e5-mistral-7b"])
def test_an_embedding_model_has_a_throughput_and_no_gaps(ops_of, part, slug):
    ops = ops_of(slug)
    found = answers(ops, on_part(part, slug), input_tokens=[16, 500], output_tokens=1, concurrency=[8, 8])
    assert np.isnan(found.itl_s).all() and (found.output_tokens_per_s > 0).all()
    np.testing.assert_allclose(found.latency_s, found.ttft_s)
    assert found.latency_s[0] < found.latency_s[1]
    assert found.output_tokens_per_s[0] >= found.output_tokens_per_s[1]


@pytest.mark.parametrize("slug", ["bge-m3", "bge-large-en-v1.5", "e5-large-v2"])
def test_prompts_read_both_ways_keep_nothing_and_meet_all_pairs(ops_of, run_step, counting, slug):
    ops = ops_of(slug)
    assert float(kv_bytes(ops, 1, 1, 500.0, 2.0)) == 0.0
    n, a = ops.model.layer_count, ops.model.layers[0].attention
    work = [run_step(ops, counting, prefill=q).flop_s[0] for q in (100, 200, 300)]
    # Q^2: the second difference is 2 d^2 pairs
    assert work[2] - 2 * work[1] + work[0] == pytest.approx(n * 4 * a.heads * a.head_dim * 2 * 100**2, rel=1e-6)


# selections


@pytest.mark.parametrize("context", [100, 2048, 2049, 60_000])
def test_31_sparse_attention_reads_what_it_selects_and_all_index_keys(ops_of, run_step, weights_only, context):
    ops, batch = ops_of(SPARSE), 3
    (a,) = {g.attention for g in ops.model.layers}
    empty, found = (run_step(ops, weights_only, decode=batch, context=c).byte_s[0] for c in (0, context))
    index = a.index_dim + 4 * a.index_dim / 128  # FP8, and a scale of 32 bit for 128 values
    each = float(selected_bytes(context, 2048, 2 * (512 + 64), index))
    assert found - empty == pytest.approx(batch * ops.layers * each, rel=1e-6)


@given(context=st.integers(2048, 100_000), more=st.integers(1, 50_000))
@few
def test_31_beyond_the_selection_a_query_only_scores_more(ops_of, run_step, counting, context, more):
    ops = ops_of(SPARSE)
    here, there = (run_step(ops, counting, decode=1, context=c).flop_s[0] for c in (context, context + more))
    assert there - here == pytest.approx(ops.layers * more * 2 * 64 * 128, rel=1e-6)


def test_31_sparse_prefill_is_linear_beyond_the_selection_but_for_the_scores(ops_of, run_step, counting):
    ops = ops_of(SPARSE)
    work = [run_step(ops, counting, prefill=q).flop_s[0] for q in (16384, 32768, 49152)]
    curvature = work[2] - 2 * work[1] + work[0]  # d^2 pairs scored
    assert curvature == pytest.approx(ops.layers * 2 * 64 * 128 * 16384**2, rel=1e-6)


@given(keep=st.integers(1, 4000), select=st.integers(1, 4000), context=st.integers(0, 5000))
@few
def test_4_31_a_smaller_cache_keeps_and_reads_less(run_step, weights_only, keep, select, context):
    model = load_model("llama-3.1-8b")
    plain, kept, read, both = (
        operators(with_cache_policy(model, keep=k, read=r))
        for k, r in ((None, None), (keep, None), (None, select), (keep, select))
    )
    moved = [
        run_step(ops, weights_only, decode=1, context=context).byte_s[0]
        - run_step(ops, weights_only, decode=1).byte_s[0]
        for ops in (plain, kept, read, both)
    ]
    tokens = (context, min(context, keep), min(context, select), min(context, keep, select))
    np.testing.assert_allclose(moved, [131_072 * n for n in tokens], rtol=1e-6, atol=1e3)
    held = [float(kv_bytes(ops, 1, 1, context, 2.0)) for ops in (plain, kept, read, both)]
    assert held == [131_072 * n for n in (context, min(context, keep), context, min(context, keep))]


# images


def seeing(slug: str, images: int, width: int = 1024, height: int = 1024) -> tuple[Operators, int]:
    model = load_model(slug)
    patches = image_patches(model.vision, width, height)
    return operators(model, images=images, patches=patches), images * image_tokens(model.vision, width, height)


@pytest.mark.parametrize("slug", [SEEING, "qwen2.5-vl-7b", "llama-4-scout", "mistral-small-3.1-24b"])
def test_a_tower_costs_in_proportion_to_images_and_nothing_without(ops_of, run_step, counting, slug):
    prompt, text = 5000.0, ops_of(slug)
    plain = run_step(text, counting, prefill=prompt, source=prompt).flop_s[0]
    cost = []
    for images in (1, 2, 3):
        ops, _ = seeing(slug, images)
        cost.append(run_step(ops, counting, prefill=prompt, source=prompt).flop_s[0] - plain)
        decode = (run_step(o, counting, decode=4, context=prompt, source=prompt).flop_s[0] for o in (ops, text))
        assert len({*decode}) == 1
    assert cost[0] > 0
    np.testing.assert_allclose(cost, cost[0] * np.array([1, 2, 3]), rtol=1e-9)


@pytest.mark.parametrize(
    ("slug", "seen"), [(SEEING, 64**2), ("llama-4-scout", 24**2), ("mistral-small-3.1-24b", 74**2)]
)
def test_patches_meet_those_of_their_image_or_tile(run_step, counting, slug, seen):
    ops, _ = seeing(slug, 2)
    tower = ops.model.vision
    (group,) = tower.layers
    held = stack(tower.layers, tower.hidden, 0)
    products = 2 * ops.patches * (held.attention + held.ffn)
    merged = 2 * ops.patches / tower.merge**2 * (tower.projector // tower.merge**2 * tower.merge**2)
    pairs = ops.patches * seen * group.count * 4 * group.attention.heads * group.attention.head_dim
    prompt = 4000.0
    both = (run_step(o, counting, prefill=prompt, source=prompt).flop_s[0] for o in (ops, operators(ops.model)))
    one, other = both
    assert one - other == pytest.approx(products + merged + pairs, rel=1e-6)


def test_windows_of_a_tower_bound_what_a_patch_meets(run_step, counting):
    ops, _ = seeing("qwen2.5-vl-7b", 1)
    assert {ops.patches_seen(g.attention) for g in ops.model.vision.layers} == {64.0, float(ops.patches)}
    everywhere = replace(ops.model.vision, layers=tuple(
        replace(g, attention=replace(g.attention, window=None)) for g in ops.model.vision.layers
    ))  # fmt: skip
    wide = operators(replace(ops.model, vision=everywhere), images=1, patches=ops.patches)
    narrow, full = (run_step(o, counting, prefill=2000, source=2000).flop_s[0] for o in (ops, wide))
    more = 28 * 4 * 16 * 80 * ops.patches * (ops.patches - 64)
    assert full - narrow == pytest.approx(more, rel=1e-6)


def test_a_tower_is_whole_on_every_rank(run_step, counting):
    ops, _ = seeing(SEEING, 2)
    text = operators(ops.model)
    added = [
        run_step(ops, counting, prefill=900, source=900, tp=tp).flop_s[0]
        - run_step(text, counting, prefill=900, source=900, tp=tp).flop_s[0]
        for tp in (1, 4)
    ]
    assert added[1] == pytest.approx(added[0], rel=1e-9)


@pytest.mark.parametrize("part", PARTS)
def test_on_every_machine_images_delay_the_first_token_and_no_other(part):
    table = on_part(part, SEEING)
    without, with_one, with_four = (
        answers(
            seeing(SEEING, n)[0] if n else operators(load_model(SEEING)), table, input_tokens=3000, output_tokens=64
        )
        for n in (0, 1, 4)
    )
    assert without.ttft_s[0] < with_one.ttft_s[0] < with_four.ttft_s[0]
    assert without.itl_s[0] == pytest.approx(with_four.itl_s[0], rel=1e-9)


@pytest.mark.parametrize("part", ["groq-lpu-v1", "sambanova-sn40l"])
def test_34_a_prompt_waits_for_every_layer_of_an_encoder_and_a_tower(part):
    cases = (operators(load_model(T5)), 24), (seeing(SEEING, 1)[0], 27), (operators(load_model(SEEING)), 0)
    for ops, more in cases:
        assert ops.prompt_layers == more
        table = on_part(part, ops.model.id)
        assert table.layer_s[0] > 0
        slow = replace(table, layer_s=table.layer_s + 1.0)  # a second more a layer
        first, second = (answers(ops, x, input_tokens=300, output_tokens=2) for x in (table, slow))
        assert second.ttft_s[0] - first.ttft_s[0] == pytest.approx(ops.layers + more, rel=0.05)
        assert second.itl_s[0] - first.itl_s[0] == pytest.approx(ops.layers, rel=0.05)


def test_25_shards_of_the_context_score_their_own_keys(ops_of, run_step, counting):
    ops = ops_of(SPARSE)
    rest = run_step(ops, counting, decode=4, context=0).flop_s[0]
    one, four = (run_step(ops, counting, cp=cp, decode=4, context=50_000).flop_s[0] - rest for cp in (1, 4))
    assert four == pytest.approx(one / 4, rel=1e-6)
    one, four = (run_step(ops, counting, cp=cp, prefill=8000).flop_s[0] for cp in (1, 4))
    assert four == pytest.approx(one / 4, rel=0.01)  # the head is whole


# a stack of both


def test_a_hybrid_is_between_its_kinds(run_step, counting):
    base = load_model("llama-3.1-8b")
    (layer,) = base.layers
    mamba = load_model("mamba2-2.7b").layers[0].recurrence
    state = Layers(16, None, layer.ffn, layer.norms, recurrence=mamba)
    hybrid = operators(replace(base, layers=(replace(layer, count=16), state)))
    grows = [run_step(o, counting, decode=1, context=c).byte_s[0] for o in (hybrid, operators(base)) for c in (0, 5000)]
    assert grows[1] - grows[0] == pytest.approx(0.5 * (grows[3] - grows[2]), rel=1e-9)
    assert isinstance(layer.attention, Attention)
