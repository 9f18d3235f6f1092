"""From readings of power to energy: the trapezoid over all readings, both edges of the window interpolated.

Readings that repeat the one before are kept: a sensor that stands at 500 W says so each time. An average is of the time
before its reading, so it is moved back by half of its window; so is a sensor that is renewed every ``update_s`` (as
stated, or as its repeated readings show), by half of that. Errors as in reference/energy.md, section 4.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.judging import faults_within, in_order, nothing, of_channel, some_within, too_far_apart

Array = NDArray[np.float64]
LEAST_WINDOWS = 5  # of an averaging sensor (reference/energy.md, section 5.4)
AROUND = np.linspace(-1.0, 1.0, 17)  # windows of the sensor around an edge
LEAST_CHANGES, FEW = 6, 0.1  # of a value, to tell how often it is renewed; and the share of them that chance may place
TOUCHING = 1.1  # averages may be so many windows apart: jitter of the sampler
UNKNOWN_WINDOW_S = 1.0  # that an average or unknown sensor may look back over: the longest that NVML documents
UNKNOWN_UPDATE_S = 0.1  # that a sensor may take between two values, where neither it nor its readings tell: as NVML's


def power_energy(series: Series, a_ns: int, b_ns: int) -> Energy:
    """Energy between two times from readings of power.

    Parameters
    ----------
    series : of power. a_ns, b_ns : the window, on the clock of the readings; a before b.

    Returns
    -------
    Energy : with terms ``sampling`` (what readings may have missed), ``edges`` (what an average smears over an edge,
        and how old a value is when it is read), ``gain`` and ``clock``.
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
    believed = _believed(series)
    read_s = (series.t_ns[believed] - a_ns) / 1e9
    if some_within(series, believed, a_ns, b_ns):
        reasons.append("implausible")
    if not read_s.size or read_s.min() > length or read_s.max() < 0:
        return nothing(series, a_ns, b_ns, reasons, remarks)
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
    joules = _energy_between(at, held, low, high) if high > low else math.nan
    if joules <= 0:
        reasons.append("zero_power")
    if not joules > 0:  # a sensor that gives nothing but 0 knows nothing: not 0 J
        return nothing(series, a_ns, b_ns, reasons, remarks)
    gaps = np.diff(read_s[inside])
    gap = float(gaps.max()) if gaps.size else float("nan")
    if too_far_apart(gap, length):
        reasons.append("gap_too_long")
    window = _window_of(channel)
    if channel.semantics == "average" and length < LEAST_WINDOWS * window:
        reasons.append("window_too_short")
    p_a, p_b = (float(np.interp(edge, at, held)) for edge in (low, high))
    known = update or UNKNOWN_UPDATE_S
    whole_s = (channel.window_s or 0.0) if channel.semantics == "average" else 0.0
    # a value may be older or younger than the mean of them: what happened near an edge is seen beyond it
    seen = _around(read_s - back, low - known, high + known)
    old = known if update else max(known, float(np.median(gaps)) if gaps.size else 0.0)
    terms = {
        "sampling": _missed(read_s[seen], watts[seen], known, whole_s),
        "edges": math.hypot(
            _smeared(at, held, window, low, high, known=channel.window_s is not None),
            old / math.sqrt(12) * (p_b - p_a),  # all values may be as old: the whole line is late, or early
        ),
        "gain": channel.gain * joules,
        "clock": math.hypot(p_a, p_b) * channel.u_time_s,
    }
    found = of_channel(channel, length, joules, terms, reasons, remarks)
    return found(covered_s=max(high - low, 0.0), readings=watts[inside].size, gap_s=gap)


def settled(series: Series) -> Series:
    """The same readings of power, with the time between values of their sensor as they show it, where none states it.

    For windows that are to add up: each on its own would judge by what it saw.
    """
    if series.channel.update_s is not None:
        return series
    believed = _believed(series)
    t, watts = in_order(series.t_ns[believed] / 1e9, series.value[believed])
    return replace(series, channel=replace(series.channel, update_s=renewed_s(t, watts)))


def _believed(series: Series) -> NDArray[np.bool_]:
    return (series.fault == 0) & (series.value >= 0) & (series.value <= series.channel.most_w)


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
    period, most = (float(one) for one in np.quantile(apart, (FEW, 1 - FEW)))
    if most - period <= 2.5 * step:  # at every renewal a new value, as noise makes it
        return float(np.mean(apart))
    if period < 3 * step or np.median(apart) > period + 1.5 * step:
        return 0.0
    off = np.abs(apart / period - np.round(apart / period)) * period
    return period if np.quantile(off, 1 - FEW) <= 1.5 * step else 0.0


def _window_of(channel: Channel) -> float:
    """Seconds that a reading may look back over."""
    if channel.window_s is not None:
        return channel.window_s
    return UNKNOWN_WINDOW_S if channel.assumed or channel.semantics == "average" else 0.0


def _energy_between(t: Array, watts: Array, low: float, high: float) -> float:
    """Integral of the line through the points between two times among them."""
    first, last = int(np.searchsorted(t, low, side="right")), int(np.searchsorted(t, high, side="left"))
    at_low = float(np.interp(low, t, watts))
    at_high = float(watts[last]) if t[last] == high else float(np.interp(high, t, watts))  # the first of several then
    line = np.concatenate([[at_low], watts[first:last], [at_high]])
    over = np.concatenate([[low], t[first:last], [high]])
    return float(np.sum((line[1:] + line[:-1]) * np.diff(over)) / 2)


def _around(t: Array, low: float, high: float) -> slice:
    """The points within a window and the nearest one beyond either edge."""
    return slice(max(int(np.searchsorted(t, low, side="right")) - 1, 0), int(np.searchsorted(t, high, side="left")) + 1)


def _missed(t: Array, watts: Array, update: float, whole_s: float) -> float:
    """What readings say of what happened between them, in J.

    A jump at a random time between two readings is worth ``dP D / sqrt(12)`` (reference/energy.md, section 4), where D
    is their distance, or the time between two values of the sensor where that is longer. Where a jump is taken back by
    the next value, the load moves faster than it is read, and values are draws from it: an error ``sigma D`` each. Of
    draws the sum of products of neighbouring jumps is ``-sigma^2``, that of squares ``2 sigma^2``; of lone jumps the
    first is 0. One sum is right for both.

    Averages over ``whole_s`` (W) that touch miss nothing, but overlap, and what lies in two of them weighs as the
    trapezoid has it. Of a load that changes all the time that is ``dP D sqrt(f (1 - f) / 2)`` each, f the part of W/D
    over a whole number (a saw-tooth against itself, W later); the age of each average, up to ``update``, comes on top.
    """
    jumps, gaps = np.diff(watts), np.diff(t)
    if gaps.size and gaps.max() <= TOUCHING * whole_s:
        part = whole_s / np.maximum(gaps, 1e-9)
        part -= np.floor(part)
        return math.sqrt(float(np.dot(jumps * jumps, update**2 + 6 * gaps * gaps * part * (1 - part))) / 12)
    missed, moved = jumps * np.maximum(gaps, update), np.flatnonzero(jumps)
    neighbours = np.diff(t[1:][moved]) <= 1.5 * np.maximum(gaps[moved[1:]], update)
    back = -float(np.sum((missed[moved[1:]] * missed[moved[:-1]])[neighbours]))
    return math.sqrt((float(np.sum(missed**2)) + 10 * max(back, 0.0)) / 12)


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
