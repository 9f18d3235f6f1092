"""Speculative decoding, sampled: how many verifications an answer takes (equation (48))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.performance.speculation import Speculation


def verifications(tokens: NDArray[np.int64], how: Speculation, random: np.random.Generator) -> NDArray[np.int64]:
    """Steps until each answer has so many tokens: every one yields 1 to ``gamma + 1``, a truncated geometric number.

    The last may yield more than are needed.

    Examples
    --------
    >>> steps = verifications(np.full(1000, 1000), Speculation(4, 0.7), np.random.default_rng(1))
    >>> round(float(1000 / steps.mean()), 2)  # 2.773 in the long run
    2.77
    """
    a = 1.0 - (1.0 - how.acceptance) ** how.width
    left, steps = tokens.astype(np.int64), np.zeros(tokens.size, np.int64)
    going = np.flatnonzero(left > 0)
    while going.size:
        accepted = np.minimum(random.geometric(1.0 - a, going.size), how.gamma + 1) if a < 1.0 else how.gamma + 1
        left[going] -= accepted
        steps[going] += 1
        going = going[left[going] > 0]
    return steps
