"""Keeps time: reads sources at a steady rate, each in a thread of its own, and writes down what they say.

Deadlines are multiples of the period, so that lateness does not add up, each moved at random by up to 5 % so that a
load with a period of its own is not always met at the same point (reference/energy.md, section 4: aliasing). A slow
source delays no other, and one that gives no answer at all does not hold up the end. The CPU time of every thread is
part of the result.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.metering.kept import Kept
from inferatlas.measure.metering.logs.journal import RECORD, Journal, by_channel, was_set
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.source import Source, checked

JITTER = 0.05
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.001, 3600.0
FLUSH_S = 1.0  # what a crash may cost of a log on disk
CLOCK_EVERY_S = 60.0
PATIENCE_S = 10.0  # for an answer: twice what slow interfaces take until they give up
LAST_S = 1.0  # that the last reading may wait for a source that is not to be read faster


@dataclass(frozen=True, slots=True)
class Cost:
    """What sampling took: CPU seconds of its threads, readings, deadlines missed, the latest it was, over how long.

    ``missed`` and ``late_s`` are told at the end, and 0 until then.
    """

    cpu_s: float
    reads: int
    missed: int
    late_s: float
    wall_s: float

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s if self.wall_s > 0 else 0.0


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
    """Reads sources from `start` to `stop`, once.

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
        self._flushing = threading.RLock()  # whoever holds it finds every reading either on the disk or in memory
        self._notes = tuple(f"{source.name}: {note}" for source in self.sources for note in source.notes)
        self._process = os.getpid()
        self.trouble: BadInput | None = None

    def start(self) -> Sampler:
        """Begin to read.

        Raises
        ------
        BadInput : it ran already; a journal that cannot be written, and the sources are closed then.
        """
        if self._threads or self._over.is_set():
            raise BadInput("it ran already, and closed its sources", field="meter", allowed="a new one")
        self._started = time.monotonic()
        try:
            self._read_clocks()
            if self.journal is not None:
                self.journal.begin(self.channels, self._clocks[0][1])
                self._notes += self.journal.notes
        except BadInput:
            self.stop()
            raise
        targets = [(self._sample, (n,)) for n in range(len(self.sources))] + [(self._tend, ())]
        self._threads = [threading.Thread(target=to, args=args, daemon=True, name="metering") for to, args in targets]
        for thread in self._threads:
            thread.start()
        return self

    @property
    def forked(self) -> bool:
        """Whether this is a copy in another process: it reads nothing, and what is on the disk is not its own."""
        return os.getpid() != self._process

    def now(self) -> None:
        """Have every source read as soon as its thread comes to it: at the edge of a window."""
        for poke in self._pokes:
            poke.set()

    def stop(self) -> None:
        """One last reading of every source, then no more; the journal is complete.

        A source that gives no answer within `PATIENCE_S` is left behind: its readings end where they did.
        """
        if self._stopped or self.forked:
            return
        self._over.set()
        self.now()
        until = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))
        self._stopped = time.monotonic()
        if not self._threads:  # it never began
            _close(self.sources)
            return
        silent = [one.name for one, thread in zip(self.sources, self._threads, strict=False) if thread.is_alive()]
        self._notes += tuple(f"{name} gave no answer at the end, and was left" for name in silent)
        self._read_clocks()
        self.flush()

    def read_since(self, t_ns: int) -> bool:
        """Whether every source has been read after a time."""
        return all(kept.read_since(t_ns) for kept in self._kept)

    def log(self, since_ns: int | None = None) -> Log:
        """All readings so far; or those from a time on and some before it, where they are still in memory."""
        with self._flushing:
            written, fresh = np.empty(0, dtype=RECORD), [kept.records_from(since_ns) for kept in self._kept]
            if self.journal is not None and (since_ns is None or any(one is None for one in fresh)):
                self.flush()
                written = self._read_back(self.journal)
                fresh = [kept.records(kept.written) for kept in self._kept]
        remarks = ("clock_step",) if was_set([lead for _, lead in self._clocks]) else ()
        series = by_channel(self.channels, np.concatenate([written, *(one for one in fresh if one is not None)]))
        return Log(series, self._clocks[0][1] if self._clocks else None, remarks, notes=self._notes)

    def fresh(self, seen: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """Readings since a call before, and how many of each source there were: the argument of the next call."""
        each = [kept.records_after(many) for kept, many in zip(self._kept, seen, strict=True)]
        return np.concatenate([np.empty(0, dtype=RECORD), *(part for part, _ in each)]), [many for _, many in each]

    def cost(self) -> Cost:
        """What it took so far."""
        wall = (self._stopped or time.monotonic()) - self._started
        cpu, reads, missed, late = zip(*self._costs, strict=True) if self._costs else ((0.0,), (0,), (0,), (0.0,))
        return Cost(sum(cpu), sum(reads), sum(missed), max(late), wall)

    def flush(self) -> None:
        """Bring what was read to the disk."""
        if self.journal is None or self.trouble is not None or self.forked:
            return
        with self._flushing:
            fresh = [kept.records(kept.written) for kept in self._kept]
            try:
                self.journal.write(np.concatenate([np.empty(0, dtype=RECORD), *fresh]))
            except BadInput as error:  # a full disk: from here on readings stay in memory
                self.trouble = error
                return
            for kept, records in zip(self._kept, fresh, strict=True):
                kept.written += records.size
                kept.forget_written()

    def _read_back(self, journal: Journal) -> np.ndarray:
        try:
            return journal.records()
        except BadInput as error:
            self.trouble, self._notes = error, (*self._notes, f"readings on the disk are lost: {error}")
            return np.empty(0, dtype=RECORD)

    def _sample(self, n: int) -> None:
        source, kept, poke = self.sources[n], self._kept[n], self._pokes[n]
        count, last = 0, -math.inf

        def read() -> int:
            nonlocal count, last
            self._pause(last + source.least_s - time.monotonic())
            poke.clear()  # who asked until now is answered
            last = time.monotonic()
            count += kept.add(source)
            self._costs[n] = (time.thread_time(), count, *self._costs[n][2:])
            return 1

        def wait(seconds: float) -> bool:
            due = time.monotonic() + seconds
            while poke.wait(max(due - time.monotonic(), 0.0)) and not self._over.is_set():
                read()
            return self._over.is_set()

        period = max(self.interval_s, source.least_s)
        _, missed, late = keep_time(read, period, wait, time.monotonic, seed=n)
        self._costs[n] = (time.thread_time(), count, missed, late)
        _close((source,))

    def _pause(self, seconds: float) -> None:
        """Wait before a reading that would come too soon after the last; at the end not for long."""
        due = time.monotonic() + seconds
        if seconds > 0 and self._over.wait(seconds):
            time.sleep(min(max(due - time.monotonic(), 0.0), LAST_S))

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


def _close(sources: Sequence[Source]) -> None:
    for source in sources:
        with suppress(Exception):  # what was read stands, however a source takes its leave
            source.close()
