"""What NVML's return codes mean: as faults of a reading, and as reasons why nothing can be read at all.

Codes: nvmlReturn_t, https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
"""

from __future__ import annotations

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.source import Unavailable

FAULTS = {
    1: Fault.DRIVER_GONE,  # uninitialized: the driver was unloaded, or somebody shut the library down
    2: Fault.DEVICE_LOST,  # invalid argument: with calls that worked before, the handle is what is no longer valid
    3: Fault.NOT_SUPPORTED,
    4: Fault.PERMISSION_DENIED,
    5: Fault.FAILED,  # already initialized
    6: Fault.DEVICE_LOST,  # not found
    7: Fault.FAILED,  # insufficient size
    8: Fault.FAILED,  # a power cable is missing
    9: Fault.DRIVER_GONE,
    10: Fault.TIMEOUT,
    11: Fault.FAILED,  # interrupt issue
    12: Fault.DRIVER_GONE,  # no library
    13: Fault.NOT_SUPPORTED,  # this version of the library has no such function
    14: Fault.FAILED,  # corrupted infoROM
    15: Fault.DEVICE_LOST,
    16: Fault.DEVICE_LOST,  # reset required
    17: Fault.PERMISSION_DENIED,  # the operating system (cgroups) blocks the device
    18: Fault.DRIVER_GONE,  # library and kernel module differ in version: the driver was replaced
    19: Fault.FAILED,  # in use
    20: Fault.FAILED,  # no memory
    21: Fault.NOT_AVAILABLE,  # no data
    22: Fault.NOT_SUPPORTED,  # ECC on a vGPU
    23: Fault.FAILED,  # no resources
    24: Fault.NOT_SUPPORTED,  # frequency
    25: Fault.NOT_SUPPORTED,  # version of an argument
    26: Fault.NOT_SUPPORTED,  # deprecated
    27: Fault.NOT_AVAILABLE,  # not ready
    28: Fault.DEVICE_LOST,  # GPU not found
    29: Fault.FAILED,  # invalid state
    30: Fault.NOT_SUPPORTED,  # kind of reset
    999: Fault.FAILED,
}

NO_DRIVER = "install the NVIDIA driver; in a container, start it with the GPUs (docker run --gpus all)"
PERMISSION = "the user needs read and write access to /dev/nvidiactl and /dev/nvidia0, 1, ..."
_WHY_NOT = {
    4: ("NVML does not let this user read", PERMISSION),
    9: ("the NVIDIA driver is not loaded", "sudo modprobe nvidia, or install the driver"),
    12: ("libnvidia-ml.so.1 is not installed", NO_DRIVER),
    13: ("libnvidia-ml.so.1 is too old for nvidia-ml-py", "install a newer NVIDIA driver"),
    17: ("the operating system keeps the GPUs from this process", "a container or job must be given the GPUs"),
    18: ("libnvidia-ml.so.1 and the loaded NVIDIA driver differ in version", "reboot, or load the driver again"),
}


def fault_of(error: Exception) -> Fault:
    """The fault that an `NVMLError` is.

    Examples
    --------
    >>> lost = Exception("GPU is lost")
    >>> lost.value = 15
    >>> fault_of(lost).code
    'device_lost'
    """
    return FAULTS.get(getattr(error, "value", -1), Fault.FAILED)


def unavailable(error: Exception) -> Unavailable:
    """Why NVML cannot be used, from the `NVMLError` that its first calls gave.

    Examples
    --------
    >>> error = Exception("NVML Shared Library Not Found")
    >>> error.value = 12
    >>> print(unavailable(error))
    libnvidia-ml.so.1 is not installed
      install the NVIDIA driver; in a container, start it with the GPUs (docker run --gpus all)
    """
    message, hint = _WHY_NOT.get(getattr(error, "value", -1), (f"NVML cannot start: {error}", "does nvidia-smi work?"))
    return Unavailable(message, hint=hint)
