"""Power and energy of servers, as their management controllers (BMCs) give them by Redfish.

Where they stand: `redfish_tree.py`. The schemas say "the actual power that the chassis consumes" (Power) and the power
"for this resource" (EnvironmentMetrics), not whether that is instant or an average: it is taken as instant.
"""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Reading
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.source import Interface, Offer, Source, Unavailable, bad_address
from inferatlas.measure.metering.sources.asking import known, no_value
from inferatlas.measure.metering.sources.chassis import REDFISH
from inferatlas.measure.metering.sources.redfish_tree import (
    GONE,
    J_PER_KWH,
    Chassis,
    Fetched,
    Spot,
    chassis_of,
    fetched,
    meters_of,
    number_at,
)
from inferatlas.measure.metering.sources.web import fetch

USER, PASSWORD, INSECURE = "INFERATLAS_REDFISH_USER", "INFERATLAS_REDFISH_PASSWORD", "INFERATLAS_REDFISH_INSECURE"
TIMEOUT_S = 5.0
LEAST_STEP_J = 0.01 * J_PER_KWH  # of 0.01 to 0.1 kWh (reference/energy.md, section 2); none is believed to be finer
RISK = "then whoever sits between here and there can read the password"

INTERFACE = Interface(
    name="redfish",
    title="A server's management controller (Redfish)",
    offers=(
        Offer("energy_j", "counter", Scope.NODE_AC),
        Offer("power_w", "instant", Scope.NODE_AC),
        Offer("power_w", "average", Scope.NODE_AC),
        Offer("power_w", "instant", Scope.NODE_DC),
    ),
    enable=(
        f"the controller's address, and a user that may read it in the environment: {USER} and {PASSWORD}. "
        f"{INSECURE}=1 accepts a self-signed certificate: {RISK}"
    ),
    notes=(
        "Refreshed every 1 to 30 s, so of use for long windows; the energy counter steps by 36 to 360 kJ. Read are the "
        "outermost chassis that give power: what is inside them counts there. Makers' own meters (HPE FastPowerMeter, "
        "Lenovo HistoryPowerMeter) are not read."
    ),
    address="https://bmc[:port]",
    local=False,
)

# One GET of a path within so many seconds: the text; with a fault, why there is none
Ask = Callable[[str, float], tuple[str, Fault]]


@dataclass(slots=True)
class Server:
    """An open controller; see `Source`. The password is within ``ask`` and nowhere else. ``timeout_s`` : of a read."""

    name: str
    channels: tuple[Channel, ...]
    spots: tuple[Spot, ...]
    least_s: float
    timeout_s: float
    notes: tuple[str, ...]
    ask: Ask = field(repr=False)

    def read(self) -> Sequence[Reading]:
        end = time.monotonic() + self.timeout_s
        answers: dict[str, Fetched] = {}
        gone = Fault.NONE
        for path in dict.fromkeys(spot.path for spot in self.spots):
            if gone is Fault.NONE:
                answers[path] = fetched(lambda path: self.ask(path, end - time.monotonic()), path)
                gone = answers[path].fault if answers[path].fault in GONE else Fault.NONE
            else:
                answers[path] = Fetched(None, gone, time.monotonic_ns())
        return [_reading(n, spot, answers[spot.path]) for n, spot in enumerate(self.spots)]

    def close(self) -> None:
        """Nothing stays open between two readings."""


def _reading(channel: int, spot: Spot, answer: Fetched) -> Reading:
    value, fault = no_value(answer.fault) if answer.fault else number_at(answer.document, spot.steps)
    value, fault = no_value(fault) if fault else known(value * spot.factor)
    return Reading(channel, answer.t_ns, value, fault)


