"""Each source of chance has its stream, which is the same today and tomorrow."""

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.workload.seeds import SOURCES, random_stream


def test_streams_are_the_children_that_numpy_spawns():
    for child, source in zip(np.random.SeedSequence(9).spawn(len(SOURCES)), SOURCES, strict=True):
        assert np.random.default_rng(child).random() == random_stream(9, source).random()


def test_no_two_sources_or_seeds_are_alike():
    draws = {random_stream(seed, source).random() for seed in (0, 1, 2**70) for source in SOURCES}
    assert len(draws) == 3 * len(SOURCES)


@pytest.mark.parametrize("seed", [-1, 1.0, True, None, "1"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(BadInput) as caught:
        random_stream(seed, "arrivals")
    assert caught.value.field == "seed"
