"""What is drawn now, and since the start: running figures of every channel, for a table that moves and for scrapes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from inferatlas.measure.metering.channel import Channel, Fault
from inferatlas.measure.metering.judging import MOST_GAP_S

HISTORY_S = 60.0
LEAST_STEP_S = 0.05  # over which the power of a counter is told


@dataclass(slots=True)
class Live:
    """Running figures of one channel.

    ``watts``: the last one; None before the first, and after a fault. ``joules``: since the start; of power without
    times of more than 3 s in which the device gave faults only. ``fault``: of the last reading. ``history``: times (s,
    monotonic) and watts of the last minute.
    """

    channel: Channel
    watts: float | None = None
    joules: float = 0.0
    fault: Fault = Fault.NONE
    peak_w: float | None = None
    history: deque[tuple[float, float]] = field(default_factory=deque)
    _last: tuple[float, float] | None = None
    _missed: bool = False

    def take(self, t_ns: np.ndarray, value: np.ndarray, fault: np.ndarray) -> None:
        """Readings in the order in which they were taken, n of them."""
        for t, one, code in zip((t_ns / 1e9).tolist(), value.tolist(), fault.tolist(), strict=True):
            if code == Fault.THROTTLED:
                continue
            self.fault = Fault(code)
            if code or not math.isfinite(one):
                self.watts, self._missed = None, True
                continue
            if self.channel.semantics == "counter":
                self._count(t, one)
            else:
                self._draw(t, one)

    def _draw(self, t: float, watts: float) -> None:
        if not 0 <= watts <= self.channel.most_w:
            return
        if self._last is not None and not (self._missed and t - self._last[0] > MOST_GAP_S):
            self.joules += (watts + self._last[1]) / 2 * (t - self._last[0])
        self._last, self._missed = (t, watts), False
        self._show(t, watts)

    def _count(self, t: float, joules: float) -> None:
        if self._last is None:
            self._last = t, joules
            return
        step, since = joules - self._last[1], t - self._last[0]
        if step < 0 and self.channel.wrap_j is not None:
            step += self.channel.wrap_j
        if step < 0 or step > self.channel.most_w * (since + 1.0):  # it started again
            self._last = t, joules
        elif step > 0 and since >= LEAST_STEP_S:
            self.joules += step
            self._last = t, joules
            self._show(t, step / since)

    def _show(self, t: float, watts: float) -> None:
        self.watts, self.peak_w = watts, max(watts, self.peak_w or 0.0)
        self.history.append((t, watts))
        while self.history[0][0] < t - HISTORY_S:
            self.history.popleft()


def take_all(lives: Sequence[Live], records: np.ndarray) -> None:
    """Hand records of all channels (`journal.RECORD`) to their figures.

    Examples
    --------
    >>> from inferatlas.measure.metering.logs.journal import RECORD
    >>> card = Live(Channel("nvml", "0", "power_w", "instant", None))
    >>> take_all([card], np.array([(0, 0, 100.0, 0), (0, 10**9, 300.0, 0)], dtype=RECORD))
    >>> card.watts, card.joules, card.peak_w
    (300.0, 200.0, 300.0)
    """
    for n, live in enumerate(lives):
        own = records[records["channel"] == n]
        if own.size:
            live.take(own["t_ns"], own["value"], own["fault"])


def spark(watts: Sequence[float], width: int) -> str:
    """A line of blocks, newest right: 0 is empty, the highest is full.

    Examples
    --------
    >>> spark([0.0, 50.0, 100.0], 3), spark([1.0, 2.0, 3.0, 4.0], 2), spark([], 2)
    (' ▄█', '▄█', '')
    """
    if not watts or not max(watts) > 0:
        return ""
    parts = np.array_split(np.asarray(watts), min(width, len(watts)))
    levels = [float(part.max()) / max(watts) for part in parts]
    return "".join(" ▁▂▃▄▅▆▇█"[round(8 * level)] for level in levels)
