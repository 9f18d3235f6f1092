"""Section 5: the forms of the references against their identities, the fitted law against its acceptance values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook import collectives as hb
from inferatlas.predict.performance import collectives as c

H100_AR = (6.50e-6, 0.65e-6, 430e9, 0.54)
sizes = st.floats(1, 1e10)


@pytest.mark.parametrize(
    ("n", "micros"), [(2, (7.98, 17.22, 737.0)), (4, (10.66, 23.94, 1094.7)), (8, (15.94, 32.91, 1305.2))]
)
def test_f_21_fitted_law_prints_the_acceptance_values_of_h100(n, micros):
    # the 456 raw points are not here to be fitted again: the law's own values are what can be checked
    for size, expected in zip((2**10, 2**20, 2**28), micros, strict=True):
        law = float(hb.fitted_law("all_reduce", n, size, *H100_AR)) * 1e6
        assert law == pytest.approx(expected, rel=1e-3)


def test_21_a_group_of_one_costs_nothing():
    assert hb.fitted_law("all_reduce", 1, [0.0, 1e9], *H100_AR).tolist() == [0.0, 0.0]


@given(st.sampled_from([2, 4, 8, 16, 64]), sizes)
def test_20_a_tree_moves_the_ring_s_bytes_in_fewer_steps(n, size):
    ring, tree = float(c.ring("all_reduce", n, size, 1e-6, 450e9)), float(hb.tree(n, size, 1e-6, 450e9))
    assert ring - tree == pytest.approx((2 * (n - 1) - 2 * math.log2(n)) * 1e-6, abs=1e-9 + 1e-9 * ring)


def test_20_one_shot_wins_small_and_the_switch_wins_large():
    small, large = 4096.0, 1e9
    assert hb.one_shot(8, small, 1e-6, 450e9) < c.ring("all_reduce", 8, small, 1e-6, 450e9)
    assert hb.one_shot(8, large, 1e-6, 450e9) > c.ring("all_reduce", 8, large, 1e-6, 450e9)
    assert hb.in_network(large, 1e-6, 450e9) < c.ring("all_reduce", 8, large, 1e-6, 450e9)


@given(sizes)
def test_22_two_levels_run_at_the_same_time(size):
    inside = hb.two_level_all_to_all(8, 8, size, 450e9, 50e9, 1e-6, 1e-5)
    assert inside == pytest.approx(1e-6 + size * 7 / 8 / 450e9)
    both = hb.two_level_all_to_all(8, 64, size, 450e9, 50e9, 1e-6, 1e-5)
    assert both == pytest.approx(max(1e-6 + size * 7 / 64 / 450e9, 1e-5 + size * 56 / 64 / 50e9))
    serial = c.switch_all_to_all(8, size, 1e-6, 450e9, pipelined=False)
    assert serial - c.switch_all_to_all(8, size, 1e-6, 450e9) == pytest.approx(6e-6, rel=1e-6, abs=1e-9 * float(serial))


@given(st.integers(2, 64), sizes)
def test_23_the_ring_form_of_an_exchange_equals_19(n, per_device):
    link = 100e9
    whole = hb.bidirectional_ring("all_to_all", n, n * per_device, 0.0, 2 * link)
    assert hb.torus_bisection((n,), per_device, link) == pytest.approx(float(whole))


def test_23_bisection_of_cubes_meshes_and_flat_axes():
    assert hb.torus_bisection((8, 8), 1e9, 100e9) == pytest.approx(math.sqrt(64) * 1e9 / 8e11)
    assert hb.torus_bisection((4, 4, 4), 1e9, 100e9) == pytest.approx(64 ** (1 / 3) * 1e9 / 8e11)
    assert hb.torus_bisection((8, 8), 1e9, 100e9, mesh=True) == 2 * hb.torus_bisection((8, 8), 1e9, 100e9)
    assert hb.torus("all_reduce", (1, 1), 1e9, 1e11, 1e-6) == 0.0


def test_24_a_dragonfly_sends_over_all_its_links():
    assert hb.dragonfly(1e9, 1e-6, 30e9, 11) == pytest.approx(3e-6 + 1e9 / 330e9)
