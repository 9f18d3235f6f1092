"""What the client does to the measurement: how late it stamps, how busy it is.

Two delays are watched. The loop's own: how much later than planned it looked at its sockets, how long an event waited
in a round until its turn came, and how late a timer was. The kernel's: on plain sockets of Linux it notes when a
packet came (SO_TIMESTAMPNS), and that is the event's time: a client that is late, or waits a little to serve several
sockets at once, does not lengthen what it measures. How long after the packet it was read shows whether this process
ran when it should have. With TLS the time is that of the read.

While the loop does not look at all, as when the process was stopped or other programs have the core, what comes on a
connection is read at once later and has the time of its last packet, whose delay is short: so pauses are added up.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h; Python has no name for it
EACH, EVERY = 4096, 8  # the delay of each of the first reads is noted, later that of one in so many
STAMP = struct.Struct("qq")  # struct timespec of 64-bit kernels
ROOM = socket.CMSG_SPACE(STAMP.size) if hasattr(socket, "CMSG_SPACE") else 0
# Pauses of so many ns or more are added up. One that is shorter than the time between the tokens of a stream merges no
# two of them in a read, and the kernel's stamps hold; which it is only the metrics know.
PAUSES_NS = (10_000_000, 30_000_000, 100_000_000, 300_000_000, 1_000_000_000)
READING_NS = 20_000  # two clocks are read within it
STEP_NS = 100_000_000  # the wall clock was set, rather than read late
BINS = 8 * 48  # of delays: 8 in each factor of two, up to 2**48 ns


def stamped(sock: socket.socket) -> bool:
    """Ask the kernel to note when packets of a socket come; whether it will."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


class Delays:
    """A histogram of delays in ns, in bins 12.5 % wide or less: memory stays as it is however long the run."""

    __slots__ = ("counts", "longest")

    def __init__(self) -> None:
        self.counts = [0] * BINS
        self.longest = 0

    def add(self, delay_ns: int, many: int = 1) -> None:
        self.longest = max(self.longest, delay_ns)
        bits = delay_ns.bit_length() - 1 if delay_ns > 0 else 0  # cheap: 3 bits after the leading one
        step = (delay_ns >> (bits - 3)) & 7 if bits >= 3 else 0
        self.counts[min(8 * bits + step, BINS - 1)] += many

    def quantile(self, p: float) -> float | None:
        """Seconds: the upper edge of the bin, at most 12.5 % too much; None where nothing was seen."""
        counts = np.asarray(self.counts)
        total = int(counts.sum())
        if not total:
            return None
        at = int(np.searchsorted(np.cumsum(counts), p * total))
        bits, step = divmod(at, 8)
        edge = ((9 + step) << bits) / 8 if bits >= 3 else 2 << bits
        return min(edge, self.longest) / 1e9


@dataclass(frozen=True, slots=True)
class Health:
    """The client's own account of a run; None where it could not be seen.

    cpu_s : of this process, from the first due request to the end. cpu_share : that over the duration: 1 is a whole
    core. event_loop_lag : how long an event or a timer waited for its turn. stamp_delay : from the packet in the kernel
    to its reading here. memory_bytes : most that was resident. opened : connections. retries : requests sent again
    because the server had closed an idle connection. most_in_flight : requests at one time. paused_s : in all, of
    pauses at least as long as each of `PAUSES_NS`: the loop looked so much later than it should have.
    stamps : who says when an event came: "kernel" for all, so that ``stamp_delay`` lengthens nothing, else "read".
    """

    duration_s: float
    cpu_s: float
    cpu_share: float
    event_loop_lag_p50_s: float | None
    event_loop_lag_p99_s: float | None
    event_loop_lag_max_s: float
    stamp_delay_p50_s: float | None
    stamp_delay_p99_s: float | None
    memory_bytes: int | None
    opened: int
    retries: int
    most_in_flight: int
    reads: int
    stamps: Literal["kernel", "read"]
    paused_s: tuple[float, ...] = (0.0,) * len(PAUSES_NS)


def resident() -> int | None:
    """Most memory that this process had, in bytes."""
    with suppress(OSError, ValueError, StopIteration):  # Linux; getrusage counts the program that began this one too
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Watch:
    """Collects what `Health` tells."""

    def __init__(self) -> None:
        self.lag, self.stamp = Delays(), Delays()
        self.opened = self.retries = self.most_in_flight = self.reads = 0
        self.stamped = True  # by the kernel, on every connection so far
        self.lead_ns = 0  # of the wall clock before the monotonic one, renewed every round
        self._paused_ns = [0] * len(PAUSES_NS)
        self.begin()

    def late(self, late_ns: int) -> None:
        """Sockets were looked at so much later than planned."""
        for n, least in enumerate(PAUSES_NS):
            if late_ns < least:
                return
            self._paused_ns[n] += late_ns

    def lead(self, now_ns: int) -> None:
        """Compare the clocks; the older comparison is better where the core was lost between the two readings."""
        ahead_ns = time.time_ns() - now_ns
        if not self.lead_ns or time.monotonic_ns() - now_ns < READING_NS or abs(ahead_ns - self.lead_ns) > STEP_NS:
            self.lead_ns = ahead_ns

    def begin(self) -> None:
        self._cpu, self._t = time.process_time(), time.monotonic()

    def told(self) -> Health:
        seconds, cpu = time.monotonic() - self._t, time.process_time() - self._cpu
        return Health(
            seconds, cpu, cpu / seconds if seconds > 0 else 0.0, self.lag.quantile(0.5), self.lag.quantile(0.99),
            self.lag.longest / 1e9, self.stamp.quantile(0.5), self.stamp.quantile(0.99), resident(), self.opened,
            self.retries, self.most_in_flight, self.reads, "kernel" if self.stamped else "read",
            tuple(one / 1e9 for one in self._paused_ns),
        )  # fmt: skip
