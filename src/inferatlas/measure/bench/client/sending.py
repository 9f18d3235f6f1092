"""The loop: sends what is due, reads what comes, hands over what ended. One thread, no more work than that.

A request that is due waits for nobody else; its latency counts from when it was due. Bodies are made while nothing else
is to be done. Times are read right after each read of a socket.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Ask, Asks
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Connection, Target
from inferatlas.measure.bench.client.feeding import Feed
from inferatlas.measure.bench.client.health import Health, Watch
from inferatlas.measure.bench.client.poller import READ, poller
from inferatlas.workload.requests import Requests

clock = time.monotonic_ns
AHEAD, AHEAD_BYTES = 64, 8 * 1024 * 1024  # bodies made beforehand, at most
MOST_AHEAD_S = 5.0  # for connections made beforehand
# Between two looks at sockets while events come thick: a wake-up takes some 40 to 100 µs and may serve several. It
# delays the next request of a client, so it is a small part of what an answer takes; where the kernel stamps packets it
# changes no time that is measured, elsewhere it is the least.
PACE_NS, LEAST_PACE_NS, OF_LATENCY = 2_000_000, 300_000, 200
TICK_NS = 100_000_000  # between looks at what takes too long
SPARE_DESCRIPTORS, USUAL_DESCRIPTORS = 64, 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Times after which a request is given up, in s.

    connect_s : until the connection stands, TLS included. total_s : from its sending to the end of its answer.
    stalled_s : without a byte, once the answer has begun. drain_s : after the last sending, for all that is in flight;
    None: as long as the others allow.
    """

    connect_s: float = 30.0
    total_s: float = 1800.0
    stalled_s: float = 300.0
    drain_s: float | None = None


