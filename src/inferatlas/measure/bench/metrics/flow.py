"""Tokens over time: rates in a stretch of it, and the greatest rate of any second, in tokens and not in events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.measure.bench.metrics.timings import Flags, Floats, Ints, Timings

STEP_S = 0.01  # the second of the greatest rate moves in these steps; 24 h of a run are 8.6 million of them


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """Tokens that came in each step of ``STEP_S`` of the segments of a run, one after the other, shape (k,).

    The time between segments has no steps: it may be months, or decades where a wall clock was set.

    Parameters
    ----------
    begins_s : shape (s,), when each segment began. first : shape (s,), its first step.
    output : output tokens, when their event arrived. total : these, and all input tokens of a request when its first
        output token came: until then nobody outside knows that the prompt was read.
    """

    begins_s: Floats
    first: Ints
    output: Floats
    total: Floats

    def between(self, edges: ArrayLike, *, total: bool = False) -> Floats:
        """Tokens between moments, shape (e - 1,); within a step they are taken to come evenly."""
        counts = self.total if total else self.output
        if not counts.size:
            return np.zeros(np.size(edges) - 1)
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        return np.diff(np.interp(self._steps(np.asarray(edges, np.float64)), np.arange(upto.size), upto))

    def peak(self, seconds: float = 1.0, *, total: bool = False) -> float | None:
        """The most tokens per second in any stretch of so many seconds; None where no segment is as long.

        Examples
        --------
        >>> steps = np.zeros(300)
        >>> steps[::50] = 4.0
        >>> Flow(np.zeros(1), np.zeros(1, np.int64), steps, steps).peak()
        8.0
        """
        width = round(seconds / STEP_S)
        most: list[float] = []
        for counts in np.split(self.total if total else self.output, self.first[1:]):
            if counts.size >= width:
                upto = np.concatenate([[0.0], np.cumsum(counts)])
                most.append(float((upto[width:] - upto[:-width]).max()) / seconds)
        return max(most, default=None)

    def _steps(self, times: Floats) -> Floats:
        """Steps before moments, with the part of the one that they lie in; between segments: all of those before."""
        place = np.maximum(np.searchsorted(self.begins_s, times, side="right") - 1, 0)
        ends = np.append(self.first[1:], self.output.size)
        steps = self.first[place] + (times - self.begins_s[place]) / STEP_S
        return steps.clip(self.first[place], ends[place])


def flow_of(timings: Timings, parts: Iterable[Timings] | None = None) -> Flow:
    """The flow of a run.

    Parameters
    ----------
    timings : its requests. parts : stretches that together hold their events; None: ``timings`` has them.
    """
    spans = timings.spans()
    many = ((spans[:, 1] - spans[:, 0]) / STEP_S).astype(np.int64) + 1
    first = np.cumsum(many) - many
    empty = Flow(spans[:, 0], first, np.zeros(int(many.sum())), np.zeros(0))
    if not many.size:
        return empty
    output = np.zeros(empty.output.size)
    for part in [timings] if parts is None else parts:
        output += _binned(part.chunk_s, part.chunk_tokens, empty)
    return Flow(spans[:, 0], first, output, output + _binned(timings.first_token_s, timings.input_tokens, empty))


def _binned(times: Floats, tokens: Floats, flow: Flow) -> Floats:
    known = np.isfinite(times) & np.isfinite(tokens)
    many = flow.output.size
    place = flow._steps(times[known]).astype(np.int64).clip(0, many - 1)
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
    moments = np.asarray(edges, np.float64)
    after: Floats = moments - moments[0]
    # what was before the first edge counts as from there: sums of times that lie far apart would lose digits
    begun, over = np.maximum(sent - moments[0], 0.0), np.maximum(ended - moments[0], 0.0)
    seconds = _since(begun[np.isfinite(begun)], after) - _since(over[np.isfinite(begun) & np.isfinite(over)], after)
    return np.diff(seconds) / np.diff(after)


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
