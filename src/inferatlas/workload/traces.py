"""Request traces: when requests of a real service came, and how long they were.

In: a file of one of the formats in `trace_formats.py`. Out: a `Trace` (arrays, one value per request, ascending in
time) and what follows from it: rate, variation of the intervals, requests in flight, a `Workload`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains
from inferatlas.workload.rounded import spread, step_of
from inferatlas.workload.trace_formats import ENOUGH, FormatName, open_trace
from inferatlas.workload.trace_rows import read_rows
from inferatlas.workload.workload import Workload

_NS_2024 = 1_704_067_200 * 10**9  # 2024-01-01 in nanoseconds since 1970


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Requests in order of arrival, n of them (2 or more).

    Parameters
    ----------
    name : of the file, without its folder.
    arrival_s : shape (n,), seconds from the first arrival, ascending; the last is above 0.
    input_tokens, output_tokens : shape (n,), at least 1, in tokens of the service's own tokenizer.
    models : distinct names of the models that requests asked for; empty where the file does not say.
    model_index : shape (n,), which of `models` each request asked for; None where the file does not say.
    notes : what was left out or assumed on reading.
    format : of the file.
    step_s : seconds of the steps in which arrivals were recorded, None where they are times.
    lines : shape (n,), the line of the file that each request stands in, from 1; None for a trace from elsewhere.
    chains : what prompts share (`hash_ids` of Mooncake's format); None where the file does not say.

    Raises
    ------
    BadInput : arrays that break these rules.

    Examples
    --------
    >>> trace = Trace("two minutes", np.array([0.0, 30.0, 120.0]), np.array([500, 700, 600]), np.array([9, 1, 5]))
    >>> len(trace), trace.span_s, trace.rate * 60
    (3, 120.0, 1.0)
    """

    name: str
    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    models: tuple[str, ...] = ()
    model_index: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    format: FormatName = "generic"
    step_s: float | None = None
    lines: NDArray[np.int64] | None = None
    chains: Chains | None = None

    def __post_init__(self) -> None:
        arrays = [self.arrival_s, self.input_tokens, self.output_tokens]
        arrays += [values for values in (self.model_index, self.lines) if values is not None]
        chained = self.chains is None or len(self.chains) == len(self.arrival_s)
        if not chained or any(values.shape != (len(self.arrival_s),) for values in arrays):
            raise BadInput("columns differ in length", field="trace", allowed="one value per request in each")
        times = self.arrival_s
        # "not (... and ...)" refuses NaN as well
        if not (len(times) > 1 and times[0] == 0 and np.all(np.diff(times) >= 0) and 0 < times[-1] < np.inf):
            raise BadInput("not arrival times", field="arrival_s", allowed=f"ascending from 0, {ENOUGH}")
        for field in ("input_tokens", "output_tokens"):
            if getattr(self, field).min() < 1:
                raise BadInput("a length below one token", field=field, allowed="1 or more")

    def __len__(self) -> int:
        return len(self.arrival_s)

    def __getitem__(self, kept: NDArray[np.bool_]) -> Trace:
        """The requests of a mask; their times count from the first of them.

        Raises
        ------
        BadInput : fewer than two, or all at one instant.
        """
        rows = np.flatnonzero(kept)
        times = self.arrival_s[rows]
        return replace(
            self,
            arrival_s=times - times[:1],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            model_index=None if self.model_index is None else self.model_index[rows],
            lines=None if self.lines is None else self.lines[rows],
            chains=None if self.chains is None else self.chains.take(rows),
        )

    @property
    def apart_s(self) -> NDArray[np.float64]:
        """Arrivals for what needs the intervals between them: those recorded in one step are spread evenly over it."""
        return self.arrival_s if self.step_s is None else spread(self.arrival_s, self.step_s)

    @property
    def span_s(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.arrival_s[-1])

    @property
    def rate(self) -> float:
        """Requests per second: (n - 1)/span, one over the mean interval.

        There are n - 1 intervals between n arrivals, and their mean estimates that of the process without bias;
        n/span would count one interval more than was observed.
        """
        return (len(self) - 1) / self.span_s


