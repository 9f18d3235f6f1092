"""Stand-ins for vendors' libraries: NVML as an object that the real ``pynvml`` calls, NVML compiled, and AMD SMI.

``fake_nvml`` serves tests within the process. What runs under ``fake_nvml_library`` (`tests/conftest.py`), a command
too, reads a trace through the real nvidia-ml-py.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOT_SUPPORTED = 3
Value = float | Callable[[], float]
Key = tuple[int, int]


@dataclass
class FakeGpu:
    """A GPU behind `FakeNvml`. W and J; what is not listed or None is not supported. Values may be functions.

    ``fields`` : by field and scope. ``usage_w`` and ``energy_j`` : the plain calls. ``errors`` : codes that single
    fields or functions return. ``status`` : the code that every call about it returns.
    """

    uuid: str
    name: str
    capability: tuple[int, int] | None
    fields: dict[Key, Value] = field(default_factory=dict)
    usage_w: Value | None = None
    energy_j: Value | None = None
    limit_w: float | None = 700.0
    reasons: int = 0
    errors: dict[Key | str, int] = field(default_factory=dict)
    status: int = 0


PROFILES = {
    "h100": FakeGpu(
        "",
        "NVIDIA H100 80GB HBM3",
        (9, 0),
        {(186, 0): 412.345, (185, 0): 400.0, (185, 2): 80.5, (186, 2): 0.0, (191, 0): 1e6, (190, 0): 650.0},
        400.0,
        1e6,
    ),
    "gh200": FakeGpu(
        "", "NVIDIA GH200 480GB", (9, 0), {(186, 1): 600.0, (185, 1): 590.0, (190, 1): 1000.0}, 590.0, 2e6
    ),
    "gb10": FakeGpu("", "NVIDIA GB10", (12, 1), {(186, 0): 30.0, (185, 0): 29.0, (191, 0): 5e4}, 29.0, 5e4, None),
    "gb200": FakeGpu(
        "",
        "NVIDIA GB200",
        (10, 0),
        {
            (186, 0): 900.0,
            (185, 0): 890.0,
            (191, 0): 3e6,
            (190, 0): 1200.0,
            (186, 1): 2500.0,
            (185, 1): 2480.0,
            (191, 1): 9e6,
            (190, 1): 2700.0,
            (185, 2): 150.0,
        },
        890.0,
        3e6,
    ),
    "a100": FakeGpu("", "NVIDIA A100-SXM4-80GB", (8, 0), {}, 250.0, 5e5, 400.0),
    "a40": FakeGpu("", "NVIDIA A40", (8, 6), {}, 200.0, 4e5, 300.0),
    "v100": FakeGpu("", "Tesla V100-SXM2-32GB", (7, 0), {}, 150.0, 3e5, 300.0),
    "p100": FakeGpu("", "Tesla P100-SXM2-16GB", (6, 0), {}, 120.0, None, 300.0),
    "vgpu": FakeGpu("", "GRID T4-16Q", (7, 5), {}, None, None, None),
}


class FakeNvml:
    """What ``pynvml.nvmlLib`` is to the binding: functions that write through pointers and return a code.

    ``gpus`` : in the order of their indices. ``status`` : the code that every call returns (9: driver not loaded).
    ``calls`` : how often each function was called. ``started`` : inits not yet shut down.
    """

    def __init__(self) -> None:
        self.gpus: list[FakeGpu] = []
        self.status, self.started, self.starts = 0, 0, 0
        self.calls: Counter[str] = Counter()

    def add(self, profile: str, **changes: Any) -> FakeGpu:
        """One more GPU, by its name in `PROFILES`."""
        kind = PROFILES[profile]
        uuid = changes.pop("uuid", f"GPU-{len(self.gpus)}")
        gpu = replace(kind, uuid=uuid, fields=dict(kind.fields), errors={}, **changes)
        self.gpus.append(gpu)
        return gpu

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml") or not hasattr(type(self), f"_{name}"):
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.calls[name] += 1
            free = name in ("nvmlInitWithFlags", "nvmlShutdown")
            return self.status or (0 if free or self.started else 1) or getattr(self, f"_{name}")(*arguments)

        return function

    def _gpu(self, handle: Any) -> FakeGpu | None:
        """The GPU of a handle; handles are of the start in which they were given."""
        start, index = divmod(ctypes.cast(handle, ctypes.c_void_p).value or 0, 256)
        return self.gpus[index - 1] if start == self.starts and 0 < index <= len(self.gpus) else None

    def _hand_out(self, index: int, device: Any) -> int:
        handle = ctypes.cast(device, ctypes.POINTER(ctypes.c_void_p))
        handle.contents.value = self.starts * 256 + index + 1
        return self.gpus[index].status

    def _about(self, handle: Any, function: str, answer: Callable[[FakeGpu], Value | None], target: Any = None) -> int:
        gpu = self._gpu(handle)
        if gpu is None:
            return 2
        code = gpu.status or gpu.errors.get(function, 0)
        if code:
            return code
        value = answer(gpu)
        if value is None:
            return NOT_SUPPORTED
        if target is not None:
            target._obj.value = value() if callable(value) else value
        return 0

    def _nvmlInitWithFlags(self, _flags: int) -> int:
        self.starts, self.started = self.starts + 1, self.started + 1
        return 0

    def _nvmlShutdown(self) -> int:
        self.started = max(0, self.started - 1)  # one too many is no error
        return 0

    def _nvmlDeviceGetCount_v2(self, number: Any) -> int:
        number._obj.value = len(self.gpus)
        return 0

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:
        return self._hand_out(index.value, device) if index.value < len(self.gpus) else 2

    def _nvmlDeviceGetHandleByUUID(self, uuid: Any, device: Any) -> int:
        known = [gpu.uuid.encode() for gpu in self.gpus]
        return self._hand_out(known.index(uuid.value), device) if uuid.value in known else 6

    def _nvmlDeviceGetUUID(self, handle: Any, text: Any, _size: Any) -> int:
        return self._about(handle, "nvmlDeviceGetUUID", lambda gpu: setattr(text, "value", gpu.uuid.encode()) or 0)

    def _nvmlDeviceGetName(self, handle: Any, text: Any, _size: Any) -> int:
        return self._about(handle, "nvmlDeviceGetName", lambda gpu: setattr(text, "value", gpu.name.encode()) or 0)

    def _nvmlDeviceGetCudaComputeCapability(self, handle: Any, major: Any, minor: Any) -> int:
        gpu = self._gpu(handle)
        if gpu is None or gpu.capability is None:
            return NOT_SUPPORTED
        major._obj.value, minor._obj.value = gpu.capability
        return gpu.status

    def _nvmlDeviceGetPowerUsage(self, handle: Any, mw: Any) -> int:
        return self._about(handle, "nvmlDeviceGetPowerUsage", lambda gpu: _thousandths(gpu.usage_w), mw)

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, mj: Any) -> int:
        return self._about(handle, "nvmlDeviceGetTotalEnergyConsumption", lambda gpu: _thousandths(gpu.energy_j), mj)

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, mw: Any) -> int:
        return self._about(handle, "nvmlDeviceGetEnforcedPowerLimit", lambda gpu: _thousandths(gpu.limit_w), mw)

    def _nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any, bits: Any) -> int:
        return self._about(handle, "nvmlDeviceGetCurrentClocksEventReasons", lambda gpu: gpu.reasons, bits)

    def _nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any, bits: Any) -> int:
        return self._about(handle, "nvmlDeviceGetCurrentClocksThrottleReasons", lambda gpu: gpu.reasons, bits)

    def _nvmlDeviceGetTemperature(self, handle: Any, _sensor: Any, celsius: Any) -> int:
        return self._about(handle, "nvmlDeviceGetTemperature", lambda gpu: 45, celsius)

    def _nvmlDeviceGetClockInfo(self, handle: Any, domain: Any, mhz: Any) -> int:
        return self._about(handle, "nvmlDeviceGetClockInfo", lambda gpu: 2619 if domain.value == 2 else 1980, mhz)

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, number: Any) -> int:
        return self._about(handle, "nvmlDeviceGetMaxMigDeviceCount", lambda gpu: 7, number)

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, _handle: Any, _index: Any, device: Any) -> int:
        return self._hand_out(0, device)

    def _nvmlDeviceGetFieldValues(self, handle: Any, _number: Any, values: Any) -> int:
        gpu = self._gpu(handle)
        if gpu is None or gpu.status:
            return 2 if gpu is None else gpu.status
        for one in values._obj:
            key = one.fieldId, one.scopeId
            value = _thousandths(gpu.fields.get(key))
            one.nvmlReturn = gpu.errors.get(key, NOT_SUPPORTED if value is None else 0)
            if one.nvmlReturn or value is None:
                continue
            energy = one.fieldId == 191
            one.valueType = 3 if energy else 1
            setattr(one.value, "ullVal" if energy else "uiVal", value)
        return 0


def _thousandths(value: Value | None) -> int | None:
    value = value() if callable(value) else value
    return None if value is None else round(value * 1e3)


@pytest.fixture
def fake_nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real ``pynvml`` on a library without GPUs; `FakeNvml.add` puts some in."""
    import pynvml

    fake = FakeNvml()
    monkeypatch.setattr(pynvml, "nvmlLib", fake)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return fake


