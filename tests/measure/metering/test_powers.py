import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import S, channel, series

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.powers import power_energy
from inferatlas.measure.metering.windows import integrate

INSTANT = channel("instant", gain=0.0)


@st.composite
def readings(draw):
    """Power over some 100 readings, irregular in time, and a window among them."""
    steps = draw(st.lists(st.integers(20, 300), min_size=40, max_size=120))
    t = np.cumsum([0, *steps]) / 1000
    watts = draw(st.lists(st.floats(1.0, 1000.0), min_size=t.size, max_size=t.size))
    cuts = sorted(draw(st.lists(st.floats(0.0, float(t[-1])), min_size=3, max_size=3, unique_by=lambda x: round(x, 3))))
    return t, np.array(watts), [int(cut * S) for cut in cuts]


@given(readings())
def test_energies_of_adjoining_windows_add_up(case):
    t, watts, (a, b, c) = case
    for one in (series(INSTANT, t, watts), series(channel("average", window_s=0.2, update_s=0.1), t, watts)):
        parts = [integrate(one, *edges).joules for edges in ((a, b), (b, c))]
        whole = integrate(one, a, c).joules
        assert whole is not None and None not in parts
        assert sum(parts) == pytest.approx(whole, rel=1e-9)


@given(readings())
def test_the_order_of_readings_does_not_matter_and_energy_is_within_its_bounds(case):
    t, watts, (a, _, c) = case
    order = np.random.default_rng(0).permutation(t.size)
    straight, mixed = (
        integrate(one, a, c) for one in (series(INSTANT, t, watts), series(INSTANT, t[order], watts[order]))
    )
    assert mixed.joules == pytest.approx(straight.joules, rel=1e-12)
    assert watts.min() * (c - a) / S <= straight.joules * (1 + 1e-9) and straight.joules <= watts.max() * (
        c - a
    ) / S * (1 + 1e-9)


@given(st.floats(1.0, 1000.0), st.floats(0.0, 1.0), st.floats(0.02, 0.9))
def test_constant_power_is_exact_however_it_is_read(watts, start, period):
    t = np.arange(0.0, 40.0, period)
    for one in (INSTANT, channel("average", window_s=1.0, update_s=0.1, gain=0.0)):
        found = integrate(series(one, t, np.full(t.size, watts)), int(start * S), int((start + 20.3) * S))
        assert found.joules == pytest.approx(20.3 * watts, rel=1e-9)
        assert found.uncertainty_j == pytest.approx(0.0, abs=1e-9) and found.valid


def test_where_dropping_repeated_readings_yields_0_j_all_of_it_is_found():
    """energy.md, mistake 1: constant 500 W for 20.3 s; a peer drops repeats and integrates nothing."""
    t = np.arange(0.0, 20.31, 0.1)
    found = integrate(series(channel("instant"), t, np.full(t.size, 500.0)), 0, int(20.3 * S))
    assert found.joules == pytest.approx(10150.0, rel=1e-12)
    assert found.uncertainty_j == pytest.approx(507.5)  # the gain of the meter, 5 %, and nothing else
    assert found.u_terms["sampling"] == found.u_terms["edges"] == 0.0
    assert found.valid


@pytest.mark.parametrize("period", [0.1, 0.5])
@pytest.mark.parametrize("phase", [0.0, 0.03, 0.07])
def test_a_burst_of_a_second_is_within_the_stated_uncertainty(period, phase):
    """energy.md, mistake 1: idle 75 W with a burst of 1 s at 700 W over 20.9 s, 2,192 J (a peer finds 395 J)."""
    t = np.arange(-1.0 + phase, 23.0, period)
    watts = np.where((t >= 8.0) & (t < 9.0), 700.0, 75.0)
    found = integrate(series(channel("instant", gain=0.0), t, watts), 0, int(20.9 * S))
    true = 75.0 * 20.9 + 625.0
    assert true == pytest.approx(2192.5)
    assert abs(found.joules - true) <= 2 * found.uncertainty_j
    if period == 0.1:
        assert found.joules == pytest.approx(true, rel=0.03) and found.uncertainty_j < 0.05 * true


