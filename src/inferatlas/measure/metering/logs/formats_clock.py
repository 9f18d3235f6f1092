"""Times of logs: seconds of a clock of their own, seconds since 1970 in four sizes, stamps in the forms of the tools.

In: a column of texts or numbers. Out: `Times`, in nanoseconds on the clock of the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.logs.formats_values import Wrong
from inferatlas.workload.rounded import spread

if TYPE_CHECKING:
    import polars as pl

SECOND, DAY = 1_000_000_000, 86_400 * 1_000_000_000
ROUNDED = 1 / 12**0.5  # standard deviation of what is rounded to 1
EPOCH_S = 1e8  # a number of seconds from here on is taken as since 1970: it is March 1973, or a clock of three years
_SIZES = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (float("inf"), "ns"))  # below: seconds since 1970, and so on
_TICKS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "µs": 1_000, "ns": 1}
_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LAST_NS = 7_258_118_400 * SECOND  # 2200-01-01
FLOAT_NS = 2.0**51  # up to here a float of seconds is exact to the nanosecond: 26 days
NUMBERS = "seconds, 0 or more"
STAMPS = "ISO 8601 such as 2024-05-10T00:00:00.5Z, seconds since 1970, or the stamps of a known tool"
_ZONE = r"\s?(?:Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)"
_FRACTION = r"[.,][0-9]{1,9}"
# How stamps look, up to the second, behind it, and their zone; and how their dates are read: ISO and nvidia-smi;
# PTDaemon; nvidia-smi dmon -o DT; times of day
_FORMS = tuple(
    (re.compile(rf"({date}\d\d:\d\d(:\d\d)?)(?:(?<=:\d\d:\d\d){_FRACTION})?({_ZONE})?"), form)
    for date, form in (
        (r"\d{4}-\d\d-\d\dT", "%Y-%m-%dT"),
        (r"\d{4}-\d\d-\d\d ", "%Y-%m-%d "),
        (r"\d{4}/\d\d/\d\d ", "%Y/%m/%d "),
        (r"\d\d-\d\d-\d{4} ", "%m-%d-%Y "),
        (r"\d{8} ", "%Y%m%d "),
        ("", ""),
    )
)
_ASCTIME = re.compile(r"([A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d) (?:([A-Z]{1,5}) )?(\d{4})")
_COMMA = re.compile(r"\d+,\d+")
_EITHER = re.compile(r"\d\d?[/.]\d\d?[/.]\d{4}\b.*")


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times of n rows.

    ``t_ns`` : shape (n,), on the clock of the log. ``unix_ns`` : to add for nanoseconds since 1970. ``step_s`` : they
    were rounded down to multiples of it, 0 where they were not. ``of_day`` : they start again at midnight.
    """

    t_ns: NDArray[np.int64]
    unix_ns: int | None
    step_s: float = 0.0
    of_day: bool = False
    notes: tuple[str, ...] = ()


