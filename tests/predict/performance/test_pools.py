"""Pools of one phase: against queueing theory, against mixed servers, and the laws that hold everywhere."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.models import load_model
from inferatlas.predict.handbook.continuous_batching import continuous_cov, continuous_latency
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.pools import (
    decode_pool,
    goodput,
    pool_ratio,
    pool_uses,
    prefill_points,
    prefill_pool,
    served_uses,
    undisturbed,
)
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind

OPS = operators(load_model("llama-3.1-8b"))
GPU = platform_table([bind("nvidia-h100-sxm", model="llama-3.1-8b")])
WAFER = platform_table([bind("cerebras-wse-3")])
COMPILED = platform_table([bind("aws-trainium-2")])
LENGTHS = {"input_tokens": 1024, "output_tokens": 257}


@pytest.fixture(scope="module")
def linear(lossless, make_device):
    """Steps of ``t0 + a b``: nothing but bytes takes time."""
    return platform_table([lossless(make_device(peak=1e30))])


def step(table, run_step, batch: float) -> float:
    context = LENGTHS["input_tokens"] + 0.5 * LENGTHS["output_tokens"]
    return float(run_step(OPS, table, decode=batch, context=context).total[0])


@pytest.mark.parametrize("load", [0.05, 0.3, 0.6, 0.8])
def test_decode_alone_is_continuous_batching_in_closed_form(linear, run_step, load: float):
    a = step(linear, run_step, 2.0) - step(linear, run_step, 1.0)
    t0, gaps = step(linear, run_step, 1.0) - a, LENGTHS["output_tokens"] - 1
    rate = load / (gaps * a)
    pool = decode_pool(OPS, linear, make_points(0, request_rate=rate, **LENGTHS), rounds=20)
    whole = gaps * pool.itl_s[0] + pool.wait_s[0]
    assert whole == pytest.approx(float(continuous_latency(t0, a, gaps, rate)), rel=2e-3)
    assert pool.batch[0] == pytest.approx(rate * gaps * pool.itl_s[0])
    assert pool.itl_cv[0] == pytest.approx(float(continuous_cov(t0, a, gaps, rate)), rel=0.05)


@pytest.mark.parametrize("rate", [0.5, 4.0, 16.0])
def test_decode_alone_is_a_mixed_server_whose_prompts_cost_nothing(rate: float):
    table = replace(GPU, interference=np.zeros(1))
    points = make_points(0, request_rate=rate, input_tokens=32, output_tokens=512)
    assert decode_pool(OPS, table, points).itl_s == pytest.approx(predict(OPS, table, points).itl_s, rel=5e-3)


def test_a_prompt_per_step_waits_as_in_an_m_d_1_queue(lossless, make_device):
    table = platform_table([lossless(make_device(bandwidth=1e30), step_tokens=1024)])
    points = make_points(0, request_rate=1.0, **LENGTHS)
    d = float(prefill_pool(OPS, table, points).prompt_s[0])
    for load in (0.1, 0.5, 0.9):
        rate = load / d
        pool = prefill_pool(OPS, table, make_points(0, request_rate=rate, **LENGTHS))
        assert pool.ttft_s[0] == pytest.approx(d + rate * d * d / (2.0 * (1.0 - load)), rel=1e-6)
        assert pool.duty[0] == pytest.approx(load) and pool.fastest[0] == pytest.approx(1.0 / d)


def test_prompts_that_share_steps_wait_as_in_batches_of_all_who_wait(lossless, make_device):
    """Equation (43): (3/2) t0/(1 - l a) + (a/2)(l a + 2)/(1 - l² a²)."""
    fixed = 1.0
    table = platform_table([lossless(make_device(bandwidth=1e30), step_tokens=10**7)])
    table = replace(table, step_s=np.full(1, fixed))
    one = make_points(0, request_rate=1e-6, **LENGTHS)
    a = float(prefill_pool(OPS, table, one).prompt_s[0]) - fixed
    for load in (0.3, 0.5, 0.7):
        rate = load / a
        pool = prefill_pool(OPS, table, make_points(0, request_rate=rate, **LENGTHS), rounds=20)
        exact = 1.5 * fixed / (1.0 - load) + a / 2.0 * (load + 2.0) / (1.0 - load**2)
        assert pool.ttft_s[0] == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("table", [GPU, WAFER, COMPILED], ids=["gpu", "wafer", "compiled"])
def test_more_requests_never_make_a_pool_faster(table):
    rates = np.geomspace(0.01, 40.0, 24)
    points = make_points(0, request_rate=rates, **LENGTHS)
    for pool, name in ((prefill_pool(OPS, table, points), "ttft_s"), (decode_pool(OPS, table, points), "itl_s")):
        seen = getattr(pool, name)[pool.reason == 0]
        assert seen.size and (np.diff(seen) >= -1e-3 * seen[:-1]).all()
        assert np.isin(pool.reason, (reasons.OK, reasons.RATE)).all()
        assert (np.diff((pool.reason == reasons.RATE).astype(int)) >= 0).all()


def test_a_place_that_is_held_for_a_transfer_is_not_decoded_in():
    """Each request takes a place for its steps and for as long as it is held before: places over rate."""
    points = make_points(0, request_rate=1.0, **LENGTHS)
    each = [1.0 / decode_pool(OPS, GPU, points, held).fastest[0] for held in (0.0, 1.0, 3.0)]
    assert each[1] > each[0]
    assert (each[2] - each[0]) == pytest.approx(3.0 * (each[1] - each[0]))


def test_replicas_are_independent():
    few, many = make_points(0, request_rate=3.0, **LENGTHS), make_points(0, dp=4, request_rate=12.0, **LENGTHS)
    for pool, name in ((prefill_pool, "ttft_s"), (decode_pool, "itl_s")):
        one, four = pool(OPS, GPU, few), pool(OPS, GPU, many)
        assert getattr(one, name) == pytest.approx(getattr(four, name))
        assert 4 * one.fastest == pytest.approx(four.fastest)
        assert 4 * one.power_w == pytest.approx(four.power_w)


def test_what_cannot_be_has_a_reason():
    big = operators(load_model("llama-3.3-70b"))
    points = make_points(0, request_rate=1.0, **LENGTHS)
    assert decode_pool(big, GPU, points).reason[0] == prefill_pool(big, GPU, points).reason[0] == reasons.WEIGHTS
    long = make_points(0, request_rate=1e-3, input_tokens=131_000, output_tokens=1_000)
    assert decode_pool(OPS, GPU, long).reason[0] == reasons.CONTEXT


@pytest.mark.parametrize("table", [GPU, WAFER], ids=["gpu", "wafer"])
def test_shares_in_use_are_shares_and_pools_use_what_their_phase_needs(table):
    points = make_points(0, request_rate=np.full(1, 2.0), **LENGTHS)
    first, then = prefill_pool(OPS, table, points), decode_pool(OPS, table, points)
    uses = [
        pool_uses(OPS, undisturbed(table), prefill_points(points), first), pool_uses(OPS, table, points, then),
        served_uses(OPS, table, points, predict(OPS, table, points)),
    ]  # fmt: skip
    for one in uses:
        for share in (one.compute, one.bandwidth, one.capacity):
            assert 0.0 < share[0] <= 1.0
    if table is GPU:
        assert uses[0].compute[0] > uses[1].compute[0] and uses[0].bandwidth[0] < uses[1].bandwidth[0]


times = st.floats(1e-3, 10.0)


batches, lengths, counts = st.floats(1.0, 500.0), st.floats(2.0, 4000.0), st.floats(2.0, 64.0)


@given(prompt=times, step_s=times, batch=batches, tokens=lengths, count=counts)
def test_a_split_of_work_that_adds_up_gains_exactly_nothing(prompt, step_s, batch, tokens, count):
    """Where phases do not interfere and parts are equal, a mixed server needs D + G s/b of each request's time."""
    ratio = float(pool_ratio(prompt, 1.0, tokens, step_s, batch))
    first = count * ratio / (1.0 + ratio)
    split = float(goodput(first, prompt, count - first, batch, tokens, step_s))
    assert split == pytest.approx(count / (prompt + tokens * step_s / batch), rel=1e-9)
    for other in (0.7 * first, min(1.2 * first, count)):  # no other division does better
        assert float(goodput(other, prompt, count - other, batch, tokens, step_s)) <= split * (1 + 1e-9)
