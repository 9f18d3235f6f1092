"""Which part of a run tells of the system and not of its start and its end, and whether there is one.

The warm-up is found by MSER-5 (White 1997; White, Cobb and Spratt 2000) on the number in flight, or on the tokens that
come in a closed loop, where that number is fixed; it lasts at most half of the time. The drain begins with the last
request that is sent. A fleet that is offered more than it can serve has no steady state: what waits grows as long as
requests come (section 4 of the reference).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.series import Series, Times

Floats = NDArray[np.float64]
LEAST = 20  # requests without which nothing is said of a steady state
PARTS = 16  # of the time in which requests come, without the first quarter
# of the growth per part over its error: with 15 degrees of freedom chance exceeds it once in 180 times
SURE = 2.9
DOUBTFUL = 1.75  # 5 % of the time
CLEARLY = 0.03  # of what is offered is not served
SEVERAL = 3.0  # times the longest quick request, after the last one was sent
EARLY = 0.1  # share of requests whose quick ones tell how fast the fleet is when nothing waits
Why = Literal["", "saturated", "short", "burst"]


@dataclass(frozen=True, slots=True)
class Window:
    """The steady window, from which every metric comes; without one ``why`` says why.

    ``growth_per_s``: requests by which the backlog grew per second, while they came; ``doubtful``: a growth that is
    large and may be chance.
    """

    from_s: float
    to_s: float
    why: Why
    growth_per_s: float
    doubtful: bool = False

    @property
    def steady(self) -> bool:
        return self.why == ""

    @property
    def saturated(self) -> bool:
        return self.why == "saturated"


def window_of(times: Times, series: Series, clients: int | None) -> Window:
    """The steady window of a run.

    Parameters
    ----------
    clients : of a closed loop; None: open loop.
    """
    sent = times.sent[times.was_sent]
    begin = times.begin
    drain = float(sent.max()) if sent.size else begin
    if sent.size < LEAST:
        return Window(begin, times.until, "short", 0.0)
    sure, growth = (0.0, 0.0) if clients else backlog(times, begin, drain)
    if sure > SURE:
        return Window(begin, times.until, "saturated", growth)
    if not clients and (flooded := flood(times, begin, drain)) > 0:
        return Window(begin, times.until, "saturated", flooded)
    observed = series.output_tokens if clients else series.in_flight
    first, last = int(np.ceil(begin / series.bin_s)), int(drain / series.bin_s)
    start = (first + mser(observed[first:last])) * series.bin_s if last > first else drain
    if clients:  # all clients begin at once, which no later moment repeats
        wave = times.finish[:clients]
        start = max(start, float(np.fmin(wave, times.until).max()))
    start = max(min(start, begin + 0.5 * (drain - begin)), begin)
    inside = int(((sent >= start) & (sent <= drain)).sum())
    if drain <= begin or inside < LEAST:
        return Window(begin, times.until, "burst" if drain <= begin else "short", growth)
    return Window(start, drain, "", growth, doubtful=sure > DOUBTFUL)


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


def backlog(times: Times, begin: float, drain: float) -> tuple[float, float]:
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


def flood(times: Times, begin: float, drain: float) -> float:
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


def quick(times: Times) -> Floats:
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
