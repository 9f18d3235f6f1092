"""Which request is due when: clients that wait for each other's turn, a schedule, turns of conversations.

In: `workload.Requests`, what was done before. Out: numbers of requests as they become due, in ns of the monotonic
clock. What ended is told to it, since clients and later turns wait for that.
"""

from __future__ import annotations

import heapq

import numpy as np

from inferatlas.workload.requests import Requests


class Feed:
    """The requests of a point of load that are still to be sent.

    Parameters
    ----------
    requests : closed loop (``clients``), or an open one, perhaps with turns that wait for the one before.
    begin_ns : when the load begins.
    done : of which request the fate is known already, from a run that was killed.
    ramp_s : closed loop: the clients begin one after the other within this time.

    An open loop goes on as it would have: the first request that is left is due at once, the others as far after it as
    they were planned to be; turns whose predecessor is done are due at once too.
    """

    def __init__(
        self, requests: Requests, begin_ns: int, *, done: frozenset[int] = frozenset(), ramp_s: float = 0.0
    ) -> None:
        self._requests = requests
        self._wait_ns = np.rint(requests.arrival_s * 1e9).astype(np.int64)
        self.clients = requests.clients
        left = np.ones(len(requests), bool)
        left[list(done)] = False
        self.left = int(left.sum())  # not ended yet
        self._later: dict[int, list[int]] = {}
        self._due: list[tuple[int, int]] = []
        numbers = np.flatnonzero(left)
        if self.clients is not None:
            self._next = iter(numbers.tolist())
            many = min(self.clients, self.left)
            step = ramp_s * 1e9 / max(self.clients, 1)
            for client in range(many):
                number = next(self._next)
                self._due.append((begin_ns + round(client * step) + int(self._wait_ns[number]), number))
        else:
            previous = requests.previous
            free = left if previous is None else left & ((previous < 0) | ~left[np.maximum(previous, 0)])
            if previous is not None:
                for number in np.flatnonzero(left & ~free).tolist():
                    self._later.setdefault(int(previous[number]), []).append(number)
            starts = np.flatnonzero(free)
            open_ns = self._wait_ns[starts]
            begins = np.ones(starts.size, bool) if previous is None else previous[starts] < 0
            first = int(open_ns[begins].min()) if done and begins.any() else 0
            open_ns = np.where(begins, open_ns - first, 0)  # a turn whose predecessor is done has waited long enough
            self._due = [(begin_ns + int(t), n) for t, n in zip(open_ns, starts.tolist(), strict=True)]
        heapq.heapify(self._due)

    @property
    def open(self) -> bool:
        """Whether requests come by a schedule, so that latency counts from when they were due."""
        return self.clients is None

    def next_ns(self) -> int | None:
        """When the next request is due; None while all that is left waits for others."""
        return self._due[0][0] if self._due else None

    def take(self) -> tuple[int, int]:
        """The request that is due next: when, and its number."""
        return heapq.heappop(self._due)

    def ended(self, number: int, now: int, *, well: bool) -> list[int]:
        """Tell that a request ended; numbers of turns that will never be sent because it failed."""
        self.left -= 1
        if self.clients is not None:
            following = next(self._next, None)
            if following is not None:
                heapq.heappush(self._due, (now + int(self._wait_ns[following]), following))
            return []
        lost: list[int] = []
        for later in self._later.pop(number, ()):
            if well:
                heapq.heappush(self._due, (now + int(self._wait_ns[later]), later))
            else:
                self.left -= 1
                lost += [later, *self._lose(later)]
        return lost

    def _lose(self, number: int) -> list[int]:
        lost: list[int] = []
        for later in self._later.pop(number, ()):
            self.left -= 1
            lost += [later, *self._lose(later)]
        return lost
