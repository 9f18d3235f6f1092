"""Mean power over stretches of a window: for pictures, and wherever energy is wanted as a line over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.powers import settled
from inferatlas.measure.metering.scope import Scope
from inferatlas.measure.metering.windows import energies, near


@dataclass(frozen=True, slots=True, eq=False)
class PowerLine:
    """Mean power of one source, scope and part over n stretches that follow each other.

    ``edges_s``: shape (n + 1,), from the start of the window. ``watts``: shape (n,), NaN where a device was not read.
    """

    source: str
    scope: Scope | None
    part: str
    edges_s: NDArray[np.float64]
    watts: NDArray[np.float64]


def power_over_time(log: Log, a_ns: int, b_ns: int, stretches: int = 100) -> tuple[PowerLine, ...]:
    """Mean power over equal stretches of a window, one line per source, scope and part.

    Stretches are too short to be valid windows; their energies sum to that of the window all the same.

    Examples
    --------
    >>> from inferatlas.measure.metering.channel import Channel, Reading
    >>> from inferatlas.measure.metering.logs.log import log_of
    >>> card = Channel("file", "0", "power_w", "instant", Scope.GPU)
    >>> log = log_of([card], [Reading(0, n * 10**9, 100.0 * n) for n in range(5)])
    >>> power_over_time(log, 0, 4 * 10**9, 4)[0].watts.tolist()
    [50.0, 150.0, 250.0, 350.0]
    """
    # 100 times a window of three years is more than 64 bits hold
    edges = np.array([a_ns + (b_ns - a_ns) * n // stretches for n in range(stretches + 1)], dtype=np.int64)
    ways = _ways(log, a_ns, b_ns)
    chosen = replace(log, series=tuple(_settled(one, a_ns, b_ns) for one in log.series if _way(one.channel) in ways))
    each = [energies(chosen, int(low), int(high)) for low, high in pairwise(edges)]
    lines = zip(*each, strict=True)
    return tuple(_line(own, (edges - a_ns) / 1e9) for own in lines)


def _settled(series: Series, a_ns: int, b_ns: int) -> Series:
    """A series whose stretches add up, judged as its whole window is."""
    if series.channel.semantics == "counter":
        return series
    return replace(series, channel=settled(near(series, a_ns, b_ns)).channel)


def _ways(log: Log, a_ns: int, b_ns: int) -> set[tuple[object, ...]]:
    """The way to each device's energy over the whole window, which its stretches are to go as well."""
    whole = energies(log, a_ns, b_ns)
    each = [one for window in whole for one in window.devices or (window,)]
    return {(one.source, one.scope, one.part, one.device, one.method) for one in each}


def _way(channel: Channel) -> tuple[object, ...]:
    return channel.source, channel.scope, channel.part, channel.device, channel.semantics


def _line(own: tuple[Energy, ...], edges_s: NDArray[np.float64]) -> PowerLine:
    first = own[0]
    watts = [np.nan if one.mean_w is None else one.mean_w for one in own]
    return PowerLine(first.source, first.scope, first.part, edges_s, np.array(watts))
