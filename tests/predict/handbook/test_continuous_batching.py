"""Equations (44) to (46) reproduce their acceptance values, exact limits, and a simulation made here."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook import continuous_batching as q
from inferatlas.predict.performance.occupancy import occupancy_noise

loads = st.floats(0.0, 0.99)
times = st.floats(1e-4, 1e3)


# G, t0, a, rho, G s, (44b) formula / simulation, CoV, p99
ACCEPTED = [
    (100, 1, 0.02, 0.2, 125, (128.1, 128.1), (0.0537, 0.0532), (145.0, 145.6)),
    (100, 1, 0.02, 0.5, 200, (205.0, 205.1), (0.0901, 0.0895), (251.7, 251.7)),
    (100, 1, 0.02, 0.8, 500, (512.5, 514.6), (0.1212, 0.1206), (673.8, 671.1)),
    (50, 1, 0.05, 0.2, 62.5, (66.25, 66.36), (0.0850, 0.0852), (80.4, 81.9)),
    (50, 1, 0.05, 0.5, 100, (106.0, 105.9), (0.1424, 0.1389), (145.9, 145.0)),
    (50, 1, 0.05, 0.8, 250, (265.0, 265.2), (0.1917, 0.1853), (404.8, 393.8)),
    (200, 0.010, 0.0003, 0.2, 2.5, (2.581, 2.583), (0.0657, 0.0645), (3.001, 3.007)),
    (200, 0.010, 0.0003, 0.5, 4.0, (4.130, 4.131), (0.1103, 0.1089), (5.301, 5.313)),
    (200, 0.010, 0.0003, 0.8, 10.0, (10.325, 10.348), (0.1484, 0.1424), (14.40, 14.10)),
]


@pytest.mark.parametrize(("tokens", "t0", "a", "load", "steps", "latency", "cov", "p99"), ACCEPTED)
def test_44_and_45_continuous_batching(tokens, t0, a, load, steps, latency, cov, p99):
    question = (t0, a, tokens, load / (tokens * a))
    settled = q.continuous_batching(*question)
    assert settled.utilisation == pytest.approx(load)
    assert tokens * settled.step_s == pytest.approx(steps)
    for answer, (formula, simulated), tolerance in (
        (q.continuous_latency(*question), latency, 0.01),
        (q.continuous_cov(*question), cov, 0.05),
        (q.continuous_quantile(*question), p99, 0.04),
    ):
        assert answer == pytest.approx(formula, rel=6e-4)
        assert answer == pytest.approx(simulated, rel=tolerance)


def test_44b_and_45_against_a_simulation_made_here():
    tokens, t0, a, load, steps = 40, 1.0, 0.03, 0.6, 150_000
    rate = load / (tokens * a)
    random = np.random.default_rng(7)
    joined, duration, arrivals, batch = np.zeros(steps, int), np.zeros(steps), 0, 0
    for i in range(steps):  # a step holds all who joined in the last G steps
        joined[i] = arrivals
        batch += arrivals - (joined[i - tokens] if i >= tokens else 0)
        duration[i] = t0 + a * batch
        arrivals = random.poisson(rate * duration[i])
    clock = np.concatenate([[0.0], np.cumsum(duration)])
    start = np.arange(5_000, steps - tokens)
    who = np.repeat(start, joined[start])
    wait = random.random(who.size) * duration[who - 1]
    latency = clock[who + tokens] - clock[who] + wait
    question = (t0, a, tokens, rate)
    assert q.continuous_latency(*question) == pytest.approx(latency.mean(), rel=0.01)
    assert q.continuous_cov(*question) == pytest.approx(latency.std() / latency.mean(), rel=0.08)
    assert q.continuous_quantile(*question) == pytest.approx(np.quantile(latency, 0.99), rel=0.04)


@given(times, st.floats(1e-6, 1.0), st.integers(1, 4096), loads)
def test_44_is_the_fixed_point_of_littles_law(t0, a, tokens, load):
    rate = load / (tokens * a)
    settled = q.continuous_batching(t0, a, tokens, rate)
    assert settled.step_s == pytest.approx(t0 + a * settled.batch, rel=1e-6)
    assert settled.batch == pytest.approx(rate * tokens * settled.step_s, rel=1e-9)


def test_varying_lengths_widen_the_spread():
    fixed, varied = q.continuous_cov(1.0, 0.02, 100, 0.25), q.continuous_cov(1.0, 0.02, 100, 0.25, 0.8)
    assert varied**2 - fixed**2 == pytest.approx(0.64)


@given(st.floats(0.05, 0.9), st.integers(1, 300))
def test_46_admission_saturates_exactly_where_the_free_batch_exceeds_the_limit(load, limit):
    question = (1.0, 0.02, 100, load / 2)
    batch = q.continuous_batching(*question).batch
    assume(abs(batch / limit - 1) > 1e-6)
    assert np.isinf(q.admission_wait(*question, limit)) == (batch > limit)


def test_46_a_limit_far_away_is_not_felt():
    waits = q.admission_wait(1.0, 0.02, 100, 0.25, [60, 80, 100, 200])  # the free batch is 50, a request takes 200 s
    assert np.all(np.diff(waits) < 0)
    assert waits[2:] == pytest.approx([0.0, 0.0], abs=0.05)


def test_prefill_chunks_disturb_decode():
    assert q.prefill_chunk_probability(2.0, 1025, 512, 0.02) == pytest.approx(2.0 * 3 * 0.02)
    assert q.prefill_chunk_probability(1e6, 1025, 512, 0.02) == 1.0
    assert q.prefill_itl_variance(0.25, 0.1) == pytest.approx(0.25 * 0.75 * 0.01)
    assert q.prefill_itl_variance(0.25, 0.1, 50) == pytest.approx(0.25 * 0.75 * 0.01 / 50)
    assert q.prefill_itl_variance([0.0, 1.0], 0.1).tolist() == [0.0, 0.0]


def test_the_closed_form_of_i_is_within_what_it_states():
    rho = np.linspace(0, 0.999, 1000)
    error = np.abs(q.occupancy_noise_closed(rho) / occupancy_noise(rho) - 1)
    assert error[rho <= 0.9].max() < 0.022
    assert error.max() < 0.034


@given(st.lists(loads, min_size=2, max_size=8), st.integers(1, 500))
def test_more_load_never_waits_less(load, tokens):
    rate = np.sort(load) / (tokens * 0.02)
    for answer in (
        q.continuous_latency(1.0, 0.02, tokens, rate),
        q.continuous_quantile(1.0, 0.02, tokens, rate),
        q.admission_wait(1.0, 0.02, tokens, rate, 100),
    ):
        # a relative hair's breadth for loads that differ by less than rounding
        assert np.all(answer[1:] >= answer[:-1] * (1 - 1e-9))


@pytest.mark.parametrize("load", [1.0, 1.5])
def test_beyond_capacity_it_never_settles(load):
    question = (1.0, 0.02, 100, load / 2)
    assert np.isinf(q.continuous_batching(*question).step_s)
    assert np.isinf(q.continuous_latency(*question))
    assert np.isinf(q.continuous_quantile(*question))
    assert np.isnan(q.continuous_cov(*question))
    assert np.isinf(q.occupancy_noise_closed(load))


def test_an_idle_system_has_no_batch():
    assert q.continuous_batching(1.0, 0.02, 100, 0.0).batch == 0
    assert q.continuous_latency(1.0, 0.0, 100, 0.0) == pytest.approx(100.5)


def test_unknown_stays_unknown_beside_known():
    for answer in (
        q.continuous_latency([1.0, None, 1.0], 0.02, 100, [0.1, 0.1, None]),
        q.continuous_cov([1.0, None, 1.0], 0.02, 100, [0.1, 0.1, None]),
        q.continuous_quantile([1.0, None, 1.0], 0.02, 100, [0.1, 0.1, None]),
        q.admission_wait([1.0, None, 1.0], 0.02, 100, [0.1, 0.1, None], 500),
    ):
        assert np.isnan(answer).tolist() == [False, True, True]
    assert np.isnan(q.occupancy_noise_closed(None))


@pytest.mark.parametrize(
    "wrong", [lambda: q.continuous_batching(1.0, -0.1, 10, 1.0), lambda: q.prefill_itl_variance(1.2, 0.1)]
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
