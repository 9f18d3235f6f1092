"""Energy counters of Intel GPUs (Max, Flex, Arc) by Level Zero Sysman, straight from the loader's shared library.

A device has several power domains that contain each other: tiles (on a sub-device) are inside the package, the package
is inside the card. One of them is read, never two (reference/energy.md, section 2). Structures, numbers of structure
types, domains and error codes follow the published headers, version 1.15:
https://github.com/oneapi-src/level-zero/blob/master/include/zes_api.h and ze_api.h beside it.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable
from inferatlas.measure.metering.sources.asking import Value, known, no_value

NAME = "level_zero"
LIBRARY = "libze_loader.so.1"
MICRO = 1e-6

INTERFACE = Interface(
    name=NAME,
    title="Intel GPU energy counters (Level Zero Sysman)",
    offers=(Offer("energy_j", "counter", Scope.BOARD), Offer("energy_j", "counter", Scope.GPU)),
    enable=f"Intel's GPU driver with the Level Zero loader ({LIBRARY}, in libze1 or level-zero); reading energy may "
    "need root, or read permission on the telemetry nodes",
    address="path of the loader's library, where it is not on the search path",
    notes="One power domain per device: card, else GPU, else package. Integrated GPUs have none on Linux. Some drivers "
    "now and then return a counter near 0 (https://github.com/intel/compute-runtime/issues/938).",
)

DEVICE_PROPERTIES, PCI_PROPERTIES, POWER_PROPERTIES, POWER_EXT_PROPERTIES = 0x1, 0x2, 0xD, 0x28  # zes_structure_type_t
GPU = 1  # ze_device_type_t; neural and vision processors answer to the same loader
CARD_DOMAIN, PACKAGE_DOMAIN, GPU_DOMAIN, UNNAMED_DOMAIN = 1, 2, 5, 0  # zes_power_domain_t; 3 is stack, 4 memory
# Which domain stands for the device, the best first. Drivers that name no domain answer with the unnamed one.
SCOPES: dict[int, Scope | None] = {
    CARD_DOMAIN: Scope.BOARD, GPU_DOMAIN: Scope.GPU, PACKAGE_DOMAIN: Scope.GPU, UNNAMED_DOMAIN: None,
}  # fmt: skip
FAULTS = {  # ze_result_t
    0x00000000: Fault.NONE,
    0x00000001: Fault.NOT_AVAILABLE,  # not ready
    0x70000001: Fault.DEVICE_LOST,  # hung, reset, removed, or its driver was replaced
    0x70000006: Fault.DEVICE_LOST,  # requires a reset
    0x70000007: Fault.NOT_AVAILABLE,  # in a low power state
    0x70010000: Fault.PERMISSION_DENIED,
    0x70010001: Fault.NOT_AVAILABLE,
    0x70020000: Fault.DRIVER_GONE,  # a dependency is missing
    0x78000001: Fault.DRIVER_GONE,  # not initialised
    0x78000002: Fault.NOT_SUPPORTED,  # version
    0x78000003: Fault.NOT_SUPPORTED,  # feature
}


def fault_of(code: int) -> Fault:
    """What a ``ze_result_t`` means.

    Examples
    --------
    >>> fault_of(0x70000001), fault_of(0x7FFFFFFE)
    (<Fault.DEVICE_LOST: 4>, <Fault.FAILED: 9>)
    """
    return FAULTS.get(code & 0xFFFFFFFF, Fault.FAILED)


class _Base(ctypes.Structure):
    """What every structure of the interface begins with: its type, and a pointer to a further structure."""

    _fields_ = [("stype", ctypes.c_uint32), ("pNext", ctypes.c_void_p)]


class _CoreProperties(_Base):
    """``ze_device_properties_t``."""

    _fields_ = [
        ("type", ctypes.c_uint32), ("vendorId", ctypes.c_uint32), ("deviceId", ctypes.c_uint32),
        ("flags", ctypes.c_uint32), ("subdeviceId", ctypes.c_uint32), ("coreClockRate", ctypes.c_uint32),
        ("maxMemAllocSize", ctypes.c_uint64), ("maxHardwareContexts", ctypes.c_uint32),
        ("maxCommandQueuePriority", ctypes.c_uint32), ("numThreadsPerEU", ctypes.c_uint32),
        ("physicalEUSimdWidth", ctypes.c_uint32), ("numEUsPerSubslice", ctypes.c_uint32),
        ("numSubslicesPerSlice", ctypes.c_uint32), ("numSlices", ctypes.c_uint32),
        ("timerResolution", ctypes.c_uint64), ("timestampValidBits", ctypes.c_uint32),
        ("kernelTimestampValidBits", ctypes.c_uint32), ("uuid", ctypes.c_ubyte * 16), ("name", ctypes.c_char * 256),
    ]  # fmt: skip


class _DeviceProperties(_Base):
    """``zes_device_properties_t``."""

    _fields_ = [
        ("core", _CoreProperties), ("numSubdevices", ctypes.c_uint32), ("serialNumber", ctypes.c_char * 64),
        ("boardNumber", ctypes.c_char * 64), ("brandName", ctypes.c_char * 64), ("modelName", ctypes.c_char * 64),
        ("vendorName", ctypes.c_char * 64), ("driverVersion", ctypes.c_char * 64),
    ]  # fmt: skip


class _PciProperties(_Base):
    """``zes_pci_properties_t``, with its address and its speed written out."""

    _fields_ = [
        ("domain", ctypes.c_uint32), ("bus", ctypes.c_uint32), ("device", ctypes.c_uint32),
        ("function", ctypes.c_uint32), ("gen", ctypes.c_int32), ("width", ctypes.c_int32),
        ("maxBandwidth", ctypes.c_int64), ("haveBandwidthCounters", ctypes.c_uint8),
        ("havePacketCounters", ctypes.c_uint8), ("haveReplayCounters", ctypes.c_uint8),
    ]  # fmt: skip


class _PowerProperties(_Base):
    """``zes_power_properties_t``; limits in mW, -1 where unknown."""

    _fields_ = [
        ("onSubdevice", ctypes.c_uint8), ("subdeviceId", ctypes.c_uint32), ("canControl", ctypes.c_uint8),
        ("isEnergyThresholdSupported", ctypes.c_uint8), ("defaultLimit", ctypes.c_int32),
        ("minLimit", ctypes.c_int32), ("maxLimit", ctypes.c_int32),
    ]  # fmt: skip


class _PowerExtProperties(_Base):
    """``zes_power_ext_properties_t``; a null pointer asks for no limit."""

    _fields_ = [("domain", ctypes.c_uint32), ("defaultLimit", ctypes.c_void_p)]


class _EnergyCounter(ctypes.Structure):
    """``zes_power_energy_counter_t``: uJ, us."""

    _fields_ = [("energy", ctypes.c_uint64), ("timestamp", ctypes.c_uint64)]


class Domain(NamedTuple):
    """One power domain of a device: its handle, kind (`SCOPES`), largest power in W, and whether a tile has it."""

    handle: int
    kind: int
    limit_w: float | None = None
    tile: bool = False


def ranked(domains: Sequence[Domain]) -> list[Domain]:
    """The domains that may stand for a whole device, the widest first; tiles, stacks and memory are parts of it.

    Examples
    --------
    >>> [one.handle for one in ranked([Domain(1, 2, tile=True), Domain(2, 2), Domain(3, 4), Domain(4, 1)])]
    [4, 2]
    """
    order = list(SCOPES)
    whole = [one for one in domains if not one.tile and one.kind in SCOPES]
    return sorted(whole, key=lambda one: order.index(one.kind))


@dataclass(slots=True)
class _Counters:
    """Open counters: the source."""

    library: Any
    handles: tuple[int, ...]
    channels: tuple[Channel, ...]
    name: str = NAME
    least_s: float = 0.01  # how often a counter moves is not documented
    notes: tuple[str, ...] = ()

    def read(self) -> list[Reading]:
        # The device's own stamp has a base that no document gives, and serves only for differences between stamps; the
        # host's clock right after the call is what other sources can be held against.
        found = (_energy(self.library, handle) for handle in self.handles)
        return [Reading(n, time.monotonic_ns(), *value) for n, value in enumerate(found)]

    def close(self) -> None:
        """Nothing to give back: the interface has no call that ends it."""


def open_source(address: str = "") -> Source:
    """Energy counters of every Intel GPU of this machine.

    The counter is one of 64 bit in uJ, so no wrap is expected; registers of 32 bit behind it are the driver's matter
    (https://oneapi-src.github.io/level-zero-spec/level-zero/latest/sysman/api.html, ``zes_power_energy_counter_t``).

    Parameters
    ----------
    address : path of the loader's library; "" for the one on the search path.

    Raises
    ------
    Unavailable : no library, no driver, no Intel GPU with a power domain, or none that may be read.
    """
    library = _load(address or LIBRARY)
    # one seat on the bus once: bound to zeInit, tiles may show as devices of their own (ZE_FLAT_DEVICE_HIERARCHY)
    found: dict[str, tuple[int, Channel]] = {}
    for device in _devices(library):
        for handle, channel in _of_device(library, device):
            found.setdefault(channel.device, (handle, channel))
    if not found:
        raise Unavailable("no Intel GPU with a power domain", hint="`xpu-smi discovery` lists the GPUs of a machine")
    faults = [_energy(library, handle)[1] for handle, _ in found.values()]
    if Fault.NONE not in faults:
        raise Unavailable(f"no energy counter can be read: {faults[0].code}", hint=INTERFACE.enable)
    handles, channels = zip(*found.values(), strict=True)
    return _Counters(library, handles, channels)


def _load(path: str) -> Any:
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        why = "is not installed" if "No such file" in str(error) else f"cannot be loaded: {error}"
        raise Unavailable(f"{path} {why}", hint=INTERFACE.enable) from None


def _devices(library: Any) -> list[int]:
    """Handles of all devices, by ``zesInit``; by ``zeInit`` where the loader is older, or the process bound to it."""
    code = 0
    for prefix, enabled in (("zes", nullcontext()), ("ze", _sysman_enabled())):
        start = getattr(library, f"{prefix}Init", None)
        if start is None:
            continue
        with enabled:
            code = start(0)
            if fault_of(code) is Fault.NONE:
                drivers = _all(getattr(library, f"{prefix}DriverGet"))
                return [one for driver in drivers for one in _all(getattr(library, f"{prefix}DeviceGet"), driver)]
    raise Unavailable(f"Level Zero does not start: error {code & 0xFFFFFFFF:#010x}", hint=INTERFACE.enable)


@contextmanager
def _sysman_enabled() -> Iterator[None]:
    """``ZES_ENABLE_SYSMAN=1`` while ``zeInit`` looks for it; child processes do not inherit it."""
    before = os.environ.get("ZES_ENABLE_SYSMAN")
    os.environ["ZES_ENABLE_SYSMAN"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["ZES_ENABLE_SYSMAN"]
        else:
            os.environ["ZES_ENABLE_SYSMAN"] = before


def _all(call: Any, *of: int) -> list[int]:
    """Handles from a call that first says how many there are; none where it fails."""
    owner = [ctypes.c_void_p(one) for one in of]
    count = ctypes.c_uint32(0)
    if fault_of(call(*owner, ctypes.byref(count), None)) is not Fault.NONE or not count.value:
        return []
    handles = (ctypes.c_void_p * count.value)()
    if fault_of(call(*owner, ctypes.byref(count), handles)) is not Fault.NONE:
        return []
    return [one for one in handles[: count.value] if one]


def _of_device(library: Any, device: int) -> list[tuple[int, Channel]]:
    """The domain that stands for a GPU, and what it means; nothing for other devices and GPUs without a domain."""
    about = _DeviceProperties(stype=DEVICE_PROPERTIES)
    if fault_of(library.zesDeviceGetProperties(ctypes.c_void_p(device), ctypes.byref(about))) is not Fault.NONE:
        return []
    domains = [_domain(library, one) for one in _all(library.zesDeviceEnumPowerDomains, device)]
    whole = ranked([one for one in domains if one is not None])
    if about.core.type != GPU or not whole:
        return []
    readable = [one for one in whole if _energy(library, one.handle)[1] is Fault.NONE]
    chosen = (readable or whole)[0]
    name = (about.modelName if about.modelName not in (b"", b"unknown") else about.core.name).decode(errors="replace")
    meaning = NAME, _identity(library, device, about), "energy_j", "counter", SCOPES[chosen.kind]
    return [(chosen.handle, Channel(*meaning, name=name, quantum=MICRO, gain=GAINS["board"], limit_w=chosen.limit_w))]


def _identity(library: Any, device: int, about: _DeviceProperties) -> str:
    """Where the device sits on the bus; its UUID where nobody says."""
    seat = _PciProperties(stype=PCI_PROPERTIES)
    if fault_of(library.zesDevicePciGetProperties(ctypes.c_void_p(device), ctypes.byref(seat))) is Fault.NONE:
        return f"{seat.domain:04x}:{seat.bus:02x}:{seat.device:02x}.{seat.function:x}"
    return bytes(about.core.uuid).hex()


def _domain(library: Any, handle: int) -> Domain | None:
    """What a power domain covers; None where it says nothing of itself."""
    more = _PowerExtProperties(stype=POWER_EXT_PROPERTIES)
    about = _PowerProperties(stype=POWER_PROPERTIES, pNext=ctypes.addressof(more))
    code = library.zesPowerGetProperties(ctypes.c_void_p(handle), ctypes.byref(about))
    if fault_of(code) is Fault.NOT_SUPPORTED:  # drivers before 1.4 know no kinds of domains
        about = _PowerProperties(stype=POWER_PROPERTIES)
        code = library.zesPowerGetProperties(ctypes.c_void_p(handle), ctypes.byref(about))
    if fault_of(code) is not Fault.NONE:
        return None
    most_mw = max(about.defaultLimit, about.maxLimit)
    return Domain(handle, more.domain, most_mw / 1e3 if most_mw > 0 else None, bool(about.onSubdevice))


def _energy(library: Any, handle: int) -> Value:
    counter = _EnergyCounter()
    fault = fault_of(library.zesPowerGetEnergyCounter(ctypes.c_void_p(handle), ctypes.byref(counter)))
    return known(counter.energy * MICRO) if fault is Fault.NONE else no_value(fault)
