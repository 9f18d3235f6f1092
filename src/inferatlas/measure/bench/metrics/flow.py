"""Tokens over time: rates in a stretch of it, and the greatest rate of any second, in tokens and not in events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.measure.bench.metrics.timings import Flags, Floats, Timings

STEP_S = 0.01  # the second of the greatest rate moves in these steps; 24 h of a run are 8.6 million of them


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Tokens that came in each step of ``STEP_S`` from ``begin_s`` on, shape (k,).

    Parameters
    ----------
    output : output tokens, when their event arrived. total : these, and all input tokens of a request when its first
        output token came: until then nobody outside knows that the prompt was read.
    """

    begin_s: float
    output: Floats
    total: Floats

    def between(self, edges: ArrayLike, *, total: bool = False) -> Floats:
        """Tokens between moments, shape (e - 1,); within a step they are taken to come evenly."""
        edges = np.asarray(edges, np.float64)
        counts = self.total if total else self.output
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        return np.diff(np.interp((edges - self.begin_s) / STEP_S, np.arange(upto.size), upto))

    def peak(self, seconds: float = 1.0, *, total: bool = False) -> float | None:
        """The most tokens per second in any stretch of so many seconds; None where the run is shorter.

        Examples
        --------
        >>> steps = np.zeros(300)
        >>> steps[::50] = 4.0
        >>> Flow(0.0, steps, steps).peak()
        8.0
        """
        counts = self.total if total else self.output
        width = round(seconds / STEP_S)
        if counts.size < width:
            return None
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        return float((upto[width:] - upto[:-width]).max()) / seconds


def flow_of(timings: Timings, parts: Iterable[Timings] | None = None) -> Flow:
    """The flow of a run.

    Parameters
    ----------
    timings : its requests. parts : stretches that together hold their events; None: ``timings`` has them.
    """
    spans = timings.spans()
    if not spans.size:
        return Flow(0.0, np.zeros(0), np.zeros(0))
    begin, until = float(spans[:, 0].min()), float(spans[:, 1].max())
    many = int((until - begin) / STEP_S) + 1
    output = np.zeros(many)
    for part in [timings] if parts is None else parts:
        output += _binned(part.chunk_s, part.chunk_tokens, begin, many)
    return Flow(begin, output, output + _binned(timings.first_token_s, timings.input_tokens, begin, many))


def _binned(times: Floats, tokens: Floats, begin: float, many: int) -> Floats:
    known = np.isfinite(times) & np.isfinite(tokens)
    place = ((times[known] - begin) / STEP_S).astype(np.int64).clip(0, many - 1)
    return np.asarray(np.bincount(place, tokens[known], many), np.float64)


def in_flight(sent: Floats, ended: Floats, edges: ArrayLike) -> Floats:
    """Mean number of requests in flight between moments, shape (e - 1,).

    Parameters
    ----------
    sent, ended : shape (n,), seconds; NaN: never sent, or not over before the last of the edges.

    Examples
    --------
    >>> in_flight(np.array([0.0, 1.0]), np.array([2.0, 3.0]), [0.0, 1.0, 2.0, 3.0]).tolist()
    [1.0, 2.0, 1.0]
    """
    edges = np.asarray(edges, np.float64)
    seconds = _since(sent[np.isfinite(sent)], edges) - _since(ended[np.isfinite(sent) & np.isfinite(ended)], edges)
    return np.diff(seconds) / np.diff(edges)


def _since(moments: Floats, edges: Floats) -> Floats:
    """Seconds from each moment to each edge after it, added up over moments."""
    ordered = np.sort(moments)
    count = np.searchsorted(ordered, edges)
    upto = np.concatenate([[0.0], np.cumsum(ordered)])
    return count * edges - upto[count]


def most_in_flight(sent: Floats, ended: Floats) -> tuple[int, float]:
    """The most requests in flight at once, and when there were so many for the first time; (0, NaN) without requests.

    Where one ends and another is sent at the same time they are not in flight together.

    Examples
    --------
    >>> most_in_flight(np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0, 4.0]))
    (2, 1.0)
    """
    sent, ended = sent[np.isfinite(sent)], ended[np.isfinite(sent) & np.isfinite(ended)]
    if not sent.size:
        return 0, float("nan")
    moments = np.concatenate([ended, sent])
    steps = np.concatenate([np.full(ended.size, -1), np.ones(sent.size, np.int64)])
    order = np.argsort(moments, kind="stable")
    held = np.cumsum(steps[order])
    first = int(np.argmax(held))
    return int(held[first]), float(moments[order][first])


def within(times: Floats, spans: Floats, *, sending: bool = False) -> Flags:
    """Whether times are in one of the spans, shape (k, 2).

    What arrives belongs to (from, to], so that what arrived when the watch was started is not counted; what is sent
    belongs to [from, to).
    """
    found = np.zeros(times.shape, np.bool_)
    for begin, end in spans:
        found |= ((times >= begin) & (times < end)) if sending else ((times > begin) & (times <= end))
    return found
