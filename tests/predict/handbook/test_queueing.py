"""Equations (42) and (43) reproduce their acceptance values and exact limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.handbook import queueing as q

loads = st.floats(0.0, 0.99)
times = st.floats(1e-4, 1e3)


def test_42_waits_of_one_server():
    assert q.mg1_wait(1.0, 0.8) == pytest.approx(4.0, abs=1e-12)
    assert q.md1_ttft(0.1, 5.0) == pytest.approx(0.15, abs=1e-12)
    assert q.two_stage_ttft(0.1, 5.0) == pytest.approx(0.10833, abs=5e-6)


def test_42_waits_of_four_servers_exact_and_approximate():
    assert q.erlang_c(4, 3.2) == pytest.approx(0.59643, abs=5e-6)
    assert q.mmc_wait(1.0, 3.2, 4) == pytest.approx(0.74554, abs=5e-6)
    assert q.ggc_wait(1.0, 3.2, 4) == pytest.approx(0.77155, abs=5e-6)


@given(loads, times, st.floats(0, 5))
def test_one_server_of_many_is_pollaczek_khinchine(load, service, cv):
    rate = load / service
    assert q.ggc_wait(service, rate, 1, 1.0, cv) == pytest.approx(q.mg1_wait(service, rate, cv), rel=1e-9)
    assert q.mmc_wait(service, rate, 1) == pytest.approx(q.mg1_wait(service, rate), rel=1e-9)


@given(loads, st.integers(1, 200))
def test_erlang_c_agrees_with_the_poisson_sum(load, servers):
    from scipy.stats import poisson

    offered = load * servers
    last = poisson.pmf(servers, offered)
    expected = last / (last + (1 - load) * poisson.cdf(servers - 1, offered))
    assert q.erlang_c(servers, offered) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.floats(0.01, 0.99), st.integers(1, 128))
def test_sakasegawa_is_within_what_it_states_of_the_exact_wait(load, servers):
    exact, near = q.mmc_wait(1.0, load * servers, servers), q.ggc_wait(1.0, load * servers, servers)
    assert near == pytest.approx(exact, abs=0.034)


@pytest.mark.parametrize(
    ("load", "formula", "simulated"),
    [(0.1, 1.688, 1.688), (0.3, 2.168, 2.168), (0.5, 3.033, 3.034), (0.7, 5.053, 5.083), (0.9, 15.153, 15.324)],
)
def test_43_take_all_batching(load, formula, simulated):
    answer = q.dynamic_batching_latency(0.02, 1.0, load / 0.02)
    assert answer == pytest.approx(formula, abs=5e-4)
    assert answer == pytest.approx(simulated, rel=0.02)


@given(st.lists(loads, min_size=2, max_size=8))
def test_more_load_never_waits_less(load):
    load = np.sort(load)
    for answer in (
        q.mg1_wait(1.0, load, 0.5),
        q.mmc_wait(1.0, load * 8, 8),
        q.ggc_wait(1.0, load * 8, 8),
        q.dynamic_batching_latency(0.02, 1.0, load / 0.02),
    ):
        # a relative hair's breadth for loads that differ by less than rounding
        assert np.all(answer[1:] >= answer[:-1] * (1 - 1e-9))


@pytest.mark.parametrize("load", [1.0, 1.5])
def test_beyond_capacity_every_wait_is_infinite(load):
    assert np.isinf(q.mg1_wait(1.0, load))
    assert np.isinf(q.mmc_wait(1.0, load * 4, 4))
    assert np.isinf(q.ggc_wait(1.0, load * 4, 4))
    assert np.isinf(q.md1_ttft(0.1, load / 0.1))
    assert np.isinf(q.two_stage_ttft(0.1, 2 * load / 0.1))
    assert np.isinf(q.dynamic_batching_latency(0.02, 1.0, load / 0.02))


def test_an_idle_system_waits_for_nobody():
    assert q.mg1_wait(1.0, 0.0) == q.mmc_wait(1.0, 0.0, 4) == q.ggc_wait(1.0, 0.0, 4) == 0


def test_unknown_stays_unknown_beside_known():
    for answer in (
        q.mg1_wait([1.0, None, 1.0], [0.5, 0.5, None]),
        q.ggc_wait([1.0, None, 1.0], [0.5, 0.5, np.nan], 2),
        q.mmc_wait([1.0, None, 1.0], [0.5, 0.5, np.nan], 2),
        q.dynamic_batching_latency([0.1, None, 0.1], 1.0, [1.0, 1.0, None]),
    ):
        assert np.isnan(answer).tolist() == [False, True, True]
    assert np.isnan(q.mmc_wait(1.0, 0.5, None))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: q.mg1_wait(-1.0, 0.5),
        lambda: q.mg1_wait(1.0, -0.5),
        lambda: q.erlang_c(0, 0.5),
        lambda: q.ggc_wait("long", 1.0, 1),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
