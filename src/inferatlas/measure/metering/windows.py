"""From a log to the energies of a window: the best way for each device, held against the others, and their sums.

Ways in order: the counter's difference, averaged power, instant power, a model (reference/energy.md, section 4). They
are alternatives, never added; nor are scopes, nor parts, nor sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Semantics, Series
from inferatlas.measure.metering.counters import counter_energy
from inferatlas.measure.metering.energy import Energy, together
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.powers import power_energy

ORDER: tuple[Semantics, ...] = ("counter", "average", "instant", "model")
MOST_DISAGREEMENT = 0.05
BEYOND = 50  # readings beyond each edge that have a say: the neighbours of an edge, and how fast a counter steps
MIRRORED = ("rapl",)
MIRROR_S = 0.02  # two readings of one meter are taken so far apart at most


def integrate(series: Series, a_ns: int, b_ns: int) -> Energy:
    """Energy of one channel between two times, by what its readings mean.

    Raises
    ------
    BadInput : a window that does not end after it starts.
    """
    if not b_ns > a_ns:
        raise BadInput("the window does not end after it starts", field="to", allowed="a time after the start")
    return (counter_energy if series.channel.semantics == "counter" else power_energy)(series, a_ns, b_ns)


def reconcile(ways: Sequence[Energy]) -> Energy:
    """One energy of a device from several ways to it, the best first: the first valid one, held against the rest.

    The others stay as ``checks``. ``sources_disagree`` where one that is valid differs by more than 5 %; ``fallback``
    where a better way failed.

    Examples
    --------
    >>> from inferatlas.measure.metering.scope import Scope
    >>> counter = Energy(187.0, {}, "counter", "nvml", Scope.GPU, 5.0, 5.0)
    >>> reconcile([counter, replace(counter, joules=327.0, method="average")]).reasons
    ('sources_disagree',)
    """
    best = next((one for one in ways if one.valid), None)
    best = best or next((one for one in ways if one.joules is not None), ways[0])
    checks = tuple(one for one in ways if one is not best)
    reasons, remarks = list(best.reasons), list(best.remarks)
    if best.valid and any(_far(best, one) for one in checks if one.valid and one.method != "model"):
        reasons.append("sources_disagree")
    if best is not ways[0]:
        remarks.append("fallback")
    return replace(best, reasons=tuple(reasons), remarks=tuple(remarks), checks=checks)


def energies(log: Log, a_ns: int, b_ns: int) -> tuple[Energy, ...]:
    """Energy between two times, one per source, scope and part, over all their devices.

    Parameters
    ----------
    log : readings. a_ns, b_ns : the window on the log's clock.

    Returns
    -------
    Energies; ``devices`` holds those of each device where there are several. Devices whose meters may overlap are not
    added (``scope_shared``), and names of one meter count once (``mirrored_meter``).

    Raises
    ------
    BadInput : a window that does not end after it starts.
    """
    groups: dict[tuple[object, ...], dict[str, list[Series]]] = {}
    for one in log.series:
        key = one.channel.source, one.channel.scope, one.channel.part
        groups.setdefault(key, {}).setdefault(one.channel.device, []).append(one)
    return tuple(_of_group(devices, log, a_ns, b_ns) for devices in groups.values())


def _of_group(devices: dict[str, list[Series]], log: Log, a_ns: int, b_ns: int) -> Energy:
    doubles = _mirrored(devices)
    own = [
        reconcile([integrate(one, a_ns, b_ns) for one in _ranked(series)])
        for device, series in devices.items()
        if device not in doubles
    ]
    shared = len(own) > 1 and any(one.channel.shared for series in devices.values() for one in series)
    found = own[0] if len(own) == 1 else together(own)
    if shared:
        found = replace(found, joules=None, u_terms={}, reasons=(*found.reasons, "scope_shared"))
    remarks = (*found.remarks, *log.remarks, *(("mirrored_meter",) if doubles else ()))
    reasons = (*found.reasons, *log.reasons)
    return replace(found, reasons=tuple(dict.fromkeys(reasons)), remarks=tuple(dict.fromkeys(remarks)))


def _near(series: Series, a_ns: int, b_ns: int) -> Series:
    """The readings of a window and some beyond: all that matters of a long log."""
    t = series.t_ns
    if t.size < 4 * BEYOND or np.any(t[1:] < t[:-1]):
        return series
    at = slice(max(int(np.searchsorted(t, a_ns)) - BEYOND, 0), int(np.searchsorted(t, b_ns)) + BEYOND)
    return Series(series.channel, t[at], series.value[at], series.fault[at])


def _ranked(series: Sequence[Series]) -> list[Series]:
    return sorted(series, key=lambda one: ORDER.index(one.channel.semantics))


def _far(one: Energy, other: Energy) -> bool:
    assert one.joules is not None and other.joules is not None
    return abs(one.joules - other.joules) > MOST_DISAGREEMENT * max(one.joules, other.joules)


def _mirrored(devices: dict[str, list[Series]]) -> set[str]:
    """Devices whose counter is another one's under a second name: equal whenever both are read.

    Zones of RAPL go by their place, so one meter may have two (codecarbon issue 1274); other sources know identities.
    """
    counters = {
        name: one
        for name, series in devices.items()
        for one in series
        if one.channel.source in MIRRORED and one.channel.semantics == "counter"
    }
    return {second for (first, one), (second, other) in combinations(counters.items(), 2) if _same_meter(one, other)}


def _same_meter(one: Series, other: Series) -> bool:
    if one.value.size != other.value.size or one.value.size < 3:
        return False
    good = (one.fault == 0) & (other.fault == 0)
    if np.count_nonzero(good) < 3:
        return False
    t, value, second = one.t_ns[good] / 1e9, one.value[good], other.value[good]
    moved = float(value[-1] - value[0])
    if not moved > 0 or not t[-1] > t[0]:
        return False
    apart = np.abs(value - second)
    tolerance = 2 * one.channel.quantum + 1.5 * moved / (t[-1] - t[0]) * MIRROR_S
    return bool(np.all(apart <= tolerance))
