"""What AMD SMI's status codes mean: as faults of a reading, and as reasons why nothing can be read at all.

Codes: amdsmi_status_t, https://rocm.docs.amd.com/projects/amdsmi/en/latest/doxygen/docBin/html/amdsmi_8h.html
"""

from __future__ import annotations

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.source import Unavailable

FAULTS = {
    1: Fault.FAILED,  # invalid parameters
    2: Fault.NOT_SUPPORTED,
    3: Fault.NOT_SUPPORTED,  # not yet implemented
    4: Fault.DRIVER_GONE,  # a library could not be loaded
    5: Fault.DRIVER_GONE,  # nor a symbol of it
    6: Fault.FAILED,  # libdrm
    7: Fault.FAILED,  # API call
    8: Fault.TIMEOUT,
    9: Fault.NOT_AVAILABLE,  # try again
    10: Fault.PERMISSION_DENIED,
    11: Fault.FAILED,  # interrupted
    12: Fault.FAILED,  # input or output
    13: Fault.FAILED,  # bad address
    14: Fault.FAILED,  # opening a file
    15: Fault.FAILED,  # out of memory
    16: Fault.FAILED,  # internal
    17: Fault.FAILED,  # out of bounds
    18: Fault.DRIVER_GONE,  # initialisation
    19: Fault.FAILED,  # too many users of the library
    20: Fault.DEVICE_LOST,  # its directory in sysfs is gone
    30: Fault.NOT_AVAILABLE,  # busy
    31: Fault.DEVICE_LOST,  # not found
    32: Fault.DRIVER_GONE,  # not initialised
    33: Fault.FAILED,  # no slot
    34: Fault.DRIVER_GONE,
    39: Fault.UNREADABLE,  # more data
    40: Fault.NOT_AVAILABLE,  # no data
    41: Fault.UNREADABLE,  # insufficient size
    42: Fault.UNREADABLE,  # unexpected size
    43: Fault.UNREADABLE,  # unexpected data
    44: Fault.NOT_SUPPORTED,  # a CPU of another vendor
    45: Fault.NOT_SUPPORTED,  # no driver for energy, MSR, HSMP: those of CPUs
    46: Fault.NOT_SUPPORTED,
    47: Fault.NOT_SUPPORTED,
    48: Fault.NOT_SUPPORTED,
    49: Fault.NOT_SUPPORTED,
    50: Fault.TIMEOUT,
    51: Fault.NOT_SUPPORTED,
    52: Fault.NOT_SUPPORTED,  # the driver has no such file in sysfs
    53: Fault.FAILED,  # null argument
    54: Fault.DRIVER_GONE,  # restart of the driver failed
    55: Fault.NOT_SUPPORTED,
    56: Fault.FAILED,  # corrupted EEPROM
    0xFFFFFFFE: Fault.FAILED,
    0xFFFFFFFF: Fault.FAILED,
}

GROUPS = "add the user to the groups render and video (sudo usermod -aG render,video $USER), then log in again"
NO_DRIVER = "install the amdgpu driver; in a container, pass --device=/dev/kfd --device=/dev/dri"
_WHY_NOT = {
    10: ("AMD SMI does not let this user read", GROUPS),
    18: ("AMD SMI cannot start", NO_DRIVER),
    34: ("the amdgpu driver is not loaded", NO_DRIVER),
}


def fault_of(error: Exception) -> Fault:
    """The fault that an ``AmdSmiException`` is.

    Examples
    --------
    >>> denied = Exception("AMDSMI_STATUS_NO_PERM - Permission Denied")
    >>> denied.err_code = 10
    >>> fault_of(denied).code
    'permission_denied'
    """
    return FAULTS.get(getattr(error, "err_code", None) or -1, Fault.FAILED)


def unavailable(error: Exception) -> Unavailable:
    """Why AMD SMI cannot be used, from the exception that its first calls raised.

    Examples
    --------
    >>> error = Exception("AMDSMI_STATUS_DRIVER_NOT_LOADED - Driver not loaded")
    >>> error.err_code = 34
    >>> print(unavailable(error))
    the amdgpu driver is not loaded
      install the amdgpu driver; in a container, pass --device=/dev/kfd --device=/dev/dri
    """
    said = " ".join(str(error).split())
    message, hint = _WHY_NOT.get(getattr(error, "err_code", None) or -1, (f"AMD SMI cannot start: {said}", NO_DRIVER))
    return Unavailable(message, hint=hint)
