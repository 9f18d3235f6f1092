"""When everything happened in a run, as arrays: a row per request, and the events that carried tokens, flat.

Metrics of a request are properties here, each as defined in reference/load-generation.md, section 2. Counts are floats
so that what is unknown can be NaN; a float holds counts exactly up to 2^53.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]

TIMES = (
    "due_s", "sent_s", "connect_s", "first_byte_s", "first_token_s", "first_answer_s", "finish_s", "end_s", "failed_s",
)  # fmt: skip
COUNTS = (
    "asked_input_tokens", "input_tokens", "asked_output_tokens", "output_tokens", "first_tokens", "cached_tokens",
    "chunks",
)  # fmt: skip
TEXTS = ("reason", "prompt", "output_tokens_source", "chunk_tokens_source")


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """Times and counts of n requests; seconds from the start of the run, NaN where unknown or where it never happened.

    Parameters
    ----------
    due_s ... failed_s, asked_input_tokens ... chunks : shape (n,), the columns of `requests.parquet` of the same name.
    first_tokens : shape (n,), tokens of the first event that had any.
    reason, prompt, output_tokens_source, chunk_tokens_source : shape (n,), text, empty where there is none.
    done : shape (n,), whether the request was completed.
    segment : shape (n,), from 0, one more after each resumption of the run.
    closed : the clock of a request starts when it is sent, not when it is due.
    clients : users of a closed loop; None: unknown, or no closed loop.
    chunk_s, chunk_tokens : shape (m,), time and tokens of each event that carried tokens, request by request in the
        order of time; NaN tokens: unknown, never 0. Empty where the events are read apart (`reading.stretches`).
    start : shape (n + 1,), where the events of each request begin, and the last ones end.
    """

    due_s: Floats
    sent_s: Floats
    connect_s: Floats
    first_byte_s: Floats
    first_token_s: Floats
    first_answer_s: Floats
    finish_s: Floats
    end_s: Floats
    failed_s: Floats
    asked_input_tokens: Floats
    input_tokens: Floats
    asked_output_tokens: Floats
    output_tokens: Floats
    first_tokens: Floats
    cached_tokens: Floats
    chunks: Floats
    reason: Texts
    prompt: Texts
    output_tokens_source: Texts
    chunk_tokens_source: Texts
    done: Flags
    segment: Ints
    closed: bool
    clients: int | None
    chunk_s: Floats
    chunk_tokens: Floats
    start: Ints

    def __len__(self) -> int:
        return self.sent_s.size

    @property
    def clock_s(self) -> Floats:
        """Where the clock of each request starts: due in open loop, else sent.

        A turn that waits for the answer before it is due at no time of its own: its clock starts when it is sent.
        """
        return self.sent_s if self.closed else np.where(np.isnan(self.due_s), self.sent_s, self.due_s)

    @property
    def ended_s(self) -> Floats:
        """When a request was over, however it ended."""
        end = np.where(np.isnan(self.end_s), self.failed_s, self.end_s)
        return np.where(np.isnan(end), self.finish_s, end)

    @property
    def ttfb_s(self) -> Floats:
        return self.first_byte_s - self.sent_s

    @property
    def ttft_s(self) -> Floats:
        return self.first_token_s - self.clock_s

    @property
    def ttft_service_s(self) -> Floats:
        return self.first_token_s - self.sent_s

    @property
    def ttft_answer_s(self) -> Floats:
        return self.first_answer_s - self.clock_s

    @property
    def latency_s(self) -> Floats:
        return self.finish_s - self.clock_s

    @property
    def latency_service_s(self) -> Floats:
        return self.finish_s - self.sent_s

    @property
    def send_lag_s(self) -> Floats:
        return self.sent_s - self.due_s

    @property
    def itl_s(self) -> Floats:
        """(last - first token event)/(n - n_1): tokens of the first event took no time between tokens."""
        later = self.output_tokens - self.first_tokens
        return np.divide(self.finish_s - self.first_token_s, later, out=np.full(len(self), np.nan), where=later > 0)

    @property
    def owner(self) -> Ints:
        """The request of each event, shape (m,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def spans(self) -> Floats:
        """When each segment began (its first request was sent) and ended (its last was over), shape (k, 2).

        Between segments nothing was measured: the run had been stopped.
        """
        sent = np.isfinite(self.sent_s)
        found: list[tuple[float, float]] = []
        for one in np.unique(self.segment[sent]):
            rows = sent & (self.segment == one)
            last = max(np.nanmax(self.sent_s[rows]), np.nanmax(np.nan_to_num(self.ended_s[rows], nan=-np.inf)))
            found.append((float(self.sent_s[rows].min()), float(last)))
        return np.array(found, np.float64).reshape(-1, 2)


def timings_of(
    columns: Mapping[str, ArrayLike],
    chunk_s: ArrayLike = (),
    chunk_tokens: ArrayLike = (),
    start: ArrayLike | None = None,
    *,
    closed: bool,
    clients: int | None = None,
) -> Timings:
    """Timings of columns and events; a column that is missing is unknown.

    Parameters
    ----------
    columns : at least ``sent_s`` and ``done``; names and units as in `Timings`. ``first_tokens`` is taken from the
        events where it is missing.
    chunk_s, chunk_tokens, start : events, as in `Timings`; no ``start``: no events.

    Raises
    ------
    BadInput : unknown or missing names, columns of different lengths, events that belong to no request, with the field.

    Examples
    --------
    >>> two = timings_of({"sent_s": [0.0, 1.0], "first_token_s": [0.2, 1.3], "done": [True, True]}, closed=True)
    >>> two.ttft_s.round(3).tolist(), two.spans().tolist()
    ([0.2, 0.3], [[0.0, 1.0]])
    """
    known = {f.name for f in fields(Timings)} - {"closed", "clients", "chunk_s", "chunk_tokens", "start"}
    if wrong := sorted(set(columns) - known):
        raise BadInput(f"no column is called '{wrong[0]}'", field="columns", allowed=", ".join(sorted(known)))
    if missing := [one for one in ("sent_s", "done") if one not in columns]:
        raise BadInput("this column is needed", field=missing[0])
    sent = np.asarray(columns["sent_s"], np.float64)
    n = sent.size
    times = np.asarray(chunk_s, np.float64)
    tokens = np.asarray(chunk_tokens, np.float64)
    begins = np.zeros(n + 1, np.int64) if start is None else np.asarray(start, np.int64)
    if tokens.shape != times.shape:
        raise BadInput(f"{tokens.size} counts for {times.size} events", field="chunk_tokens")
    if begins.shape != (n + 1,) or np.any(np.diff(begins) < 0) or begins[0] != 0 or begins[-1] != times.size:
        raise BadInput(f"events of {n} requests need {n + 1} ascending places from 0 to {times.size}", field="start")
    if np.any(tokens <= 0):
        raise BadInput("an event without tokens is none of these", field="chunk_tokens", allowed="above 0, or NaN")
    filled: dict[str, Any] = {name: np.full(n, np.nan) for name in TIMES + COUNTS}
    filled |= {name: np.full(n, "") for name in TEXTS} | {"segment": np.zeros(n, np.int64)}
    kinds = dict.fromkeys(TEXTS, np.str_) | {"segment": np.int64, "done": np.bool_}
    has = np.diff(begins) > 0
    filled["first_tokens"][has] = tokens[begins[:-1][has]]
    for name, values in columns.items():
        filled[name] = np.asarray(values, kinds.get(name, np.float64))
        if filled[name].shape != (n,):
            raise BadInput(f"{filled[name].shape} values for {n} requests", field=name, allowed=f"({n},)")
    return Timings(**filled, closed=closed, clients=clients, chunk_s=times, chunk_tokens=tokens, start=begins)
