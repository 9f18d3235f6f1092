"""The time of one operator, equations (7) and (8) of the performance model, for any exponent.

`step.run` evaluates the same law with q = 2 over whole models; here it stands alone, to be fitted and tested.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats


def operator_time(
    flop: ArrayLike, moved_bytes: ArrayLike, peak_flop_per_s: ArrayLike, bytes_per_s: ArrayLike,
    compute_efficiency: ArrayLike = 1.0, memory_efficiency: ArrayLike = 1.0, launch_s: ArrayLike = 0.0, q: float = 2.0,
) -> Floats:  # fmt: skip
    """Equation (7): ``t0 + [(FLOP/(η_c P))^q + (bytes/(η_m M))^q]^(1/q)`` in seconds.

    Parameters
    ----------
    q : 1 is no overlap of compute and memory, infinity the ideal roofline.

    Raises
    ------
    BadInput : q below 1, which would make overlap worse than none.

    Examples
    --------
    A 4096 x 4096 x 4096 product in 16 bit on a V100 with the constants that fit 92,191 measured ones, in µs:

    >>> round(float(operator_time(2 * 4096**3, 6 * 4096**2, 112e12, 900e9, 0.7, 0.9, 12e-6)) * 1e6)
    1769
    """
    compute, memory = _terms(
        flop, moved_bytes, peak_flop_per_s, bytes_per_s, compute_efficiency, memory_efficiency, q
    )  # fmt: skip
    launch = np.asarray(launch_s, dtype=np.float64)
    longer, shorter = np.maximum(compute, memory), np.minimum(compute, memory)
    if np.isinf(q):
        return launch + longer
    # the longer term is taken out of the root, so that a large q cannot underflow
    ratio = np.divide(shorter, longer, out=np.zeros_like(longer), where=longer > 0)
    return launch + longer * (1.0 + ratio**q) ** (1.0 / q)


def elasticities(
    flop: ArrayLike, moved_bytes: ArrayLike, peak_flop_per_s: ArrayLike, bytes_per_s: ArrayLike,
    compute_efficiency: ArrayLike = 1.0, memory_efficiency: ArrayLike = 1.0, launch_s: ArrayLike = 0.0, q: float = 2.0,
) -> dict[str, Floats]:  # fmt: skip
    """What each parameter of the law (7) does to its time: ``d ln t/d ln x``, the terms of equation (54).

    ``compute`` is ``-(t_c^q/(t_c^q + t_m^q)) (1 - t0/t)`` and ``memory_bandwidth`` the same with the other term; an
    efficiency acts as its rate. ``launch`` is ``t0/t``. Times add up to 1: ``launch - compute - memory_bandwidth``.
    The ideal roofline (q infinite) gives all to the longer term, and half to each at its ridge.

    Parameters and errors as of `operator_time`.

    Examples
    --------
    At the ridge point, without a launch time, each halves its share of the root:

    >>> {name: float(x) for name, x in elasticities(1e12, 1e12, 1e12, 1e12).items()}
    {'compute': -0.5, 'memory_bandwidth': -0.5, 'launch': 0.0}
    """
    compute, memory = _terms(
        flop, moved_bytes, peak_flop_per_s, bytes_per_s, compute_efficiency, memory_efficiency, q
    )  # fmt: skip
    total = operator_time(
        flop, moved_bytes, peak_flop_per_s, bytes_per_s, compute_efficiency, memory_efficiency, launch_s, q
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # as one ratio, so that a large q overflows to the right end: t_c^q/(t_c^q + t_m^q) = 1/(1 + (t_m/t_c)^q)
        ratio = memory / compute
        share = 1.0 / (1.0 + np.where(ratio == 1.0, 1.0, ratio**q))
    launch = np.asarray(launch_s, dtype=np.float64) / total
    return {"compute": -share * (1.0 - launch), "memory_bandwidth": -(1.0 - share) * (1.0 - launch), "launch": launch}


def _terms(
    flop: ArrayLike, moved_bytes: ArrayLike, peak_flop_per_s: ArrayLike, bytes_per_s: ArrayLike,
    compute_efficiency: ArrayLike, memory_efficiency: ArrayLike, q: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Seconds of compute and of memory alone."""
    if not q >= 1:
        raise BadInput(f"{q:g} is out of range", field="q", allowed=">= 1")
    work, moved, peak, bandwidth, eta_c, eta_m = (
        np.asarray(x, dtype=np.float64)
        for x in (flop, moved_bytes, peak_flop_per_s, bytes_per_s, compute_efficiency, memory_efficiency)
    )
    return work / (eta_c * peak), moved / (eta_m * bandwidth)


def gemm(
    rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, activation_bytes: float = 2.0, weight_bytes: float = 2.0
) -> tuple[Floats, Floats]:
    """FLOPs and bytes of [M x K] times [K x N], equation (3): ``2MKN`` and ``b_a M K + b_w K N + b_a M N``.

    >>> [float(x) for x in gemm(2, 3, 5)]
    [60.0, 62.0]
    """
    m, k, n = (np.asarray(x, dtype=np.float64) for x in (rows, inner, columns))
    return 2.0 * m * k * n, activation_bytes * m * k + weight_bytes * k * n + activation_bytes * m * n


def size_efficiency(work: ArrayLike, largest: float, half: float) -> Floats:
    """Equation (8): efficiency that grows with size, ``η_inf x / (x + x_half)``. Use it or a launch time, never both.

    >>> float(size_efficiency(1e9, 0.8, 1e9))
    0.4
    """
    x = np.asarray(work, dtype=np.float64)
    return largest * x / (x + half)


def equivalent_launch(half: float, largest: float, peak: float) -> float:
    """The launch time that equals a size-dependent efficiency where one term dominates: ``x_half/(η_inf P)``, (8).

    >>> equivalent_launch(half=1.12e9, largest=0.8, peak=112e12)
    1.25e-05
    """
    return half / (largest * peak)
