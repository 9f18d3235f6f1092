"""Power and energy of rack PDUs by SNMP: the total of each unit, as `snmp_profiles.py` says where.

Phases, breakers and outlets meter the same power once more, and are neither read nor added.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from inferatlas.errors import UnknownName
from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading, missing
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable
from inferatlas.measure.metering.sources.snmp_profiles import PROFILES, Profile, Total

COMMUNITY = "INFERATLAS_SNMP_COMMUNITY"
PORT = 161
TIMEOUT_S, RETRIES = 2.0, 1
MOST_UNITS = 16

INTERFACE = Interface(
    name="snmp",
    title="Rack PDUs: APC, Raritan, Geist (SNMP version 2c)",
    offers=(Offer("energy_j", "counter", Scope.RACK), Offer("power_w", "instant", Scope.RACK)),
    enable=(
        f"SNMP 2c switched on in the PDU; the community that may read it in {COMMUNITY} (not set: public, the makers' "
        "word); UDP port 161 open from here"
    ),
    address=f"host[:port]/{'|'.join(PROFILES)}",
    extra="snmp",
    notes=(
        "The total of each unit, with all that is plugged in: hosts, switches, fans. Objects and units are those of "
        "the makers' MIBs; this project has read none of them from a PDU. Steps: APC 10 W and 0.1 kWh, Geist 1 W (up "
        "to 9,999 W) and 1 Wh. Values are refreshed every 1 to 60 s; the MIBs do not say."
    ),
    local=False,
)

# Objects -> values of those that exist; with a fault, none
Get = Callable[[Sequence[str]], tuple[Mapping[str, int | str], Fault]]


@dataclass(frozen=True, slots=True)
class _Meter:
    """A total of unit ``n``; ``factor`` with its decimals."""

    total: Total
    n: int
    factor: float


@dataclass(slots=True)
class Pdu:
    """An open PDU; see `Source`."""

    name: str
    channels: tuple[Channel, ...]
    meters: tuple[_Meter, ...]
    least_s: float
    get: Get = field(repr=False)
    end: Callable[[], None] = field(repr=False)

    def read(self) -> Sequence[Reading]:
        wanted = dict.fromkeys(one for meter in self.meters for one in meter.total.objects(meter.n))
        held, fault, t_ns, _ = _timed(self.get, list(wanted))
        if fault is not Fault.NONE:
            return [missing(n, t_ns, fault) for n in range(len(self.meters))]
        found = [_value(meter.total, meter.n, held) for meter in self.meters]
        return [
            Reading(n, t_ns, value * meter.factor, fault)
            for n, (meter, (value, fault)) in enumerate(zip(self.meters, found, strict=True))
        ]

    def close(self) -> None:
        self.end()


def _timed(get: Get, objects: Sequence[str]) -> tuple[Mapping[str, int | str], Fault, int, float]:
    """Values, the middle of the time that asking took, and how long that was."""
    begin = time.monotonic_ns()
    held, fault = get(objects)
    end = time.monotonic_ns()
    return held, fault, (begin + end) // 2, (end - begin) * 1e-9


def _value(total: Total, n: int, held: Mapping[str, int | str]) -> tuple[float, Fault]:
    """The number as the PDU gives it; NaN with the reason where there is none."""
    value = held.get(total.value.format(n=n))
    if value is None or value == total.unsupported:
        return math.nan, Fault.NOT_SUPPORTED
    if total.state and held.get(total.state.format(n=n)) == total.lost:
        return math.nan, Fault.NOT_AVAILABLE
    return (float(value), Fault.NONE) if isinstance(value, int) else (math.nan, Fault.UNREADABLE)


def open_source(address: str = "", *, get: Get | None = None) -> Source:
    """The totals of a PDU.

    Parameters
    ----------
    address : ``host[:port]/profile``, for example ``pdu-7/geist``. get : asks for objects, in place of the network.

    Raises
    ------
    Unavailable : no address or another one, pysnmp not installed, no answer, or no total of that maker.
    UnknownName : another profile.

    Examples
    --------
    >>> held = {"1.3.6.1.4.1.21239.5.2.3.1.1.9.1": 6438}
    >>> pdu = open_source("pdu-7/geist", get=lambda objects: (held, Fault.NONE))
    >>> [(one.device, one.scope) for one in pdu.channels], pdu.read()[0].value
    ([('pdu-7 1', <Scope.RACK: 7>)], 6438.0)
    """
    where, profile = _parsed(address)
    end: Callable[[], None] = _nothing
    if get is None:
        network = _network(where)
        get, end = network.get, network.close
    try:
        meters, channels = _meters(get, where, profile)
    except Unavailable:
        end()
        raise
    return Pdu("snmp", tuple(channels), tuple(meters), least_s=1.0, get=get, end=end)


def _nothing() -> None:
    """Nothing to give back."""


def _parsed(address: str) -> tuple[tuple[str, int], Profile]:
    try:
        parts = urlsplit(f"snmp://{address}")
        host, port, name = parts.hostname, parts.port or PORT, parts.path.strip("/")
    except ValueError:  # a port that is none
        host, port, name = None, PORT, ""
    if not host or not name or "@" in address:
        raise Unavailable(f"'{address}' is not a PDU's address", field="snmp", allowed=INTERFACE.address)
    if name not in PROFILES:
        raise UnknownName("profile", name, PROFILES, field="snmp")
    return (host, port), PROFILES[name]


def _meters(get: Get, where: tuple[str, int], profile: Profile) -> tuple[list[_Meter], list[Channel]]:
    """Every total that the PDU gives a number for, in a unit that is known."""
    count = 1
    if profile.units:
        held, fault = get([profile.units])
        _answered(where, fault)
        told = held.get(profile.units, 1)
        count = min(max(told, 1), MOST_UNITS) if isinstance(told, int) else 1
    meters: list[_Meter] = []
    channels: list[Channel] = []
    for n in range(1, count + 1):
        fixed = [one.format(n=n) for total in profile.totals for one in (total.digits, total.unit) if one]
        names = [profile.serial.format(n=n), profile.name.format(n=n)]
        objects = [*names, *fixed, *(one for total in profile.totals for one in total.objects(n))]
        held, fault, _, took_s = _timed(get, list(dict.fromkeys(objects)))
        _answered(where, fault)
        for total in profile.totals:
            factor = _factor(total, n, held)
            if factor is not None and _value(total, n, held)[1] in (Fault.NONE, Fault.NOT_AVAILABLE):
                meters.append(_Meter(total, n, factor))
                serial, name = (str(held.get(one, "")).strip() for one in names)
                channels.append(_channel(total, factor, f"{serial or where[0]} {n}", name or where[0], took_s))
    if not meters:
        objects = ", ".join(total.value.format(n=1) for total in profile.totals)
        raise Unavailable(
            f"{where[0]} has no total that can be read",
            allowed=f"{objects} ({profile.source})",
            hint="is it a PDU of that maker, and one with a meter?",
        )
    return meters, channels


def _answered(where: tuple[str, int], fault: Fault) -> None:
    if fault is not Fault.NONE:
        raise Unavailable(
            f"{where[0]}:{where[1]} gives no answer by SNMP ({fault.code})",
            hint=f"a PDU does not answer to a wrong community: is {COMMUNITY} right? needed: {INTERFACE.enable}",
        )


def _factor(total: Total, n: int, held: Mapping[str, int | str]) -> float | None:
    """What makes the number SI; None where the PDU states a unit or decimals that are not understood."""
    digits = held.get(total.digits.format(n=n)) if total.digits else 0
    unit = held.get(total.unit.format(n=n)) if total.unit else total.is_unit
    fits = unit == total.is_unit and isinstance(digits, int) and 0 <= digits <= 9
    return total.factor / 10**digits if fits and isinstance(digits, int) else None


def _channel(total: Total, factor: float, device: str, name: str, took_s: float) -> Channel:
    power = total.quantity == "power_w"
    return Channel(
        source="snmp",
        device=device,
        quantity=total.quantity,
        semantics="instant" if power else "counter",
        scope=Scope.RACK,
        name=name,
        quantum=factor,
        gain=GAINS["pdu"],
        assumed=power,
        u_time_s=took_s / 2,
    )


class _Network:
    """A PDU on the network. Its event loop runs in whichever thread asks; the lock keeps `close` apart from that."""

    def __init__(self, where: tuple[str, int], hlapi: Any) -> None:
        self.where, self.hlapi = where, hlapi
        self.lock = threading.Lock()
        self.runner: asyncio.Runner | None = asyncio.Runner()
        self.engine = hlapi.SnmpEngine()

    def get(self, objects: Sequence[str]) -> tuple[Mapping[str, int | str], Fault]:
        with self.lock:
            if self.runner is None:
                return {}, Fault.FAILED
            try:
                failed, status, _, answers = self.runner.run(self._ask(objects))
            except Exception as error:  # pysnmp raises its own for what it cannot send or understand
                return {}, Fault.DEVICE_LOST if "address" in str(error) else Fault.FAILED
        if failed:
            return {}, Fault.TIMEOUT if type(failed).__name__ == "RequestTimedOut" else Fault.FAILED
        if int(status):
            return {}, Fault.FAILED
        return {str(name): held for name, value in answers if (held := _plain(value)) is not None}, Fault.NONE

    async def _ask(self, objects: Sequence[str]) -> Any:
        kind = self.hlapi.Udp6TransportTarget if ":" in self.where[0] else self.hlapi.UdpTransportTarget
        target = await kind.create(self.where, timeout=TIMEOUT_S, retries=RETRIES)
        community = self.hlapi.CommunityData(os.environ.get(COMMUNITY) or "public", mpModel=1)
        asked = [self.hlapi.ObjectType(self.hlapi.ObjectIdentity(one)) for one in objects]
        return await self.hlapi.get_cmd(
            self.engine, community, target, self.hlapi.ContextData(), *asked, lookupMib=False
        )

    def close(self) -> None:
        with self.lock:
            if self.runner is not None:
                self.engine.close_dispatcher()
                self.runner.close()
                self.runner = None


def _network(where: tuple[str, int]) -> _Network:
    try:
        hlapi = importlib.import_module("pysnmp.hlapi.v3arch.asyncio")
    except ImportError:
        raise Unavailable("pysnmp is not installed", hint="pip install 'inferatlas[snmp]'") from None
    return _Network(where, hlapi)


def _plain(value: Any) -> int | str | None:
    """A number or a text; None where the PDU says that there is no such object."""
    if type(value).__name__ in ("NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null"):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return bytes(value).decode("utf-8", "replace")
