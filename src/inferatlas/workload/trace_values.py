"""Values of request traces: numbers of tokens, times by several clocks, names; a wrong one says why.

In: a text of a CSV file or a value of a JSON object. Out: the value, or a ValueError that `trace_formats.py` completes
with the file, the line and the column.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from inferatlas.workload.workload import MOST_TOKENS, shown

ClockKind = Literal["stamps", "seconds", "milliseconds", "seconds or stamps"]

LAST_SECOND = 10**11  # seconds since 1970 are below 1e10 until the year 2286; milliseconds are above 1e12
LAST_DAY = 84_006  # 2200-01-01 in days since 1970; nanoseconds in 64 bits end in 2262
_HUGE = 1e15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
STAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[-+]\d\d:?\d\d)?", re.ASCII)
ALLOWED = {
    "seconds": "seconds as a number, 0 or more",
    "milliseconds": "milliseconds as a number, 0 or more",
    "stamps": "ISO 8601 from 1970 to 2199, for example 2023-11-16 18:17:03.9799600 or 2024-05-10T00:00:00Z",
    "seconds or stamps": "seconds as a number, 0 or more, or ISO 8601 as in 2024-05-10T00:00:00Z",
    "tokens": f"a whole number of tokens, 0 to {MOST_TOKENS:,}",
    "model": "a name in every row, or no such column",
}


@dataclass(frozen=True, slots=True)
class Clock:
    """How arrival times are read: numbers as floats, stamps as whole nanoseconds since 1970."""

    read: Callable[[Any], float]
    typecode: Literal["d", "q"]
    ticks_per_s: float
    kind: ClockKind


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


def choose_clock(kind: ClockKind, first: Any) -> Clock:
    """How to read all arrival times, from the first of them: one file has one kind of clock."""
    if kind == "milliseconds":
        return Clock(partial(_time, most=LAST_SECOND * 1e3), "d", 1e3, kind)
    is_number = not isinstance(first, str) or _DECIMAL.fullmatch(first.strip())
    if kind == "seconds" or (kind == "seconds or stamps" and is_number):
        return Clock(partial(_time, most=LAST_SECOND), "d", 1.0, "seconds")
    match = STAMP.fullmatch(str(first).strip())
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
    match = STAMP.fullmatch(value.strip()) if isinstance(value, str) else None
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
