"""Experts spread over devices: load of the busiest one as an integral (16), and what a dispatch sends (18).

Predictions take the load from `llm/experts.py` (`imbalance_uniform`) and `llm/placement.py` (`device_load`, any
placement), and the exchange from `performance/exchange.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats, as_floats
from inferatlas.predict.llm.experts import inclusion


def expected_max_load(popularity: ArrayLike, top_k: int, tokens: float, groups: int) -> tuple[float, float]:
    """Expected maximum and mean number of expert visits over ``groups`` devices, equation (16).

    Experts are placed contiguously. The maximum is ``∫ (1 - Π_g Φ((z - μ_g)/σ_g)) dz`` over z >= 0.
    """
    from scipy.special import ndtr

    pi = inclusion(popularity, top_k).reshape(groups, -1)
    mean, var = tokens * pi.sum(axis=1), tokens * (pi * (1.0 - pi)).sum(axis=1)
    sigma = np.sqrt(np.maximum(var, 1e-12))
    top = float((mean + 12.0 * sigma).max())
    z = np.linspace(0.0, top, 20_001)
    product = ndtr((z[:, None] - mean) / sigma).prod(axis=1)
    step = z[1] - z[0]
    return float(((1.0 - product)[1:] + (1.0 - product)[:-1]).sum() * 0.5 * step), float(mean.mean())


def dispatch_bytes(tokens: ArrayLike, top_k: int, hidden: int, bytes_per_value: float, ranks: ArrayLike) -> Floats:
    """Bytes one device sends per direction when its tokens go to their experts, equation (18)."""
    n = as_floats(ranks)
    return as_floats(tokens) * np.minimum(top_k, n) * hidden * bytes_per_value * (1.0 - 1.0 / n)


def destinations(top_k: int, ranks: ArrayLike) -> Floats:
    """Expected distinct destinations of one token when it sends one copy per device: n(1-(1-1/n)^k), equation (18)."""
    n = as_floats(ranks)
    return n * (1.0 - (1.0 - 1.0 / n) ** top_k)
