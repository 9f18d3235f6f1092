"""Equation (47): the slowest of n."""

import numpy as np

from inferatlas.predict.handbook.stragglers import slowest_of


def test_47_the_slowest_of_n_is_bounded_by_it():
    assert slowest_of(1.0, 0.1, 1) == 1.0
    for count in (2, 8, 64, 1024):
        sample = np.random.default_rng(count).normal(1.0, 0.1, (4000, count)).max(axis=1).mean()
        assert sample < slowest_of(1.0, 0.1, count) < 1 + (sample - 1) * 2.2
