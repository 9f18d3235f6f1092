"""Shards of the context (25), weights in slower memory (28), and where the stages of a pipeline stand (27)."""

import math
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerators, load_accelerator
from inferatlas.predict.hardware.device import MemoryTier, device
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.parts import Parts
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.priors import constant, spread
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import run
from inferatlas.predict.platforms import bind
from inferatlas.predict.question import ask

LONG = ["llama-3.1-8b", "llama-3.3-70b", "deepseek-r1", "qwen3-30b-a3b", "gemma-3-27b"]
models = st.sampled_from(LONG)
shards = st.sampled_from([1, 2, 4, 8])
shares = st.floats(0.01, 1.0)
rates = st.floats(1e9, 1e12)
few = settings(max_examples=40)
HOST = MemoryTier("host", math.inf, 50e9)
REACHED = constant("offload", "efficiency")  # of the rated speed of slower memory
LLAMA = {"layers": 32, "hidden": 4096, "heads": 32, "kv": 8, "head": 128, "vocab": 128_256}
LLAMA_LAYERS = 32 * (41_943_040 + 176_160_768)  # equations (1) and (2)


def one_pass(ops, table, *, chips=False, prefill=None, cached=0.0, decode=0.0, context=0.0, prompts=1.0, **layout):
    """One step of one point: its parts, and the seconds of each row of the breakdown."""
    sink, chosen = layout.pop("sink", None), layout
    points = make_points(0, concurrency=1, input_tokens=1, output_tokens=1, **chosen)
    row = table.rows(points.platform)
    load = {"decode": decode, "context": context} | ({} if prefill is None else {"prefill": prefill, "cached": cached})
    arrays = {"prefill": None, "cached": None} | {name: np.array([float(value)]) for name, value in load.items()}
    on = ops, row, shard_of(row, points), collectives_in_use(ops, table, points, chips)
    one_step = partial(resident_step, *on) if chips else partial(run, prepare(*on))
    return one_step(prompts=prompts, sink=sink, **arrays)


def rows_of(ops, table, **asked) -> dict[str, float]:
    """Seconds by operator."""
    seen: dict[str, float] = {}

    def sink(name, _count, **seconds):
        seen[name] = seen.get(name, 0.0) + sum(float(np.sum(value)) for value in seconds.values())

    one_pass(ops, table, sink=sink, **asked)
    return seen


def budget(ops, table, points: Points, *, chips: bool = False):
    row = table.rows(points.platform)
    return memory_budget(ops, row, shard_of(row, points), points, chips)


def assert_same(one: Predictions, other: Predictions) -> None:
    for field in fields(Predictions):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def layer_bytes(ops) -> float:
    """16-bit weights of all layers: everything but the two tables of the vocabulary, which are always at hand."""
    held = count(ops.model)
    assert not held.positions
    return 2.0 * (held.total - held.embedding - held.lm_head - held.other - held.biases)


# no shards, nothing offloaded


@pytest.mark.parametrize("part", ["nvidia-h100-sxm", "amd-mi250", "cerebras-wse-3"])
@pytest.mark.parametrize(
    "load", [{"concurrency": 7}, {"request_rate": 0.3}, {"concurrency": 7, "together": True}], ids=str
)
@pytest.mark.parametrize("model", ["llama-3.3-70b", "mixtral-8x7b"])
def test_one_shard_and_nothing_offloaded_is_exactly_what_it_was(ops_of, part, load, model):
    ops = ops_of(model)
    table = platform_table([bind(part, model=model)], is_moe=bool(ops.experts))
    asked = load | {"input_tokens": [64, 5000, 30_000], "output_tokens": 200}
    layout = {"pp": 9} if table.resident[0] else {"tp": 4, "pp": 2}
    plain = make_points(0, **asked, **layout)
    alone = predict(ops, table, plain)
    assert_same(alone, predict(ops, table, make_points(0, cp=1, offload=0.0, **asked, **layout)))
    # and no less so beside points that have them
    others = [make_points(0, **change, **asked, **layout) for change in ({"cp": 2}, {"offload": 0.5})]
    every = [plain, *others]
    mixed = Points(**{f.name: np.concatenate([getattr(p, f.name) for p in every]) for f in fields(Points)})
    found = predict(ops, table, mixed)
    assert_same(alone, Predictions(**{f.name: getattr(found, f.name)[:3] for f in fields(Predictions)}))


