"""A recorded log, played back: a source like any other, so that what can be measured live can be tried on a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Channel, Fault, Reading
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables import read_log
from inferatlas.measure.metering.source import Interface, Unavailable, bad_address, key_of

INTERFACE = Interface(
    name="file",
    title="A recorded power log, played back",
    offers=(),
    enable="a log that can be read: our own tables, plain CSV, or a log of another tool",
    address="FILE, or FILE@60x to play it 60 times as fast",
    notes="Readings keep what the log says of its channels. They carry the times of the log, counted from the moment "
    "at which playing began: played faster, they run ahead of the clock, and energies stay those of the log.",
    local=False,
)
LEAST_S = 0.001
_SPEED = re.compile(r"(.+)@(\d+(?:\.\d+)?)x")


class ReplaySource:
    """Gives every reading of a log once, when its time has come; nothing after the last.

    Parameters
    ----------
    log : its first reading comes when the source is opened.
    speed : seconds of the log per second of the clock, above 0.
    clock : nanoseconds that never go back.

    Examples
    --------
    >>> from inferatlas.measure.metering.logs.log import log_of
    >>> card = Channel("nvml", "GPU-1", "power_w", "instant", None)
    >>> log = log_of([card], [Reading(0, 0, 400.0), Reading(0, 10**9, 410.0)])
    >>> now = iter((0, 0, 10**9)).__next__
    >>> source = ReplaySource(log, clock=now)
    >>> [reading.value for reading in source.read()], [reading.value for reading in source.read()]
    ([400.0], [410.0])
    """

    def __init__(self, log: Log, *, speed: float = 1.0, clock: Callable[[], int] = time.monotonic_ns) -> None:
        if not 0 < speed < float("inf"):
            raise BadInput(f"{speed} is no speed", field="speed", allowed="a number above 0")
        self.name = INTERFACE.name
        self.channels: tuple[Channel, ...] = log.channels
        self.notes = log.notes
        # a reading whose stamp lies before that of the one before it, which a clock that was set leaves, comes with it
        due = [np.maximum.accumulate(one.t_ns) for one in log.series]
        number = np.repeat(np.arange(len(log.series)), [one.t_ns.size for one in log.series])
        due = np.concatenate([*due, np.zeros(0, dtype=np.int64)])
        order = np.argsort(due, kind="stable")
        self._due, self._channel = due[order], number[order]
        self._t_ns, self._value, self._fault = (
            np.concatenate([*(getattr(one, part) for one in log.series), np.zeros(0, dtype=kind)])[order]
            for part, kind in (("t_ns", np.int64), ("value", np.float64), ("fault", np.int8))
        )
        gaps = [float(np.median(np.diff(one.t_ns))) for one in log.series if one.t_ns.size > 1]
        self.least_s = max(min(gaps, default=1e9) / 1e9 / speed, LEAST_S)
        self._first = int(self._due[0]) if self._due.size else 0
        self._speed, self._clock, self._next, self._closed = speed, clock, 0, False
        self._start = clock()

    def read(self) -> Sequence[Reading]:
        """The readings whose time has come since the last call."""
        if self._closed:
            return ()
        passed = (self._clock() - self._start) * self._speed
        end = int(np.searchsorted(self._due, self._first + passed, side="right"))
        some = slice(self._next, end)
        self._next = max(end, self._next)
        shift = self._start - self._first
        rows = zip(self._channel[some], self._t_ns[some], self._value[some], self._fault[some], strict=True)
        return [Reading(int(n), int(t_ns) + shift, float(value), Fault(int(fault))) for n, t_ns, value, fault in rows]

    def close(self) -> None:
        """Nothing is given any more."""
        self._closed = True


def open_source(address: str, *, clock: Callable[[], int] = time.monotonic_ns) -> ReplaySource:
    """A log to play back: ``power.csv``, or ``power.csv@60x``.

    Raises
    ------
    Unavailable : the log holds no reading. BadInput : no file is named, or one that is no log.
    """
    if not address.strip():
        raise bad_address(INTERFACE, address, hint="file:power.csv")
    found = _SPEED.fullmatch(address.strip())
    name, speed = (found[1], float(found[2])) if found else (address.strip(), 1.0)
    if speed == 0:
        raise BadInput("0 is no speed", field="source", allowed="a number above 0, as in file:power.csv@60x")
    log = read_log(name)
    if log.span_ns is None:
        raise Unavailable("the log holds no reading", field="source", file=name)
    if len({key_of(one) for one in log.channels}) < len(log.channels):
        raise BadInput("holds one reading of one device twice over", field="source", file=name)
    return ReplaySource(log, speed=speed, clock=clock)
