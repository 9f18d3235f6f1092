"""Files of the kernel that hold one number each, and a source made of them."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferatlas.measure.metering.channel import Channel, Fault, Reading
from inferatlas.measure.metering.sources.asking import Value, known, no_value

MICRO = 1e-6  # powercap counts in µJ, hwmon in µW and µJ

# What a driver means by an error that it returns for a reading. ENODATA is documented for sensors that are switched off
# (https://docs.kernel.org/admin-guide/abi-testing.html, sysfs-class-hwmon); the others have their POSIX meaning.
_FAULTS = {
    errno.EACCES: Fault.PERMISSION_DENIED,
    errno.EPERM: Fault.PERMISSION_DENIED,
    errno.ENODATA: Fault.NOT_AVAILABLE,
    errno.EAGAIN: Fault.NOT_AVAILABLE,
    errno.EOPNOTSUPP: Fault.NOT_SUPPORTED,
    errno.EINVAL: Fault.NOT_SUPPORTED,
    errno.ENOENT: Fault.DEVICE_LOST,
    errno.ENOTDIR: Fault.DEVICE_LOST,
    errno.ENODEV: Fault.DEVICE_LOST,
    errno.ENXIO: Fault.DEVICE_LOST,
    errno.ETIMEDOUT: Fault.TIMEOUT,
}


def text_of(path: Path) -> str | None:
    """What a file says, without white space around it; None where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return None


_WHOLE = re.compile(rb"\s*-?[0-9]{1,20}\s*")  # of 64 bits


def number_of(path: Path) -> Value:
    """The whole number that a file holds, as it stands there; NaN with the reason where there is none. Never raises.

    Examples
    --------
    >>> number_of(Path("/sys/no such file"))
    (nan, <Fault.DEVICE_LOST: 4>)
    """
    try:
        written = path.read_bytes()
    except OSError as error:
        return no_value(_FAULTS.get(error.errno or 0, Fault.FAILED))
    return known(int(written)) if _WHOLE.fullmatch(written) else no_value(Fault.UNREADABLE)


def set_to(path: Path, factor: float) -> float | None:
    """A setting above 0, times ``factor``; None where there is none (drivers show 0 for "off", -1 for "unknown")."""
    value, fault = number_of(path)
    return value * factor if fault is Fault.NONE and value > 0 else None


@dataclass(slots=True)
class Files:
    """A source that reads one file per channel, in millionths of the channel's unit; see `Source`."""

    name: str
    channels: tuple[Channel, ...]
    paths: tuple[Path, ...]
    least_s: float
    notes: tuple[str, ...] = ()

    def read(self) -> Sequence[Reading]:
        return [_reading(n, path) for n, path in enumerate(self.paths)]

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _reading(channel: int, path: Path) -> Reading:
    value, fault = number_of(path)
    return Reading(channel, time.monotonic_ns(), value * MICRO, fault)
