"""Equations (28) to (30): weights that stream, memory tiers, rates bound by latency."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.predict.handbook.tiers import (
    best_shares,
    energy_per_byte,
    hidden_share,
    hiding_batch,
    latency_bound_rate,
    outstanding_to_saturate,
    slowdown,
    streamed_step,
    tier_time,
)
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.performance.waiting import hidden_behind

rates = st.lists(st.floats(1e9, 1e13), min_size=2, max_size=4)
speeds_of_two = st.tuples(st.floats(1e9, 1e13), st.floats(1e9, 1e13))
layers = st.lists(st.tuples(st.floats(0, 1e-2), st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=12)


def scheduled(work, load) -> float:
    """A layer works once it is loaded and the one before is done; the link holds one layer ahead."""
    loaded, done, freed = 0.0, 0.0, 0.0
    for compute, stream in zip(work, load, strict=True):
        loaded = max(loaded, freed) + stream
        freed = done  # the buffer of the layer before is free when that is done
        done = max(done, loaded) + compute
    return done


@given(layers)
def test_28_form_and_schedule_lie_between_the_longest_part_and_all_parts_in_a_row(parts):
    work, local, stream = (np.array(x) for x in zip(*parts, strict=True))
    busy, load = np.maximum(work, local / 2e12), stream / 50e9
    in_a_row = float(streamed_step(work, local, stream, 2e12, 50e9, prefetch=False))
    for seconds in (scheduled(busy, load), float(streamed_step(work, local, stream, 2e12, 50e9)) - load[0]):
        assert max(busy.sum(), load.sum()) <= seconds * (1 + 1e-9) + 1e-12
        assert seconds <= in_a_row * (1 + 1e-9) + 1e-12


@given(st.integers(1, 100), st.floats(0, 1e-2), st.floats(0, 1e-2))
def test_28_equal_layers_take_what_a_schedule_takes_but_for_one_layer(count, busy, load):
    form = float(streamed_step([busy] * count, [0.0] * count, [load * 1e9] * count, 1e12, 1e9))
    exact = scheduled([busy] * count, [load] * count)
    assert exact <= form + 1e-12
    assert form - exact <= max(load - busy, 0.0) + 1e-12


@given(st.integers(1, 100), st.floats(1e-6, 1e-2), st.floats(0, 1e-2))
def test_28_is_what_predictions_leave_exposed(count, busy, load):
    form = float(streamed_step([busy] * count, [0.0] * count, [load * 1e9] * count, 1e12, 1e9))
    predicted = count * busy + float(hidden_behind(np.array(count * load), np.array(count * busy), count))
    assert predicted == pytest.approx(form, rel=1e-9)


@given(st.floats(1e9, 1e12), st.floats(1e9, 1e12), st.floats(1e13, 1e16), st.floats(1e9, 1e12))
def test_28_from_the_break_even_batch_arithmetic_hides_the_stream(offloaded, active, peak, link):
    batch = float(hiding_batch(offloaded, active, peak, link))
    assert 2 * active * batch / peak == pytest.approx(offloaded / link)
    for factor, hidden in ((0.9, False), (1.1, True)):
        work = 2 * active * batch * factor / peak
        one = float(streamed_step([work], [0.0], [offloaded], 1e12, link)) - offloaded / link  # without the first load
        assert (one == pytest.approx(work)) is hidden


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


@given(speeds_of_two, st.floats(1e6, 1e12), st.floats(0, 1), st.floats(0, 10), st.booleans())
def test_29_up_to_the_knee_a_slow_tier_is_hidden_and_beyond_it_is_felt(speeds, size, share, work, one_path):
    fast, slow = max(speeds), min(speeds)
    compute = work * size / fast
    knee = float(hidden_share(size, fast, slow, compute, one_path=one_path))
    felt = float(slowdown(size, share, fast, slow, compute, one_path=one_path))
    if share <= knee:
        assert felt <= 1 + 1e-9
    else:
        assert felt >= 1 - 1e-9
    beyond = min(1.0, knee * 1.1 + 0.01)
    if fast > 1.01 * slow and beyond > knee:
        assert float(slowdown(size, beyond, fast, slow, compute, one_path=one_path)) > 1


@given(speeds_of_two, st.floats(1e6, 1e12), st.floats(1, 20), st.floats(0, 10), st.booleans())
def test_29_the_share_for_a_slowdown_and_the_slowdown_of_a_share_are_inverse(speeds, size, allowed, work, one_path):
    fast, slow = max(speeds), min(speeds)
    compute = work * size / fast
    share = float(hidden_share(size, fast, slow, compute, allowed, one_path=one_path))
    found = float(slowdown(size, share, fast, slow, compute, one_path=one_path))
    assert found <= allowed * (1 + 1e-9)
    if share < 1 and fast > 1.001 * slow:
        assert found == pytest.approx(allowed, rel=1e-6)


def test_29_two_channels_read_a_little_faster_than_one_and_least_at_the_best_split():
    shares = np.linspace(0, 1, 1001)
    curve = slowdown(1e9, shares, 3e12, 1e12)
    assert shares[curve.argmin()] == pytest.approx(best_shares(1e9, [3e12, 1e12], [1e12, 1e12])[1], abs=1e-3)
    assert curve.min() == pytest.approx(0.75, abs=1e-3)
    assert curve[-1] == pytest.approx(3.0)
    one_path = slowdown(1e9, shares, 3e12, 1e12, one_path=True)
    assert np.all(np.diff(one_path) > 0) and np.all(one_path >= curve)


def test_29_a_model_five_times_as_large_within_30_percent_wants_a_fast_tier_or_much_arithmetic():
    # Sharma: models 5 to 10 times larger for 15 to 30 % slowdown. Four fifths then lie in the slow tier.
    fast, size = 3.35e12, 5 * 80e9
    reached = [float(hidden_share(size, fast, part * fast, slowdown=1.3)) for part in (0.02, 0.5, 0.62)]
    assert reached[0] == pytest.approx(0.026) and reached[1] < 0.8 < reached[2]
    tokens = float(hiding_batch(0.8 * size, size / 2, 989e12, 64e9))  # over PCIe, 16 bit
    assert tokens > 10_000
    work = 2 * (size / 2) * tokens / 989e12
    assert float(slowdown(size, 0.8, fast, 64e9, work)) == pytest.approx(1.0)
    assert float(slowdown(size, 0.8, fast, 64e9)) > 40


def test_29_a_published_time_per_token_is_the_weights_of_a_70b_model_at_the_full_rate_of_16_sockets():
    # Brunetta et al.: 5.6 ms between tokens on 16 SN40L; sections stream their weights without gaps
    part = device(load_accelerator("sambanova-sn40l"))
    weights = 2.0 * count(load_model("llama-3.1-70b")).streamed
    assert part.memory.bytes_per_s is not None
    one = float(tier_time(weights / 16, [1.0, 0.0], [part.memory.bytes_per_s, part.tiers[-1].bytes_per_s or 1.0]))
    assert 0.95 * 5.6e-3 < one < 5.6e-3  # what is left is the cache and the head


@given(st.floats(1e9, 1e12), st.sampled_from([64, 4096, 262144]), st.floats(50e-9, 1e-3))
def test_30_so_many_requests_saturate_and_one_less_does_not(peak, line, latency):
    needed = float(outstanding_to_saturate(peak, line, latency))
    assert float(latency_bound_rate(peak, needed, line, latency)) == pytest.approx(peak)
    if needed > 1:
        assert float(latency_bound_rate(peak, needed - 1, line, latency)) < peak * (1 + 1e-9)


def test_30_more_latency_never_draws_more():
    drawn = latency_bound_rate(64e9, 64, 64, np.geomspace(20e-9, 1e-4, 50))
    assert np.all(np.diff(drawn) <= 0)
    # 70 to 90 ns over local memory of about 90 ns halve what a core with few requests under way draws
    near, far = (float(latency_bound_rate(1e12, 16, 64, t)) for t in (90e-9, 170e-9))
    assert near / far == pytest.approx(170 / 90)


@given(st.floats(0, 1), st.floats(1e-13, 1e-10), st.floats(1e-13, 1e-10))
def test_38_a_mixture_costs_between_its_tiers(share, one, other):
    mixed = float(energy_per_byte([1 - share, share], [one, other]))
    assert 8 * min(one, other) * (1 - 1e-9) <= mixed <= 8 * max(one, other) * (1 + 1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: streamed_step([-1.0], [0.0], [0.0], 1e12, 1e9),
        lambda: hiding_batch(1e9, 0.0, 1e15, 1e9),
        lambda: slowdown(1e9, 1.5, 1e12, 1e9),
        lambda: hidden_share(1e9, 1e12, 1e9, slowdown=0.5),
        lambda: latency_bound_rate(1e9, 1, 64, 0.0),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field
