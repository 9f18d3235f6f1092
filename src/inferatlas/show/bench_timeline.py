"""A measured run as events of a trace (`timeline.py`): what its client saw, on its clock.

One process holds the requests (each with its phases, its first token an instant), requests in flight, tokens per
second and power; one per endpoint holds what its engine published of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.finding import Record
from inferatlas.measure.bench.record.overtime import over_time, steady_spans
from inferatlas.show.trace_events import MICRO, REQUESTS, Event, counter, metadata

if TYPE_CHECKING:
    import polars as pl

PHASES = (
    ("before sending", "due_s", "sent_s"), ("waiting", "sent_s", "first_token_s"),
    ("tokens", "first_token_s", "finish_s"),
)  # fmt: skip
TOLD = (
    "input_tokens", "output_tokens", "cached_tokens", "replica", "conversation", "turn", "segment", "status", "reason",
    "detail", "finish_reason",
)  # fmt: skip
ENGINE = {"running": "requests", "waiting": "requests", "kv_used_fraction": "share"}  # columns of server.parquet
ACCOUNT = "client"  # event with the account of the client, which `run.json` has


def measured_events(record: Record) -> Iterator[Event]:
    """The events of a trace of a measured run.

    Raises
    ------
    BadInput : a table that cannot be read, with its file; requests were not kept.
    """
    requests = _table(record, "requests")
    if requests is None:
        raise BadInput(
            "its requests were not kept", field="record", allowed="a run with requests.parquet", file=record.path
        )
    yield metadata("process_name", REQUESTS, name="requests")
    yield metadata("process_sort_index", REQUESTS, sort_index=0)
    yield from _marks(record)
    yield from _in_flight(requests)
    yield from _tokens(record)
    yield from _power(record)
    yield from _engines(record)
    yield from _requests(requests)


def _table(record: Record, name: str) -> pl.DataFrame | None:
    """A table of the record without its lists; None where there is none."""
    import polars as pl

    file = record.path / f"{name}.parquet"
    if not file.is_file():
        return None
    try:
        lazy = pl.scan_parquet(file)
        return lazy.select(one for one, kind in lazy.collect_schema().items() if kind.base_type() != pl.List).collect()
    except (pl.exceptions.PolarsError, OSError):
        raise BadInput("cannot be read as Parquet", field="record", file=file) from None


def _at(seconds: float) -> float:
    return round(seconds * MICRO, 3)


def _marks(record: Record) -> Iterator[Event]:
    """The steady window as a slice, what happened as instants."""
    yield metadata("thread_name", REQUESTS, name="run") | {"tid": 1}
    for low, high in steady_spans(record.document):
        yield {
            "ph": "X", "name": "steady window", "cat": "run", "pid": REQUESTS, "tid": 1, "ts": _at(low),
            "dur": _at(high - low), "args": {},
        }  # fmt: skip
    events = _table(record, "events")
    if events is None:
        return
    for time, kind, detail in events.drop_nulls("time_s").select("time_s", "kind", "detail").iter_rows():
        if kind != ACCOUNT:
            yield {
                "ph": "i", "name": kind, "cat": "run", "pid": REQUESTS, "tid": 1, "ts": _at(time), "s": "p",
                "args": {"detail": detail},
            }  # fmt: skip


def _in_flight(requests: pl.DataFrame) -> Iterator[Event]:
    """Requests in flight, at every change."""
    table = requests.drop_nulls("sent_s").drop_nulls("end_s")
    times = np.concatenate([table["sent_s"].to_numpy(), table["end_s"].to_numpy()])
    steps = np.repeat([1, -1], table.height)
    order = np.lexsort((steps, times))  # of one moment the ends first
    for time, count in zip(times[order].tolist(), np.cumsum(steps[order]).tolist(), strict=True):
        yield counter("in flight", REQUESTS, _at(time), requests=count)


def _tokens(record: Record) -> Iterator[Event]:
    found = over_time(record.path, record.document)
    if found is None:
        return
    rates = found.output_tokens_per_s
    for (begin, _), rate in zip(pairwise(found.edges_s.tolist()), rates.tolist(), strict=True):
        if np.isfinite(rate):
            yield counter("output tokens/s", REQUESTS, _at(begin), tokens=round(rate, 3))


def _power(record: Record) -> Iterator[Event]:
    """Every reading of every device since the start: a trace has no time before 0."""
    import polars as pl

    table = _table(record, "power")
    if table is None:
        return
    which = [one for one in ("device", "scope", "part") if one in table.columns]
    known = table.drop_nulls(["time_s", "power_w"]).filter(pl.col("time_s") >= 0).select("time_s", "power_w", *which)
    for time, watts, *told in known.iter_rows():
        name = ", ".join(one for one in told if one)
        yield counter(f"power ({name})", REQUESTS, _at(time), W=round(watts, 3))


def _engines(record: Record) -> Iterator[Event]:
    """What each engine published, as it was read."""
    import polars as pl

    table = _table(record, "server")
    if table is None:
        return
    addresses = record.document.get("endpoints") or []
    for replica in table["replica"].unique().sort().drop_nulls().to_list():
        name = f"engine at {addresses[replica]}" if replica < len(addresses) else f"engine {replica}"
        yield metadata("process_name", replica + 2, name=name)
        yield metadata("process_sort_index", replica + 2, sort_index=replica + 1)
    columns = [one for one in ENGINE if one in table.columns]
    known = table.drop_nulls(["time_s", "replica"]).filter(pl.col("time_s") >= 0).select("time_s", "replica", *columns)
    for time, replica, *values in known.iter_rows():
        for column, value in zip(columns, values, strict=True):
            if value is not None:
                yield counter(column.replace("_", " "), replica + 2, _at(time), **{ENGINE[column]: value})


def _requests(requests: pl.DataFrame) -> Iterator[Event]:
    """Each request as nested asynchronous slices with the instant of its first token."""
    told = [one for one in TOLD if one in requests.columns]
    moments = ("due_s", "sent_s", "first_token_s", "finish_s", "end_s")
    for number, *values in requests.select("id", *moments, *told).iter_rows():
        at: dict[str, float | None] = dict(zip(moments, values[: len(moments)], strict=True))
        begin, end = at["sent_s"] if at["due_s"] is None else at["due_s"], at["end_s"]
        if begin is None:
            continue
        known = {name: one for name, one in zip(told, values[len(moments) :], strict=True) if one is not None}
        head: dict[str, Any] = {"cat": "request", "id": hex(number), "pid": REQUESTS, "tid": 0}
        yield {"ph": "b", "name": "request", "ts": _at(begin), "args": {"id": number, **known}, **head}
        for phase, first, last in PHASES:
            start = at[first]
            if start is None:
                continue
            until = end if at[last] is None else at[last]
            yield {"ph": "b", "name": phase, "ts": _at(start), **head}
            if phase == PHASES[-1][0]:
                yield {"ph": "n", "name": "first token", "ts": _at(start), **head}
            if until is not None:
                yield {"ph": "e", "name": phase, "ts": _at(max(until, start)), **head}
            if at[last] is None:
                break
        if end is not None:
            yield {"ph": "e", "name": "request", "ts": _at(max(end, begin)), **head}


__all__ = ["measured_events"]