def read_trace(path: str | Path, *, longest: int | None = None) -> Trace:
    """Read a request trace; the format is recognised by its columns (`trace_formats.KNOWN`).

    Rows with 0 output tokens are failed requests and left out, with a note. Rows need not be in order of time.

    Parameters
    ----------
    longest : most tokens of a request, input and output (the context of a model): longer ones are left out, with a
        note. None: all are kept.

    Raises
    ------
    BadInput : with file, line and column: an unreadable file, an unknown format, a missing column, a value that is
        no length or no arrival time, fewer than two requests, all requests at one instant.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.csv"
    ...     _ = path.write_text("arrival_s,isl,osl\\n10,512,64\\n12.5,1024,0\\n14,2048,32\\n")
    ...     trace = read_trace(path)
    >>> trace.arrival_s.tolist(), trace.input_tokens.tolist(), trace.notes
    ([0.0, 4.0], [512, 2048], ('left out: 1 of 3 rows with 0 output tokens, the first in line 3',))
    """
    path = Path(path)
    columns, records = open_trace(path)
    rows = read_rows(columns, records, path, longest)
    ticks, notes = rows.ticks, [*columns.notes, *rows.notes]
    # the same columns in both years; only the dates tell them apart
    is_2024 = columns.format.name == "azure-2023" and ticks.min() >= _NS_2024
    in_order = bool(np.all(ticks[1:] >= ticks[:-1]))
    if not in_order:
        notes.append("rows were not in order of arrival: sorted")
    order = np.argsort(ticks, kind="stable")
    ticks = ticks[order]
    # the first arrival is subtracted while stamps are whole: seconds since 1970 as floats are 0.2 µs apart
    arrival_s = (ticks - ticks[0]) / columns.clock.ticks_per_s
    at_once = int(np.count_nonzero(ticks[1:] == ticks[:-1]))
    step_s = step_of(arrival_s)
    if step_s is not None:
        notes.append(
            f"arrivals are recorded in steps of {step_s:.3g} s: those of one step are spread evenly over it, for the "
            "variation of intervals and for requests under way; what varies inside a step does not show"
        )
    elif 2 * at_once > len(ticks):
        notes.append(
            f"{at_once:,} of {len(ticks):,} requests arrive at the time of the one before: times look rounded, "
            "and their variation is that of the rounding"
        )
    return Trace(
        name=path.name,
        arrival_s=arrival_s,
        input_tokens=rows.input_tokens[order],
        output_tokens=rows.output_tokens[order],
        models=rows.models,
        model_index=rows.model_index[order] if rows.models else None,
        notes=tuple(notes),
        format="azure-2024" if is_2024 else columns.format.name,
        step_s=step_s,
        lines=rows.lines[order],
        chains=rows.chains if rows.chains is None or in_order else rows.chains.take(order),
    )


def interarrival_cv(trace: Trace) -> float:
    """Coefficient of variation of the intervals between arrivals: about 1 for a Poisson process, more for bursts.

    Arrivals recorded in steps are spread over them (`Trace.apart_s`), which is the least that they can vary.

    Examples
    --------
    >>> ones = np.ones(4, np.int64)
    >>> interarrival_cv(Trace("a clock", np.array([0.0, 1.0, 2.0, 3.0]), ones, ones))
    0.0
    >>> round(interarrival_cv(Trace("pairs", np.array([0.0, 0.0, 10.0, 10.0]), ones, ones)), 3)
    1.414
    """
    return _cv(np.diff(trace.apart_s))


def in_flight(trace: Trace, ttft_s: float, itl_s: float) -> NDArray[np.float64]:
    """Requests under way when each request arrives, if each takes ttft_s + (output tokens - 1)·itl_s.

    The latency is that of the definition of ITL, the same for every load: what a deployment that holds its targets
    would have in flight. A request is under way from its arrival until just before its end; it counts itself, and
    those that arrive at the same time count each other (not those recorded in one step, `Trace.apart_s`). For Poisson
    arrivals the mean of what a request finds, itself not included, is rate·latency (Little's law, and that Poisson
    arrivals see time averages).

    Parameters
    ----------
    ttft_s : seconds to the first token, above 0.
    itl_s : seconds per output token after the first, 0 or more.

    Returns
    -------
    shape (n,), whole numbers of at least 1.

    Raises
    ------
    BadInput : a time out of these ranges.

    Examples
    --------
    >>> ones = np.ones(3, np.int64)
    >>> in_flight(Trace("three", np.array([0.0, 1.0, 2.5]), ones, np.array([11, 1, 1])), ttft_s=1.0, itl_s=0.1)
    array([1., 2., 1.])
    """
    for field, value, allowed in (("ttft_s", ttft_s, "above 0"), ("itl_s", itl_s, "0 or more")):
        if not (0 < value < np.inf or (value == 0 and field == "itl_s")):
            raise BadInput(f"{value!r} seconds", field=field, allowed=f"a number {allowed}")
    arrival = trace.apart_s
    end = arrival + ttft_s + (trace.output_tokens - 1) * itl_s
    # a latency too short for the resolution of a float would end before the request counts itself
    end = np.sort(np.maximum(end, np.nextafter(arrival, np.inf)))
    arrived = np.searchsorted(arrival, arrival, side="right")
    ended = np.searchsorted(end, arrival, side="right")
    return (arrived - ended).astype(np.float64)


def trace_workload(trace: Trace) -> Workload:
    """The trace as a workload: mean lengths with their variation, and its rate, taken as Poisson arrivals.

    Examples
    --------
    >>> trace = Trace("mine.csv", np.array([0.0, 1.0, 4.0]), np.array([100, 200, 300]), np.array([8, 8, 8]))
    >>> workload = trace_workload(trace)
    >>> workload.input_tokens, workload.output_tokens, workload.output_cv, workload.request_rate
    (200.0, 8.0, 0.0, 0.5)
    >>> workload.source
    'trace mine.csv: 3 requests in 4 s'
    """
    cv = f"{'' if trace.step_s is None else 'at least '}{interarrival_cv(trace):.3g}"
    return Workload(
        name=trace.name,
        input_tokens=float(trace.input_tokens.mean()),
        output_tokens=float(trace.output_tokens.mean()),
        input_cv=_cv(trace.input_tokens),
        output_cv=_cv(trace.output_tokens),
        request_rate=trace.rate,
        source=f"trace {trace.name}: {len(trace):,} requests in {trace.span_s:,.6g} s",
        note="; ".join((*trace.notes, f"intervals vary by a CV of {cv}, where Poisson arrivals have 1")),
    )


def _cv(values: NDArray[Any]) -> float:
    return float(values.std() / values.mean())
