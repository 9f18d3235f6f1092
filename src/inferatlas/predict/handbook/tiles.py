"""Tiles, waves and systolic arrays: what is lost when a product does not divide evenly, equation (9).

Half a point of average error over measured products, but up to a factor 2 at the edge of a wave: for
intervals and for advice on batch sizes, not for the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats

TILES = ((64, 64), (128, 64), (128, 128), (256, 128))
SPLITS = (1, 2, 4, 8, 16)


def tile_efficiency(rows: ArrayLike, columns: ArrayLike, tile: tuple[int, int]) -> Floats:
    """Useful share of the tiles that cover M x N: ``M N / (ceil(M/M_t) M_t ceil(N/N_t) N_t)``.

    >>> float(tile_efficiency(96, 128, (128, 128)))
    0.75
    """
    m, n = np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)
    return m * n / (np.ceil(m / tile[0]) * tile[0] * np.ceil(n / tile[1]) * tile[1])


def wave_efficiency(
    rows: ArrayLike, columns: ArrayLike, tile: tuple[int, int], units: int, *, split: int = 1, occupancy: int = 1
) -> Floats:
    """Share of the units (SMs) at work over all waves: ``c / (waves SM occ)`` with c tiles.

    >>> float(wave_efficiency(128 * 109, 128, (128, 128), units=108))  # one tile too many: a second wave
    0.5046296296296297
    """
    m, n = np.asarray(rows, dtype=np.float64), np.asarray(columns, dtype=np.float64)
    count = np.ceil(m / tile[0]) * np.ceil(n / tile[1]) * split
    places = float(units * occupancy)
    return count / (np.ceil(count / places) * places)


def tiled_gemm_time(
    rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, *, peak_flop_per_s: float, bytes_per_s: float, units: int,
    compute_efficiency: float = 1.0, memory_efficiency: float = 1.0, launch_s: float = 0.0, occupancy: int = 1,
) -> Floats:  # fmt: skip
    """Seconds of a 16-bit product with the best tile and split of K from the menu of equation (9).

    ``t0 + max(FLOP/(P η_c η_wave η_tile), bytes/(η_m M))``; a split K moves ``2(split-1) M N`` float32 more.

    >>> perfect = dict(peak_flop_per_s=1e12, bytes_per_s=1e15, units=1)
    >>> float(tiled_gemm_time(256, 1000, 128, **perfect)) == 2 * 256 * 1000 * 128 / 1e12
    True
    """
    m, k, n = (np.asarray(x, dtype=np.float64) for x in (rows, inner, columns))
    flop, moved = 2.0 * m * k * n, 2.0 * (m * k + k * n + m * n)
    times = []
    for tile in TILES:
        useful = tile_efficiency(m, n, tile)
        for split in SPLITS:
            busy = wave_efficiency(m, n, tile, units, split=split, occupancy=occupancy)
            compute = flop / (peak_flop_per_s * compute_efficiency * busy * useful)
            extra = 2.0 * (split - 1) * m * n * 4.0
            times.append(np.maximum(compute, (moved + extra) / (bytes_per_s * memory_efficiency)))
    return launch_s + np.min(np.stack(np.broadcast_arrays(*times)), axis=0)


def systolic_cycles(rows: ArrayLike, inner: ArrayLike, columns: ArrayLike, height: int, width: int) -> Floats:
    """Cycles of an R x C array: ``ceil(K/R) ceil(N/C) (M + R + C - 2)``; weights stay, rows stream through.

    >>> float(systolic_cycles(128, 256, 128, 128, 128))
    764.0
    """
    m, k, n = (np.asarray(x, dtype=np.float64) for x in (rows, inner, columns))
    return np.ceil(k / height) * np.ceil(n / width) * (m + height + width - 2.0)


def systolic_efficiency(rows: ArrayLike, height: int, width: int) -> Floats:
    """Share of cycles in which the array is full: ``M/(M + R + C - 2)``, near 1 with double-buffered weights.

    >>> float(systolic_efficiency(254, 128, 128))
    0.5
    """
    m = np.asarray(rows, dtype=np.float64)
    return m / (m + height + width - 2.0)
