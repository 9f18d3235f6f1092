"""Equations (29) and (37): memory tiers and fused sections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.predict.handbook.dataflow import best_shares, section_time, tier_time
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count

rates = st.lists(st.floats(1e9, 1e13), min_size=2, max_size=4)


@given(rates, st.floats(1e6, 1e12))
def test_29_the_best_split_reads_at_the_sum_of_the_rates(speeds, size):
    shares = best_shares(size, speeds, [1e15] * len(speeds))
    assert shares == pytest.approx(np.array(speeds) / sum(speeds))
    assert float(tier_time(size, shares, speeds)) == pytest.approx(size / sum(speeds))


@given(rates, st.data(), st.floats(1e6, 1e12))
def test_29_no_split_within_the_capacities_is_faster_than_the_best(speeds, data, size):
    part = st.floats(0.2, 1.5)
    room = np.array([data.draw(part) for _ in speeds]) * size
    best = best_shares(size, speeds, room)
    if room.sum() < size:
        assert np.isnan(best).all()
        return
    assert best.sum() == pytest.approx(1.0)
    assert (best * size <= room * (1 + 1e-9)).all()
    other = np.minimum(room / size, np.array([data.draw(st.floats(0.01, 1.0)) for _ in speeds]))
    for i in np.argsort(-np.array(speeds)):  # fill up what is left somewhere
        other[i] = min(room[i] / size, other[i] + max(0.0, 1.0 - other.sum()))
    other = other / other.sum()
    if (other * size <= room * (1 + 1e-9)).all():
        assert float(tier_time(size, best, speeds)) <= float(tier_time(size, other, speeds)) * (1 + 1e-9)


@given(rates, st.floats(1e6, 1e12))
def test_29_one_path_is_never_faster_than_concurrent_channels(speeds, size):
    shares = np.full(len(speeds), 1.0 / len(speeds))
    assert tier_time(size, shares, speeds, one_path=True) >= tier_time(size, shares, speeds)


def test_37_fusion_saves_the_launches_and_the_edges_inside():
    flop, weights, edges = [0.0] * 3, [1e6, 2e6, 3e6], [1e5, 2e5, 4e5, 8e5]
    saved = float(section_time(flop, weights, edges, 1e-5, 1e15, 1e12, fused=False)) - float(
        section_time(flop, weights, edges, 1e-5, 1e15, 1e12)
    )
    assert saved == pytest.approx(2 * 1e-5 + 2 * (2e5 + 4e5) / 1e12)  # written once and read once each


def test_37_a_published_time_per_token_is_the_weights_of_a_70b_model_at_the_full_rate_of_16_sockets():
    # Brunetta et al.: 5.6 ms between tokens on 16 SN40L; sections stream their weights without gaps
    part = device(load_accelerator("sambanova-sn40l"))
    weights = 2.0 * count(load_model("llama-3.1-70b")).streamed
    assert part.memory.bytes_per_s is not None
    one = float(tier_time(weights / 16, [1.0, 0.0], [part.memory.bytes_per_s, part.tiers[-1].bytes_per_s or 1.0]))
    assert 0.95 * 5.6e-3 < one < 5.6e-3  # what is left is the cache and the head
