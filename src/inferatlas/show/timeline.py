"""A run record as a trace for Perfetto (ui.perfetto.dev) or chrome://tracing; of measured runs: `bench_timeline`.

One process per replica with its steps and counters, one for the requests: each has its phases, one after the other.
Times are microseconds from the start of the run. Requests are on the engine's clock; what passes before its scheduler
sees them is the phase ``arrival``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from inferatlas.measure.bench.record.finding import read_run
from inferatlas.show.bench_timeline import measured_events
from inferatlas.show.trace_events import MICRO, REQUESTS, Event, counter, metadata, write_events
from inferatlas.simulate.recorded import Record, read_record

PHASES = (
    ("arrival", "sent_s", "arrival_s"),
    ("queue", "arrival_s", "admitted_s"),
    ("prefill", "admitted_s", "first_token_s"),
    ("decode", "first_token_s", "finish_s"),
)


def trace_events(record: Record) -> Iterator[Event]:
    """The events of a trace: names of tracks, steps, counters, requests."""
    yield from _names(record)
    yield from _steps(record)
    yield from _power(record)
    yield from _requests(record)


def write_trace(record: Record, path: str | Path) -> int:
    """Write a record as a trace, compressed where the name ends in ``.gz``; returns the number of events.

    Raises
    ------
    BadInput : the disk refuses.
    """
    return write_events(trace_events(record), record.document, path)


def write_run(folder: str | Path, path: str | Path) -> int:
    """The same of a folder, whether the run in it was simulated or measured.

    Raises
    ------
    BadInput : no record, one that is unfinished or damaged; the disk refuses.
    """
    found = read_run(folder, field="record")
    if found.document["kind"] == "measured":
        return write_events(measured_events(found), found.document, path)
    return write_trace(read_record(found.path), path)


def _names(record: Record) -> Iterator[Event]:
    pools = [one["name"] for one in record.document["hardware"]["pools"]]
    yield metadata("process_name", REQUESTS, name="requests")
    yield metadata("process_sort_index", REQUESTS, sort_index=0)
    events = record.events
    for replica in np.unique(events["replica"]).tolist():
        pool = pools[int(events["pool"][events["replica"] == replica][0])]
        yield metadata("process_name", replica + 2, name=f"replica {replica} ({pool})")
        yield metadata("process_sort_index", replica + 2, sort_index=replica + 1)
        yield metadata("thread_name", replica + 2, name="steps") | {"tid": 1}


def _steps(record: Record) -> Iterator[Event]:
    """Runs of equal steps as slices, and what the replica holds as counters that fall to nothing where it is idle."""
    columns = record.events
    if not columns["start_s"].size:
        return
    order = np.lexsort((columns["start_s"], columns["replica"]))
    names = ("start_s", "end_s", "replica", "batch", "steps", "prompts", "prompt_tokens", "blocks", "waiting", "joules")
    rows = zip(*(columns[name][order].tolist() for name in names), strict=True)
    last_end, last_process = -1.0, 0
    for start, end, replica, batch, steps, prompts, tokens, blocks, waiting, joules in rows:
        process, at = replica + 2, round(start * MICRO, 3)
        if last_process and (process != last_process or start - last_end > 1e-9):
            yield from _counters(last_process, round(last_end * MICRO, 3), 0, 0, 0, 0)
        name = "decode" if not prompts else "prefill" if not batch else "mixed"
        yield {
            "ph": "X", "name": name, "cat": "step", "pid": process, "tid": 1, "ts": at,
            "dur": round((end - start) * MICRO, 3),
            "args": {"steps": steps, "batch": batch, "prompts": prompts, "prompt_tokens": tokens,
                     **({} if math.isnan(joules) else {"joules": joules})},
        }  # fmt: skip
        yield from _counters(process, at, batch, prompts, waiting, blocks)
        last_end, last_process = end, process
    yield from _counters(last_process, round(last_end * MICRO, 3), 0, 0, 0, 0)


def _counters(process: int, at: float, batch: int, prompts: int, waiting: int, blocks: int) -> Iterator[Event]:
    yield counter("running", process, at, decode=batch, prefill=prompts)
    yield counter("waiting", process, at, requests=waiting)
    yield counter("KV cache", process, at, blocks=blocks)


def _power(record: Record) -> Iterator[Event]:
    """Power of each pool, where it is known."""
    power = record.power
    if not power:
        return
    known = np.isfinite(power["power_w"])
    for time, device, watts in zip(
        *(power[name][known].tolist() for name in ("time_s", "device", "power_w")), strict=True
    ):
        yield counter(f"power ({device})", REQUESTS, round(time * MICRO, 3), W=round(watts, 3))


def _requests(record: Record) -> Iterator[Event]:
    """Each request as nested asynchronous slices: all of it, and its phases; what has not ended has no end."""
    q = record.requests
    network = record.document["clocks"].get("network_s", 0.0)
    times = {
        name: q[name] - (network if name in {"first_token_s", "finish_s"} else 0.0)
        for _, *ends in PHASES
        for name in ends
    }
    over = np.where(np.isfinite(times["finish_s"]), times["finish_s"], q["failed_s"])
    moments = np.round(np.stack([times["sent_s"], *(times[end] for _, _, end in PHASES), over]) * MICRO, 3).T.tolist()
    told = ("input_tokens", "output_tokens", "cached_tokens", "preemptions", "replica", "model", "status")
    args = zip(*(q[name].tolist() for name in told), strict=True)
    for number, at, values in zip(q["id"].tolist(), moments, args, strict=True):
        *moments_of, end = (None if math.isnan(one) else one for one in at)
        if moments_of[0] is None:
            continue
        head = {"cat": "request", "id": hex(number), "pid": REQUESTS, "tid": 0}
        known = {"id": number, **dict(zip(told, values, strict=True))}
        yield {"ph": "b", "name": "request", "ts": moments_of[0], "args": known, **head}
        for (phase, _, _), begin, finish in zip(PHASES, moments_of[:-1], moments_of[1:], strict=True):
            if begin is None:
                break
            until = end if finish is None else finish
            yield {"ph": "b", "name": phase, "ts": begin, **head}
            if until is not None:
                yield {"ph": "e", "name": phase, "ts": max(until, begin), **head}
            if finish is None:
                break
        if end is not None:
            yield {"ph": "e", "name": "request", "ts": end, **head}


__all__ = ["trace_events", "write_run", "write_trace"]
