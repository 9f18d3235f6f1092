"""Files of request traces: which format it is, where the columns are, which line is wrong.

In: a CSV or JSON Lines file. Out: its `FileColumns` and the rows one by one, of which `traces.py` makes a `Trace`.
A format is recognised by its columns (or keys), never by the name of the file. The published formats are those of
https://github.com/Azure/AzurePublicDataset, https://github.com/kvcache-ai/Mooncake and
https://github.com/HPMLL/BurstGPT.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from inferatlas.errors import BadInput
from inferatlas.workload.trace_values import ALLOWED, STAMP, Clock, ClockKind, choose_clock, model_name, tokens
from inferatlas.workload.workload import shown

FormatName = Literal["azure-2023", "azure-2024", "mooncake", "burstgpt", "generic"]
Record = tuple[int, Any]  # line, and a row (list) or an object (dict)

ENOUGH = "two requests or more, at different times"
HASHES = "hash_ids"
# Files that hold a trace and are not text, by their first bytes: what they are, and what to do
NOT_TEXT = {
    b"\x1f\x8b": ("is compressed with gzip", "decompress it first: gunzip --keep FILE"),
    b"\x28\xb5\x2f\xfd": ("is compressed with Zstandard", "decompress it first: zstd --decompress FILE"),
    b"PK\x03\x04": ("is a ZIP archive", "unpack it first: unzip FILE"),
    b"PAR1": ("is a Parquet file", "convert it to CSV first, for example with polars or DuckDB"),
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
class FileColumns:
    """Where a file holds what: ``pick`` takes arrival, input, output (and model) out of a row or an object."""

    format: Format
    labels: tuple[str, ...]
    pick: Callable[[Any], tuple[Any, ...]]
    clock: Clock
    notes: tuple[str, ...]
    has_hashes: bool = False  # an object per line with HASHES, one for each block of the prompt

    def hashes(self, record: Any, file: Path, line: int) -> list[int]:
        """The ids of the blocks of a prompt (`chains.block_chains`)."""
        ids = record.get(HASHES)
        if not isinstance(ids, list) or not set(map(type, ids)) <= {int} or not all(abs(each) < 2**62 for each in ids):
            message = "is missing" if HASHES not in record else f"{shown(ids)} is no list of ids"
            allowed = "a list of whole numbers below 2^62, one per block of the prompt"
            raise BadInput(message, field=HASHES, allowed=allowed, file=file, line=line)
        return ids

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
    if form is MOONCAKE and STAMP.fullmatch(str(arrival).strip()):
        form = GENERIC  # the same names, and another clock
    clock = choose_clock(form.clock, arrival)
    if form is MOONCAKE and HASHES not in header:
        names = "', '".join(labels[:3])
        notes = (f"'{names}' are Mooncake's names: its timestamps are milliseconds", *notes)
    if form is GENERIC and clock.typecode == "d" and labels[0].lower() != "arrival_s":
        notes = (f"numbers in '{labels[0]}' are taken as seconds", *notes)
    has_hashes = form is MOONCAKE and HASHES in keys  # keys of objects; a row of CSV has places
    return FileColumns(form, labels, pick, clock, notes, has_hashes), chain([first], records)


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
                f"is not JSON: {said}", field="trace", allowed="one object per line", hint=_cut_off(path, line),
                file=path, line=line,
            ) from None  # fmt: skip
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
            hint = _cut_off(path, line)
            raise BadInput(
                f"is not CSV: {error}", field="trace", allowed=KNOWN, hint=hint, file=path, line=line
            ) from None
        if row is None:
            return
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise BadInput(
                f"{len(row)} values in a row", field="trace", allowed=f"{width}, as in the header",
                hint=_cut_off(path, line), file=path, line=line,
            )  # fmt: skip
        yield line, row


def _cut_off(path: Path, line: int) -> str | None:
    """What to look at, where a line that cannot be read is the last one and has no end."""
    number, raw = 0, b""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):  # noqa: B007 - the last ones are used below
            pass
    if number != line or raw.endswith(b"\n"):
        return None
    return "the file ends within this line: its writing or its transfer may have been cut off"


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
