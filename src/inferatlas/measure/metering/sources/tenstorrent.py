"""Power of Tenstorrent chips, and of their boards where the firmware says it, from the snapshots of ``tt-smi -s``.

What a snapshot holds: https://github.com/tenstorrent/tt-smi (``backend.py``, ``log.py``). The raw telemetry is read,
not the readable copy beside it, in which ``tt-smi`` writes 0 W for a chip that gives nothing. The firmware is said to
renew it every 100 ms (reference/energy.md, section 2; unverified), which is faster than the tool can be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable
from inferatlas.measure.metering.sources.asking import Value, known, no_value, readings, timed, told_apart
from inferatlas.measure.metering.sources.command import run_tool

NAME = "tenstorrent"
TOOL = "tt-smi"
TIMEOUT_S = 10.0
MOST_TRIES = 100  # braces in the tool's messages at which a snapshot might begin

INTERFACE = Interface(
    name=NAME,
    title="Tenstorrent chip and board power (tt-smi)",
    offers=(Offer("power_w", "instant", Scope.DIE), Offer("power_w", "instant", Scope.BOARD)),
    enable="tt-smi 3.0.5 or newer on PATH (https://github.com/tenstorrent/tt-smi; earlier ones write to files), "
    "the kernel driver tt-kmd, and access to /dev/tenstorrent",
    address="path of tt-smi, where it is not on PATH",
    notes="Every reading starts tt-smi, which takes a second or more and asks the chips over the same bus as the load. "
    "Chips are the silicon alone (https://github.com/tenstorrent/tt-metal/issues/33659), each of an n300 or p300 for "
    "itself; the board's input power, which newer firmware of Blackhole gives, contains its chips.",
)


Meter = tuple[str, Scope | None]  # identity of a chip or a board, and which of both it is


class Power(NamedTuple):
    """Power of a chip or a board in one snapshot, its limit in W, and what people call it."""

    watts: Value
    limit_w: float | None = None
    name: str = ""


def snapshot_of(text: str) -> Mapping[str, Any] | None:
    """The snapshot in what ``tt-smi`` printed, which may begin with messages; None where there is no whole one.

    Examples
    --------
    >>> snapshot_of('Detected Chips: {1}\\n{"device_info": []}'), snapshot_of('{"device_info": [{"smbus_te')
    ({'device_info': []}, None)
    """
    decoder = json.JSONDecoder()
    for brace in islice(re.finditer(r"\{", text), MOST_TRIES):
        try:
            found, _ = decoder.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("device_info"), list):
            return found
    return None


def watts_of(raw: object, mask: int = 0xFFFFFFFF) -> Value:
    """W from a raw word of the telemetry, which a snapshot has as hexadecimal text.

    Examples
    --------
    >>> watts_of("0xa00010", 0xFFFF), watts_of(None)[1].code, watts_of("16 W")[1].code
    ((16.0, <Fault.NONE: 0>), 'not_available', 'unreadable')
    """
    if raw is None or raw == "N/A":
        return no_value(Fault.NOT_AVAILABLE)
    if not isinstance(raw, str) or not re.fullmatch(r"0x[0-9a-fA-F]{1,8}", raw):
        return no_value(Fault.UNREADABLE)
    return known(int(raw, 16) & mask)


def powers_of(snapshot: Mapping[str, Any]) -> dict[Meter, Power]:
    """Power of every chip, and of every board that gives its own, by identity and scope.

    The chips of a board share its number, and where several of them give the board's power, it counts once. A running
    board whose input is 0 W has no meter.
    """
    chips = [one for one in snapshot["device_info"] if isinstance(one, dict)]
    found: dict[Meter, Power] = {}
    for chip, device in zip(chips, _identities(chips), strict=True):
        telemetry, about = _part(chip, "smbus_telem"), _part(chip, "board_info")
        name = str(about.get("board_type") or "")
        raw = telemetry.get("TDP", telemetry.get("SMBUS_TX_TDP"))  # the second is its older name
        found[device, Scope.DIE] = Power(watts_of(raw, 0xFFFF), _number(_part(chip, "limits").get("tdp_limit")), name)
        board = _known(about.get("board_id"))
        watts, fault = watts_of(telemetry.get("INPUT_POWER"))
        if board and fault is not Fault.NOT_AVAILABLE and watts != 0:
            most_w, unknown = watts_of(telemetry.get("BOARD_POWER_LIMIT"))
            given = found.get((board, Scope.BOARD))
            if given is None or given.watts[1] is not Fault.NONE:
                limit_w = None if unknown or not most_w else most_w
                found[board, Scope.BOARD] = Power((watts, fault), limit_w, name.removesuffix(" L").removesuffix(" R"))
    return found


@dataclass(slots=True)
class _Chips:
    """The tool, asked again for each reading: the source."""

    tool: str
    channels: tuple[Channel, ...]
    name: str = NAME
    least_s: float = 1.0
    notes: tuple[str, ...] = ()

    def read(self) -> list[Reading]:
        (powers, fault, _), t_ns, _ = timed(lambda: _ask(self.tool))
        return readings(t_ns, [no_value(fault) if fault else _power(one, powers) for one in self.channels])

    def close(self) -> None:
        """Nothing to give back: between readings there is no process."""


def open_source(address: str = "") -> Source:
    """Power of every Tenstorrent chip of this machine, and of the boards that give it.

    Parameters
    ----------
    address : path of ``tt-smi``; "" for the one on PATH.

    Raises
    ------
    Unavailable : no tool, no answer within 10 s, no driver, no snapshot or no chip in it.
    """
    tool = address or TOOL
    (powers, fault, said), _, u_time_s = timed(lambda: _ask(tool))
    if fault is Fault.DRIVER_GONE:
        raise Unavailable(said, hint=INTERFACE.enable)
    if fault is Fault.UNREADABLE:
        raise Unavailable(f"{tool} printed no snapshot", hint=INTERFACE.enable)
    if fault is not Fault.NONE:
        raise Unavailable(f"{tool}: {_last_line(said)}", hint=INTERFACE.enable)
    if not powers:
        raise Unavailable(f"{tool} finds no chip", hint="`tt-smi -ls` lists the boards of a machine")
    channels = tuple(
        Channel(
            NAME, device, "power_w", "instant", scope, name=one.name, quantum=1.0, gain=GAINS["board"],
            limit_w=one.limit_w, u_time_s=u_time_s,
        )
        for (device, scope), one in powers.items()
    )  # fmt: skip
    return _Chips(tool, channels)


def _ask(tool: str) -> tuple[dict[Meter, Power], Fault, str]:
    """Powers of a new snapshot, why there are none, and what the tool said."""
    text, fault = run_tool((tool, "-s"), TIMEOUT_S)
    snapshot = snapshot_of(text) if fault is Fault.NONE else None
    if snapshot is None:
        return {}, fault or Fault.UNREADABLE, text
    return powers_of(snapshot), Fault.NONE, text


def _power(channel: Channel, powers: Mapping[Meter, Power]) -> Value:
    """Of one channel: a chip that is not in the snapshot is lost, and so is a board without any chip in it."""
    if found := powers.get((channel.device, channel.scope)):
        return found.watts
    boards = {device.split("/")[0] for device, scope in powers if scope is Scope.DIE}
    silent = channel.scope is Scope.BOARD and channel.device in boards
    return no_value(Fault.NOT_AVAILABLE if silent else Fault.DEVICE_LOST)


def _identities(chips: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names that survive renumbering: the board's number and the chip's seat on the bus, or its place in the mesh."""
    parts = [[_known(_part(chip, "board_info").get(key)) for key in ("board_id", "bus_id", "coords")] for chip in chips]
    return told_apart([f"{board or 'board unknown'}/{bus or place or 'chip'}" for board, bus, place in parts])


def _part(chip: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = chip.get(name)
    return found if isinstance(found, dict) else {}


def _last_line(said: str) -> str:
    """What a tool said last, without its colours: of a traceback, the error."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", said).strip().splitlines()
    return lines[-1].strip() if lines else "it failed and said nothing"


def _known(value: object) -> str:
    return value if isinstance(value, str) and value != "N/A" else ""


def _number(value: object) -> float | None:
    """A limit as the readable part of a snapshot has it: "85"; None where there is none."""
    text = str(value).strip()
    return float(text) or None if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) else None