# shards of the context


@pytest.mark.parametrize("tp", [1, 4])
@given(shares_of=shards, batch=st.integers(1, 512), context=st.integers(0, 100_000))
def test_decode_reads_the_weights_whole_and_a_share_of_the_cache(ops_of, weights_only, tp, shares_of, batch, context):
    found = one_pass(ops_of("llama-3.1-8b"), weights_only, tp=tp, cp=shares_of, decode=batch, context=context)
    weights = 2 * (LLAMA_LAYERS + LLAMA["vocab"] * LLAMA["hidden"])
    cache = batch * context * 131_072  # equation (4)
    assert found.byte_s[0] == pytest.approx((weights + cache / shares_of) / tp, rel=1e-9)


@pytest.mark.parametrize("model", LONG)
@given(shares_of=shards, batch=st.integers(1, 512))
def test_shards_never_change_what_decode_streams(ops_of, weights_only, model, shares_of, batch):
    whole, shard = (
        one_pass(ops_of(model), weights_only, cp=n, decode=batch, context=0).byte_s[0] for n in (1, shares_of)
    )
    assert shard == whole


@given(shards, st.integers(1, 50_000), st.integers(0, 50_000), st.sampled_from([1, 2, 8]))
def test_the_work_of_a_prompt_is_divided(ops_of, counting, shares_of, tokens, cached, tp):
    it, pairs = LLAMA, tokens * cached + tokens * (tokens + 1) / 2
    whole = 2 * LLAMA_LAYERS * tokens + 4 * it["layers"] * it["heads"] * it["head"] * pairs
    head = 2 * it["vocab"] * it["hidden"]  # of the one token that comes out, on every shard
    found = one_pass(ops_of("llama-3.1-8b"), counting, tp=tp, cp=shares_of, prefill=tokens, cached=cached)
    assert found.flop_s[0] == pytest.approx((whole / shares_of + head) / tp, rel=1e-9)


@few
@given(models, shards, st.integers(1, 60_000), st.integers(1, 4000), st.sampled_from([1, 2, 4]))
def test_the_cache_of_a_sequence_is_divided_and_nothing_else(ops_of, make_device, lossless, model, n, isl, osl, tp):
    ops, table = ops_of(model), platform_table([lossless(make_device(), block_tokens=16)])
    load = {"tp": tp, "concurrency": 1, "input_tokens": isl, "output_tokens": osl}
    whole, shard = (budget(ops, table, make_points(0, cp=cp, **load)) for cp in (1, n))
    for name in ("kv_per_sequence", "kv_longest"):
        assert getattr(shard, name)[0] * n == pytest.approx(getattr(whole, name)[0])
    assert shard.weights == whole.weights and shard.activations <= whole.activations
    assert n * (whole.sequences[0] + 1) >= shard.sequences[0] >= n * whole.sequences[0] - 1e-9
    assert make_points(0, cp=n, **load).accelerators[0] == n * tp


def ring_by_hand(it, peak, bandwidth, link, latency, *, n, tp, tokens, cached, prompts) -> float:
    """Equation (25): n-1 sends of the local keys and values per layer, less what attention itself takes (5), (6)."""
    seen, values = tokens + cached, 2 * it["kv"] * it["head"] / tp
    sent = (n - 1) * (latency + prompts * seen / n * values * 2 / link)
    pairs = prompts * (tokens * cached + tokens * (tokens + 1) / 2)
    compute = 4 * it["heads"] * it["head"] * pairs / n / tp / peak
    moved = prompts * (seen * values + tokens / n * 2 * it["heads"] * it["head"] / tp) * 2
    return it["layers"] * max(0.0, sent - math.hypot(compute, moved / bandwidth))