@dataclass(slots=True)
class Progress:
    """How far a run is: counts since its begin."""

    sent: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    left: int = 0
    tokens: int = 0
    begin_ns: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """How a run ended. ``stopped``: before its end, by whoever watched it or by ``duration_s``."""

    begin_ns: int
    end_ns: int
    health: Health
    stopped: bool
    over: bool  # the duration ended it


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
        limits: Limits = Limits(),
        done: frozenset[int] = frozenset(),
        replies: dict[int, str] | None = None,
        ramp_s: float = 0.0,
        duration_s: float | None = None,
        most_in_flight: int | None = None,
        keep_text: bool = False,
        tick: Callable[[Progress], bool] = lambda _: False,
    ) -> None:
        self._targets, self._requests, self._asks, self._ended_ = tuple(targets), requests, asks, ended
        self._limits, self._done, self._ramp_s, self._duration_s = limits, done, ramp_s, duration_s
        self._most, self._keep_text, self._tick = most_in_flight, keep_text or asks.live, tick
        self._replies = dict(replies or {})
        self._idle: list[list[Connection]] = [[] for _ in self._targets]
        self._open: dict[int, Connection] = {}
        self._ahead: dict[int, Ask] = {}
        self._ahead_bytes = 0
        self._watch, self.progress = Watch(), Progress()
        self._looked: deque[Connection] = deque()
        self._waiting: deque[tuple[int, int]] = deque()  # due, but as many as allowed are in flight
        self._draining_ns: int | None = None
        self._last = -1  # the request that was sent last
        self._planned: Iterator[int] | None = None
        if requests.previous is None and not asks.live:  # else what comes next depends on what comes back
            self._planned = iter([n for n in range(len(requests)) if n not in done])
        self._poller = poller()
        self._pace_ns, self._looked_ns = LEAST_PACE_NS, 0
        self._seen_ns, self._late_ns = clock(), 0  # the last look at sockets, and how late it was

    def run(self) -> Sent:
        """Send everything, wait for all answers.

        Raises
        ------
        BadInput : more connections are needed than this system allows.
        """
        wanted = self._requests.clients or self._most or 0
        room = _descriptors(max(wanted + SPARE_DESCRIPTORS, USUAL_DESCRIPTORS))
        if room is not None and room < wanted + SPARE_DESCRIPTORS:
            raise BadInput(
                f"{wanted:,} connections, and this system allows {room:,} open files", field="concurrency",
                allowed=f"up to {room - SPARE_DESCRIPTORS:,}", hint="raise the limit: ulimit -n",
            )  # fmt: skip
        self._room = None if room is None else room - SPARE_DESCRIPTORS
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
            for connection in list(self._open.values()):
                connection.close()
            self._poller.close()

    def _run(self) -> Sent:
        self._open_ahead()
        begin = self._seen_ns = clock()
        self.progress.begin_ns = begin
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
                progress.left = feed.left
                stopped = self._tick(progress)
                self._give_up(now)
                if not progress.done:  # an answer takes at least as long as none has ended
                    self._pace(now - begin)
            moments = (ticked + TICK_NS, due, None if over else until)
            ready = self._wait(min(one for one in moments if one is not None))
            if ready:
                self._serve(ready)
            else:
                self._make_ahead()
        end = clock()
        for connection in list(self._open.values()):
            if connection.answer is not None:
                self._over(connection, "interrupted")  # by whoever watched, or as the time for the drain was over
        return Sent(begin, end, watch.told(), stopped, over)

    def _wait(self, until_ns: int) -> Sequence[tuple[int, int]]:
        """Sockets that are ready; none when the time has come, or while there are bodies to be made."""
        wait = self._poller.wait
        behind = self._behind()
        planned = self._seen_ns if behind else max(min(self._looked_ns + self._pace_ns, until_ns), self._seen_ns)
        now = clock()
        if now < planned:
            time.sleep((planned - now) / 1e9)
            now = clock()
        ready = wait(0)
        late = now - planned  # while the loop was away this came
        if not ready:
            late = 0
            if not behind:
                ready = wait((until_ns - now) / 1e9)
                now = clock()
                late = max(now - until_ns, 0)
        self._seen_ns, self._late_ns = now, late
        self._watch.late(late)
        return ready

    def _serve(self, ready: Sequence[tuple[int, int]]) -> None:
        """Let connections do what they are ready for."""
        opened, watch = self._open, self._watch
        began = self._looked_ns = clock()
        watch.lead(began)
        for descriptor, mask in ready:
            connection = opened.get(descriptor)
            if connection is None:
                continue
            watched = connection.mask
            connection.ready(mask)
            if connection.mask != watched and connection.state != "closed":
                self._poller.change(descriptor, connection.mask)
        watch.lag.add(clock() - began + self._late_ns, len(ready))

    def _pace(self, answer_ns: int) -> None:
        """Look at sockets as seldom as an answer that takes so long allows."""
        if self._watch.stamped:
            self._pace_ns = min(max(answer_ns // OF_LATENCY, LEAST_PACE_NS), PACE_NS)

    # Sending

    def _send_due(self, feed: Feed, now: int) -> int | None:
        """Send all that is due; when the next is."""
        while (due := feed.next_ns()) is not None and due <= now:
            self._waiting.append(feed.take())
            if feed.open:
                self._watch.lag.add(now - due)
        most = min(one for one in (self._most, self._room, 1 << 40) if one is not None)
        while self._waiting and self.progress.in_flight < most:
            due_ns, number = self._waiting.popleft()
            self._start(number, due_ns)
        return due

    def _start(self, number: int, due_ns: int) -> None:
        self._last = number
        ask = self._ahead.pop(number, None)
        if ask is None:
            ask = self._asks.ask(number, self._earlier(number) if self._asks.live else ())
        else:
            self._ahead_bytes -= len(ask.body)
        place = self._root(number) % len(self._targets)
        answer = Answer(number, ask, due_ns, place, keep_text=self._keep_text)
        progress = self.progress
        progress.sent += 1
        progress.in_flight += 1
        self._watch.most_in_flight = max(self._watch.most_in_flight, progress.in_flight)
        self._carry(answer)

    def _carry(self, answer: Answer, *, anew: bool = False) -> None:
        """Give a request to a connection that is free, or to a new one."""
        idle = self._idle[answer.endpoint]
        while idle and not anew:
            connection = idle.pop()
            if connection.state == "idle":
                connection.ask(answer, clock())
                if connection.state != "closed" and connection.mask != READ:
                    self._poller.change(connection.descriptor, connection.mask)
                return
        try:
            connection = Connection(self._targets[answer.endpoint], self._watch, self._ended, answer.endpoint)
        except OSError as error:
            answer.detail = str(error)
            self._fate(answer, "unreachable")
            return
        connection.answer = answer
        if (reason := self._opened(connection)) is not None:
            self._fate(answer, reason)

    def _opened(self, connection: Connection) -> str | None:
        """Begin to connect; the reason where that fails at once."""
        reason = connection.open()
        if reason is not None:
            connection.close()
            return reason
        self._open[connection.descriptor] = connection
        self._poller.add(connection.descriptor, connection.mask)
        self._looked.append(connection)
        return None

    def _open_ahead(self) -> None:
        """Connect the clients of a closed loop before they begin; what does not connect is tried again when needed."""
        many = min(self._requests.clients or 0, len(self._requests) - len(self._done))
        until = clock() + round(min(self._limits.connect_s, MOST_AHEAD_S) * 1e9)
        try:
            for number in range(many):
                place = number % len(self._targets)
                if self._opened(Connection(self._targets[place], self._watch, self._ended, place)) is not None:
                    return
                if number % AHEAD == AHEAD - 1:  # a server accepts so many at a time
                    self._serve(self._poller.wait(0))
        except OSError:
            return
        while sum(map(len, self._idle)) < len(self._open) and (left := until - clock()) > 0:
            self._serve(self._poller.wait(left / 1e9))

    def _ended(self, connection: Connection, reason: str | None) -> None:
        """A connection has done with its request, or was closed while idle."""
        answer, connection.answer = connection.answer, None
        if connection.state == "closed":
            if self._open.pop(connection.descriptor, None) is not None:
                self._poller.forget(connection.descriptor)
        else:
            self._idle[connection.place].append(connection)
        if answer is None:
            return
        lost = reason in ("closed_before_reply", "send_failed") and connection.reused and answer.first_byte_ns is None
        if lost and not answer.retries:  # the server had closed a connection that it said to keep: not its answer
            answer.retries += 1
            self._watch.retries += 1
            answer.begin()
            self._carry(answer, anew=True)
            return
        self._fate(answer, reason)

    def _fate(self, answer: Answer, reason: str | None) -> None:
        """Write down what became of a request, and see what follows from it."""
        answer.end_ns = now = clock()
        answer.status, answer.reason = ("done", None) if reason is None else ("failed", reason)
        progress = self.progress
        progress.in_flight -= 1
        if reason is None:
            progress.done += 1
            self._pace(now - (answer.sent_ns or now))
            progress.tokens += answer.output_tokens or len(answer.stamps)
            if answer.parts is not None:
                self._replies[answer.number] = answer.text or ""
        else:
            progress.failed += 1
        self._ended_(answer)
        for number in self._feed.ended(answer.number, now, well=reason is None):
            later = Answer(number, Ask(b"", ""), now, answer.endpoint)
            later.end_ns, later.status, later.reason = now, "failed", "previous_failed"
            progress.failed += 1
            self._ended_(later)

    # What takes too long

    def _give_up(self, now: int) -> None:
        """Look at connections in turn, a part each time, and end those that have waited too long."""
        limits = self._limits
        for _ in range(max(len(self._looked) // 5, 20)):  # all within half a second or so
            if not self._looked:
                return
            connection = self._looked.popleft()
            if connection.state == "closed":
                continue
            self._looked.append(connection)
            answer = connection.answer
            if answer is None:
                continue
            if connection.state in ("connecting", "securing"):
                if now - connection.asked_ns > limits.connect_s * 1e9:
                    self._over(connection, "connect_timeout")
                continue
            stalled = answer.first_byte_ns is not None and now - connection.heard_ns > limits.stalled_s * 1e9
            if now - (answer.sent_ns or now) > limits.total_s * 1e9 or stalled:
                connection.flush()
                reason = "timeout_stalled" if stalled else "timeout_total"
                self._over(connection, reason if answer.stamps else "timeout_first_token")

    def _over(self, connection: Connection, reason: str) -> None:
        connection.flush()
        answer = connection.answer
        connection.close()
        if answer is not None and answer.done and answer.stamps:  # all was there; the server alone did not end it
            self._ended(connection, None)
            return
        self._ended(connection, reason)

    def _drained(self, now: int) -> bool:
        if self._draining_ns is None:
            self._draining_ns = now
        drain_s = self._limits.drain_s
        return drain_s is not None and now - self._draining_ns > drain_s * 1e9

    # Bodies made beforehand

    def _behind(self) -> bool:
        """Whether bodies are to be made while there is time for it."""
        return self._planned is not None and len(self._ahead) < AHEAD and self._ahead_bytes < AHEAD_BYTES

    def _make_ahead(self) -> None:
        if self._planned is None or not self._behind():
            return
        number = next(self._planned, None)
        while number is not None and number <= self._last:
            number = next(self._planned, None)
        if number is None:
            self._planned = None
            return
        ask = self._ahead[number] = self._asks.ask(number)
        self._ahead_bytes += len(ask.body)

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


def _descriptors(wanted: int) -> int | None:
    """How many files this process may open, raised as far as it may; None where nobody says."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(max(wanted, soft), hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
