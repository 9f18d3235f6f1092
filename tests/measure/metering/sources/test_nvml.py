"""NVIDIA GPUs as they answer, one that goes away, a driver that is loaded again; the library is a stand-in."""

from __future__ import annotations

import math
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.nvml import INTERFACE, RETRY_NS, open_source
from inferatlas.measure.metering.sources.nvml_errors import FAULTS
from inferatlas.measure.metering.sources.nvml_fields import ask, value_of

LOST, NOT_LOADED, NO_PERMISSION, NOT_AVAILABLE_MW = 15, 9, 4, 0xFFFFFFFF / 1e3


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.ns = 10**12

    def __call__(self) -> int:
        return self.ns


def kinds(source: Any) -> list[tuple[Any, ...]]:
    return [(one.quantity, one.semantics, one.scope and one.scope.label, one.part) for one in source.channels]


def values(source: Any) -> dict[tuple[Any, ...], float]:
    return dict(zip(kinds(source), (one.value for one in source.read()), strict=True))


def faults(source: Any, device: str) -> set[str]:
    """What stands in the place of the values of one GPU."""
    return {one.fault.code for one in source.read() if source.channels[one.channel].device == device}


INSTANT, AVERAGE = ("power_w", "instant", "gpu", ""), ("power_w", "average", "gpu", "")
COUNTER = ("energy_j", "counter", "gpu", "")
OF_MODULE = [("power_w", "instant", "module", ""), ("power_w", "average", "module", "")]
MODULE_COUNTER = ("energy_j", "counter", "module", "")
MEMORY = ("power_w", "average", "gpu", "memory")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("h100", [INSTANT, AVERAGE, MEMORY, COUNTER]),
        ("gh200", [*OF_MODULE, MODULE_COUNTER]),
        ("gb10", [INSTANT, AVERAGE, COUNTER]),
        ("gb200", [INSTANT, AVERAGE, *OF_MODULE, MEMORY, COUNTER, MODULE_COUNTER]),
        ("a100", [INSTANT, COUNTER]),
        ("a40", [AVERAGE, COUNTER]),
        ("v100", [INSTANT, COUNTER]),
        ("p100", [INSTANT]),
    ],
)
def test_a_gpu_has_the_channels_that_it_answers(fake_nvml: Any, profile: str, expected: list[tuple[Any, ...]]) -> None:
    fake_nvml.add(profile)
    assert kinds(open_source()) == expected


def test_milliwatts_and_millijoules_become_watts_and_joules(fake_nvml: Any) -> None:
    fake_nvml.add("h100")
    assert values(open_source()) == {INSTANT: 412.345, AVERAGE: 400.0, MEMORY: 80.5, COUNTER: 1e6}


def test_channels_say_what_they_mean(fake_nvml: Any) -> None:
    fake_nvml.add("h100", uuid="GPU-5ee1")
    instant, average, memory, counter = open_source().channels
    assert {one.device for one in (instant, average, memory, counter)} == {"GPU-5ee1"}
    assert instant.name == "NVIDIA H100 80GB HBM3 #0"
    assert (instant.window_s, average.window_s, counter.window_s) == (None, 1.0, None)
    assert {(one.update_s, one.quantum, one.limit_w, one.shared) for one in (instant, memory, counter)} == {
        (0.1, 1e-3, 650.0, False)
    }


def test_the_limit_is_asked_for_in_two_ways(fake_nvml: Any) -> None:
    fake_nvml.add("a100")
    assert open_source().channels[0].limit_w == 400.0
    fake_nvml.gpus[0].limit_w = None
    assert open_source().channels[0].limit_w is None


