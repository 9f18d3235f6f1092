"""Power of a deployment from how busy its units are: equation (39) in its linear form, within the rating (38).

Two components over an active floor: ``P = P_idle`` when nothing runs, else
``min(P_rated, P_rated (f0 + m u_memory + c u_compute))``. A device never exceeds its rating.
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
    compute: ArrayLike,
) -> Floats:  # fmt: skip
    """Power while kernels run; ``memory_use`` and ``compute_use`` are shares of the peaks."""
    share = as_floats(floor) + as_floats(memory) * as_floats(memory_use) + as_floats(compute) * as_floats(compute_use)
    return as_floats(rated_w) * np.minimum(share, 1.0)


def draw(row: PlatformTable, accelerators: ArrayLike, served: Busy) -> Floats:
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