def open_source(address: str = "", *, timeout_s: float = TIMEOUT_S) -> Source:
    """Power, and energy where there is a counter, of the outermost chassis that a controller knows.

    That the outermost one has the total is what the OCP asks of controllers
    (https://github.com/opencomputeproject/HWMgmt-OCP-Profiles, Sustainability).

    Parameters
    ----------
    address : ``https://bmc[:port]``; user and password come from the environment (see `INTERFACE`), never from here.
        ``http`` is accepted for this machine only (a tunnel, a mock-up).
    timeout_s : of each request while looking around, and of each reading.

    Raises
    ------
    Unavailable : no user, no answer, not let in, or no chassis with power. BadInput : no address or another one.

    Examples
    --------
    >>> open_source("http://bmc-7")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: source: 'http://bmc-7' is no address for 'redfish' (allowed: redfish:https://bmc[:port])
      user and password: set INFERATLAS_REDFISH_USER and INFERATLAS_REDFISH_PASSWORD
    """
    base = _base(address)
    ask = _session(base)
    found: list[tuple[Spot, Channel]] = []
    giving: set[str] = set()
    silent: list[str] = []
    try:
        every = chassis_of(lambda path: ask(path, timeout_s))
        for chassis in every:
            if giving.isdisjoint(chassis.within):
                spots = list(meters_of(lambda path: ask(path, timeout_s), chassis))
                found += [(spot, _channel(chassis, spot, base)) for spot in spots]
                giving |= {chassis.path} if spots else set()
                silent += [] if spots else [chassis.path]
    except Unavailable as error:
        raise Unavailable(base + error.message, hint=_hint(error.message)) from None
    if not found:
        looked = ", ".join(one.path for one in every) or "no chassis"
        raise Unavailable(
            f"none of the {len(every)} chassis of {base} gives power",
            allowed="PowerWatts.Reading in EnvironmentMetrics, or PowerControl[].PowerConsumedWatts in Power",
            hint=f"looked at {looked}; a machine that is switched off may give none",
        )
    spots, channels = zip(*found, strict=True)
    notes = [f"{len(silent)} of {len(every)} chassis give no power of their own: {', '.join(silent)}"] if silent else []
    return Server("redfish", channels, spots, 1.0, timeout_s, tuple(notes), ask)


def _base(address: str) -> str:
    """The server's address without a path; an address with a password in it is refused, and not repeated."""
    if "@" not in address:
        try:
            parts = urlsplit(address)
            host, rest = parts.hostname, parts.path.strip("/") or parts.query or parts.fragment
            near = host in ("localhost", "127.0.0.1", "::1")
            if host and parts.port != 0 and not rest and (parts.scheme == "https" or (parts.scheme == "http" and near)):
                return f"{parts.scheme}://{parts.netloc}"
        except ValueError:  # brackets without an IPv6 address, a port that is none
            pass
    raise bad_address(INTERFACE, address, hint=f"user and password: set {USER} and {PASSWORD}")


def _session(base: str) -> Ask:
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if not user or not password:
        unset = " and ".join(name for name, held in ((USER, user), (PASSWORD, password)) if not held)
        raise Unavailable(f"no user for {base}: not set: {unset}", hint=f"export {USER}=... {PASSWORD}=...")
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Accept": "application/json", "OData-Version": "4.0"}
    context = ssl.create_default_context()
    if os.environ.get(INSECURE) == "1":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def ask(path: str, timeout_s: float) -> tuple[str, Fault]:
        return fetch(base + path, timeout_s, headers=headers, context=context)

    return ask


def _hint(message: str) -> str | None:
    if message.endswith(f"({Fault.PERMISSION_DENIED.code})"):
        return f"the controller does not let the user of {USER} in, or not read this"
    return f"{INSECURE}=1 accepts it: {RISK}" if "certificate" in message else None


def _channel(chassis: Chassis, spot: Spot, base: str) -> Channel:
    scope = REDFISH.get(str(chassis.document.get("ChassisType")))
    named = [chassis.document.get(name) for name in ("Manufacturer", "Model", "Name")]
    return Channel(
        source="redfish",
        device=f"{urlsplit(base).netloc}{chassis.path}",
        quantity=spot.quantity,
        semantics=spot.semantics,
        scope=scope,
        name=" ".join(str(one) for one in named if one),
        window_s=spot.window_s,
        quantum=LEAST_STEP_J if spot.quantity == "energy_j" else 0.0,
        gain=GAINS["bmc"],
        shared=scope is None,
        assumed=spot.semantics == "instant",
        u_time_s=spot.u_time_s,
    )
