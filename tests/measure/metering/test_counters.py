import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import S, channel, counter_of, series

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.windows import integrate

COUNTER = channel("counter", update_s=0.1, gain=0.0)


def burst(x):
    """Idle 75 W, and a second at 700 W from 8 s on."""
    return 75.0 * np.asarray(x) + 625.0 * np.clip(np.asarray(x) - 8.0, 0.0, 1.0)


@given(st.floats(0.0, 0.1), st.floats(0.011, 0.35), st.floats(50.0, 700.0), st.booleans())
def test_constant_power_is_found_within_what_is_stated(phase, poll, watts, known):
    t = np.arange(-1.0, 23.0, poll)
    one = channel("counter", update_s=0.1 if known else None, gain=0.0)
    found = integrate(series(one, t, 7e5 + counter_of(lambda x: watts * x, t, 0.1, phase)), 0, int(20.3 * S))
    assert found.valid
    assert abs(found.joules - 20.3 * watts) <= 3.5 * found.uncertainty_j + 1e-6  # uniform errors: at most sqrt(3) each
    assert found.uncertainty_j <= 0.015 * found.joules  # 2 u / W of the table: 1 % at 20 s


@pytest.mark.parametrize("poll", [0.02, 0.1, 0.5])
def test_a_burst_of_a_second_is_within_the_stated_uncertainty(poll):
    """energy.md, mistake 1: 2,192 J in 20.9 s. The counter misses nothing between readings."""
    t = np.arange(-1.0, 23.0, poll)
    found = integrate(series(COUNTER, t, counter_of(burst, t, 0.1, 0.04)), 0, int(20.9 * S))
    true = float(burst(20.9) - burst(0.0))
    assert true == pytest.approx(2192.5)
    assert found.valid and abs(found.joules - true) <= 2 * found.uncertainty_j < 0.01 * true


@given(st.integers(0, 10**6))
def test_energies_of_adjoining_windows_add_up_and_none_is_negative(seed):
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.02, 0.3, 120))
    one = series(COUNTER, t, np.cumsum(rng.uniform(0.0, 100.0, 120)))
    a, b, c = sorted(int(x * S) for x in rng.uniform(t[0], t[-1], 3))
    parts = [integrate(one, *edges).joules or 0.0 for edges in ((a, b), (b, c))]
    assert min(parts) >= 0.0
    assert sum(parts) == pytest.approx(integrate(one, a, c).joules, rel=1e-9)


def test_repeated_readings_do_not_matter():
    t = np.arange(-1.0, 23.0, 0.02)
    value = counter_of(burst, t, 0.1, 0.04)
    new = np.concatenate([[True], np.diff(value) != 0])
    whole, thinned = (integrate(series(COUNTER, t[at], value[at]), 0, int(20.9 * S)) for at in (slice(None), new))
    assert thinned.joules == pytest.approx(whole.joules, abs=whole.uncertainty_j)


@given(st.floats(100.0, 2000.0), st.floats(0.0, 1.0))
def test_a_wrapped_counter_is_corrected(wrap, share):
    one = channel("counter", source="rapl", wrap_j=wrap, limit_w=300.0)
    t = np.arange(0.0, 30.0, 0.1)
    true = series(one, t, 200.0 * t)
    wrapped = series(one, t, (200.0 * t + share * wrap) % wrap)
    found = integrate(wrapped, S, 28 * S)
    assert found.joules == pytest.approx(integrate(true, S, 28 * S).joules, rel=1e-9)
    wraps = np.sum((np.diff(wrapped.value) < 0) & (t[1:] > 1.0) & (t[1:] <= 28.0))
    assert found.valid and ("counter_wrapped" in found.remarks) == bool(wraps)


def test_readings_too_far_apart_may_have_missed_a_wrap():
    one = channel("counter", source="rapl", wrap_j=100.0, limit_w=300.0)
    t = np.arange(0.0, 60.0, 0.5)
    assert "wrap_ambiguous" in integrate(series(one, t, (200.0 * t) % 100.0), S, 50 * S).reasons


