"""The tables of a record, made of its journal: requests and events, in seconds since the run began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.chunks import spread
from inferatlas.measure.bench.record.columns import schema
from inferatlas.measure.bench.record.journal import NAME, State, read_state

STRETCH_TOKENS = 50_000  # held in memory at once
ROWS = 512  # of a row group: one of the usual size would hold millions of tokens in memory
UNFINISHED = ".tmp"


class Counter(Protocol):
    """Counts the tokens of texts, see `prompts.counting`."""

    def count(self, texts: Sequence[str]) -> Sequence[int]: ...


class Clock:
    """From ns of a segment to seconds since the run began.

    Segments lie apart as the wall clock has it, and never before the end of the one before.
    """

    def __init__(self, state: State) -> None:
        self._offset_ns: list[int] = []
        self._bounds_s: list[tuple[float, float]] = []
        end = 0
        for (unix_ns, begin_ns), last_ns in zip(state.segments, state.last_ns, strict=True):
            start = max(unix_ns - state.segments[0][0], end)
            self._offset_ns.append(start - begin_ns)
            end = last_ns - begin_ns + start
            self._bounds_s.append((start / 1e9, end / 1e9))

    def s(self, t_ns: int | None, segment: int) -> float | None:
        return None if t_ns is None else (t_ns + self._offset_ns[segment]) / 1e9

    def ns(self, s: float, segment: int) -> int:
        return round(s * 1e9) - self._offset_ns[segment]

    def bounds_s(self, segment: int) -> tuple[float, float]:
        """When a segment began and when the last thing in it happened."""
        return self._bounds_s[segment]

    def all_s(self, t_ns: NDArray[np.int64] | Sequence[int], segment: int) -> NDArray[np.float64]:
        return (np.asarray(t_ns, np.int64) + self._offset_ns[segment]) / 1e9


def write_tables(
    folder: Path,
    *,
    open_loop: bool,
    conversations: Sequence[tuple[int, int]] | None = None,
    model: str | None = None,
    counter: Counter | None = None,
) -> State:
    """Make requests.parquet and events.parquet of the journal of a run.

    Parameters
    ----------
    open_loop : latency counts from when a request was due. conversations : of each request its conversation and turn.
    model : that was asked for. counter : counts the tokens of answers whose server did not.

    Raises
    ------
    BadInput : no journal, or one that is damaged; a disk that is full.
    """
    import polars as pl

    state = read_state(folder / NAME)
    clock = Clock(state)
    kinds = schema()
    parts: list[Path] = []
    target = folder / f"requests.parquet{UNFINISHED}"
    try:
        for number, rows in enumerate(_stretches(folder / NAME, state)):
            table = [_row(line, state, clock, open_loop, conversations, model, counter) for line in rows]
            columns = zip(kinds.items(), zip(*table, strict=True), strict=True)
            part = folder / f"requests.parquet{UNFINISHED}{number}"
            parts.append(part)
            frame = pl.DataFrame([pl.Series(name, values, dtype=kind) for (name, kind), values in columns])
            frame.cast(kinds).write_ipc(part, compression="lz4")  # lists of one length came as arrays
        frame = pl.scan_ipc(parts) if parts else pl.LazyFrame(schema=kinds)
        frame.sink_parquet(target, compression="zstd", row_group_size=ROWS)
        target.replace(folder / "requests.parquet")
        _write_events(folder, state, clock)
    except OSError as error:
        why = error.strerror or error  # Polars tells no number
        raise BadInput(f"cannot be written: {why}", field="output", file=folder) from None
    finally:
        for part in (*parts, target):  # what is half written would keep a disk full
            part.unlink(missing_ok=True)
    return state


def _write_events(folder: Path, state: State, clock: Clock) -> None:
    import polars as pl

    rows = [
        (clock.s(begin_ns, number), "segment", f"start {number + 1} of the run")
        for number, (_, begin_ns) in enumerate(state.segments)
    ]
    rows += [(clock.s(t_ns, segment), kind, detail) for segment, t_ns, kind, detail in state.events]
    kinds: Any = {"time_s": pl.Float64, "kind": pl.String, "detail": pl.String}
    target = folder / f"events.parquet{UNFINISHED}"
    pl.DataFrame(sorted(rows, key=lambda row: row[0] or 0.0), schema=kinds, orient="row").write_parquet(target)
    target.replace(folder / "events.parquet")


def _stretches(path: Path, state: State) -> Iterator[list[dict[str, Any]]]:
    """The last line of every request, in their order, some at a time."""
    rows: list[dict[str, Any]] = []
    tokens = 0
    with path.open("rb") as file:
        for number in sorted(state.places):
            file.seek(state.places[number])
            line = msgspec.json.decode(file.readline())
            rows.append(line)
            tokens += max(line["out"] or 0, len(line["marks"])) + 50
            if tokens > STRETCH_TOKENS:
                yield rows
                rows, tokens = [], 0
    if rows:
        yield rows


def _row(
    line: dict[str, Any],
    state: State,
    clock: Clock,
    open_loop: bool,
    conversations: Sequence[tuple[int, int]] | None,
    model: str | None,
    counter: Counter | None,
) -> tuple[Any, ...]:
    """One row of requests.parquet, in the order of `COLUMNS`."""
    number = line["id"]
    segment = state.segment_of[number]
    gaps, marks = line["gaps"], line["marks"]
    stamps = list(accumulate(gaps, initial=line["first"])) if marks else []
    done = line["status"] == "done"
    tokens, source = line["out"], "usage" if line["out"] is not None else None
    if tokens is None and done and counter is not None and line["text"]:
        tokens, source = counter.count([line["text"]])[0], "tokenizer"
    each, known_by = spread(marks, tokens, line["marked"])
    sent, due = line["sent"], line["due"] if open_loop else None
    begin = due if open_loop else sent

    def after(t_ns: int | None, start: int | None) -> float | None:
        return None if t_ns is None or start is None else (t_ns - start) / 1e9

    first, last = (stamps[0], stamps[-1]) if stamps else (None, None)
    whole = last if done else None
    itl = None
    if done and each and tokens is not None and first is not None and last is not None and tokens > each[0]:
        itl = (last - first) / (tokens - each[0]) / 1e9
    token_s = clock.all_s(stamps, segment)
    if each is not None:
        token_s = np.repeat(token_s, each)
    conversation, turn = conversations[number] if conversations is not None else (None, None)
    return (
        number, clock.s(due, segment), clock.s(sent, segment),
        None if line["connect"] is None else line["connect"] / 1e9,
        clock.s(line["byte"], segment), clock.s(first, segment), clock.s(line["said"], segment),
        clock.s(whole, segment), clock.s(line["end"], segment), None if done else clock.s(line["end"], segment),
        after(first, begin), after(first, sent), after(line["said"], begin),
        after(whole, begin), after(whole, sent), itl, after(sent, due),
        line["ask_in"], line["in"], line["ask_out"], tokens, source, line["cached"], len(marks), None,
        line["retries"], line["endpoint"], model, None, line["status"], line["reason"], line["detail"], line["http"],
        line["finish"], conversation, turn, line["prompt"], segment, line["streamed"], token_s, each, known_by,
    )  # fmt: skip
