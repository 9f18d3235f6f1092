"""Equations (3), (7) and (8): the law of one operator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook.operator_law import (
    elasticities,
    equivalent_launch,
    gemm,
    operator_time,
    size_efficiency,
)
from inferatlas.predict.performance.dual import Dual

work = st.floats(0, 1e18)
exponents = st.one_of(st.floats(1, 50), st.just(np.inf))


def test_3_a_gemm_multiplies_and_moves():
    flop, moved = gemm(128, 4096, 14336, activation_bytes=2, weight_bytes=0.515625)
    assert flop == 2 * 128 * 4096 * 14336
    assert moved == 2 * 128 * 4096 + 0.515625 * 4096 * 14336 + 2 * 128 * 14336


@given(work, work, exponents)
def test_7_lies_between_the_ideal_roofline_and_no_overlap(flop, moved, q):
    compute, memory = flop / 1e14, moved / 1e12
    time = float(operator_time(flop, moved, 1e14, 1e12, q=q))
    assert max(compute, memory) * (1 - 1e-12) <= time <= (compute + memory) * (1 + 1e-12)
    assert operator_time(flop, moved, 1e14, 1e12, q=1) == pytest.approx(compute + memory)
    assert operator_time(flop, moved, 1e14, 1e12, q=np.inf) == max(compute, memory)


@given(work, work, st.floats(0.1, 1), st.floats(0.1, 1), st.floats(0, 1e-3))
def test_7_derates_and_adds_the_launch(flop, moved, eta_c, eta_m, launch):
    slow = operator_time(flop, moved, 1e14, 1e12, eta_c, eta_m, launch)
    assert slow == pytest.approx(float(operator_time(flop, moved, eta_c * 1e14, eta_m * 1e12)) + launch)
    assert slow == pytest.approx(launch + np.hypot(flop / (eta_c * 1e14), moved / (eta_m * 1e12)))


def test_7_refuses_an_exponent_that_would_reward_overlap_below_one():
    for q in (0.5, np.nan):
        with pytest.raises(BadInput):
            operator_time(1e12, 1e9, 1e14, 1e12, q=q)


@given(st.floats(1e3, 1e18), st.floats(1e3, 1e12), st.floats(0.05, 1))
def test_8_a_size_dependent_efficiency_is_a_launch_time(flop, half, largest):
    peak = 112e12
    grown = flop / (peak * float(size_efficiency(flop, largest, half)))
    launched = operator_time(
        flop, 0.0, peak, 1.0, compute_efficiency=largest, launch_s=equivalent_launch(half, largest, peak)
    )
    assert grown == pytest.approx(float(launched), rel=1e-9)


@given(st.floats(1e6, 1e18), st.floats(1e6, 1e18), st.floats(0.1, 1), st.floats(0, 1e-3), st.floats(1, 20))
def test_54_elasticities_are_the_derivatives_of_the_law(flop, moved, eta, launch, q):
    def time(peak=1e14, bandwidth=1e12, start=1.0):
        return float(operator_time(flop, moved, peak, bandwidth, eta, 0.9, launch * start, q))

    def slope(name):
        up, down = (time(**{name: {"peak": 1e14, "bandwidth": 1e12, "start": 1.0}[name] * x}) for x in (1.0001, 0.9999))
        return np.log(up / down) / np.log(1.0001 / 0.9999)

    found = elasticities(flop, moved, 1e14, 1e12, eta, 0.9, launch, q)
    assert float(found["compute"]) == pytest.approx(slope("peak"), abs=1e-5)
    assert float(found["memory_bandwidth"]) == pytest.approx(slope("bandwidth"), abs=1e-5)
    assert float(found["launch"]) == pytest.approx(slope("start"), abs=1e-5)


@given(st.floats(1e6, 1e18), st.floats(1e6, 1e18), st.floats(0, 1e-3), exponents)
def test_54_a_machine_slower_in_everything_is_that_much_slower(flop, moved, launch, q):
    found = elasticities(flop, moved, 1e14, 1e12, launch_s=launch, q=q)
    assert float(found["launch"] - found["compute"] - found["memory_bandwidth"]) == pytest.approx(1.0)


def test_54_the_longer_term_alone_counts_on_the_ideal_roofline():
    found = elasticities([2e14, 1e14, 1e14], [1e12, 2e12, 1e12], 1e14, 1e12, q=np.inf)
    assert found["compute"].tolist() == [-1.0, 0.0, -0.5]
    assert found["memory_bandwidth"].tolist() == [0.0, -1.0, -0.5]


@given(st.floats(1e6, 1e18), st.floats(1e6, 1e18), st.floats(0, 1e-3), st.floats(1, 20))
def test_54_agrees_with_the_law_run_on_dual_numbers(flop, moved, launch, q):
    compute, memory, start = (
        Dual(np.array([x]), np.array([[x * s] for s in seed]))
        for x, seed in zip((flop / 1e14, moved / 1e12, launch), ((-1, 0, 0), (0, -1, 0), (0, 0, 1)), strict=True)
    )
    longest = max(flop / 1e14, moved / 1e12)
    time = start + longest * ((compute / longest) ** q + (memory / longest) ** q) ** (1.0 / q)
    found = elasticities(flop, moved, 1e14, 1e12, launch_s=launch, q=q)
    assert (time.tangent / time.value).ravel() == pytest.approx([float(x) for x in found.values()], abs=1e-9)
