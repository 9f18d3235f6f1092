"""Percentiles from a mean and a coefficient of variation are those of the lognormal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.performance.tails import lognormal_quantile, percentile_of


@given(st.floats(1e-3, 1e3), st.floats(0.01, 3.0), st.floats(0.001, 0.999))
def test_quantile_is_that_of_scipys_lognormal(mean, cv, probability):
    from scipy.stats import lognorm

    sigma = np.sqrt(np.log1p(cv**2))
    expected = lognorm(s=sigma, scale=mean * np.exp(-(sigma**2) / 2)).ppf(probability)
    assert lognormal_quantile(mean, cv, probability) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0, 1e6), st.floats(0, 5))
def test_percentiles_rise_and_fixed_lengths_have_none(mean, cv):
    ladder = [float(percentile_of(mean, cv, name)) for name in ("p50", "p90", "p95", "p99")]
    assert ladder == sorted(ladder)
    assert ladder[0] <= mean * (1 + 1e-12)  # the median of a skewed distribution is below its mean
    assert percentile_of(mean, 0, "p99") == pytest.approx(mean)
    assert percentile_of(mean, cv, "mean") == mean


def test_the_short_cut_for_named_percentiles_is_the_general_one():
    for name, probability in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        general = lognormal_quantile(1.0, 0.7, np.array([probability]))
        assert percentile_of(1.0, 0.7, name) == pytest.approx(general[0], rel=1e-12)
    assert percentile_of(1.0, 0.7, "p99.9") > percentile_of(1.0, 0.7, "p99")


def test_the_sample_of_a_trace_like_shape_agrees():
    mean, cv = 211.13, 0.7714
    sigma2 = np.log1p(cv**2)
    sample = np.random.default_rng(3).lognormal(np.log(mean) - sigma2 / 2, np.sqrt(sigma2), 400_000)
    assert percentile_of(mean, cv, "p95") == pytest.approx(np.quantile(sample, 0.95), rel=0.01)


def test_unknown_stays_unknown():
    assert np.isnan(percentile_of(None, 0.5, "mean"))
    assert np.isnan(percentile_of(1.0, None, "mean"))
    assert np.isnan(percentile_of([1.0, None], [None, 0.5], "p99")).all()


@pytest.mark.parametrize("statistic", ["p0", "p100", "median", "P99", "99", ""])
def test_other_statistics_are_refused(statistic):
    with pytest.raises(BadInput):
        percentile_of(1.0, 0.5, statistic)


@pytest.mark.parametrize("probability", [0.0, 1.0, -1.0, 2])
def test_a_probability_outside_its_range_is_refused(probability):
    with pytest.raises(BadInput):
        lognormal_quantile(1.0, 0.5, probability)
