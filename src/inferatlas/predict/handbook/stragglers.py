"""The slowest of n parallel parts in closed form: equation (47).

Predictions integrate the largest of n normals instead: its mean in `llm/experts.py` (`expected_maximum`), its deviation
in `llm/placement.py` (`maximum_deviation`), which `performance/variance.py` charges for stragglers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats


def slowest_of(mean: ArrayLike, std: ArrayLike, count: ArrayLike) -> Array:
    """Expected time of the slowest of n parallel parts: ``mu + sigma sqrt(2 ln n)``, equation (47).

    An upper estimate for normal parts (8 parts: 2.04 sigma, exactly 1.42).

    Examples
    --------
    >>> float(slowest_of(1.0, 0.1, 1)), round(float(slowest_of(1.0, 0.1, 8)), 4)
    (1.0, 1.2039)
    """
    parts = floats(count, "count", 1)
    return floats(mean, "mean", 0) + floats(std, "std", 0) * np.sqrt(2 * np.log(parts))
