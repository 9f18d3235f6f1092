"""Level Zero Sysman: one domain per device, faults by the codes of the interface, layouts as in the headers.

Everything is asked of two fakes of one machine: one in Python, one compiled, which shows that structures and calls
cross the border of C as the headers lay them out.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources import level_zero
from inferatlas.measure.metering.sources.level_zero import INTERFACE, Domain, fault_of, open_source, ranked

SOURCE = Path(__file__).parent / "fixtures" / "level_zero" / "ze_loader.c"
UNINITIALIZED, UNSUPPORTED = 0x78000001, 0x78000003
DEVICES = [  # type, model, name, domains
    (1, b"Data Center GPU Max 1550", b"core name", range(5)), (1, b"unknown", b"Arc Pro B60", range(5, 7)),
    (5, b"NPU", b"NPU", range(7, 8)), (1, b"Flex 170, older driver", b"", range(8, 9)),
    (1, b"integrated", b"", range(0)),
]  # fmt: skip
DOMAINS = [  # tile, kind, default and largest limit
    (1, 2, -1, -1), (1, 2, -1, -1), (0, 2, 600000, -1), (0, 1, 600000, 650000), (0, 4, -1, -1),
    (0, 2, -1, -1), (0, 5, 200000, -1), (0, 2, -1, -1), (0, 0, -1, -1),
]  # fmt: skip
MAX_CARD, ARC_PACKAGE, ARC_GPU, FLEX = 3, 5, 6, 8  # domains that may be read


class PythonLoader:
    """The machine of ``ze_loader.c``, in Python."""

    def __init__(self, old: bool) -> None:
        self.energy, self.result = [0] * len(DOMAINS), [0] * len(DOMAINS)
        self.start = self.seatless = 0
        self.started = False
        prefix = "ze" if old else "zes"
        setattr(self, f"{prefix}Init", self._old_init if old else self._init)
        setattr(self, f"{prefix}DriverGet", lambda count, handles: self._list(count, handles, [1]))
        setattr(
            self,
            f"{prefix}DeviceGet",
            lambda _, count, handles: self._list(count, handles, [101 + n for n in range(len(DEVICES))]),
        )

    def _init(self, flags):
        self.started = self.start == 0
        return self.start

    def _old_init(self, flags):
        return self._init(flags) if os.environ.get("ZES_ENABLE_SYSMAN") == "1" else UNINITIALIZED

    def _list(self, count, handles, known):
        if not self.started:
            return UNINITIALIZED
        count._obj.value = len(known)
        if handles is not None:
            handles[: len(known)] = known
        return 0

    def zesDeviceGetProperties(self, device, about):
        kind, model, name, _ = DEVICES[device.value - 101]
        about._obj.core.type, about._obj.core.name, about._obj.modelName = kind, name, model
        about._obj.core.uuid[15] = device.value - 100
        return 0

    def zesDevicePciGetProperties(self, device, seat):
        seat._obj.bus = 0x3A + device.value - 101
        return UNSUPPORTED if self.seatless else 0

    def zesDeviceEnumPowerDomains(self, device, count, handles):
        return self._list(count, handles, [1001 + n for n in DEVICES[device.value - 101][3]])

    def zesPowerGetProperties(self, domain, about):
        tile, kind, limit, most = DOMAINS[domain.value - 1001]
        if about._obj.pNext:
            if kind == 0:
                return UNSUPPORTED
            level_zero._PowerExtProperties.from_address(about._obj.pNext).domain = kind
        about._obj.onSubdevice, about._obj.defaultLimit, about._obj.maxLimit = tile, limit, most
        return 0

    def zesPowerGetEnergyCounter(self, domain, counter):
        counter._obj.energy = self.energy[domain.value - 1001]
        return self.result[domain.value - 1001]


class CompiledLoader:
    """What a test may set in the compiled library."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.energy = (ctypes.c_uint64 * len(DOMAINS)).in_dll(self.library, "energy")
        self.result = (ctypes.c_uint32 * len(DOMAINS)).in_dll(self.library, "result")

    def __setattr__(self, name, value):
        if name in ("start", "seatless"):
            ctypes.c_uint32.in_dll(self.library, name).value = value
        else:
            super().__setattr__(name, value)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Compile the loader, once for each kind."""
    compiler = shutil.which("cc")
    folder, made = tmp_path_factory.mktemp("loader"), {}

    def build(old: bool) -> Path:
        if compiler is None:
            pytest.skip("no C compiler")
        if old not in made:
            made[old] = folder / f"libze_loader_{old}.so"
            flags = ["-shared", "-fPIC", "-Wall", "-Werror", *(["-DOLD"] if old else [])]
            subprocess.run([compiler, *flags, "-o", str(made[old]), str(SOURCE)], check=True)
        return made[old]

    return build


@pytest.fixture(params=["python", "compiled"])
def machine(request, built, tmp_path, monkeypatch):
    """A machine with Intel devices, and the address under which its loader is found."""

    def make(old: bool = False):
        if request.param == "python":
            loader = PythonLoader(old)
            monkeypatch.setattr(level_zero, "_load", lambda path: loader)
            return loader, "fake"
        path = tmp_path / f"libze_loader_{old}.so.1"  # a copy: one library is one state
        shutil.copy(built(old), path)
        return CompiledLoader(path), str(path)

    monkeypatch.delenv("ZES_ENABLE_SYSMAN", raising=False)
    return make


def test_every_gpu_is_read_once_and_by_its_widest_domain(machine):
    _, address = machine()
    source = open_source(address)
    assert [(one.device, one.scope, one.name, one.limit_w) for one in source.channels] == [
        ("0000:3a:00.0", Scope.BOARD, "Data Center GPU Max 1550", 650.0),
        ("0000:3b:00.0", Scope.GPU, "Arc Pro B60", 200.0),
        ("0000:3d:00.0", None, "Flex 170, older driver", None),
    ]
    assert all(one.semantics == "counter" and one.wrap_j is None for one in source.channels)


def test_structures_are_as_large_as_the_compiler_makes_them(built):
    structures = (
        level_zero._DeviceProperties, level_zero._PciProperties, level_zero._PowerProperties,
        level_zero._PowerExtProperties, level_zero._EnergyCounter,
    )  # fmt: skip
    sizes = (ctypes.c_uint32 * len(structures)).in_dll(ctypes.CDLL(str(built(False))), "sizes")
    assert [ctypes.sizeof(one) for one in structures] == list(sizes)


def test_energy_is_in_joules_and_only_the_chosen_domain_counts(machine):
    loader, address = machine()
    loader.energy[:] = [7] * len(DOMAINS)
    loader.energy[MAX_CARD], loader.energy[ARC_GPU], loader.energy[FLEX] = 22_543_283_000_001, 1_500_000, 2**63
    readings = open_source(address).read()
    assert [one.value for one in readings] == pytest.approx([22_543_283.000001, 1.5, 2**63 / 1e6], rel=1e-15)
    assert [one.channel for one in readings] == [0, 1, 2]
    assert [one.fault for one in readings] == [Fault.NONE] * 3


def test_times_are_of_the_host_and_not_the_stamp_of_the_device(machine):
    _, address = machine()
    before = time.monotonic_ns()
    times = [one.t_ns for one in open_source(address).read()]
    assert before <= times[0] <= times[-1] <= time.monotonic_ns()


def test_a_device_that_goes_away_is_lost_and_the_others_go_on(machine):
    loader, address = machine()
    source = open_source(address)
    loader.result[MAX_CARD], loader.energy[ARC_GPU] = 0x70000001, 3_000_000
    lost, arc, _ = source.read()
    assert lost.fault is Fault.DEVICE_LOST
    assert math.isnan(lost.value)
    assert (arc.value, arc.fault) == (3.0, Fault.NONE)
    loader.result[MAX_CARD] = 0
    assert source.read()[0].fault is Fault.NONE


def test_a_domain_that_cannot_be_read_gives_way_to_the_next(machine):
    loader, address = machine()
    loader.result[ARC_GPU], loader.energy[ARC_PACKAGE] = UNSUPPORTED, 9_000_000
    source = open_source(address)
    assert source.channels[1].scope is Scope.GPU
    assert source.read()[1].value == 9.0


def test_a_device_that_may_not_be_read_stays_in_the_log_with_the_reason(machine):
    loader, address = machine()
    loader.result[FLEX] = 0x70010000
    reading = open_source(address).read()[2]
    assert reading.fault is Fault.PERMISSION_DENIED
    assert math.isnan(reading.value)


def test_nothing_readable_is_unavailable_with_what_would_help(machine):
    loader, address = machine()
    loader.result[:] = [0x70010000] * len(DOMAINS)
    with pytest.raises(Unavailable, match="permission_denied") as raised:
        open_source(address)
    assert "root" in str(raised.value.hint)


def test_an_interface_that_does_not_start_is_unavailable_with_its_code(machine):
    loader, address = machine()
    loader.start = UNINITIALIZED
    with pytest.raises(Unavailable, match="0x78000001"):
        open_source(address)


def test_without_a_seat_on_the_bus_a_device_goes_by_its_uuid(machine):
    loader, address = machine()
    loader.seatless = 1
    assert open_source(address).channels[0].device == "0" * 31 + "1"


@pytest.mark.parametrize("before", [None, "0"])
def test_an_old_loader_is_started_with_sysman_enabled_for_as_long_as_it_starts(machine, monkeypatch, before):
    if before is not None:
        monkeypatch.setenv("ZES_ENABLE_SYSMAN", before)
    loader, address = machine(old=True)
    loader.energy[MAX_CARD] = 1_000_000
    source = open_source(address)
    assert os.environ.get("ZES_ENABLE_SYSMAN") == before
    assert source.read()[0].value == 1.0


def test_tiles_that_show_as_devices_of_their_own_are_one_device(machine, monkeypatch):
    _, address = machine()
    monkeypatch.setattr(level_zero, "_identity", lambda *_: "0000:3a:00.0")  # all of them in one seat
    assert [one.name for one in open_source(address).channels] == ["Data Center GPU Max 1550"]


def test_closing_twice_is_allowed(machine):
    source = open_source(machine()[1])
    source.close()
    source.close()


def test_a_library_that_is_not_there_is_named():
    with pytest.raises(Unavailable, match=r"/nowhere/libze_loader\.so") as raised:
        open_source("/nowhere/libze_loader.so")
    assert raised.value.hint == INTERFACE.enable


def test_no_gpu_is_unavailable(machine, monkeypatch):
    _, address = machine()
    every = level_zero._devices
    monkeypatch.setattr(level_zero, "_devices", lambda library: every(library)[2:3])  # the neural processor
    with pytest.raises(Unavailable, match="no Intel GPU"):
        open_source(address)


@given(st.integers(0, 2**32 - 1))
def test_every_code_has_a_meaning_and_only_zero_is_success(code):
    assert (fault_of(code) is Fault.NONE) == (code == 0)
    assert fault_of(code - 2**32 if code >= 2**31 else code) is fault_of(code)  # as C's int returns it


@given(st.lists(st.builds(Domain, st.integers(1, 99), st.integers(-1, 9), st.none(), st.booleans())), st.randoms())
def test_the_choice_of_domain_ignores_parts_and_their_order(domains, random):
    first = [one.kind for one in ranked(domains)[:1]]
    whole = {one.kind for one in domains if not one.tile}
    assert first == [kind for kind in (1, 5, 2, 0) if kind in whole][:1]
    random.shuffle(domains)
    assert [one.kind for one in ranked(domains)[:1]] == first
