"""Equation (56): which sweep tells which coefficient, of the closed form of decode with products (10), (7)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from inferatlas.predict.handbook import identifiability as idy
from inferatlas.predict.handbook.closed_form import DenseDecode, decode_step
from inferatlas.predict.handbook.uncertainty import elasticities

ALL_REDUCE = {1: 0.0, 2: 8.4e-6, 4: 11.8e-6, 8: 17.5e-6}  # measured, section 5
VLLM = DenseDecode(139.0e9, 327_680, 80, 3.35e12)  # section 14 A: h_seq 0.371 ms
CAPTURED = replace(VLLM, layer_s=20e-6, sequence_s=5e-6)  # an engine with full graph capture
PRODUCTS = idy.Products(139.0e9, 989e12)
TP_SWEEP = idy.Design([2, 4, 8], [ALL_REDUCE[n] for n in (2, 4, 8)], 1, 400)
BATCH_SWEEP = idy.Design(8, ALL_REDUCE[8], 2.0 ** np.arange(11), 128)
CONTEXT_SWEEP = idy.Design(8, ALL_REDUCE[8], 16, [128, 1024, 4096, 16384, 65536])
points = st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(1, 1024), st.integers(1, 131_072))


def learned(form: DenseDecode, *designs: idy.Design, noise: float = idy.NOISE) -> idy.Learned:
    return idy.learned(np.concatenate([idy.sensitivities(form, PRODUCTS, design) for design in designs]), noise=noise)


@given(points)
def test_at_few_sequences_the_step_is_the_closed_form(point):
    n, _, context = point
    design = idy.Design(n, ALL_REDUCE[n], 1, context)
    closed = float(decode_step(VLLM, n, ALL_REDUCE[n], 1, context))
    assert float(idy.step_time(VLLM, PRODUCTS, design)) == pytest.approx(closed, rel=1e-4)


@given(points)
def test_sensitivities_are_those_of_differences(point):
    n, batch, context = point
    design = idy.Design(n, ALL_REDUCE[n], batch, context)

    def form(memory_efficiency, compute_efficiency, layer_s, sequence_s, cache_efficiency):
        engine = replace(CAPTURED, memory_efficiency=memory_efficiency, layer_s=layer_s, sequence_s=sequence_s)
        part = idy.parts(engine, replace(PRODUCTS, efficiency=compute_efficiency), design)
        cache = part["cache"] * memory_efficiency / cache_efficiency
        rest = part["layers"] + part["sequences"] + part["all-reduce"]
        return np.hypot(part["weights"], part["products"]) + cache + rest

    at = dict(zip(idy.COEFFICIENTS, (0.8, 0.7, 20e-6, 5e-6, 0.8), strict=True))
    found = elasticities(form, at)
    analytic = idy.sensitivities(CAPTURED, PRODUCTS, design)
    assert [float(found[name]) for name in idy.COEFFICIENTS] == pytest.approx(analytic.tolist(), abs=1e-6)
    assert np.abs(analytic).sum() <= 1 + 1e-9  # shares of the step; the rest is the all-reduce


@pytest.mark.parametrize("engine", [VLLM, CAPTURED], ids=["371 µs a sequence", "captured"])
def test_56_a_tp_sweep_at_batch_1_separates_streaming_from_overhead_and_says_nothing_of_compute(engine):
    found = learned(engine, TP_SWEEP)
    assert found.identified == {"memory_efficiency", "layer_s"}
    assert found.directions == 2
    assert found.left["compute_efficiency"] == pytest.approx(idy.prior_sd()["compute_efficiency"], rel=1e-3)
    # one layout alone does not separate them: only their sum is seen
    alone = learned(engine, idy.Design([8], ALL_REDUCE[8], 1, 400))
    assert alone.directions == 1 and "memory_efficiency" not in alone.identified


def test_56_a_batch_sweep_gives_the_compute_efficiency():
    found = learned(CAPTURED, BATCH_SWEEP)
    assert "compute_efficiency" in found.identified
    assert "cache_efficiency" not in found.identified
    # but not where it ends before products count
    assert "compute_efficiency" not in learned(CAPTURED, BATCH_SWEEP._replace(batch=[1, 2, 4, 8, 16, 32])).identified


def test_56_an_engine_that_is_slow_per_sequence_hides_the_compute_efficiency():
    # 0.371 ms a sequence is 15 times the products of its token: a batch sweep then gives h_seq instead
    found = learned(VLLM, BATCH_SWEEP)
    assert "compute_efficiency" not in found.identified
    assert "sequence_s" in found.identified


def test_56_a_context_sweep_gives_the_term_of_the_cache():
    found = learned(CAPTURED, CONTEXT_SWEEP)
    assert found.identified == {"cache_efficiency"}
    assert "cache_efficiency" not in learned(CAPTURED, TP_SWEEP, BATCH_SWEEP).identified


def test_56_the_three_sweeps_together_give_all():
    found = learned(CAPTURED, TP_SWEEP, BATCH_SWEEP, CONTEXT_SWEEP)
    assert found.identified == set(idy.COEFFICIENTS)
    assert found.directions == 5


def test_56_a_fit_of_the_sweep_scatters_as_foretold():
    # steps with 2 % of noise, fitted again and again for the two coefficients of a TP sweep
    random = np.random.default_rng(4)
    truth = idy.step_time(CAPTURED, PRODUCTS, TP_SWEEP)

    def off(x, measured):
        engine = replace(CAPTURED, memory_efficiency=0.8 * np.exp(x[0]), layer_s=20e-6 * np.exp(x[1]))
        return np.log(idy.step_time(engine, PRODUCTS, TP_SWEEP) / measured)

    fits = [
        least_squares(off, [0.0, 0.0], args=(truth * np.exp(idy.NOISE * random.standard_normal(3)),)).x
        for _ in range(300)
    ]
    loose = {"memory_efficiency": 100.0, "layer_s": 100.0}
    fixed = dict.fromkeys(idy.COEFFICIENTS, 1e-9) | loose  # all others known
    found = idy.learned(idy.sensitivities(CAPTURED, PRODUCTS, TP_SWEEP), fixed)
    spread = np.std(fits, axis=0)
    assert spread[0] == pytest.approx(found.left["memory_efficiency"], rel=0.15)
    assert spread[1] == pytest.approx(found.left["layer_s"], rel=0.25)  # not linear: the noise is large beside it


matrices = st.lists(st.lists(st.floats(-1, 1), min_size=5, max_size=5), min_size=1, max_size=6)


@given(matrices, matrices)
def test_more_points_never_leave_more(some, others):
    few, many = idy.learned(some), idy.learned(some + others)
    prior = idy.prior_sd()
    for name in idy.COEFFICIENTS:
        assert many.left[name] <= few.left[name] * (1 + 1e-6) <= prior[name] * (1 + 2e-6)
        assert few.inflation[name] >= 1 - 1e-6
    assert few.directions <= min(len(some), 5)


def test_two_columns_that_rise_together_are_one_direction():
    together = np.array([[0.5, 0.0, 0.5, 0.0, 0.0], [0.3, 0.0, 0.3, 0.0, 0.0], [0.9, 0.0, 0.9, 0.0, 0.0]])
    found = idy.learned(together)
    assert found.directions == 1
    assert found.inflation["memory_efficiency"] > 10 and found.inflation["compute_efficiency"] == pytest.approx(1.0)
