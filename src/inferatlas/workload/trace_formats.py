"""Files of request traces: which format it is, where the columns are, what each value means, which line is wrong.

In: a CSV or JSON Lines file. Out: its `FileColumns` and the rows one by one, of which `traces.py` makes a `Trace`.
A format is recognised by its columns (or keys), never by the name of the file. The published formats are those of
https://github.com/Azure/AzurePublicDataset, https://github.com/kvcache-ai/Mooncake and
https://github.com/HPMLL/BurstGPT.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from inferatlas.errors import BadInput
from inferatlas.workload.workload import MOST_TOKENS, shown

FormatName = Literal["azure-2023", "azure-2024", "mooncake", "burstgpt", "generic"]
ClockKind = Literal["stamps", "seconds", "milliseconds", "seconds or stamps"]
Record = tuple[int, Any]  # line, and a row (list) or an object (dict)

LAST_SECOND = 10**11  # seconds since 1970 are below 1e10 until the year 2286; milliseconds are above 1e12
LAST_DAY = 84_006  # 2200-01-01 in days since 1970; nanoseconds in 64 bits end in 2262
ENOUGH = "two requests or more, at different times"
_HUGE = 1e15
# Files that hold a trace and are not text, by their first bytes: what they are, and what to do
NOT_TEXT = {
    b"\x1f\x8b": ("is compressed with gzip", "decompress it first: gunzip --keep FILE"),
    b"\x28\xb5\x2f\xfd": ("is compressed with Zstandard", "decompress it first: zstd --decompress FILE"),
    b"PK\x03\x04": ("is a ZIP archive", "unpack it first: unzip FILE"),
    b"PAR1": ("is a Parquet file", "convert it to CSV first, for example with polars or DuckDB"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[-+]\d\d:?\d\d)?", re.ASCII)
ALLOWED = {
    "seconds": "seconds as a number, 0 or more",
    "milliseconds": "milliseconds as a number, 0 or more",
    "stamps": "ISO 8601 from 1970 to 2199, for example 2023-11-16 18:17:03.9799600 or 2024-05-10T00:00:00Z",
    "seconds or stamps": "seconds as a number, 0 or more, or ISO 8601 as in 2024-05-10T00:00:00Z",
    "tokens": f"a whole number of tokens, 0 to {MOST_TOKENS:,}",
    "model": "a name in every row, or no such column",
}


@dataclass(frozen=True, slots=True)
class Format:
    """Names of columns by which a format is known, in lower case and the preferred one first."""

    name: FormatName
    title: str
    arrival: tuple[str, ...]
    input_tokens: tuple[str, ...]
    output_tokens: tuple[str, ...]
    clock: ClockKind

    @property
    def columns(self) -> tuple[tuple[str, ...], ...]:
        return self.arrival, self.input_tokens, self.output_tokens

    def text(self) -> str:
        return f"{self.title}: {', '.join('|'.join(names) for names in self.columns)}"


GENERIC = Format(
    "generic",
    "any other",
    ("arrival_s", "arrived_at", "timestamp", "time", "arrival_time"),
    ("input_tokens", "isl", "prompt_tokens", "input_length", "num_prefill_tokens"),
    ("output_tokens", "osl", "completion_tokens", "output_length", "num_decode_tokens"),
    "seconds or stamps",
)
MOONCAKE = Format("mooncake", "Mooncake", ("timestamp",), ("input_length",), ("output_length",), "milliseconds")
PUBLISHED = (
    Format("azure-2023", "Azure LLM", ("timestamp",), ("contexttokens",), ("generatedtokens",), "stamps"),
    MOONCAKE,
    Format("burstgpt", "BurstGPT", ("timestamp",), ("request tokens",), ("response tokens",), "seconds"),
)
KNOWN = "CSV (commas, semicolons or tabs) or JSON Lines with columns of " + "; ".join(
    form.text() for form in (*PUBLISHED, GENERIC)
)


@dataclass(frozen=True, slots=True)
class Clock:
    """How arrival times are read: numbers as floats, stamps as whole nanoseconds since 1970."""

    read: Callable[[Any], float]
    typecode: Literal["d", "q"]
    ticks_per_s: float
    kind: ClockKind


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Where a file holds what: ``pick`` takes arrival, input, output (and model) out of a row or an object."""

    format: Format
    labels: tuple[str, ...]
    pick: Callable[[Any], tuple[Any, ...]]
    clock: Clock
    notes: tuple[str, ...]

    def wrong(self, record: Any, file: Path, line: int) -> BadInput:
        """Which value of a row that could not be read is wrong, and why."""
        reads, kinds = (self.clock.read, tokens, tokens, model_name), (self.clock.kind, "tokens", "tokens", "model")
        if isinstance(record, dict):  # an object may lack a key, a row has been counted
            for label, kind in zip(self.labels, kinds, strict=False):
                if label not in record:
                    return BadInput("is missing", field=label, allowed=ALLOWED[kind], file=file, line=line)
        for label, read, kind, value in zip(self.labels, reads, kinds, self.pick(record), strict=False):
            allowed = ALLOWED[kind]
            try:
                read(value)
            except ValueError as error:
                return BadInput(str(error), field=label, allowed=allowed, file=file, line=line)
        return BadInput("cannot be read", field="trace", file=file, line=line)


