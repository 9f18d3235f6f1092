"""Memory of a device: parts sum to the whole, and more of anything never takes less (equation (4))."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.llm.parameters import count
from inferatlas.predict.mapping import memory

MODELS = [
    "llama-3.1-8b",
    "llama-3.3-70b",
    "mixtral-8x7b",
    "deepseek-r1",
    "gpt-oss-120b",
    "gemma-3-27b",
    "qwen3-30b-a3b",
]
models = st.sampled_from(MODELS)
counts = st.sampled_from([1, 2, 4, 8])


@pytest.mark.parametrize("model", MODELS)
def test_one_device_holds_the_whole_checkpoint(ops_of, model):
    ops = ops_of(model)
    held = float(memory.weight_bytes(ops, 1, 1, 1, 2.0, 2.0))
    checkpoint = 2.0 * (count(ops.model).total - count(ops.model).other)
    assert held == pytest.approx(checkpoint, rel=0.002)  # biases and small norms are left out
    assert held <= checkpoint


@given(models, counts, counts, counts)
def test_shares_of_all_devices_hold_at_least_the_whole(ops_of, model, tp, pp, ep):
    ops = ops_of(model)
    ep = ep if ops.experts else 1
    whole = float(memory.weight_bytes(ops, 1, 1, 1, 1.0, 2.0))
    share = float(memory.weight_bytes(ops, tp, pp, ep, 1.0, 2.0))
    assert share <= whole * (1 + 1e-12)
    assert share * max(tp, ep) * pp >= whole * (1 - 1e-12)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b"])
@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_dense_tensor_parallel_shards_sum_to_the_whole_without_replication(ops_of, model, tp):
    ops = ops_of(model)
    norms = 2.0 * sum(g.count * g.norms for g in ops.model.layers) * ops.model.hidden  # on every rank
    whole, shard = (float(memory.weight_bytes(ops, n, 1, 1, 2.0, 2.0)) - norms for n in (1, tp))
    assert shard * tp == pytest.approx(whole, rel=1e-12)


def test_kv_projections_are_held_again_beyond_the_number_of_kv_heads(ops_of):
    ops = ops_of("llama-3.1-8b")  # 8 KV heads, so 16 ranks hold each of them twice
    norms = 2.0 * sum(g.count * g.norms for g in ops.model.layers) * ops.model.hidden
    whole, shard = (float(memory.weight_bytes(ops, n, 1, 1, 2.0, 2.0)) - norms for n in (1, 16))
    assert shard * 16 - whole == pytest.approx(2.0 * sum(row.count * row.kv_weights for row in ops.gemms), rel=1e-9)


def test_the_latents_of_mla_are_on_every_rank(ops_of):
    ops = ops_of("deepseek-r1")
    shards = 8 * float(memory.weight_bytes(ops, 8, 1, 8, 1.0, 2.0))
    assert shards > 1.01 * float(memory.weight_bytes(ops, 1, 1, 1, 1.0, 2.0))


@pytest.mark.parametrize("pp", [1, 2, 3, 5, 8, 32])
def test_the_fullest_stage_holds_the_rounded_up_share_of_layers(ops_of, pp):
    ops = ops_of("llama-3.1-8b")
    table = 2.0 * ops.model.vocab * ops.model.hidden
    layers = float(memory.weight_bytes(ops, 1, 1, 1, 2.0, 2.0)) - 2 * table
    expected = layers * np.ceil(32 / pp) / 32 + (table if pp > 1 else 2 * table)
    assert float(memory.weight_bytes(ops, 1, pp, 1, 2.0, 2.0)) == pytest.approx(expected, rel=1e-12)


def test_a_chain_of_chips_divides_everything(ops_of):
    ops = ops_of("llama-2-70b")
    whole = float(memory.weight_bytes(ops, 1, 1, 1, 1.0, 2.0, resident=True))
    assert float(memory.weight_bytes(ops, 1, 577, 1, 1.0, 2.0, resident=True)) * 577 == pytest.approx(whole)
    assert float(memory.kv_bytes(ops, 1, 577, 1024, 2.0, resident=True)) * 577 == pytest.approx(1024 * 327_680)


@given(models, counts, counts, st.integers(1, 200_000), st.integers(0, 100_000), st.sampled_from([1, 16, 64]))
def test_cache_grows_with_context_and_shrinks_with_ranks(ops_of, model, tp, pp, context, more, block):
    ops = ops_of(model)

    def held(tokens: int, ranks: int = tp, stages: int = pp) -> float:
        return float(memory.kv_bytes(ops, ranks, stages, tokens, 2.0, block=block))

    assert held(context + more) >= held(context) > 0
    assert held(context, ranks=2 * tp) <= held(context)
    assert held(context, stages=2 * pp) <= held(context)
    assert held(context) >= float(memory.kv_bytes(ops, tp, pp, context, 2.0))  # blocks round up
    assert float(memory.kv_bytes(ops, tp, pp, context, 1.0, block=block)) == pytest.approx(held(context) / 2)


@pytest.mark.parametrize(("model", "per_token"), [("llama-3.1-8b", 131_072), ("deepseek-r1", 70_272)])
def test_4_cache_of_a_context_is_tokens_times_bytes_per_token(ops_of, model, per_token):
    ops = ops_of(model)
    assert float(memory.kv_bytes(ops, 1, 1, 1000, 2.0)) == 1000 * per_token
    assert float(memory.kv_bytes(ops, 1, 1, 1000, 2.0, block=16)) == 1008 * per_token


def test_4_windows_cap_the_cache(ops_of):
    ops = ops_of("gpt-oss-120b")
    step = float(memory.kv_bytes(ops, 1, 1, 2000, 2.0)) - float(memory.kv_bytes(ops, 1, 1, 1000, 2.0))
    full = sum(
        r.count * 2 * r.attention.kv_heads * r.attention.head_dim for r in ops.attentions if r.attention.window is None
    )
    assert step == 1000 * full * 2
    assert full > 0
    assert any(row.attention.window for row in ops.attentions)


@given(models, counts, st.integers(1, 100_000), st.integers(0, 100_000))
def test_activations_grow_with_the_tokens_of_a_step_and_shrink_with_ranks(ops_of, model, tp, tokens, more):
    ops = ops_of(model)
    here = float(memory.activation_bytes(ops, tp, tokens, 2.0))
    assert 0 < here <= float(memory.activation_bytes(ops, tp, tokens + more, 2.0))
    assert float(memory.activation_bytes(ops, 2 * tp, tokens, 2.0)) <= here