def test_a_jump_at_a_random_phase_errs_as_the_table_says():
    """energy.md, section 4: at most dP D / 2, standard deviation dP D / sqrt(12); and that is what is stated."""
    rng, errors, stated = np.random.default_rng(3), [], []
    for _ in range(400):
        jump = 10 + rng.uniform(0, 0.5)
        t = np.arange(0.0, 20.0, 0.5)
        found = integrate(series(INSTANT, t, np.where(t >= jump, 600.0, 100.0)), 0, 19 * S)
        errors.append(found.joules - (600.0 * (19 - jump) + 100.0 * jump))
        stated.append(found.u_terms["sampling"])
    assert np.abs(errors).max() <= 500 * 0.5 / 2 + 1e-9
    assert np.std(errors) == pytest.approx(500 * 0.5 / np.sqrt(12), rel=0.08)
    assert np.mean(stated) == pytest.approx(500 * 0.5 / np.sqrt(12), rel=1e-6)


def test_n_independent_jumps_err_as_the_table_says():
    """energy.md, section 4: sd(E) = dP D sqrt(N/12)."""
    rng, errors, stated = np.random.default_rng(4), [], []
    t = np.arange(0.0, 61.0, 0.5)
    for _ in range(300):
        jumps = np.arange(1.0, 59.0, 5.0) + rng.uniform(0, 4, 12)
        high = np.searchsorted(jumps, t, side="right") % 2 == 1
        found = integrate(series(INSTANT, t, np.where(high, 600.0, 100.0)), 0, 60 * S)
        edges = np.concatenate([[0.0], jumps, [60.0]])
        true = sum((600.0 if n % 2 else 100.0) * (b - a) for n, (a, b) in enumerate(itertools.pairwise(edges)))
        errors.append(found.joules - true)
        stated.append(found.u_terms["sampling"])
    assert np.std(errors) == pytest.approx(500 * 0.5 * np.sqrt(12 / 12), rel=0.12)
    assert np.mean(stated) == pytest.approx(500 * 0.5 * np.sqrt(12 / 12), rel=0.12)


def test_a_smooth_load_errs_as_the_trapezoid_does():
    """energy.md, section 4: -(D^2/12) (P'(b) - P'(a)), here with the sign of estimate minus truth."""
    t = np.arange(0.0, 10.01, 0.1)
    found = integrate(series(INSTANT, t, 5 * t**2), 0, 10 * S)
    assert found.joules - 5 * 1000 / 3 == pytest.approx(0.1**2 / 12 * 100, rel=1e-6)


def test_averages_are_moved_back_by_half_of_their_window():
    t = np.arange(0.0, 60.0, 0.1)

    def energy(x):
        return 100.0 * x + 500.0 * np.clip(x - 30.0, 0, None)

    averaged = energy(t) - energy(t - 1.0)
    found = integrate(series(channel("average", window_s=1.0), t, averaged), 10 * S, 50 * S)
    assert found.joules == pytest.approx(float(energy(50.0) - energy(10.0)), rel=1e-4)


def test_a_window_without_readings_on_both_sides_keeps_its_number_and_says_so():
    t = np.arange(1.0, 30.0, 0.1)
    flat = series(INSTANT, t, np.full(t.size, 300.0))
    early, late = integrate(flat, 0, 20 * S), integrate(flat, 10 * S, 40 * S)
    assert early.reasons == late.reasons == ("edge_not_bracketed",)
    assert early.joules == pytest.approx(300.0 * 19) and early.covered_s == pytest.approx(19.0)
    assert early.mean_w == pytest.approx(300.0)
    outside = integrate(flat, 100 * S, 120 * S)
    assert outside.joules is None and outside.reasons == ("no_samples",)


def test_a_long_gap_makes_a_window_invalid():
    t = np.concatenate([np.arange(0.0, 30.0, 0.1), np.arange(34.0, 100.0, 0.1)])
    assert integrate(series(INSTANT, t, np.full(t.size, 300.0)), 0, 99 * S).reasons == ("gap_too_long",)
    short = np.arange(0.0, 10.0, 0.6)  # not 3 s, but more than a twentieth of the window
    assert integrate(series(INSTANT, short, np.full(short.size, 300.0)), 0, 9 * S).reasons == ("gap_too_long",)


