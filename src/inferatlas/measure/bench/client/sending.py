"""The loop: sends what is due, reads what comes, hands over what ended. One thread, no more work than that.

A request that is due waits for nobody else; its latency counts from when it was due. Bodies are made while nothing else
is to be done. Times are read right after each read of a socket.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferatlas.measure.bench.asks import Ask, Asks
from inferatlas.measure.bench.client.ahead import Ahead
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Target
from inferatlas.measure.bench.client.feeding import Feed
from inferatlas.measure.bench.client.health import Health, Watch
from inferatlas.measure.bench.client.pool import Limits, Pool
from inferatlas.workload.requests import Requests

clock = time.monotonic_ns
TICK_NS = 100_000_000  # between looks at what takes too long


@dataclass(slots=True)
class Progress:
    """How far a run is: counts since its begin."""

    sent: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """How a run ended. ``stopped``: before its end, by whoever watched it."""

    begin_ns: int
    end_ns: int
    health: Health
    stopped: bool


class Sender:
    """One run of the loop.

    Parameters
    ----------
    targets : where requests go: one after the other over all, turns of a conversation to the same.
    requests, asks : when, and what. done : see `Feed`. ended : is handed every `Answer` whose fate is known.
    replies : texts of earlier turns, from a run that was killed.
    keep_text : of answers, for whoever counts their tokens.
    tick : called every 0.1 s or so; True ends the run.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        requests: Requests,
        asks: Asks,
        ended: Callable[[Answer], None],
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        done: frozenset[int] = frozenset(),
        replies: dict[int, str] | None = None,
        ramp_s: float = 0.0,
        duration_s: float | None = None,
        most_in_flight: int | None = None,
        keep_text: bool = False,
        tick: Callable[[Progress], bool] = lambda _: False,
    ) -> None:
        self._targets, self._requests, self._asks, self._hand_over = tuple(targets), requests, asks, ended
        self._limits, self._done, self._ramp_s, self._duration_s = limits, done, ramp_s, duration_s
        self._most, self._keep_text, self._tick = most_in_flight, keep_text or asks.live, tick
        self._replies = dict(replies or {})
        self._watch, self.progress = Watch(), Progress()
        self._waiting: deque[tuple[int, int]] = deque()  # due, but as many as allowed are in flight
        self._draining_ns: int | None = None
        later = requests.previous is not None or asks.live  # what comes next depends on what comes back
        self._ahead = Ahead(asks, None if later else iter([n for n in range(len(requests)) if n not in done]))

    def run(self) -> Sent:
        """Send everything, wait for all answers.

        Raises
        ------
        BadInput : what `Pool` refuses.
        """
        wanted = self._requests.clients or self._most or 0
        self._pool = Pool(self._targets, self._watch, self._limits, wanted, self._fate)
        switch, collected = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(0.0002)  # threads that meter power or read metrics give way at once
        gc.freeze()
        gc.disable()  # no cycles are made here, and a collection would delay time stamps
        try:
            return self._run()
        finally:
            sys.setswitchinterval(switch)
            if collected:
                gc.enable()
            gc.unfreeze()
            self._pool.close()

    def _run(self) -> Sent:
        pool, ahead = self._pool, self._ahead
        pool.open_ahead(min(self._requests.clients or 0, len(self._requests) - len(self._done)))
        begin = clock()
        pool.begin(begin)
        feed = self._feed = Feed(self._requests, begin, done=self._done, ramp_s=self._ramp_s)
        progress, watch = self.progress, self._watch
        until = None if self._duration_s is None else begin + round(self._duration_s * 1e9)
        watch.begin()
        stopped = over = False
        ticked = begin
        while feed.left and not stopped:
            now = clock()
            due: int | None = None
            if until is not None and now >= until:
                over = True
                if not progress.in_flight or self._drained(now):
                    break
            else:
                due = self._send_due(feed, now)
            if now - ticked >= TICK_NS:
                ticked = now
                stopped = self._tick(progress)
                pool.give_up(now)
                if not progress.done:  # an answer takes at least as long as none has ended
                    pool.pace(now - begin)
            moments = (ticked + TICK_NS, due, None if over else until)
            ready = pool.wait(min(one for one in moments if one is not None), behind=ahead.behind)
            if ready:
                pool.serve(ready)
            else:
                ahead.make()
        end = clock()
        pool.end_all("interrupted")  # by whoever watched, or as the time for the drain was over
        return Sent(begin, end, watch.told(), stopped)

    # Sending

    def _send_due(self, feed: Feed, now: int) -> int | None:
        """Send all that is due; when the next is."""
        while (due := feed.next_ns()) is not None and due <= now:
            self._waiting.append(feed.take())
            if feed.open:
                self._watch.lag.add(now - due)
        most = min(one for one in (self._most, self._pool.room) if one is not None)
        while self._waiting and self.progress.in_flight < most:
            due_ns, number = self._waiting.popleft()
            self._start(number, due_ns)
        return due

    def _start(self, number: int, due_ns: int) -> None:
        ask = self._ahead.take(number)
        if ask is None:
            ask = self._asks.ask(number, self._earlier(number) if self._asks.live else ())
        place = self._root(number) % len(self._targets)
        answer = Answer(number, ask, due_ns, place, keep_text=self._keep_text)
        progress = self.progress
        progress.sent += 1
        progress.in_flight += 1
        self._watch.most_in_flight = max(self._watch.most_in_flight, progress.in_flight)
        self._pool.carry(answer)

    def _fate(self, answer: Answer, reason: str | None) -> None:
        """Write down what became of a request, and see what follows from it."""
        answer.end_ns = now = clock()
        answer.status, answer.reason = ("done", None) if reason is None else ("failed", reason)
        progress = self.progress
        progress.in_flight -= 1
        if reason is None:
            progress.done += 1
            self._pool.pace(now - (answer.sent_ns or now))
            if answer.parts is not None:
                self._replies[answer.number] = answer.text or ""
        else:
            progress.failed += 1
        self._hand_over(answer)
        for number in self._feed.ended(answer.number, now, well=reason is None):
            later = Answer(number, Ask(b"", ""), now, answer.endpoint)
            later.end_ns, later.status, later.reason = now, "failed", "previous_failed"
            progress.failed += 1
            self._hand_over(later)

    def _drained(self, now: int) -> bool:
        if self._draining_ns is None:
            self._draining_ns = now
        drain_s = self._limits.drain_s
        return drain_s is not None and now - self._draining_ns > drain_s * 1e9

    def _earlier(self, number: int) -> list[str]:
        """What was answered in the turns before, first to last."""
        previous = self._requests.previous
        found: list[str] = []
        if previous is not None:
            while (number := int(previous[number])) >= 0:
                found.append(self._replies.get(number, ""))
        return found[::-1]

    def _root(self, number: int) -> int:
        """The first turn of its conversation."""
        previous = self._requests.previous
        if previous is not None:
            while (before := int(previous[number])) >= 0:
                number = before
        return number
