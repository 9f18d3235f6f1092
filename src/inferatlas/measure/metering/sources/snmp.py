"""Power and energy of rack PDUs by SNMP: the total of each unit, as `snmp_profiles.py` says where.

Phases, breakers and outlets meter the same power once more, and are neither read nor added.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from inferatlas.errors import UnknownName
from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, bad_address
from inferatlas.measure.metering.sources.asking import Value, known, no_value, readings, timed
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

MOST = 2**64  # of any number that a PDU counts in
Done = TypeVar("Done")

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
    notes: tuple[str, ...] = ()

    def read(self) -> Sequence[Reading]:
        wanted = dict.fromkeys(one for meter in self.meters for one in meter.total.objects(meter.n))
        (held, fault), t_ns, _ = timed(lambda: self.get(list(wanted)))
        return readings(t_ns, [no_value(fault) if fault else _watts_or_joules(meter, held) for meter in self.meters])

    def close(self) -> None:
        self.end()


def _watts_or_joules(meter: _Meter, held: Mapping[str, int | str]) -> Value:
    value, fault = _value(meter.total, meter.n, held)
    return value * meter.factor, fault


def _value(total: Total, n: int, held: Mapping[str, int | str]) -> Value:
    """The number as the PDU gives it, or why there is none."""
    value = held.get(total.value.format(n=n))
    if value is None or value == total.unsupported:
        return no_value(Fault.NOT_SUPPORTED)
    if total.state and held.get(total.state.format(n=n)) == total.lost:
        return no_value(Fault.NOT_AVAILABLE)
    return known(value) if isinstance(value, int) and abs(value) < MOST else no_value(Fault.UNREADABLE)


def open_source(address: str = "", *, get: Get | None = None) -> Source:
    """The totals of a PDU.

    Parameters
    ----------
    address : ``host[:port]/profile``, for example ``pdu-7/geist``. get : asks for objects, in place of the network.

    Raises
    ------
    Unavailable : pysnmp not installed, no answer, or no total of that maker. BadInput : no address or another one.
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
        meters, channels, notes = _meters(get, where, profile)
    except BaseException:
        end()
        raise
    return Pdu("snmp", tuple(channels), tuple(meters), least_s=1.0, get=get, end=end, notes=tuple(notes))


def _nothing() -> None:
    """Nothing to give back."""


def _parsed(address: str) -> tuple[tuple[str, int], Profile]:
    try:
        parts = urlsplit(f"snmp://{address}")
        host, port, name = parts.hostname, parts.port or PORT, parts.path.strip("/")
    except ValueError:  # a port that is none
        host, port, name = None, PORT, ""
    if not host or not name or "@" in address:
        raise bad_address(INTERFACE, address, hint=f"the community is set by {COMMUNITY}")
    if name not in PROFILES:
        raise UnknownName("profile", name, PROFILES, field="source")
    return (host, port), PROFILES[name]


def _meters(get: Get, where: tuple[str, int], profile: Profile) -> tuple[list[_Meter], list[Channel], list[str]]:
    """Every total that the PDU gives a number for, in a unit that is known, and what to say of the others."""
    count = 1
    if profile.units:
        held, fault = get([profile.units])
        _answered(where, fault)
        told = held.get(profile.units, 1)
        count = min(max(told, 1), MOST_UNITS) if isinstance(told, int) else 1
    meters: list[_Meter] = []
    channels: list[Channel] = []
    notes: list[str] = []
    for n in range(1, count + 1):
        fixed = [one.format(n=n) for total in profile.totals for one in (total.digits, total.unit) if one]
        names = [profile.serial.format(n=n), profile.name.format(n=n)]
        objects = [*names, *fixed, *(one for total in profile.totals for one in total.objects(n))]
        (held, fault), _, u_time_s = timed(partial(get, list(dict.fromkeys(objects))))
        _answered(where, fault)
        serial, name = (str(held.get(one, "")).strip() or where[0] for one in names)
        for total in profile.totals:
            factor, why = _factor(total, n, held), _value(total, n, held)[1]
            if factor is not None and why in (Fault.NONE, Fault.NOT_AVAILABLE):
                meters.append(_Meter(total, n, factor))
                channels.append(_channel(total, factor, f"{serial} {n}", name, u_time_s))
            else:
                kind = "power" if total.quantity == "power_w" else "energy"
                notes.append(f"{serial} {n}: no {kind} ({'another unit' if factor is None else why.code})")
    if not meters:
        objects = ", ".join(total.value.format(n=1) for total in profile.totals)
        raise Unavailable(
            f"{where[0]} has no total that can be read",
            allowed=f"{objects} ({profile.source})",
            hint="is it a PDU of that maker, and one with a meter?",
        )
    return meters, channels, notes


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


def _channel(total: Total, factor: float, device: str, name: str, u_time_s: float) -> Channel:
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
        u_time_s=u_time_s,
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
            limit_s = TIMEOUT_S * (RETRIES + 2)  # with the search for the host's name
            asked = partial(self.runner.run, asyncio.wait_for(self._ask(objects), limit_s))
            try:
                failed, status, _, answers = _outside_loops(asked)
                if failed:
                    return {}, Fault.TIMEOUT if type(failed).__name__ == "RequestTimedOut" else Fault.FAILED
                if int(status):
                    return {}, Fault.FAILED
                return {str(name): held for name, value in answers if (held := _plain(value)) is not None}, Fault.NONE
            except TimeoutError:
                return {}, Fault.TIMEOUT
            except Exception as error:  # pysnmp raises its own for what it cannot send or understand
                return {}, Fault.DEVICE_LOST if "address" in str(error) else Fault.FAILED

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
                _outside_loops(self.runner.close)
                self.runner = None


def _outside_loops(do: Callable[[], Done]) -> Done:
    """Do what runs an event loop: in another thread, where one runs in this already (a notebook, a server)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return do()
    with ThreadPoolExecutor(1) as other:
        return other.submit(do).result()


def _network(where: tuple[str, int]) -> _Network:
    try:
        hlapi = importlib.import_module("pysnmp.hlapi.v3arch.asyncio")
    except ImportError:
        raise Unavailable("pysnmp is not installed", hint="pip install 'inferatlas[snmp]'") from None
    return _Network(where, hlapi)


def _plain(value: Any) -> int | str | None:
    """A number or a text; None where the PDU says that there is no such object, or gives neither.

    A text stays one, though it may be all digits, as serial numbers are.
    """
    from pyasn1.type.univ import Integer, Null, OctetString

    if isinstance(value, Integer):
        return int(value)
    text = isinstance(value, OctetString) and not isinstance(value, Null)  # no such object: a kind of Null, and of text
    return bytes(value).decode("utf-8", "replace") if text else None
