"""A log on disk while it grows: a line that says what is read, then one record per reading.

A kill at any moment leaves a file that can be read; a record that was torn is left out. `tables.py` writes the form for
keeping, which other programs read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from io import FileIO
from itertools import count, pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np

from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.measure.metering.channel import UNITS, Channel, Fault, Semantics, Series
from inferatlas.measure.metering.logs.formats_values import MOST
from inferatlas.measure.metering.logs.log import NUMBERS, Log
from inferatlas.measure.metering.scope import scope_of

MAGIC = "inferatlas power journal"
SCHEMA = 1
ENDING = ".journal"
CLOCK = -1  # as a channel: a pair of clocks, the value is the wall clock's lead in s
RECORD = np.dtype([("channel", "<i2"), ("t_ns", "<i8"), ("value", "<f8"), ("fault", "i1")])
STEP_S = 0.5  # the wall clock moved so far against the monotonic one: it was set


class Journal:
    """A journal to write. ``notes``: what is to be said of the file, in sentences.

    Raises
    ------
    BadInput : the file cannot be written, then or later.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self._file, self._head, self._size = Path(path), None, 0, 0
        self.notes: tuple[str, ...] = ()

    def begin(self, channels: Sequence[Channel], unix_ns: int) -> None:
        """Write the line that says what is read. A file of that name, which a crash may have left, is kept beside."""
        document = {
            "format": MAGIC, "schema_version": SCHEMA, "unix_ns": unix_ns,
            "channels": [asdict(one) | {"scope": one.scope and one.scope.label} for one in channels],
        }  # fmt: skip
        try:
            if (older := _moved_away(self.path)) is not None:
                self.notes = (f"an older journal was there: kept as {older.name}",)
            self._file = self.path.open("w+b", buffering=0)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            self._put(json.dumps(document, allow_nan=False).encode() + b"\n")
        except BadInput:
            self._file.close()
            self._file = None
            if self.path.is_file():  # nothing is in it
                self.path.unlink()
            raise
        self._head = self._size

    def write(self, records: np.ndarray) -> None:
        """Append readings, an array of `RECORD`, and hand them to the operating system."""
        self._put(records.tobytes())

    def clock(self, t_ns: int, lead_ns: int) -> None:
        """Note how far the wall clock is ahead of the monotonic one."""
        self.write(np.array([(CLOCK, t_ns, lead_ns / 1e9, 0)], dtype=RECORD))

    def records(self) -> np.ndarray:
        """What was written, clocks among it; also where the file lost its name meanwhile."""
        parts, at, descriptor = [], self._head, self._open().fileno()
        try:
            while at < self._size and (part := os.pread(descriptor, self._size - at, at)):
                parts.append(part)
                at += len(part)
        except OSError as error:
            raise BadInput(f"cannot be read: {error.strerror}", file=self.path) from None
        return _whole(b"".join(parts))

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _put(self, content: bytes) -> None:
        descriptor, done = self._open().fileno(), 0
        try:
            while done < len(content):  # where the last write failed halfway, this one lies over it
                done += os.pwrite(descriptor, memoryview(content)[done:], self._size + done)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, self._size)
            raise _unwritable(self.path, error) from None
        self._size += done

    def _open(self) -> FileIO:
        if self._file is None:
            raise ValueError("the journal is not open")
        return self._file


def is_journal(path: str | Path) -> bool:
    """Whether a file begins as a journal does."""
    with Path(path).open("rb") as file:
        return MAGIC.encode() in file.read(64)


def read_journal(path: str | Path) -> Log:
    """The log in a journal, also while it is being written.

    Raises
    ------
    BadInput : it cannot be read, or its first line is not a journal's.
    """
    channels, unix_ns, body = _parts(Path(path))
    records = _whole(body)
    leads = records["value"][records["channel"] == CLOCK] * 1e9
    remarks = ("clock_step",) if was_set([unix_ns, *leads.tolist()]) else ()
    notes = ["the last reading was torn, and is left out"] if len(body) % RECORD.itemsize else []
    sound = (
        (records["channel"] >= CLOCK) & (records["channel"] < len(channels)) & np.isin(records["fault"], list(Fault))
    )
    if not sound.all():  # not as they were written: the disk, or another program
        notes.append(f"damaged readings that are left out: {np.count_nonzero(~sound):,}")
    return Log(by_channel(channels, records[sound]), unix_ns, remarks, notes=tuple(notes))


def by_channel(channels: Sequence[Channel], records: np.ndarray) -> tuple[Series, ...]:
    """Records of all channels, each channel's together, in the order in which they were written."""
    order = np.argsort(records["channel"], kind="stable")
    edges = np.searchsorted(records["channel"][order], np.arange(len(channels) + 1))
    parts = (records[order[low:high]] for low, high in pairwise(edges))
    return tuple(
        Series(channel, part["t_ns"].copy(), part["value"].copy(), part["fault"].copy())
        for channel, part in zip(channels, parts, strict=True)
    )


def was_set(leads_ns: Sequence[float]) -> bool:
    """Whether the wall clock was set, from its lead over the monotonic one at several times."""
    return bool(leads_ns) and max(leads_ns) - min(leads_ns) > STEP_S * 1e9


def _parts(path: Path) -> tuple[list[Channel], int, bytes]:
    try:
        with path.open("rb") as file:
            head = file.readline()
            body = file.read()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", file=path) from None
    try:
        document = json.loads(head)
        if document["format"] != MAGIC or document["schema_version"] != SCHEMA:
            raise KeyError("format")
        return [_channel(one) for one in document["channels"]], int(document["unix_ns"]), body
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, InferAtlasError):
        raise BadInput("is not a journal of power readings", allowed=f"schema {SCHEMA}", file=path, line=1) from None


def _moved_away(path: Path) -> Path | None:
    """Where a file that holds anything went, so that its name is free; None where there is none."""
    if not path.is_file() or not path.stat().st_size:
        return None
    older = next(one for n in count(1) if not (one := path.with_name(f"{path.name}.{n}")).exists())
    return path.rename(older)


def _channel(facts: dict[str, Any]) -> Channel:
    """A channel from what the first line says of it."""
    said = {name: value for name, value in facts.items() if value is not None}
    numbers = {name: float(said[name]) for name in NUMBERS if name in said}
    said |= numbers | {"scope": scope_of(facts["scope"])}
    found = Channel(**said)
    texts = found.source, found.device, found.part, found.name
    known = found.semantics in get_args(Semantics) and found.quantity in UNITS
    if not (known and all(isinstance(one, str) for one in texts) and all(0 <= one <= MOST for one in numbers.values())):
        raise ValueError("is not a channel")
    return found


def _whole(body: bytes) -> np.ndarray:
    return np.frombuffer(body[: len(body) // RECORD.itemsize * RECORD.itemsize], dtype=RECORD)


def _unwritable(path: Path, error: OSError) -> BadInput:
    return BadInput(f"cannot be written: {error.strerror}", field="output", file=path)