def test_a_counter_that_starts_again_splits_the_window():
    t = np.arange(0.0, 30.0, 0.1)
    value = np.where(t < 15.0, 1e6 + 300.0 * t, 300.0 * (t - 15.0))
    found = integrate(series(COUNTER, t, value), 2 * S, 28 * S)
    assert found.reasons == ("counter_reset",)
    assert found.joules == pytest.approx(300.0 * 26, rel=0.01)
    assert integrate(series(COUNTER, t, value), 2 * S, 12 * S).valid
    assert integrate(series(COUNTER, t, value), 17 * S, 28 * S).valid


@pytest.mark.parametrize("absurd", [3.7e12, 0.0])
def test_one_absurd_reading_is_left_out_and_marks_the_window(absurd):
    t = np.arange(0.0, 30.0, 0.1)
    value = 5e5 + 300.0 * t
    value[100] = absurd
    found = integrate(series(COUNTER, t, value), 2 * S, 28 * S)
    assert found.reasons == ("implausible",)
    assert found.joules == pytest.approx(300.0 * 26, rel=1e-6)


def test_a_counter_that_stands_still_gives_no_energy():
    """energy.md, mistake 6: a sensor that does not work is not 0 J."""
    t = np.arange(0.0, 30.0, 0.1)
    found = integrate(series(COUNTER, t, np.full(t.size, 12.0)), S, 28 * S)
    assert found.joules is None and "counter_stuck" in found.reasons and found.method is None


def test_a_window_of_less_than_twenty_steps_is_too_short():
    t = np.arange(0.0, 30.0, 0.02)
    value = counter_of(lambda x: 300.0 * x, t, 0.1)
    for one in (COUNTER, channel("counter")):  # known, or seen in the readings
        assert "window_too_short" in integrate(series(one, t, value), 10 * S, int(11.5 * S)).reasons
        assert integrate(series(one, t, value), 10 * S, int(13 * S)).valid


def test_gaps_inside_do_not_matter_but_gaps_at_an_edge_do():
    t = np.concatenate([np.arange(0.0, 5.0, 0.1), np.arange(25.0, 30.0, 0.1)])
    one = series(COUNTER, t, 300.0 * t)
    assert integrate(one, 2 * S, 28 * S).valid
    assert integrate(one, 2 * S, 28 * S).joules == pytest.approx(300.0 * 26, rel=1e-6)
    assert integrate(one, 10 * S, 28 * S).reasons == ("gap_too_long",)


def test_a_window_that_readings_do_not_bracket_is_invalid():
    t = np.arange(1.0, 30.0, 0.1)
    found = integrate(series(COUNTER, t, 300.0 * t), 0, 20 * S)
    assert found.reasons == ("edge_not_bracketed",) and found.joules == pytest.approx(300.0 * 19, rel=0.01)


def test_a_lost_device_keeps_what_it_had_counted():
    t = np.arange(0.0, 30.0, 0.1)
    fault = np.where(t > 20.0, Fault.DEVICE_LOST, 0)
    found = integrate(series(COUNTER, t, np.where(fault > 0, np.nan, 300.0 * t), fault), 0, 28 * S)
    assert set(found.reasons) == {"device_lost", "edge_not_bracketed"}
    assert found.joules == pytest.approx(300.0 * 20, rel=0.01)


def test_the_line_goes_on_for_one_step_at_most_after_the_last():
    t = np.arange(0.0, 30.0, 0.01)
    stuck = np.where(t < 20.0, counter_of(lambda x: 300.0 * x, t, 0.1), 5970.0 + 1e-6)
    found = integrate(series(COUNTER, t, stuck), 0, 29 * S)
    assert found.joules == pytest.approx(300.0 * 20.0, abs=300.0 * 0.15)
    assert found.reasons == ("counter_stuck",)  # nothing draws nothing for 9 s
    assert integrate(series(COUNTER, t, stuck), 0, 19 * S).valid


def test_a_step_that_is_longer_than_stated_is_seen_in_the_pauses():
    rng, errors, stated = np.random.default_rng(0), [], []
    one = channel("counter", update_s=0.02, gain=0.0)
    for _ in range(100):
        t = np.arange(-1.0, 23.0, 0.05)
        value = counter_of(lambda x: 300.0 * x, t, 0.1, rng.uniform(0, 0.1))
        found = integrate(series(one, t, value), 0, int((20 + rng.uniform(0, 1)) * S))
        errors.append(found.joules - 300.0 * found.duration_s)
        stated.append(found.uncertainty_j)
    assert np.sqrt(np.mean(np.square(errors))) <= 1.2 * np.mean(stated)
    assert np.mean(stated) == pytest.approx(300.0 * 0.05 / np.sqrt(6), rel=0.1)  # seen within 50 ms


