"""The steady window of a measured run: no warm-up, no drain, no time between segments, or why it has none.

Closed loop and offline: from N requests that have a first token to N - 1 left unfinished (ML.ENERGY). Open loop: the
warm-up is found by a change point in the number in flight (MSER-5), the drain begins with the last request that is
sent, and a backlog that grows is overload; these laws are those of simulated runs (`evidence.steady`). In both the
window is then checked: requests in flight, tokens per second and time to the first token must not grow or fall from its
begin to its end. In overload, latency grows with the length of the run and is no property of the system
(reference/load-generation.md, section 7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from inferatlas.evidence.steady import LEAST, SURE, backlog, flood, mser
from inferatlas.measure.bench.metrics.flow import Flow, flow_of, in_flight, most_in_flight, within
from inferatlas.measure.bench.metrics.timings import Flags, Floats, Timings

Why = Literal["", "short", "no_steady_state", "overloaded"]
BINS = 200  # of the time in which requests are sent, among which the change point is sought
MOST_PARTS = 16  # of a window, that are compared
FEWEST_PARTS = 6  # with fewer the error of a slope is not known well enough
LATENCIES_A_PART = 2.0  # parts that are shorter see the same requests and are alike by that alone
DRIFT = 0.2  # growth over the window, as a share of the mean, that is no steady state; of rates and of concurrency
SLOWING = 0.5  # the same of time to first token, which wanders more near capacity


@dataclass(frozen=True, slots=True)
class Trend:
    """``change``: growth from the begin to the end of the window, as a share of the mean. ``sure``: times its error."""

    change: float
    sure: float

    def as_dict(self) -> dict[str, float | None]:
        """As JSON knows it: without an error ``sure`` has no number."""
        return {"change": self.change, "sure": self.sure if np.isfinite(self.sure) else None}


@dataclass(frozen=True, slots=True)
class Window:
    """Stretches of time from which the metrics of a steady state come; none, and ``why``, where there is no such state.

    Parameters
    ----------
    spans : (from, to) in seconds from the start of the run, one per segment that has any.
    why : empty: steady. ``short``: too few requests to tell; ``overloaded``: the backlog grows; ``no_steady_state``:
        the load or what it gives changes throughout.
    growth_per_s : requests by which the backlog grew per second; None in a closed loop, where it cannot.
    checked : the window was long enough to look for a trend in it. trends : by what was looked at.
    """

    spans: tuple[tuple[float, float], ...]
    why: Why = ""
    growth_per_s: float | None = None
    checked: bool = False
    trends: Mapping[str, Trend] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        return not self.why

    def as_dict(self) -> dict[str, Any]:
        """The window as JSON knows it."""
        return {
            "spans_s": [list(one) for one in self.spans],
            "why": self.why or None,
            "growth_per_s": self.growth_per_s,
            "checked": self.checked,
            "trends": {name: one.as_dict() for name, one in self.trends.items()},
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Requests of one segment as `evidence.steady.Served`; nobody outside knows when one was admitted to a batch."""

    sent: Floats
    arrival: Floats
    admitted: Floats
    first: Floats
    finish: Floats
    output: Floats
    done: Flags
    failed: Flags
    was_sent: Flags
    until: float


def steady_window(timings: Timings, flow: Flow | None = None) -> Window:
    """The steady window of a run.

    Parameters
    ----------
    timings : its requests. flow : its tokens over time; None: from the events in ``timings``.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> at = np.repeat(np.arange(10.0), 2) + np.tile([0.0, 0.1], 10)
    >>> columns = {"sent_s": at, "first_token_s": at + 0.2, "finish_s": at + 1, "done": np.ones(20, bool)}
    >>> [round(one, 3) for one in steady_window(timings_of(columns, closed=True, clients=2)).spans[0]]
    [0.3, 10.0]
    """
    flow = flow_of(timings) if flow is None else flow
    spans: list[tuple[float, float]] = []
    growths: list[float] = []
    saturated = False
    for rows, until in _segments(timings):
        if timings.closed:
            span = filled(rows, timings.clients)
        else:
            span, growth = settled(rows, until)
            saturated |= growth > 0
            growths.append(growth)
        if span is not None:
            spans.append(span)
    growth = max(growths, default=None)
    if saturated:
        return Window((), "overloaded", growth)
    if not spans:
        return Window((), "short", growth)
    trends, checked = trends_in(timings, flow, max(spans, key=lambda one: one[1] - one[0]))
    drifts = [abs(t.change) > (SLOWING if name == "ttft_s" else DRIFT) and t.sure > SURE for name, t in trends.items()]
    if any(drifts):
        return Window((), "no_steady_state", growth, checked, trends)
    return Window(tuple(spans), "", growth, checked, trends)


