"""From the uncertainty of what goes in to that of what comes out (54), and intervals from measured errors (55).

Predictions take each coefficient by its share of a step (`performance/serving.py`), and widths from residuals per level
of evidence (`evidence/intervals.py`); here is the plain form of both. Uncertainties are standard deviations of the
natural logarithm: 0.1 is about 10 % either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.arguments import floats

ENOUGH = 20  # points below which an interval is the prior factor: equation (55)
PRIOR_FACTOR = 1.6  # either way: equation (55)


def elasticities(form: Callable[..., ArrayLike], values: Mapping[str, float], step: float = 1e-4) -> dict[str, Floats]:
    """``d ln T/d ln x`` of each of ``values``, by central differences of ``form(**values)``.

    >>> e = elasticities(lambda load, rate: load / rate**2, {"load": 3.0, "rate": 2.0})
    >>> round(float(e["load"]), 6), round(float(e["rate"]), 6)
    (1.0, -2.0)
    """
    found = {}
    for name, value in values.items():
        high, low = (np.log(form(**{**values, name: value * np.exp(shift)})) for shift in (step, -step))
        found[name] = np.asarray((high - low) / (2.0 * step), dtype=np.float64)
    return found


def log_variance(elasticity: Mapping[str, ArrayLike], sigma: Mapping[str, float]) -> Floats:
    """Variance of ``ln T``, equation (54): ``Σ e_x² σ_x²``. What has no sigma is taken as exact.

    Raises
    ------
    BadInput : a sigma below 0, or of something that has no elasticity.

    >>> round(float(log_variance({"bandwidth": -0.8, "launch": 0.2}, {"bandwidth": 0.1, "launch": 0.3})), 4)
    0.01
    """
    unknown = sorted(set(sigma) - set(elasticity))
    if unknown:
        raise BadInput(f"'{unknown[0]}' has no elasticity", field="sigma", allowed=", ".join(sorted(elasticity)))
    parts = (np.asarray(elasticity[name]) ** 2 * floats(sd, f"sigma.{name}", 0) ** 2 for name, sd in sigma.items())
    return np.asarray(sum(parts, np.zeros(())))


def drawn_log_variance(
    form: Callable[..., ArrayLike], values: Mapping[str, float], sigma: Mapping[str, float], draws: int = 1000,
    seed: int = 0,
) -> float:  # fmt: skip
    """The same by Monte-Carlo: every value is lognormal about itself, ``form`` takes arrays of ``draws``.

    >>> round(drawn_log_variance(lambda x: x**2, {"x": 5.0}, {"x": 0.1}, draws=100_000), 3)
    0.04
    """
    random = np.random.default_rng(seed)
    drawn = {name: x * np.exp(sigma.get(name, 0.0) * random.standard_normal(draws)) for name, x in values.items()}
    return float(np.log(form(**drawn)).var(ddof=1))


def conformal_factor(measured: ArrayLike, predicted: ArrayLike, share: float = 0.9) -> float:
    """Factor either way that holds the next point with probability ``share``, equation (55).

    The ``⌈(n + 1) share⌉``-th smallest ``|ln(measured/predicted)|``, if the next point is like these n; infinite if
    they are too few to say so. The points must not have been used to fit what predicted them.

    >>> round(conformal_factor([1.0, 1.1, 0.8, 1.3], 1.0, 0.8), 3), conformal_factor([1.0, 1.1], 1.0)
    (1.3, inf)
    """
    if not 0.0 < share < 1.0:
        raise BadInput(f"{share:g} is out of range", field="share", allowed="between 0 and 1")
    truth, guess = floats(measured, "measured", above=0), floats(predicted, "predicted", above=0)
    size = np.sort(np.abs(np.log(truth / guess)), axis=None)
    rank = int(np.ceil((size.size + 1) * share - 1e-9))  # not one more because of rounding
    return float(np.exp(size[rank - 1])) if rank <= size.size else float("inf")


def interval_factor(measured: ArrayLike, predicted: ArrayLike, share: float = 0.9) -> float:
    """The conformal factor of 20 points and more; below, 1.6 as a prior, equation (55).

    >>> interval_factor([1.0, 1.1], 1.0), round(interval_factor(1.0 + 0.01 * np.arange(1, 21), 1.0), 2)
    (1.6, 1.19)
    """
    if np.asarray(measured).size < ENOUGH:
        return PRIOR_FACTOR
    return conformal_factor(measured, predicted, share)
