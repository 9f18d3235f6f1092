"""Dies from a wafer and how many of them work: equation (53)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.performance.arguments import Array, floats


def dies_per_wafer(die_area_m2: ArrayLike, wafer_radius_m: ArrayLike = 0.150) -> Array:
    """Whole dies on a round wafer, approximately: ``pi R^2/A - 2 pi R/sqrt(2 A)``, equation (53).

    Not below 0; a die as large as the wafer (wafer-scale engines) is outside this formula.

    Examples
    --------
    >>> round(float(dies_per_wafer(814e-6)), 2)
    63.48
    """
    area, radius = floats(die_area_m2, "die_area_m2", above=0), floats(wafer_radius_m, "wafer_radius_m", above=0)
    return np.maximum(np.pi * radius**2 / area - 2 * np.pi * radius / np.sqrt(2 * area), 0.0)


def good_die_share(die_area_m2: ArrayLike, defects_per_m2: ArrayLike, clustering: ArrayLike = 3.0) -> Array:
    """Yield of a die with clustered defects: ``(1 + A D0/a)^-a``, equation (53).

    Parameters
    ----------
    die_area_m2 : A. defects_per_m2 : D0 (0.001 per mm2 is 1000 per m2). clustering : a, above 0.

    Examples
    --------
    >>> round(float(good_die_share(814e-6, 1000.0)), 5)
    0.48666
    """
    area, defects = floats(die_area_m2, "die_area_m2", 0), floats(defects_per_m2, "defects_per_m2", 0)
    a = floats(clustering, "clustering", above=0)
    return (1 + area * defects / a) ** (-a)


def usd_per_good_die(
    wafer_usd: ArrayLike,
    die_area_m2: ArrayLike,
    defects_per_m2: ArrayLike,
    clustering: ArrayLike = 3.0,
    wafer_radius_m: ArrayLike = 0.150,
) -> Array:
    """Wafer price over the good dies on it, in USD; infinite where no die fits.

    Examples
    --------
    >>> round(float(usd_per_good_die(16000.0, 814e-6, 1000.0)))
    518
    """
    good = dies_per_wafer(die_area_m2, wafer_radius_m) * good_die_share(die_area_m2, defects_per_m2, clustering)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(floats(wafer_usd, "wafer_usd", 0) / good)
