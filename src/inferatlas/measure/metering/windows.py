"""From a log to the energies of a window: the best way for each device, held against the others, and their sums.

Ways in order: the counter's difference, averaged power, instant power, a model (reference/energy.md, section 4). They
are alternatives, never added; nor are scopes, nor parts, nor sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Semantics, Series
from inferatlas.measure.metering.counters import counter_energy
from inferatlas.measure.metering.energy import Energy, together
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.powers import power_energy

ORDER: tuple[Semantics, ...] = ("counter", "average", "instant", "model")
MOST_DISAGREEMENT = 0.05
BEYOND, NEW = 200, 25  # readings beyond each edge, and new values among them, that say how fast a sensor moves
WINDOWS, OF_S = 3, 1.0  # and the time beyond an edge, in windows and updates of the sensor, or in this where unknown
MIRRORED = ("rapl",)
MIRROR_S, LEAST_PAIRS = 0.02, 3  # two readings of one meter are taken so far apart at most; from so many it is told


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
    devices = {device: [near(one, a_ns, b_ns) for one in _ranked(series)] for device, series in devices.items()}
    doubles = _mirrored(devices)
    own = [
        reconcile([integrate(one, a_ns, b_ns) for one in series])
        for device, series in devices.items()
        if device not in doubles
    ]
    shared = len(own) > 1 and any(one.channel.shared for series in devices.values() for one in series)
    found = own[0] if len(own) == 1 else together(own)
    if shared:
        found = replace(found, joules=None, u_terms={}, method=None, reasons=(*found.reasons, "scope_shared"))
    remarks = (*found.remarks, *log.remarks, *(("mirrored_meter",) if doubles else ()))
    reasons = (*found.reasons, *log.reasons)
    return replace(found, reasons=tuple(dict.fromkeys(reasons)), remarks=tuple(dict.fromkeys(remarks)))


def near(series: Series, a_ns: int, b_ns: int) -> Series:
    """The readings of a window and enough beyond: all that matters of a long log."""
    t, channel = series.t_ns, series.channel
    if t.size < 4 * BEYOND or np.any(t[1:] < t[:-1]):
        return series
    reach_ns = int(WINDOWS * 1e9 * max(channel.window_s or OF_S, channel.update_s or OF_S))
    low, high = (int(one) for one in np.searchsorted(t, (a_ns - reach_ns, b_ns + reach_ns)))
    told = channel.semantics != "counter" and channel.update_s is not None
    new = 0 if told else NEW
    at = slice(max(low - _enough(series.value[:low][::-1], new), 0), high + _enough(series.value[high:], new))
    return Series(channel, t[at], series.value[at], series.fault[at])


def _enough(value: NDArray[np.float64], new: int) -> int:
    """How many readings, from the first on, hold so many new values; `BEYOND` at least, `NEW` of them no faults."""
    many = BEYOND
    while many < value.size and (
        np.count_nonzero(np.isfinite(value[:many])) < NEW or np.count_nonzero(np.abs(np.diff(value[:many])) > 0) < new
    ):
        many *= 4
    return many


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
    t, value = _good(one)
    then, second = _good(other)
    if min(t.size, then.size) < LEAST_PAIRS:
        return False
    # readings go by pairs in time: one of the series may hold a reading more, or lack one
    after = np.clip(np.searchsorted(then, t), 1, then.size - 1)
    pair = np.where(t - then[after - 1] <= then[after] - t, after - 1, after)
    paired = np.abs(then[pair] - t) <= MIRROR_S
    steps, wrap = np.diff(value), one.channel.wrap_j
    moved = float(np.sum(steps[steps > 0]))  # a wrap takes nothing back
    if np.count_nonzero(paired) < max(LEAST_PAIRS, t.size // 2) or not moved > 0 or not t[-1] > t[0]:
        return False
    apart = np.abs(value - second[pair])[paired]
    if wrap is not None:
        apart = np.minimum(apart, np.abs(wrap - apart))
    tolerance = 2 * one.channel.quantum + 1.5 * moved / (t[-1] - t[0]) * MIRROR_S
    return bool(np.all(apart <= tolerance))


def _good(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    held = (series.fault == 0) & np.isfinite(series.value)
    return series.t_ns[held] / 1e9, series.value[held]
