"""Percentiles against numpy, Student's quantiles against scipy, intervals that cover as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t

from inferatlas.simulate import statistics
from inferatlas.simulate.series import between, peak, steps
from inferatlas.simulate.steady import mser


@pytest.mark.parametrize("freedom", [1, 2, 7, 19, 30, 31, 40, 60, 100, 1000])
def test_students_quantile(freedom):
    assert statistics.student(freedom) == pytest.approx(student_t.ppf(0.975, freedom), abs=2e-4)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_are_those_of_numpy(values):
    found = statistics.summary(np.array(values))
    for name, q in statistics.QUANTILES.items():
        assert found[name] == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=40), st.integers(0, 20))
def test_what_was_lost_is_infinite_in_percentiles(values, lost):
    found = statistics.summary(np.array(values), lost)
    together = np.sort(values + [1e9] * lost)
    for name, q in statistics.QUANTILES.items():
        expected = float(np.quantile(together, q))
        assert found[name] == pytest.approx(expected) or (found[name] == np.inf and expected > 1e3)


def test_nothing_has_no_statistics():
    assert set(statistics.summary(np.zeros(0)).values()) == {None}
    assert set(statistics.histogram_summary(np.zeros(4), 1.0, 0.1).values()) == {None}


def test_a_histogram_tells_percentiles_to_its_resolution():
    values = np.random.default_rng(0).lognormal(-4, 0.5, 100_000)
    counts = np.bincount((np.log(values / 1e-5) / 0.005).astype(int), minlength=4096).astype(float)
    found, exact = statistics.histogram_summary(counts, 1e-5, 0.005), statistics.summary(values)
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, rel=0.005)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random, inside = np.random.default_rng(1), {"mean": 0, "p50": 0, "p95": 0}
    truth = {"mean": 1.0, "p50": np.log(2), "p95": np.log(20)}
    for _ in range(400):
        values = random.exponential(1.0, 4000)
        found = statistics.intervals_of(values, statistics.summary(values))
        for name, value in truth.items():
            inside[name] += found[name][0] <= value <= found[name][1]
    for name, count in inside.items():
        assert 0.91 <= count / 400 <= 0.985, name


def test_a_percentile_beyond_every_batch_has_no_interval():
    values = np.random.default_rng(0).exponential(1.0, 600)  # 30 a batch
    found = statistics.intervals_of(values, statistics.summary(values))
    assert {"mean", "p50", "p95"} - {"p95"} <= set(found) and "p99" not in found
    assert statistics.intervals_of(values[:100], statistics.summary(values[:100])) == {}


def test_batches_that_are_alike_are_known():
    random = np.random.default_rng(0)
    assert (statistics.alike(random.exponential(1.0, 4000)) or 0) < statistics.ALIKE
    assert (statistics.alike(np.cumsum(random.normal(size=4000))) or 0) > statistics.ALIKE


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20)), min_size=1, max_size=30), st.integers(1, 9))
def test_means_over_bins_add_up_to_the_time_spent(spans, many):
    starts = np.array([a for a, _ in spans])
    ends = starts + np.array([b for _, b in spans])
    until = float(ends.max()) or 1.0
    bin_s = until / (many - 0.5)
    count = int(np.ceil(until / bin_s))
    level = steps(starts, bin_s, count, until) - steps(ends, bin_s, count, until)
    assert level.sum() * bin_s == pytest.approx((ends - starts).sum(), abs=1e-6)
    assert level.min() >= -1e-9
    moments = np.concatenate([starts, ends[:-1]])
    most = max(int(((starts <= at) & (ends > at)).sum()) for at in moments)
    assert peak(starts, ends) >= most


def test_sums_between_moments():
    bins = np.array([[1.0], [3.0], [5.0]])
    assert between(bins, 2.0, np.array([0.0, 1.0, 4.0, 6.0])).ravel().tolist() == [0.5, 3.5, 5.0]


def test_a_warm_up_is_cut_off_and_half_of_all_at_most():
    random = np.random.default_rng(2)
    level = 10 + random.normal(size=400)
    level[:60] -= np.linspace(10, 0, 60)
    assert 25 <= mser(level) <= 80
    assert mser(10 + random.normal(size=400)) <= 200
    assert mser(np.arange(400.0)) == 200
    assert mser(np.ones(3)) == 0