@given(
    st.sampled_from([2, 4, 8]), st.sampled_from([1, 2, 4]), st.integers(64, 100_000), st.integers(0, 50_000),
    st.floats(1e9, 1e12), st.sampled_from([0.0, 3e-6]), st.sampled_from([1, 3]),
)  # fmt: skip
def test_25_what_the_ring_leaves_exposed(ops_of, make_device, lossless, n, tp, tokens, cached, link, latency, prompts):
    machine = {"peak": 1e15, "bandwidth": 3e12, "link": link}
    platform = lossless(make_device(**machine))
    table = platform_table([replace(platform, network=replace(platform.network, base_s=latency))])
    asked = {"tp": tp, "cp": n, "prefill": tokens, "cached": cached, "prompts": prompts}
    expected = ring_by_hand(
        LLAMA, **machine, latency=latency, n=n, tp=tp, tokens=tokens, cached=cached, prompts=prompts
    )
    assert rows_of(ops_of("llama-3.1-8b"), table, **asked)["context ring"] == pytest.approx(
        expected, rel=1e-6, abs=1e-9
    )


def test_25_a_ring_over_slow_links_shows_and_over_fast_ones_hides(ops_of, make_device, lossless):
    slow, fast = (platform_table([lossless(make_device(link=link))]) for link in (1e9, 1e14))
    asked = {"cp": 8, "prefill": 30_000}
    assert rows_of(ops_of("llama-3.1-8b"), slow, **asked)["context ring"] > 0.1
    assert rows_of(ops_of("llama-3.1-8b"), fast, **asked)["context ring"] == 0.0


@pytest.mark.parametrize("model", ["llama-3.1-8b", "nemotron-super-49b"])
@given(n=st.sampled_from([2, 4, 8]), tp=st.sampled_from([1, 2, 4]), batch=st.integers(1, 256))
def test_25_decode_gathers_its_parts_once_per_layer_with_attention(ops_of, make_device, lossless, model, n, tp, batch):
    ops, link = ops_of(model), 100e9
    table = platform_table([lossless(make_device(link=link))])
    with_attention = sum(row.count for row in ops.attentions)
    heads = max(row.attention.heads * row.attention.head_dim for row in ops.attentions)
    parts = 2 * batch * heads / tp  # 16 bit
    found = rows_of(ops, table, tp=tp, cp=n, decode=batch, context=1000)["context all_reduce"]
    assert found == pytest.approx(with_attention * 2 * (n - 1) / n * parts / link, rel=1e-9)


@few
@given(models, st.integers(1000, 100_000), st.sampled_from([1, 2, 4]), st.floats(1e13, 1e16), st.floats(1e11, 2e13))
def test_more_shards_never_slow_a_long_prompt_where_links_are_free(
    ops_of, make_device, lossless, model, isl, tp, peak, bandwidth
):
    table = platform_table([lossless(make_device(peak=peak, bandwidth=bandwidth, link=1e30))])
    found = predict(
        ops_of(model), table, make_points(0, tp=tp, cp=[1, 2, 4, 8], concurrency=1, input_tokens=isl, output_tokens=32)
    )
    assert found.fits.all()
    assert (np.diff(found.ttft_s) <= 1e-9 * found.ttft_s[0]).all()
    assert (np.diff(found.itl_s) <= 1e-9 * found.itl_s[0]).all()


def test_shards_halve_a_long_prompt_and_a_network_can_take_it_back(ops_of, make_device, lossless):
    ops, load = ops_of("llama-3.1-8b"), {"concurrency": 1, "input_tokens": 100_000, "output_tokens": 2}
    free, slow = (platform_table([lossless(make_device(link=link))]) for link in (1e30, 5e8))
    whole, half = predict(ops, free, make_points(0, cp=[1, 2], **load)).ttft_s
    assert half == pytest.approx(whole / 2, rel=0.02)
    there, back = predict(ops, slow, make_points(0, cp=[1, 2], **load)).ttft_s
    assert back > there