def open_trace(path: Path) -> tuple[FileColumns, Iterator[Record]]:
    """The columns of a trace file and its rows (at least one), each with its line.

    Raises
    ------
    BadInput : an unreadable or empty file, an unknown format, a missing column; while rows are drawn, a line that is
        not UTF-8, not CSV or not JSON.
    """
    header, keys, line, records = _open(path)
    form, places, notes = _recognise(header, path, line)
    first = next(records, None)
    if first is None:
        raise BadInput("holds no request", field="trace", allowed=ENOUGH, file=path, line=line)
    labels, pick = tuple(header[place] for place in places), itemgetter(*(keys[place] for place in places))
    arrival = pick(first[1])[0]
    if form is MOONCAKE and _STAMP.fullmatch(str(arrival).strip()):
        form = GENERIC  # the same names, and another clock
    clock = _choose_clock(form.clock, arrival)
    if form is MOONCAKE and "hash_ids" not in header:
        names = "', '".join(labels[:3])
        notes = (f"'{names}' are Mooncake's names: its timestamps are milliseconds", *notes)
    if form is GENERIC and clock.typecode == "d" and labels[0].lower() != "arrival_s":
        notes = (f"numbers in '{labels[0]}' are taken as seconds", *notes)
    return FileColumns(form, labels, pick, clock, notes), chain([first], records)


# Files: lines, rows, objects


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:  # bytes, so that a byte that is not UTF-8 is found in its line
            for number, raw in enumerate(file, 1):
                if number == 1:
                    _refuse_binary(raw, path)
                try:
                    yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise BadInput("is not UTF-8 text", field="trace", allowed=KNOWN, file=path, line=number) from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="trace", file=path) from None


def _refuse_binary(start: bytes, path: Path) -> None:
    for magic, (message, hint) in NOT_TEXT.items():
        if start.startswith(magic):
            raise BadInput(message, field="trace", allowed="CSV or JSON Lines as text", hint=hint, file=path)


def _open(path: Path) -> tuple[list[str], list[Any], int, Iterator[Record]]:
    """The columns, by what they are taken from a row, the line they stand in, and the rows with their lines."""
    lines = _lines(path)
    line, text = next(((number, text) for number, text in enumerate(lines, 1) if text.strip()), (1, ""))
    if not text:
        raise BadInput("is empty", field="trace", allowed=KNOWN, file=path, line=line)
    texts = chain([text], lines)
    if text.lstrip().startswith("{"):
        objects = _objects(texts, path, line)
        first = next(objects)
        return list(first[1]), list(first[1]), line, chain([first], objects)
    rows = _rows(texts, path, line)
    line, header = next(rows)
    return [name.strip() for name in header], list(range(len(header))), line, rows


def _objects(texts: Iterator[str], path: Path, first_line: int) -> Iterator[Record]:
    for line, text in enumerate(texts, first_line):
        if not text.strip():
            continue
        try:
            item = json.loads(text)
        except (ValueError, RecursionError) as error:
            said = getattr(error, "msg", "numbers too long or nested too deep")
            raise BadInput(
                f"is not JSON: {said}", field="trace", allowed="one object per line", file=path, line=line
            ) from None
        if not isinstance(item, dict):
            raise BadInput("is not an object", field="trace", allowed="one object per line", file=path, line=line)
        yield line, item


def _rows(texts: Iterator[str], path: Path, first_line: int) -> Iterator[Record]:
    header = next(texts, "")
    separator = next((mark for mark in ",;\t" if mark in header), ",")
    reader = csv.reader(chain([header], texts), delimiter=separator, strict=True)
    width = 0
    while True:
        line = first_line + reader.line_num  # a quoted value may span lines: the first one is told
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadInput(f"is not CSV: {error}", field="trace", allowed=KNOWN, file=path, line=line) from None
        if row is None:
            return
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise BadInput(
                f"{len(row)} values in a row", field="trace", allowed=f"{width}, as in the header", file=path, line=line
            )
        yield line, row


