"""Weights and cache in slower memory, equations (28) to (30): what leaves first, how it lies, what nothing hides."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inferatlas.predict.handbook.tiers import best_shares, latency_bound_rate, streamed_step, tier_time
from inferatlas.predict.hardware.device import MemoryTier
from inferatlas.predict.llm.experts import zipf_popularity
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.priors import constant
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import run
from inferatlas.predict.performance.stepping import waiting_cache
from inferatlas.predict.performance.waiting import (
    Waiting,
    hidden_behind,
    offloadable,
    touched_share,
    waiting_of,
)

REACHED = constant("offload", "efficiency")  # of the rated speed of slower memory
MODELS = ["llama-3.1-8b", "mixtral-8x7b", "gemma-3-27b", "deepseek-r1", "falcon-mamba-7b", "jamba-1.5-mini",
          "rwkv-6-world-7b", "flan-t5-xxl"]  # fmt: skip
EXPERTS = {"mixtral-8x7b": (8, 2, 32), "qwen3-30b-a3b": (128, 8, 48), "jamba-1.5-mini": (16, 2, 16)}  # E, k, blocks
LAYOUTS = [{}, {"tp": 8}, {"tp": 2, "pp": 4}]
few = settings(max_examples=30)
shares, rates = st.floats(0.01, 1.0), st.floats(1e9, 1e13)
tiers_of = st.lists(st.tuples(rates, st.floats(1e9, 1e13)), min_size=1, max_size=3)
loads = st.fixed_dictionaries({"decode": st.floats(1, 300), "context": st.floats(1, 8000)})


def memory(*tiers: tuple[float, float], latency: float = 0.0) -> tuple[MemoryTier, ...]:
    """Tiers of (rate, room), fastest first."""
    found = [MemoryTier(f"t{i}", room, rate, latency) for i, (rate, room) in enumerate(tiers)]
    return tuple(sorted(found, key=lambda tier: -(tier.bytes_per_s or 0.0)))


@pytest.fixture(scope="module")
def behind(make_device, lossless) -> Callable[..., PlatformTable]:
    """A lossless platform with tiers of (rate, room) behind its main memory."""

    @lru_cache(maxsize=512)
    def table(*tiers: tuple[float, float], latency: float = 0.0, **device) -> PlatformTable:
        return platform_table([lossless(make_device(behind=memory(*tiers, latency=latency), **device))])

    return table


def waits(ops, table, cache: float = 0.0, routing: Routing = UNIFORM, **asked) -> Waiting:
    points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1, **asked)
    row = table.rows(points.platform)
    found = waiting_of(ops, row, shard_of(row, points), cache, routing)
    assert found is not None
    return found


def whole_and_experts(ops, table, **layout) -> tuple[float, float]:
    points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1, **layout)
    row = table.rows(points.platform)
    whole, routed = offloadable(ops, row, shard_of(row, points))
    return float(whole[0]), float(routed[0])


def step(
    ops, table, *, source=1000.0, routing=UNIFORM, cache_bytes=1e9, decode=0.0, context=0.0, prefill=None, **asked
):
    """Seconds of one step with shares in slower memory; ``cache_bytes`` of cache, of which a share takes room there."""
    points = make_points(0, concurrency=1, input_tokens=source, output_tokens=1, **asked)
    row = table.rows(points.platform)
    shard, chips = shard_of(row, points), bool(table.resident[0])
    cache = 0.0 if shard.kv_offload is None else shard.kv_offload * cache_bytes
    collectives = collectives_in_use(ops, table, points, chips)
    load = {"decode": np.array([decode]), "context": np.array([context])}
    load |= (
        {"prefill": None, "cached": None}
        if prefill is None
        else {"prefill": np.array([prefill]), "cached": np.zeros(1)}
    )
    if chips:
        on_chip = partial(resident_step, ops, row, shard, collectives, routing=routing, cache_bytes=cache)
        return float(on_chip(**load).total[0])
    return float(run(prepare(ops, row, shard, collectives, routing, cache), **load).total[0])


# what a step takes, (28)


@few
@given(shares, rates, loads, st.sampled_from(LAYOUTS))
def test_28_layers_stream_ahead_of_the_work(ops_of, behind, share, rate, load, layout):
    ops = ops_of("llama-3.1-8b")
    table = behind((rate, math.inf), domain=64)
    plain = step(ops, table, **load, **layout)
    slow = step(ops, table, offload=share, **load, **layout)
    size = float(np.float32(share)) * whole_and_experts(ops, table, **layout)[0]
    # 32 equal layers by the handbook; the head is work too, over which the stream goes on
    form = float(streamed_step([plain / 32] * 32, [0.0] * 32, [size / 32] * 32, 1e12, rate * REACHED))
    assert slow == pytest.approx(form, rel=1e-6)
    ranks = layout.get("tp", 1)
    # 16-bit weights of (1), (2) and two norms a layer; a rank streams its part of all stages
    assert size == pytest.approx(float(np.float32(share)) * 2 * 32 * (41_943_040 + 176_160_768 + 8192 * ranks) / ranks)


@few
@given(st.sampled_from(sorted(EXPERTS)), shares, rates, st.floats(1, 2000), st.floats(0, 1e-3))
def test_28_of_experts_all_ahead_or_those_that_tokens_take_whichever_is_less(
    ops_of, behind, model, share, rate, batch, latency
):
    ops, table = ops_of(model), behind((rate, math.inf), latency=latency)
    experts, top_k, blocks = EXPERTS[model]
    busy = step(ops, table, decode=batch, context=500.0)
    slow = step(ops, table, offload=share, decode=batch, context=500.0)
    whole, routed = whole_and_experts(ops, table)
    out, w = float(np.float32(share)) * whole, rate * REACHED
    cold = min(out, routed)
    ahead = out / w / ops.layers + max(out / w - busy, 0.0)
    hot = (out - cold) / w
    taken = cold / w * (1 - (1 - top_k / experts) ** batch)  # (13), uniform: the same share of any of them
    on_demand = hot / ops.layers + max(hot - busy, 0.0) + taken + blocks * latency
    assert slow - busy == pytest.approx(min(ahead, on_demand), rel=1e-4)


def test_28_few_tokens_fetch_experts_on_demand_and_many_fetch_all(ops_of, behind):
    ops, table = ops_of("qwen3-30b-a3b"), behind((50e9, math.inf), latency=1e-6)
    all_ahead = whole_and_experts(ops, table)[1] / (50e9 * REACHED)
    one, many = (step(ops, table, offload=0.9, decode=b, context=10.0) - step(ops, table, decode=b, context=10.0)
                 for b in (1.0, 4000.0))  # fmt: skip
    assert one < 0.1 * all_ahead
    assert many > 0.9 * all_ahead


@few
@given(st.sampled_from(MODELS), shares)
def test_experts_leave_the_main_memory_before_what_every_step_reads(ops_of, behind, model, share):
    ops, table = ops_of(model), behind((1e11, math.inf))
    whole, routed = whole_and_experts(ops, table)
    found, out = waits(ops, table, offload=share), float(np.float32(share)) * whole
    assert found.hot[0] + found.cold[0] == pytest.approx(out, rel=1e-6)
    assert found.cold[0] == pytest.approx(min(out, routed), rel=1e-6)
    assert bool(routed) == bool(ops.experts)
    if routed:
        assert found.share[0] == pytest.approx(min(out / routed, 1.0), rel=1e-6)


@pytest.mark.parametrize("exponent", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("tokens", [1, 8, 64, 512])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_coldest_leave_first_as_simulated_routing_visits_them(ops_of, behind, exponent, tokens, share):
    ops, table, routing = ops_of("qwen3-30b-a3b"), behind((1e11, math.inf)), Routing(exponent)
    whole, routed = whole_and_experts(ops, table)
    found = waits(ops, table, routing=routing, offload=share * routed / whole)
    expected = touched_share(found, ops, np.array([float(tokens)]))[0]
    rng, trials = np.random.default_rng(tokens), max(30, 6000 // tokens)
    scores = rng.gumbel(size=(trials, tokens, 128)) + np.log(zipf_popularity(128, exponent))  # 8 draws without return
    chosen = np.argpartition(scores, 120, axis=2)[:, :, 120:]
    visited = np.zeros((trials, 128), dtype=bool)
    for one in range(trials):
        visited[one, chosen[one].ravel()] = True
    rarest = visited[:, 128 - round(128 * share) :]  # ranks rise as popularity falls
    assert expected == pytest.approx(rarest.mean(), rel=0.06, abs=0.005)
    assert expected <= visited.mean() + 1e-3 or share == 1.0  # colder than the average expert


def test_14_skew_makes_waiting_experts_cheaper_and_never_more_are_read_than_wait(ops_of, behind):
    ops, table = ops_of("qwen3-30b-a3b"), behind((50e9, math.inf))
    seconds = [
        step(ops, table, offload=0.5, decode=32.0, context=10.0, routing=Routing(z))
        - step(ops, table, decode=32.0, context=10.0, routing=Routing(z))
        for z in (0.0, 0.5, 1.0, 1.5)
    ]
    assert seconds == sorted(seconds, reverse=True) and seconds[-1] < 0.3 * seconds[0]


def test_13_tokens_of_all_replicas_that_share_the_experts_fetch_them(ops_of, behind):
    # 8 replicas of one rank with experts over all of them: 8 times the tokens choose among each rank's experts
    ops, table = ops_of("qwen3-30b-a3b"), behind((50e9, math.inf))
    tokens, share = 4.0, 0.5
    load = {"decode": tokens, "context": 10.0, "ep": 8, "dp": 8}
    added = step(ops, table, offload=share, **load) - step(ops, table, **load)
    found = waits(ops, table, offload=share, ep=8, dp=8)
    taken = found.experts(touched_share(found, ops, np.array([8 * tokens])))[0]
    assert added >= taken * (1 - 1e-9)


# how it lies, (29) and (30)


@few
@given(tiers_of, st.floats(0.05, 1.0))
def test_29_what_every_step_reads_lies_as_the_best_split_and_is_read_in_its_time(ops_of, behind, tiers, share):
    ops, table = ops_of("llama-3.1-8b"), behind(*tiers)
    found = waits(ops, table, offload=share)
    size, speed = float(found.hot[0]), table.tier_rate[0]
    best = best_shares(size, speed, table.tier_bytes[0])
    assume(np.isfinite(best).all())  # they hold it
    np.testing.assert_allclose(found.hot_held[0], best, rtol=1e-6, atol=1e-9)
    assert found.everything(np.zeros(1))[0] == pytest.approx(float(tier_time(size, best, speed)), rel=1e-6)


@few
@given(st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "jamba-1.5-mini"]), tiers_of, shares, st.floats(0, 1e12))
def test_tiers_hold_no_more_than_they_have(ops_of, behind, model, tiers, share, cache):
    ops, table = ops_of(model), behind(*tiers)
    found = waits(ops, table, cache, offload=share)
    held = found.held[0] + cache * found.hot_held[0]
    assume(found.hot[0] + found.cold[0] + cache <= table.tier_bytes[0].sum())
    assert (held <= table.tier_bytes[0] * (1 + 1e-6) + 1e3).all()
    assert held.sum() == pytest.approx(found.hot[0] + found.cold[0] + cache, rel=1e-6)


def test_29_a_cache_alone_is_read_from_the_tiers(ops_of, behind):
    # no weights wait: what is read of the cache still takes its time
    ops, table = ops_of("llama-3.1-8b"), behind((2e10, math.inf), (1e10, math.inf))
    found = waits(ops, table, 1e9, kv_offload=0.5)
    assert found.every_step(np.array([3e8]))[0] == pytest.approx(3e8 / (3e10 * REACHED))
    free, some = (step(ops, table, kv_offload=x, decode=8.0, context=4000.0) for x in (0.0, 0.5))
    read = 0.5 * 8 * 4000 * 131_072 / (3e10 * REACHED)
    assert some == pytest.approx(read / 32 + max(read, free), rel=1e-6)


@pytest.mark.parametrize("style", ["static_pipeline", "wafer"])
@pytest.mark.parametrize(
    ("model", "each"), [("llama-3.1-8b", 131_072 * 4000), ("falcon-mamba-7b", 2 * 64 * 2 * 8192 * 19)]
)
@pytest.mark.parametrize("batch", [1.0, 20.0])
def test_a_cache_behind_on_chip_memory_is_read_for_every_sequence(ops_of, behind, style, model, each, batch):
    ops, table = ops_of(model), behind((1e8, math.inf), style=style, topology="dragonfly")
    free, some = (step(ops, table, kv_offload=x, pp=4, decode=batch, context=4000.0) for x in (0.0, 1.0))
    stream = batch * each / 4 / (1e8 * REACHED)
    assert some == pytest.approx(stream / ops.layers + max(stream, free), rel=1e-6)


def test_4_states_that_wait_are_read_and_written_back(ops_of, behind):
    ops, rate = ops_of("falcon-mamba-7b"), 1e10
    table = behind((rate, math.inf))
    free, some = (step(ops, table, kv_offload=x, decode=64.0, context=100.0) for x in (0.0, 1.0))
    moved = 2 * 64 * 64 * 2 * 8192 * (16 + 3) / (rate * REACHED)  # batch, layers, 16 bit: (4), (5)
    assert some == pytest.approx(moved / 64 + max(moved, free), rel=1e-6)


@few
@given(rates, st.integers(1, 512), st.sampled_from([64.0, 4096.0, 262144.0]), st.floats(1e-7, 1e-3))
def test_30_requests_under_way_bound_the_rate(make_device, lossless, rate, outstanding, line, latency):
    tier = MemoryTier("nvme", 8e12, rate, latency, outstanding, line)
    table = platform_table([lossless(make_device(behind=(tier,)))])
    assert table.tier_rate[0, 0] / REACHED == pytest.approx(float(latency_bound_rate(rate, outstanding, line, latency)))
    assert table.tier_latency[0, 0] == latency


@few
@given(st.floats(0, 1e-3), shares)
def test_30_experts_that_are_asked_for_wait_for_the_latency_of_every_block(ops_of, behind, latency, share):
    for model, (_, _, blocks) in EXPERTS.items():
        found = waits(ops_of(model), behind((1e11, math.inf), latency=latency), offload=share)
        assert found.late_s[0] == pytest.approx(blocks * latency)
    assert waits(ops_of("llama-3.1-8b"), behind((1e11, math.inf), latency=latency), offload=share).late_s[0] == 0.0


# what must hold of any


@few
@given(st.sampled_from(MODELS), st.sampled_from(LAYOUTS), tiers_of, st.floats(0, 1), st.floats(0, 1), loads,
       st.sampled_from([None, 500.0]), st.sampled_from([0.0, 1.0]))  # fmt: skip
def test_a_tier_never_makes_a_step_faster(ops_of, behind, model, layout, tiers, share, cache, load, prompt, skew):
    ops, table, routing = (
        ops_of(model),
        behind(*tiers, latency=1e-6),
        Routing(skew) if ops_of(model).experts else UNIFORM,
    )
    asked = layout | load | {"prefill": prompt, "routing": routing}
    plain = step(ops, table, **asked)
    assert step(ops, table, offload=share, kv_offload=cache, **asked) >= plain * (1 - 1e-9)


@few
@given(st.sampled_from(["llama-3.1-8b", "falcon-mamba-7b", "mixtral-8x7b"]),
       st.sampled_from(["static_pipeline", "wafer"]), st.floats(0, 1), st.floats(0, 1), loads)  # fmt: skip
def test_nor_one_of_chips_that_hold_the_model(ops_of, behind, model, style, share, cache, load):
    table = behind((1e11, math.inf), style=style, topology="dragonfly")
    plain = step(ops_of(model), table, pp=8, **load)
    assert step(ops_of(model), table, pp=8, offload=share, kv_offload=cache, **load) >= plain * (1 - 1e-9)


@few
@given(st.sampled_from(MODELS), rates, rates, st.floats(1, 10), st.floats(0, 1), st.floats(0, 1), loads, st.booleans())
def test_a_faster_tier_of_the_same_room_never_makes_a_step_slower(
    ops_of, behind, model, one, other, factor, share, cache, load, first
):
    ops, room = ops_of(model), math.inf
    before = behind((one, room), (other, room))
    after = behind((one * factor, room), (other, room)) if first else behind((one, room), (other * factor, room))
    asked = load | {"offload": share, "kv_offload": cache}
    assert step(ops, after, **asked) <= step(ops, before, **asked) * (1 + 1e-9)


@few
@given(st.sampled_from(MODELS), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), loads)
def test_more_in_slower_memory_never_makes_a_step_faster(ops_of, behind, model, a, b, c, d, load):
    ops, table = ops_of(model), behind((6e10, math.inf), latency=1e-6)
    less = step(ops, table, offload=min(a, b), kv_offload=min(c, d), **load)
    more = step(ops, table, offload=max(a, b), kv_offload=max(c, d), **load)
    assert more >= less * (1 - 1e-9)


def test_hidden_behind_is_the_first_layer_and_what_outlasts_the_work():
    stream, busy = np.array([1.0, 4.0]), np.array([3.0, 3.0])
    np.testing.assert_allclose(hidden_behind(stream, busy, 10), [0.1, 0.4 + 1.0])


# memory


def budget(ops, table, **asked):
    return budget_of(
        ops, table, make_points(0, **({"concurrency": 1, "input_tokens": 4000, "output_tokens": 200} | asked))
    )


@pytest.mark.parametrize("model", ["llama-3.1-8b", "falcon-mamba-7b", "gemma-3-27b"])
def test_4_a_cache_that_waits_leaves_room_for_more_sequences(ops_of, behind, model):
    ops, table = ops_of(model), behind((6e10, 1e13), capacity=80e9)
    none, half, whole = (budget(ops, table, kv_offload=x) for x in (0.0, 0.5, 1.0))
    assert none.sequences[0] < half.sequences[0] < whole.sequences[0]
    assert (none.kv_waiting[0], half.kv_waiting[0]) == (0.0, pytest.approx(0.5 * none.kv_per_sequence[0]))
    # two layers' worth is on its way through main memory
    kept = 1 - 0.5 * (1 - 2 / ops.layers)
    assert half.kv_per_sequence[0] == pytest.approx(kept * none.kv_per_sequence[0])


def test_what_waits_of_the_cache_is_that_of_the_requests_in_flight(ops_of, behind):
    ops, table = ops_of("llama-3.1-8b"), behind((6e10, 1e13), capacity=80e9)
    points = make_points(0, kv_offload=0.75, concurrency=[1, 8, 1e6], input_tokens=4000, output_tokens=200)
    row = table.rows(points.platform)
    held = budget_of(ops, table, points)
    found = waiting_cache(shard_of(row, points), points, held)
    each = 0.75 * 131_072 * 4100
    np.testing.assert_allclose(found, [each, 8 * each, each * held.sequences[2]], rtol=1e-3)


def test_tiers_bound_the_sequences_and_say_so_where_they_hold_none(ops_of, behind):
    ops, each = ops_of("llama-3.1-8b"), 131_072 * 4112  # whole blocks are 1 token here; mean context of 4,100
    table = behind((6e10, 10.5 * each), capacity=80e9)
    assert budget(ops, table, kv_offload=1.0).sequences[0] == 10
    small = behind((6e10, 0.5 * each), capacity=80e9)
    found = predict(ops, small, make_points(0, kv_offload=[0.0, 1.0, 0.0], offload=[0.0, 0.0, 0.9],
                                            concurrency=1, input_tokens=4000, output_tokens=200))  # fmt: skip
    # whoever keeps everything is not asked about tiers, whatever stands beside
    assert found.reason.tolist() == [reasons.OK, reasons.TIERS, reasons.TIERS]
    assert reasons.CODES[reasons.TIERS] == "tiers_full" and np.isnan(found.itl_s[1:]).all()


def test_weights_that_fill_a_tier_to_the_last_byte_fit(ops_of, behind):
    ops = ops_of("llama-3.1-8b")
    size = whole_and_experts(ops, behind((6e10, math.inf)))[0]
    table = behind((6e10, size), capacity=80e9)
    points = make_points(
        0, offload=[1.0, 1.0], kv_offload=[0.0, 0.5], concurrency=1, input_tokens=400, output_tokens=20
    )
    assert predict(ops, table, points).reason.tolist() == [reasons.OK, reasons.TIERS]


def test_a_part_without_slower_memory_has_no_place_for_a_cache_either(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device())])
    points = make_points(0, kv_offload=[0.0, 0.3], concurrency=1, input_tokens=400, output_tokens=20)
    found = predict(ops_of("llama-3.1-8b"), table, points)
    assert found.fits.tolist() == [True, False]


def test_single_precision_answers_the_same(ops_of, behind):
    for model in MODELS:
        points = make_points(0, offload=[0.0, 0.3, 0.9], kv_offload=[0.7, 0.0, 0.4], concurrency=8, input_tokens=400,
                             output_tokens=20)  # fmt: skip
        table = behind((6e10, 1e13), (1e10, 8e13), latency=1e-6)
        one, two = (predict(ops_of(model), table, points, dtype=kind) for kind in (np.float64, np.float32))
        np.testing.assert_allclose(two.latency_s, one.latency_s, rtol=2e-5)


def test_shares_of_a_shard_are_what_points_ask(ops_of, behind):
    points = make_points(0, offload=0.25, kv_offload=0.5, concurrency=1, input_tokens=1, output_tokens=1)
    row = behind((6e10, 1e13)).rows(points.platform)
    shard = shard_of(row, points)
    assert shard.offload is not None and shard.kv_offload is not None
    assert (shard.offload[0], shard.kv_offload[0]) == (0.25, 0.5)
    nothing = replace(shard, offload=None, kv_offload=None)
    assert waiting_of(ops_of("llama-3.1-8b"), row, nothing) is None