def test_a_context_that_one_device_does_not_hold_is_held_by_several(ops_of, make_device, lossless):
    # 100,000 tokens of 131,072 bytes beside 16 GB of weights
    ops, table = ops_of("llama-3.1-8b"), platform_table([lossless(make_device(capacity=26e9))])
    found = predict(ops, table, make_points(0, cp=[1, 2, 4], concurrency=1, input_tokens=100_000, output_tokens=64))
    assert found.reason.tolist() == [reasons.KV_CACHE, reasons.OK, reasons.OK]


@pytest.mark.parametrize("part", ["groq-lpu-v1", "cerebras-wse-3", "graphcore-bow"])
def test_machines_that_hold_the_model_on_chip_refuse_shards(ops_of, part):
    table = platform_table([bind(part)])
    asked = {"pp": 512, "concurrency": 1, "input_tokens": 512, "output_tokens": 64}
    found = predict(ops_of("llama-3.1-8b"), table, make_points(0, cp=[1, 2], **asked))
    assert found.reason.tolist() == [reasons.OK, reasons.RESIDENT]
    assert np.isnan(found.ttft_s[1])
    answer = ask("llama-3.1-8b", part, pp=512, tp=1, cp=2, concurrency=1, isl=512, osl=64)
    assert not answer.fits and answer.reason is not None
    assert answer.reason["code"] == "resident_layout" and "cp" in answer.reason["detail"]


def test_shards_beyond_the_domain_need_a_known_network(ops_of, make_device, lossless):
    load = {"tp": 4, "cp": 4, "concurrency": 1, "input_tokens": 9000, "output_tokens": 64}
    for nic, reason in ((None, reasons.INTERCONNECT), (50e9, reasons.OK)):
        table = platform_table([lossless(make_device(domain=8, scale_out_bytes_per_s=nic))])
        assert predict(ops_of("llama-3.1-8b"), table, make_points(0, **load)).reason[0] == reason


# weights in slower memory


@few
@given(st.sampled_from(["llama-3.1-8b", "llama-3.3-70b", "qwen3-32b"]), shares, rates, st.sampled_from([1, 2, 4]),
       st.integers(1, 256), st.sampled_from(["decode", "prefill"]))  # fmt: skip
def test_28_a_step_loads_one_layer_and_then_takes_the_longer_of_work_and_stream(
    ops_of, make_device, lossless, model, share, rate, tp, size, phase
):
    ops = ops_of(model)
    table = platform_table([lossless(make_device(behind=(MemoryTier("host", math.inf, rate),), link=1e30))])
    work = {"decode": size, "context": 1000} if phase == "decode" else {"prefill": 16.0 * size}
    stream = share * layer_bytes(ops) / tp / (rate * REACHED)
    plain = one_pass(ops, table, tp=tp, **work)
    slow = one_pass(ops, table, tp=tp, offload=share, **work)
    # routers and norms stay whole on every rank: a few parts in a thousand
    assert slow.total[0] == pytest.approx(stream / ops.layers + max(plain.total[0], stream), rel=4e-3)
    assert slow.total[0] >= stream * (1 - 4e-3) and slow.total[0] >= plain.total[0]


def test_28_of_a_dense_model_on_one_device_to_the_last_byte(ops_of, make_device, lossless):
    ops, rate = ops_of("llama-3.1-8b"), 64e9
    table = platform_table([lossless(make_device(behind=(MemoryTier("host", math.inf, rate),)))])
    norms = 2 * 32 * 4096
    stream = 0.25 * 2 * (LLAMA_LAYERS + norms) / (rate * REACHED)
    plain = one_pass(ops, table, decode=1, context=100)
    assert stream > plain.total[0]
    found = one_pass(ops, table, offload=0.25, decode=1, context=100)
    assert found.total[0] == pytest.approx(stream * (1 + 1 / 32), rel=1e-9)