@pytest.mark.parametrize("update", [None, 1.0])
def test_a_counter_of_tenths_of_a_kwh_needs_twenty_of_its_steps(update):
    """energy.md, section 2: steps of 36 to 360 kJ, which one reads every second."""
    node = channel("counter", source="redfish", scope=Scope.NODE_AC, update_s=update, quantum=36e3, gain=0.0)
    t = np.arange(0.0, 3600.0, 1.0)
    read = series(node, t, np.floor(1000.0 * t / 36e3) * 36e3)
    hour = integrate(read, 100 * S, 3500 * S)
    assert hour.valid and hour.joules == pytest.approx(3.4e6, abs=2 * 36e3)
    assert hour.uncertainty_j == pytest.approx(36e3 / np.sqrt(6), rel=0.1)
    for seconds in (30, 300):  # within a step, and some of them
        short = integrate(read, 1000 * S, (1000 + seconds) * S)
        assert "window_too_short" in short.reasons and abs(short.joules - 1e3 * seconds) <= 36e3
    once = series(node, t[:60], np.floor(1000.0 * t[:60] / 36e3) * 36e3)
    assert "window_too_short" in integrate(once, 0, 50 * S).reasons  # one step tells of no rate


def test_a_new_start_between_the_last_reading_inside_and_the_first_beyond_is_in_the_window():
    t = np.arange(0.0, 60.0, 0.5)
    value = np.where(t <= 20.0, 1e6 + 300.0 * t, 300.0 * (t - 20.2))
    assert integrate(series(COUNTER, t, value), 2 * S, int(20.4 * S)).reasons == ("counter_reset",)
    assert integrate(series(COUNTER, t, value), 2 * S, 20 * S).valid
    assert integrate(series(COUNTER, t, value), int(20.1 * S), 59 * S).reasons == ("counter_reset",)
    assert integrate(series(COUNTER, t, value), int(20.5 * S), 59 * S).valid


@pytest.mark.parametrize("base", [200.0, 5e5])
@pytest.mark.parametrize("absurd", [3.7e12, 0.0, -5.0])
@pytest.mark.parametrize("many", [2, 3])
def test_absurd_readings_in_a_row_are_left_out_as_one_is(absurd, many, base):
    t = np.arange(0.0, 30.0, 0.1)
    value = base + 300.0 * t
    value[100 : 100 + many] = absurd
    found = integrate(series(COUNTER, t, value), 2 * S, 28 * S)
    assert found.reasons == ("implausible",) and found.joules == pytest.approx(300.0 * 26, rel=1e-6)


@pytest.mark.parametrize("absurd", [3.7e12, 0.0])
@pytest.mark.parametrize("at", [0, -1])
def test_an_absurd_first_or_last_reading_marks_what_it_bounds(absurd, at):
    t = np.arange(0.0, 30.0, 0.1)
    value = 5e5 + 300.0 * t
    value[at] = absurd
    whole = integrate(series(COUNTER, t, value), 0, int(29.9 * S))
    assert set(whole.reasons) <= {"counter_reset", "implausible"} and whole.reasons
    assert whole.joules == pytest.approx(300.0 * 29.9, rel=0.01)
    assert integrate(series(COUNTER, t, value), 2 * S, 28 * S).valid


def test_what_is_no_number_marks_the_window():
    t = np.arange(0.0, 30.0, 0.1)
    value = 300.0 * t
    value[100] = np.nan
    assert integrate(series(COUNTER, t, value), 2 * S, 28 * S).reasons == ("implausible",)


def test_a_wrap_that_may_be_a_new_start_is_ambiguous():
    """Where neither limit nor scope is known, any power is plausible."""
    t = np.arange(0.0, 30.0, 0.1)
    one = channel("counter", scope=None, wrap_j=2.6e5)
    value = np.where(t < 15.0, 1e5 + 200.0 * t, 200.0 * (t - 15.0))
    assert "wrap_ambiguous" in integrate(series(one, t, value), 2 * S, 28 * S).reasons
    assert integrate(series(one, t, value), 2 * S, 14 * S).valid
