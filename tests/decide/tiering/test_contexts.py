"""The longest context that memories hold together, equation (32)."""

from itertools import pairwise

import pytest

from inferatlas.decide.tiering.contexts import ANSWER, LONGEST, longest_contexts
from inferatlas.decide.tiering.setting import setting_of
from inferatlas.predict.handbook.kv_cache import longest_context
from inferatlas.predict.llm.placement import UNIFORM
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.replicas import points_of

OPEN = dict.fromkeys(("count", "tp", "pp", "ep", "dp", "workload", "engine", "weights", "kv_cache", "kv_compression"))


def setting(model: str, part: str = "h100", **asked):
    given = OPEN | {"tier": "cxl:8TiB@64GB/s", "isl": 1024, "osl": 64, "concurrency": 1, "routing": UNIFORM}
    return setting_of(model, part, **(given | asked))


def room_left(one) -> tuple[float, float]:
    """Bytes of main memory that weights leave on a device, and bytes that weights, activations and reserve take."""
    held = budget_of(one.ops, one.table, points_of(one.load, [one.layout]))
    taken = float((held.weights + held.activations + held.reserve)[0])
    return float(held.usable[0]) - taken, taken


@pytest.mark.parametrize("slower", [0.0, 1e9, 1e12])
def test_32_the_longest_context_is_that_of_the_handbook(slower):
    one = setting("llama-3.1-8b", count=1)
    left, _ = room_left(one)
    found = longest_contexts(one, slower)
    form = longest_context(left + slower, 1.0, 0.0, 0.0, 131_072.0, block=16)
    assert abs(found.tokens - form) <= 16


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gemma-3-27b", "deepseek-r1", "jamba-1.5-mini", "flan-t5-xxl"])
def test_more_slower_memory_holds_more_and_reaching_for_it_costs(model):
    one = setting(model, "h200", isl=128)
    found = [longest_contexts(one, size) for size in (0.0, 1e10, 1e11, 1e12, 1e13)]
    tokens = [context.tokens for context in found]
    assert tokens == sorted(tokens) and tokens[-1] > tokens[0]
    slow = [context.slowdown for context in found if context.slowdown is not None]
    assert slow and slow[0] == pytest.approx(1.0) and max(slow) > 2.0
    assert all(b >= a * (1 - 1e-9) for a, b in pairwise(slow))


@pytest.mark.parametrize("model", ["falcon-mamba-7b", "rwkv-7-world-7.2b"])
def test_a_recurrent_model_has_no_longest_context(model):
    found = longest_contexts(setting(model, count=1), 0.0)
    assert (found.tokens, found.slowdown) == (int(LONGEST), None)


def test_a_context_of_a_few_tokens_has_no_slowdown_to_tell():
    one = setting("llama-3.3-70b", "h100", count=1, tier="cxl:200GB@64GB/s")
    assert longest_contexts(one, 0.0).tokens == 0  # not even the weights
    _, taken = room_left(one)
    assert taken > 80e9
    just = longest_contexts(one, -room_left(one)[0] + (ANSWER // 2) * 327_680)
    assert 0 < just.tokens <= ANSWER and just.slowdown is None
