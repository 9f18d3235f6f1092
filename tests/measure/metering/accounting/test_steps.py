"""Energies of steps over their sequences: they close with the idle line, and follow work, not time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.steps import by_steps, step_joules
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.scope import Scope

RATES = {"flop_per_s": 1e15, "bytes_per_s": 1e13}


def window(joules=1000.0, u=0.0, **rest):
    return Energy(joules, {"edges": u}, "counter", "nvml", Scope.GPU, 2.0, 2.0, **rest)


def rows(**changed):
    """Sequence 5 is prefilled while 6 decodes, then both decode."""
    plain = {
        "step": [0, 0, 1, 1], "sequence": [5, 6, 5, 6], "prefill": [True, False, False, False],
        "flop": [9e11, 0.0, 0.0, 0.0], "bytes_moved": [0.0, 1e9, 2e9, 1e9],
    }  # fmt: skip
    return plain | RATES | changed


def test_a_step_is_split_by_the_time_its_work_would_take():
    split = by_steps(window(), [500.0, 300.0], **rows())
    assert split.sequence.tolist() == [5, 6]
    assert split.prefill_j.tolist() == pytest.approx([450.0, 0.0])
    assert split.decode_j.tolist() == pytest.approx([200.0, 50.0 + 100.0])
    assert split.totals == pytest.approx({"prefill": 450.0, "decode": 350.0, "idle": 200.0})
    assert split.energy.scope is Scope.GPU


@given(st.data())
def test_sequences_and_idle_sum_to_the_window(data):
    steps = data.draw(st.integers(1, 12))
    n = data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    joules = 10 ** rng.uniform(-3, 3, steps)
    held = {
        "step": rng.integers(0, steps, n), "sequence": rng.integers(-3, 9, n), "prefill": rng.random(n) < 0.3,
        "flop": 10 ** rng.uniform(0, 15, n), "bytes_moved": rng.choice([0.0, 1e3, 1e11], n),
    }  # fmt: skip
    total = math.fsum(joules) * data.draw(st.floats(1.0, 1000.0))
    split = by_steps(window(total), joules, **held, **RATES)
    assert math.fsum([*split.prefill_j, *split.decode_j, split.idle_j]) == pytest.approx(total, rel=1e-9)
    assert math.fsum(split.totals.values()) == pytest.approx(total, rel=1e-9)
    assert min(split.prefill_j.min(), split.decode_j.min()) >= 0
    in_steps = math.fsum(joules[np.unique(held["step"])])
    assert split.idle_j == pytest.approx(total - in_steps, abs=1e-9 * total)


def test_a_step_without_sequences_is_idle():
    split = by_steps(window(), [500.0, 300.0, 40.0], **rows())
    assert split.idle_j == pytest.approx(200.0)  # 1,000 - 500 - 300: the 40 J of the third step are in it


def test_steps_may_not_hold_more_than_the_window_beyond_its_uncertainty():
    with pytest.raises(BadInput, match="the steps hold 1100 J, the window 1000 J"):
        by_steps(window(u=40.0), [600.0, 500.0], **rows())
    assert by_steps(window(u=60.0), [600.0, 500.0], **rows()).idle_j == pytest.approx(-100.0)


def test_what_cannot_be_split_is_refused():
    with pytest.raises(BadInput, match="energy: is unknown: device_lost"):
        by_steps(window(None, reasons=("device_lost",)), [500.0, 300.0], **rows())
    with pytest.raises(BadInput, match="step 1 has sequences and no work"):
        by_steps(window(), [500.0, 300.0], **rows(bytes_moved=[0.0, 1e9, 0.0, 0.0]))
    for field, value in (
        ("step", [0, 0, 1, 2]), ("step", [0, 0, -1, 1]), ("step", [0.0, 0.0, 1.0, 1.0]), ("step", [0, 1]),
        ("prefill", [1, 0, 0, 0]), ("flop", [1.0, -1.0, 1.0, 1.0]), ("bytes_moved", [1.0, math.nan, 1.0, 1.0]),
        ("flop_per_s", 0.0), ("bytes_per_s", math.inf),
    ):  # fmt: skip
        with pytest.raises(BadInput) as caught:
            by_steps(window(), [500.0, 300.0], **rows(**{field: value}))
        assert caught.value.field == field


# Energies of steps


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=9), st.floats(1.0, 1000.0))
def test_constant_power_is_exact(lengths, watts):
    edges = np.cumsum([0.0, *lengths])
    starts, ends = edges[:-1], edges[1:]
    time = np.arange(0.0, ends[-1] + 0.3, 0.17)
    found = step_joules(np.append(time, ends[-1] + 1), np.full(time.size + 1, watts), starts, ends)
    assert found == pytest.approx(watts * (ends - starts))


def test_steps_that_touch_hold_what_the_readings_hold_together():
    rng = np.random.default_rng(7)
    time, power = np.cumsum(rng.uniform(0.01, 0.2, 50)), rng.uniform(60.0, 700.0, 50)
    edges = np.sort(np.append(rng.uniform(time[0], time[-1], 20), [time[0], time[-1]]))
    assert step_joules(time, power, edges[:-1], edges[1:]).sum() == pytest.approx(np.trapezoid(power, time))


def test_power_that_rises_within_an_interval_is_interpolated():
    found = step_joules([0.0, 10.0], [0.0, 100.0], [2.0, 4.0], [4.0, 10.0])
    assert found == pytest.approx([60.0, 420.0])


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("time_s", {"time_s": [0.0, 0.0, 2.0]}), ("time_s", {"time_s": [0.0], "power_w": [1.0]}),
        ("start_s", {"start_s": [0.5, 0.9]}), ("start_s", {"stop_s": [0.4, 2.0]}),
        ("time_s", {"start_s": [-0.1, 1.0]}), ("time_s", {"stop_s": [1.0, 2.1]}),
        ("power_w", {"power_w": [1.0, -1.0, 1.0]}), ("power_w", {"power_w": [1.0, math.nan, 1.0]}),
    ],
)  # fmt: skip
def test_readings_and_steps_out_of_order_are_refused(field, changed):
    plain = {"time_s": [0.0, 1.0, 2.0], "power_w": [1.0, 1.0, 1.0], "start_s": [0.5, 1.0], "stop_s": [1.0, 2.0]}
    with pytest.raises(BadInput) as caught:
        step_joules(**(plain | changed))
    assert caught.value.field == field
