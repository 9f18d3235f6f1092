"""Series and sources made from functions of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from inferatlas.measure.metering.channel import Channel, Fault, Reading, Series
from inferatlas.measure.metering.scope import Scope

S = 10**9


def channel(semantics: str = "instant", **facts) -> Channel:
    quantity = "energy_j" if semantics == "counter" else "power_w"
    named = {"source": "nvml", "device": "GPU-1", "scope": Scope.GPU} | facts
    return Channel(quantity=quantity, semantics=semantics, **named)


def series(of: Channel, t_s: Sequence[float], value: Sequence[float], fault: Sequence[int] | None = None) -> Series:
    t, v = np.asarray(t_s, dtype=float), np.asarray(value, dtype=float)
    none = np.zeros(t.size, dtype=np.int8) if fault is None else np.asarray(fault, dtype=np.int8)
    return Series(of, np.round(t * S).astype(np.int64), v, none)


def counter_of(energy: Callable[[np.ndarray], np.ndarray], t_s: np.ndarray, step_s: float, phase_s: float = 0.0):
    """What a counter that moves every ``step_s`` stands at when it is read."""
    moved = np.floor((np.asarray(t_s) - phase_s) / step_s + 1e-9) * step_s + phase_s
    return energy(moved)


class Played:
    """A source whose channels are functions of its own clock, in seconds since it was made."""

    def __init__(
        self,
        *channels: tuple[Channel, Callable[[float], float | Fault]],
        least_s: float = 0.0,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.least_s, self.notes = channels[0][0].source, least_s, notes
        self.channels = tuple(one for one, _ in channels)
        self._of = [function for _, function in channels]
        self.began, self.closed, self.reads = time.monotonic_ns(), False, 0

    def read(self) -> list[Reading]:
        now = time.monotonic_ns()
        self.reads += 1
        found = []
        for n, function in enumerate(self._of):
            value = function((now - self.began) / S)
            lost = isinstance(value, Fault)
            found.append(Reading(n, now, np.nan if lost else float(value), value if lost else Fault.NONE))
        return found

    def close(self) -> None:
        self.closed = True
