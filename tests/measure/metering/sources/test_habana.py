"""Gaudi by pyhlml: units, identities, and what to make of its errors and its habits."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import pytest

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.habana import INTERFACE, open_source

LIBRARY = Path(__file__).parent / "fixtures" / "habana" / "hlml.c"
UNINITIALIZED, NOT_SUPPORTED, ALREADY_INITIALIZED, NOT_FOUND, LOST, UNKNOWN = 1, 3, 5, 6, 15, 49


class HlmlError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"HLML Error with code {value}")
        self.value = value


class FakeHlml(types.ModuleType):
    """The calls of ``pyhlml`` 1.9.0.580.1 that are used, with its one handle for all devices, and bytes for text."""

    def __init__(self, devices: int = 2) -> None:
        super().__init__("pyhlml")
        self.main = types.SimpleNamespace(LibHLML=lambda path="/usr/lib/habanalabs/libhlml.so": path)
        self.power, self.energy = [100_000 * (n + 1) for n in range(devices)], [5_000 * (n + 1) for n in range(devices)]
        self.result: dict[tuple[str, int], int] = {}
        self.path, self.shutdowns, self._handle = "", 0, ctypes.c_void_p()

    def _check(self, call: str, index: int = 0) -> None:
        if code := self.result.get((call, index), 0):
            raise HlmlError(code)

    def hlmlInit(self):
        self.path = self.main.LibHLML()
        if self.result.get(("load", 0)):
            print("Failed to load libhlml")
        self._check("load")
        self._check("init")

    def hlmlShutdown(self):
        self.shutdowns += 1

    def hlmlDeviceGetCount(self):
        self._check("count")
        return len(self.power)

    def hlmlDeviceGetHandleByIndex(self, index):
        self._check("handle", index)
        self._handle.value = 1000 + index
        return self._handle

    def hlmlDeviceGetUUID(self, handle):
        self._check("uuid", handle.value - 1000)
        return b"uuid-%d" % (handle.value - 1000)

    def hlmlDeviceGetSerial(self, handle):
        self._check("serial", handle.value - 1000)
        return b"AN%d" % (handle.value - 1000)

    def hlmlDeviceGetName(self, handle):
        return b"HL-225"

    def hlmlDeviceGetPowerManagementDefaultLimit(self, handle):
        self._check("limit")
        return 600_000

    def hlmlDeviceGetPowerUsage(self, handle):
        self._check("power", handle.value - 1000)
        return self.power[handle.value - 1000]

    def hlmlDeviceGetTotalEnergyConsumption(self, handle):
        self._check("energy", handle.value - 1000)
        return self.energy[handle.value - 1000]


@pytest.fixture
def hlml(monkeypatch):
    fake = FakeHlml()
    monkeypatch.setitem(sys.modules, "pyhlml", fake)
    return fake


def test_each_device_gives_its_counter_in_joules_and_its_power_in_watts(hlml):
    source = open_source()
    assert [(one.device, one.quantity, one.name, one.limit_w) for one in source.channels] == [
        ("uuid-0", "energy_j", "HL-225", 600.0), ("uuid-0", "power_w", "HL-225", 600.0),
        ("uuid-1", "energy_j", "HL-225", 600.0), ("uuid-1", "power_w", "HL-225", 600.0),
    ]  # fmt: skip
    assert [one.value for one in source.read()] == [5.0, 100.0, 10.0, 200.0]
    assert {one.scope for one in source.channels} == {Scope.BOARD}


def test_devices_are_told_apart_although_the_package_reuses_its_handle(hlml):
    hlml.power = [1_000, 2_000]
    assert [one.value for one in open_source().read()][1::2] == [1.0, 2.0]


def test_semantics_of_power_are_marked_as_assumed(hlml):
    assert [one.assumed for one in open_source().channels] == [False, True] * 2


def test_a_lost_device_is_lost_and_the_other_goes_on(hlml):
    source = open_source()
    hlml.result = {("energy", 0): LOST, ("power", 0): LOST}
    readings = source.read()
    assert [one.fault for one in readings] == [Fault.DEVICE_LOST] * 2 + [Fault.NONE] * 2
    assert all(math.isnan(one.value) for one in readings[:2])


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (1, Fault.DRIVER_GONE), (3, Fault.NOT_SUPPORTED), (6, Fault.DEVICE_LOST), (9, Fault.DRIVER_GONE),
        (10, Fault.TIMEOUT), (15, Fault.DEVICE_LOST), (20, Fault.FAILED), (21, Fault.NOT_AVAILABLE),
        (49, Fault.FAILED), (1234, Fault.FAILED),
    ],
)  # fmt: skip
def test_every_code_becomes_a_fault_and_never_a_value(hlml, code, fault):
    source = open_source()
    hlml.result = {("power", 1): code}
    reading = source.read()[3]
    assert reading.fault is fault
    assert math.isnan(reading.value)


def test_an_exception_of_another_kind_does_not_leave_read(hlml):
    source = open_source()
    hlml.power = None
    assert [one.fault for one in source.read()][1::2] == [Fault.FAILED] * 2


def test_what_a_device_does_not_support_is_no_channel(hlml):
    hlml.result = {("energy", 0): NOT_SUPPORTED, ("energy", 1): 2}
    assert [(one.device, one.quantity) for one in open_source().channels] == [
        ("uuid-0", "power_w"),
        ("uuid-1", "power_w"),
    ]


def test_what_fails_at_the_start_may_answer_later(hlml):
    hlml.result = {("energy", 0): UNKNOWN}
    source = open_source()
    assert source.read()[0].fault is Fault.FAILED
    hlml.result = {}
    assert source.read()[0].value == 5.0


def test_a_device_that_is_lost_from_the_start_is_in_the_log(hlml):
    hlml.result = {("handle", 0): LOST}
    source = open_source()
    assert [one.device for one in source.channels] == ["index 0", "uuid-1", "uuid-1"]
    assert [one.fault for one in source.read()] == [Fault.DEVICE_LOST, Fault.NONE, Fault.NONE]


def test_a_device_without_a_uuid_goes_by_its_serial_number(hlml):
    hlml.result = {("uuid", 0): NOT_SUPPORTED, ("uuid", 1): NOT_SUPPORTED, ("serial", 1): NOT_SUPPORTED}
    assert [one.device for one in open_source().channels][::2] == ["AN0", "index 1"]


def test_devices_that_all_give_one_identity_are_told_apart(hlml, monkeypatch):
    monkeypatch.setattr(hlml, "hlmlDeviceGetUUID", lambda handle: b"00000000")
    source = open_source()
    assert [one.device for one in source.channels] == ["00000000 1"] * 2 + ["00000000 2"] * 2
    assert [one.value for one in source.read()] == [5.0, 100.0, 10.0, 200.0]


@pytest.mark.parametrize("answer", [None, "100 W", float("nan"), float("inf"), 10**400, b"1"])
def test_an_answer_that_is_no_number_has_a_fault_and_no_value(hlml, monkeypatch, answer):
    source = open_source()
    monkeypatch.setattr(hlml, "power", [answer, answer])
    readings = source.read()[1::2]
    assert all(one.fault is not Fault.NONE and math.isnan(one.value) for one in readings)


def test_a_library_that_fails_to_end_does_not_raise(hlml):
    source = open_source()
    hlml.hlmlShutdown = None
    source.close()
    assert source.read() == []


def test_a_package_of_another_build_is_unavailable(hlml):
    del hlml.main
    with pytest.raises(Unavailable, match="does not start"):
        open_source()


def test_an_unknown_limit_is_none(hlml):
    hlml.result = {("limit", 0): NOT_SUPPORTED}
    assert {one.limit_w for one in open_source().channels} == {None}


def test_the_address_is_the_path_of_the_library_and_the_default_is_put_back(hlml):
    default = hlml.main.LibHLML
    open_source("/opt/libhlml.so")
    assert hlml.path == "/opt/libhlml.so"
    assert hlml.main.LibHLML is default
    open_source()
    assert hlml.path == "/usr/lib/habanalabs/libhlml.so"


def test_a_library_that_does_not_load_is_unavailable_and_stdout_stays_clean(hlml, capsys):
    hlml.result = {("load", 0): UNINITIALIZED}
    with pytest.raises(Unavailable, match=r"/x/libhlml\.so does not start: driver_gone"):
        open_source("/x/libhlml.so")
    assert capsys.readouterr().out == ""


def test_no_package_is_unavailable_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyhlml", None)
    with pytest.raises(Unavailable, match="pyhlml is not installed") as raised:
        open_source()
    assert raised.value.hint == "pip install 'inferatlas[habana]'"
    assert INTERFACE.extra == "habana"


@pytest.mark.parametrize("result", [{("count", 0): 9}, {(call, n): 3 for call in ("energy", "power") for n in (0, 1)}])
def test_no_device_that_answers_is_unavailable_and_the_library_is_given_back(hlml, result):
    hlml.result = result
    with pytest.raises(Unavailable):
        open_source()
    assert hlml.shutdowns == 1


def test_closing_shuts_down_once_and_later_readings_hold_nothing(hlml):
    source = open_source()
    source.close()
    source.close()
    assert hlml.shutdowns == 1
    assert source.read() == []


def test_what_others_started_is_not_shut_down(hlml):
    hlml.result = {("init", 0): ALREADY_INITIALIZED}
    source = open_source()
    assert source.read()[1].value == 100.0
    source.close()
    assert hlml.shutdowns == 0


@pytest.mark.skipif(find_spec("pyhlml") is None, reason="pyhlml is not installed")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_package_itself_reads_a_compiled_library(tmp_path):
    path = tmp_path / "libhlml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(path), str(LIBRARY)], check=True)
    source = open_source(str(path))
    assert [one.device for one in source.channels] == ["uuid-0", "uuid-0", "uuid-1", "uuid-1"]
    assert [one.value for one in source.read()] == [1234.567, 90.0, 8.0, 450.5]
    (ctypes.c_int * 2).in_dll(ctypes.CDLL(str(path)), "result")[1] = LOST
    assert [one.fault for one in source.read()] == [Fault.NONE] * 2 + [Fault.DEVICE_LOST] * 2
    source.close()
