"""Moments of a log: what ``--from`` and ``--to`` mean.

In: a text. Out: nanoseconds on the clock of the log. A date with a time, in any form that logs have, is UTC unless it
says otherwise; a duration counts from the first reading, or, with a minus, back from the last; a bare number is a time
in seconds as the log's own column of times has it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from inferatlas.errors import BadInput
from inferatlas.measure.metering.logs.formats_clock import EPOCH_S, LAST_NS, SECOND, read_times
from inferatlas.measure.metering.logs.formats_values import Wrong
from inferatlas.measure.metering.logs.log import Log
from inferatlas.quantities import parse

ALLOWED = (
    "a time such as 2024-05-10T12:00:00Z, a duration since the first reading (10s, 5min) or before the last (-10s), "
)
ALLOWED += "or a bare number: seconds as in the log"
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_DATE = re.compile(r"\d+[-/.]\d+[-/.]\d+.*|.*\d:\d\d.*", re.ASCII)  # what can only be meant as a date or a time of day


def moment(text: str, log: Log, *, field: str) -> int:
    """A moment on the clock of a log, in ns. It may lie outside the log.

    Parameters
    ----------
    text : see above. field : the name of the input, for errors: ``from`` or ``to``.

    Raises
    ------
    BadInput : a text that is none of these; a date where the log does not know any; a log without readings.

    Examples
    --------
    >>> from inferatlas.measure.metering.channel import Channel, Reading
    >>> from inferatlas.measure.metering.logs.log import log_of
    >>> card = Channel("file", "0", "power_w", "instant", None)
    >>> start = 1_715_342_400 * SECOND  # 2024-05-10T12:00:00Z
    >>> log = log_of([card], [Reading(0, 5 * SECOND, 400.0), Reading(0, 65 * SECOND, 400.0)], start)
    >>> [moment(text, log, field="from") / SECOND for text in ("10s", "-10s", "7.5", "2024-05-10T12:01:00Z")]
    [15.0, 55.0, 7.5, 60.0]
    """
    span = log.span_ns
    if span is None:
        raise BadInput("the log holds no reading", field=field)
    text = text.strip()
    try:
        if _NUMBER.fullmatch(text):
            return _bare(text, log, field)
        if _DATE.fullmatch(text):
            return _date(text, log, field)
        back, length = text.startswith("-"), text[1:] if text[:1] in ("-", "+") else text
        seconds = _within(parse(length, "s", field=field), text, field)
        if length[:1] in ("-", "+"):
            raise BadInput(f"'{text}' has two signs", field=field)
    except BadInput as error:
        raise BadInput(f"{error.message}; {extent(log)}", field=field, allowed=ALLOWED) from None
    return span[1] - round(seconds * SECOND) if back else span[0] + round(seconds * SECOND)


def extent(log: Log) -> str:
    """From when to when a log has readings, in words."""
    span = log.span_ns
    if span is None:
        return "the log holds no reading"
    return f"the log runs from {_shown(span[0], log)} to {_shown(span[1], log)}"


def _shown(t_ns: int, log: Log) -> str:
    if log.unix_ns is None:
        return f"{t_ns / SECOND:.6g}"
    whole, rest = divmod(t_ns + log.unix_ns, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1_000_000:03d}Z"


def _date(text: str, log: Log, field: str) -> int:
    import polars as pl

    try:
        times = read_times(pl.Series([text]), field)
    except Wrong as wrong:
        raise BadInput(wrong.message, field=field) from None
    if times.unix_ns is None:
        raise BadInput(f"'{text}' has no date", field=field)
    if log.unix_ns is None:
        raise BadInput("the log does not say at which date it was taken", field=field)
    return times.unix_ns - log.unix_ns


def _bare(text: str, log: Log, field: str) -> int:
    """Seconds on the log's own clock; as great as seconds since 1970 where its times are those."""
    number = _within(float(text), text, field)
    if number < 0:
        raise BadInput(f"'{text}' is negative and has no unit: write {text}s to count from the end", field=field)
    t_ns = int(number) * SECOND + round((number - int(number)) * SECOND)
    since_1970 = number >= EPOCH_S and log.unix_ns is not None
    return t_ns - (log.unix_ns or 0) if since_1970 else t_ns


def _within(seconds: float, text: str, field: str) -> float:
    if not abs(seconds) * SECOND < LAST_NS:
        raise BadInput(f"'{text[:40]}' is out of range", field=field)
    return seconds
