"""From readings of power to energy: the trapezoid over all readings, both edges of the window interpolated.

Readings that repeat the one before are kept: a sensor that stands at 500 W says so each time. An average is of the time
before its reading, so it is moved back by half of its window; so is a sensor that is renewed every ``update_s`` (as
stated, or as its repeated readings show), by half of that. Errors as in reference/energy.md, section 4.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.judging import MOST_GAP_S, MOST_GAP_SHARE, faults_within, in_order, nothing, of_channel

Array = NDArray[np.float64]
LEAST_WINDOWS = 5  # of an averaging sensor (reference/energy.md, section 5.4)
AROUND = np.linspace(-1.0, 1.0, 17)  # windows of the sensor around an edge
LEAST_CHANGES, FEW = 6, 0.1  # of a value, to tell how often it is renewed; and the share of them that chance may place
TOUCHING = 1.1  # averages may be so many windows apart: jitter of the sampler
UNKNOWN_WINDOW_S = 1.0  # that an average or unknown sensor may look back over: the longest that NVML documents


def power_energy(series: Series, a_ns: int, b_ns: int) -> Energy:
    """Energy between two times from readings of power.

    Parameters
    ----------
    series : of power. a_ns, b_ns : the window, on the clock of the readings; a before b.

    Returns
    -------
    Energy : with terms ``sampling`` (what readings may have missed), ``edges`` (what an average smears over an edge),
        ``gain`` and ``clock``.
        Where no reading brackets an edge, only what lies between readings counts (``covered_s``), and the window is
        invalid.

    Examples
    --------
    >>> from inferatlas.measure.metering.scope import Scope
    >>> t = np.arange(0, 204) * 10**8
    >>> card = Channel("file", "0", "power_w", "instant", Scope.GPU)
    >>> flat = Series(card, t, np.full(t.size, 500.0), np.zeros(t.size, dtype=np.int8))
    >>> found = power_energy(flat, 0, 20_300_000_000)
    >>> found.joules, found.valid, found.u_terms["sampling"]
    (10150.0, True, 0.0)
    """
    channel, length = series.channel, (b_ns - a_ns) / 1e9
    reasons, remarks = faults_within(series, a_ns, b_ns)
    believed = (series.fault == 0) & (series.value >= 0) & (series.value <= channel.most_w)
    read_s = (series.t_ns[believed] - a_ns) / 1e9
    if _some_within(series, believed, a_ns, b_ns):
        reasons.append("implausible")
    if not read_s.size or read_s.min() > length or read_s.max() < 0:
        return nothing(channel, length, reasons, remarks)
    read_s, watts = in_order(read_s, series.value[believed])
    update = channel.update_s if channel.update_s is not None else renewed_s(read_s, watts)
    back = ((channel.window_s or 0.0) + update) / 2  # how long ago, in the mean, a value was true
    # the first reading says what was before it within its own window, the last holds until it was taken
    at = np.concatenate([[read_s[0] - 2 * back], read_s - back, [read_s[-1]]]) if back else read_s
    held = np.concatenate([watts[:1], watts, watts[-1:]]) if back else watts
    low, high = max(0.0, float(at[0])), min(length, float(at[-1]))
    if low > 0 or high < length or read_s[0] > 0:
        reasons.append("edge_not_bracketed")
    inside = _around(read_s, 0.0, length)
    if not np.any(watts[inside]):
        reasons.append("zero_power")
    if not high > low or not np.any(watts[inside]):  # a sensor that gives nothing but 0 knows nothing: not 0 J
        return nothing(channel, length, reasons, remarks)
    joules = _energy_until(at, held, high) - _energy_until(at, held, low)
    gaps = np.diff(read_s[inside])
    gap = float(gaps.max()) if gaps.size else float("nan")
    if gaps.size and gap > min(MOST_GAP_S, MOST_GAP_SHARE * length) * (1 + 1e-9):
        reasons.append("gap_too_long")
    window = _window_of(channel)
    if channel.semantics == "average" and length < LEAST_WINDOWS * window:
        reasons.append("window_too_short")
    p_a, p_b = (float(np.interp(edge, at, held)) for edge in (low, high))
    jumps = np.diff(watts[inside]) * np.maximum(gaps, update)
    terms = {
        "sampling": _missed(jumps, seen_whole=gaps.size > 0 and bool(gaps.max() <= TOUCHING * window)),
        "edges": _smeared(at, held, window, low, high, known=channel.window_s is not None),
        "gain": channel.gain * joules,
        "clock": math.hypot(p_a, p_b) * channel.u_time_s,
    }
    found = of_channel(channel, length, joules, terms, reasons, remarks)
    return found(covered_s=max(high - low, 0.0), readings=watts[inside].size, gap_s=gap)


def renewed_s(t: Array, watts: Array) -> float:
    """How often a sensor was renewed, from readings that repeat, in seconds; 0 where they do not tell.

    A sensor that is renewed at a steady rate changes at multiples of its period, mostly at the first. A load that
    jumps now and then does not, and says nothing of the sensor.

    Examples
    --------
    >>> t = np.arange(0.0, 600.0, 1.0)
    >>> renewed_s(t, 900.0 + np.floor(t / 30.0)), renewed_s(t, 900.0 + t)
    (30.0, 0.0)
    """
    changed = np.diff(watts) != 0
    if np.count_nonzero(changed) < LEAST_CHANGES or bool(changed.all()):
        return 0.0
    apart, step = np.diff(t[1:][changed]), float(np.median(np.diff(t)))
    period = float(np.quantile(apart, FEW))
    if period < 3 * step or np.median(apart) > period + 1.5 * step:
        return 0.0
    off = np.abs(apart / period - np.round(apart / period)) * period
    return period if np.quantile(off, 1 - FEW) <= 1.5 * step else 0.0


def _window_of(channel: Channel) -> float:
    """Seconds that a reading may look back over."""
    if channel.window_s is not None:
        return channel.window_s
    return UNKNOWN_WINDOW_S if channel.assumed or channel.semantics == "average" else 0.0


def _some_within(series: Series, believed: NDArray[np.bool_], a_ns: int, b_ns: int) -> bool:
    """Whether a value within the window is not believed."""
    doubted = (series.fault == 0) & ~believed
    return bool(np.any(doubted & (series.t_ns >= a_ns) & (series.t_ns <= b_ns)))


def _energy_until(t: Array, watts: Array, until: float) -> float:
    """Integral of the line through the points from the first of them to a time among them."""
    last = int(np.searchsorted(t, until, side="right"))
    whole = float(np.sum((watts[1:last] + watts[: last - 1]) * np.diff(t[:last])) / 2) if last > 1 else 0.0
    if last in (0, t.size):
        return whole
    here = float(np.interp(until, t, watts))
    return whole + (float(watts[last - 1]) + here) / 2 * (until - float(t[last - 1]))


def _around(t: Array, low: float, high: float) -> slice:
    """The points within a window and the nearest one beyond either edge."""
    return slice(max(int(np.searchsorted(t, low, side="right")) - 1, 0), int(np.searchsorted(t, high, side="left")) + 1)


def _missed(jumps: Array, *, seen_whole: bool) -> float:
    """What readings say of what happened between them, in J; ``jumps``: changes of power times the time they took.

    A jump at a random time between two readings is worth ``dP D / sqrt(12)`` (reference/energy.md, section 4). Where
    a jump is taken back at once, the load moves faster than it is read, and readings are draws from it: an error
    ``sigma D`` each. Of draws the sum of products of neighbouring jumps is ``-sigma^2``, that of squares ``2 sigma^2``;
    of lone jumps the first is 0. One sum is right for both.
    """
    back = -float(np.sum(jumps[1:] * jumps[:-1]))
    return math.sqrt((float(np.sum(jumps**2)) + 10 * max(back, 0.0)) / 12)


def _smeared(t: Array, watts: Array, window: float, low: float, high: float, *, known: bool) -> float:
    """What averaging moves over the edges of a window, in J.

    The mean over a window that lies across an edge weighs what is on its wrong side by up to a half, falling to none
    at half a window: of a load whose averages spread by s near the edge that is ``s window / sqrt(12)``. Where the
    sensor's window is unknown there was no shift: ``window/2 abs(P_end - P_start)`` comes on top.
    """
    if not window:
        return 0.0
    spread = [float(np.std(np.interp(edge + window * AROUND, t, watts))) for edge in (low, high)]
    drift = 0.0 if known else abs(float(np.diff(np.interp([low, high], t, watts))[0])) * window / 2
    return math.hypot(*(one * window / math.sqrt(12) for one in spread), drift)
