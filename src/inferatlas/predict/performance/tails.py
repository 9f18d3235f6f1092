"""From a mean and a coefficient of variation to percentiles: the form of the p99 in equation (45)."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.performance.arguments import Array, floats


def lognormal_quantile(mean: ArrayLike, cv: ArrayLike, probability: ArrayLike) -> Array:
    """Quantile of a lognormal with this mean and coefficient of variation, in the unit of the mean.

    ``mean exp(z sigma - sigma^2/2)`` with ``sigma^2 = ln(1 + cv^2)``, the form of the p99 in equation (45).

    Parameters
    ----------
    mean : 0 or more. cv : 0 or more; 0 gives the mean. probability : above 0 and below 1.

    Examples
    --------
    >>> round(float(lognormal_quantile(205.0, 0.0901, 0.99)), 1)
    251.7
    """
    mu, spread = floats(mean, "mean", 0), floats(cv, "cv", 0)
    variance = np.log1p(spread**2)
    return mu * np.exp(_normal_quantile(probability) * np.sqrt(variance) - variance / 2)


def percentile_of(mean: ArrayLike, cv: ArrayLike, statistic: str) -> Array:
    """The statistic ``mean``, ``p50``, ``p90``, ``p95``, ``p99`` (any ``pN``) of such a lognormal.

    Raises
    ------
    BadInput : another word, or a percentile that is not between 0 and 100.

    Examples
    --------
    >>> float(percentile_of(0.2, 0.5, "mean")), round(float(percentile_of(0.2, 0.5, "p95")), 4)
    (0.2, 0.3891)
    """
    if statistic == "mean":
        return floats(mean, "mean", 0) + 0 * floats(cv, "cv", 0)
    match = re.fullmatch(r"p(\d+(?:\.\d+)?)", statistic)
    if not match or not 0 < float(match[1]) < 100:
        raise BadInput(f"unknown statistic '{statistic}'", field="statistic", allowed="mean, or p50, p90, p95, p99")
    return lognormal_quantile(mean, cv, float(match[1]) / 100)


# The statistics that targets ask for; others go through the standard library, imported only then.
_Z = {0.5: 0.0, 0.9: 1.2815515655446004, 0.95: 1.6448536269514722, 0.99: 2.3263478740408408}


def _normal_quantile(probability: ArrayLike) -> Array | float:
    if isinstance(probability, float) and probability in _Z:
        return _Z[probability]
    from statistics import NormalDist

    p = floats(probability, "probability")
    if np.any((p <= 0) | (p >= 1)):
        raise BadInput("a probability outside its range", field="probability", allowed="above 0 and below 1")
    inverse = NormalDist().inv_cdf
    return np.array([np.nan if np.isnan(one) else inverse(one) for one in p.flat]).reshape(p.shape)
