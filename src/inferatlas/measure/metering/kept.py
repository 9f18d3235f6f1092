"""Readings of one source as they come: in memory, until they are on disk and nobody needs them there any more."""

from __future__ import annotations

import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from inferatlas.measure.metering.channel import Fault, Reading, missing
from inferatlas.measure.metering.logs.journal import RECORD
from inferatlas.measure.metering.source import Source

BEFORE = 60  # rounds of readings before a window that its energy may need
KEPT = 4096  # readings of a source that stay in memory when all are on disk
STALE_NS = 10**9  # readings that carry stamps of their own may lag behind the round in which they came


class Kept:
    """Readings of one source, column by column, and the rounds in which they were read.

    Parameters
    ----------
    first : number of its first channel among those of all sources. many : of its channels.
    """

    def __init__(self, first: int, many: int) -> None:
        self.first, self.many, self.lock = first, many, threading.Lock()
        self.channel, self.t_ns, self.value, self.fault = array("h"), array("q"), array("d"), array("b")
        self.begun_ns, self.before = array("q"), array("q")  # of every round: its start, readings since ever before it
        self.written = self.dropped = self.newest_ns = 0

    def add(self, source: Source) -> int:
        """Read a source once; how many readings came."""
        begun = time.monotonic_ns()
        try:
            columns = self._columns(source.read())
        except Exception:  # against its contract: the run goes on, and what is missing is marked
            now = time.monotonic_ns()
            columns = self._columns([missing(n, now, Fault.FAILED) for n in range(self.many)])
        with self.lock:
            self.begun_ns.append(begun)
            self.before.append(self.dropped + len(self.t_ns))
            self.channel += columns[0]
            self.t_ns += columns[1]
            self.value += columns[2]
            self.fault += columns[3]
            self.newest_ns = max(self.newest_ns, max(columns[1], default=0))
        return len(columns[0])

    def _columns(self, readings: Sequence[Reading]) -> tuple[array[int], array[int], array[float], array[int]]:
        """Readings column by column; whatever is no reading of these channels raises."""
        if not all(0 <= one[0] < self.many for one in readings):
            raise ValueError("a reading of no channel")
        channel, t_ns, value, fault = zip(*readings, strict=True) if readings else ((), (), (), ())
        return (
            array("h", [self.first + one for one in channel]), array("q", t_ns), array("d", value), array("b", fault)
        )  # fmt: skip

    def read_since(self, t_ns: int) -> bool:
        """Whether it was read after a time, by a round that began after it and gave what is true after it."""
        with self.lock:
            begun = self.begun_ns[-1] if self.begun_ns else -1
            return begun > t_ns and (self.newest_ns > t_ns or begun > t_ns + STALE_NS)

    def records(self, since: int = 0) -> np.ndarray:
        """Readings in memory from one on, as `RECORD`s."""
        with self.lock:
            return self._records(since)

    def records_after(self, many: int) -> tuple[np.ndarray, int]:
        """Readings but for so many of the first since ever, where they are in memory, and how many there were."""
        with self.lock:
            return self._records(max(many - self.dropped, 0)), self.dropped + len(self.t_ns)

    def records_from(self, t_ns: int | None) -> np.ndarray | None:
        """Readings from a time on, and `BEFORE` rounds before; None where older ones are not in memory any more."""
        with self.lock:
            first = -1 if t_ns is None else bisect_left(self.begun_ns, t_ns) - 1 - BEFORE
            if first < 0:
                return None if self.dropped else self._records(0)
            return self._records(self.before[first] - self.dropped)

    def forget_written(self) -> None:
        """Forget the oldest of the readings that are on disk, once there are many."""
        many = self.written - KEPT
        if many < KEPT:
            return
        with self.lock:
            for column in (self.channel, self.t_ns, self.value, self.fault):
                del column[:many]
            self.written -= many
            self.dropped += many
            rounds = bisect_left(self.before, self.dropped)
            del self.begun_ns[:rounds], self.before[:rounds]

    def _records(self, since: int) -> np.ndarray:
        found = np.empty(len(self.t_ns) - since, dtype=RECORD)
        for name in ("channel", "t_ns", "value", "fault"):
            found[name] = np.frombuffer(getattr(self, name), dtype=RECORD[name])[since:]
        return found
