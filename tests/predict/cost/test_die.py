"""Equation (53): acceptance values, limits, and larger dies that are never cheaper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost.die import dies_per_wafer, good_die_share, usd_per_good_die

areas = st.floats(1e-6, 2e-3)


def test_53_dies_and_yield():
    assert dies_per_wafer(814e-6, 0.150) == pytest.approx(63.48, abs=5e-3)
    assert good_die_share(814e-6, 1000.0, 3.0) == pytest.approx(0.48666, abs=5e-6)


@given(areas, st.floats(0, 1e4), st.floats(0.5, 20))
def test_yield_is_a_share_and_tends_to_poissons_without_clustering(area, defects, clustering):
    share = good_die_share(area, defects, clustering)
    assert np.exp(-area * defects) * (1 - 1e-12) <= share <= 1
    assert good_die_share(area, defects, 1e7) == pytest.approx(np.exp(-area * defects), rel=1e-4)
    assert good_die_share(area, 0.0, clustering) == 1


@given(areas, st.floats(1.01, 3))
def test_larger_dies_are_fewer_and_dearer(area, factor):
    assert dies_per_wafer(area * factor) < dies_per_wafer(area)
    assert dies_per_wafer(area) * area < np.pi * 0.15**2  # the wafer is not exceeded
    assert usd_per_good_die(16000.0, area * factor, 1000.0) > usd_per_good_die(16000.0, area, 1000.0) * factor


def test_a_die_larger_than_the_wafer_is_not_made():
    assert dies_per_wafer(0.2) == 0
    assert np.isinf(usd_per_good_die(16000.0, 0.2, 1000.0))


def test_unknown_stays_unknown_and_the_impossible_is_refused():
    assert np.isnan(dies_per_wafer([None, 814e-6])).tolist() == [True, False]
    assert np.isnan(good_die_share(814e-6, None))
    assert np.isnan(usd_per_good_die(None, 814e-6, 1000.0))
    for wrong in (lambda: dies_per_wafer(0.0), lambda: good_die_share(1.0, -1.0), lambda: good_die_share(1.0, 1.0, 0)):
        with pytest.raises(BadInput):
            wrong()
