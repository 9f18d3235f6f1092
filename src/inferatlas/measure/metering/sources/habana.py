"""Power and energy counters of Intel Gaudi by HLML, through Habana's Python package ``pyhlml``.

Calls, units and error codes:
https://docs.habana.ai/en/latest/Management_and_Monitoring/HLML_API/HLML_C_API.html and ``pyhlml`` 1.9.0.580.1.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Quantity, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable
from inferatlas.measure.metering.sources.asking import Value, known, no_value, told_apart

NAME = "habana"
MILLI = 1e-3

INTERFACE = Interface(
    name=NAME,
    title="Intel Gaudi power and energy counters (HLML)",
    offers=(Offer("energy_j", "counter", Scope.BOARD), Offer("power_w", "instant", Scope.BOARD)),
    enable="`pip install 'inferatlas[habana]'` on a machine with Intel Gaudi's driver and its library, libhlml.so",
    extra="habana",
    address="path of libhlml.so, where it is not /usr/lib/habanalabs/libhlml.so",
    notes="The documents say power 'of the device', neither whether it is an average nor what it covers: taken as "
    "instant and as the card's, whose rating is the limit that HLML gives.",
)

ALREADY_INITIALIZED = 5
FAULTS = {  # hlml_return_t
    1: Fault.DRIVER_GONE,  # not initialised
    2: Fault.NOT_SUPPORTED,  # invalid argument: how pyhlml says that the library lacks the call
    3: Fault.NOT_SUPPORTED,
    6: Fault.DEVICE_LOST,  # not found
    9: Fault.DRIVER_GONE,  # driver not loaded
    10: Fault.TIMEOUT,
    15: Fault.DEVICE_LOST,
    21: Fault.NOT_AVAILABLE,  # no data
}


def fault_of(error: Exception) -> Fault:
    """What an exception of ``pyhlml`` means; its ``value`` is a ``hlml_return_t``.

    Examples
    --------
    >>> lost = Exception()
    >>> lost.value = 15
    >>> fault_of(lost), fault_of(ValueError())
    (<Fault.DEVICE_LOST: 4>, <Fault.FAILED: 9>)
    """
    return FAULTS.get(getattr(error, "value", -1), Fault.FAILED)


@dataclass(slots=True)
class _Cards:
    """Open devices: the source."""

    channels: tuple[Channel, ...]
    calls: tuple[Callable[[], int], ...]
    end: Callable[[], object]
    name: str = NAME
    least_s: float = 0.1  # the sensor is said to be renewed about once a second (reference/energy.md; unverified)
    notes: tuple[str, ...] = ()
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)  # no call into a library that has been shut down

    def read(self) -> list[Reading]:
        with self.lock:
            if self.closed:
                return []
            found = ((_answer(call), time.monotonic_ns()) for call in self.calls)
            return [Reading(n, t_ns, value, fault) for n, ((value, fault), t_ns) in enumerate(found)]

    def close(self) -> None:
        with self.lock:
            if not self.closed:
                self.closed = True
                self.end()


def _answer(call: Callable[[], int]) -> Value:
    """W or J from a call that gives mW or mJ, or why not."""
    try:
        return known(call() / 1e3)
    except Exception as error:
        return no_value(fault_of(error))


def open_source(address: str = "") -> Source:
    """Power and energy counter of every Gaudi of this machine.

    Parameters
    ----------
    address : path of ``libhlml.so``; "" for the one that ``pyhlml`` expects.

    Raises
    ------
    Unavailable : no ``pyhlml``, no library, no driver, no device, or none that gives power or energy.
    """
    try:
        import pyhlml  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise Unavailable("pyhlml is not installed", hint="pip install 'inferatlas[habana]'") from None
    shared = _start(pyhlml, address)
    end = partial(_end, pyhlml, shared)
    try:
        each = [_of_device(pyhlml, index) for index in range(pyhlml.hlmlDeviceGetCount())]
    except Exception as error:
        end()
        raise Unavailable(f"HLML lists no devices: {fault_of(error).code}", hint=INTERFACE.enable) from None
    each = [own for own in each if own]
    if not each:
        end()
        raise Unavailable("no Gaudi that gives power or energy", hint="`hl-smi` lists the devices of a machine")
    names = told_apart([own[0][0].device for own in each])
    found = [(replace(one, device=name), call) for name, own in zip(names, each, strict=True) for one, call in own]
    channels, calls = zip(*found, strict=True)
    return _Cards(channels, calls, end)


def _start(pyhlml: Any, path: str) -> bool:
    """Start HLML; whether something else in this process had started it, and will end it.

    ``hlmlInit`` loads the library from the path that its class of libraries has for a default. It says on stdout when
    that fails, where only results belong.
    """
    where, default = path or "libhlml.so", None
    try:
        default = pyhlml.main.LibHLML
        if path:
            pyhlml.main.LibHLML = partial(default, path)
        with redirect_stdout(sys.stderr):
            pyhlml.hlmlInit()
    except Exception as error:
        if getattr(error, "value", None) == ALREADY_INITIALIZED:
            return True
        raise Unavailable(f"{where} does not start: {fault_of(error).code}", hint=INTERFACE.enable) from None
    finally:
        if default is not None:
            pyhlml.main.LibHLML = default
    return False


def _end(pyhlml: Any, shared: bool) -> None:
    if not shared:
        with suppress(Exception):  # a library that cannot shut down has nothing left to give back
            pyhlml.hlmlShutdown()


def _of_device(pyhlml: Any, index: int) -> list[tuple[Channel, Callable[[], int]]]:
    """What a device gives, and the calls that read it in mJ and mW."""
    try:
        # the value is copied: pyhlml 1.9 returns one object for every device, and overwrites it with the next handle
        handle = ctypes.c_void_p(pyhlml.hlmlDeviceGetHandleByIndex(index).value)
    except Exception as error:  # it stays in the log, so that it is missed
        return [(_channel(f"index {index}", "power_w"), partial(_fail, error))]
    device = _text(pyhlml, ("hlmlDeviceGetUUID", "hlmlDeviceGetSerial"), handle) or f"index {index}"
    name = _text(pyhlml, ("hlmlDeviceGetName",), handle)
    limit_w: float | None = None
    with suppress(Exception):  # a limit is good to have
        limit_w = pyhlml.hlmlDeviceGetPowerManagementDefaultLimit(handle) / 1e3 or None
    calls: dict[Quantity, Callable[[], int]] = {
        "energy_j": partial(pyhlml.hlmlDeviceGetTotalEnergyConsumption, handle),
        "power_w": partial(pyhlml.hlmlDeviceGetPowerUsage, handle),
    }
    return [(_channel(device, quantity, name, limit_w), call) for quantity, call in calls.items() if _given(call)]


def _channel(device: str, quantity: Quantity, name: str = "", limit_w: float | None = None) -> Channel:
    counter = quantity == "energy_j"
    return Channel(
        NAME, device, quantity, "counter" if counter else "instant", Scope.BOARD,
        name=name, quantum=MILLI, gain=GAINS["board"], limit_w=limit_w, assumed=not counter,
    )  # fmt: skip


def _fail(error: Exception) -> int:
    raise error


def _given(call: Callable[[], int]) -> bool:
    """Whether a device knows a call at all; what fails today may answer tomorrow."""
    try:
        call()
    except Exception as error:
        return fault_of(error) is not Fault.NOT_SUPPORTED
    return True


def _text(pyhlml: Any, names: Sequence[str], handle: ctypes.c_void_p) -> str:
    """The first of some texts about a device that is there; "" where none is."""
    for name in names:
        with suppress(Exception):
            text: bytes | str = getattr(pyhlml, name)(handle)
            if text:
                return text.decode(errors="replace") if isinstance(text, bytes) else text
    return ""
