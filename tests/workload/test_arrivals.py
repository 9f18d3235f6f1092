"""Arrivals vary as their names say, keep the mean rate, and share their noise between rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput, UnknownName
from inferatlas.workload.arrivals import arrival_times, bursts, constant, diurnal, gamma, piecewise, poisson

N, RATE = 200_000, 5.0
BURSTS = {"burst_factor": 4.0, "burst_every_s": 600.0, "burst_s": 60.0}


def drawn(kind, rate=RATE, count=N, seed=3, **shape):
    return arrival_times(kind, count, rate, np.random.default_rng(seed), **shape)


def cv(times):
    gaps = np.diff(times)
    return gaps.std() / gaps.mean()


def cv_of_bursts(factor, every, burst):
    """Of intervals that are exponential with either of two means: calm or burst, weighted by the requests in each."""
    inside = factor * burst / every
    calm = (1 - inside) / (1 - burst / every)
    square = 2 * (inside / factor**2 + (1 - inside) / calm**2)
    return np.sqrt(square - 1)


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        ("constant", {}, 0.0),
        ("poisson", {}, 1.0),
        ("gamma", {"burstiness": 1.0}, 1.0),
        ("gamma", {"burstiness": 0.25}, 2.0),
        ("gamma", {"burstiness": 0.04}, 5.0),
        ("gamma", {"burstiness": 4.0}, 0.5),
        ("bursts", BURSTS, cv_of_bursts(4, 600, 60)),
        ("bursts", BURSTS | {"burst_factor": 1.0}, 1.0),
        ("diurnal", {"peak_to_mean": 1.0}, 1.0),
        # the mean of 1/(1 - a cos x) over a day is 1/√(1 - a²), and intervals are exponential at every moment
        ("diurnal", {"peak_to_mean": 1.5}, np.sqrt(2 / np.sqrt(0.75) - 1)),
    ],
)
def test_intervals_have_the_mean_and_the_variation_of_their_process(kind, shape, expected):
    # whole days and whole periods of bursts
    count = 12 * 86_400 * 5 if kind == "diurnal" else N
    times = drawn(kind, count=count, **shape)
    assert times.shape == (count,) and times[0] > 0 and np.all(np.diff(times) >= 0)
    few = 5 if shape.get("burstiness") == 0.04 else 1
    assert (count - 1) / (times[-1] - times[0]) == pytest.approx(RATE, rel=0.01 * few)
    assert cv(times) == pytest.approx(expected, rel=0.01 * few, abs=1e-9)


def test_gamma_of_shape_one_is_poisson_draw_for_draw():
    random = np.random.default_rng
    assert np.array_equal(gamma(100, 2.0, random(1), 1.0), poisson(100, 2.0, random(1)))
    assert np.array_equal(drawn("gamma", burstiness=1.0), drawn("poisson"))


@pytest.mark.parametrize(
    ("kind", "shape"), [("poisson", {}), ("constant", {}), ("gamma", {"burstiness": 0.3})]
)  # fmt: skip
def test_the_same_seed_is_the_same_noise_at_every_rate(kind, shape):
    assert drawn(kind, 10.0, **shape) == pytest.approx(drawn(kind, 2.5, **shape) / 4)


def test_a_rate_that_varies_has_the_same_noise_in_stretched_time():
    units = drawn("poisson", 1.0, count=5000)
    a, day = 0.8, 86_400.0
    times = drawn("diurnal", 0.05, count=5000, peak_to_mean=1 + a)
    expected = 0.05 * (times - a * day / (2 * np.pi) * np.sin(2 * np.pi * times / day))
    assert expected == pytest.approx(units, rel=1e-6, abs=1e-6)
    times = drawn("bursts", 0.5, count=5000, **BURSTS)
    calm, burst = 0.5 * (600 - 240) / 540, 2.0
    turns, rest = np.divmod(times, 600)
    assert turns * 300 + calm * np.minimum(rest, 540) + burst * np.maximum(rest - 540, 0) == pytest.approx(units)


def test_the_day_begins_at_its_quietest_and_is_busiest_half_a_day_later():
    times = drawn("diurnal", 1.0, count=86_400 * 5, peak_to_mean=1.6)
    times = times[times < 4 * 86_400]
    hours = np.histogram(times % 86_400, 24, (0, 86_400))[0] / (4 * 3600)
    assert (hours.argmin(), hours.argmax()) in {(a, b) for a in (23, 0) for b in (11, 12)}
    around = np.sin(np.pi / 12) / (np.pi / 12)  # the mean of a cosine over the hour before and after its peak
    assert hours[[11, 12]].mean() == pytest.approx(1 + 0.6 * around, rel=0.02)
    assert hours[[0, 23]].mean() == pytest.approx(1 - 0.6 * around, rel=0.03)


def test_bursts_may_take_all_and_a_day_may_fall_silent():
    times = drawn("bursts", burst_factor=10, burst_every_s=100, burst_s=10)
    assert np.all(times % 100 >= 90 - 1e-9)
    assert N / times[-1] == pytest.approx(RATE, rel=0.01)
    assert np.all(np.isfinite(drawn("diurnal", peak_to_mean=2)))


@given(st.integers(0, 2**32), st.floats(1e-3, 1e6), st.sampled_from(["poisson", "gamma", "bursts", "diurnal"]))
def test_times_ascend_and_the_first_do_not_depend_on_the_count(seed, rate, kind):
    shape = {"gamma": {"burstiness": 0.1}, "bursts": BURSTS, "diurnal": {"peak_to_mean": 2.0}}.get(kind, {})
    times = drawn(kind, rate, 300, seed, **shape)
    assert np.all(np.diff(times) >= 0) and times[0] >= 0 and np.isfinite(times[-1])
    assert np.array_equal(drawn(kind, rate, 200, seed, **shape), times[:200])


def test_a_rate_in_pieces_has_as_many_requests_as_its_area():
    times = piecewise(N, np.random.default_rng(5), [0, 1000, 2000, 5000], [10.0, 0.0, 20.0, 1.0])
    counts = np.histogram(times, [0, 1000, 2000, 5000])[0]
    assert counts == pytest.approx([10_000, 0, 60_000], rel=0.03)
    assert times[-1] == pytest.approx(5000 + (N - 70_000) / 1.0, rel=0.03)
    alone = piecewise(100, np.random.default_rng(5), [0], [2.0])
    assert alone == pytest.approx(poisson(100, 2.0, np.random.default_rng(5)))


@pytest.mark.parametrize(
    ("starts", "rates", "field"),
    [
        ([1], [1], "starts_s"), ([], [], "starts_s"), ([0, 5, 5], [1, 1, 1], "starts_s"),
        ([0, np.nan], [1, 1], "starts_s"),
        ([0, 1], [1], "rates"), ([0, 1], [1, 0], "rates"), ([0, 1], [-1, 1], "rates"), ([0, 1], [np.nan, 1], "rates"),
    ],
)  # fmt: skip
def test_pieces_that_are_no_rate_are_refused(starts, rates, field):
    with pytest.raises(BadInput) as caught:
        piecewise(10, np.random.default_rng(1), starts, rates)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("poisson", {"rate": 0.0}, "request_rate"),
        ("poisson", {"rate": np.nan}, "request_rate"),
        ("constant", {"rate": np.inf}, "request_rate"),
        ("constant", {"count": 0}, "count"),
        ("poisson", {"count": 2.5}, "count"),
        ("poisson", {"burstiness": 1.0}, "burstiness"),
        ("constant", {"burst_s": 1.0}, "burst_s"),
        ("gamma", {}, "burstiness"),
        ("gamma", {"burstiness": 0.0}, "burstiness"),
        ("gamma", {"burstiness": np.nan}, "burstiness"),
        ("bursts", {"burst_factor": 2.0, "burst_every_s": 60.0}, "burst_s"),
        ("bursts", BURSTS | {"burst_factor": 11.0}, "burst_factor"),
        ("bursts", BURSTS | {"burst_factor": 0.5}, "burst_factor"),
        ("bursts", BURSTS | {"burst_s": 600.0}, "burst_s"),
        ("bursts", BURSTS | {"peak_to_mean": 1.5}, "peak_to_mean"),
        ("diurnal", {"peak_to_mean": 2.1}, "peak_to_mean"),
        ("diurnal", {"peak_to_mean": 0.9}, "peak_to_mean"),
    ],
)
def test_what_is_no_process_is_refused(kind, changes, field):
    with pytest.raises(BadInput) as caught:
        drawn(kind, **changes)
    assert caught.value.field == field


def test_an_unknown_process_is_offered_near_names():
    with pytest.raises(UnknownName, match="poisson"):
        drawn("poison")


def test_burstiness_also_varies_what_a_rate_in_time_does():
    even, odd = (
        diurnal(N, RATE, np.random.default_rng(1), peak_to_mean=1.0, burstiness=shape) for shape in (100.0, 0.25)
    )
    assert (cv(even), cv(odd)) == pytest.approx((0.1, 2.0), rel=0.02)
    assert cv(bursts(N, RATE, np.random.default_rng(1), **BURSTS, burstiness=0.25)) > 2.2
    assert np.diff(constant(5, 4.0)) == pytest.approx(0.25)
