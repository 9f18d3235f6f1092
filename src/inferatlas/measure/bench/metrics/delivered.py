"""What was really asked of the server: load against the plan, lengths against those asked, and who failed.

The rate of sending is told apart from the rate of completing: a server that is too slow for a rate is overloaded, a
client that sends too late has not delivered the load.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.measure.bench.metrics.flow import in_flight, most_in_flight
from inferatlas.measure.bench.metrics.timings import Floats, Timings

LEAST_S = 1.0  # s over which a rate can be compared: in less, a late millisecond is a large share


@dataclass(frozen=True, slots=True)
class Load:
    """Asked and delivered; None where there was none to deliver, or where the run is too short to tell.

    ``asked_rate_per_s``: of the schedule as it was drawn. ``rate_per_s``: sent. ``asked_concurrency``: users of a
    closed loop. ``concurrency``: mean number in flight from the moment when all could have been, to the last sending.
    """

    asked_rate_per_s: float | None
    rate_per_s: float | None
    asked_concurrency: int | None
    concurrency: float | None

    @property
    def off(self) -> float | None:
        """By what share the delivered load differs from that asked for."""
        if self.asked_concurrency and self.concurrency is not None:
            return abs(self.concurrency / self.asked_concurrency - 1)
        if self.asked_rate_per_s and self.rate_per_s is not None:
            return abs(self.rate_per_s / self.asked_rate_per_s - 1)
        return None

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {**asdict(self), "off": self.off}


def load_of(timings: Timings) -> Load:
    """The load of a run, over its segments.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> due = np.arange(11.0)
    >>> late = timings_of({"due_s": due, "sent_s": 1.1 * due, "done": np.ones(11, bool)}, closed=False)
    >>> found = load_of(late)
    >>> found.asked_rate_per_s, round(found.rate_per_s, 3), round(found.off, 3)
    (1.0, 0.909, 0.091)
    """
    if timings.closed:
        return Load(None, None, timings.clients, concurrency_held(timings, timings.clients))
    asked = sent = asked_s = sent_s = 0.0
    for one in np.unique(timings.segment):
        due = np.isfinite(timings.due_s) & (timings.segment == one)
        kept = due & np.isfinite(timings.sent_s)
        if int(due.sum()) < 2 or not kept.any():
            continue
        span = float(np.ptp(timings.due_s[due]))
        asked, asked_s = asked + int(due.sum()) - 1, asked_s + span
        sent, sent_s = sent + int(kept.sum()) - 1, sent_s + max(float(np.ptp(timings.sent_s[kept])), span)
    if asked_s < LEAST_S:
        return Load(None, None, None, None)
    return Load(asked / asked_s, sent / sent_s, None, None)


def concurrency_held(timings: Timings, clients: int | None) -> float | None:
    """Mean number in flight while the client could keep all users busy: from the N-th sending to the last.

    Where there is no such time, the most that were in flight.
    """
    if not clients:
        return None
    held = seconds = 0.0
    most = 0
    for one in np.unique(timings.segment):
        rows = timings.segment == one
        sent, ended = timings.sent_s[rows], timings.ended_s[rows]
        ordered = np.sort(sent[np.isfinite(sent)])
        most = max(most, most_in_flight(sent, ended)[0])
        if ordered.size > clients and ordered[-1] > ordered[clients - 1]:
            span = float(ordered[-1] - ordered[clients - 1])
            held += span * float(in_flight(sent, ended, [ordered[clients - 1], ordered[-1]])[0])
            seconds += span
    return held / seconds if seconds > 0 else float(most)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens against those asked for, of the completed requests; shares, None where nothing is known.

    ``output_off``, ``input_off``: sum of the differences over the sum asked for. ``cached``: share of input tokens
    found in a cache of the server. ``more_chunks``: requests with more events than tokens. ``unknown_output``,
    ``unknown_input``: share of those with a first token whose tokens are unknown. ``estimated``: requests whose
    tokens a tokenizer counted here, or that were spread over events by their text.
    """

    output_off: float | None
    input_off: float | None
    cached: float | None
    more_chunks: int
    unknown_output: float
    unknown_input: float
    estimated: int


def lengths_of(timings: Timings) -> Lengths:
    """Lengths of a run.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> columns = {"sent_s": [0, 1], "output_tokens": [128, 100], "asked_output_tokens": [128, 128], "done": [1, 1]}
    >>> lengths_of(timings_of(columns, closed=True)).output_off
    0.109375
    """
    done = timings.done
    began = done & np.isfinite(timings.first_token_s)
    guessed = (timings.output_tokens_source == "tokenizer") | (timings.chunk_tokens_source == "text")
    return Lengths(
        _off(timings.output_tokens[done], timings.asked_output_tokens[done]),
        _off(timings.input_tokens[done], timings.asked_input_tokens[done]),
        _share(timings.cached_tokens[done], timings.input_tokens[done]),
        int(np.count_nonzero(timings.chunks > timings.output_tokens)),
        _part(np.isnan(timings.first_tokens[began])),
        _part(np.isnan(timings.input_tokens[began])),
        int(np.count_nonzero(guessed)),
    )


def _off(found: Floats, asked: Floats) -> float | None:
    return _share(np.abs(found - asked), asked)


def _share(part: Floats, whole: Floats) -> float | None:
    known = np.isfinite(part) & np.isfinite(whole)
    total = float(whole[known].sum())
    return float(part[known].sum()) / total if total > 0 else None


def _part(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else 0.0


def failures(timings: Timings) -> dict[str, int]:
    """How many requests failed, by reason; those in flight when the run was stopped too.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> failures(timings_of({"sent_s": [0, 1], "done": [True, False], "reason": ["", "refused"]}, closed=True))
    {'refused': 1}
    """
    reasons, counts = np.unique(timings.reason[~timings.done], return_counts=True)
    return {str(reason) or "unknown": int(count) for reason, count in zip(reasons, counts, strict=True)}
