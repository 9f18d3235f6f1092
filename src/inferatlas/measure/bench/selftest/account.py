"""What the mock tells of itself: requests, tokens, how late its events were, and what it used of its core."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

BINS_US = 100_000  # lateness is counted in bins of 1 µs, up to 0.1 s; more counts as that
KEPT = 65_536  # requests in the log: the latest


class Account:
    """Counts since the last `begin`.

    ``active``, ``peak``: streams, from the reading of a request to its last event. ``log``: per request that was
    answered in full its ``user``, when it was read, its tokens, when its first and last event left, and the worst
    lateness of any, in ns of the monotonic clock.

    Examples
    --------
    >>> account = Account()
    >>> account.late(100_000, 3)
    >>> account.late(2_000_000, 1)
    >>> [round(1e3 * account.told()[name], 3) for name in ("late_p50_s", "late_p99_s", "late_max_s")]
    [0.1, 2.0, 2.0]
    """

    def __init__(self) -> None:
        self.active = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was; streams on their way go on."""
        self.late_us = [0] * (BINS_US + 1)
        self.worst_ns = self.requests = self.tokens = self.aborts = self.refused = 0
        self.peak = self.active
        self.log: deque[tuple[str, int, int, int, int, int]] = deque(maxlen=KEPT)
        self._t, self._cpu = time.monotonic(), time.process_time()

    def late(self, ns: int, events: int) -> None:
        """So many events left so late."""
        self.late_us[min(ns // 1000, BINS_US)] += events
        self.worst_ns = max(self.worst_ns, ns)

    def told(self) -> dict[str, Any]:
        """As JSON; times in s where the name says so."""
        p50, p99 = self._quantiles(0.5, 0.99)
        columns = "user", "received_ns", "tokens", "first_ns", "last_ns", "late_ns"
        return {
            "seconds": time.monotonic() - self._t, "cpu_s": time.process_time() - self._cpu,
            "requests": self.requests, "tokens": self.tokens, "refused": self.refused, "client_aborts": self.aborts,
            "active": self.active, "peak_active": self.peak,
            "late_p50_s": p50, "late_p99_s": p99, "late_max_s": self.worst_ns / 1e9 if p50 is not None else None,
            "log": [dict(zip(columns, row, strict=True)) for row in self.log],
        }  # fmt: skip

    def _quantiles(self, *shares: float) -> list[float | None]:
        total = sum(self.late_us)
        if not total:
            return [None] * len(shares)
        found: list[float | None] = []
        below = at = 0
        for share in shares:
            while below + self.late_us[at] < share * total:
                below += self.late_us[at]
                at += 1
            found.append(at / 1e6)
        return found
