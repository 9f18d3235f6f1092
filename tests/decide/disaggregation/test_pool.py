"""What a pool saves, what remote accesses and a fabric take of it, and from how many nodes claims follow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferatlas
from inferatlas.decide.disaggregation.pool import pool
from inferatlas.errors import BadInput
from inferatlas.predict.cost.ownership import Ownership, ownership_usd_per_hour
from inferatlas.predict.cost.pooling import pooling_gain, service_quantile


def test_it_is_the_command_and_gives_equation_50():
    found = inferatlas.pool(16, 0.6, service=0.99, correlation=0.2)
    assert found.gain == pytest.approx(float(pooling_gain(16, 0.6, service_quantile(0.99), 0.2)))
    assert found.saved == pytest.approx(1 - 1 / found.gain)
    assert found.net_gain == found.gain and found.slowdown is None
    assert found.usd_per_hour_saved is found.break_even_fabric_usd is found.cost_change is None
    assert [row["nodes"] for row in found.curve] == list(range(1, 17))


@given(
    nodes=st.integers(1, 300), cv=st.floats(0, 3), service=st.floats(0.5, 0.9999), r=st.floats(0, 1),
    penalty=st.floats(0, 1e-6), bound=st.floats(0, 1),
)  # fmt: skip
def test_gains_are_at_least_1_before_their_price_and_no_larger_after_it(nodes, cv, service, r, penalty, bound):
    found = pool(nodes, cv, service=service, correlation=r, latency_penalty=penalty, memory_bound=bound)
    assert found.gain >= 1 - 1e-12 and found.slowdown >= 1
    assert found.net_gain <= found.gain
    alone = found.curve[0]
    assert alone["nodes"] == 1 and alone["gain"] == alone["net_gain"] == 1.0


def test_at_the_break_even_price_the_fabric_costs_what_it_saves():
    asked = {"nodes": 32, "demand_cv": 0.5, "capex": 8000.0, "power": 120.0, "fabric_power": 25.0}
    price = pool(**asked).break_even_fabric_usd
    even = pool(**asked, fabric_capex=price)
    assert even.cost_change == pytest.approx(0.0, abs=1e-12)
    assert pool(**asked, fabric_capex=price * 0.9).cost_change < 0 < pool(**asked, fabric_capex=price * 1.1).cost_change
    assert even.usd_per_hour_alone == pytest.approx(float(ownership_usd_per_hour(Ownership(8000.0, 120.0, 120.0))))


def test_a_node_alone_pays_for_no_fabric():
    first = pool(4, 0.5, capex=8000.0, fabric_capex=1e6, fabric_power=100.0).curve[0]
    assert first["cost_change"] == 0.0 and first["break_even_fabric_usd"] == 0.0


def test_far_memory_may_cost_more_than_it_saves():
    found = pool(4, 0.3, latency_penalty=2e-6, remote_share=0.5)
    assert found.gain > 1 > found.net_gain
    assert pool(4, 0.3, latency_penalty=2e-6, remote_share=0.0).net_gain == pool(4, 0.3).gain


def test_the_worse_of_latency_and_bandwidth_is_charged():
    narrow = pool(8, 0.6, latency_penalty=0.0, local_bandwidth=300e9, remote_bandwidth=60e9, remote_share=0.25)
    assert narrow.slowdown == pytest.approx(1 + 0.25 * 4)


def test_claims_follow_from_so_many_nodes():
    by = {one["claim"]: one for one in pool(64, 0.6, service=0.99).claims}
    z = service_quantile(0.99)
    for name, (low, high) in {"compute": (1.15, 1.41), "capacity": (1.28, 1.49)}.items():
        for gain, n in ((low, by[name]["nodes_low"]), (high, by[name]["nodes_high"])):
            assert float(pooling_gain(n, 0.6, z)) >= gain - 1e-9 > float(pooling_gain(max(n - 1, 1), 0.6, z)) - 1e-9
    never = {one["claim"]: one for one in pool(64, 0.6, correlation=0.9).claims}
    assert never["capacity"]["nodes_low"] is None


def test_many_nodes_are_shown_at_a_few():
    found = pool(10_000, 0.6)
    assert len(found.curve) <= 24 and (found.curve[0]["nodes"], found.curve[-1]["nodes"]) == (1, 10_000)


REFUSED = [
    ({"nodes": 0}, "nodes"), ({"nodes": 10**9}, "nodes"), ({"demand_cv": -1.0}, "demand_cv"),
    ({"demand_cv": math.nan}, "demand_cv"), ({"service": 1.0}, "service"), ({"correlation": 1.1}, "correlation"),
    ({"correlation": -0.1}, "correlation"), ({"latency_penalty": -1e-9}, "latency_penalty"),
    ({"local_latency": 0.0, "latency_penalty": 1e-9}, "local_latency"), ({"remote_share": 2.0}, "remote_share"),
    ({"memory_bound": math.nan}, "memory_bound"), ({"capex": -1.0}, "capex"), ({"fabric_capex": 1.0}, "fabric_capex"),
    ({"capex": 1.0, "power": math.nan}, "power"), ({"remote_bandwidth": 1e9}, "remote_bandwidth"),
    ({"remote_bandwidth": 1e9, "local_bandwidth": 1e9}, "remote_bandwidth"),
    ({"remote_bandwidth": 0.0, "local_bandwidth": 1e9, "latency_penalty": 0.0}, "remote_bandwidth"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "field"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_what_cannot_be_is_refused_with_the_field(more, field):
    with pytest.raises(BadInput) as refused:
        pool(**{"nodes": 8, "demand_cv": 0.5, **more})
    assert refused.value.field == field
