"""What is seen of a point while it runs: counts, and figures of the last seconds."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.sending import Progress
from inferatlas.measure.bench.plan import Point

RECENT_S = 10.0
MOST = 2000  # requests that the figures of the last seconds are made of


@dataclass(frozen=True, slots=True)
class View:
    """Figures to show. Those of the last seconds are None while nothing was completed in them; W where it is read."""

    point: Point
    total: int
    done: int
    failed: int
    in_flight: int
    seconds: float
    eta_s: float | None
    ttft_s: float | None
    itl_s: float | None
    output_tokens_per_s: float | None
    requests_per_s: float | None
    power_w: float | None
    place: tuple[int, int] = (1, 1)  # which point this is, of how many


class Watcher(Protocol):
    """Whoever looks on. ``stopped`` : whether the run is to end now."""

    def begun(self, point: Point, total: int) -> None: ...
    def look(self, view: View) -> None: ...
    def told(self, text: str) -> None: ...
    def stopped(self) -> bool: ...


@dataclass(slots=True)
class Recent:
    """Requests that ended in the last seconds."""

    ended: deque[tuple[float, float | None, float | None, int]] = field(default_factory=deque)
    begin_s: float = field(default_factory=time.monotonic)

    def take(self, answer: Answer) -> None:
        """One more that ended."""
        stamps = answer.stamps
        if answer.status != "done" or not stamps or answer.sent_ns is None:
            return
        tokens = answer.output_tokens or len(stamps)
        itl = (stamps[-1] - stamps[0]) / 1e9 / (tokens - 1) if tokens > 1 else None
        self.ended.append((time.monotonic(), (stamps[0] - answer.sent_ns) / 1e9, itl, tokens))
        if len(self.ended) > MOST:
            self.ended.popleft()

    def view(
        self, point: Point, total: int, before: int, progress: Progress, power_w: float | None, place: tuple[int, int]
    ) -> View:  # fmt: skip
        """What to show now. ``before`` : requests that were done in an earlier start of the run."""
        now = time.monotonic()
        while self.ended and self.ended[0][0] < now - RECENT_S:
            self.ended.popleft()
        seconds = now - self.begin_s
        span = min(seconds, RECENT_S) if len(self.ended) < MOST else now - self.ended[0][0]
        ended = progress.done + progress.failed
        rate = ended / seconds if seconds > 0 else 0.0
        eta = (total - before - ended) / rate if rate > 0 else None
        if point.duration_s is not None:
            left = max(point.duration_s - seconds, 0.0)
            eta = left if eta is None else min(eta, left)
        some = bool(self.ended) and span > 0
        return View(
            point, total, before + progress.done, progress.failed, progress.in_flight, seconds, eta,
            _mean([ttft for _, ttft, _, _ in self.ended]), _mean([itl for _, _, itl, _ in self.ended]),
            sum(tokens for _, _, _, tokens in self.ended) / span if some else None,
            len(self.ended) / span if some else None, power_w, place,
        )  # fmt: skip


def _mean(values: list[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return math.fsum(known) / len(known) if known else None