def times_of(times: Times, rows: NDArray[np.intp], floors: bool = False) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Times of one device, and a note where readings of one second were spread over it.

    Times of day count on after midnight. Stamps of whole seconds are spread where several are the same, and where
    the tool is known to round down (``floors``), which puts a single one into the middle of its second.

    Examples
    --------
    >>> times_of(Times(np.array([0, 0, 10**9]), None, step_s=1.0), np.arange(3))[0].tolist()
    [250000000, 750000000, 1500000000]
    """
    t_ns = times.t_ns[rows]
    if times.of_day:
        t_ns = t_ns + DAY * np.cumsum(np.diff(t_ns, prepend=t_ns[:1]) < -DAY // 2)
    gaps = np.diff(t_ns)
    shared = bool((gaps == 0).any())
    if not times.step_s or (gaps < 0).any() or not (floors or shared):
        return t_ns, ()
    start = int(t_ns[0])
    spaced = start + np.rint(spread((t_ns - start) / SECOND, times.step_s) * SECOND).astype(np.int64)
    unit = "second" if times.step_s == 1 else "minute"
    if shared:
        return spaced, (f"readings of one {unit} are spread evenly over it",)
    return spaced, (f"stamps are the {unit}s that had begun: their middles are taken",)


def is_asctime(text: str) -> bool:
    """A stamp such as hl-smi writes it.

    Examples
    --------
    >>> is_asctime("Tue Sep 12 13:36:37 UTC 2023"), is_asctime("2023/09/12 13:36:37.000")
    (True, False)
    """
    return _ASCTIME.fullmatch(text) is not None


def read_times(values: pl.Series, label: str, unit: str | None = None) -> Times:
    """Times from one column; ``label`` is its name in notes, ``unit`` what its header says (s, ms, us, ns).

    Raises
    ------
    Wrong : a value that is missing, negative, not finite, not a time, or of another kind than the first.

    Examples
    --------
    >>> import polars as pl
    >>> times = read_times(pl.Series(["2024/05/10 00:00:01.500", "2024/05/10 00:00:02.500"]), "timestamp")
    >>> times.t_ns.tolist(), times.unix_ns, times.notes
    ([0, 1000000000], 1715299201500000000, ("'timestamp' names no time zone: taken as UTC",))
    >>> read_times(pl.Series([0.5, 1.0]), "time_s").t_ns.tolist()
    [500000000, 1000000000]
    """
    import polars as pl

    first = values.head(1).cast(pl.Float64, strict=False)[0]
    if first is None and values.dtype == pl.String and values[0]:
        return _stamps(values, label)
    number = values.cast(pl.Float64, strict=False)
    seconds = number.to_numpy()
    if not (seconds.min() >= 0 and seconds.max() < np.inf):
        row = int(np.flatnonzero(~((seconds >= 0) & (seconds < np.inf)))[0])
        raise Wrong(row, _why(values[row], number[row]), NUMBERS if unit or first is not None else STAMPS)
    begin = float(seconds[0])
    if unit is None and begin < EPOCH_S:
        size, note = "s", f"numbers in '{label}' are taken as seconds"
    elif unit is None:
        size = next(name for most, name in _SIZES if begin < most)
        note = f"numbers in '{label}' are taken as {_NAMES[size]} since 1970"
    else:
        size, note = unit, ""
    quiet = not note or (label == "time_s" and begin < EPOCH_S)
    return _from_numbers(values, seconds, size, () if quiet else (note,))


def _why(value: object, number: float | None) -> str:
    if value is None or value == "":
        return "is empty"
    if number is None:
        return f"'{str(value)[:40]}' is not a time like that of the first row"
    return f"'{str(value)[:40]}' is negative" if number < 0 else f"'{str(value)[:40]}' is not finite"


def _from_numbers(values: pl.Series, number: NDArray[np.float64], size: str, notes: tuple[str, ...]) -> Times:
    ticks = _TICKS[size]
    early, late = EPOCH_S * SECOND / ticks, LAST_NS / ticks
    since_1970 = bool(number[0] >= early)
    if number.max() >= late or (number.min() >= early) != since_1970 or (number.max() >= early) != since_1970:
        row = int(np.flatnonzero((number >= late) | ((number >= early) != since_1970))[0])
        shown = str(values[row])[:40]
        message = f"{shown} is far from the first time, {str(values[0])[:40]}: is it in another unit?"
        raise Wrong(row, message if row else f"{shown} is out of range", NUMBERS)
    t_ns = np.rint(number * ticks).astype(np.int64) if number.max() * ticks < FLOAT_NS else _exact(values, ticks)
    if t_ns is None:
        whole = np.floor(number)
        t_ns = whole.astype(np.int64) * ticks + np.rint((number - whole) * ticks).astype(np.int64)
    if not since_1970:
        return Times(t_ns, None, notes=notes)
    start = int(t_ns.min())
    note = notes or (f"times from {values[0]} on are taken as since 1970",)
    return Times(t_ns - start, start, _step(t_ns), notes=note)


def _exact(values: pl.Series, ticks: int) -> NDArray[np.int64] | None:
    """Whole numbers and decimals as they are written, which a float keeps only to 0.2 us of the time since 1970."""
    import polars as pl

    if values.dtype.is_float():
        return None
    if values.dtype != pl.String:
        return values.cast(pl.Int64).to_numpy() * ticks
    parts = pl.col("t").str.split_exact(".", 1).struct
    decimals = parts.field("field_1").fill_null("").str.pad_end(9, "0").str.head(9)
    found = values.to_frame("t").select(
        parts.field("field_0").cast(pl.Int64, strict=False) * ticks
        + decimals.cast(pl.Int64, strict=False) * ticks // SECOND
    )  # fmt: skip
    return None if found.to_series().null_count() else found.to_series().to_numpy()


def _stamps(values: pl.Series, label: str) -> Times:
    first = values[0]
    if _EITHER.fullmatch(first):
        raise Wrong(0, f"'{first[:40]}' may begin with the day or the month", STAMPS, "write dates as 2024-05-10")
    read = _asctime(values) if is_asctime(first) else _date_and_time(values)
    if read is None:
        what = "has a decimal comma" if _COMMA.fullmatch(first) else "is not a time"
        raise Wrong(0, f"'{first[:40]}' {what}", STAMPS)
    found, zone, of_day = read
    if found.null_count():
        row = int(np.flatnonzero(found.is_null().to_numpy())[0])
        what = f"is not a time like the first, '{first}'" if row else "is not in the calendar"
        raise Wrong(row, f"'{values[row][:40]}' {what}" if values[row] else "is empty", STAMPS)
    t_ns = found.to_numpy()
    if of_day:
        return Times(t_ns % DAY, None, _step(t_ns), True, (f"'{label}' has times of day without a date",))
    start = int(t_ns.min())
    if start < 0 or t_ns.max() >= LAST_NS:
        row = int(np.flatnonzero((t_ns < 0) | (t_ns >= LAST_NS))[0])
        raise Wrong(row, f"'{values[row][:40]}' is out of range", "a time from 1970 to 2199")
    notes = () if zone in ("Z", "UTC", "GMT") or zone[:1] in ("+", "-") else (_zone_note(label, zone),)
    return Times(t_ns - start, start, _step(t_ns), notes=notes)


def _date_and_time(values: pl.Series) -> tuple[pl.Series, str, bool] | None:
    """Nanoseconds since 1970, or of the day, of stamps like the first; its zone; whether they have no date."""
    import polars as pl

    like, date = next(((found, date) for look, date in _FORMS if (found := look.fullmatch(values[0]))), (None, ""))
    if like is None:
        return None
    frame, zone = values.to_frame("t"), like[3] or ""
    whole, rest = pl.col("t").str.head(len(like[1])).str, pl.col("t").str.slice(len(like[1]))
    clock = "%H:%M:%S" if like[2] else "%H:%M"
    whole = (
        whole.to_datetime(date + clock, time_unit="ns", strict=False) if date else whole.to_time(clock, strict=False)
    )
    behind = rf"^(?:{_FRACTION})?" if like[2] else "^"

    def read(zones: str, without: pl.Expr, offset: pl.Expr) -> pl.Series:
        digits = without.str.slice(1).str.pad_end(9, "0").cast(pl.Int64, strict=False)
        fraction = pl.when(rest.str.contains(f"{behind}{zones}$")).then(digits)
        return frame.select(whole.cast(pl.Int64) + fraction - offset).to_series()

    found = read(
        re.escape(zone), rest.str.strip_suffix(zone) if zone else rest, pl.lit(_offset_ns(zone) if zone else 0)
    )
    if zone and found.null_count():  # zones that change, as with summer time
        zones = rest.str.extract(f"({_ZONE})$", 1)
        offsets = {one: _offset_ns(one) for one in frame.select(zones.unique().drop_nulls()).to_series()}
        offset = zones.replace_strict(offsets, default=None, return_dtype=pl.Int64)
        found = read(_ZONE, rest.str.replace(f"{_ZONE}$", ""), offset)
    return found, zone.strip(), not date


def _asctime(values: pl.Series) -> tuple[pl.Series, str, bool]:
    """The same of stamps as hl-smi writes them, whose zone is a name."""
    import polars as pl

    named = _ASCTIME.fullmatch(values[0])
    texts = values.str.replace(r" [A-Z]{1,5} (\d{4})$", " $1")
    read = texts.str.to_datetime("%a %b %e %H:%M:%S %Y", time_unit="ns", strict=False).cast(pl.Int64)
    return read, (named and named[2]) or "", False


def _zone_note(label: str, zone: str) -> str:
    if zone:
        return f"the zone {zone} of '{label}' is not known for sure: taken as UTC"
    return f"'{label}' names no time zone: taken as UTC"


def _offset_ns(zone: str) -> int:
    zone = zone.strip()
    if zone in ("Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * SECOND


def _step(t_ns: NDArray[np.int64]) -> float:
    """Stamps of whole minutes or seconds were rounded down to them."""
    if (t_ns[:100] % SECOND).any() or (t_ns % SECOND).any():
        return 0.0
    return 60.0 if t_ns.size > 1 and not (t_ns % (60 * SECOND)).any() else 1.0
