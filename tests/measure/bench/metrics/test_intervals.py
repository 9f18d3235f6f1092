"""Intervals cover what they promise, cost the same for a million requests, and say nothing where nothing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.intervals import (
    blocks_of,
    ratio_interval,
    student_interval,
    value_intervals,
    variation_interval,
)
from inferatlas.measure.bench.metrics.tails import needed, too_small, upper_bound

Q = np.array([0.5, 0.9])
# lognormal(0, 0.5): mean, p50, p90
TRUTH = (float(np.exp(0.125)), 1.0, float(np.exp(0.5 * 1.2815516)))


def covered(samples, block, truths):
    """Share of the samples in whose interval the truth is, of the mean and of each percentile."""
    inside = np.zeros(3)
    for seed, values in enumerate(samples):
        blocks = blocks_of(np.arange(float(values.size)), block, draws=400, seed=seed)
        mean, percentiles = value_intervals(blocks, values, Q)
        found = [(one[0] or -np.inf, one[1] or np.inf) for one in (mean, *percentiles)]
        inside += [low <= truth <= high for (low, high), truth in zip(found, truths, strict=True)]
    return inside / len(samples)


def test_intervals_of_independent_requests_hold_the_truth_95_times_in_100():
    random = np.random.default_rng(1)
    share = covered(random.lognormal(0, 0.5, (250, 300)), 1, TRUTH)
    assert (share > 0.90).all() and (share < 0.99).all(), share


def test_few_blocks_give_wide_enough_intervals():
    random = np.random.default_rng(2)
    assert covered(random.normal(1, 0.2, (400, 8)), 1, (1.0, 1.0, 1.0))[0] > 0.90


def test_requests_of_a_round_depend_on_each_other_and_blocks_know():
    random = np.random.default_rng(3)
    shared = random.normal(0, 1, (200, 40, 1)) + 0.3 * random.normal(0, 1, (200, 40, 16))
    samples = shared.reshape(200, 640)
    truths = (0.0, 0.0, 1.2815516 * 1.09**0.5)
    assert covered(samples, 16, truths).min() > 0.88
    assert covered(samples, 1, truths)[:2].max() < 0.6  # as if 640 requests were independent


def test_a_million_requests_have_intervals_of_the_width_of_theory():
    random = np.random.default_rng(4)
    values = random.exponential(1.0, 1_000_000)
    blocks = blocks_of(np.arange(1e6))
    assert blocks is not None and blocks.many == 1000
    mean, (p99,) = value_intervals(blocks, values, np.array([0.99]))
    assert mean[1] - mean[0] == pytest.approx(2 * 1.96e-3, rel=0.15)
    # standard error of a quantile: sqrt(p (1 - p) / n) / f(x), with f = 1 - p
    assert p99[1] - p99[0] == pytest.approx(2 * 1.96 * (0.99 * 0.01 / 1e6) ** 0.5 / 0.01, rel=0.15)


def test_an_end_that_the_sample_does_not_reach_is_unknown():
    values = np.random.default_rng(5).exponential(1.0, 100)
    _, (p50, p99) = value_intervals(blocks_of(np.arange(100.0)), values, np.array([0.5, 0.99]))
    assert None not in p50 and p99[1] is None and p99[0] < np.quantile(values, 0.99)


def test_the_same_record_gives_the_same_interval():
    values = np.random.default_rng(6).exponential(1.0, 50)
    first, second = (value_intervals(blocks_of(np.arange(50.0)), values, Q) for _ in range(2))
    assert first == second


def test_nothing_is_said_of_too_few():
    assert blocks_of(np.arange(4.0)) is None and blocks_of(np.arange(79.0), 16) is None
    assert value_intervals(None, np.ones(4), Q) == (None, [None, None])
    assert ratio_interval(None, np.ones(4), np.ones(4)) is None and variation_interval(None, np.ones(4)) is None
    blocks = blocks_of(np.arange(5.0))
    assert value_intervals(blocks, np.full(5, np.nan), Q) == (None, [None, None])
    assert variation_interval(blocks, np.full(5, np.nan)) is None
    assert student_interval(np.array([1.0])) is None


def test_equal_values_have_no_spread():
    mean, (p50, p90) = value_intervals(blocks_of(np.arange(50.0)), np.full(50, 0.3), Q)
    np.testing.assert_allclose([mean, p50, p90], 0.3)
    assert variation_interval(blocks_of(np.arange(50.0)), np.full(50, 0.3)) == pytest.approx((0, 0), abs=1e-9)


def test_variation_of_exponential_values_is_one():
    values = np.random.default_rng(7).exponential(2.0, 4000)
    low, high = variation_interval(blocks_of(np.arange(4000.0)), values)
    assert low < 1.0 < high and high - low < 0.2


def test_rounds_stay_whole_and_in_the_order_of_time():
    clock = np.array([5.0, 0.0, 1.0, 4.0, 2.0, 3.0, 9.0, 6.0, 7.0, 8.0, 10.0])
    blocks = blocks_of(clock, 2)
    assert blocks.many == 5 and blocks.of.tolist() == [2, 0, 0, 2, 1, 1, 4, 3, 3, 4, 4]
    assert (blocks.drawn.sum(axis=1) == 5).all()


@pytest.mark.parametrize(
    ("p", "few"),
    [(0.9, [44, 64, 81, 97]), (0.95, [90, 130, 165, 198]), (0.99, [459, 662, 838, 1001])],
)
def test_requests_that_a_percentile_needs(p, few):
    """Section 7 of reference/load-generation.md."""
    assert [needed(p, over) for over in range(4)] == few
    name = f"p{round(100 * p)}"
    assert name in too_small(few[0] - 1) and name not in too_small(few[0])


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.integers(0, 12))
def test_order_statistics_and_needed_requests_are_one_law(p, over):
    n = needed(p, over)
    ordered = np.arange(1.0, n + 1)
    assert upper_bound(ordered, p) == n - over  # so many are beyond it
    fewer = upper_bound(ordered[:-1], p)
    assert fewer is None if over == 0 else fewer > n - 1 - over


def test_bounds_hold():
    random = np.random.default_rng(8)
    bounds = [upper_bound(np.sort(random.exponential(1.0, 700)), 0.95) for _ in range(300)]
    assert np.mean(np.array(bounds) >= -np.log(0.05)) > 0.97


def test_no_values_and_no_shares():
    assert upper_bound(np.zeros(0), 0.9) is None
    with pytest.raises(BadInput, match="no share"):
        needed(1.0)
