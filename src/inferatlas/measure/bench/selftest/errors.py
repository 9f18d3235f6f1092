"""Answers against the schedule: errors of times, and the run as the metrics know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.metrics.timings import Floats, Timings, timings_of
from inferatlas.measure.bench.selftest.found import Errors


def errors_of(values_s: Floats) -> Errors:
    """A distribution of errors.

    Examples
    --------
    >>> errors_of(np.array([0.001, 0.003])).mean_s, errors_of(np.array([])).p99_s
    (0.002, None)
    """
    if not values_s.size:
        return Errors(0)
    p50, p99 = np.quantile(values_s, (0.5, 0.99))
    return Errors(values_s.size, float(values_s.mean()), float(p50), float(p99), float(values_s.max()))


def ttft_errors(answers: Sequence[Answer], ttft_s: float) -> Floats:
    """Time to first token of each whole answer less that of the schedule, shape (n,), s."""
    return np.array([(one.stamps[0] - (one.sent_ns or 0)) / 1e9 - ttft_s for one in _whole(answers)])


def gap_errors(answers: Sequence[Answer], itl_s: float) -> Floats:
    """How far each gap between tokens is from the schedule's, either way, shape (gaps,), s."""
    gaps = [np.diff(np.asarray(one.stamps, np.int64)) for one in _whole(answers)]
    return np.abs(np.concatenate([np.zeros(0, np.int64), *gaps]) / 1e9 - itl_s)


def stamp_errors(answers: Sequence[Answer], log: Sequence[Mapping[str, Any]]) -> Floats:
    """From the mock's sending of the first and the last token of each whole answer to the client's times of them, s.

    Parameters
    ----------
    log : the mock's (`account.Account`); ``user`` is the number of a request.

    Both clocks are the one of this machine.
    """
    sent = {row["user"]: (row["first_ns"], row["last_ns"]) for row in log}
    found = [
        (stamp - left) / 1e9
        for one in _whole(answers)
        if (ends := sent.get(str(one.number))) is not None
        for stamp, left in zip((one.stamps[0], one.stamps[-1]), ends, strict=True)
    ]
    return np.array(found)


def timings_from(answers: Sequence[Answer], begin_ns: int, clients: int) -> Timings:
    """A closed loop of so many clients, as `metrics` knows it; an event is a token, as the mock sends them.

    Parameters
    ----------
    answers : of all requests that were sent. begin_ns : of the run.
    """

    def times(values: Sequence[int | None]) -> Floats:
        return np.array([np.nan if one is None else (one - begin_ns) / 1e9 for one in values])

    def counts(values: Sequence[int | None]) -> Floats:
        return np.array([np.nan if one is None else one for one in values], np.float64)

    done = [one.status == "done" for one in answers]
    ends = [one.end_ns for one in answers]
    chunks = np.array([len(one.stamps) for one in answers])
    columns = {
        "sent_s": times([one.sent_ns for one in answers]),
        "first_token_s": times([one.stamps[0] if one.stamps else None for one in answers]),
        "finish_s": times([one.stamps[-1] if one.stamps else None for one in answers]),
        "end_s": times(ends),
        "failed_s": times([None if well else end for well, end in zip(done, ends, strict=True)]),
        "input_tokens": counts([one.input_tokens for one in answers]),
        "output_tokens": counts([one.output_tokens for one in answers]),
        "asked_output_tokens": counts([one.ask.output_tokens for one in answers]),
        "chunks": chunks,
        "done": done,
        "reason": [one.reason or "" for one in answers],
    }
    flat = [stamp for one in answers for stamp in one.stamps]
    start = np.concatenate([[0], np.cumsum(chunks)])
    return timings_of(columns, times(flat), np.ones(len(flat)), start, closed=True, clients=clients)


def _whole(answers: Sequence[Answer]) -> list[Answer]:
    return [one for one in answers if one.status == "done" and one.stamps]
