"""Check N: laws that hold whatever the constants, tried through the predictor on machines without losses."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.errors import NoFeasibleAnswer, NotModelled
from inferatlas.predict.handbook import roofline
from inferatlas.predict.handbook.roofline import Peaks, Shape
from inferatlas.predict.hardware.device import MemoryTier, device
from inferatlas.predict.llm.precision import Precision, sixteen_bit
from inferatlas.predict.performance.platform import EngineSettings, make_platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict

DENSE = ["llama-3.1-8b", "llama-3.3-70b", "qwen3-32b", "llama-2-7b"]
MOE = ["mixtral-8x7b", "deepseek-r1", "gpt-oss-120b"]
models = st.sampled_from(DENSE + MOE)
peaks = st.floats(1e13, 1e16)
bandwidths = st.floats(1e11, 2e13)
links = st.floats(1e9, 2e12)
gains = st.floats(1.0, 10.0)
loads = st.fixed_dictionaries(
    {
        "tp": st.sampled_from([1, 2, 4, 8]),
        "pp": st.sampled_from([1, 2, 4]),
        "concurrency": st.integers(1, 512),
        "input_tokens": st.integers(1, 2048),
        "output_tokens": st.integers(2, 1024),
    }
)
few = settings(max_examples=60)


def slack(value):
    return value * (1 + 1e-9)


@few
@given(models, loads, peaks, bandwidths, links, gains, st.sampled_from(["peak", "bandwidth", "link", "all"]))
def test_n_a_faster_machine_is_never_slower(
    ops_of, make_device, lossless, model, load, peak, bandwidth, link, gain, what
):
    base = {"peak": peak, "bandwidth": bandwidth, "link": link}
    better = {name: value * gain if what in (name, "all") else value for name, value in base.items()}
    table = platform_table([lossless(make_device(**base)), lossless(make_device(**better))])
    slow, fast = predict(ops_of(model), table, make_points([0, 1], **load)).itl_s
    assert fast <= slack(slow)
    alone = predict(ops_of(model), table, make_points([0, 1], **(load | {"concurrency": 1})))
    assert alone.ttft_s[1] <= slack(alone.ttft_s[0])
    assert alone.latency_s[1] <= slack(alone.latency_s[0])


@few
@given(models, loads, peaks, bandwidths)
def test_n_more_devices_never_slow_a_step_when_links_are_free(
    ops_of, make_device, lossless, model, load, peak, bandwidth
):
    table = platform_table([lossless(make_device(peak=peak, bandwidth=bandwidth, link=1e30))])
    points = make_points(0, **(load | {"tp": [1, 2, 4, 8], "pp": 1}))
    found = predict(ops_of(model), table, points)
    assert found.fits.all()
    assert (found.itl_s[1:] <= slack(found.itl_s[:-1])).all()


@few
@given(
    models, st.sampled_from([1, 2, 4, 8]), st.integers(0, 30_000), st.lists(st.floats(1, 5000), min_size=2, max_size=6)
)
def test_n_a_larger_batch_never_lowers_the_step_time(
    ops_of, run_step, make_device, lossless, model, tp, context, batches
):
    table = platform_table([lossless(make_device())])
    times = [run_step(ops_of(model), table, tp=tp, decode=b, context=context).total[0] for b in sorted(batches)]
    assert all(later >= earlier * (1 - 1e-12) for earlier, later in pairwise(times))


@few
@given(models, loads, st.integers(0, 512))
def test_n_more_requests_in_flight_never_shorten_the_gap_between_tokens(ops_of, make_device, model, load, more):
    # with the overheads of a real engine
    table = platform_table([make_platform(make_device(), EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))])
    users = [load["concurrency"], load["concurrency"] + more]
    found = predict(ops_of(model), table, make_points(0, **(load | {"concurrency": users})))
    assert found.fits.all()
    assert found.itl_s[1] >= found.itl_s[0] * (1 - 1e-9)
    assert found.latency_s[1] >= found.latency_s[0] * (1 - 1e-9)


@few
@given(st.sampled_from(DENSE), loads, peaks, bandwidths)
def test_n_nothing_beats_the_roofline_of_the_same_peaks(ops_of, make_device, lossless, model, load, peak, bandwidth):
    ops, n = ops_of(model), load["tp"]
    table = platform_table([lossless(make_device(peak=peak, bandwidth=bandwidth, link=1e30))])
    found = predict(ops, table, make_points(0, **(load | {"pp": 1})))
    # n devices without communication are one of n times the peaks
    plain = Peaks(n * peak, n * bandwidth, np.inf, np.inf)
    context = load["input_tokens"] + 0.5 * load["output_tokens"]
    gaps = load["output_tokens"] - 1.0
    decoding = max(found.batch[0] * gaps / (gaps + 1.0), 1.0)  # the others are in their prompts
    assert slack(found.itl_s[0]) >= roofline.decode_step(Shape.of(ops.model), plain, decoding, context)
    assert slack(found.ttft_s[0]) >= roofline.prefill_step(Shape.of(ops.model), plain, 1, load["input_tokens"]) * 0.999


def test_n_nothing_in_the_catalogue_beats_the_roofline_of_its_data_sheet(ops_of):
    ops = ops_of("llama-3.1-8b")
    shape, checked = Shape.of(ops.model), 0
    for name in accelerator_ids():
        try:
            part = device(load_accelerator(name))
            wide = sixteen_bit(part.peaks)
            if wide is None:
                continue
            platform = make_platform(part, EngineSettings("vllm"), Precision(wide, wide, wide))
        except (NotModelled, NoFeasibleAnswer):
            continue
        users = np.array([1, 7, 64, 300])
        resident = part.style in ("static_pipeline", "wafer")
        chips = 500 if resident else 1
        points = make_points(0, pp=chips, concurrency=users, input_tokens=700, output_tokens=300)
        found = predict(ops, platform_table([platform]), points)
        plain = Peaks.of(part, wide)
        whole = Peaks(
            *(chips * np.asarray(x) for x in (plain.flop_per_s, plain.bytes_per_s, plain.capacity)), link=np.inf
        )
        best = roofline.decode_step(shape, whole, found.batch, 850)
        # a row of chips works on one token at a time per stage: its roofline is that of one sequence
        best = roofline.decode_step(shape, whole, 1, 850) if resident else best
        ok = found.fits
        assert (found.itl_s[ok] >= np.broadcast_to(best, ok.shape)[ok] * (1 - 1e-9)).all(), name
        assert roofline.fits(shape, whole, found.batch, 850)[ok].all(), name
        checked += int(ok.any())
    assert checked > 25


@few
@given(loads, st.floats(1e9, 2e12), gains)
def test_more_memory_never_turns_a_fit_into_a_misfit_nor_lowers_throughput(
    ops_of, make_device, lossless, load, capacity, gain
):
    small, large = (lossless(make_device(capacity=c)) for c in (capacity, capacity * gain))
    found = predict(ops_of("llama-3.3-70b"), platform_table([small, large]), make_points([0, 1], **load))
    if found.fits[0]:
        assert found.fits[1]
        assert found.output_tokens_per_s[1] >= found.output_tokens_per_s[0] * (1 - 1e-9)


@few
@given(loads, st.integers(0, 3000))
def test_longer_prompts_never_come_back_sooner(ops_of, make_device, lossless, load, more):
    table = platform_table([lossless(make_device())])
    lengths = [load["input_tokens"], load["input_tokens"] + more]
    found = predict(
        ops_of("llama-3.1-8b"), table, make_points(0, **(load | {"input_tokens": lengths, "concurrency": 1}))
    )
    assert (np.diff(found.ttft_s) >= -1e-12).all()
    assert (np.diff(found.itl_s) >= -1e-12).all()


@few
@given(loads)
def test_littles_law_holds_in_a_closed_loop(ops_of, make_device, load):
    table = platform_table([make_platform(make_device(), EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))])
    found = predict(ops_of("llama-3.1-8b"), table, make_points(0, **load))
    requests_per_s = found.output_tokens_per_s[0] / load["output_tokens"]
    assert requests_per_s * found.latency_s[0] == pytest.approx(load["concurrency"], rel=1e-6)
    assert found.latency_s[0] == pytest.approx(found.ttft_s[0] + (load["output_tokens"] - 1) * found.itl_s[0], rel=1e-9)


@few
@given(loads, st.integers(1, 8))
def test_replicas_serve_their_share(ops_of, make_device, load, replicas):
    table = platform_table([make_platform(make_device(), EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))])
    users = load["concurrency"]
    points = make_points(0, **(load | {"dp": [1, replicas], "concurrency": [users, users * replicas]}))
    found = predict(ops_of("llama-3.1-8b"), table, points)
    assert found.itl_s[1] == pytest.approx(found.itl_s[0])
    assert found.output_tokens_per_s[1] == pytest.approx(replicas * found.output_tokens_per_s[0])


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b"])
def test_k_weight_only_4_bit_does_not_speed_up_a_compute_bound_prefill(ops_of, run_step, make_device, lossless, model):
    part = make_device(peaks={"bf16": 1e15, "int4": 4e15, "int8": 2e15})
    wide, narrow = (platform_table([lossless(part, Precision(w, "bf16", "bf16"))]) for w in ("bf16", "int4"))
    ops = ops_of(model)
    slow, fast = (run_step(ops, t, prefill=8192) for t in (wide, narrow))
    assert fast.flop_s[0] == slow.flop_s[0]  # the very same products at the very same rate
    assert fast.total[0] >= slow.flop_s[0]  # and no step is faster than its products
    assert fast.total[0] == pytest.approx(slow.total[0], rel=0.02)
    # while it does speed up a decode step, which is bound by weights
    ratio = run_step(ops, wide, decode=1, context=1).total[0] / run_step(ops, narrow, decode=1, context=1).total[0]
    assert ratio > 2.5


@few
@given(st.integers(1, 2048), st.integers(1, 30_000))
def test_j_fused_attention_never_takes_longer_than_unfused(ops_of, run_step, weights_only, batch, context):
    for model in ("llama-3.1-8b", "llama-3.3-70b", "gemma-3-27b"):
        ops, seen = ops_of(model), []
        table = replace(weights_only, flop_s=np.zeros(1), flop_s_wide=np.zeros(1))  # time is bytes
        run_step(
            ops, table, decode=batch, context=context,
            sink=lambda name, _n, memory=0.0, seen=seen, **_: seen.append((name, float(np.sum(memory)))),
        )  # fmt: skip
        fused = sum(value for name, value in seen if name == "attention")
        cache = scores = 0.0
        for row in ops.attentions:
            a, kept = row.attention, min(context, row.attention.window or context)
            cache += row.count * 2 * a.kv_heads * a.head_dim * 2 * kept * batch
            scores += row.count * a.heads * 2 * kept * batch
        # unfused: scores and their softmax are each written and read again
        assert fused == pytest.approx(cache)
        assert fused < cache + 4 * scores


def test_a_device_with_more_of_everything_is_never_slower_whatever_the_order_of_platforms(
    ops_of, make_device, lossless
):
    tier = MemoryTier("hbm", 2e11, 8e12)
    better = lossless(make_device(peaks={"bf16": 3e15}, memory=tier, tiers=(tier,)))
    base = lossless(make_device(capacity=2e11))
    for order in ([base, better], [better, base]):
        found = predict(
            ops_of("llama-3.1-8b"),
            platform_table(order),
            make_points([0, 1], concurrency=9, input_tokens=999, output_tokens=99),
        )
        fast, slow = (1, 0) if order[1] is better else (0, 1)
        assert found.itl_s[fast] < found.itl_s[slow]
        assert found.ttft_s[fast] < found.ttft_s[slow]
