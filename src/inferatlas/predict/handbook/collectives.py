"""Collective operations as the references print them, topology by topology: equations (19) to (24).

Predictions bring every topology to one law per group instead, evaluated as an array: `group_cost` in
`performance/collectives.py`, where the plain ring (19) and the exchange over a switch (22) stand too.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.collectives import steps, volume


def bidirectional_ring(op: str, n: int, size: ArrayLike, hop_s: float, both_ways: float) -> Floats:
    """One torus axis, equation (19): ceil(n/2) hops and V/W_bidir; AR doubles; A2A = V/(4 W_bidir)."""
    v = np.asarray(size, dtype=np.float64)
    if op == "all_to_all":
        return math.ceil(n / 2) * hop_s + v / (4.0 * both_ways)
    return (2 if op == "all_reduce" else 1) * (math.ceil(n / 2) * hop_s + v / both_ways)


def tree(n: int, size: ArrayLike, alpha_s: float, bytes_per_s: float) -> Floats:
    """Tree all-reduce, equation (20): ``2 log2(n) α + 2(n-1)/n V/W``."""
    return 2.0 * math.log2(n) * alpha_s + volume("all_reduce", n) * np.asarray(size, dtype=np.float64) / bytes_per_s


def one_shot(n: int, size: ArrayLike, alpha_s: float, read_bytes_per_s: float) -> Floats:
    """All-reduce for small tensors by reading every peer, equation (20): ``α + (n-1) V/W_read``."""
    return alpha_s + (n - 1) * np.asarray(size, dtype=np.float64) / read_bytes_per_s


def in_network(size: ArrayLike, alpha_s: float, bytes_per_s: float) -> Floats:
    """Reduction in the switch, equation (20): ``α_sw + V/W``."""
    return alpha_s + np.asarray(size, dtype=np.float64) / bytes_per_s


def fitted_law(op: str, n: int, size: ArrayLike, a0_s: float, a1_s: float, bytes_per_s: float, q: float) -> Floats:
    """Equation (21): ``[(a0 + a1 steps)^q + (vol V/W)^q]^(1/q)``; q < 1 encodes the change of protocol."""
    if n == 1:
        return np.zeros_like(np.asarray(size, dtype=np.float64))
    latency = a0_s + a1_s * steps(op, n)
    return (latency**q + (volume(op, n) * np.asarray(size, dtype=np.float64) / bytes_per_s) ** q) ** (1.0 / q)


def two_level_all_to_all(
    n_node: int, n: int, per_device: ArrayLike, link: float, nic: float, alpha_s: float, alpha_net_s: float
) -> Floats:
    """Equation (22): the parts inside and between nodes run at the same time."""
    v = np.asarray(per_device, dtype=np.float64)
    inside = alpha_s + v * (n_node - 1) / n / link
    return np.maximum(inside, alpha_net_s + v * (1.0 - n_node / n) / nic) if n > n_node else inside


def torus(op: str, shape: tuple[int, ...], size: ArrayLike, axis_both_ways: float, hop_s: float) -> Floats:
    """k-dimensional torus with all axes at once, equation (23): ``V/Σ W_i`` and ``Σ ceil(n_i/2) α``; AR doubles.

    ``axis_both_ways``: bandwidth of one axis, both directions. Axes of length 1 carry nothing.
    """
    axes = [n for n in shape if n > 1]
    if not axes:
        return np.zeros_like(np.asarray(size, dtype=np.float64))
    hops = sum(math.ceil(n / 2) for n in axes)
    if op == "all_to_all":
        return hops * hop_s + torus_bisection(
            shape, np.asarray(size, dtype=np.float64) / math.prod(axes), axis_both_ways / 2
        )
    return (2 if op == "all_reduce" else 1) * (
        hops * hop_s + np.asarray(size, dtype=np.float64) / (axis_both_ways * len(axes))
    )


def torus_bisection(shape: tuple[int, ...], per_device: ArrayLike, link: float, *, mesh: bool = False) -> Floats:
    """All-to-all bound by bisection, equation (23): longest axis n: ``n V_dev / (8 W_link)``; a mesh takes twice that.

    For equal axes this is ``n_total^(1/k) V_dev/(8 W_link)``, as the reference states it.
    """
    return (2.0 if mesh else 1.0) * max(shape) * np.asarray(per_device, dtype=np.float64) / (8.0 * link)


def mesh2d_all_reduce(side: int, size: ArrayLike, hop_s: float, edge_bytes_per_s: float) -> Floats:
    """Equation (24): ``4(m-1) t_hop + 2 V/W_edge`` on an m x m mesh."""
    return 4 * (side - 1) * hop_s + 2.0 * np.asarray(size, dtype=np.float64) / edge_bytes_per_s


def dragonfly(size: ArrayLike, hop_s: float, link: float, links: int, hops: int = 3) -> Floats:
    """Equation (24): ``h t_hop + V/(links W)`` with at most 3 hops locally and 5 globally; no variance."""
    return hops * hop_s + np.asarray(size, dtype=np.float64) / (links * link)