@pytest.fixture
def under_fake_nvml(fake_nvml_library: Path) -> Callable[..., Any]:
    """Runs Python under the compiled library; settings without ``FAKE_NVML_``. Returns what it printed, as JSON."""

    def run(code: str, **settings: str | int) -> Any:
        environment = os.environ | {"LD_LIBRARY_PATH": str(fake_nvml_library)}
        environment |= {f"FAKE_NVML_{key.upper()}": str(value) for key, value in settings.items()}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@dataclass
class FakeDie:
    """A processor behind `FakeAmdSmi`; values as its Python package gives them, or an error code in their place."""

    address: str
    serial: str = "N/A"
    market: str = "AMD Instinct MI300X"
    current: Any = 140
    average: Any = "N/A"
    count: int = 10**9
    count_key: str = "energy_accumulator"
    cap: int = 750_000_000
    errors: dict[str, int] = field(default_factory=dict)


class FakeAmdSmi(ModuleType):
    """The package ``amdsmi`` on ``dies``; ``errors`` are codes that functions raise. ``started`` : inits."""

    class AmdSmiException(Exception):
        pass

    class AmdSmiLibraryException(AmdSmiException):
        def __init__(self, code: int) -> None:
            super().__init__(f"Error code:\n\t{code} | AMDSMI_STATUS")
            self.err_code = code

    def __init__(self) -> None:
        super().__init__("amdsmi")
        self.dies: list[FakeDie] = []
        self.errors: dict[str, int] = {}
        self.version = {"major": 26, "minor": 0, "release": 0, "build": "26.0.0"}
        self.started = 0

    def add(self, address: str, **changes: Any) -> FakeDie:
        self.dies.append(FakeDie(address, **changes))
        return self.dies[-1]

    def _check(self, function: str, die: FakeDie | None = None) -> None:
        code = self.errors.get(function) or (die.errors.get(function) if die else None)
        if code:
            raise self.AmdSmiLibraryException(code)

    def amdsmi_init(self) -> None:
        self._check("amdsmi_init")
        self.started += 1

    def amdsmi_shut_down(self) -> None:
        self.started -= 1

    def amdsmi_get_lib_version(self) -> dict[str, Any]:
        self._check("amdsmi_get_lib_version")
        return self.version

    def amdsmi_get_processor_handles(self) -> list[FakeDie]:
        self._check("amdsmi_get_processor_handles")
        return self.dies

    def amdsmi_get_gpu_device_bdf(self, die: FakeDie) -> str:
        self._check("amdsmi_get_gpu_device_bdf", die)
        return die.address

    def amdsmi_get_gpu_board_info(self, die: FakeDie) -> dict[str, Any]:
        self._check("amdsmi_get_gpu_board_info", die)
        return {"product_serial": die.serial}

    def amdsmi_get_gpu_asic_info(self, die: FakeDie) -> dict[str, Any]:
        self._check("amdsmi_get_gpu_asic_info", die)
        return {"market_name": die.market}

    def amdsmi_get_power_info(self, die: FakeDie) -> dict[str, Any]:
        self._check("amdsmi_get_power_info", die)
        return {"current_socket_power": die.current, "average_socket_power": die.average}

    def amdsmi_get_power_cap_info(self, die: FakeDie) -> dict[str, Any]:
        self._check("amdsmi_get_power_cap_info", die)
        return {"power_cap": die.cap}

    def amdsmi_get_energy_count(self, die: FakeDie) -> dict[str, Any]:
        self._check("amdsmi_get_energy_count", die)
        return {die.count_key: die.count, "counter_resolution": 15.259, "timestamp": 1}


@pytest.fixture
def fake_amdsmi(monkeypatch: pytest.MonkeyPatch) -> FakeAmdSmi:
    """AMD's package without a card; `FakeAmdSmi.add` puts dies in."""
    fake = FakeAmdSmi()
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    return fake