def test_the_limit_of_a_gpu_is_not_taken_for_that_of_its_module(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("gh200")
    assert {one.limit_w for one in open_source().channels} == {1000.0}
    del gpu.fields[190, 1]
    assert {one.limit_w for one in open_source().channels} == {None}


@pytest.mark.parametrize("profile", ["gh200", "gb200"])
def test_meters_of_modules_are_shared_where_there_are_several_gpus(fake_nvml: Any, profile: str) -> None:
    fake_nvml.add(profile)
    assert not any(one.shared for one in open_source().channels)
    fake_nvml.add(profile)
    for one in open_source().channels:
        assert one.shared == (one.scope is Scope.MODULE)


def test_the_plain_counter_is_of_the_module_where_only_the_module_gives_power(fake_nvml: Any) -> None:
    fake_nvml.add("gh200")
    source = open_source()
    assert values(source)[MODULE_COUNTER] == 2e6
    assert fake_nvml.calls["nvmlDeviceGetTotalEnergyConsumption"] == 2  # at opening, and now


@pytest.mark.parametrize("energies", [{}, {(191, 0): 3e6}, {(191, 0): 3e6, (191, 1): 3e6 + 100}])
def test_a_counter_of_gpu_or_module_has_no_scope(fake_nvml: Any, energies: dict[tuple[int, int], float]) -> None:
    gpu = fake_nvml.add("gb200")
    del gpu.fields[191, 0], gpu.fields[191, 1]
    gpu.fields |= energies
    fake_nvml.add("gb200")
    source = open_source()
    (counter,) = (one for one in source.channels if one.quantity == "energy_j" and one.device == "GPU-0")
    assert (counter.scope, counter.shared, counter.limit_w) == (None, True, None)
    assert "nothing tells whether" in source.notes[0]


def test_a_gpu_without_counter_says_so_and_reads_no_zero(fake_nvml: Any) -> None:
    fake_nvml.add("p100")
    source = open_source()
    assert source.notes == ("Tesla P100-SXM2-16GB #0: no energy counter (not_supported)",)
    assert [one.value for one in source.read()] == [120.0]


def test_a_power_call_of_an_unknown_chip_is_taken_as_instant_and_marked(fake_nvml: Any) -> None:
    fake_nvml.add("a40", capability=None)
    power = open_source().channels[0]
    assert (power.semantics, power.assumed) == ("instant", True)


def test_one_field_that_a_driver_does_not_know_leaves_the_others(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("h100")
    gpu.errors[185, 2] = 2
    assert kinds(open_source()) == [INSTANT, AVERAGE, COUNTER]


def test_all_fields_of_a_gpu_are_read_in_one_call(fake_nvml: Any) -> None:
    for _ in range(3):
        fake_nvml.add("h100")
    source = open_source(clock=Clock())
    source.read()  # what limits the clocks is asked once a second, here
    fake_nvml.calls.clear()
    source.read()
    assert fake_nvml.calls == {"nvmlDeviceGetFieldValues": 3}


def test_a_throttled_gpu_is_marked_once_a_second_on_all_its_channels(fake_nvml: Any) -> None:
    fake_nvml.add("h100", reasons=0x4), fake_nvml.add("h100", reasons=0x1)
    clock = Clock()
    source = open_source(clock=clock)
    own = len(source.channels) // 2

    def marked() -> list[int]:
        return [one.channel for one in source.read() if one.fault is Fault.THROTTLED]

    assert marked() == list(range(own))
    assert marked() == []
    clock.ns += 10**9
    assert marked() == list(range(own))


def test_a_counter_beyond_32_bits_is_read_whole(fake_nvml: Any) -> None:
    fake_nvml.add("h100", energy_j=0.0).fields[191, 0] = 3e9
    assert values(open_source())[COUNTER] == 3e9


@given(st.integers(0, 2**32 - 2), st.integers(0, 2**64 - 2))
def test_every_number_but_all_ones_is_a_value(mw: int, mj: int) -> None:
    power = SimpleNamespace(nvmlReturn=0, valueType=1, value=SimpleNamespace(uiVal=mw, ullVal=mj))
    energy = SimpleNamespace(nvmlReturn=0, valueType=3, value=power.value)
    assert (value_of(power), value_of(energy)) == ((mw / 1e3, Fault.NONE), (mj / 1e3, Fault.NONE))


@pytest.mark.parametrize(
    ("kind", "member", "number", "expected"),
    [
        (0, "dVal", 75_500.0, 75.5),
        (0, "dVal", float("nan"), Fault.NOT_AVAILABLE),
        (0, "dVal", float("inf"), Fault.UNREADABLE),
        (1, "uiVal", 0xFFFFFFFF, Fault.NOT_AVAILABLE),
        (2, "ulVal", 75_000, 75.0),
        (3, "ullVal", 2**64 - 1, Fault.NOT_AVAILABLE),
        (3, "ullVal", 0xFFFFFFFF, 4294967.295),  # a counter passes through it
        (4, "sllVal", 75_000, 75.0),
        (5, "siVal", 75_000, 75.0),
        (6, "usVal", 75, 0.075),
        (7, "uiVal", 75_000, Fault.UNREADABLE),
    ],
)
def test_the_value_is_where_its_type_says(kind: int, member: str, number: float, expected: float | Fault) -> None:
    value, fault = value_of(SimpleNamespace(nvmlReturn=0, valueType=kind, value=SimpleNamespace(**{member: number})))
    assert (fault if math.isnan(value) else value) == expected
    assert math.isnan(value) == isinstance(expected, Fault) == (fault is not Fault.NONE)


@given(
    st.integers(-(2**33), 2**33),
    st.integers(-3, 99),
    st.integers(-(2**63), 2**64 - 1) | st.floats() | st.just(10**400) | st.none() | st.text(max_size=3),
)
def test_no_field_raises_or_gives_a_number_that_is_none(code: int, kind: int, number: Any) -> None:
    members = dict.fromkeys(("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal"), number)
    field = SimpleNamespace(nvmlReturn=code, valueType=kind, value=SimpleNamespace(**members))
    binding = SimpleNamespace(NVMLError=OSError, nvmlDeviceGetFieldValues=lambda handle, keys: [field])
    ((value, fault),) = ask(binding, None, [(186, 0)]).values()
    assert math.isfinite(value) == (fault is Fault.NONE)


def test_a_binding_that_does_not_fit_its_library_is_a_failure_and_does_not_raise(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("a100")
    source = open_source()
    gpu.usage_w = lambda: 1 / 0
    assert [one.fault for one in source.read()] == [Fault.FAILED, Fault.NONE]


def test_not_available_is_a_fault_and_not_a_number(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("a100")
    source = open_source()
    gpu.usage_w = NOT_AVAILABLE_MW
    fake_nvml._nvmlDeviceGetTotalEnergyConsumption = lambda _handle, mj: setattr(mj._obj, "value", 2**64 - 1) or 0
    assert faults(source, "GPU-0") == {"not_available"}


def test_a_fault_of_one_field_leaves_the_others(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("h100")
    source = open_source()
    gpu.errors[185, 0] = 3
    found = [one.fault for one in source.read()]
    assert found == [Fault.NONE, Fault.NOT_SUPPORTED, Fault.NONE, Fault.NONE]


def test_every_code_of_the_binding_is_in_the_table() -> None:
    import pynvml

    codes = {getattr(pynvml, name) for name in dir(pynvml) if name.startswith("NVML_ERROR_")}
    assert codes - set(FAULTS) == set()


def test_times_are_taken_right_after_each_call(fake_nvml: Any) -> None:
    clock = Clock()
    gpu = fake_nvml.add("a100")

    def slow(value: float) -> float:
        clock.ns += 10
        return value

    source = open_source(clock=clock)
    start = clock.ns
    gpu.usage_w, gpu.energy_j = lambda: slow(250.0), lambda: slow(5e5)
    assert [one.t_ns - start for one in source.read()] == [10, 20]


def test_a_lost_gpu_leaves_the_others_and_comes_back(fake_nvml: Any) -> None:
    clock = Clock()
    gpu, _ = fake_nvml.add("h100"), fake_nvml.add("h100")
    source = open_source(clock=clock)
    gpu.status = LOST
    for _ in range(3):
        assert faults(source, "GPU-0") == {"device_lost"}
        assert faults(source, "GPU-1") == {"none"}
    gpu.status = 0
    clock.ns += RETRY_NS
    assert faults(source, "GPU-0") == {"none"}


def test_what_is_lost_is_looked_for_once_in_a_while(fake_nvml: Any) -> None:
    clock = Clock()
    gpu = fake_nvml.add("h100")
    source = open_source(clock=clock)
    gpu.status = LOST
    for _ in range(50):
        source.read()
        clock.ns += RETRY_NS // 10
    assert 1 < fake_nvml.calls["nvmlDeviceGetHandleByUUID"] <= 6


def test_a_driver_that_is_loaded_again_is_started_again(fake_nvml: Any) -> None:
    clock = Clock()
    gpu, _ = fake_nvml.add("h100"), fake_nvml.add("h100")
    source = open_source(clock=clock)
    fake_nvml.status = NOT_LOADED
    for _ in range(20):
        assert faults(source, "GPU-0") == faults(source, "GPU-1") == {"driver_gone"}
        clock.ns += RETRY_NS // 10
    assert fake_nvml.calls["nvmlInitWithFlags"] <= 4
    fake_nvml.status, fake_nvml.started = 0, 0
    fake_nvml.gpus.reverse()  # and its numbers changed
    gpu.fields[191, 0] = 3.0
    clock.ns += RETRY_NS
    assert faults(source, "GPU-0") == faults(source, "GPU-1") == {"none"}
    assert [one.value for one in source.read()][3] == 3.0
    assert fake_nvml.started == 1


def test_a_library_that_was_shut_down_by_others_is_started_again(fake_nvml: Any) -> None:
    fake_nvml.add("h100")
    source = open_source(clock=Clock())
    fake_nvml.started = 0
    assert faults(source, "GPU-0") == {"driver_gone"}
    assert faults(source, "GPU-0") == {"none"}


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        (["GPU-9"], "device_changed"),
        (["GPU-9", "GPU-1"], "device_changed"),
        (["GPU-1"], "device_lost"),
        ([], "device_lost"),
    ],
)
def test_another_gpu_in_the_place_of_one_is_told_from_none(fake_nvml: Any, instead: list[str], expected: str) -> None:
    clock = Clock()
    fake_nvml.add("h100")
    fake_nvml.add("h100")
    source = open_source(clock=clock)
    fake_nvml.status = NOT_LOADED
    source.read()
    fake_nvml.status, fake_nvml.gpus = 0, []
    for uuid in instead:
        fake_nvml.add("h100", uuid=uuid)
    clock.ns += RETRY_NS
    assert faults(source, "GPU-0") == {expected}
    assert faults(source, "GPU-1") == {"none" if "GPU-1" in instead else "device_lost"}


def test_slices_of_a_gpu_are_not_listed_so_no_watt_is_repeated(fake_nvml: Any) -> None:
    fake_nvml.add("h100")
    fake_nvml.add("h100")
    source = open_source()
    assert sum(one.value for one in source.read() if kinds(source)[one.channel] == INSTANT) == 2 * 412.345
    assert {one.device for one in source.channels} == {"GPU-0", "GPU-1"}
    assert fake_nvml.calls["nvmlDeviceGetMigDeviceHandleByIndex"] == 0


def test_a_gpu_that_cannot_be_opened_is_noted_and_the_others_are_read(fake_nvml: Any) -> None:
    fake_nvml.add("h100", status=LOST)
    fake_nvml.add("v100")
    source = open_source()
    assert source.notes == ("GPU 0 is not read: GPU is lost",)
    assert {one.device for one in source.channels} == {"GPU-1"}
    assert [one.channel for one in source.read()] == [0, 1]


def test_a_permission_taken_away_is_a_fault(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("h100")
    source = open_source()
    gpu.status = NO_PERMISSION
    assert faults(source, "GPU-0") == {"permission_denied"}


def test_without_permission_it_says_what_is_needed(fake_nvml: Any) -> None:
    fake_nvml.add("h100", status=NO_PERMISSION)
    with pytest.raises(Unavailable, match="does not let this user read any GPU") as caught:
        open_source()
    assert "/dev/nvidia" in str(caught.value)
    assert fake_nvml.started == 0


def test_a_virtual_gpu_has_no_meter(fake_nvml: Any) -> None:
    fake_nvml.add("vgpu")
    with pytest.raises(Unavailable, match="GRID T4-16Q #0 gives neither energy nor power") as caught:
        open_source()
    assert "host" in str(caught.value)
    assert fake_nvml.started == 0


def test_without_gpu_it_says_so(fake_nvml: Any) -> None:
    with pytest.raises(Unavailable, match="lists no GPU"):
        open_source()
    assert fake_nvml.started == 0


@pytest.mark.parametrize(
    ("code", "message"),
    [(9, "driver is not loaded"), (18, "differ in version"), (4, "does not let"), (999, "cannot start")],
)
def test_a_library_that_does_not_start_says_why(fake_nvml: Any, code: int, message: str) -> None:
    fake_nvml.status = code
    with pytest.raises(Unavailable, match=message) as caught:
        open_source()
    assert caught.value.hint


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def missing(_name: str) -> None:
        raise OSError("no such file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", missing)
    with pytest.raises(Unavailable, match=r"libnvidia-ml\.so\.1 is not installed"):
        open_source()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(Unavailable, match="nvidia-ml-py is not installed") as caught:
        open_source()
    assert caught.value.hint == "pip install 'inferatlas[nvidia]'"


def test_an_obsolete_package_in_its_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", ModuleType("pynvml"))
    with pytest.raises(Unavailable, match="obsolete package 'pynvml'"):
        open_source()


def test_an_address_is_refused() -> None:
    with pytest.raises(BadInput, match="takes no address"):
        open_source("0")


def test_the_library_is_given_back_once(fake_nvml: Any) -> None:
    fake_nvml.add("h100")
    source = open_source()
    assert fake_nvml.started == 1
    other = threading.Thread(target=source.close)
    other.start()
    other.join()
    source.close()
    assert (fake_nvml.started, fake_nvml.calls["nvmlShutdown"]) == (0, 1)
    assert (source.read(), source.state()) == ([], [])


def test_a_driver_that_is_gone_is_not_given_back_again(fake_nvml: Any) -> None:
    fake_nvml.add("h100")
    source = open_source(clock=Clock())
    fake_nvml.status = NOT_LOADED
    source.read()
    source.read()
    fake_nvml.status, before = 0, fake_nvml.calls["nvmlShutdown"]
    source.close()
    assert fake_nvml.calls["nvmlShutdown"] == before


def test_the_state_tells_throttling(fake_nvml: Any) -> None:
    gpu, _ = fake_nvml.add("h100", reasons=0x4), fake_nvml.add("h100", reasons=0x1)
    source = open_source()
    hot, idle = source.state()
    assert (hot.device, hot.reasons, hot.throttled) == ("GPU-0", ("sw_power_cap",), True)
    assert (hot.temperature_c, hot.clock_hz, hot.memory_clock_hz, hot.limit_w) == (45.0, 1.98e9, 2.619e9, 700.0)
    assert (idle.reasons, idle.throttled) == (("gpu_idle",), False)
    gpu.status = LOST
    source.read()
    assert [one.device for one in source.state()] == ["GPU-1"]


def test_the_state_of_an_older_driver_has_older_names(fake_nvml: Any) -> None:
    gpu = fake_nvml.add("h100", reasons=0x40)
    gpu.errors["nvmlDeviceGetCurrentClocksEventReasons"] = 13
    (state,) = open_source().state()
    assert (state.reasons, state.throttled) == (("hw_thermal_slowdown",), True)
    gpu.errors["nvmlDeviceGetCurrentClocksThrottleReasons"] = 3
    assert open_source().state()[0].throttled is None


def test_every_channel_is_of_a_kind_that_the_interface_offers(fake_nvml: Any) -> None:
    for profile in ("h100", "gh200", "gb10", "gb200", "a100", "a40", "v100", "p100"):
        fake_nvml.add(profile)
    offered = {(one.quantity, one.semantics, one.scope, one.window_s) for one in INTERFACE.offers}
    assert {(one.quantity, one.semantics, one.scope, one.window_s) for one in open_source().channels} == offered
