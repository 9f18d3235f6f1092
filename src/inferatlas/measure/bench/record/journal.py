"""What a run leaves on the disk while it runs: a line of JSON per request whose fate is known, and per event.

A kill at any moment loses the requests in flight and no others: a line that was torn is cut off when the file is opened
again. Lines are handed to the operating system as they come, and to the disk every second. Times are ns of the
monotonic clock of one process, so that each start of the run is a segment with a pair of clocks of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from inferatlas.errors import BadInput
from inferatlas.measure.bench.client.answer import Answer

NAME = "requests.journal"
MAGIC, SCHEMA = "inferatlas bench journal", 1
FIRST = msgspec.json.encode({"format": MAGIC, "schema_version": SCHEMA}) + b"\n"
SYNC_S = 1.0
AGAIN = frozenset(("interrupted",))  # a run that goes on sends these once more


class Journal:
    """A journal to append to.

    Raises
    ------
    BadInput : the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.trouble: BadInput | None = None
        self._kept: list[bytes] = []  # what the disk refused
        try:
            _cut(self.path)
            self._file = self.path.open("ab", buffering=0)
            if not self._file.tell():
                self._put(FIRST)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self._encode = msgspec.json.Encoder().encode
        self._ended = threading.Event()
        self._syncing = threading.Thread(target=self._sync, name="journal", daemon=True)
        self._syncing.start()

    def segment(self, number: int) -> None:
        """Begin a segment: from now on times are of this process."""
        self._write({"segment": number, "unix_ns": time.time_ns(), "begin_ns": time.monotonic_ns()})

    def event(self, kind: str, detail: str = "", *, at_ns: int | None = None) -> None:
        """Something happened that a reader of the run wants to know."""
        self._write({"event": kind, "t": time.monotonic_ns() if at_ns is None else at_ns, "detail": detail})

    def answer(self, answer: Answer) -> None:
        """A request whose fate is known."""
        stamps = answer.stamps.tolist()
        first = stamps[0] if stamps else None
        self._write(
            {
                "id": answer.number, "status": answer.status, "reason": answer.reason, "detail": answer.detail,
                "due": answer.due_ns, "sent": answer.sent_ns, "connect": answer.connect_ns,
                "byte": answer.first_byte_ns, "said": answer.first_answer_ns, "end": answer.end_ns,
                "first": first, "gaps": [b - a for a, b in pairwise(stamps)], "marks": answer.marks.tolist(),
                "marked": answer.marked, "in": answer.input_tokens, "out": answer.output_tokens,
                "cached": answer.cached_tokens, "finish": answer.finish_reason, "http": answer.http_status,
                "retries": answer.retries, "endpoint": answer.endpoint, "prompt": answer.ask.prompt,
                "ask_in": answer.ask.input_tokens, "ask_out": answer.ask.output_tokens,
                "streamed": answer.streamed, "text": answer.text,
            }
        )  # fmt: skip

    def close(self) -> None:
        """Everything to the disk.

        Raises
        ------
        BadInput : what is not on the disk, because it refused.
        """
        self._ended.set()
        self._syncing.join()
        if self._kept:
            self._retry()
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()
        if self.trouble is not None:
            raise self.trouble

    def _write(self, line: dict[str, Any]) -> None:
        self._put(self._encode(line) + b"\n")

    def _put(self, line: bytes) -> None:
        """Append whole lines only; what a full disk refuses is kept in memory, and tried again every second."""
        if self._kept:
            self._kept.append(line)
            return
        at = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(at)
            self.trouble = _unwritable(self.path, error)
            self._kept.append(line)

    def _retry(self) -> None:
        kept, self._kept = self._kept, []
        self.trouble = None
        for line in kept:
            self._put(line)

    def retry(self) -> None:
        """Try once more to write what the disk refused; for the thread that writes."""
        if self._kept:
            self._retry()

    def _sync(self) -> None:
        while not self._ended.wait(SYNC_S):
            with suppress(OSError, ValueError):
                os.fsync(self._file.fileno())


@dataclass(slots=True)
class State:
    """What a journal knows. ``places``: where the last line of each request begins. ``replies``: texts, if kept."""

    done: set[int] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=dict)
    replies: dict[int, str] = field(default_factory=dict)
    segments: list[tuple[int, int]] = field(default_factory=list)  # (unix_ns, begin_ns)
    segment_of: dict[int, int] = field(default_factory=dict)
    events: list[tuple[int, int, str, str]] = field(default_factory=list)  # segment, ns, kind, detail
    last_ns: list[int] = field(default_factory=list)  # of each segment, the last moment that is known


def read_state(path: Path) -> State:
    """What is known of a run that was begun.

    Raises
    ------
    BadInput : no journal, of another schema, or a line inside it that is damaged.
    """
    state = State()
    interrupted: set[int] = set()
    for place, line in lines(path):
        if "id" in line:
            number, again = line["id"], line["reason"] in AGAIN
            state.places[number] = place
            state.segment_of[number] = len(state.segments) - 1
            if again:
                interrupted.add(number)
                state.done.discard(number)
            elif line["reason"] != "previous_failed" or number not in interrupted:
                state.done.add(number)
            if line["text"] is not None:
                state.replies[number] = line["text"]
            state.last_ns[-1] = max(state.last_ns[-1], line["end"])
        elif "segment" in line:
            state.segments.append((line["unix_ns"], line["begin_ns"]))
            state.last_ns.append(line["begin_ns"])
        else:
            state.events.append((len(state.segments) - 1, line["t"], line["event"], line["detail"]))
            state.last_ns[-1] = max(state.last_ns[-1], line["t"])
    return state


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines after the first, each with where it begins; one at the end that was torn is left out."""
    try:
        with path.open("rb") as file:
            place = len(head := file.readline())
            if not head.endswith(b"\n") and FIRST.startswith(head):
                return  # killed as the file was begun
            _check_head(head, path)
            for number, line in enumerate(file, start=2):
                if not line.endswith(b"\n"):
                    return
                yield place, _parsed(line, path, number)
                place += len(line)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="journal", file=path) from None


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line)
        if isinstance(found, dict) and ("id" in found or "segment" in found or "event" in found):
            return found
    except msgspec.MsgspecError:
        pass
    raise BadInput("is damaged", field="journal", allowed="the lines as they were written", file=path, line=number)


def _check_head(head: bytes, path: Path) -> None:
    try:
        found = msgspec.json.decode(head)
        known = found["format"] == MAGIC and found["schema_version"] == SCHEMA
    except (msgspec.MsgspecError, KeyError, TypeError):
        known = False
    if not known:
        raise BadInput("is no journal of a run", field="journal", allowed=f"schema {SCHEMA}", file=path, line=1)


def _cut(path: Path) -> None:
    """Cut off a last line that was torn."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        at = size
        while at > 0:
            step = min(65536, at)
            file.seek(at - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                at = at - step + found + 1
                break
            at -= step
        if at < size:
            file.truncate(at)


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"cannot be written: {error.strerror}", field="output", file=path)