def test_an_absurd_reading_is_left_out_and_marks_the_window():
    """energy.md, mistake 10: 3.7e12 W (xpumanager issue 130)."""
    t = np.arange(0.0, 60.0, 0.1)
    watts = np.full(t.size, 300.0)
    watts[200] = 3.7e12
    found = integrate(series(INSTANT, t, watts), 0, 59 * S)
    assert found.reasons == ("implausible",) and found.joules == pytest.approx(300.0 * 59)
    assert integrate(series(INSTANT, t, watts), 30 * S, 59 * S).valid
    limited = channel("instant", limit_w=200.0)
    watts[200] = 301.0
    assert "implausible" in integrate(series(limited, t, watts), 0, 59 * S).reasons
    watts[200] = -5.0
    assert "implausible" in integrate(series(INSTANT, t, watts), 0, 59 * S).reasons


def test_a_sensor_that_gives_nothing_but_0_gives_no_energy():
    t = np.arange(0.0, 60.0, 0.1)
    found = integrate(series(INSTANT, t, np.zeros(t.size)), 0, 59 * S)
    assert found.joules is None and found.reasons == ("zero_power",) and found.uncertainty_j is None


def test_missing_readings_are_gaps_and_never_0():
    t = np.arange(0.0, 60.0, 0.1)
    watts, fault = np.full(t.size, 300.0), np.zeros(t.size, dtype=np.int8)
    watts[100:103], fault[100:103] = np.nan, Fault.NOT_AVAILABLE
    found = integrate(series(INSTANT, t, watts, fault), 0, 59 * S)
    assert found.valid and found.joules == pytest.approx(300.0 * 59) and "readings_missing" in found.remarks
    fault[300:] = Fault.DEVICE_LOST
    lost = integrate(series(INSTANT, t, np.where(fault > 0, np.nan, watts), fault), 0, 59 * S)
    assert set(lost.reasons) == {"device_lost", "edge_not_bracketed"}
    assert lost.joules == pytest.approx(300.0 * 29.9, rel=1e-3)
    fault[:] = Fault.NOT_SUPPORTED
    none = integrate(series(INSTANT, t, np.full(t.size, np.nan), fault), 0, 59 * S)
    assert none.joules is None and not none.valid


def test_throttling_is_a_remark():
    t = np.arange(0.0, 60.0, 0.1)
    watts, fault = np.full(t.size, 300.0), np.zeros(t.size, dtype=np.int8)
    watts[100], fault[100] = np.nan, Fault.THROTTLED
    found = integrate(series(INSTANT, t, watts, fault), 0, 59 * S)
    assert found.valid and found.remarks == ("throttled",)


def test_a_clock_that_is_not_sure_widens_the_energy():
    """energy.md, section 4: (P_a u_clock)^2 + (P_b u_clock)^2."""
    t = np.arange(0.0, 60.0, 0.1)
    found = integrate(series(channel("instant", gain=0.0, u_time_s=0.2), t, np.full(t.size, 300.0)), 0, 50 * S)
    assert found.uncertainty_j == pytest.approx(np.sqrt(2) * 300 * 0.2)


def test_unknown_semantics_are_taken_as_instant_and_doubted_at_the_edges():
    t = np.arange(0.0, 60.0, 0.1)
    ramp = series(channel("instant", gain=0.0, assumed=True), t, 100.0 + 5 * t)
    found = power_energy(ramp, 0, 50 * S)
    assert "semantics_assumed" in found.remarks
    assert found.u_terms["edges"] > 0.5 * 250.0


def test_a_window_of_less_than_five_averages_is_too_short():
    t = np.arange(0.0, 60.0, 0.1)
    found = integrate(series(channel("average", window_s=1.0), t, np.full(t.size, 300.0)), 10 * S, 14 * S)
    assert found.reasons == ("window_too_short",)


@pytest.mark.parametrize("known", [True, False])
def test_a_sensor_that_is_renewed_slowly_is_late_and_widens_the_energy(known):
    """A BMC that is renewed every 30 s and read every second says of a jump only that it came within the 30 s."""
    rng, errors, stated = np.random.default_rng(5), [], []
    t = np.arange(0.0, 4000.0, 1.0)
    for _ in range(40):
        phase, jump = rng.uniform(0, 30), 2000 + rng.uniform(0, 30)
        renewed = np.floor((t - phase) / 30.0) * 30.0 + phase
        watts = np.where(renewed >= jump, 3000.0, 1000.0) + 5.0 * np.sin(renewed)
        one = channel("instant", source="redfish", gain=0.0, update_s=30.0 if known else None)
        found = integrate(series(one, t, watts), 100 * S, 3900 * S)
        errors.append(found.joules - (3000.0 * (3900 - jump) + 1000.0 * (jump - 100)))
        stated.append(found.uncertainty_j)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(40) + 500  # no bias by half of the 30 s, 30 kJ
    assert np.std(errors) <= 1.1 * np.mean(stated) <= 4 * np.std(errors)


