"""Keeps time: reads sources at a steady rate, each in a thread of its own, and writes down what they say.

Deadlines are multiples of the period, so that lateness does not add up, each moved at random by up to 5 % so that a
load with a period of its own is not always met at the same point (reference/energy.md, section 4: aliasing). A slow
source delays no other. The CPU time of every thread is part of the result.
"""

from __future__ import annotations

import math
import random
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault, missing
from inferatlas.measure.metering.logs.journal import RECORD, Journal, by_channel, read_records, was_set
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.source import Source, checked

JITTER = 0.05
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.001, 3600.0
FLUSH_S = 1.0  # what a crash may cost of a log on disk
BEFORE = 60  # rounds of readings before a window that its energy may need
KEPT = 4096  # readings of a source that stay in memory when all are on disk
CLOCK_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What sampling took: CPU seconds of its threads, readings, deadlines missed, the latest it was, over how long."""

    cpu_s: float
    reads: int
    missed: int
    late_s: float
    wall_s: float

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s if self.wall_s > 0 else 0.0


class Kept:
    """Readings of one source, column by column, as they come."""

    def __init__(self, first: int, many: int) -> None:
        self.first, self.many, self.lock = first, many, threading.Lock()
        self.channel, self.t_ns, self.value, self.fault = array("h"), array("q"), array("d"), array("b")
        self.written = self.dropped = 0

    def add(self, source: Source) -> int:
        """Read a source once; how many readings came."""
        try:
            readings = source.read()
        except Exception:  # against its contract: the run goes on, and what is missing is marked
            now = time.monotonic_ns()
            readings = [missing(n, now, Fault.FAILED) for n in range(len(source.channels))]
        with self.lock:
            for channel, t_ns, value, fault in readings:
                self.channel.append(self.first + channel)
                self.t_ns.append(t_ns)
                self.value.append(value)
                self.fault.append(fault)
        return len(readings)

    def records(self, since: int = 0) -> np.ndarray:
        """Readings from one on, as `RECORD`s."""
        with self.lock:
            found = np.empty(len(self.t_ns) - since, dtype=RECORD)
            for name in ("channel", "t_ns", "value", "fault"):
                found[name] = np.frombuffer(getattr(self, name), dtype=RECORD[name])[since:]
        return found

    def records_from(self, t_ns: int | None) -> np.ndarray | None:
        """Readings from a time on, and `BEFORE` rounds before; None where older ones are not in memory any more."""
        if t_ns is None:
            return None if self.dropped else self.records()
        first = bisect_left(self.t_ns, t_ns) - BEFORE * self.many
        return self.records(max(first, 0)) if first >= 0 or not self.dropped else None

    def drop(self, many: int) -> None:
        """Forget the oldest readings."""
        with self.lock:
            for column in (self.channel, self.t_ns, self.value, self.fault):
                del column[:many]
            self.written -= many
            self.dropped += many


def keep_time(
    read: Callable[[], int],
    period_s: float,
    wait: Callable[[float], bool],
    clock: Callable[[], float],
    seed: int = 0,
) -> tuple[int, int, float]:
    """Call ``read`` once a period until ``wait`` says that it is enough, and once more then.

    Parameters
    ----------
    read : returns the number of readings. wait : waits so many seconds at most, and returns whether to stop.
    clock : seconds.

    Returns
    -------
    Readings, deadlines that passed while it was reading, and the most seconds that a read began after its deadline.

    Examples
    --------
    >>> now = [0.0]
    >>> def wait(seconds):
    ...     now[0] += max(seconds, 0.0)
    ...     return now[0] >= 600.0
    >>> keep_time(lambda: 1, 0.1, wait, lambda: now[0])[0] in (6001, 6002)
    True
    """
    chance = random.Random(seed)
    start, turn, reads, missed, late = clock(), 0, 0, 0, 0.0
    while True:
        reads += read()
        turn += 1
        passed = math.ceil((clock() - start) / period_s) - turn
        if passed > 0:  # no catching up: the readings would be of one moment
            missed += passed
            turn += passed
        due = start + period_s * (turn + chance.uniform(-JITTER, JITTER))
        if wait(due - clock()):
            return reads + read(), missed, late
        late = max(late, clock() - due)


class Sampler:
    """Reads sources from `start` to `stop`.

    Parameters
    ----------
    sources : open ones; they are closed at the end. interval_s : between readings, 0.001 to 3600.
    journal : file that holds every reading within a second, so that a crash loses nothing before it. Where the disk
        refuses, ``trouble`` says so, and readings stay in memory.

    Raises
    ------
    BadInput : an interval out of range. InferAtlasError : a source with two channels that nothing tells apart.
    """

    def __init__(self, sources: Sequence[Source], interval_s: float = 0.1, journal: Journal | None = None) -> None:
        if not LEAST_INTERVAL_S <= interval_s <= MOST_INTERVAL_S:
            raise BadInput(f"{interval_s!r} s between readings", field="interval", allowed="0.001 to 3600 s")
        self.sources, self.interval_s, self.journal = tuple(checked(one) for one in sources), interval_s, journal
        self.channels = tuple(channel for source in sources for channel in source.channels)
        self._kept, first = [], 0
        for source in sources:
            self._kept.append(Kept(first, len(source.channels)))
            first += len(source.channels)
        self._pokes = [threading.Event() for _ in sources]
        self._over = threading.Event()
        self._costs: list[tuple[float, int, int, float]] = [(0.0, 0, 0, 0.0)] * len(sources)
        self._clocks: list[tuple[int, int]] = []
        self._threads: list[threading.Thread] = []
        self._started = self._stopped = 0.0
        self._flushing = threading.Lock()
        self.trouble: BadInput | None = None

    def start(self) -> Sampler:
        self._started = time.monotonic()
        self._read_clocks()
        if self.journal is not None:
            self.journal.begin(self.channels, self._clocks[0][1])
        targets = [(self._sample, (n,)) for n in range(len(self.sources))] + [(self._tend, ())]
        self._threads = [threading.Thread(target=to, args=args, daemon=True, name="metering") for to, args in targets]
        for thread in self._threads:
            thread.start()
        return self

    def now(self) -> None:
        """Have every source read as soon as its thread comes to it: at the edge of a window."""
        for poke in self._pokes:
            poke.set()

    def stop(self) -> None:
        """One last reading of every source, then no more; the journal is complete."""
        if self._stopped or not self._threads:
            return
        self._over.set()
        self.now()
        for thread in self._threads:
            thread.join()
        self._stopped = time.monotonic()
        self._read_clocks()
        self.flush()
        for source in self.sources:
            source.close()

    def read_since(self, t_ns: int) -> bool:
        """Whether every source has been read after a time."""
        return all(kept.t_ns and kept.t_ns[-1] > t_ns for kept in self._kept)

    def log(self, since_ns: int | None = None) -> Log:
        """All readings so far; or those from a time on and some before it, where they are still in memory."""
        written, fresh = np.empty(0, dtype=RECORD), [kept.records_from(since_ns) for kept in self._kept]
        if self.journal is not None and (since_ns is None or any(one is None for one in fresh)):
            self.flush()
            written = read_records(self.journal.path)
            fresh = [kept.records(kept.written) for kept in self._kept]
        remarks = ("clock_step",) if was_set([lead for _, lead in self._clocks]) else ()
        series = by_channel(self.channels, np.concatenate([written, *fresh]))
        return Log(series, self._clocks[0][1] if self._clocks else None, remarks)

    def fresh(self, seen: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """Readings since a call before, and how many of each source there were: the argument of the next call."""
        parts = [kept.records(max(many - kept.dropped, 0)) for kept, many in zip(self._kept, seen, strict=True)]
        return np.concatenate(parts), [
            max(many, kept.dropped) + part.size for kept, part, many in zip(self._kept, parts, seen, strict=True)
        ]

    def cost(self) -> Cost:
        """What it took so far."""
        wall = (self._stopped or time.monotonic()) - self._started
        cpu, reads, missed, late = zip(*self._costs, strict=True) if self._costs else ((0.0,), (0,), (0,), (0.0,))
        return Cost(sum(cpu), sum(reads), sum(missed), max(late), wall)

    def flush(self) -> None:
        """Bring what was read to the disk."""
        if self.journal is None or self.trouble is not None:
            return
        with self._flushing:
            fresh = [kept.records(kept.written) for kept in self._kept]
            try:
                self.journal.write(np.concatenate(fresh))
            except BadInput as error:  # a full disk: from here on readings stay in memory
                self.trouble = error
                return
            for kept, records in zip(self._kept, fresh, strict=True):
                kept.written += records.size
                if kept.written > 2 * KEPT:
                    kept.drop(kept.written - KEPT)

    def _sample(self, n: int) -> None:
        source, poke = self.sources[n], self._pokes[n]
        begun = [0]

        def read() -> int:
            begun[0] += self._kept[n].add(source)
            self._costs[n] = (time.thread_time(), begun[0], *self._costs[n][2:])
            return 1

        def wait(seconds: float) -> bool:
            due = time.monotonic() + seconds
            while poke.wait(max(due - time.monotonic(), 0.0)) and not self._over.is_set():
                poke.clear()
                read()
            return self._over.is_set()

        period = max(self.interval_s, source.least_s)
        _, missed, late = keep_time(read, period, wait, time.monotonic, seed=n)
        self._costs[n] = (time.thread_time(), begun[0], missed, late)

    def _tend(self) -> None:
        """Writes to the journal, and watches the wall clock."""
        due = CLOCK_EVERY_S
        while not self._over.wait(FLUSH_S):
            self.flush()
            if time.monotonic() - self._started >= due:
                due += CLOCK_EVERY_S
                self._read_clocks()

    def _read_clocks(self) -> None:
        mono = time.monotonic_ns()
        self._clocks.append((mono, time.time_ns() - mono))
        if self.journal is None or self.trouble is not None or not self._threads:
            return
        try:
            with self._flushing:
                self.journal.clock(*self._clocks[-1])
        except BadInput as error:
            self.trouble = error
