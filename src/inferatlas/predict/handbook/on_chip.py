"""Models in on-chip memory in closed form: chips needed, time of a token, a product on a mesh: (33), (34), (36).

Predictions sum the parts of a layer in `performance/resident.py`, and find the fewest chips by trying
(`mapping/memory.py` says what a chip holds).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats, as_floats


def chips_needed(weight_bytes: ArrayLike, kv_bytes: ArrayLike, capacity: ArrayLike, fraction: ArrayLike) -> Floats:
    """Equation (33): ``ceil((W + B S kv) / (C u))`` chips for the whole model and its cache.

    >>> float(chips_needed(14e9, 0.0, 230686720, 0.8))
    76.0
    """
    usable = np.asarray(capacity, dtype=np.float64) * np.asarray(fraction)
    return np.ceil((np.asarray(weight_bytes, dtype=np.float64) + np.asarray(kv_bytes)) / usable)


def token_time(
    layers: int, layer_s: ArrayLike, roofline_s: ArrayLike = 0.0, head_s: ArrayLike = 0.0, io_s: ArrayLike = 0.0
) -> Floats:
    """Equation (34): ``L τ + Σ roofline part + t_head + t_io`` for one user.

    >>> round(1 / float(token_time(32, 41.67e-6))), round(1 / float(token_time(80, 41.67e-6)))
    (750, 300)
    """
    return layers * as_floats(layer_s) + as_floats(roofline_s) + as_floats(head_s) + as_floats(io_s)


def gemv_on_mesh(
    weight_bytes: float, side: ArrayLike, core_bytes_per_s: float, hop_s: float, broadcast_s: float = 0.0
) -> Floats:
    """Equation (36): ``bytes/(k² M_core) + 2(k-1) t_hop + broadcast`` on k x k cores."""
    k = np.asarray(side, dtype=np.float64)
    return weight_bytes / (k * k * core_bytes_per_s) + 2.0 * (k - 1.0) * hop_s + broadcast_s


def best_mesh_side(weight_bytes: float, core_bytes_per_s: float, hop_s: float) -> float:
    """Equation (36): the side that balances streaming and hops, ``(bytes/(M_core t_hop))^(1/3)``."""
    return (weight_bytes / (core_bytes_per_s * hop_s)) ** (1.0 / 3.0)