# Columns


def _recognise(header: list[str], path: Path, line: int) -> tuple[Format, list[int], tuple[str, ...]]:
    """The format, the places of its columns (arrival, input, output, and model if there is one), and notes."""
    names = [name.strip().lower() for name in header]
    form = next((f for f in PUBLISHED if set(names).issuperset(chain(*f.columns))), GENERIC)
    found = [[name for name in accepted if name in names] for accepted in form.columns]
    if not any(found):
        raise BadInput(
            f"unknown columns: {', '.join(header)[:200]}", field="trace", allowed=KNOWN, file=path, line=line
        )
    for role, accepted, present in zip(("arrival", "input", "output"), form.columns, found, strict=True):
        if not present:
            raise BadInput(
                f"no column of {role} {'times' if role == 'arrival' else 'tokens'}",
                field=accepted[0],
                allowed=", ".join(accepted),
                hint=f"known formats: {KNOWN}",
                file=path,
                line=line,
            )
    used = [present[0] for present in found] + ["model"] * ("model" in names)
    for name in used:
        if names.count(name) > 1:
            raise BadInput("is given twice", field=name, allowed="one column of a name", file=path, line=line)
    notes = tuple(f"read from '{first}', not '{other}'" for first, *others in found for other in others)
    return form, [names.index(name) for name in used], notes


# Values


def tokens(value: Any) -> int:
    """A number of tokens, 0 included; anything else is a ValueError that says why."""
    if isinstance(value, str) and value.isdigit() and value.isascii() and len(value) < 10:
        return int(value)  # nearly every value of a CSV file
    number = _number(value)
    if number != int(number):
        raise ValueError(f"{shown(value)} is not a whole number")
    if number > MOST_TOKENS:
        raise ValueError(f"{shown(value)} tokens in one request")
    return int(number)


def model_name(value: Any) -> str:
    """The name of a model; an empty one is a ValueError."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is empty" if value in (None, "") else f"{shown(value)} is not a name")
    return value.strip()


def _choose_clock(kind: ClockKind, first: Any) -> Clock:
    """How to read all arrival times, from the first of them: one file has one kind of clock."""
    if kind == "milliseconds":
        return Clock(partial(_time, most=LAST_SECOND * 1e3), "d", 1e3, kind)
    is_number = not isinstance(first, str) or _DECIMAL.fullmatch(first.strip())
    if kind == "seconds" or (kind == "seconds or stamps" and is_number):
        return Clock(partial(_time, most=LAST_SECOND), "d", 1.0, "seconds")
    match = _STAMP.fullmatch(str(first).strip())
    zoned = match is not None and match[3] is not None
    return Clock(partial(_nanoseconds, zoned=zoned), "q", 1e9, kind)


def _time(value: Any, most: float) -> float:
    number = _number(value)
    if number >= most:
        raise ValueError(f"{shown(value)} is too late: is it in a smaller unit?")
    return number


def _number(value: Any) -> float:
    """A finite decimal number, 0 or more, of a JSON value or a text."""
    if value is None or value == "":
        raise ValueError("is empty")
    number = float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not (number < 0 or number >= 0):
        raise ValueError(f"{shown(value)} is not a number")
    if number < 0:
        raise ValueError(f"{shown(value)} is negative")
    if number > _HUGE:
        raise ValueError(f"{shown(value)} is too large")
    return number


def _nanoseconds(value: Any, zoned: bool) -> int:
    """Nanoseconds since 1970 of a stamp with up to nine digits after the second (`datetime` would keep six)."""
    match = _STAMP.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is empty" if value in (None, "") else f"{shown(value)} is not a time")
    moment, fraction, zone = match.groups("")
    if bool(zone) != zoned:
        raise ValueError(f"{shown(value)} has {'a' if zone else 'no'} time zone, unlike the first row")
    try:
        since = datetime.fromisoformat(moment + (zone or "Z")) - _EPOCH
    except ValueError:
        raise ValueError(f"{shown(value)} is not in the calendar") from None
    if not 0 <= since.days < LAST_DAY:
        raise ValueError(f"{shown(value)} is out of range")
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + (int(fraction.ljust(9, "0")) if fraction else 0)