@few
@given(st.sampled_from(["llama-3.1-8b", "llama-3.3-70b"]), shares, rates,
       st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 4)]), st.integers(1, 300))  # fmt: skip
def test_28_no_token_comes_sooner_than_the_stream(ops_of, make_device, lossless, model, share, rate, layout, users):
    ops, (tp, pp) = ops_of(model), layout
    table = platform_table([lossless(make_device(behind=(MemoryTier("host", math.inf, rate),)))])
    load = {"tp": tp, "pp": pp, "concurrency": users, "input_tokens": 700, "output_tokens": 100}
    plain, slow = (predict(ops, table, make_points(0, offload=x, **load)) for x in (0.0, share))
    assert slow.fits[0]
    # a token passes all stages, and each streams its own layers over its own devices
    stream = share * layer_bytes(ops) / tp / (rate * REACHED)
    assert slow.itl_s[0] >= stream * (1 - 1e-6)
    assert slow.ttft_s[0] >= stream * (1 - 1e-6)
    assert slow.itl_s[0] >= plain.itl_s[0] and slow.latency_s[0] >= plain.latency_s[0]


@few
@given(models, shares, st.integers(1, 300), st.sampled_from([1, 2, 4]))
def test_28_with_an_ever_faster_link_the_step_is_the_plain_one(ops_of, make_device, lossless, model, share, batch, tp):
    ops = ops_of(model)
    tables = [
        platform_table([lossless(make_device(behind=(MemoryTier("host", math.inf, rate),)))])
        for rate in (1e9, 1e11, 1e13, 1e30)
    ]
    times = [one_pass(ops, t, tp=tp, offload=share, decode=batch, context=500).total[0] for t in tables]
    assert sorted(times, reverse=True) == times
    plain = one_pass(ops, tables[0], tp=tp, decode=batch, context=500).total[0]
    assert times[-1] == pytest.approx(plain, rel=1e-9)
    assert times[0] > plain


@few
@given(models, st.lists(st.floats(0, 1), min_size=2, max_size=5), st.sampled_from([(1, 1), (2, 1), (1, 4), (1, 32)]))
def test_memory_falls_with_the_share_and_keeps_room_for_two_layers(ops_of, make_device, lossless, model, some, layout):
    ops, (tp, pp) = ops_of(model), layout
    table = platform_table([lossless(make_device(behind=(HOST,)))])
    points = make_points(
        0, tp=tp, pp=pp, offload=[0.0, *sorted(some), 1.0], concurrency=1, input_tokens=64, output_tokens=64
    )
    held = budget(ops, table, points)
    assert (np.diff(held.weights) <= 0).all()
    assert (np.diff(held.sequences) >= 0).all()
    two_layers = 2.0 * layer_bytes(ops) / ops.layers / tp
    assert held.weights[-1] >= two_layers * (1 - 1e-9)
    if layout == (1, 1):  # all waits: the tables of the vocabulary and two layers are left
        tables = held.weights[0] - layer_bytes(ops)
        assert held.weights[-1] == pytest.approx(tables + two_layers, rel=1e-3)


def test_what_did_not_fit_fits(ops_of, make_device, lossless):
    ops = ops_of("llama-3.3-70b")  # 141 GB
    table = platform_table([lossless(make_device(capacity=80e9, behind=(HOST,)))])
    found = predict(
        ops, table, make_points(0, offload=[0.0, 0.2, 0.6, 1.0], concurrency=1, input_tokens=512, output_tokens=64)
    )
    assert found.fits.tolist() == [False, False, True, True]
    assert found.reason[0] == reasons.WEIGHTS
    assert found.itl_s[2] < found.itl_s[3]  # no more waits than has to


