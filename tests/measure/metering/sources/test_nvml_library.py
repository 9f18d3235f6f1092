"""The real nvidia-ml-py on a compiled library whose GPUs follow a trace, each time in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

STEP_S = 0.1
# Reads a few times over about 40 ms; times count from the origin of the trace.
READ = """
import json, os, time
import pynvml
from inferatlas.measure.metering.sources.nvml import open_source

origin = time.monotonic_ns() - int({ago_s} * 1e9)
os.environ["FAKE_NVML_ORIGIN_NS"] = str(origin)
source = open_source()
readings = []
for _ in range(5):
    readings += [(one.channel, (one.t_ns - origin) / 1e9, one.value, one.fault.code) for one in source.read()]
    time.sleep(0.01)
channels = [
    (one.device, one.quantity, one.semantics, one.scope and one.scope.label, one.part, one.shared, one.limit_w)
    for one in source.channels
]
state = [(one.throttled, one.limit_w) for one in source.state()]
source.close()
print(json.dumps({{"channels": channels, "readings": readings, "state": state, "notes": source.notes}}))
"""


def joules(parts: list[tuple[float, float]], t: float) -> float:
    """The integral of a repeating trace of (watts, seconds), from its start."""
    period, whole = sum(seconds for _, seconds in parts), sum(watts * seconds for watts, seconds in parts)
    rounds, left = divmod(t, period)
    found = rounds * whole
    for watts, seconds in parts:
        found += watts * min(left, seconds)
        left = max(0.0, left - seconds)
    return found


def expected(parts: list[tuple[float, float]], semantics: str, t: float) -> float:
    step = round(t / STEP_S) * STEP_S
    if semantics == "counter":
        return 1e6 + joules(parts, step)
    if semantics == "average":
        return joules(parts, step) - joules(parts, step - 1.0)
    return (joules(parts, step + 1e-6) - joules(parts, step)) / 1e-6


@pytest.mark.parametrize(
    ("parts", "ago_s"),
    [
        ([(500.0, 1.0)], 20.0),
        ([(75.0, 10.0), (700.0, 1.0), (75.0, 1000.0)], 10.5),
        ([(75.0, 1.0), (700.0, 1.0)], 7.3),
    ],
    ids=["constant", "burst", "square wave"],
)
def test_power_and_energy_follow_the_trace(
    under_fake_nvml: Callable[..., Any], parts: list[tuple[float, float]], ago_s: float
) -> None:
    trace = ",".join(f"{watts}:{seconds}" for watts, seconds in parts)
    found = under_fake_nvml(READ.format(ago_s=ago_s), trace=trace, scopes="gpu")
    semantics = [channel[2] for channel in found["channels"]]
    assert semantics == ["instant", "average", "counter"]
    readings = [one for one in found["readings"] if one[3] != "throttled"]  # at 700 W, which is the limit
    assert len(readings) == 15
    for n, t, value, _ in readings:
        # the library's own clock was read a moment before ours, perhaps in the step before
        near = [expected(parts, semantics[n], math.floor(t / STEP_S) * STEP_S - back) for back in (0.0, STEP_S)]
        assert any(math.isclose(value, one, abs_tol=2e-3) for one in near), (semantics[n], t, value, near)


def test_gpus_have_traces_of_their_own_and_memory_is_a_part(under_fake_nvml: Callable[..., Any]) -> None:
    found = under_fake_nvml(READ.format(ago_s=5), gpus=3, trace="500;300")
    channels = found["channels"]
    assert [channel[1:5] for channel in channels[:5]] == [
        ["power_w", "instant", "gpu", ""],
        ["power_w", "average", "gpu", ""],
        ["power_w", "instant", "gpu", "memory"],
        ["power_w", "average", "gpu", "memory"],
        ["energy_j", "counter", "gpu", ""],
    ]
    assert len({channel[0] for channel in channels}) == 3
    values = [value for _, _, value, _ in found["readings"][:15]]
    assert values[0:4] == [500.0, 500.0, 100.0, 100.0]
    assert values[5:9] == values[10:14] == [300.0, 300.0, 60.0, 60.0]


GPU_POWER, MODULE_POWER = [("instant", "gpu"), ("average", "gpu")], [("instant", "module"), ("average", "module")]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"scopes": "module", "energy": "", "counter": "module"}, [*MODULE_POWER, ("counter", "module")]),
        (
            {"scopes": "gpu module", "energy": "gpu module"},
            [*GPU_POWER, *MODULE_POWER, ("counter", "gpu"), ("counter", "module")],
        ),
        ({"scopes": "", "energy": "", "capability": "8.0"}, [("instant", "gpu"), ("counter", "gpu")]),
        ({"scopes": "", "energy": "", "capability": "8.6", "counter": "none"}, [("average", "gpu")]),
    ],
    ids=["gh200", "gb200", "a100", "without counter"],
)
def test_scopes_are_those_that_answer(
    under_fake_nvml: Callable[..., Any], settings: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    found = under_fake_nvml(READ.format(ago_s=5), gpus=2, **settings)
    assert [(semantics, scope) for _, _, semantics, scope, *_ in found["channels"]] == expected * 2
    for _, _, _, scope, _, shared, limit_w in found["channels"]:
        assert (shared, limit_w) == ((True, 900.0) if scope == "module" else (False, 700.0))
    watts = {
        (scope, value)
        for n, _, value, _ in found["readings"]
        for _, quantity, _, scope, *_ in [found["channels"][n]]
        if quantity == "power_w"
    }
    assert watts == {(scope, 700.0 if scope == "module" else 500.0) for _, scope in expected}


def test_a_gpu_that_is_lost_leaves_the_other(under_fake_nvml: Callable[..., Any]) -> None:
    # lost 20 ms after opening, or on a slow machine before it is opened
    found = under_fake_nvml(READ.format(ago_s=0.0), gpus=2, lost="1@0.02", scopes="gpu")
    kept, gone = ({fault for n, _, _, fault in found["readings"] if (n >= 3) == late} for late in (False, True))
    assert kept == {"none"}
    assert "device_lost" in gone or found["notes"] == ["GPU 1 is not read: GPU is lost"]


def test_the_state_comes_from_the_library(under_fake_nvml: Callable[..., Any]) -> None:
    found = under_fake_nvml(READ.format(ago_s=5), gpus=2, trace="700;50")
    assert found["state"] == [[True, 700.0], [False, 700.0]]
