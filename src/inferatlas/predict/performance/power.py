"""Power of a deployment from how busy its units are: equation (39) in its linear form, within the rating (38).

Two components over an active floor: ``P = P_idle`` when nothing runs, else
``min(P_rated, P_rated (f0 + m u_memory + c u_compute))``. A device never exceeds its rating. At a relative clock f the
compute part is ``f^3`` as large, equation (40): its voltage falls with the clock. Floor and memory are as they were.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats, as_floats
from inferatlas.predict.performance.parts import TINY, Parts
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.priors import table


class Busy(Protocol):
    """What power needs of a server: its average step, and the share of the time in which steps run."""

    @property
    def average(self) -> Parts: ...

    @property
    def duty(self) -> Floats: ...


def active_power(
    rated_w: ArrayLike, memory_use: ArrayLike, compute_use: ArrayLike, floor: ArrayLike, memory: ArrayLike,
    compute: ArrayLike, clock: ArrayLike = 1.0,
) -> Floats:  # fmt: skip
    """Power while kernels run.

    Parameters
    ----------
    memory_use, compute_use : shares of the peaks; that of compute is of the peak at this clock.
    floor, memory, compute : shares of the rating that run always and at full use.
    clock : relative. What compute draws of the rating falls with its cube; where floor, memory and compute exceed the
        rating together, the rest of the rating after floor and memory is what compute draws.

    Examples
    --------
    >>> [round(float(active_power(700.0, 0.0, 1.0, 0.4, 0.45, 0.6, clock=f))) for f in (1.0, 0.5)]
    [700, 332]
    """
    static = as_floats(floor) + as_floats(memory) * as_floats(memory_use)
    dynamic = as_floats(compute) * as_floats(compute_use)
    share = np.minimum(static + dynamic, 1.0)
    relative = np.asarray(clock)
    if np.any(relative != 1.0):
        share = share - np.minimum(dynamic, np.maximum(1.0 - static, 0.0)) * (1.0 - relative**3)
    return as_floats(rated_w) * share


def idle_power(row: PlatformTable) -> Floats:
    """Power of an accelerator that does nothing, in W; a share of the rating where none is published."""
    idle = np.where(np.isnan(row.idle_w), table()["power"]["idle_share"]["value"] * row.rated_w, row.idle_w)
    return np.minimum(idle, row.rated_w)


def draw(row: PlatformTable, accelerators: ArrayLike, served: Busy, clock: ArrayLike = 1.0) -> tuple[Floats, Floats]:
    """Average power of all accelerators and their power while they work, in W; NaN where no rating is known."""
    total = np.maximum(served.average.total, TINY)
    memory_use = np.minimum(served.average.byte_s * row.memory_efficiency / total, 1.0)
    compute_use = np.minimum(served.average.flop_s * row.compute_efficiency / total, 1.0)
    kind = row.rated_w.dtype
    idle = idle_power(row)
    active = active_power(
        row.rated_w, memory_use, compute_use, row.power_floor, row.power_memory, row.power_compute,
        np.asarray(clock).astype(kind),
    )  # fmt: skip
    active = np.maximum(active, idle)
    watts = idle + served.duty * (active - idle)
    count = np.asarray(accelerators).astype(kind)
    return watts * count, active * count
