"""What a GPU's clocks and limits were while it was read: a run that was throttled is another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# nvmlClocksEventReasons, https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
_REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
THROTTLES = {"sw_power_cap", "hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake"}


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device at one time; None where it does not say.

    Parameters
    ----------
    device, name : as in `Channel`.
    reasons : why its clock is where it is, in NVML's words.
    temperature_c : of the chip, in °C. clock_hz : of its multiprocessors. memory_clock_hz : of its memory.
    limit_w : the power limit that is enforced.

    Examples
    --------
    >>> DeviceState("GPU-1", "NVIDIA H100 #0", reasons=("sw_power_cap",), limit_w=500.0).throttled
    True
    """

    device: str
    name: str
    reasons: tuple[str, ...] | None = None
    temperature_c: float | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    limit_w: float | None = None

    @property
    def throttled(self) -> bool | None:
        """Whether power or temperature limits the clock."""
        return None if self.reasons is None else bool(THROTTLES.intersection(self.reasons))


def reasons_of(bits: int) -> tuple[str, ...]:
    """Words for the bits that NVML gives; bits without a name are kept as numbers.

    Examples
    --------
    >>> reasons_of(0x44), reasons_of(0x800)
    (('sw_power_cap', 'hw_thermal_slowdown'), ('0x800',))
    """
    ones = [1 << n for n in range(bits.bit_length()) if bits >> n & 1]
    return tuple(_REASONS.get(one, hex(one)) for one in ones)


def state_of(pynvml: Any, handle: Any, device: str, name: str) -> DeviceState:
    """Ask one device how it is.

    Examples
    --------
    >>> from types import SimpleNamespace as Module
    >>> state_of(Module(NVMLError=OSError), None, "GPU-1", "NVIDIA H100 #0").throttled is None
    True
    """

    def answer(function: str, *arguments: int) -> Any:
        call: Callable[..., Any] | None = getattr(pynvml, function, None)
        if call is None:
            return None
        try:
            return call(handle, *arguments)
        except pynvml.NVMLError:
            return None

    # the names before driver 535, and before nvidia-ml-py 13
    bits = answer("nvmlDeviceGetCurrentClocksEventReasons")
    bits = answer("nvmlDeviceGetCurrentClocksThrottleReasons") if bits is None else bits
    degrees = answer("nvmlDeviceGetTemperatureV", 0)
    degrees = answer("nvmlDeviceGetTemperature", 0) if degrees is None else degrees
    clock, memory_clock = answer("nvmlDeviceGetClockInfo", 1), answer("nvmlDeviceGetClockInfo", 2)
    limit = answer("nvmlDeviceGetEnforcedPowerLimit")
    return DeviceState(
        device,
        name,
        None if bits is None else reasons_of(bits),
        None if degrees is None else float(degrees),
        None if clock is None else clock * 1e6,
        None if memory_clock is None else memory_clock * 1e6,
        None if limit is None else limit / 1e3,
    )
