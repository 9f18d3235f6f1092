"""Seeded streams of random numbers, one for each source of chance, so that changing one leaves the others."""

from __future__ import annotations

import numpy as np

from inferatlas.errors import BadInput

# The place of a source is its key: append, do not reorder, or every seed gives other requests.
SOURCES = (
    "arrivals",
    "input_tokens",
    "output_tokens",
    "input_rounding",
    "output_rounding",
    "redrawn",
    "pairs",
    "turns",
    "think",
    "model",
    "adapter",
    "faults",
)


def random_stream(seed: int, source: str) -> np.random.Generator:
    """The stream of one of `SOURCES`: that child which `numpy.random.SeedSequence(seed).spawn` would give it.

    Raises
    ------
    BadInput : a seed that is not a whole number of 0 or more.

    Examples
    --------
    >>> [int(random_stream(7, source).integers(1000)) for source in ("arrivals", "arrivals", "think")]
    [305, 305, 544]
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadInput(f"{seed!r} is not a seed", field="seed", allowed="a whole number, 0 or more")
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=(SOURCES.index(source),)))
