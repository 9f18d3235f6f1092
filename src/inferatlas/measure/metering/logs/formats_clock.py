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
NUMBERS = "seconds, 0 or more"
STAMPS = "ISO 8601 such as 2024-05-10T00:00:00.5Z, seconds since 1970, or the stamps of a known tool"
_CLOCK = r"\d\d:\d\d(:\d\d)?([.,]\d{1,9})?"
# How stamps look, and how they are read up to the minute: ISO and nvidia-smi; PTDaemon; nvidia-smi dmon -o DT; hl-smi
_FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\dT" + _CLOCK), "%Y-%m-%dT"),
    (re.compile(r"\d{4}-\d\d-\d\d " + _CLOCK), "%Y-%m-%d "),
    (re.compile(r"\d{4}/\d\d/\d\d " + _CLOCK), "%Y/%m/%d "),
    (re.compile(r"\d\d-\d\d-\d{4} " + _CLOCK), "%m-%d-%Y "),
    (re.compile(r"\d{8} " + _CLOCK), "%Y%m%d "),
)
_OF_DAY = re.compile(_CLOCK)
_ASCTIME = re.compile(r"([A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d) (?:([A-Z]{1,5}) )?(\d{4})")
_ZONE = r"\s?(Z|UTC|GMT|[-+]\d\d(?::?\d\d)?)$"
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

    number = values.cast(pl.Float64, strict=False)
    first: float | None = number[0]
    if first is None and values.dtype == pl.String and values[0]:
        return _stamps(values, label)
    bad = (number.is_null() | ~number.is_finite().fill_null(False) | (number < 0).fill_null(False)).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise Wrong(row, _why(values[row], number[row]), NUMBERS if unit or first is not None else STAMPS)
    begin = float(number.to_numpy()[0])
    if unit is None and begin < EPOCH_S:
        size, note = "s", f"numbers in '{label}' are taken as seconds"
    elif unit is None:
        size = next(name for most, name in _SIZES if begin < most)
        note = f"numbers in '{label}' are taken as {_NAMES[size]} since 1970"
    else:
        size, note = unit, ""
    quiet = not note or (label == "time_s" and begin < EPOCH_S)
    return _from_numbers(values, number.to_numpy(), size, () if quiet else (note,))


def _why(value: object, number: float | None) -> str:
    if value is None or value == "":
        return "is empty"
    if number is None:
        return f"'{str(value)[:40]}' is not a time like that of the first row"
    return f"'{value}' is negative" if number < 0 else f"'{value}' is not finite"


def _from_numbers(values: pl.Series, number: NDArray[np.float64], size: str, notes: tuple[str, ...]) -> Times:
    ticks = _TICKS[size]
    since_1970 = number[0] * ticks >= EPOCH_S * SECOND
    far = (number * ticks >= LAST_NS) | ((number * ticks >= EPOCH_S * SECOND) != since_1970)
    if far.any():
        row = int(np.flatnonzero(far)[0])
        message = f"{values[row]} is far from the first time, {values[0]}: is it in another unit?"
        raise Wrong(row, message if row else f"{values[row]} is out of range", NUMBERS)
    t_ns = _exact(values, ticks)
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
    parts = values.str.split_exact(".", 1).struct
    whole = parts.field("field_0").cast(pl.Int64, strict=False)
    decimals = parts.field("field_1").fill_null("").str.pad_end(9, "0").str.head(9).cast(pl.Int64, strict=False)
    if whole.null_count() or decimals.null_count():
        return None
    return whole.to_numpy() * ticks + decimals.to_numpy() * ticks // SECOND


def _stamps(values: pl.Series, label: str) -> Times:
    import polars as pl

    first = values[0]
    if _EITHER.fullmatch(first):
        raise Wrong(0, f"'{first[:40]}' may begin with the day or the month", STAMPS, "write dates as 2024-05-10")
    texts, offset, zone = _without_zone(values)
    form = next((start for look, start in _FORMS if look.fullmatch(texts[0])), None)
    if (named := _ASCTIME.fullmatch(first)) is not None:
        texts, form, zone = values.str.replace(r" [A-Z]{1,5} (\d{4})$", " $1"), "%a %b %e %H:%M:%S %Y", named[2] or ""
    elif form is not None:
        form += "%H:%M:%S%.f" if texts[0].count(":") == 2 else "%H:%M"
    of_day = form is None and _OF_DAY.fullmatch(texts[0]) is not None
    if form is None and not of_day:
        raise Wrong(0, f"'{first[:40]}' is not a time", STAMPS)
    if "," in texts[0]:
        texts = texts.str.replace(",", ".", literal=True)
    if of_day:
        clock = "%H:%M:%S%.f" if texts[0].count(":") == 2 else "%H:%M"
        read = texts.str.to_time(clock, strict=False).cast(pl.Int64)
    else:
        read = texts.str.to_datetime(form, time_unit="ns", strict=False).cast(pl.Int64)
    if read.null_count():
        row = int(np.flatnonzero(read.is_null().to_numpy())[0])
        message = "is empty" if not values[row] else f"'{values[row][:40]}' is not a time like the first, '{first}'"
        raise Wrong(row, message, STAMPS)
    t_ns = read.to_numpy() - offset
    if ((t_ns < 0) | (t_ns >= LAST_NS)).any() and not of_day:
        row = int(np.flatnonzero((t_ns < 0) | (t_ns >= LAST_NS))[0])
        raise Wrong(row, f"'{values[row][:40]}' is out of range", "a time from 1970 to 2199")
    if of_day:
        return Times(t_ns, None, _step(t_ns), True, (f"'{label}' has times of day without a date",))
    start = int(t_ns.min())
    notes = () if zone in ("Z", "UTC", "GMT") or zone[:1] in ("+", "-") else (_zone_note(label, zone),)
    return Times(t_ns - start, start, _step(t_ns), notes=notes)


def _zone_note(label: str, zone: str) -> str:
    if zone:
        return f"the zone {zone} of '{label}' is not known for sure: taken as UTC"
    return f"'{label}' names no time zone: taken as UTC"


def _without_zone(values: pl.Series) -> tuple[pl.Series, NDArray[np.int64] | int, str]:
    """Texts without their time zones, the offsets from UTC in ns, and the zone of the first; nothing where it has none.

    A minus of a date is no zone: one needs a time before it.
    """
    import polars as pl

    found = re.search(r":\d\d(?:[.,]\d+)?" + _ZONE, values[0])
    if found is None:
        return values, 0, ""
    zone = found[1]
    if values.str.ends_with(zone).all():
        return values.str.strip_suffix(zone).str.strip_chars_end(" "), _offset_ns(zone), zone
    zones = values.str.extract(r":\d\d(?:[.,]\d+)?" + _ZONE, 1)
    offsets = {one: _offset_ns(one) for one in zones.drop_nulls().unique().to_list()}
    bare = pl.when(zones.is_not_null()).then(values.str.replace(_ZONE, "")).otherwise(pl.lit(""))
    return pl.select(bare).to_series(), zones.replace_strict(offsets, default=0, return_dtype=pl.Int64).to_numpy(), zone


def _offset_ns(zone: str) -> int:
    if zone in ("Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * SECOND


def _step(t_ns: NDArray[np.int64]) -> float:
    """Stamps of whole minutes or seconds were rounded down to them."""
    if t_ns.size > 1 and (t_ns % (60 * SECOND) == 0).all():
        return 60.0
    return 1.0 if (t_ns % SECOND == 0).all() else 0.0
