"""Pooling: the accepted values, the limits, and what remote accesses take away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost.pooling import (
    access_ratio,
    independent_nodes,
    nodes_for,
    pooled_share,
    pooling_gain,
    service_quantile,
    slowdown,
)


def test_the_accepted_values():
    assert np.round(pooling_gain([4, 16, 64], 0.6, 2.33), 3).tolist() == [1.411, 1.777, 2.041]


cvs, levels, ns = st.floats(0.0, 5.0), st.floats(0.0, 4.0), st.integers(1, 5000)
correlations = st.floats(0.0, 1.0)


@given(n=ns, cv=cvs, z=levels, r=correlations)
def test_a_pool_never_needs_more_than_its_nodes_alone_nor_less_than_the_mean(n, cv, z, r):
    gain = float(pooling_gain(n, cv, z, r))
    assert 1.0 - 1e-12 <= gain <= 1.0 + z * cv + 1e-12
    assert gain <= float(pooling_gain(n, cv, z)) + 1e-12  # correlation takes away
    assert float(pooling_gain(n + 1, cv, z, r)) >= gain - 1e-12


@given(n=ns, cv=cvs, z=levels, r=correlations)
def test_nothing_is_gained_where_nothing_varies_where_one_is_alone_and_where_all_peak_together(n, cv, z, r):
    assert float(pooling_gain(n, 0.0, z, r)) == float(pooling_gain(1, cv, z, r)) == 1.0
    assert float(pooling_gain(n, cv, z, 1.0)) == pytest.approx(1.0)


def test_the_gain_is_what_a_simulation_needs():
    """Capacity at the 99 % quantile of normal demands, drawn."""
    rng = np.random.default_rng(7)
    for n, r in ((4, 0.0), (16, 0.3)):
        common = rng.standard_normal((400_000, 1))
        demand = 1.0 + 0.2 * (np.sqrt(r) * common + np.sqrt(1 - r) * rng.standard_normal((400_000, n)))
        alone = np.quantile(demand, 0.99)
        together = np.quantile(demand.mean(axis=1), 0.99)
        assert float(pooling_gain(n, 0.2, service_quantile(0.99), r)) == pytest.approx(alone / together, rel=5e-3)


@given(n=st.integers(2, 2000), cv=st.floats(0.05, 3.0), r=st.floats(0.0, 0.95))
def test_the_nodes_that_a_gain_needs_are_found_again(n, cv, r):
    gain = pooling_gain(n, cv, 2.33, r)
    assert float(nodes_for(gain, cv, 2.33, r)) == pytest.approx(n, rel=1e-3)


def test_gains_beyond_the_peak_over_the_mean_need_no_number_of_nodes():
    assert float(nodes_for(1.0, 0.6, 2.33)) == 1.0
    assert np.isinf(nodes_for([2.398, 5.0], 0.6, 2.33)).all()
    assert np.isinf(nodes_for(1.5, 0.6, 2.33, 0.5))  # correlated nodes are at most two independent ones


def test_correlated_nodes_vary_like_fewer_independent_ones():
    assert float(independent_nodes(10**9, 0.25)) == pytest.approx(4.0)


def test_the_share_above_the_mean_shrinks_with_the_pool():
    share = pooled_share([1, 4, 64], 0.6, 2.33)
    assert (np.diff(share) < 0).all() and 0 < share[-1] < share[0] < 1


def test_remote_accesses_cost_by_their_share_and_by_the_worse_of_latency_and_bandwidth():
    assert float(access_ratio(100e-9, 0.0)) == 1.0
    assert float(access_ratio(100e-9, 80e-9, 64e9, 64e9)) == pytest.approx(1.8)
    assert float(access_ratio(100e-9, 0.0, 300e9, 50e9)) == pytest.approx(6.0)
    assert float(slowdown(0.0, 9.0)) == float(slowdown(1.0, 1.0)) == float(slowdown(1.0, 9.0, 0.0)) == 1.0
    assert float(slowdown(1.0, 9.0)) == 9.0


@pytest.mark.parametrize("level", [0.4, 1.0, -1.0, float("nan")])
def test_service_levels_that_are_none(level):
    with pytest.raises(BadInput, match="service level"):
        service_quantile(level)