def _segments(timings: Timings) -> Iterator[tuple[_Rows, float]]:
    ended, first, sent = timings.ended_s, timings.first_token_s, timings.sent_s
    tokens = np.where(np.isnan(timings.output_tokens), 1.0, timings.output_tokens)
    for number, (_, until) in zip(np.unique(timings.segment[np.isfinite(sent)]), timings.spans(), strict=True):
        at = np.flatnonzero((timings.segment == number) & np.isfinite(sent))
        at = at[np.argsort(sent[at], kind="stable")]
        done = timings.done[at]
        failed = ~done & np.isfinite(ended[at])
        columns = (sent[at], sent[at], sent[at], first[at], ended[at], tokens[at], done, failed)
        yield _Rows(*columns, np.ones(at.size, np.bool_), float(until)), float(until)


def filled(rows: _Rows, clients: int | None) -> tuple[float, float] | None:
    """From N requests that have a first token, and are in flight, to N - 1 left unfinished; None: never.

    N is the number of users, or the most that were in flight where that is less. Offline, all requests are in flight
    and N is the most of them that had begun to answer and had not ended: what the server has in its batch.
    """
    most, when = most_in_flight(rows.sent if clients else rows.first, rows.finish)
    n = min(clients or most, most)
    first, ends = np.sort(rows.first[np.isfinite(rows.first)]), np.sort(rows.finish[np.isfinite(rows.finish)])
    left = rows.sent.size - n + 1  # when so many have ended, N - 1 are unfinished
    if n == 0 or first.size < n or ends.size < left:
        return None
    begin, end = max(float(first[n - 1]), when), float(ends[left - 1])
    # a round of all users must begin and end in it; offline none begins in it
    began = n if clients is None else int(((rows.sent >= begin) & (rows.sent < end)).sum())
    ended = int(((ends > begin) & (ends <= end)).sum())
    return (begin, end) if end > begin and min(began, ended) >= n else None


def settled(rows: _Rows, until: float) -> tuple[tuple[float, float] | None, float]:
    """The time after the warm-up in which requests were sent, and requests per second by which a backlog grew.

    None where that is too short to tell; the growth is 0 where it may be chance.
    """
    begin, drain = float(rows.sent.min()), float(rows.sent.max())
    if rows.sent.size < LEAST or drain <= begin:
        return None, 0.0
    sure, growth = backlog(rows, begin, drain)
    if sure > SURE:
        return None, growth
    if (flooded := flood(rows, begin, drain)) > 0:
        return None, flooded
    edges = np.linspace(begin, drain, BINS + 1)
    start = float(edges[min(mser(in_flight(rows.sent, np.fmin(rows.finish, until), edges)), BINS // 2)])
    inside = int(((rows.sent >= start) & (rows.sent < drain)).sum())
    return ((start, drain) if inside >= LEAST else None), 0.0


def trends_in(timings: Timings, flow: Flow, span: tuple[float, float]) -> tuple[dict[str, Trend], bool]:
    """Growth within a span of requests in flight, tokens per second and time to the first token, and whether it counts.

    Parts of the span must be longer than what a request takes. Where they cannot be, a closed loop is not judged; in an
    open loop a trend is still a reason for doubt: requests that take as long as the run are what overload looks like.
    """
    latency = timings.latency_service_s
    known = within(timings.sent_s, np.array([span]), sending=True) & np.isfinite(latency)
    if not known.any():
        return {}, False
    parts = int(min((span[1] - span[0]) / (LATENCIES_A_PART * float(latency[known].mean())), MOST_PARTS))
    checked = parts >= FEWEST_PARTS
    if not checked and timings.closed:
        return {}, False
    parts = max(parts, FEWEST_PARTS)
    edges = np.linspace(*span, parts + 1)
    found = {"concurrency": trend(in_flight(timings.sent_s, timings.ended_s, edges))}
    if flow.output.any():
        found["output_tokens_per_s"] = trend(flow.between(edges))
    place = np.searchsorted(edges, timings.sent_s[known], side="right") - 1
    counts = np.bincount(place, minlength=parts)[:parts]
    if counts.all():
        waited = np.bincount(place, timings.ttft_service_s[known], minlength=parts)[:parts]
        found["ttft_s"] = trend(waited / counts)
    return found, checked


def trend(values: Floats) -> Trend:
    """Growth of values that are evenly apart, shape (k,), by least squares, as a share of their mean, over its error.

    Neighbours that are alike say less than independent ones: the error is that of as many independent values as their
    correlation leaves (first order, Wilks 2011, equation 5.12).

    Examples
    --------
    >>> trend(np.array([10.0, 10.1, 9.9, 10.0, 9.9, 10.1])).sure < 1, round(trend(np.arange(1.0, 12.0)).change, 2)
    (True, 1.67)
    """
    mean = float(values.mean())
    x = np.arange(values.size) - (values.size - 1) / 2
    slope = float(x @ values) / float(x @ x)
    rest = values - mean - slope * x
    squares = float(rest @ rest)
    change = slope * (values.size - 1) / mean if mean else 0.0
    if squares <= 1e-18 * float(values @ values):  # nothing but rounding is left
        return Trend(change, np.inf if abs(change) > 1e-9 else 0.0)
    alike = min(max(float(rest[1:] @ rest[:-1]) / squares, 0.0), 0.9)
    error = (squares / (values.size - 2) / float(x @ x) * (1 + alike) / (1 - alike)) ** 0.5
    return Trend(change, abs(slope) / error)
