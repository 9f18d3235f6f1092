"""Rank correlation agrees with scipy's, and neither order of machines nor scale of values changes it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from inferatlas.decide.regimes import ranks
from inferatlas.predict.answer import Interval

values = st.lists(st.integers(1, 30).map(float), min_size=4, max_size=25).map(np.array)


@given(values, st.randoms(use_true_random=False))
def test_the_coefficient_is_scipy_s_with_equals_too(x: np.ndarray, random):
    y = np.array([random.choice(x) for _ in x])
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    assert ranks.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)


@given(values)
def test_places_are_those_of_a_race(x: np.ndarray):
    assert ranks.places(x).tolist() == rankdata(-x, method="min").tolist()


@given(values)
def test_an_order_with_itself_is_exactly_one_in_every_sample(x: np.ndarray):
    assume(np.ptp(x) > 0)
    found = ranks.spread(x, 3.0 * x + 1.0)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)
    reversed_ = ranks.spread(x, -x)
    assert (reversed_.low, reversed_.value, reversed_.high) == (-1.0, -1.0, -1.0)


def test_the_spread_is_that_of_samples_drawn_with_replacement():
    generator = np.random.default_rng(3)
    x = generator.normal(size=40)
    y = x + generator.normal(size=40)
    chosen = generator.integers(0, 40, size=(2000, 40))
    low, high = np.percentile([spearmanr(x[i], y[i]).statistic for i in chosen], [10, 90])
    found = ranks.spread(x, y)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    assert found.low < found.value < found.high
    more = ranks.spread(np.tile(x, 4) + np.arange(160) * 1e-9, np.tile(y, 4) + np.arange(160) * 1e-9)
    assert more.high - more.low < 0.7 * (found.high - found.low)


def test_draws_have_the_intervals_they_are_drawn_from():
    given_ = [Interval(1.0, 2.0, 8.0), Interval(0.9, 1.0, 1.1), Interval(5.0, 5.0, 5.0)]
    drawn = np.exp(ranks.draws(given_, higher=True, seed=0))
    low, high = np.percentile(drawn, [10, 90], axis=0)
    assert low == pytest.approx([1.0, 0.9, 5.0], rel=0.06) and high == pytest.approx([8.0, 1.1, 5.0], rel=0.12)
    assert ranks.draws(given_, higher=False, seed=0) == pytest.approx(-np.log(drawn))
    assert not np.array_equal(drawn, np.exp(ranks.draws(given_, higher=True, seed=1)))


def test_a_value_that_may_be_nothing_is_last_in_half_of_the_draws():
    drawn = ranks.draws([Interval(0.0, 4.0, 5.0), Interval(1.0, 1.0, 1.0)], higher=True, seed=0)
    assert np.mean(drawn[:, 0] < drawn[:, 1]) == pytest.approx(0.5, abs=0.06)


def test_sure_changes_are_outside_and_unsure_ones_inside():
    sure = [Interval(v / 1.01, v, v * 1.01) for v in (1.0, 2.0, 4.0, 8.0)]
    turned = sure[::-1]
    draw = [ranks.draws(one, higher=True, seed=seed) for seed, one in enumerate((sure, turned))]
    low, high = ranks.moves(*draw)
    assert low.tolist() == high.tolist() == [-3.0, -1.0, 1.0, 3.0]
    assert ranks.under_errors(*draw) == (-1.0, -1.0)
    wide = [[Interval(one.value / 30, one.value, one.value * 30) for one in side] for side in (sure, turned)]
    low, high = ranks.moves(*(ranks.draws(one, higher=True, seed=seed) for seed, one in enumerate(wide)))
    assert all(low <= 0) and all(high >= 0)
