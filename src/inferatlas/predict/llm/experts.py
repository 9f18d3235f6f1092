"""Which experts a batch touches and how unevenly, equations (13), (14) and (16) of the performance model."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats, as_floats


def distinct_uniform(experts: float, top_k: float, tokens: ArrayLike) -> Floats:
    """Expected distinct experts touched by ``tokens`` tokens under uniform routing, equation (13).

    >>> round(float(distinct_uniform(256, 8, 64)), 2)
    222.44
    """
    tokens = as_floats(tokens)
    if top_k >= experts:
        return np.where(tokens > 0, float(experts), 0.0)
    # exp is several times faster than expm1, and the exponent is never near 0 for a whole token
    return experts - experts * np.exp(tokens * float(np.log1p(-top_k / experts)))


def zipf_popularity(experts: int, exponent: float) -> Floats:
    """Popularity w_e proportional to rank^-z, summing to 1 (z = 0: uniform)."""
    weights = np.arange(1, experts + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()


def inclusion(popularity: ArrayLike, top_k: int) -> Floats:
    """Probability π_e that one token uses expert e: ``1 - exp(-c w_e)`` with ``Σ π_e = k``, equation (14).

    ``c`` is found by bisection. Popularities must be positive and more than ``top_k``.
    """
    w = as_floats(popularity)
    if top_k >= w.size:
        return np.ones_like(w)
    low, high = 0.0, 1.0
    while -np.expm1(-high * w).sum() < top_k:
        high *= 2.0
    for _ in range(200):
        c = 0.5 * (low + high)
        low, high = (c, high) if -np.expm1(-c * w).sum() < top_k else (low, c)
    return -np.expm1(-0.5 * (low + high) * w)


def distinct(popularity: ArrayLike, top_k: int, tokens: ArrayLike, correlation: float = 0.0) -> Floats:
    """Expected distinct experts under skewed popularity, equation (14).

    ``correlation`` ρ_c (prior 0) shortens the tokens that count: ``T / (1 + ρ_c (T - 1))``.
    """
    pi = inclusion(popularity, top_k)
    t = as_floats(tokens)
    t = t / (1.0 + correlation * np.maximum(t - 1.0, 0.0))
    return (1.0 - (1.0 - pi) ** t[..., None]).sum(axis=-1)


@lru_cache(maxsize=4096)
def expected_maximum(n: int) -> float:
    """Expected maximum of n standard normals (equal means in equation (16)): ``n ∫ z φ(z) Φ(z)^(n-1) dz``.

    >>> round(expected_maximum(8), 4), expected_maximum(1)
    (1.4236, 0.0)
    """
    if n == 1:
        return 0.0
    z = np.linspace(-9.0, 9.0, 721)  # smooth and gone at the ends: the trapezoid rule is exact to 1e-9
    cdf = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in z.tolist()])
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(n * (z * density * cdf ** (n - 1)).sum() * (z[1] - z[0]))


def imbalance_slope(experts: float, top_k: float, groups: ArrayLike) -> Floats:
    """``m_n sqrt((1-π) n/(π E))``: excess of the largest over the mean load times the square root of the tokens."""
    n = np.asarray(groups)
    sizes = np.flatnonzero(np.bincount(n.ravel()))
    maximum = np.array([expected_maximum(int(size)) for size in sizes])[np.searchsorted(sizes, n)]
    pi = min(top_k / experts, 1.0)
    return maximum * np.sqrt((1.0 - pi) * n / (pi * experts))


def imbalance_uniform(experts: float, top_k: float, tokens: ArrayLike, groups: ArrayLike) -> Floats:
    """Maximum over mean load of ``groups`` devices under uniform routing, equation (16) with equal means.

    ``1 + m_n * sqrt((1-π)/(T π E/n))`` with m_n the expected maximum of n standard normals; never more
    than n (all visits on one device).

    >>> round(float(imbalance_uniform(256, 8, 256, 8)), 2)
    1.09
    """
    excess = imbalance_slope(experts, top_k, groups) / np.sqrt(np.maximum(as_floats(tokens), 1e-9))
    return np.minimum(1.0 + excess, np.asarray(groups))
