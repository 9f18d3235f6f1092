"""From a counter of energy to the energy of a window: the difference of what it stood at on both edges.

A counter moves in steps, and between two of them it says nothing new. What is known is when a step was first seen, so
the line through those points is read at the edges, and the repeated readings between them are not. Wraps are added,
a counter that starts again splits the window (reference/energy.md, section 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Series
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.judging import faults_within, in_order, nothing, of_channel, some_within, too_far_apart

Array = NDArray[np.float64]
LEAST_STEPS = 20  # of the counter in a window (reference/energy.md, section 5.4)
RECENT = 20  # steps whose mean power says how the counter goes on after the last of them
UNKNOWN_STEP_S = 1.0  # a counter whose steps nobody states, and that was never seen to pause, takes this at most
ASTRAY = 3  # readings in a row that may be absurd before it is the counter that changed
SLACK_S = 1.0  # a reading's time may be late by so much before its power is held to be impossible


@dataclass(frozen=True, slots=True)
class Line:
    """Energy since the first reading over time: points at steps of the counter.

    ``t``: shape (n,), s. ``joules``: shape (n,), ascending. ``late_s``: shape (n,), the step came so long before it was
    seen at most. ``update_s``: time between steps, NaN where every reading is a new one and nobody states it.
    ``resets``, ``doubted``: shape (k, 2), the readings between which the counter started again, or moved as no device
    can; of a reading that was left out its time, twice. ``wraps``: times of readings that found it wrapped.
    ``still_since``: time of the last reading that found it moved.
    """

    t: Array
    joules: Array
    late_s: Array
    update_s: float
    resets: Array
    wraps: Array
    doubted: Array
    still_since: float


def counter_energy(series: Series, a_ns: int, b_ns: int) -> Energy:
    """Energy between two times from readings of a counter.

    Parameters
    ----------
    series : of energy. a_ns, b_ns : the window, on the clock of the readings; a before b.

    Returns
    -------
    Energy : with terms ``edges`` (at each edge the counter's step, seen late: ``P late / sqrt(12)``, a power that
        changes within the step, and the quantum), ``gain`` and ``clock``.

    Examples
    --------
    >>> from inferatlas.measure.metering.scope import Scope
    >>> t = np.arange(-10, 214) * 10**8
    >>> card = Channel("nvml", "0", "energy_j", "counter", Scope.GPU, update_s=0.1)
    >>> flat = Series(card, t, 7e5 + 500.0 * t / 1e9, np.zeros(t.size, dtype=np.int8))
    >>> found = counter_energy(flat, 0, 20_300_000_000)
    >>> round(found.joules, 6), found.valid, round(found.u_terms["edges"], 1)
    (10150.0, True, 20.4)
    """
    channel, length = series.channel, (b_ns - a_ns) / 1e9
    reasons, remarks = faults_within(series, a_ns, b_ns)
    good = (series.fault == 0) & np.isfinite(series.value)
    if some_within(series, good, a_ns, b_ns):
        reasons.append("implausible")
    read_s = (series.t_ns[good] - a_ns) / 1e9
    if read_s.size < 2 or read_s.min() > length or read_s.max() < 0:
        return nothing(series, a_ns, b_ns, reasons, remarks)
    read_s, value = in_order(read_s, series.value[good])
    line = line_through(channel, read_s, value)
    low, high = max(0.0, float(read_s[0])), min(length, float(read_s[-1]))
    if low > 0 or high < length:
        reasons.append("edge_not_bracketed")
    reasons += [
        code
        for code, spans in (("counter_reset", line.resets), ("implausible", line.doubted))
        if np.any((spans[:, 1] > 0) & (spans[:, 0] < length))
    ]
    wrapped = bool(np.any((line.wraps > 0) & (line.wraps <= length)))
    if wrapped:
        remarks.append("counter_wrapped")
    edges_j = np.interp([low, high], line.t, line.joules)
    joules = float(edges_j[1] - edges_j[0])
    inside = (read_s >= low) & (read_s <= high)
    gap = _gap_at(read_s, low, high)
    if too_far_apart(gap, length):
        reasons.append("gap_too_long")
    if np.isfinite(line.update_s) and length < LEAST_STEPS * line.update_s:
        reasons.append("window_too_short")
    if not joules > 0 or high - line.still_since > _long_still(line, read_s):
        reasons.append("counter_stuck")
    if _may_have_wrapped(channel, read_s, low, high, wrapped=wrapped):
        reasons.append("wrap_ambiguous")
    powers = [_power_at(line, edge) for edge in (low, high)]
    terms = {
        "edges": math.hypot(*(_u_edge(channel, line, edge) for edge in (low, high))),
        "gain": channel.gain * joules,
        "clock": math.hypot(*powers) * channel.u_time_s,
    }
    # a counter that never moved knows nothing of the energy: its difference is not 0 J
    found = of_channel(channel, length, joules if joules > 0 else None, terms if joules > 0 else {}, reasons, remarks)
    return found(covered_s=high - low, readings=int(np.count_nonzero(inside)), gap_s=gap)


def line_through(channel: Channel, read_s: Array, value: Array) -> Line:
    """Energy over time from readings of a counter, in order of time (n of them, 2 or more)."""
    alone = _alone(channel, read_s, value)
    left_out, read_s, value = read_s[alone], read_s[~alone], value[~alone]
    between = np.diff(read_s)
    step, wrapped, beyond = _steps(channel, between, np.diff(value))
    reset = step < 0
    moved = ~reset & ~beyond & (step > 0)
    total = np.cumsum(np.where(moved, step, 0.0))
    seen = np.flatnonzero(moved | reset | beyond)
    times = read_s[1:][moved]
    update = _update_of(channel, times, read_s, pauses=bool(np.any((step == 0) & (between > 0))))
    late = np.minimum(between, update if np.isfinite(update) else UNKNOWN_STEP_S)
    late = np.concatenate([[update if np.isfinite(update) else late[0]], late[seen]])
    t = np.concatenate([read_s[:1], read_s[1:][seen]]) - late / 2
    joules = np.concatenate([[0.0], total[seen]])
    t, joules, late = _until_last(t, joules, late, float(read_s[-1]), update)
    spans = np.stack([read_s[:-1], read_s[1:]], axis=1)
    doubted = np.concatenate([np.stack([left_out, left_out], axis=1), spans[beyond]])
    still = float(times[-1]) if times.size else -math.inf
    return Line(t, joules, late, update, spans[reset], read_s[1:][wrapped], doubted, still)


def _update_of(channel: Channel, moved: Array, read_s: Array, *, pauses: bool) -> float:
    """Time between steps in s: as stated, or as its pauses show where that is longer; NaN where neither says.

    ``moved``: times of readings that found a new value. One or none of them is a step that takes all of the readings.
    """
    shown = math.nan
    if pauses:
        shown = float(np.median(np.diff(moved))) if moved.size > 1 else float(read_s[-1] - read_s[0])
    return shown if channel.update_s is None else float(np.fmax(channel.update_s, shown))


def _steps(channel: Channel, between: Array, step: Array) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Steps with wraps added, which of them wrapped, and which no device can have drawn."""
    most = channel.most_w * (between + SLACK_S) + channel.quantum
    wrapped = np.zeros(step.size, dtype=bool)
    if channel.wrap_j is not None:
        wrapped = (step < 0) & (step + channel.wrap_j <= most)
        step = np.where(wrapped, step + channel.wrap_j, step)
    return step, wrapped, step > most


