"""Connections: which is free, which is ready, which has waited too long. They are looked at in rounds.

In: requests to carry. Out: each request with how it ended, once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inferatlas.errors import BadInput
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Connection, Target
from inferatlas.measure.bench.client.health import Watch
from inferatlas.measure.bench.client.poller import READ, poller

clock = time.monotonic_ns
MOST_AHEAD_S = 5.0  # for connections made beforehand
ACCEPTED = 64  # connections that a server is given to accept at a time
# Between two looks at sockets while events come thick: a wake-up takes some 40 to 100 µs and may serve several. It
# delays the next request of a client, so it is a small part of what an answer takes; where the kernel stamps packets it
# changes no time that is measured, elsewhere it is the least.
PACE_NS, LEAST_PACE_NS, OF_LATENCY = 4_000_000, 300_000, 200
SPARE_DESCRIPTORS, USUAL_DESCRIPTORS, NO_LIMIT = 64, 65_536, 1 << 40


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


class Pool:
    """Connections to targets.

    Parameters
    ----------
    wanted : connections that will be open at a time, where that is known. ended : is told of each request how it ended:
        None for a whole answer, else the code of `fates.py`.

    Raises
    ------
    BadInput : more connections are wanted than this system allows.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        watch: Watch,
        limits: Limits,
        wanted: int,
        ended: Callable[[Answer, str | None], None],
    ) -> None:
        self.room = _room(wanted)
        self._targets, self._watch, self._limits, self._fate = tuple(targets), watch, limits, ended
        self._idle: list[list[Connection]] = [[] for _ in self._targets]
        self._open: dict[int, Connection] = {}
        self._looked: deque[Connection] = deque()
        self._poller = poller()
        self._pace_ns, self._looked_ns = LEAST_PACE_NS, 0
        self._seen_ns, self._late_ns = clock(), 0  # the last look at sockets, and how late it was

    def close(self) -> None:
        for connection in list(self._open.values()):
            connection.close()
        self._poller.close()

    def begin(self, now: int) -> None:
        """From now on it matters how late sockets are looked at."""
        self._seen_ns = now

    def wait(self, until_ns: int, *, behind: bool) -> Sequence[tuple[int, int]]:
        """Sockets that are ready; none when the time has come. ``behind`` : there is other work, so do not wait."""
        wait = self._poller.wait
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

    def serve(self, ready: Sequence[tuple[int, int]]) -> None:
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

    def pace(self, answer_ns: int) -> None:
        """Look at sockets as seldom as an answer that takes so long allows."""
        if self._watch.stamped:
            self._pace_ns = min(max(answer_ns // OF_LATENCY, LEAST_PACE_NS), PACE_NS)

    def carry(self, answer: Answer, *, anew: bool = False) -> None:
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

    def open_ahead(self, many: int) -> None:
        """Connect so many clients before they begin; what does not connect is tried again when it is needed."""
        until = clock() + round(min(self._limits.connect_s, MOST_AHEAD_S) * 1e9)
        try:
            for number in range(many):
                place = number % len(self._targets)
                if self._opened(Connection(self._targets[place], self._watch, self._ended, place)) is not None:
                    return
                if number % ACCEPTED == ACCEPTED - 1:
                    self.serve(self._poller.wait(0))
        except OSError:
            return
        while sum(map(len, self._idle)) < len(self._open) and (left := until - clock()) > 0:
            self.serve(self._poller.wait(left / 1e9))

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
            self.carry(answer, anew=True)
            return
        self._fate(answer, reason)

    def give_up(self, now: int) -> None:
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

    def end_all(self, reason: str) -> None:
        """End every request in flight."""
        for connection in list(self._open.values()):
            if connection.answer is not None:
                self._over(connection, reason)


def most_connections(wanted: int = 0) -> int:
    """Connections that this system allows this process, ``wanted`` if it may have so many."""
    files = _descriptors(max(wanted + SPARE_DESCRIPTORS, USUAL_DESCRIPTORS))
    return NO_LIMIT if files is None else max(files - SPARE_DESCRIPTORS, 0)


def _room(wanted: int) -> int:
    """How many connections may be open.

    Raises
    ------
    BadInput : more are wanted.
    """
    room = most_connections(wanted)
    if room < wanted:
        raise BadInput(
            f"{wanted:,} connections, and this system allows too few open files", field="concurrency",
            allowed=f"up to {room:,}", hint="raise the limit: ulimit -n",
        )  # fmt: skip
    return room


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
