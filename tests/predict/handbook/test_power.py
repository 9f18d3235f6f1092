"""Equations (38) to (40): energy of a step, power by utilisation, the clock under a cap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.power import capped_clock, step_energy, utilisation_power


def test_39_utilisation_curve():
    values = utilisation_power(0.2, 1.0, np.array([0.25, 0.5, 0.75]))
    assert values == pytest.approx(np.array([0.4851, 0.6969, 0.8652]), abs=5e-5)
    assert utilisation_power(90.0, 700.0, [0.0, 1.0]).tolist() == [90.0, 700.0]


@given(st.floats(0, 500), st.floats(1, 1000), st.floats(1, 1500))
def test_40_a_cap_slows_the_clock_with_the_cube_root_of_dynamic_power(static, dynamic, cap):
    clock = capped_clock(static, dynamic, cap)
    assert 0 <= clock <= 1
    if static + dynamic <= cap:
        assert clock == 1
    elif cap > static:
        assert static + dynamic * clock**3 == pytest.approx(cap)


@given(st.floats(0, 200), st.floats(1e-3, 10), st.floats(0, 1e17), st.floats(0, 1e14))
def test_38_energy_never_exceeds_the_cap(static, seconds, flop, moved):
    cost = {"j_per_flop": 0.6e-12, "j_per_bit": 4e-12, "cap_w": 700.0}
    energy = float(step_energy(static, seconds, flop, moved, **cost))
    assert energy <= 700.0 * seconds
    assert energy <= static * seconds + flop * 0.6e-12 + 8 * moved * 4e-12
    idle = float(step_energy(static, seconds, 0.0, 0.0, **cost))
    assert idle == pytest.approx(static * seconds)


def test_38_energy_counts_flops_and_bits():
    energy = step_energy(100.0, 1.0, 1e14, 1e12, j_per_flop=0.6e-12, j_per_bit=4e-12, cap_w=1e6)
    assert energy == pytest.approx(100 + 60 + 32)