def _alone(channel: Channel, read_s: Array, value: Array) -> NDArray[np.bool_]:
    """Absurd readings, up to `ASTRAY` in a row: no step leads to them, and one leads past them."""
    alone = np.zeros(value.size, dtype=bool)
    here, _, far = _steps(channel, np.diff(read_s), np.diff(value))
    for many in range(1, min(ASTRAY, value.size - 2) + 1):
        apart = many + 1
        past, _, beyond = _steps(channel, read_s[apart:] - read_s[:-apart], value[apart:] - value[:-apart])
        known = ~(alone[1:][:-many] | alone[:-1][:-many])  # what fewer readings explain, more need not
        begins = np.flatnonzero(((here < 0) | far)[:-many] & (past >= 0) & ~beyond & known) + 1
        for n in range(many):
            alone[begins + n] = True
    return alone


def _until_last(t: Array, joules: Array, late: Array, last: float, update: float) -> tuple[Array, Array, Array]:
    """The line goes on from the last step to the last reading, for one step at most, at the power of late."""
    since = last - float(t[-1])
    if t.size < 2 or not since > 0:
        return t, joules, late
    first = max(t.size - 1 - RECENT, 0)
    power = (joules[-1] - joules[first]) / (t[-1] - t[first]) if t[-1] > t[first] else 0.0
    more = power * min(since, update if np.isfinite(update) else since)
    return np.append(t, last), np.append(joules, joules[-1] + more), np.append(late, min(since, late.max()))


def _gap_at(read_s: Array, low: float, high: float) -> float:
    """The longest time between the readings around either edge: within, the counter bridges every gap."""
    gaps = []
    for edge in (low, high):
        after = int(np.clip(np.searchsorted(read_s, edge, side="left"), 1, read_s.size - 1))
        gaps.append(float(read_s[after] - read_s[after - 1]) if read_s[after] != edge else 0.0)
    return max(gaps)


def _long_still(line: Line, read_s: Array) -> float:
    """Seconds without a step after which a counter is held to be stuck: what it counts never stops drawing."""
    return max(LEAST_STEPS * line.update_s, 3 * float(np.median(np.diff(read_s)))) if line.update_s > 0 else math.inf


def _may_have_wrapped(channel: Channel, read_s: Array, low: float, high: float, *, wrapped: bool) -> bool:
    """Whether a wrap may be unseen, or what was taken for one may be a new start."""
    if channel.wrap_j is None:
        return False
    if channel.limit_w is None and channel.scope is None:  # any power is plausible then
        return wrapped
    around = slice(
        max(int(np.searchsorted(read_s, low, side="right")) - 1, 0), int(np.searchsorted(read_s, high, "left")) + 1
    )
    gaps = np.diff(read_s[around])
    return bool(gaps.size and gaps.max() * channel.most_w > channel.wrap_j)


def _power_at(line: Line, edge: float) -> float:
    """Mean power of the step that an edge lies in."""
    after = int(np.clip(np.searchsorted(line.t, edge), 1, line.t.size - 1))
    span = line.t[after] - line.t[after - 1]
    return float((line.joules[after] - line.joules[after - 1]) / span) if span > 0 else 0.0


def _u_edge(channel: Channel, line: Line, edge: float) -> float:
    """Standard uncertainty of the counter at an edge, in J."""
    if line.t.size < 2:
        return 0.0
    after = int(np.clip(np.searchsorted(line.t, edge), 1, line.t.size - 1))
    near = slice(max(after - 2, 0), after + 2)
    span = np.diff(line.t[near])
    powers = np.divide(np.diff(line.joules[near]), span, out=np.zeros_like(span), where=span > 0)
    late = float(line.late_s[max(after - 1, 0) : after + 1].max())
    change = float(powers.max() - powers.min()) * float(line.t[after] - line.t[after - 1])
    return float(np.sqrt(((_power_at(line, edge) * late) ** 2 + change**2 + channel.quantum**2) / 12))
