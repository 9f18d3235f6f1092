"""The Trace Event Format, as JSON: what traces of simulated and of measured runs share.

Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, which Perfetto
(ui.perfetto.dev) and chrome://tracing open. Times are microseconds from the start of the run.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from inferatlas.errors import BadInput

REQUESTS = 1  # the process of the requests; endpoint or replica r is process r + 2
MICRO = 1e6
Event = dict[str, Any]


def metadata(kind: str, process: int, **args: Any) -> Event:
    """A name or a place of a process or thread."""
    return {"ph": "M", "name": kind, "pid": process, "tid": 0, "args": args}


def counter(name: str, process: int, at: float, **args: float) -> Event:
    """Values from a moment on (µs), each by its unit or kind."""
    return {"ph": "C", "name": name, "pid": process, "ts": at, "args": args}


def write_events(events: Iterable[Event], document: Mapping[str, Any], path: str | Path) -> int:
    """Write a trace, compressed where the name ends in ``.gz``; returns the number of events.

    Parameters
    ----------
    document : `run.json` of the run, of which the trace says what it is.

    Raises
    ------
    BadInput : the disk refuses.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "wt", encoding="utf-8", compresslevel=6) as stream:
                return _write(events, stream, document)
        with path.open("w", encoding="utf-8") as stream:
            return _write(events, stream, document)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", field="output", file=path) from None


def _write(events: Iterable[Event], stream: IO[str], document: Mapping[str, Any]) -> int:
    """One event a line, as they come: the trace is never in memory."""
    encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
    stream.write('{"traceEvents":[\n')
    count = 0
    for event in events:
        stream.write(("," if count else "") + encode(event) + "\n")
        count += 1
    told = {name: document.get(name) for name in ("kind", "label", "command", "models", "seed")}
    stream.write(f'],"displayTimeUnit":"ms","otherData":{encode({k: str(v) for k, v in told.items()})}}}\n')
    return count


__all__ = ["MICRO", "REQUESTS", "Event", "counter", "metadata", "write_events"]
