"""Bytes that a device sends in a decode step, against figures worked out by hand: (18), (25), (26)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.sharding import expert_parallel_bytes, tensor_parallel_bytes
from inferatlas.predict.performance.parallelism import ExpertLayer
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.traffic import sent_bytes

EXCHANGES = ("all_reduce", "all_to_all", "logits", "hops", "context")


@pytest.fixture(scope="module")
def table(make_device, lossless):
    return platform_table([lossless(make_device())], is_moe=True)


@pytest.fixture(scope="module")
def sent(ops_of, table):
    """Bytes by exchange, those of nothing left out."""

    def of(model: str, sequences: float = 1.0, **layout: int) -> dict[str, float]:
        points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1, **layout)
        shard = shard_of(table.rows(points.platform), points)
        found = sent_bytes(ops_of(model), shard, np.array([float(sequences)]))
        assert set(found) == set(EXCHANGES)
        return {name: float(value[0]) for name, value in found.items() if value[0] != 0}

    return of


def test_25_llama_70b_on_8_ranks_reduces_its_hidden_states_160_times(sent):
    # 80 layers with two blocks each, 8192 values of 16 bit: 2·7/8 of 16 KiB a block; logits: 7/8 of 128,256 values
    assert sent("llama-3.3-70b", tp=8) == {"all_reduce": 160 * 28_672, "logits": 224_448}


def test_25_27_stages_divide_the_blocks_and_pass_hidden_states_on(sent):
    found = sent("llama-3.3-70b", 4, tp=2, pp=4)
    assert found == {"all_reduce": 40 * 4 * 16_384, "logits": 4 * 128_256 / 4, "hops": 4 * 8_192}


def test_25_shards_of_the_context_exchange_parts_of_attention(sent):
    # 64 heads of 128 values in 80 layers over 2 ranks, 2·3/4 of them a shard
    assert sent("llama-3.3-70b", tp=2, cp=4)["context"] == 1.5 * 80 * 32 * 128 * 2
    # of MLA, whose heads share a latent of 512, the parts are of that width: 61 layers, 128 heads
    assert sent("deepseek-r1", cp=2)["context"] == 61 * 128 * 512 * 2


def test_18_tokens_go_to_at_most_top_k_owners_and_back(sent):
    # DeepSeek-R1: 58 layers of experts, 8 of 256 a token, 7168 values; attention on one device each
    assert sent("deepseek-r1", 10, ep=16, dp=16) == {"all_to_all": 58 * 2 * 10 * 8 * 14_336 * 15 / 16}
    assert sent("deepseek-r1", 10, ep=4, dp=4) == {"all_to_all": 58 * 2 * 10 * 4 * 14_336 * 3 / 4}


def test_18_25_ranks_that_share_attention_send_a_share_of_the_tokens(sent):
    found = sent("deepseek-r1", 10, tp=2, ep=8, dp=4)
    blocks = 2 * 61 - 58  # those that end in experts exchange tokens instead
    assert found["all_reduce"] == blocks * 10 * 14_336
    assert found["all_to_all"] == 58 * 2 * 5 * 8 * 14_336 * 7 / 8


@pytest.mark.parametrize("ep", [1, 2, 4])
def test_25_experts_within_a_replica_end_in_an_all_reduce(sent, ep):
    assert sent("mixtral-8x7b", 3, tp=4, ep=ep) == sent("mixtral-8x7b", 3, tp=4)
    assert "all_to_all" not in sent("mixtral-8x7b", 3, tp=4, ep=ep)


@pytest.mark.parametrize("n", [2, 8, 32])
@pytest.mark.parametrize("tokens", [32, 1024])
def test_26_volumes_are_those_of_one_layer_of_experts(sent, ops_of, n, tokens):
    ops = ops_of("qwen3-30b-a3b")  # every layer is one of experts
    (op,) = ops.experts
    layer = ExpertLayer(op.experts, min(op.top_k, n), op.weights, op.hidden)
    spread = sent("qwen3-30b-a3b", tokens / n, ep=n, dp=n)["all_to_all"]
    assert spread == pytest.approx(op.count * float(expert_parallel_bytes(layer, n, tokens)))
    divided = sent("qwen3-30b-a3b", tokens, tp=n)["all_reduce"]
    assert divided == pytest.approx(2 * op.count * float(tensor_parallel_bytes(layer, n, tokens)))


@pytest.mark.parametrize("model", ["llama-3.3-70b", "deepseek-r1", "mixtral-8x7b"])
def test_one_device_and_its_replicas_send_nothing(sent, model):
    assert sent(model, 64) == sent(model, 64, dp=8) == {}


layouts = st.sampled_from([{"tp": 8}, {"tp": 2, "pp": 4}, {"ep": 16, "dp": 16}, {"tp": 2, "ep": 4, "dp": 2, "cp": 2}])


@given(layouts, st.floats(0.1, 1e4), st.floats(1, 100))
def test_bytes_are_so_many_a_sequence(sent, layout, sequences, times):
    one, many = sent("deepseek-r1", sequences, **layout), sent("deepseek-r1", times * sequences, **layout)
    assert many == pytest.approx({name: value * times for name, value in one.items()})
    assert all(value > 0 for value in one.values())