def test_without_slower_memory_the_reason_says_so(ops_of, make_device, lossless):
    load = {"concurrency": 1, "input_tokens": 512, "output_tokens": 64}
    table = platform_table([lossless(make_device(behind=())), lossless(make_device(behind=(HOST,)))])
    points = make_points([0, 0, 1], offload=[0.0, 0.5, 0.5], **load)
    found = predict(ops_of("llama-3.1-8b"), table, points)
    assert found.reason.tolist() == [reasons.OK, reasons.OFFLOAD, reasons.OK]
    assert np.isnan(found.itl_s[1])
    without = [one.id for one in accelerators() if device(one).offload is None]
    assert without
    answer = ask("llama-3.1-8b", without[0], tp=1, pp=1, offload=0.5, concurrency=1, isl=512, osl=64)
    assert not answer.fits and not answer.metrics and answer.reason is not None
    assert answer.reason["code"] == "no_slower_memory"
    assert ask("llama-3.1-8b", "h100", offload=0.5, concurrency=1, isl=512, osl=64).fits


def test_slower_memory_is_the_fastest_larger_one_and_its_rate_is_known(ops_of):
    for one in accelerators():
        part = device(one)
        if part.offload is None:
            assert one.facts.number("host_link.per_direction") is None
            continue
        assert part.offload.bytes > part.memory.bytes and part.offload.bytes_per_s
        assert part.offload.bytes_per_s >= (one.facts.number("host_link.per_direction") or 0.0)
    assert device(load_accelerator("h100")).offload == MemoryTier("host", math.inf, 64e9)  # PCIe 5 x16
    table = platform_table([bind("h100"), bind("mi250")])
    assert table.offload_s[0] == pytest.approx(1 / (64e9 * REACHED))
    assert table.dies.tolist() == [1, 2]  # two dies share the card's link


@given(shares, st.integers(2, 200))
def test_28_chips_of_one_layer_stream_together_and_layers_in_turn(ops_of, make_device, lossless, share, chips):
    ops, rate = ops_of("llama-3.1-8b"), 1e9
    part = make_device(style="static_pipeline", topology="dragonfly", behind=(MemoryTier("host", math.inf, rate),))
    table = platform_table([lossless(part)])
    stream = share * 2 * (LLAMA_LAYERS + 2 * 32 * 4096) / chips / (rate * REACHED) * min(chips, 32)
    plain, slow = (
        one_pass(ops, table, chips=True, pp=chips, offload=x, decode=1, context=100).total[0] for x in (0.0, share)
    )
    assert slow == pytest.approx(stream / 32 + max(stream, plain), rel=1e-6)


# intervals


def log_widths(found: Predictions) -> dict[str, np.ndarray]:
    return {name: getattr(found, f"{name}_sigma") for name in ("ttft", "itl", "latency", "rate", "power")}


@pytest.mark.parametrize("change", [{"cp": 2}, {"cp": 8}, {"offload": 0.3}, {"offload": 1.0}], ids=str)
def test_what_was_never_measured_is_never_surer(ops_of, change):
    ops, prior = ops_of("llama-3.3-70b"), spread("technique")
    known = [one for one in accelerators() if one.execution not in ("static_pipeline", "wafer")]
    table = platform_table([bind(one, model="llama-3.3-70b") for one in known])
    load = {"concurrency": 1, "input_tokens": 4000, "output_tokens": 300}
    who = np.arange(len(known))
    plain, other = (
        log_widths(predict(ops, table, make_points(who, tp=8, **more, **load), proven=True)) for more in ({}, change)
    )
    for name, sigma in other.items():
        ok = np.isfinite(sigma) & np.isfinite(plain[name])
        assert ok.sum() > 30
        assert (sigma[ok] >= prior).all(), name
        if name != "ttft":  # a first token also waits for the host, a smaller share of what takes longer
            assert (sigma[ok] >= plain[name][ok]).all(), name
    same = np.isfinite(plain["power"])
    np.testing.assert_allclose(other["power"][same], np.hypot(plain["power"], prior)[same], rtol=1e-5)


