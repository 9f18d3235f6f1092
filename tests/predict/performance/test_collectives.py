"""Section 5: one law for every topology, against the references' forms and measured floors (check F)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import accelerator_ids, load_accelerator
from inferatlas.errors import BadInput, NotModelled
from inferatlas.predict.handbook import collectives as hb
from inferatlas.predict.hardware.device import device
from inferatlas.predict.performance import collectives as c
from inferatlas.predict.performance.priors import network

sizes = st.floats(1, 1e10)
groups = st.integers(2, 64)
ops = st.sampled_from(c.OPERATIONS)


def time(net: c.Network, op: str, n: int, size: float) -> float:
    latency, per_byte, q = c.group_cost(net, op, n)
    return (latency**q + (size * per_byte) ** q) ** (1 / q) if latency else size * per_byte


def plain(topology: str, domain: int = 4096, **other: float) -> c.Network:
    fields = {
        "bytes_per_s": 400e9,
        "scale_out": None,
        "base_s": 0.0,
        "step_s": 1e-6,
        "efficiency": 1.0,
        "q": 1.0,
        "scale_out_s": 0.0,
        "default_scale_out": 12.5e9,
    }
    return c.Network(topology=topology, domain=domain, **(fields | other))  # type: ignore[arg-type]


def test_19_ring_all_reduce_of_16_mib_on_8_devices():
    assert c.ring("all_reduce", 8, 16 * 2**20, 1e-6, 450e9) * 1e6 == pytest.approx(79.24, abs=0.005)


@given(groups, sizes)
def test_19_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(n, size):
    both = c.ring("reduce_scatter", n, size, 1e-6, 450e9) + c.ring("all_gather", n, size, 1e-6, 450e9)
    assert c.ring("all_reduce", n, size, 1e-6, 450e9) == pytest.approx(float(both))


@pytest.mark.parametrize(("n", "floor"), [(2, 8.4e-6), (4, 11.8e-6), (8, 17.5e-6)])
def test_f_21_small_messages_stay_within_10_percent_of_the_measured_floors(n, floor):
    net, notes = network(device(load_accelerator("nvidia-h100-sxm")))
    # "up to 64 KiB": the law rises slowly there, the floors are a mean over sizes
    values = [time(net, "all_reduce", n, size) for size in (2**10, 2**12, 2**14)]
    assert np.mean(values) == pytest.approx(floor, rel=0.10)
    assert not notes


@pytest.mark.parametrize("part", ["nvidia-h100-sxm", "nvidia-h200-sxm"])
@pytest.mark.parametrize("op", c.OPERATIONS)
@given(n=st.sampled_from([2, 4, 8]), size=sizes)
def test_21_the_predictor_uses_the_fitted_constants_where_there_are_any(part, op, n, size):
    net, _ = network(device(load_accelerator(part)))
    assert net.fitted is not None
    assert time(net, op, n, size) == pytest.approx(float(hb.fitted_law(op, n, size, *net.fitted[op])), rel=1e-9)


def test_21_a_group_of_one_costs_nothing():
    assert c.group_cost(plain("switch"), "all_reduce", 1) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(("topology", "shape"), [("torus2d", (4, 4)), ("torus2d", (8, 8)), ("torus3d", (4, 4, 4))])
@pytest.mark.parametrize("op", ["all_reduce", "all_gather"])
def test_23_the_predictor_s_torus_is_all_axes_at_once(topology, shape, op):
    net, n = plain(topology), math.prod(shape)
    axis = 2 * net.bytes_per_s / (2 * len(shape))  # one axis: a link each way of the 2k links of a device
    assert time(net, op, n, 1e9) == pytest.approx(float(hb.torus(op, shape, 1e9, axis, 1e-6)))


@pytest.mark.parametrize("op", ["all_reduce", "all_gather"])
def test_23_a_slice_without_an_axis_cannot_use_its_links(op):
    net = plain("torus2d")
    axis = 2 * net.bytes_per_s / 4
    assert time(net, op, 2, 1e9) == pytest.approx(float(hb.torus(op, (2, 1), 1e9, axis, 1e-6)))
    assert time(net, op, 7, 1e9) == pytest.approx(float(hb.torus(op, (7, 1), 1e9, axis, 1e-6)))


def test_24_a_dragonfly_takes_three_hops_each_way():
    net = plain("dragonfly")
    assert time(net, "all_gather", 8, 1e9) == pytest.approx(3e-6 + 7 / 8 * 1e9 / net.bytes_per_s)
    assert time(net, "all_reduce", 8, 1e9) == pytest.approx(6e-6 + 14 / 8 * 1e9 / net.bytes_per_s)


def test_a_full_mesh_of_few_reaches_only_the_links_to_its_peers():
    net = plain("full_mesh", domain=8)
    assert time(net, "all_gather", 8, 1e9) == pytest.approx(1e-6 + 7 / 8 * 1e9 / net.bytes_per_s)
    assert time(net, "all_gather", 2, 1e9) == pytest.approx(1e-6 + 1 / 2 * 1e9 / (net.bytes_per_s / 7))


@pytest.mark.parametrize("side", [2, 4, 8])
def test_24_a_mesh_reduces_over_its_edges_and_exchanges_at_half_a_torus(side):
    net = plain("mesh2d")
    edge = net.bytes_per_s / 4
    assert time(net, "all_reduce", side * side, 1e9) == pytest.approx(
        float(hb.mesh2d_all_reduce(side, 1e9, 1e-6, edge))
    )
    exchange = float(hb.torus_bisection((side, side), 1e9, edge, mesh=True))
    assert time(net, "all_to_all", side * side, 1e9) == pytest.approx(exchange, rel=1e-3)


@given(
    ops,
    st.integers(2, 64),
    sizes,
    sizes,
    st.sampled_from(["switch", "torus2d", "torus3d", "mesh2d", "ring", "full_mesh", "pcie"]),
)
def test_more_bytes_or_a_slower_link_never_take_less_time(op, n, size, more, topology):
    net = plain(topology, q=0.6, base_s=5e-6)
    assert time(net, op, n, size + more) >= time(net, op, n, size) > 0
    slow = plain(topology, q=0.6, base_s=5e-6, bytes_per_s=200e9)
    assert time(slow, op, n, size) >= time(net, op, n, size)


@given(ops, st.sampled_from([16, 32, 64]), sizes)
def test_a_group_beyond_the_domain_costs_at_least_what_it_costs_inside(op, n, size):
    whole = plain("switch", domain=8, scale_out=50e9, scale_out_s=1e-5)
    assert time(whole, op, n, size) > time(whole, op, 8, size)


def test_a_group_beyond_the_domain_without_scale_out_is_refused():
    with pytest.raises(BadInput) as error:
        c.group_cost(plain("switch", domain=8), "all_reduce", 16)
    assert error.value.field == "tp"


@given(st.integers(1, 512), st.integers(1, 3))
def test_grids_factor_the_group_largest_side_first(n, dimensions):
    sides = c.grid(n, dimensions)
    assert math.prod(sides) == n
    assert list(sides) == sorted(sides, reverse=True)
    assert len(sides) == dimensions


def test_every_catalogue_device_has_a_network_and_unknown_links_say_so():
    for name in accelerator_ids():
        try:
            part = device(load_accelerator(name))
        except NotModelled:
            continue
        net, notes = network(part)
        assert net.bytes_per_s > 0
        known = part.link_bytes_per_s or (part.topology == "pipeline" and part.scale_out_bytes_per_s)
        assert bool(notes) == (not known)


@pytest.mark.parametrize("part", ["nvidia-h100-sxm", "nvidia-l4", "amd-mi300x", "google-tpu-v5p"])
@pytest.mark.parametrize("op", c.OPERATIONS)
@given(n=st.sampled_from([2, 4, 8, 16, 64]), size=sizes)
def test_a_law_s_time_is_that_of_its_constants(part, op, n, size):
    net, _ = network(device(load_accelerator(part)))
    if n > net.domain and not net.scale_out:
        return
    assert c.law_time(net, op, n, [size, 2 * size]) == pytest.approx(
        [time(net, op, n, size), time(net, op, n, 2 * size)]
    )


@given(ops, groups, sizes)
def test_19_20_a_plain_switch_is_a_ring_and_beyond_the_measured_sizes_a_tree_over_rings(op, n, size):
    net = plain("switch")
    form = float(c.ring(op, n, size, 1e-6, 400e9))
    if op == "all_reduce" and n > c.MEASURED:
        form += (2 * (c.MEASURED - 1) + 2 * math.log2(n / c.MEASURED) - 2 * (n - 1)) * 1e-6
    assert c.law_time(net, op, n, size) == pytest.approx(form)
    assert c.law_time(net, op, 1, size) == 0


@pytest.mark.parametrize("part", ["nvidia-h100-sxm", "amd-mi300x", "nvidia-l4"])
def test_links_as_fast_as_they_are_change_nothing(part):
    net, _ = network(device(load_accelerator(part)))
    assert c.faster(net, 1.0) == net


@pytest.mark.parametrize("part", ["nvidia-h100-sxm", "amd-mi300x"])
@pytest.mark.parametrize("op", c.OPERATIONS)
@given(n=st.sampled_from([2, 8, 16]), size=sizes, factor=st.floats(0.1, 10))
def test_faster_links_move_bytes_as_much_faster_and_start_no_sooner(part, op, n, size, factor):
    net, _ = network(device(load_accelerator(part)))
    quick = c.faster(net, factor)
    assert time(quick, op, n, factor * size) == pytest.approx(time(net, op, n, size))
    assert c.law_time(quick, op, n, 0.0) == pytest.approx(c.law_time(net, op, n, 0.0))
    assert c.hop_cost(quick, across=True)[1] == pytest.approx(c.hop_cost(net, across=True)[1] / factor)


def test_27_a_hop_is_one_message_over_a_link_or_over_the_nic():
    net = plain("switch", domain=8, scale_out=50e9, scale_out_s=1e-5, efficiency=0.8)
    assert c.hop_cost(net, across=False) == pytest.approx((1e-6, 1 / (0.8 * 400e9), 1.0))
    assert c.hop_cost(net, across=True) == pytest.approx((1e-5, 1 / (0.8 * 50e9), 1.0))
    # nobody shares a domain of one; where the NIC is unknown, the assumed one stands in
    assert c.hop_cost(plain("switch", domain=1, scale_out=50e9), across=False)[1] == pytest.approx(1 / 50e9)
    assert c.hop_cost(plain("switch", domain=8), across=True)[1] == pytest.approx(1 / 12.5e9)


@given(st.sampled_from(c.OPERATIONS), sizes)
def test_members_that_stand_apart_leave_the_domain_sooner(op, size):
    net = plain("switch", domain=8, scale_out=50e9, scale_out_s=1e-5)

    def cost(n: int, stride: int) -> float:
        latency, per_byte, _ = c.group_cost(net, op, n, stride)
        return latency + size * per_byte

    assert cost(4, 2) == cost(4, 1)  # the eighth device is the last of the domain
    # four that are four devices apart: two in each domain, then two domains over the NICs
    both = 2 if op == "all_reduce" else 1
    shared = 1 if op == "all_to_all" else 2  # who shares a domain shares the data between domains
    outer = both * 1e-5 + both / 2 / shared * size / 50e9
    assert cost(4, 4) == pytest.approx(cost(2, 4) + outer)
    # eight devices apart, nobody shares a domain: an all-reduce goes up and down a tree (20), others around a ring
    latency = 4e-5 if op == "all_reduce" else 3e-5
    assert cost(4, 8) == pytest.approx(latency + both * 3 / 4 * size / 50e9)
