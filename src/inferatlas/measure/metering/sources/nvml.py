"""NVIDIA GPUs through NVML: energy counters and power of the GPU, its module and its memory.

In: the driver, through ``nvidia-ml-py`` (module ``pynvml``). Out: readings of what each GPU answered at opening
(`nvml_probe.py`). Calls and units: reference/energy.md, section 2; https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from inferatlas.measure.metering.channel import Fault, Reading, missing
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Unavailable, no_address
from inferatlas.measure.metering.sources.asking import Value
from inferatlas.measure.metering.sources.nvml_errors import NO_DRIVER, PERMISSION, fault_of, unavailable
from inferatlas.measure.metering.sources.nvml_fields import ask
from inferatlas.measure.metering.sources.nvml_probe import AVERAGE_S, UPDATE_S, Gpu, call, probe
from inferatlas.measure.metering.sources.nvml_state import DeviceState, state_of

INTERFACE = Interface(
    "nvml",
    "NVIDIA GPUs (NVML)",
    (
        Offer("energy_j", "counter", Scope.GPU, UPDATE_S),
        Offer("power_w", "average", Scope.GPU, UPDATE_S, AVERAGE_S),
        Offer("power_w", "instant", Scope.GPU, UPDATE_S),
        Offer("energy_j", "counter", Scope.MODULE, UPDATE_S),
        Offer("power_w", "average", Scope.MODULE, UPDATE_S, AVERAGE_S),
        Offer("power_w", "instant", Scope.MODULE, UPDATE_S),
    ),
    enable=f"{NO_DRIVER}; no permission is needed beyond that",
    extra="nvidia",
    notes="instant power sees 25 of every 100 ms on A100 and H100 (arXiv 2312.02741); counters start again with the "
    "driver, and are absent on vGPUs and before Volta; a module holds CPU and memory as well, and may hold two GPUs",
)

RETRY_NS = 5 * 10**9  # between two attempts to find what was lost
STATE_NS = 10**9  # between two looks at what limits the clocks


@dataclass(slots=True)
class _Open:
    """A GPU while it is read: its first channel, its handle, and the fault that stands until it is found again."""

    gpu: Gpu
    first: int
    handle: Any
    fault: Fault = Fault.NONE


class NvmlSource:
    """The GPUs of this machine, physical ones: a slice of one (MIG) has no meter, and is not listed."""

    name = INTERFACE.name
    least_s = 0.05  # polled faster, some GPUs give 0 or nothing (reference/energy.md, section 2)

    def __init__(
        self, pynvml: Any, found: list[tuple[Gpu, Any]], notes: tuple[str, ...], clock: Callable[[], int]
    ) -> None:
        self._pynvml, self._clock = pynvml, clock
        self._gpus: list[_Open] = []
        self.channels = tuple(channel for gpu, _ in found for channel in gpu.channels)
        self.notes = (*notes, *(note for gpu, _ in found for note in gpu.notes))
        first = 0
        for gpu, handle in found:
            self._gpus.append(_Open(gpu, first, handle))
            first += len(gpu.channels)
        self._lock = threading.Lock()
        self._started, self._closed, self._retry_ns, self._state_ns = True, False, 0, 0

    def read(self) -> list[Reading]:
        """Read every channel once: all fields of a GPU in one call, then its other calls."""
        with self._lock:
            if self._closed:
                return []
            if any(one.fault for one in self._gpus) and self._clock() >= self._retry_ns:
                self._retry_ns = self._clock() + RETRY_NS
                self._recover()
            return [*(reading for one in self._gpus for reading in self._read(one)), *self._throttled()]

    def _throttled(self) -> list[Reading]:
        """Once a second, a mark on every channel of a GPU whose clock power or temperature limits."""
        now = self._clock()
        if now < self._state_ns:
            return []
        self._state_ns = now + STATE_NS
        marks = []
        for one in self._gpus:
            if not one.fault and state_of(self._pynvml, one.handle, one.gpu.device, one.gpu.name).throttled:
                channels = range(one.first, one.first + len(one.gpu.channels))
                marks += [missing(n, now, Fault.THROTTLED) for n in channels]
        return marks

    def state(self) -> list[DeviceState]:
        """Clocks, temperature, limit and reasons to throttle of every GPU that answers."""
        with self._lock:
            if self._closed:
                return []
            return [
                state_of(self._pynvml, one.handle, one.gpu.device, one.gpu.name) for one in self._gpus if not one.fault
            ]

    def close(self) -> None:
        """Give the library back."""
        with self._lock:
            self._closed = True
            self._shut_down()

    def _read(self, one: _Open) -> list[Reading]:
        if one.fault:
            t_ns = self._clock()
            return [missing(n, t_ns, one.fault) for n in range(one.first, one.first + len(one.gpu.channels))]
        values: list[Value] = []
        times: list[int] = []
        if one.gpu.fields:
            values += ask(self._pynvml, one.handle, one.gpu.fields).values()
            times += [self._clock()] * len(values)
        for function in one.gpu.calls:
            values.append(call(self._pynvml, one.handle, function))
            times.append(self._clock())
        self._note(one, {fault for _, fault in values})
        return [
            Reading(n, t_ns, value, fault)
            for n, (t_ns, (value, fault)) in enumerate(zip(times, values, strict=True), start=one.first)
        ]

    def _note(self, one: _Open, faults: set[Fault]) -> None:
        """Remember what stops a GPU from being read, or all of them."""
        if Fault.DRIVER_GONE in faults:
            for each in self._gpus:
                each.fault = Fault.DRIVER_GONE
        elif Fault.DEVICE_LOST in faults:
            one.fault = Fault.DEVICE_LOST

    def _recover(self) -> None:
        """Look for what is lost; after the driver went, start the library again first, which makes handles void."""
        if any(one.fault is Fault.DRIVER_GONE for one in self._gpus):
            self._shut_down()
            try:
                self._pynvml.nvmlInit()
            except self._pynvml.NVMLError:
                return
            self._started = True
            lost = self._gpus
        else:
            lost = [one for one in self._gpus if one.fault]
        for one in lost:
            one.handle, one.fault = self._find(one.gpu)

    def _find(self, gpu: Gpu) -> tuple[Any, Fault]:
        """The handle of a GPU by its UUID, or what became of it."""
        try:
            return self._pynvml.nvmlDeviceGetHandleByUUID(gpu.device), Fault.NONE
        except self._pynvml.NVMLError as error:
            if fault_of(error) is Fault.DRIVER_GONE:
                return None, Fault.DRIVER_GONE
        with suppress(self._pynvml.NVMLError):
            there = self._pynvml.nvmlDeviceGetUUID(self._pynvml.nvmlDeviceGetHandleByIndex(gpu.index))
            if there not in {one.gpu.device for one in self._gpus}:
                return None, Fault.DEVICE_CHANGED
        return None, Fault.DEVICE_LOST

    def _shut_down(self) -> None:
        if self._started:
            self._started = False
            with suppress(self._pynvml.NVMLError):
                self._pynvml.nvmlShutdown()


def open_source(address: str = "", *, clock: Callable[[], int] = time.monotonic_ns) -> NvmlSource:
    """Start NVML and see what each GPU answers.

    Parameters
    ----------
    clock : monotonic, in nanoseconds.

    Raises
    ------
    Unavailable : without nvidia-ml-py, library, driver, permission or GPU, or where no GPU gives energy or power.
    BadInput : with an address, as there is none to give.

    Examples
    --------
    >>> open_source("gpu0")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'nvml' takes no address, got 'gpu0' (allowed: nvml)
    """
    no_address(INTERFACE.name, address)
    pynvml = _binding()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise unavailable(error) from error
    try:
        found, notes = _found(pynvml)
    except BaseException:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
        raise
    return NvmlSource(pynvml, found, notes, clock)


def _binding() -> Any:
    """The module ``pynvml`` of nvidia-ml-py, and no other of that name."""
    try:
        pynvml = importlib.import_module("pynvml")
    except ImportError as error:
        raise Unavailable("nvidia-ml-py is not installed", hint="pip install 'inferatlas[nvidia]'") from error
    # packages of that name before version 12 have neither field values nor scopes (reference/energy.md, section 2)
    if not hasattr(pynvml, "_nvmlGetFunctionPointer"):
        raise Unavailable(
            "an obsolete package 'pynvml' stands in the place of nvidia-ml-py",
            hint="pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py",
        )
    return pynvml


def _found(pynvml: Any) -> tuple[list[tuple[Gpu, Any]], tuple[str, ...]]:
    """Every GPU that gives something, with its handle, and what to say of the others."""
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        raise unavailable(error) from error
    if not count:
        raise Unavailable("the NVIDIA driver lists no GPU", hint=NO_DRIVER)
    found, notes, denied = [], [], 0
    for index in range(count):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = probe(pynvml, handle, index, several=count > 1)
        except pynvml.NVMLError as error:
            denied += fault_of(error) is Fault.PERMISSION_DENIED
            notes.append(f"GPU {index} is not read: {error}")
            continue
        if gpu.channels:
            found.append((gpu, handle))
        else:
            notes.append(f"{gpu.name} gives neither energy nor power")
    if denied == count:
        raise Unavailable("NVML does not let this user read any GPU", hint=PERMISSION)
    if not found:
        raise Unavailable(f"nothing to read: {'; '.join(notes)}", hint="a vGPU has no meter: read on its host")
    return found, tuple(notes)
