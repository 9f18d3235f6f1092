"""Energies against the truth: loads on a grid of 1 ms, sensors, polling and faults that know nothing of the code.

Instant sensors see 25 of every 100 ms, averages the last second, counters step every 20 or 100 ms (energy.md, sections
2 to 4). Faults are those of the field: single readings without a value, glitches (3.7e12, 0, negative), gaps, readings
that come twice or in another order; and grave ones: a device or driver that goes away, a counter that starts again.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from made import S, channel, series

from inferatlas.measure.metering.channel import Fault, Series
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.windows import energies, integrate

PER_S = 1000
LIMIT_W = 700.0
LOADS = ("steady", "bursts", "square", "ramp", "idle_load_idle")
SENSORS = ("counter", "instant", "average")
GONE = ("device_lost", "driver_reload")
GRAVE = (*GONE, "counter_reset")
LIGHT = ("missing", "glitch", "twice", "unsorted", "gap", "thinned")
DRAWS = 150


def load(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Watts at every millisecond."""
    t = np.arange(int(seconds * PER_S)) / PER_S
    if kind == "steady":
        watts = rng.uniform(200, 600) + np.convolve(rng.normal(0, 20, t.size), np.ones(20) / np.sqrt(20), "same")
    elif kind == "bursts":
        watts = np.full(t.size, 75.0)
        for start in np.cumsum(rng.exponential(2.0, int(seconds))):
            watts[int(start * PER_S) : int((start + rng.uniform(0.3, 1.5)) * PER_S)] = 500.0
    elif kind == "square":
        period = rng.uniform(0.6, 5.0)
        watts = np.where((t + rng.uniform(0, period)) % period < period * rng.uniform(0.2, 0.8), 690.0, 120.0)
    elif kind == "ramp":
        watts = np.interp(t, [0, seconds], rng.uniform(70, 690, 2))
    else:
        start = rng.uniform(0.1, 0.5) * seconds
        watts = np.where((t > start) & (t < start + rng.uniform(0.2, 0.6) * seconds), 600.0, 80.0)
    return np.clip(watts, 60, LIMIT_W)


@dataclass
class Truth:
    """Energy of a load since its start."""

    watts: np.ndarray
    joules: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.joules = np.concatenate([[0.0], np.cumsum(self.watts)]) / PER_S

    def until(self, t):
        return np.interp(t, np.arange(self.joules.size) / PER_S, self.joules)


def sense(truth: Truth, sensor: str, t: np.ndarray, rng: np.random.Generator, *, told: bool, base: float) -> Series:
    """Readings of a sensor at times of its own choice of steps; its noise is a watt."""
    every = rng.choice([0.02, 0.1]) if sensor == "counter" else 0.1
    phase = rng.uniform(0, every)
    shown = np.maximum(np.floor((t - phase) / every) * every + phase, 0.0)
    facts = {"gain": 0.0, "update_s": float(every) if told else None, "limit_w": LIMIT_W}
    if sensor == "counter":
        return series(channel("counter", **facts), t, base + truth.until(shown))
    back = 0.025 if sensor == "instant" else 1.0
    step = np.cumsum(np.concatenate([[0], np.diff(shown) > 1e-6])).astype(int)
    watts = (truth.until(shown) - truth.until(shown - back)) / back + rng.normal(0, 1, step[-1] + 1)[step]
    return series(channel(sensor, window_s=1.0 if sensor == "average" else None, **facts), t, np.abs(watts))


@dataclass
class Case:
    truth: Truth
    t: np.ndarray
    window: tuple[int, int]
    kind: str

    @property
    def joules(self) -> float:
        a, b = self.window
        return float(self.truth.until(b / S) - self.truth.until(a / S))


def case(rng: np.random.Generator, kind: str | None = None) -> Case:
    length, period = rng.uniform(7, 50), rng.choice([0.02, 0.05, 0.1, 0.25])
    kind = kind or str(rng.choice(LOADS))
    truth = Truth(load(kind, length + 10, rng))
    t = 1.2 + period * (
        np.arange(int((length + 8.5) / period)) + rng.uniform(-0.05, 0.05, int((length + 8.5) / period))
    )
    a = rng.uniform(3.5, 4.5)
    return Case(truth, t, (int(a * S), int((a + length) * S)), kind)


