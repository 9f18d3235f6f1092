"""Energy of a window shared out over the steps of an engine, and each step's over the sequences in it.

In: `Energy` of the window, energies or power of the steps, the work of every sequence in every step. Out: joules of
every sequence in prefill and in decode, and the idle line, which together are the energy of the window
(reference/energy.md, section 6: "engine step").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.attribution import FAR
from inferatlas.measure.metering.energy import Energy

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Joules of m sequences by phase; with ``idle_j`` they sum to the energy of the window.

    Parameters
    ----------
    sequence : shape (m,), each once, ascending. prefill_j, decode_j : shape (m,).
    idle_j : of the time outside steps, and of steps without a sequence.
    energy : what was split, with its scope, uncertainty and validity: that of every share in proportion. What the
        weights miss is not in it.
    """

    sequence: NDArray[Any]
    prefill_j: Array
    decode_j: Array
    idle_j: float
    energy: Energy

    @property
    def totals(self) -> dict[str, float]:
        """Joules by phase, and idle."""
        return {"prefill": math.fsum(self.prefill_j), "decode": math.fsum(self.decode_j), "idle": self.idle_j}


def by_steps(
    energy: Energy,
    step_j: ArrayLike,
    *,
    step: ArrayLike,
    sequence: ArrayLike,
    prefill: ArrayLike,
    flop: ArrayLike,
    bytes_moved: ArrayLike,
    flop_per_s: float,
    bytes_per_s: float,
) -> Split:
    """Energy of each step over its sequences, with weights ``FLOP_i/F + bytes_i/B``.

    A row is the part of one sequence in one step: prefill tokens bring FLOP, a decoding sequence its share of the
    weights that are read and its own keys and values.

    Parameters
    ----------
    step_j : shape (k,), joules of each step (`step_joules`), 0 or more.
    step : shape (n,), which step a row belongs to, from 0. sequence : shape (n,), whose row it is.
    prefill : shape (n,), true for prefill, false for decode.
    flop, bytes_moved : shape (n,), work of the row, 0 or more.
    flop_per_s, bytes_per_s : rates F and B that the devices reach, above 0.

    Raises
    ------
    BadInput : an unknown energy; columns that do not fit; a step with sequences and no work; steps that hold more
        than the window by over 2 standard uncertainties.

    Examples
    --------
    >>> from inferatlas.measure.metering.scope import Scope
    >>> window = Energy(1000.0, {}, "counter", "nvml", Scope.GPU, 2.0, 2.0)
    >>> split = by_steps(window, [600.0, 300.0], step=[0, 0, 1], sequence=[7, 8, 7], prefill=[True, False, False],
    ...     flop=[2e12, 0.0, 0.0], bytes_moved=[0.0, 1e10, 1e10], flop_per_s=1e15, bytes_per_s=1e13)
    >>> split.sequence.tolist(), split.prefill_j.tolist(), split.decode_j.tolist(), split.idle_j
    ([7, 8], [400.0, 0.0], [300.0, 200.0], 100.0)
    """
    joules = _column("step_j", step_j, None)
    owner, phase, index = np.asarray(sequence), np.asarray(prefill), np.asarray(step)
    rows = owner.shape
    work, moved = _column("flop", flop, rows), _column("bytes_moved", bytes_moved, rows)
    if index.shape != rows or phase.shape != rows or not owner.size:
        raise BadInput("columns differ in length, or hold no row", field="step", allowed="one value per row in each")
    if phase.dtype != np.bool_:
        raise BadInput("is neither prefill nor decode", field="prefill", allowed="true or false")
    if index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= joules.size:
        raise BadInput("is no step", field="step", allowed=f"0 to {joules.size - 1}, as `step_j` has them")
    for field, rate in (("flop_per_s", flop_per_s), ("bytes_per_s", bytes_per_s)):
        if not 0 < rate < math.inf:
            raise BadInput(f"{rate!r} is no rate", field=field, allowed="above 0")
    weight = work / flop_per_s + moved / bytes_per_s
    whole = np.bincount(index, weight, joules.size)
    held = np.bincount(index, minlength=joules.size) > 0
    if np.any(held & (whole <= 0)):
        first = int(np.flatnonzero(held & (whole <= 0))[0])
        raise BadInput(f"step {first} has sequences and no work", field="flop", allowed="FLOP or bytes in every step")
    idle_j = _idle(energy, joules[held])
    names, place = np.unique(owner, return_inverse=True)
    share = joules[index] * (weight / whole[index])
    own = np.zeros((2, names.size))
    np.add.at(own, (np.where(phase, 0, 1), place), share)
    return Split(names, own[0], own[1], idle_j, energy)


