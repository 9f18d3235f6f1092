"""What all readers share: a row on its way to the table, tolerant file reading, strict numbers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EMPTY = ("", "-", "n/a", "na", "nan", "none", "null")


class Unreadable(ValueError):
    """Why a file or a row cannot be read; becomes a `Problem` where file and row are known."""

    def __init__(self, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.hint = detail, hint


@dataclass(slots=True)
class Row:
    """One point as its reader leaves it.

    ``values``: columns of the evidence table, names and precisions as printed. ``cautions`` are the reasons for a
    weight of 0.3. ``late``: what is assumed where neither the file nor the caller says it, and ``assumed`` which of it
    was. ``derive`` computes figures that need what the caller gives. ``invalid``: why the run itself says that it must
    not be believed.
    """

    values: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    late: dict[str, Any] = field(default_factory=dict)
    derive: Callable[[Row], None] | None = None
    assumed: set[str] = field(default_factory=set)
    invalid: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that could not be read."""

    number: int
    why: Unreadable


Found = Row | Bad | None  # None: a row of another task (images, vision), counted and left out


@dataclass(frozen=True, slots=True)
class Format:
    """A public format: how to read one file of it and which files of a folder are of it."""

    read: Callable[[Path], Iterator[Found]]
    globs: tuple[str, ...]


def each(records: Iterable[tuple[int, Any]], convert: Callable[[dict[str, Any]], Row | None]) -> Iterator[Found]:
    """Convert records one by one; what cannot be read becomes a `Bad` with its number."""
    for number, record in records:
        try:
            if isinstance(record, Unreadable):
                raise record
            if not isinstance(record, dict):
                raise Unreadable(f"a record is needed here, not {type(record).__name__}")
            row = convert(record)
        except Unreadable as why:
            yield Bad(number, why)
            continue
        if row is not None:
            row.number = number
        yield row


def read_text(file: Path) -> str:
    """The text of a file; `Unreadable` if it is empty or not UTF-8."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8 text") from None
    except OSError as problem:
        raise Unreadable(f"cannot be opened: {problem.strerror}") from None
    if not text.strip():
        raise Unreadable("the file is empty")
    return text


def json_records(file: Path) -> Iterator[tuple[int, Any]]:
    """The records of a JSON file: one object, a list of objects, or objects one after the other (JSON lines).

    A file cut in the middle gives what stands before the cut and then one `Unreadable` with the line.
    """
    text = read_text(file)
    decoder, position, number = json.JSONDecoder(), 0, 0
    while position < len(text):
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        if position == len(text):
            return
        try:
            document, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as problem:
            line = text.count("\n", 0, getattr(problem, "pos", position)) + 1
            why = getattr(problem, "msg", "nested too deeply or a number too long")
            yield number + 1, Unreadable(f"not JSON: {why} (line {line})", "was the file cut short?")
            return
        for record in document if isinstance(document, list) else [document]:
            number += 1
            yield number, record


def csv_records(
    file: Path, repair: Callable[[list[str], list[str]], list[str]] | None = None
) -> Iterator[tuple[int, Any]]:
    """The lines of a CSV file as dicts, with the line's number; header names are stripped and lower-cased.

    ``repair`` may mend the cells of a line whose count differs from the header's.
    """
    reader = csv.reader(read_text(file).splitlines(keepends=True))
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                continue
            fitted = repair(header, cells) if repair and len(cells) != len(header) else cells
            if len(fitted) != len(header):
                yield reader.line_num, Unreadable(f"{len(cells)} fields where the header has {len(header)}")
            else:
                yield reader.line_num, dict(zip(header, (cell.strip() for cell in fitted), strict=True))
    except csv.Error as problem:
        yield reader.line_num, Unreadable(f"not CSV: {problem}")


def number(record: dict[str, Any], key: str) -> float | None:
    """A number of the record, None where it is missing, empty or not finite; `Unreadable` where it is none."""
    value = record.get(key)
    if value is None or (isinstance(value, str) and value.strip().lower() in EMPTY):
        return None
    if isinstance(value, (bool, dict, list)):
        raise Unreadable(f"{key}: {str(value)[:40]!r} is not a number")
    try:
        result = float(value.replace(",", "") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        raise Unreadable(f"{key}: {str(value)[:40]!r} is not a number") from None
    return result if math.isfinite(result) else None


def positive(record: dict[str, Any], key: str, scale: float = 1.0) -> float | None:
    """A number times ``scale``; 0 means not measured (tools write it so) and negative ones are refused."""
    value = number(record, key)
    if value is not None and value < 0:
        raise Unreadable(f"{key}: {value:g} is negative")
    return value * scale if value else None


def milliseconds(record: dict[str, Any], key: str) -> float | None:
    """A duration in ms of the record, in seconds."""
    value = positive(record, key)
    return None if value is None else value / 1000  # a division rounds once: 9 ms are 0.009 s


def text(record: dict[str, Any], key: str) -> str | None:
    """A text of the record, None where it is missing or empty."""
    value = record.get(key)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = f"{value:g}"
    return value.strip() if isinstance(value, str) and value.strip().lower() not in EMPTY else None


def flag(record: dict[str, Any], key: str) -> bool:
    """A truth value that may be written as a text ("true", "on", "1")."""
    return str(record.get(key, "")).strip().lower() in ("true", "on", "1", "1.0", "yes")


def need(record: dict[str, Any], *keys: str) -> None:
    """Refuse a record that lacks keys of its format."""
    missing = [key for key in keys if record.get(key) in (None, "")]
    if missing:
        raise Unreadable(f"no {', '.join(repr(key) for key in missing)}")


def at(tree: Any, *path: str) -> Any:
    """What stands at a path of nested dicts, None if nothing does."""
    for step in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(step)
    return tree


def branch(tree: Any, *path: str) -> dict[str, Any]:
    """The dict at a path of nested dicts, empty if there is none."""
    found = at(tree, *path)
    return found if isinstance(found, dict) else {}


def product(*factors: float | None) -> float | None:
    """The product, None where a factor is unknown."""
    return None if any(f is None for f in factors) else math.prod(f for f in factors if f is not None)
