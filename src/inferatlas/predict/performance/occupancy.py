"""The integral I(rho) of equation (45): how much the batch size of continuous batching wanders."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats

_DEGREE = 16  # of the interpolation


def occupancy_noise(utilisation: ArrayLike) -> Array:
    """I(rho) of equation (45), dimensionless: linearised noise of the occupancy with feedback.

    ``I = (1/2 pi) int |h|^4 / |1 - rho h|^2 dw`` with ``h(w) = (1 - exp(-iw))/(iw)``. Infinite from rho = 1 on.
    Evaluated from a polynomial in rho through quadratures made once; relative error below 1e-6.

    Parameters
    ----------
    utilisation : rho, 0 or more.

    Examples
    --------
    >>> [round(float(i), 4) for i in occupancy_noise([0, 0.2, 0.5, 0.8, 0.9])]
    [0.6667, 0.8993, 1.6205, 4.5877, 9.5758]
    """
    rho = floats(utilisation, "utilisation", 0)
    inside = np.minimum(rho, 1.0)
    scaled = np.polynomial.chebyshev.chebval(2.0 * inside - 1.0, _coefficients())
    with np.errstate(divide="ignore"):
        return np.where(rho >= 1, np.inf, scaled / (1.0 - inside))


def occupancy_noise_quadrature(utilisation: float) -> float:
    """I(rho) of (45) by Gauss-Legendre panels, for one rho below 1.

    The panels are geometric near 0, where the integrand has a peak of width 2 (1 - rho), and one period of
    sin(w) each up to 400 pi; the rest, ``16 sin^4(w/2)/w^4`` with mean ``6/w^4``, is added in closed form.
    """
    omega, weight, end = _panels()
    sinc2 = (np.sin(omega / 2) / (omega / 2)) ** 2
    distance = 1.0 - 2.0 * utilisation * np.sin(omega) / omega + utilisation**2 * sinc2
    return float((np.sum(weight * sinc2**2 / distance) + 2.0 / end**3) / np.pi)


@lru_cache(maxsize=1)
def _panels() -> tuple[Array, Array, float]:
    edges = np.concatenate([[0.0], np.geomspace(1e-9, 2 * np.pi, 48), 2 * np.pi * np.arange(2, 201)])
    node, weight = np.polynomial.legendre.leggauss(24)
    half = np.diff(edges)[:, None] / 2
    return ((edges[:-1, None] + half * (1 + node)).ravel(), (half * weight).ravel(), float(edges[-1]))


@lru_cache(maxsize=1)
def _coefficients() -> Array:
    """Chebyshev coefficients of (1 - rho) I(rho) over [0, 1]; the product is smooth and tends to 1."""
    node = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    rho = (node + 1) / 2
    values = (1 - rho) * np.array([occupancy_noise_quadrature(r) for r in rho])
    return np.asarray(np.polynomial.chebyshev.chebfit(node, values, _DEGREE), dtype=np.float64)