def _idle(energy: Energy, joules: Array) -> float:
    """What the window holds beyond its steps."""
    if energy.joules is None:
        why = f": {', '.join(energy.reasons)}" if energy.reasons else ""
        raise BadInput(f"is unknown{why}", field="energy", allowed="joules")
    inside = math.fsum(joules)
    idle = math.fsum([energy.joules, *-joules])
    room = FAR * (energy.uncertainty_j or 0.0) + 1e-9 * inside
    if idle < -room:
        message = f"the steps hold {inside:.6g} J, the window {energy.joules:.6g} J"
        raise BadInput(message, field="step_j", allowed="the power of one source, steps within the window")
    return idle


def step_joules(time_s: ArrayLike, power_w: ArrayLike, start_s: ArrayLike, stop_s: ArrayLike) -> Array:
    """Energy of each step from power readings: linear between readings, interpolated at both ends of a step.

    A sensor that is slower than the steps does not tell neighbours apart: it gives each the mean of both.

    Parameters
    ----------
    time_s, power_w : shape (r,), readings of one channel, ascending in time.
    start_s, stop_s : shape (k,), steps on the same clock, one after the other.

    Returns
    -------
    shape (k,), joules.

    Raises
    ------
    BadInput : readings or steps out of order, steps that overlap or that readings do not bracket.

    Examples
    --------
    >>> step_joules([0.0, 1.0, 2.0], [100.0, 300.0, 300.0], [0.5, 1.0], [1.0, 2.0]).tolist()
    [125.0, 300.0]
    """
    time, power = _column("time_s", time_s, None, low=-math.inf), _column("power_w", power_w, None)
    start, stop = _column("start_s", start_s, None, low=-math.inf), _column("stop_s", stop_s, None, low=-math.inf)
    if time.shape != power.shape or time.size < 2 or np.any(np.diff(time) <= 0):
        raise BadInput("no readings in order", field="time_s", allowed="two or more, each later than the one before")
    if start.shape != stop.shape or np.any(stop < start) or np.any(start[1:] < stop[:-1]):
        raise BadInput("steps overlap or end before they start", field="start_s", allowed="one after the other")
    if start.size and (start[0] < time[0] or stop[-1] > time[-1]):
        message = f"steps from {start[0]:.6g} to {stop[-1]:.6g} s, readings from {time[0]:.6g} to {time[-1]:.6g} s"
        raise BadInput(message, field="time_s", allowed="readings before the first step and after the last")
    so_far = np.concatenate(([0.0], np.cumsum((power[1:] + power[:-1]) / 2 * np.diff(time))))

    def until(at: Array) -> Array:
        before = np.clip(np.searchsorted(time, at, side="right") - 1, 0, time.size - 2)
        return so_far[before] + (power[before] + np.interp(at, time, power)) / 2 * (at - time[before])

    return np.maximum(until(stop) - until(start), 0.0)  # rounding may leave -1e-16 in a step of no length


def _column(field: str, values: ArrayLike, shape: tuple[int, ...] | None, low: float = 0.0) -> Array:
    """Finite numbers of at least ``low``, one per row."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or (shape is not None and column.shape != shape):
        raise BadInput("columns differ in length", field=field, allowed="one value per row")
    if not np.all(np.isfinite(column) & (column >= low)):
        raise BadInput("a value that is none", field=field, allowed="finite" + (", 0 or more" if low == 0 else ""))
    return column
