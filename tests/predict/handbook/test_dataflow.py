"""Equation (37): fused sections."""

import pytest

from inferatlas.predict.handbook.dataflow import section_time


def test_37_fusion_saves_the_launches_and_the_edges_inside():
    flop, weights, edges = [0.0] * 3, [1e6, 2e6, 3e6], [1e5, 2e5, 4e5, 8e5]
    saved = float(section_time(flop, weights, edges, 1e-5, 1e15, 1e12, fused=False)) - float(
        section_time(flop, weights, edges, 1e-5, 1e15, 1e12)
    )
    assert saved == pytest.approx(2 * 1e-5 + 2 * (2e5 + 4e5) / 1e12)  # written once and read once each
