"""One number that a device gives: what it means (`Channel`), one reading of it (`Reading`), many of them (`Series`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.scope import MOST_W, Scope

Quantity = Literal["power_w", "energy_j"]
Semantics = Literal["counter", "average", "instant", "model"]
UNITS: dict[str, str] = {"power_w": "W", "energy_j": "J"}
PLAUSIBLE = 1.5  # times the device's limit (reference/energy.md, section 5.4)


class Fault(IntEnum):
    """Why a reading holds no value; 0 where it holds one. The names are reason codes."""

    NONE = 0
    NOT_AVAILABLE = 1  # the device says N/A
    NOT_SUPPORTED = 2
    PERMISSION_DENIED = 3
    DEVICE_LOST = 4
    DEVICE_CHANGED = 5  # another device answers in its place
    DRIVER_GONE = 6
    TIMEOUT = 7
    UNREADABLE = 8  # what came cannot be understood: truncated, another unit
    FAILED = 9  # anything else the interface reports
    THROTTLED = 10  # no fault: a mark that power or temperature limited the clock

    @property
    def code(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Channel:
    """What one number of one device means. Units are W and J.

    Parameters
    ----------
    source : the interface: ``nvml``, ``rapl``, ``redfish``, ``file``.
    device : an identity that survives renumbering (UUID, serial, bus address), unique within the source.
    quantity : ``power_w``, or ``energy_j`` for counters.
    semantics : ``counter`` (energy since some start), ``average`` (over ``window_s``), ``instant``, ``model`` (an
        estimate that no sensor made).
    scope : what it covers; None where nobody says.
    part : "" for all within the scope, else the part that it covers alone (``memory``, ``dram``, ``cpu``): parts are
        inside their scope and are not added to it.
    name : what people call the device.
    window_s : of an average; None where it is not known.
    update_s : time between two values of the sensor, where it is known.
    quantum : the smallest step of the value.
    wrap_j : a counter starts again at 0 beyond this; None where it does not or nobody says.
    gain : relative standard uncertainty of the meter, from `GAINS` or calibrated.
    limit_w : the most that the device may draw.
    shared : the meter may cover other devices of the source as well, so that their sum would count twice.
    assumed : the semantics are a guess: the interface or file does not say them.
    u_time_s : standard uncertainty of the readings' times against the clock of the log.

    Examples
    --------
    >>> Channel("nvml", "GPU-1", "energy_j", "counter", Scope.GPU, update_s=0.1).unit
    'J'
    """

    source: str
    device: str
    quantity: Quantity
    semantics: Semantics
    scope: Scope | None
    part: str = ""
    name: str = ""
    window_s: float | None = None
    update_s: float | None = None
    quantum: float = 0.0
    wrap_j: float | None = None
    gain: float = 0.05
    limit_w: float | None = None
    shared: bool = False
    assumed: bool = False
    u_time_s: float = 0.0

    def __post_init__(self) -> None:
        if (self.semantics == "counter") != (self.quantity == "energy_j"):
            raise ValueError(f"{self.source} {self.device}: energies are counters and counters are energies")

    @property
    def unit(self) -> str:
        return UNITS[self.quantity]

    @property
    def most_w(self) -> float:
        """Power beyond which a reading is not believed."""
        return MOST_W[self.scope] if self.limit_w is None else PLAUSIBLE * self.limit_w


class Reading(NamedTuple):
    """One value of one channel at one time.

    ``channel`` counts the channels of the source; ``t_ns`` is on the monotonic clock of this host, taken right after
    the value was read (or the device's own stamp, converted); ``value`` in W or J, NaN with a ``fault``.
    """

    channel: int
    t_ns: int
    value: float
    fault: Fault = Fault.NONE


def missing(channel: int, t_ns: int, fault: Fault) -> Reading:
    """A reading without a value: never a 0."""
    return Reading(channel, t_ns, math.nan, fault)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Readings of one channel, n of them, in the order in which they were taken.

    Parameters
    ----------
    t_ns : shape (n,), monotonic. value : shape (n,), NaN where ``fault`` is not 0. fault : shape (n,), see `Fault`.
    """

    channel: Channel
    t_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    fault: NDArray[np.int8]


# Relative standard uncertainty of a meter until it is calibrated; all are priors. 5 % is NVML's power (energy.md,
# section 4, unverified) and stands for every sensor on a board or in a processor; 1 % is that of PDUs and analysers;
# a BMC reads meters in power supplies, for which no figure is at hand: 3 % lies between.
GAINS = {"board": 0.05, "bmc": 0.03, "pdu": 0.01, "unknown": 0.05}
