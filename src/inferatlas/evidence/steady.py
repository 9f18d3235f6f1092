"""When a run is steady: how much of its start to leave out, and whether a backlog grows without end.

The law is the same for a simulated run and a measured one: requests as columns of times in, numbers out. The warm-up
is found by MSER-5 (White 1997; White, Cobb and Spratt 2000). A fleet that is offered more than it can serve has no
steady state: what waits grows as long as requests come (reference/serving-simulation.md, section 4).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEAST = 20  # requests without which nothing is said of a steady state
PARTS = 16  # of the time in which requests come, without the first quarter
# of the growth per part over its error: with 15 degrees of freedom chance exceeds it once in 180 times
SURE = 2.9
DOUBTFUL = 1.75  # 5 % of the time
CLEARLY = 0.03  # of what is offered is not served
SEVERAL = 3.0  # times the longest quick request, after the last one was sent
EARLY = 0.1  # share of requests whose quick ones tell how fast the fleet is when nothing waits


class Served(Protocol):
    """What happened to each request, shape (n,); seconds, NaN where it did not happen.

    ``sent`` by the client, ``arrival`` at the server, ``admitted`` to a batch (where nobody knows: the arrival),
    ``first`` token, ``finish``: the last token, or the failure. ``output``: tokens. ``until``: where the run ended.
    """

    @property
    def sent(self) -> Floats: ...
    @property
    def arrival(self) -> Floats: ...
    @property
    def admitted(self) -> Floats: ...
    @property
    def first(self) -> Floats: ...
    @property
    def finish(self) -> Floats: ...
    @property
    def output(self) -> Floats: ...
    @property
    def done(self) -> Flags: ...
    @property
    def failed(self) -> Flags: ...
    @property
    def was_sent(self) -> Flags: ...
    @property
    def until(self) -> float: ...


def mser(values: Floats, size: int = 5) -> int:
    """Leading values to leave out (MSER-5): those without which the mean of the rest has the smallest error.

    Means of ``size`` neighbours are looked at; no more than half of the values are left out.

    >>> mser(np.array([0.0] * 10 + [5.0, 5.1, 4.9, 5.0, 5.0] * 20))
    10
    """
    size = size if values.size >= 10 * size else 1
    many = values.size // size
    if many < 4:
        return 0
    means = values[: many * size].reshape(many, size).mean(axis=1)
    back = means[::-1] - means.mean()
    left = np.arange(1, many + 1)
    squares = np.maximum(np.cumsum(back * back) - np.cumsum(back) ** 2 / left, 0.0)
    error = (squares / left.astype(np.float64) ** 2)[::-1]  # of the mean, having left out 0, 1, 2 ...
    return int(np.argmin(error[: many // 2 + 1])) * size


def backlog(times: Served, begin: float, drain: float) -> tuple[float, float]:
    """By how many times its error the backlog grows, and by how many requests per second.

    The last three quarters of the time in which requests come are cut into parts, and in each the number in flight
    grows by arrivals less ends. A fleet that fills up grows too, until as many end as come: what it would hold if
    requests stayed no longer than the quick ones among the first is taken off. The rest is a backlog. Its
    error is the spread between the parts: a queue near its capacity wanders as far up as down. What is less than 3 %
    of what came is none. Where requests wait for admission longer, on the mean, than they came for, that is enough.
    """
    span = drain - begin
    if span <= 0:
        return 0.0, 0.0
    edges = np.linspace(begin + 0.25 * span, drain, PARTS + 1)
    came = counts(times.sent, edges)
    ended = counts(np.where(times.done | times.failed, times.finish, np.nan), edges)
    stayed = counts(times.sent + quick(times), edges)
    growth = (came - ended) - (came - stayed)
    mean = float(growth.mean())
    error = float(growth.std(ddof=1)) / PARTS**0.5
    if came.sum() < PARTS:
        return 0.0, mean / (0.75 * span / PARTS)
    waits = np.fmin(np.fmin(times.admitted, times.finish), times.until) - times.arrival
    waits = waits[np.isfinite(waits)]
    if waits.size and float(waits.mean()) > span:  # requests came for less time than they waited: too short for parts
        behind = (times.arrival <= drain) & ~(times.admitted <= drain)
        return np.inf, float(np.count_nonzero(behind)) / span
    clear = mean > CLEARLY * float(came.mean())
    return (mean / error if error > 0 else np.inf) if clear else 0.0, mean / (0.75 * span / PARTS)


def flood(times: Served, begin: float, drain: float) -> float:
    """Growth of the backlog per second where requests came too fast for the run to tell otherwise; else 0.

    Less than half were served when the last one was sent, and the rest took several times as long as a quick request.
    """
    span = drain - begin
    left = int((times.was_sent & ~(times.finish <= drain)).sum())
    if span <= 0 or 2 * left < int(times.was_sent.sum()) or not times.done.any():
        return 0.0
    after = float(times.finish[times.done].max()) - drain
    return left / span if after > SEVERAL * float(quick(times).max()) else 0.0


def counts(events: Floats, edges: Floats) -> Floats:
    """Events between moments that are evenly apart."""
    at = (events - edges[0]) * (PARTS / (edges[-1] - edges[0]))
    inside = at[(at >= 0) & (at < PARTS)]
    return np.bincount(inside.astype(np.int64), minlength=PARTS).astype(np.float64)


def quick(times: Served) -> Floats:
    """Seconds that each request would take at the pace of the quick tenth of the first ones."""
    order = np.flatnonzero(times.was_sent)
    early = order[: max(int(EARLY * order.size), LEAST)]
    early = early[times.done[early]]
    if not early.size:
        return np.zeros_like(times.sent)
    first = float(np.quantile(times.first[early] - times.sent[early], 0.1))
    several = early[times.output[early] > 1]
    if not several.size:
        return np.full_like(times.sent, first)
    gap = float(np.quantile((times.finish - times.first)[several] / (times.output[several] - 1), 0.1))
    return first + gap * (times.output - 1)