def harmed(one: Series, what: str, within: tuple[int, int], rng: np.random.Generator) -> Series:
    """A fault somewhere in the window."""
    t, value, fault, n = one.t_ns.copy(), one.value.copy(), one.fault.copy(), one.t_ns.size
    at = min(int(np.searchsorted(t, rng.uniform(*within))), n - 1)
    counter = one.channel.semantics == "counter"
    if what == "missing":
        some = rng.choice(n, max(n // 50, 1), replace=False)
        value[some], fault[some] = np.nan, rng.choice([Fault.TIMEOUT, Fault.NOT_AVAILABLE, Fault.UNREADABLE])
    elif what == "glitch":
        some = slice(at, at + int(rng.integers(1, 3)))
        value[some] = rng.choice([3.7e12, 0.0, -5.0])
    elif what in ("device_lost", "driver_reload"):
        gone = slice(at, at + max(int(rng.uniform(0.2, 3.0) * S / np.median(np.diff(t))), 1))
        value[gone], fault[gone] = np.nan, Fault.DEVICE_LOST if what == "device_lost" else Fault.DRIVER_GONE
        if what == "driver_reload" and counter:
            value[gone.stop :] -= value[min(gone.stop, n - 1)] - rng.uniform(0, 30)
    elif what == "counter_reset" and counter:
        value[at:] -= value[at] - rng.uniform(0, 30)
    elif what == "gap":
        kept = (t < t[at]) | (t > t[at] + int(rng.uniform(0.5, 8.0) * S))
        t, value, fault = t[kept], value[kept], fault[kept]
    elif what == "thinned":
        kept = np.concatenate([[True], np.diff(value) != 0]) | (rng.uniform(size=n) < 0.3)
        t, value, fault = t[kept], value[kept], fault[kept]
    elif what in ("twice", "unsorted"):
        order = np.arange(n) if what == "unsorted" else np.sort(np.concatenate([np.arange(n), rng.choice(n, n // 20)]))
        order = rng.permutation(order) if what == "unsorted" else order
        t, value, fault = t[order], value[order], fault[order]
    return replace(one, t_ns=t, value=value, fault=fault)


def off(found: Energy, true: float) -> float:
    """The error in uncertainties, of which a millionth of the energy is the least."""
    assert found.joules is not None and found.uncertainty_j is not None
    return (found.joules - true) / max(found.uncertainty_j, 1e-6 * true)


def is_possible(found: Energy, window: tuple[int, int]) -> None:
    """What holds of any answer."""
    assert found.valid == (found.joules is not None and not found.reasons)
    assert found.joules is None or 0 < found.joules <= 1.05 * LIMIT_W * (window[1] - window[0]) / S
    assert found.joules is not None or (found.reasons and found.method is None and not found.u_terms)
    assert found.uncertainty_j is None or np.isfinite(found.uncertainty_j)


@pytest.mark.parametrize("told", [True, False], ids=["update_told", "update_unknown"])
@pytest.mark.parametrize("sensor", SENSORS)
def test_a_valid_energy_is_as_near_the_truth_as_it_says(sensor, told):
    rng = np.random.default_rng(11)
    errors, stated = [], []
    for _ in range(DRAWS):
        one = case(rng)
        found = integrate(sense(one.truth, sensor, one.t, rng, told=told, base=5e5), *one.window)
        is_possible(found, one.window)
        if found.valid:
            errors.append(off(found, one.joules))
            stated.append((found.uncertainty_j or 0.0) / one.joules)
    assert len(errors) > 0.8 * DRAWS
    assert np.mean(np.abs(errors) <= 4) >= 0.97
    assert abs(np.mean(errors)) < 0.3
    assert np.median(stated) < 0.02


@pytest.mark.parametrize("sensor", SENSORS)
def test_faults_of_single_readings_leave_the_truth_or_mark_the_window(sensor):
    rng = np.random.default_rng(12)
    errors = []
    for _ in range(DRAWS):
        one = case(rng)
        read = sense(one.truth, sensor, one.t, rng, told=bool(rng.integers(2)), base=float(rng.choice([50.0, 5e5])))
        for what in rng.choice(LIGHT, rng.integers(1, 3), replace=False):
            read = harmed(read, str(what), one.window, rng)
        found = integrate(read, *one.window)
        is_possible(found, one.window)
        if found.valid:
            errors.append(off(found, one.joules))
    assert len(errors) > 0.3 * DRAWS
    assert np.mean(np.abs(errors) <= 4) >= 0.97


@pytest.mark.parametrize(
    ("sensor", "what"),
    [("counter", "counter_reset"), *((sensor, what) for sensor in SENSORS for what in GONE)],
)
def test_a_grave_fault_marks_the_window(sensor, what):
    rng = np.random.default_rng(13)
    for _ in range(40):
        one = case(rng)
        read = sense(one.truth, sensor, one.t, rng, told=bool(rng.integers(2)), base=float(rng.choice([500.0, 5e5])))
        inner = int(one.window[0] + 0.3 * S), int(one.window[1] - 0.3 * S)
        found = integrate(harmed(read, what, inner, rng), *one.window)
        is_possible(found, one.window)
        assert not found.valid, (what, str(found))


def test_a_device_with_a_second_sensor_falls_back_on_it():
    rng, errors = np.random.default_rng(14), []
    for _ in range(60):
        one = case(rng, "steady")
        counter, average = (
            sense(one.truth, sensor, one.t, rng, told=True, base=5e5) for sensor in ("counter", "average")
        )
        inner = int(one.window[0] + 0.3 * S), int(one.window[1] - 0.3 * S)
        (found,) = energies(Log((average, harmed(counter, "counter_reset", inner, rng))), *one.window)
        assert found.valid and found.method == "average" and "fallback" in found.remarks
        errors.append(off(found, one.joules))
        assert found.checks[0].method == "counter" and found.checks[0].reasons == ("counter_reset",)
        (both,) = energies(Log((average, counter)), *one.window)
        assert both.valid and both.method == "counter" and abs(off(both, one.joules)) <= 4
    assert np.mean(np.abs(errors) <= 4) >= 0.97


def test_devices_add_up_and_one_that_fails_marks_their_sum():
    rng = np.random.default_rng(15)
    for _ in range(40):
        one, others = case(rng, "steady"), []
        for n in range(3):
            read = sense(one.truth, "counter", one.t, rng, told=True, base=1e5 * n)
            others.append(replace(read, channel=replace(read.channel, device=f"GPU-{n}")))
        (found,) = energies(Log(tuple(others)), *one.window)
        assert found.valid and abs(off(found, 3 * one.joules)) <= 4
        assert found.joules == pytest.approx(sum(each.joules for each in found.devices))
        silent = replace(
            others[0], value=np.full(one.t.size, np.nan), fault=np.full(one.t.size, Fault.PERMISSION_DENIED)
        )
        (lacking,) = energies(Log((silent, *others[1:])), *one.window)
        assert {"device_missing", "permission_denied"} <= set(lacking.reasons) and lacking.mean_w is None
        assert abs(off(replace(lacking, reasons=()), 2 * one.joules)) <= 4


@pytest.mark.parametrize("sensor", SENSORS)
def test_adjoining_windows_add_up_whatever_happened(sensor):
    rng = np.random.default_rng(16)
    for _ in range(40):
        one = case(rng)
        read = sense(one.truth, sensor, one.t, rng, told=bool(rng.integers(2)), base=5e5)
        for what in rng.choice((*LIGHT, *GRAVE), 2, replace=False):
            read = harmed(read, str(what), one.window, rng)
        a, c = one.window
        b = int(rng.uniform(a + S, c - S))
        first, second, whole = (integrate(read, *edges) for edges in ((a, b), (b, c), (a, c)))
        parts = [each.joules or 0.0 for each in (first, second)]
        assert sum(parts) == pytest.approx(whole.joules or 0.0, rel=1e-9, abs=1e-6)
        shuffled = harmed(read, "unsorted", one.window, rng)
        assert integrate(shuffled, a, c).joules == pytest.approx(whole.joules, rel=1e-9)


@pytest.mark.parametrize("sensor", SENSORS)
def test_a_window_of_a_long_log_is_what_the_whole_log_says(sensor):
    rng = np.random.default_rng(17)
    truth = Truth(np.concatenate([load(kind, 60.0, rng) for kind in LOADS * 2]))
    t = np.arange(2.0, 595.0, 0.1) + rng.uniform(-0.005, 0.005, 5930)
    for told in (True, False):
        read = sense(truth, sensor, t, rng, told=told, base=5e5)
        for _ in range(30):
            a = rng.uniform(10.0, 500.0)
            window = int(a * S), int((a + rng.uniform(7.0, 60.0)) * S)
            whole, (near,) = integrate(read, *window), energies(Log((read,)), *window)
            assert near.reasons == whole.reasons
            assert abs(near.joules - whole.joules) <= 0.1 * whole.uncertainty_j
            assert near.uncertainty_j == pytest.approx(whole.uncertainty_j, rel=0.25)


def test_a_counter_that_wraps_loses_nothing_and_one_of_tenths_of_a_kwh_says_how_little_it_knows():
    rng = np.random.default_rng(18)
    for _ in range(40):
        one = case(rng)
        wrap = float(rng.uniform(500.0, 5000.0))
        facts = {"update_s": 0.02, "gain": 0.0, "limit_w": LIMIT_W, "scope": Scope.MODULE}
        read = series(channel("counter", wrap_j=wrap, **facts), one.t, (one.truth.until(one.t) + 1e4) % wrap)
        found = integrate(read, *one.window)
        assert found.valid == (0.0 < np.diff(one.t).max() * 1.5 * LIMIT_W <= wrap), str(found)
        assert abs(off(found, one.joules)) <= 4
    errors = []
    for _ in range(60):  # a node of 500 to 3000 W over three hours, read every second
        watts = np.repeat(rng.uniform(500.0, 3000.0, 12), 900)
        joules = np.concatenate([[0.0], np.cumsum(watts)])
        quantum = 0.01 * 3.6e6
        t = np.arange(watts.size) + rng.uniform(0.0, 0.2, watts.size)
        shown = np.floor((np.interp(t, np.arange(joules.size), joules) + rng.uniform(0, quantum)) / quantum) * quantum
        node = channel("counter", scope=Scope.NODE_AC, quantum=quantum, gain=0.0, update_s=None)
        a, b = np.sort(rng.uniform(60.0, 10700.0, 2))
        found = integrate(series(node, t, shown), int(a * S), int(b * S))
        true = float(np.diff(np.interp([a, b], np.arange(joules.size), joules))[0])
        assert found.joules is None or abs(found.joules - true) <= 2 * quantum
        if found.valid:
            errors.append(off(found, true))
    assert len(errors) > 30 and np.mean(np.abs(errors) <= 4) >= 0.97
