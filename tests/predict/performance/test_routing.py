"""Skewed routing in predictions (13) to (16): who is busiest, what is read, what spare copies cost."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.handbook.experts import expected_max_load
from inferatlas.predict.llm.experts import zipf_popularity
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import run
from inferatlas.predict.platforms import bind

MIXTURES = ["mixtral-8x7b", "qwen3-30b-a3b", "deepseek-r1", "gpt-oss-120b"]
LAYOUTS = [{"tp": 8}, {"tp": 8, "ep": 8}, {"tp": 4, "ep": 2}, {"tp": 2, "ep": 8, "dp": 4}, {"tp": 4, "ep": 4, "pp": 2}]
models, layouts = st.sampled_from(MIXTURES), st.sampled_from(LAYOUTS)
spread = st.sampled_from([layout for layout in LAYOUTS if layout.get("ep", 1) > 1])
exponents = st.floats(0.05, 2.0)
steps = st.fixed_dictionaries({"prefill": st.integers(1, 8000), "decode": st.integers(0, 1000)})
PLACEMENTS = ("balanced", "contiguous")
few = settings(max_examples=40)


@pytest.fixture(scope="module")
def table(make_device, lossless):
    return platform_table([lossless(make_device())], is_moe=True)


def slack(value):
    return value * (1 + 1e-9)


def one_step(ops, table, routing: Routing, load: dict[str, int], layout: dict[str, int], sink=None) -> float:
    """Seconds of a step that carries a prompt and decodes."""
    points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1, **layout)
    row = table.rows(points.platform)
    prepared = prepare(ops, row, shard_of(row, points), collectives_in_use(ops, table, points, False), routing)
    prompt, cached = (np.array([load["prefill"]]) * 1.0, np.zeros(1)) if "prefill" in load else (None, None)
    decode = np.array([load["decode"]]) * 1.0
    return float(run(prepared, prefill=prompt, cached=cached, decode=decode, context=np.zeros(1), sink=sink).total[0])


def experts_of(ops, table, routing: Routing, *, decode: float, **layout) -> dict[str, float]:
    """Seconds of compute and of memory of the experts in a decode step."""
    seen: dict[str, float] = {}

    def sink(name, _count, compute=0.0, memory=0.0, **_):
        if name == "experts":
            seen["compute"], seen["memory"] = (
                seen.get(key, 0.0) + float(np.sum(value)) for key, value in (("compute", compute), ("memory", memory))
            )

    one_step(ops, table, routing, {"decode": decode}, layout, sink)
    return seen


@pytest.mark.parametrize("model", MIXTURES)
@pytest.mark.parametrize(
    "load", [{"concurrency": 50}, {"request_rate": 0.2}, {"concurrency": 50, "together": True}], ids=str
)
def test_even_popularity_is_exactly_the_default_wherever_experts_sit(ops_of, model, load):
    ops, real = ops_of(model), platform_table([bind("h200", None, "fp8", model=model)], is_moe=True)
    asked = load | {"input_tokens": 800, "output_tokens": 100}
    points = make_points(
        0, **{name: [layout.get(name, 1) for layout in LAYOUTS] for name in ("tp", "pp", "ep", "dp")}, **asked
    )
    default = predict(ops, real, points)
    assert default.fits.any()
    for even in (UNIFORM, Routing(), Routing(0.0, "contiguous"), Routing(0.0, "balanced")):
        found = predict(ops, real, points, routing=even)
        for field in fields(Predictions):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(default, field.name), err_msg=field.name)


def test_a_dense_model_has_no_experts_to_prefer(ops_of, table):
    points = make_points(0, tp=[1, 8], concurrency=9, input_tokens=500, output_tokens=50)
    dense = ops_of("llama-3.1-8b")
    skewed, default = (
        predict(dense, table, points, routing=Routing(1.0, "contiguous", 8)),
        predict(dense, table, points),
    )
    np.testing.assert_array_equal(skewed.itl_s, default.itl_s)
    np.testing.assert_array_equal(skewed.batch, default.batch)


@few
@given(models, spread, steps, exponents)
def test_16_balanced_placement_is_never_slower_than_contiguous(ops_of, table, model, layout, load, exponent):
    ops = ops_of(model)
    even, slices = (one_step(ops, table, Routing(exponent, name), load, layout) for name in PLACEMENTS)
    assert even <= slack(slices)
    points = make_points(0, **layout, concurrency=layout.get("dp", 1), input_tokens=load["prefill"], output_tokens=64)
    even, slices = (predict(ops, table, points, routing=Routing(exponent, name)) for name in PLACEMENTS)
    assert even.fits[0] and slices.fits[0]
    assert even.itl_s[0] <= slack(slices.itl_s[0]) and even.ttft_s[0] <= slack(slices.ttft_s[0])


@few
@given(models, spread, steps, exponents, st.integers(1, 64), st.sampled_from(PLACEMENTS))
def test_16_spare_copies_never_make_the_busiest_device_busier(
    ops_of, table, model, layout, load, exponent, spare, placement
):
    without, copied = (
        one_step(ops_of(model), table, Routing(exponent, placement, n), load, layout) for n in (0, spare)
    )
    assert copied <= slack(without)


def test_16_copies_of_the_popular_help_where_one_device_holds_them_all(ops_of, table):
    # one layer's most popular expert of 8 is in most tokens: no packing of single copies can split it
    ops, busy = ops_of("mixtral-8x7b"), {"tp": 8, "ep": 8, "decode": 4096.0}
    alone, copied = (experts_of(ops, table, Routing(1.5, "balanced", n), **busy)["compute"] for n in (0, 8))
    assert copied < 0.8 * alone


@given(models, st.sampled_from([(1, 1, 1), (8, 1, 1), (8, 8, 1), (4, 2, 1), (1, 8, 1), (2, 4, 2)]), st.integers(0, 64))
def test_spare_copies_take_the_memory_of_so_many_experts(ops_of, table, model, layout, spare):
    ops, (tp, ep, pp) = ops_of(model), layout
    points = make_points(0, tp=tp, ep=ep, pp=pp, dp=max(ep // tp, 1), concurrency=1, input_tokens=64, output_tokens=64)
    row = table.rows(points.platform)
    shard = shard_of(row, points)
    plain, more = (memory_budget(ops, row, shard, points, False, n).weights[0] for n in (0, spare))
    # a rank holds a share (E + r)/ep of the experts, each divided over the ranks that hold it together
    held = sum(r.count * spare / ep * r.weights / max(tp / ep, 1.0) for r in ops.experts) * 2.0
    stage = -(-ops.layers // pp) / ops.layers
    assert more - plain == pytest.approx(held * stage if ep > 1 else 0.0, abs=1e-6 * plain)


def test_memory_for_copies_is_taken_from_the_cache_and_can_be_too_much(ops_of, make_device, lossless):
    ops = ops_of("mixtral-8x7b")  # 8 experts of 32 layers, 11 GB of weights on each of 8 devices
    small = platform_table([lossless(make_device(capacity=18e9))], is_moe=True)
    points = make_points(0, tp=8, ep=8, concurrency=2000, input_tokens=1000, output_tokens=1000)
    found = [predict(ops, small, points, routing=Routing(1.0, "balanced", n)) for n in (0, 4, 16)]
    assert [bool(one.fits[0]) for one in found] == [True, True, False]
    assert found[1].batch[0] < found[0].batch[0]


@few
@given(models, st.sampled_from([1, 2, 8]), st.lists(exponents, min_size=2, max_size=4), st.integers(1, 4000))
def test_14_the_more_skewed_the_fewer_experts_are_read_under_tensor_parallelism(ops_of, table, model, tp, some, batch):
    ops, skews = ops_of(model), [0.0, *sorted(some)]
    found = [one_step(ops, table, Routing(z), {"decode": batch}, {"tp": tp}) for z in skews]
    # the table of (14) is read between its rows, to one part in a thousand
    assert all(later <= earlier * (1 + 1e-3) for earlier, later in pairwise(found))


@pytest.mark.parametrize(("experts", "exponent"), [("mixtral-8x7b", 1.0), ("qwen3-30b-a3b", 0.6), ("deepseek-r1", 1.0)])
@pytest.mark.parametrize("tokens", [1, 8, 64, 700])
def test_c_14_the_bytes_of_experts_are_those_of_simulated_routing(ops_of, weights_only, experts, exponent, tokens):
    ops = ops_of(experts)
    only = replace(weights_only, flop_s=np.zeros(1), flop_s_wide=np.zeros(1))
    found = experts_of(ops, only, Routing(exponent), decode=tokens)["memory"]
    op, rng = ops.experts[0], np.random.default_rng(7)
    popularity = zipf_popularity(op.experts, exponent)
    touched, trials = 0, 40 + 3000 // tokens
    for _ in range(trials):  # exponential times over popularity: the k first are a draw without replacement
        race = rng.standard_exponential((tokens, op.experts)) / popularity
        touched += np.unique(np.argpartition(race, op.top_k - 1, axis=1)[:, : op.top_k]).size
    expected = 2 * sum(row.count * row.weights for row in ops.experts) * touched / trials
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("exponent", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("ep", [2, 8])
def test_d_16_in_a_large_batch_the_busiest_device_does_what_the_formula_says(ops_of, counting, exponent, ep):
    ops, none, tokens = ops_of("qwen3-30b-a3b"), np.zeros(1), 8192.0
    flops = replace(counting, byte_s=none, expert_byte_s=none)
    op = ops.experts[0]
    busiest, mean = expected_max_load(zipf_popularity(op.experts, exponent), op.top_k, tokens, ep)
    found = experts_of(ops, flops, Routing(exponent, "contiguous"), decode=tokens, tp=ep, ep=ep)["compute"]
    work = op.count * 2 * op.weights * tokens * op.top_k / ep
    assert found / work == pytest.approx(busiest / mean, rel=0.05)


@few
@given(models, st.sampled_from([2, 4, 8]), st.floats(1, 5000), exponents, st.sampled_from(["balanced", "contiguous"]))
def test_16_the_busiest_device_has_at_least_its_share_and_at_most_everything(
    ops_of, counting, model, ep, tokens, exponent, placement
):
    ops, none = ops_of(model), np.zeros(1)
    flops = replace(counting, byte_s=none, expert_byte_s=none)
    work = sum(op.count * 2 * op.weights * tokens * op.top_k for op in ops.experts) / ep
    found = experts_of(ops, flops, Routing(exponent, placement), decode=tokens, tp=ep, ep=ep)["compute"]
    assert work * (1 - 1e-9) <= found <= slack(ep * work)


@pytest.mark.parametrize("placement", ["balanced", "contiguous"])
def test_a_mixture_under_skew_is_finite_in_every_layout_and_in_single_precision(ops_of, table, placement):
    points = make_points(
        0, **{name: [layout.get(name, 1) for layout in LAYOUTS] for name in ("tp", "pp", "ep", "dp")},
        concurrency=64, input_tokens=500, output_tokens=100,
    )  # fmt: skip
    ops, routing = ops_of("deepseek-r1"), Routing(0.8, placement, 16)
    exact, single = (predict(ops, table, points, routing=routing, dtype=kind) for kind in (np.float64, np.float32))
    assert exact.fits.all()
    np.testing.assert_allclose(single.itl_s, exact.itl_s, rtol=1e-4)
    mixed = predict(ops, table, points[2:3], routing=routing)
    assert mixed.itl_s[0] == exact.itl_s[2]  # whatever is asked beside it


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ({"exponent": -0.1}, BadInput, "skew"), ({"exponent": 3.1}, BadInput, "skew"),
        ({"exponent": float("nan")}, BadInput, "skew"), ({"redundant": -1}, BadInput, "redundant"),
        ({"redundant": 1.5}, BadInput, "redundant"), ({"placement": "contigous"}, UnknownName, None),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_routing_is_refused(given, error, field):
    with pytest.raises(error) as caught:
        Routing(**given)
    assert caught.value.exit_code == 2
    if field:
        assert caught.value.field == field and caught.value.allowed
