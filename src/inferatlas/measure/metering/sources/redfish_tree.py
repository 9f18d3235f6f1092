"""Resources of a Redfish service: fetched, followed, and the places in them that hold power and energy.

DMTF's schemas, https://redfish.dmtf.org/schemas/v1/: `Chassis`, `Power` and `EnvironmentMetrics`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferatlas.measure.metering.channel import Fault, Quantity, Semantics
from inferatlas.measure.metering.source import Unavailable
from inferatlas.measure.metering.sources.asking import Value, known, no_value, timed

J_PER_KWH = 3.6e6
MOST_PAGES = 32
GONE = (Fault.TIMEOUT, Fault.DEVICE_LOST)  # whoever asks on waits to the end of the time for each of its resources

# one GET of a path: the text; with a fault, why there is none
Get = Callable[[str], tuple[str, Fault]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A resource, or with a ``fault`` why there is none; ``t_ns`` and its uncertainty as of `timed`."""

    document: Any
    fault: Fault
    t_ns: int
    u_time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value is (a path, then names and indices in the resource) and what it is; ``factor`` makes it SI."""

    path: str
    steps: tuple[str | int, ...]
    quantity: Quantity = "power_w"
    semantics: Semantics = "instant"
    factor: float = 1.0
    window_s: float | None = None
    u_time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Chassis:
    """``within`` : the chassis around it, from near to far."""

    path: str
    within: tuple[str, ...]
    document: Mapping[str, Any]


def fetched(get: Get, path: str) -> Fetched:
    """The resource at a path.

    Examples
    --------
    >>> fetched(lambda path: ('{"Id": "1"}', Fault.NONE), "/redfish/v1/Chassis/1").document
    {'Id': '1'}
    """
    (document, fault), t_ns, u_time_s = timed(lambda: get(path))
    if fault is Fault.NONE:
        try:
            document = json.loads(document)
        except (ValueError, RecursionError):
            document, fault = "does not send JSON", Fault.UNREADABLE
    return Fetched(document, fault, t_ns, u_time_s)


def _there(get: Get, path: str) -> Fetched:
    """As `fetched`, while looking around.

    Raises
    ------
    Unavailable : the controller stopped answering.
    """
    answer = fetched(get, path)
    if answer.fault in GONE:
        raise Unavailable(f"{path} {answer.document} ({answer.fault.code})")
    return answer


def number_at(document: Any, steps: Sequence[str | int]) -> Value:
    """The number at a place in a resource, or why there is none.

    Some controllers write numbers as texts: a text that is a number and nothing else is one.

    Examples
    --------
    >>> number_at({"PowerWatts": {"Reading": 374}}, ("PowerWatts", "Reading"))
    (374.0, <Fault.NONE: 0>)
    >>> number_at({"PowerWatts": {"Reading": None}}, ("PowerWatts", "Reading"))
    (nan, <Fault.NOT_AVAILABLE: 1>)
    """
    for step in steps:
        if isinstance(step, int):
            found = document[step] if isinstance(document, list) and step < len(document) else None
        else:
            found = document.get(step) if isinstance(document, dict) else None
        if found is None:
            return no_value(Fault.NOT_AVAILABLE)
        document = found
    if isinstance(document, bool) or not isinstance(document, int | float | str):
        return no_value(Fault.UNREADABLE)
    try:
        return known(float(document) if isinstance(document, str) else document)
    except ValueError:
        return no_value(Fault.UNREADABLE)


def link(document: Any, *steps: str) -> str | None:
    """The path that a resource links to. Paths on the same server only: a password goes along with each request.

    Examples
    --------
    >>> link({"Power": {"@odata.id": "/redfish/v1/Chassis/1/Power"}}, "Power")
    '/redfish/v1/Chassis/1/Power'
    >>> link({"Power": {"@odata.id": "https://elsewhere/Power"}}, "Power")
    """
    for step in (*steps, "@odata.id"):
        document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, str) and document.startswith("/") else None


def chassis_of(get: Get) -> list[Chassis]:
    """Every chassis that can be read, the outermost first (by `Links.ContainedBy`).

    Raises
    ------
    Unavailable : no list of chassis, or a controller that stops answering.

    Examples
    --------
    >>> chassis_of(lambda path: ('{"Members": []}', Fault.NONE))
    []
    """
    paths: list[str] = []
    page: str | None = "/redfish/v1/Chassis"
    for _ in range(MOST_PAGES):
        if page is None:
            break
        answer = fetched(get, page)
        if answer.fault is not Fault.NONE:
            raise Unavailable(f"{page} {answer.document} ({answer.fault.code})")
        members = answer.document.get("Members") if isinstance(answer.document, dict) else None
        paths += [path for one in members if (path := link(one))] if isinstance(members, list) else []
        page = link({"@odata.id": answer.document.get("Members@odata.nextLink")}) if members else None
    read = {path: _there(get, path).document for path in dict.fromkeys(paths)}
    found = {path: document for path, document in read.items() if isinstance(document, dict)}
    return sorted(
        (Chassis(path, _around(path, found), document) for path, document in found.items()),
        key=lambda one: len(one.within),
    )


def _around(path: str, documents: Mapping[str, Any]) -> tuple[str, ...]:
    within: list[str] = []
    outer = link(documents[path], "Links", "ContainedBy")
    while outer and outer not in (path, *within):
        within.append(outer)
        outer = link(documents.get(outer), "Links", "ContainedBy")
    return tuple(within)


def meters_of(get: Get, chassis: Chassis) -> Iterator[Spot]:
    """Where a chassis gives its power and its energy, one of each at most: `EnvironmentMetrics` before `Power`.

    `Power` is the older one; `EnvironmentMetrics` has the total power and energy "for this resource".

    Raises
    ------
    Unavailable : a controller that stops answering.

    Examples
    --------
    >>> chassis = Chassis("/c", (), {"EnvironmentMetrics": {"@odata.id": "/c/e"}})
    >>> (spot,) = meters_of(lambda path: ('{"PowerWatts": {"Reading": 374}}', Fault.NONE), chassis)
    >>> spot.path, spot.steps, spot.quantity
    ('/c/e', ('PowerWatts', 'Reading'), 'power_w')
    """
    power = False
    if path := link(chassis.document, "EnvironmentMetrics"):
        answer = _there(get, path)
        for spot in (
            Spot(path, ("PowerWatts", "Reading"), u_time_s=answer.u_time_s),
            Spot(path, ("EnergykWh", "Reading"), "energy_j", "counter", J_PER_KWH, u_time_s=answer.u_time_s),
        ):
            if number_at(answer.document, spot.steps)[1] is Fault.NONE:
                power |= spot.quantity == "power_w"
                yield spot
    if not power and (path := link(chassis.document, "Power")):
        answer = _there(get, path)
        if spot := _consumed(answer, path):
            yield spot


def _consumed(answer: Fetched, path: str) -> Spot | None:
    """Where `Power` has the power of the whole chassis; its average over the last IntervalInMin where that is all.

    PowerControl lists sub-systems as well, with their PhysicalContext: the first without one, or with "Chassis", is
    the whole.
    """
    controls = answer.document.get("PowerControl") if isinstance(answer.document, dict) else None
    for n, control in enumerate(controls if isinstance(controls, list) else []):
        if isinstance(control, dict) and control.get("PhysicalContext") in (None, "Chassis"):
            now = ("PowerControl", n, "PowerConsumedWatts")
            if number_at(answer.document, now)[1] is Fault.NONE:
                return Spot(path, now, u_time_s=answer.u_time_s)
            average = ("PowerControl", n, "PowerMetrics", "AverageConsumedWatts")
            minutes, fault = number_at(answer.document, ("PowerControl", n, "PowerMetrics", "IntervalInMin"))
            if number_at(answer.document, average)[1] is Fault.NONE and fault is Fault.NONE and minutes > 0:
                return Spot(path, average, semantics="average", window_s=60 * minutes, u_time_s=answer.u_time_s)
    return None
