"""Equations (3), (7) and (8): the law of one operator, and that a step obeys it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.llm.operators import Gemm
from inferatlas.predict.llm.precision import Precision
from inferatlas.predict.performance.operator_law import equivalent_launch, gemm, operator_time, size_efficiency
from inferatlas.predict.performance.platform import EngineSettings, make_platform, platform_table

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


@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "deepseek-r1"])
@pytest.mark.parametrize(("batch", "tp"), [(1, 1), (7, 2), (300, 8), (5000, 4)])
def test_the_operators_of_a_step_take_the_time_of_the_law(ops_of, run_step, make_device, model, batch, tp):
    device = make_device(peak=989e12, bandwidth=3.35e12)
    platform = make_platform(device, EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))
    eta = platform.coefficients
    ops, seconds = ops_of(model), {}

    def sink(name, count, compute=0.0, memory=0.0, **_):
        seconds[name] = (count, float(np.sum(compute)) + float(np.sum(memory)))

    run_step(ops, platform_table([platform]), tp=tp, decode=batch, context=500, sink=sink)
    checked = 0
    for row in ops.rows:
        if not isinstance(row, Gemm) or sum(other.name == row.name for other in ops.rows) > 1:
            continue
        elements = row.weights / tp + row.replicated
        if row.kv_weights:
            elements += row.kv_weights * np.ceil(row.kv_heads / tp) / row.kv_heads
        moved = 2.0 * elements + 2.0 * batch * (row.io_whole + row.io_split / tp)
        law = operator_time(
            2.0 * batch * elements, moved, 989e12, 3.35e12, eta.compute_efficiency, eta.memory_efficiency
        )
        assert seconds[row.name] == (row.count, pytest.approx(row.count * float(law), rel=1e-9))
        checked += 1
    assert checked >= 3


def test_a_plain_product_of_the_table_moves_what_equation_3_says(ops_of):
    # the feed-forward down-projection of Llama-3.1-8B: [M x 14336] times [14336 x 4096]
    row = next(row for row in ops_of("llama-3.1-8b").gemms if row.name == "ffn_down")
    flop, moved = gemm(32, 14336, 4096)
    assert 2 * 32 * row.weights == flop
    assert 2 * row.weights + 2 * 32 * (row.io_whole + row.io_split) == moved


def test_launches_are_charged_once_per_kernel(ops_of, run_step, make_device):
    platform = make_platform(make_device(), EngineSettings("vllm"), Precision("bf16", "bf16", "bf16"))
    ops, c = ops_of("llama-3.1-8b"), platform.coefficients
    overhead = run_step(ops, platform_table([platform]), decode=3, context=10).overhead[0]
    assert overhead == pytest.approx(ops.kernels * c.kernel_s + 3 * c.sequence_s + c.step_s)
    first = run_step(ops, platform_table([platform]), prefill=100).overhead[0]
    assert first == pytest.approx(ops.kernels * c.prefill_kernel_s + c.sequence_s + c.step_s)
    assert ops.kernels == 32 * (4 + 2 + 2 + 1) + 3  # products, attention, norms, activation; embedding, head, sampling
