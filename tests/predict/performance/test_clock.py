"""Clocks and caps, equation (40): never faster at less, within the cap, and as the closed forms say."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput, NoFeasibleAnswer, NotModelled
from inferatlas.predict.handbook.power import capped_clock
from inferatlas.predict.hardware.power import Power
from inferatlas.predict.performance.clock import LEAST, clock_within, limited
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Predictions, make_points
from inferatlas.predict.performance.power import active_power
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind

CLOSED = {"concurrency": 32, "input_tokens": 1024, "output_tokens": 256}
PREFILL = {"concurrency": 512, "input_tokens": 8192, "output_tokens": 1}
lengths = st.tuples(st.sampled_from([64, 1024, 8192]), st.sampled_from([1, 16, 256]))
clocks = st.floats(LEAST, 1.0)


@pytest.fixture(scope="module")
def h100() -> PlatformTable:
    return platform_table([bind("h100", model="llama-3.1-8b")])


@pytest.fixture(scope="module")
def pure(ops_of, make_device, lossless):
    """A machine of endless memory bandwidth: prompts are compute and nothing else."""
    return platform_table([lossless(make_device(bandwidth=1e18, power=Power(700.0, 70.0, "chip", "power.tdp")))])


def same(a: Predictions, b: Predictions) -> None:
    for field in fields(Predictions):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def test_clock_1_changes_no_bit(ops_of, h100):
    ops = ops_of("llama-3.1-8b")
    questions = {"concurrency": [1, 32, 512], "input_tokens": 1024, "output_tokens": [1, 64, 512]}
    plain = make_points(0, **questions)
    assert (plain.clock == 1.0).all()
    same(predict(ops, h100, plain), predict(ops, h100, make_points(0, **questions, clock=1.0)))
    # beside others of a lower clock too
    mixed = predict(ops, h100, make_points(0, **questions, clock=[1.0, 0.5, 1.0]))
    same(mixed[[0, 2]], predict(ops, h100, plain)[[0, 2]])
    assert limited(ops, h100, plain, 1.0, 700.0)[0].clock.tolist() == [1.0] * 3


@settings(max_examples=60, deadline=None)
@given(clocks, clocks, lengths, st.integers(1, 512))
def test_never_faster_at_a_lower_clock_and_never_more_power(ops_of, h100, a, b, lengths, concurrency):
    points = make_points(
        0, concurrency=concurrency, input_tokens=lengths[0], output_tokens=lengths[1], clock=sorted((a, b))
    )
    slow, fast = (predict(ops_of("llama-3.1-8b"), h100, points)[i : i + 1] for i in (0, 1))
    for name in ("ttft_s", "latency_s"):
        assert getattr(slow, name) >= getattr(fast, name) * (1 - 1e-9), name
    assert slow.output_tokens_per_s <= fast.output_tokens_per_s * (1 + 1e-9)
    assert slow.active_w <= fast.active_w * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(150, 750), st.floats(150, 750), lengths, st.integers(1, 256))
def test_a_cap_is_kept_and_a_tighter_one_is_never_faster(ops_of, h100, a, b, lengths, concurrency):
    ops, caps = ops_of("llama-3.1-8b"), np.array(sorted((a, b)))
    points = make_points(0, concurrency=[concurrency] * 2, input_tokens=lengths[0], output_tokens=lengths[1])
    found = clock_within(ops, h100, points, caps)
    assert not (found[1] < found[0]) and (np.isnan(found[0]) or not np.isnan(found[1]))
    ok = ~np.isnan(found)
    answers = predict(ops, h100, replace(points, clock=np.where(ok, found, 1.0)))
    assert (answers.power_w[ok] <= answers.active_w[ok]).all() and (answers.active_w[ok] <= caps[ok]).all()
    if ok.all():
        assert answers.latency_s[0] >= answers.latency_s[1] * (1 - 1e-9)
    full = predict(ops, h100, points)
    assert (found[ok & (full.active_w <= caps)] == 1.0).all()
    bound = ok & (full.active_w > caps)
    assert (answers.active_w[bound] >= caps[bound] * (1 - 1e-6)).all()  # the largest clock within the cap


@given(st.floats(0.25, 1.0), st.floats(0.05, 0.6), st.floats(0.05, 2.0))
def test_power_falls_with_the_cube_of_the_clock(clock, floor, compute):
    full, low = (float(active_power(700.0, 0.0, 1.0, floor, 0.4, compute, clock=f)) for f in (1.0, clock))
    static = 700.0 * floor
    assert low - static == pytest.approx((full - static) * clock**3, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("cap", [300.0, 400.0, 500.0, 650.0])
def test_the_closed_form_agrees_where_all_is_compute(ops_of, pure, cap):
    points = make_points(0, **PREFILL)
    ops = ops_of("llama-3.1-8b")
    full = float(predict(ops, pure, points).active_w[0])
    static = 700.0 * float(pure.power_floor[0])
    assert full > 0.95 * 700
    found = float(clock_within(ops, pure, points, cap)[0])
    assert found == pytest.approx(capped_clock(static, full - static, cap), rel=1e-4)


def test_a_decode_bound_by_memory_loses_less_than_a_prefill_bound_by_compute(ops_of, h100):
    ops, kept = ops_of("llama-3.1-8b"), []
    for question in ({"concurrency": 8, "input_tokens": 256, "output_tokens": 1024}, PREFILL):
        slow, full = predict(ops, h100, make_points(0, **question, clock=[0.6, 1.0])).output_tokens_per_s
        kept.append(slow / full)
    assert kept[0] > 0.9
    assert 0.6 * 0.99 < kept[1] < 0.75


def test_energy_per_token_has_its_optimum_where_static_power_is_twice_the_dynamic_one(ops_of, pure):
    # E(f) = P_st / f + P_dyn f^2 per unit of work: least at f^3 = P_st / (2 P_dyn)
    grid = np.linspace(LEAST, 1.0, 321)
    found = predict(ops_of("llama-3.1-8b"), pure, make_points(0, **PREFILL, clock=grid))
    energy = found.power_w / found.output_tokens_per_s
    static, dynamic = float(pure.power_floor[0]), 1 - float(pure.power_floor[0])
    dynamic = min(dynamic, float(pure.power_compute[0]))
    assert grid[energy.argmin()] == pytest.approx((static / (2 * dynamic)) ** (1 / 3), abs=0.01)
    assert 0 < energy.argmin() < len(grid) - 1


def test_energy_per_token_of_a_memory_bound_decode_falls_with_the_clock(ops_of, make_device, lossless):
    table = platform_table([lossless(make_device(peak=1e16, bandwidth=1e12))])
    grid = np.linspace(0.5, 1.0, 51)
    found = predict(
        ops_of("llama-3.1-8b"), table, make_points(0, concurrency=1, input_tokens=1, output_tokens=512, clock=grid)
    )
    assert (np.diff(found.power_w / found.output_tokens_per_s) > 0).all()


def test_a_rate_that_the_capped_machine_does_not_serve_says_so(ops_of, h100):
    ops = ops_of("llama-3.1-8b")
    lone = make_points(0, concurrency=512, input_tokens=1024, output_tokens=128)
    rate = 0.95 * float(predict(ops, h100, lone).output_tokens_per_s[0]) / 128
    points = make_points(0, request_rate=rate, input_tokens=1024, output_tokens=128)
    assert predict(ops, h100, points).fits.all()
    slowed, _ = limited(ops, h100, points, power_cap_w=300.0)
    assert not predict(ops, h100, slowed).fits.any()


def test_what_cannot_be_kept_is_refused_with_the_least_that_can(ops_of, h100):
    ops, points = ops_of("llama-3.1-8b"), make_points(0, **CLOSED)
    with pytest.raises(NoFeasibleAnswer) as caught:
        limited(ops, h100, points, power_cap_w=100.0)
    assert (caught.value.code, caught.value.field) == ("power", "power_cap")
    least = float((caught.value.allowed or "").split()[1])
    assert np.isfinite(limited(ops, h100, points, power_cap_w=least)[0].clock).all()
    with pytest.raises(NoFeasibleAnswer):
        limited(ops, h100, points, power_cap_w=least - 1.0)


def test_parts_without_a_rating_or_with_memory_on_the_chip_are_refused(ops_of, make_device, lossless):
    ops, points = ops_of("llama-3.1-8b"), make_points(0, **CLOSED)
    unknown = platform_table([lossless(make_device(power=Power(None, None, None, None)))])
    with pytest.raises(NoFeasibleAnswer, match="no rated power"):
        limited(ops, unknown, points, power_cap_w=400.0)
    wafer = platform_table([bind("cerebras-wse-3")])
    with pytest.raises(NotModelled, match="on-chip memory"):
        limited(ops, wafer, make_points(0, **CLOSED), clock=0.8)
    assert limited(ops, wafer, make_points(0, **CLOSED))[1] == []


@pytest.mark.parametrize("clock", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_what_is_no_clock_is_refused(ops_of, h100, clock):
    with pytest.raises(BadInput) as caught:
        limited(ops_of("llama-3.1-8b"), h100, make_points(0, **CLOSED), clock=clock)
    assert caught.value.field == "clock"
    with pytest.raises(BadInput, match="clock"):
        make_points(0, **CLOSED, clock=clock)


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_cap_is_refused(ops_of, h100, cap):
    with pytest.raises(BadInput) as caught:
        limited(ops_of("llama-3.1-8b"), h100, make_points(0, **CLOSED), power_cap_w=cap)
    assert caught.value.field == "power_cap"
