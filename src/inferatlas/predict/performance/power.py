"""Power of a deployment from how busy its units are, equations (38) to (41).

Two components over an active floor: ``P = P_idle`` when nothing runs, else
``min(P_rated, P_rated (f0 + m u_memory + c u_compute))``. A device never exceeds its rating.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.platform import PlatformTable
from inferatlas.predict.performance.priors import table
from inferatlas.predict.performance.serving import Served
from inferatlas.predict.performance.step import TINY


def utilisation_power(idle_w: ArrayLike, busy_w: ArrayLike, utilisation: ArrayLike, r: float = 1.4) -> Floats:
    """Equation (39), Fan, Weber and Barroso 2007: ``P_idle + (P_busy - P_idle)(2u - u^r)``.

    >>> [round(float(utilisation_power(0.2, 1.0, u)), 4) for u in (0.25, 0.5, 0.75)]
    [0.4851, 0.6969, 0.8652]
    """
    u = np.asarray(utilisation, dtype=np.float64)
    idle = np.asarray(idle_w, dtype=np.float64)
    return idle + (np.asarray(busy_w) - idle) * (2.0 * u - u**r)


def active_power(
    rated_w: ArrayLike, memory_use: ArrayLike, compute_use: ArrayLike, floor: ArrayLike, memory: ArrayLike,
    compute: ArrayLike,
) -> Floats:  # fmt: skip
    """Power while kernels run; ``memory_use`` and ``compute_use`` are shares of the peaks."""
    share = (
        np.asarray(floor) + np.asarray(memory) * np.asarray(memory_use) + np.asarray(compute) * np.asarray(compute_use)
    )
    return np.asarray(rated_w) * np.minimum(share, 1.0)


def capped_clock(static_w: float, dynamic_w: float, cap_w: float) -> float:
    """Equation (40): relative clock under a cap, ``s^(1/3)`` with ``s = (cap - P_st)/P_dyn``; only compute slows.

    >>> round(capped_clock(100.0, 600.0, 400.0), 3)
    0.794
    """
    if static_w + dynamic_w <= cap_w:
        return 1.0
    return max((cap_w - static_w) / dynamic_w, 0.0) ** (1.0 / 3.0)


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


def draw(row: PlatformTable, accelerators: ArrayLike, served: Served) -> Floats:
    """Average power of all accelerators in W; NaN where no rating is known."""
    total = np.maximum(served.average.total, TINY)
    memory_use = np.minimum(served.average.byte_s * row.memory_efficiency / total, 1.0)
    compute_use = np.minimum(served.average.flop_s * row.compute_efficiency / total, 1.0)
    kind = row.rated_w.dtype
    idle = np.where(np.isnan(row.idle_w), table()["power"]["idle_share"]["value"] * row.rated_w, row.idle_w)
    idle = np.minimum(idle, row.rated_w)
    active = active_power(row.rated_w, memory_use, compute_use, row.power_floor, row.power_memory, row.power_compute)
    watts = idle + served.duty * (np.maximum(active, idle) - idle)
    return watts * np.asarray(accelerators).astype(kind)