def test_an_answer_says_that_it_was_never_measured():
    asked = {"tp": 4, "pp": 1, "dp": 1, "concurrency": 1, "isl": 4096, "osl": 256}
    plain = ask("llama-3.3-70b", "h100", **asked)
    assert plain.label == "predicted"
    for change in ({"cp": 2}, {"offload": 0.5}):
        other = ask("llama-3.3-70b", "h100", **asked, **change)
        assert other.label == "extrapolated"
        assert any("no measurement" in note for note in other.fallbacks)


# where stages stand


def crossings(stages: int, block: int, domain: int) -> tuple[int, int]:
    """Hops inside a domain and between domains; stages stand one after the other, over no border they can avoid."""
    where, at = [], 0
    for _ in range(stages):
        free = domain - at % domain
        if block > free and free < domain:
            at += free
        where.append(at // domain)
        at += block if block <= domain else -(-block // domain) * domain
    hops = [(here, where[(i + 1) % stages]) for i, here in enumerate(where)] if stages > 1 else []
    across = sum(here != there for here, there in hops)
    return len(hops) - across, across


@given(
    st.integers(1, 32), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]),
    st.sampled_from([1, 2, 4, 8, 12, 72]), st.integers(1, 300),
)  # fmt: skip
def test_27_hops_are_paid_where_stages_stand(ops_of, make_device, lossless, pp, tp, cp, domain, batch):
    ops, nic, link = ops_of("llama-3.1-8b"), 25e9, 400e9
    platform = lossless(make_device(domain=domain, link=link, scale_out_bytes_per_s=nic))
    network = replace(platform.network, base_s=2e-6, step_s=1e-6, scale_out_s=5e-5)
    table = platform_table([replace(platform, network=network)])
    seen = rows_of(ops, table, tp=tp, pp=pp, cp=cp, decode=batch, context=10)
    inside, across = crossings(pp, tp * cp, domain)
    message = batch * 4096 * 2 / tp
    near = 3e-6 + message / link if domain > 1 else 5e-5 + message / nic
    assert seen.get("stage to stage", 0.0) == pytest.approx(inside * near, rel=1e-9)
    assert seen.get("stage to stage, between nodes", 0.0) == pytest.approx(across * (5e-5 + message / nic), rel=1e-9)


@given(st.integers(2, 64), st.sampled_from([1, 2, 4, 8]), st.sampled_from([4, 8, 16, 72]))
def test_27_inside_a_domain_all_hops_are_near_and_beyond_one_per_domain_is_far(pp, block, domain):
    inside, across = crossings(pp, block, domain)
    held = domain // block
    assert inside + across == pp
    assert across == (0 if pp <= held else math.ceil(pp / held) if held else pp)


@pytest.mark.parametrize("part", ["amd-mi325x", "nvidia-l4", "nvidia-h100-sxm"])
def test_27_an_unknown_network_between_nodes_is_assumed_and_said(part):
    known = device(load_accelerator(part))
    asked = {"tp": known.domain, "dp": 1, "concurrency": 1, "isl": 512, "osl": 64}
    one, two = (ask("llama-3.1-8b", part, pp=pp, **asked) for pp in (1, 2))
    said = [any("no scale-out bandwidth" in note for note in answer.fallbacks) for answer in (one, two)]
    assert one.fits and two.fits
    assert said == [False, known.scale_out_bytes_per_s is None]


def test_parts_of_a_step_with_shards_and_a_stream_sum_to_it(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(behind=(HOST,), domain=8, scale_out_bytes_per_s=50e9))])
    asked = {"tp": 2, "pp": 3, "cp": 4, "offload": 0.3, "prefill": 3000.0, "decode": 5.0, "context": 900.0}
    parts: Parts = one_pass(ops_of("mixtral-8x7b"), table, **asked)
    assert sum(rows_of(ops_of("mixtral-8x7b"), table, **asked).values()) == pytest.approx(parts.total[0])
