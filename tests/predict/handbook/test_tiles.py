"""Equation (9): tiles, waves and systolic arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook import tiles
from inferatlas.predict.handbook.operator_law import gemm, operator_time

sides = st.integers(1, 20_000)
V100 = {"peak_flop_per_s": 112e12, "bytes_per_s": 900e9, "units": 80}


@given(
    sides, sides, st.sampled_from(tiles.TILES), st.sampled_from(tiles.SPLITS), st.integers(1, 200), st.integers(1, 4)
)
def test_efficiencies_are_shares(m, n, tile, split, units, occupancy):
    assert 0 < tiles.tile_efficiency(m, n, tile) <= 1
    assert 0 < tiles.wave_efficiency(m, n, tile, units, split=split, occupancy=occupancy) <= 1


@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from(tiles.TILES))
def test_whole_tiles_lose_nothing_and_one_row_more_loses_most_at_the_edge(m, n, tile):
    rows, columns = m * tile[0], n * tile[1]
    assert tiles.tile_efficiency(rows, columns, tile) == 1.0
    assert tiles.wave_efficiency(rows, columns, tile, units=m * n) == 1.0
    extra = tiles.wave_efficiency(rows + 1, columns, tile, units=m * n)
    assert extra == pytest.approx((m + 1) * n / (2 * m * n))


@given(sides, sides, sides)
def test_tiles_never_beat_the_roofline_and_split_k_rescues_few_rows(m, k, n):
    tiled = float(tiles.tiled_gemm_time(m, k, n, **V100))
    ideal = float(operator_time(*gemm(m, k, n), 112e12, 900e9, q=np.inf))
    assert tiled >= ideal * (1 - 1e-12)


def test_a_second_wave_for_one_tile_nearly_doubles_the_time():
    full = float(tiles.tiled_gemm_time(256 * 80, 65536, 128, **V100))
    over = float(tiles.tiled_gemm_time(256 * 80 + 64, 65536, 128, **V100))
    assert 1.0 < over / full < 2.0
    single = tiles.wave_efficiency(128 * 81, 128, (128, 128), 80)
    assert single == pytest.approx(81 / 160)


def test_splitting_k_fills_idle_units():
    one_tile = tiles.wave_efficiency(64, 64, (64, 64), 80)
    assert tiles.wave_efficiency(64, 64, (64, 64), 80, split=16) == pytest.approx(16 * float(one_tile))
    flop = 2 * 64 * 64 * 2**20
    time = float(tiles.tiled_gemm_time(64, 2**20, 64, peak_flop_per_s=112e12, bytes_per_s=1e18, units=80))
    assert time == pytest.approx(flop / 112e12 / (16 / 80))


@given(st.integers(1, 100_000), st.integers(1, 20), st.integers(1, 20), st.sampled_from([16, 128, 256]))
def test_systolic_cycles_times_efficiency_is_the_useful_work(m, k, n, side):
    cycles = float(tiles.systolic_cycles(m, k * side, n * side, side, side))
    useful = m * k * n
    assert useful / cycles == pytest.approx(float(tiles.systolic_efficiency(m, side, side)))
    assert 0 < useful / cycles <= 1
