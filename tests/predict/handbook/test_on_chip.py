"""Section 8 in closed form: chips, tokens and meshes of machines that hold the model in on-chip memory (check G)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.on_chip import best_mesh_side, chips_needed, gemv_on_mesh, token_time

TAU_GROQ, TAU_WSE3 = 41.67e-6, 17.36e-6


def test_g_34_one_layer_latency_explains_both_published_models_of_groq():
    assert 1 / token_time(32, TAU_GROQ) == pytest.approx(750, rel=0.01)
    assert 1 / token_time(80, TAU_GROQ) == pytest.approx(300, rel=0.01)
    assert 1 / token_time(32, TAU_WSE3) == pytest.approx(1800, rel=0.01)


@given(st.floats(1e9, 1e12), st.floats(0, 1e11), st.floats(1e8, 1e11), st.floats(0.5, 1))
def test_33_one_chip_fewer_would_not_hold_it(weights, cache, capacity, share):
    chips = float(chips_needed(weights, cache, capacity, share))
    assert chips * capacity * share >= (weights + cache) * (1 - 1e-12)
    assert (chips - 1) * capacity * share <= (weights + cache) * (1 + 1e-12)


@given(st.floats(1e6, 1e11), st.floats(1e8, 1e11), st.floats(1e-10, 1e-6))
def test_36_the_best_mesh_balances_streaming_and_hops(weights, core, hop):
    best = best_mesh_side(weights, core, hop)
    times = gemv_on_mesh(weights, best * np.array([0.5, 0.9, 1.0, 1.1, 2.0]), core, hop)
    assert times[2] == times.min()
