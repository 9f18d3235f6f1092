"""Power of this machine as its management controller (BMC) reads it: ``ipmitool dcmi power reading``.

The tool is that of https://github.com/ipmitool/ipmitool; the reading is DCMI's "Get Power Reading".
"""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable
from inferatlas.measure.metering.sources.command import run_tool

WORDS = ("ipmitool", "dcmi", "power", "reading")
TIMEOUT_S = 5.0  # a BMC takes hundreds of milliseconds (reference/energy.md, section 2)

INTERFACE = Interface(
    name="ipmi",
    title="This machine's management controller (IPMI, DCMI)",
    offers=(Offer("power_w", "average", Scope.NODE_AC),),
    enable=(
        "ipmitool, the kernel modules ipmi_si and ipmi_devintf (`sudo modprobe ipmi_devintf ipmi_si`), and root or the "
        "right to open /dev/ipmi0. From another machine: the source redfish"
    ),
    notes=(
        "Whole watts, averaged inside the controller over a time that nobody states. Some controllers answer 0 W until "
        "they are set up, which is taken as no reading; OpenBMC says `deactivated` beside good readings."
    ),
)

_LINE = re.compile(r"^\s*Instantaneous power reading:(.*)$", re.MULTILINE)
_WATTS = re.compile(r"\s*(\d+(?:\.\d+)?)\s+Watts\s*")


def parse(text: str) -> tuple[float, Fault]:
    """Watts in what the tool prints; NaN with the reason where there are none.

    A running machine draws power: 0 W is what controllers answer that have no reading
    (https://github.com/openbmc/phosphor-host-ipmid/issues/167). "Power reading state is: deactivated" stands beside
    good readings on OpenBMC (there, and https://github.com/openbmc/openbmc/issues/3257), and is not looked at. The
    line with the average covers the time since the controller's last reset, maybe weeks: of no use for a window.

    Examples
    --------
    >>> parse("    Instantaneous power reading:                   220 Watts\\n")
    (220.0, <Fault.NONE: 0>)
    """
    line = _LINE.search(text)
    if line is None:
        return math.nan, Fault.NOT_AVAILABLE if "no data available" in text.lower() else Fault.UNREADABLE
    if "no data" in line[1].lower() or "n/a" in line[1].lower():
        return math.nan, Fault.NOT_AVAILABLE
    watts = _WATTS.fullmatch(line[1])
    if watts is None:  # cut short, or in another unit
        return math.nan, Fault.UNREADABLE
    value = float(watts[1])
    return (value, Fault.NONE) if value > 0 else (math.nan, Fault.NOT_AVAILABLE)


@dataclass(slots=True)
class Controller:
    """The management controller of this machine; see `Source`."""

    name: str
    channels: tuple[Channel, ...]
    least_s: float

    def read(self) -> Sequence[Reading]:
        (value, fault), t_ns, _, _ = _ask()
        return [Reading(0, t_ns, value, fault)]

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _ask() -> tuple[tuple[float, Fault], int, float, str]:
    """A reading, the middle of the time that it took, how long that was, and what the tool said."""
    begin = time.monotonic_ns()
    text, fault = run_tool(WORDS, TIMEOUT_S)
    end = time.monotonic_ns()
    answer = parse(text) if fault is Fault.NONE else (math.nan, fault)
    return answer, (begin + end) // 2, (end - begin) * 1e-9, text


def open_source(address: str = "") -> Source:
    """The controller of this machine.

    Raises
    ------
    Unavailable : no tool, no controller, no permission, or no reading; with what the tool said.

    Examples
    --------
    >>> open_source("bmc-7")
    Traceback (most recent call last):
    inferatlas.measure.metering.source.Unavailable: ipmi reads this machine only, but 'bmc-7' was given
      for another machine: --source redfish:URL
    """
    if address:
        raise Unavailable(
            f"ipmi reads this machine only, but '{address}' was given", hint="for another machine: --source redfish:URL"
        )
    (_, fault), _, took_s, text = _ask()
    if fault is not Fault.NONE:
        raise Unavailable(f"{_said(text)} ({fault.code})", hint=_hint(fault))
    channel = Channel(
        source="ipmi",
        device="node",
        quantity="power_w",
        semantics="average",
        scope=Scope.NODE_AC,
        name=socket.gethostname(),
        quantum=1.0,
        gain=GAINS["bmc"],
        u_time_s=took_s / 2,
    )
    return Controller("ipmi", (channel,), least_s=1.0)


def _said(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no output")
    return f"`{' '.join(WORDS)}` gives no power: {first}"


def _hint(fault: Fault) -> str:
    if fault is Fault.NOT_AVAILABLE:
        return "the controller has no power reading: look whether its firmware has one, or try the source redfish"
    if fault is Fault.UNREADABLE:
        return "its output is not that of `ipmitool dcmi power reading` of ipmitool 1.8; please report it"
    return f"needed: {INTERFACE.enable}"
