"""Energy of a step from FLOPs and bits, power by utilisation, the clock under a cap: equations (38) to (40).

Predictions take power from the shares of memory and compute in use, never above the rating: `performance/power.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats


def step_energy(
    static_w: ArrayLike,
    seconds: ArrayLike,
    flop: ArrayLike,
    dram_bytes: ArrayLike,
    *,
    j_per_flop: float,
    j_per_bit: float,
    cap_w: ArrayLike,
) -> Floats:
    """Equation (38) with the cap: ``min(P_static T + FLOP e_flop + 8 bytes e_dram, P_cap T)``."""
    t = np.asarray(seconds, dtype=np.float64)
    energy = np.asarray(static_w) * t + np.asarray(flop) * j_per_flop + 8.0 * np.asarray(dram_bytes) * j_per_bit
    return np.minimum(energy, np.asarray(cap_w) * t)


def utilisation_power(idle_w: ArrayLike, busy_w: ArrayLike, utilisation: ArrayLike, r: float = 1.4) -> Floats:
    """Equation (39), Fan, Weber and Barroso 2007: ``P_idle + (P_busy - P_idle)(2u - u^r)``.

    >>> [round(float(utilisation_power(0.2, 1.0, u)), 4) for u in (0.25, 0.5, 0.75)]
    [0.4851, 0.6969, 0.8652]
    """
    u = np.asarray(utilisation, dtype=np.float64)
    idle = np.asarray(idle_w, dtype=np.float64)
    return idle + (np.asarray(busy_w) - idle) * (2.0 * u - u**r)


def capped_clock(static_w: float, dynamic_w: float, cap_w: float) -> float:
    """Equation (40): relative clock under a cap, ``s^(1/3)`` with ``s = (cap - P_st)/P_dyn``; only compute slows.

    >>> round(capped_clock(100.0, 600.0, 400.0), 3)
    0.794
    """
    if static_w + dynamic_w <= cap_w:
        return 1.0
    return max((cap_w - static_w) / dynamic_w, 0.0) ** (1.0 / 3.0)
