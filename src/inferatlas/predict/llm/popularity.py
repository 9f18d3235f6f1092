"""Popularity of experts from measured visits, equation (14)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput

MOST_VISITS = 1e15  # a service of a million tokens a second counts for thirty years to get there


def popularity_from_counts(counts: ArrayLike, top_k: int | None = None) -> NDArray[np.float64]:
    """Popularity w_e, shape [experts], summing to 1, from measured visits per expert of one layer.

    Without ``top_k`` it is the share of visits. With it, equation (14) is inverted, ``w ∝ -ln(1 - k·share)``, so that
    `experts.inclusion` returns the measured frequencies: visits are flatter than popularity, as a token visits an
    expert once at most.

    Raises `BadInput` for counts that are negative, beyond `MOST_VISITS` or all 0, and for shares above 1/k.

    >>> popularity_from_counts([30, 10, 0]).tolist()
    [0.75, 0.25, 0.0]
    >>> from inferatlas.predict.llm.experts import inclusion
    >>> inclusion(popularity_from_counts([30, 20, 10], 2), 2).round(3).tolist()
    [1.0, 0.667, 0.333]
    """
    visits = np.asarray(counts, dtype=np.float64)
    if visits.ndim != 1 or not visits.size or not ((visits >= 0) & (visits <= MOST_VISITS)).all() or not visits.any():
        allowed = f"a number from 0 to {MOST_VISITS:g} per expert, not all 0"
        raise BadInput("visits per expert are not counts", field="counts", allowed=allowed)
    share = visits / visits.sum()
    if top_k is None:
        return share
    if top_k < 1:
        raise BadInput(f"{top_k} is too few", field="top_k", allowed="1 or more")
    if share.max() * top_k > 1.0 + 1e-9:
        raise BadInput(
            f"one expert has {share.max():.1%} of the visits", field="counts", allowed=f"1/{top_k}: a token visits once"
        )
    weight = -np.log1p(-np.minimum(share * top_k, 1.0 - 1e-9))  # an expert in every token would weigh infinity
    return weight / weight.sum()


def zipf_exponent(counts: ArrayLike, top_k: int | None = None) -> float:
    """Exponent z of the Zipf law that best explains measured visits per expert of one layer, equation (14).

    Maximum likelihood on ranks: z solves ``Σ w_r ln r = Σ r^-z ln r / Σ r^-z``, w_r the popularity of rank r
    (`popularity_from_counts`; give ``top_k`` for visits of top-k routing). Ranks come from the same counts, so noise
    reads as a small z: about 1/sqrt(visits per expert) where routing is uniform, so count some thousands each.

    >>> from inferatlas.predict.llm.experts import zipf_popularity
    >>> round(zipf_exponent(1e6 * zipf_popularity(64, 0.6)), 6)
    0.6
    """
    weight = np.sort(popularity_from_counts(counts, top_k))[::-1]
    logs = np.log(np.arange(1, weight.size + 1))
    target = float(weight @ logs)
    if target <= 0.0:
        raise BadInput(
            "one expert has every visit: no exponent is finite", field="counts", allowed="two experts in use"
        )

    def mean_log_rank(z: float) -> float:
        law = np.exp(-z * logs)
        return float(law @ logs) / float(law.sum())

    low, high = 0.0, 1.0
    if mean_log_rank(low) <= target:
        return 0.0
    while mean_log_rank(high) > target:
        high *= 2.0
    for _ in range(60):
        z = 0.5 * (low + high)
        low, high = (z, high) if mean_log_rank(z) > target else (low, z)
    return 0.5 * (low + high)