def test_draws_that_are_read_several_times_are_still_draws():
    """A sensor that is renewed every 0.1 s and read every 0.03: errors of 20 W in each of its values."""
    rng, errors, stated = np.random.default_rng(6), [], []
    t = np.arange(0.0, 31.0, 0.03)
    for known in [True, False] * 60:
        draws = 400.0 + rng.normal(0.0, 20.0, 400)
        watts = draws[((t + rng.uniform(0, 0.1)) / 0.1).astype(int)]
        one = channel("instant", gain=0.0, update_s=0.1 if known else None)
        found = integrate(series(one, t, watts), S, 30 * S)
        errors.append(found.joules - 400.0 * 29)
        stated.append(found.u_terms["sampling"])
    assert np.std(errors) == pytest.approx(20.0 * 0.1 * np.sqrt(290), rel=0.2)
    assert np.mean(stated) == pytest.approx(20.0 * 0.1 * np.sqrt(290), rel=0.2)


@pytest.mark.parametrize("known", [0.1, None])
def test_a_jump_before_the_edge_that_shows_only_beyond_it_is_not_taken_for_certain(known):
    t = np.arange(0.0, 30.0, 0.25)
    jump = 19.9  # the sensor shows it at 20.0, after it was read for that time
    watts = np.where(t > 20.0, 600.0, 100.0)
    found = integrate(series(channel("instant", gain=0.0, update_s=known), t, watts), 2 * S, 20 * S)
    assert abs(found.joules - (100.0 * 17.9 + 600.0 * (20.0 - jump))) <= 2 * found.uncertainty_j


def test_what_is_late_by_an_unknown_time_widens_a_ramp():
    rng, errors, stated = np.random.default_rng(7), [], []
    t = np.arange(0.0, 30.0, 0.1)
    for _ in range(200):  # read in step with the sensor: all values of a run are of the same age
        watts = 100.0 + 20.0 * (t - rng.uniform(0, 0.1))
        found = integrate(series(channel("instant", gain=0.0, update_s=0.1), t, watts), S, 26 * S)
        errors.append(found.joules - (100.0 * 25 + 10.0 * (26**2 - 1)))
        stated.append(found.u_terms["edges"])
    assert abs(np.mean(errors)) < 3.0
    assert np.std(errors) == pytest.approx(500.0 * 0.1 / np.sqrt(12), rel=0.15)
    assert np.mean(stated) == pytest.approx(500.0 * 0.1 / np.sqrt(12), rel=0.05)


def test_averages_that_touch_miss_nothing_and_those_that_may_be_instant_do():
    t = np.arange(0.0, 61.0, 1.0)
    watts = np.where(t % 7 < 2, 700.0, 75.0)
    sampling = {}
    for name, one in {
        "average": channel("average", window_s=1.0, update_s=0.1), "instant": channel("instant", update_s=0.1),
        "assumed": channel("instant", update_s=0.1, assumed=True), "unknown": channel("average", update_s=0.1),
    }.items():  # fmt: skip
        sampling[name] = integrate(series(one, t, watts), 0, 60 * S).u_terms["sampling"]
    assert sampling["average"] < 0.2 * sampling["instant"]
    assert sampling["assumed"] == sampling["unknown"] == sampling["instant"]


def test_a_device_that_gives_nothing_says_why():
    """Not only that there was no reading."""
    t = np.arange(0.0, 30.0, 0.1)
    for semantics in ("instant", "counter"):
        refused = series(channel(semantics), t, np.full(t.size, np.nan), np.full(t.size, Fault.PERMISSION_DENIED))
        found = integrate(refused, S, 28 * S)
        assert found.joules is None and found.reasons == ("permission_denied",) and not found.remarks


def test_a_window_in_which_nothing_was_drawn_has_no_energy():
    t = np.arange(0.0, 30.0, 0.1)
    found = integrate(series(INSTANT, t, np.where(t < 10.0, 300.0, 0.0)), 12 * S, 28 * S)
    assert found.joules is None and found.reasons == ("zero_power",)
