"""Power of this machine as its management controller (BMC) reads it: ``ipmitool dcmi power reading``.

The tool is that of https://github.com/ipmitool/ipmitool; the reading is DCMI's "Get Power Reading".
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, no_address
from inferatlas.measure.metering.sources.asking import Value, known, no_value, readings, timed
from inferatlas.measure.metering.sources.chassis import scope_of_machine
from inferatlas.measure.metering.sources.command import run_tool

WORDS = ("ipmitool", "dcmi", "power", "reading")
TIMEOUT_S = 5.0  # a BMC takes hundreds of milliseconds (reference/energy.md, section 2)

INTERFACE = Interface(
    name="ipmi",
    title="This machine's management controller (IPMI, DCMI)",
    offers=(Offer("power_w", "instant", Scope.NODE_AC), Offer("power_w", "instant", Scope.NODE_DC)),
    enable=(
        "ipmitool, the kernel modules ipmi_si and ipmi_devintf (`sudo modprobe ipmi_devintf ipmi_si`), and root or the "
        "right to open /dev/ipmi0"
    ),
    notes=(
        "Whole watts; over which time the controller averages nobody states: as with redfish, taken as instant and "
        "marked as assumed. A blade is read behind its enclosure's supplies, any other machine at its plug. Some "
        "controllers answer 0 W until they are set up, which is taken as no reading; OpenBMC says `deactivated` beside "
        "good readings. From another machine: --source redfish:https://bmc."
    ),
)

_LINE = re.compile(r"^\s*Instantaneous power reading:(.*)$", re.MULTILINE)
_WATTS = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s+Watts\s*")


def parse(text: str) -> Value:
    """Watts in what the tool prints, or why there are none.

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
        return no_value(Fault.NOT_AVAILABLE if "no data available" in text.lower() else Fault.UNREADABLE)
    if "no data" in line[1].lower() or "n/a" in line[1].lower():
        return no_value(Fault.NOT_AVAILABLE)
    watts = _WATTS.fullmatch(line[1])
    if watts is None:  # cut short, or in another unit
        return no_value(Fault.UNREADABLE)
    return known(float(watts[1])) if float(watts[1]) > 0 else no_value(Fault.NOT_AVAILABLE)


@dataclass(slots=True)
class Controller:
    """The management controller of this machine; see `Source`."""

    name: str
    channels: tuple[Channel, ...]
    least_s: float
    notes: tuple[str, ...] = ()

    def read(self) -> Sequence[Reading]:
        (value, _), t_ns, _ = timed(_ask)
        return readings(t_ns, [value])

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _ask() -> tuple[Value, str]:
    """A reading, and what the tool said."""
    text, fault = run_tool(WORDS, TIMEOUT_S)
    return (no_value(fault) if fault else parse(text)), text


def open_source(address: str = "", *, root: Path = Path("/")) -> Source:
    """The controller of this machine.

    Parameters
    ----------
    address : nothing. root : the root of the file system, where the form of the machine stands.

    Raises
    ------
    Unavailable : no tool, no controller, no permission, or no reading; with what the tool said. BadInput : an address.

    Examples
    --------
    >>> open_source("bmc-7")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'ipmi' takes no address, got 'bmc-7' (allowed: ipmi)
    """
    no_address("ipmi", address)
    ((_, fault), text), _, u_time_s = timed(_ask)
    if fault is Fault.DRIVER_GONE:
        raise Unavailable(text, hint=_hint(fault))
    if fault is not Fault.NONE:
        raise Unavailable(f"{_said(text)} ({fault.code})", hint=_hint(fault))
    scope = scope_of_machine(root)
    channel = Channel(
        source="ipmi",
        device="node",
        quantity="power_w",
        semantics="instant",
        scope=scope,
        name=socket.gethostname(),
        quantum=1.0,
        gain=GAINS["bmc"],
        shared=scope is None,
        assumed=True,
        u_time_s=u_time_s,
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
    return INTERFACE.enable
