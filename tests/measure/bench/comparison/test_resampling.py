"""The bootstrap gives the errors that theory gives, and sees dependence."""

import numpy as np
import pytest

from inferatlas.measure.bench.comparison.resampling import MOST_BLOCKS, dependence, draw


def test_the_error_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(1).exponential(1.0, 4000)
    found = draw([4000], 1, np.random.default_rng(2)).means(values)
    assert found.mean() == pytest.approx(values.mean(), rel=0.005)
    assert found.std() == pytest.approx(values.std() / 4000**0.5, rel=0.12)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_error_of_a_percentile_is_that_of_theory(q: float):
    # sqrt(q (1 - q) / n) / density, of an exponential: density = 1 - q
    values = -np.log1p(-(np.arange(8000) + 0.5) / 8000)[np.random.default_rng(3).permutation(8000)]
    found = draw([8000], 1, np.random.default_rng(4)).quantiles(values, q)
    assert found.mean() == pytest.approx(np.quantile(values, q), rel=0.02)
    assert found.std() == pytest.approx((q / (1 - q) / 8000) ** 0.5, rel=0.2)


def test_percentiles_are_those_of_drawn_requests():
    values = np.random.default_rng(5).lognormal(size=300)
    drawn = draw([300], 1, np.random.default_rng(6))
    found = drawn.quantiles(values, 0.9)
    for i in range(20):
        sample = np.sort(np.repeat(values, drawn.counts[i][drawn.block].astype(int)))
        assert found[i] == sample[int(np.ceil(0.9 * sample.size - 1e-9)) - 1]


def test_blocks_are_even_do_not_reach_over_runs_and_are_not_too_many():
    drawn = draw([100, 55], 10, np.random.default_rng(0))
    assert drawn.blocks == 15
    assert not set(drawn.block[:100]) & set(drawn.block[100:])
    assert np.bincount(drawn.block).min() >= 10
    assert draw([100_000], 1, np.random.default_rng(0)).blocks <= MOST_BLOCKS


def test_what_depends_on_its_neighbours_varies_more():
    noise = np.random.default_rng(7).normal(size=6000)
    values = 10 + np.convolve(noise, np.ones(30), "same")
    length = dependence(values)
    naive, blocked = (draw([6000], n, np.random.default_rng(8)).means(values).std() for n in (15, length))
    truth = 30 / 6000**0.5  # the sum of all autocovariances is 30 x 30
    assert length > 20
    assert blocked == pytest.approx(truth, rel=0.3)
    assert naive < 0.8 * truth


@pytest.mark.parametrize("values", [np.ones(500), np.array([]), np.full(50, np.nan), np.arange(5.0)])
def test_values_that_tell_nothing_are_taken_as_independent(values: np.ndarray):
    assert dependence(values) == 1
