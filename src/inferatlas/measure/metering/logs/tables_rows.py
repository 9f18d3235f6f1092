"""Rows of a table of readings as a `Log`: times, channels, values.

In: columns of our own form or of a plain power log, as they were read. Out: one series per channel. Columns that are
missing have the defaults of a plain log: source "file", instant power, semantics assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.measure.metering.channel import GAINS, Channel, Fault, Quantity, Series
from inferatlas.measure.metering.logs.formats_clock import ROUNDED, Times, read_times, times_of
from inferatlas.measure.metering.logs.formats_told import Told, as_told
from inferatlas.measure.metering.logs.formats_values import MOST, Wrong
from inferatlas.measure.metering.logs.log import NUMBERS, Log, rows_of_each
from inferatlas.measure.metering.scope import scope_of

if TYPE_CHECKING:
    import polars as pl

TIMES = ("t_ns", "time_s", "timestamp")
VALUES: tuple[Quantity, ...] = ("power_w", "energy_j")
FLAGS = ("shared", "assumed")
# In the order of the table; those that are neither numbers nor flags are words
FACTS = (
    "device", "source", "scope", "part", "semantics", "name", "window_s", "update_s", "quantum", "wrap_j", "gain",
    "limit_w", "shared", "assumed", "u_time_s",
)  # fmt: skip
SEMANTICS = ("counter", "average", "instant", "model")
CODES = {one.code: int(one) for one in Fault if one}  # as a table has them
Refuse = Callable[[int, str, str, str], BadInput]  # row, message, column, what is allowed


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a table, n of them.

    ``frame`` : columns of `TIMES` and of ``keys``. ``keys`` : columns that together name a channel. ``values`` and
    ``faults`` : per quantity, shape (n,), as they stand: NaN where there is no value, 0 where no fault is named.
    ``fact`` : the facts in a row. ``refuse`` : with file and line.
    """

    frame: pl.DataFrame
    keys: tuple[str, ...]
    values: Mapping[Quantity, NDArray[np.float64]]
    faults: Mapping[Quantity, NDArray[np.int8]]
    fact: Callable[[int], dict[str, Any]]
    refuse: Refuse
    notes: tuple[str, ...] = ()


def log_of_rows(rows: Rows, told: Told) -> Log:
    """The log that rows are.

    Raises
    ------
    BadInput : a time that is missing, negative or not finite; facts that change within a channel or cannot be.
    """
    blank = _without_time(rows)
    times = _times(rows, blank)
    channels = _channels(rows)
    series: list[Series] = []
    said: dict[str, None] = dict.fromkeys((*rows.notes, *times.notes))
    jumped = False
    for held in channels:
        first, fact = int(held[0]), rows.fact(int(held[0]))
        own = held if blank is None else held[~blank[held]]
        if own.size < held.size and held.size > 1:
            assert blank is not None
            raise rows.refuse(int(held[blank[held]][0]), "is empty", "time", "a time in every row")
        t_ns, spaced = times_of(times, own)
        said |= dict.fromkeys(spaced)
        jumped = jumped or bool((np.diff(t_ns) < 0).any())
        for quantity in _quantities(rows, fact, own):
            channel = as_told(_channel(rows, fact, quantity, first, times.step_s), told)
            value, fault = _with_faults(rows.values[quantity][own], rows.faults[quantity][own])
            series.append(Series(channel, t_ns, value, fault))
    reasons = ("clock_jump",) if jumped else ()
    return Log(tuple(series), times.unix_ns, reasons=reasons, notes=tuple(said))


def _with_faults(value: NDArray[np.float64], fault: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """A missing value is a fault, and a fault has no value."""
    gone = np.isnan(value)
    if not gone.any() and not fault.any():
        return value, fault
    fault = np.where(gone & (fault == 0), np.int8(Fault.NOT_AVAILABLE), fault)
    return np.where(fault != 0, np.nan, value), fault


# Times


def _without_time(rows: Rows) -> NDArray[np.bool_] | None:
    """Rows that only name a channel, which has no reading."""
    time = rows.frame[next(name for name in TIMES if name in rows.frame.columns)]
    if "channel" not in rows.frame.columns or not time.null_count():
        return None
    blank = time.is_null().to_numpy()
    return blank & np.all([np.isnan(value) for value in rows.values.values()], axis=0)


def _times(rows: Rows, blank: NDArray[np.bool_] | None) -> Times:
    import polars as pl

    frame = rows.frame if blank is None else rows.frame.filter(pl.Series(~blank))
    if not frame.height:
        return Times(np.zeros(rows.frame.height, dtype=np.int64), None)
    row_of = None if blank is None else np.flatnonzero(~blank)
    name = next(one for one in TIMES if one in frame.columns)
    try:
        times = _clock(frame, name)
    except Wrong as wrong:
        row = wrong.row if row_of is None else int(row_of[wrong.row])
        raise rows.refuse(row, wrong.message, name, wrong.allowed) from None
    if row_of is None:
        return times
    t_ns = np.zeros(rows.frame.height, dtype=np.int64)
    t_ns[row_of] = times.t_ns
    return replace(times, t_ns=t_ns)


def _clock(frame: pl.DataFrame, name: str) -> Times:
    """Times of a clock of the log's own, which stamps beside it tie to UTC; else of the stamps, which are the clock."""
    import polars as pl

    stamps, unit, notes = frame["timestamp"] if "timestamp" in frame.columns else None, None, ()
    if stamps is not None and isinstance(stamps.dtype, pl.Datetime):
        notes = () if stamps.dtype.time_zone else ("'timestamp' names no time zone: taken as UTC",)
        stamps, unit = stamps.dt.timestamp("ns"), "ns"
    if name == "timestamp" and stamps is not None:
        times = read_times(stamps, name, unit)
        return replace(times, notes=(*times.notes, *notes)) if unit is None else replace(times, notes=notes)
    known = np.flatnonzero(stamps.is_not_null().to_numpy())[:1] if stamps is not None else np.zeros(0, dtype=np.int64)
    own = frame[name]
    if name == "t_ns":
        bad = (own.is_null() | (own < 0)).to_numpy()
        if bad.any():
            raise Wrong(int(np.flatnonzero(bad)[0]), "is missing or negative", "nanoseconds, 0 or more")
        times = Times(own.to_numpy(), None)
    else:
        times = read_times(own, name)
    if stamps is None or not known.size:
        return times
    at = read_times(stamps[[int(known[0])]], "timestamp", unit)
    if at.unix_ns is None:
        return times
    return Times(times.t_ns, at.unix_ns - int(times.t_ns[known[0]]), notes=at.notes if unit is None else notes)


# Channels


def _channels(rows: Rows) -> list[NDArray[np.int64]]:
    """Rows by channel, each in the order of the file; channels as they come."""
    if "device" in rows.keys and rows.frame["device"].null_count():
        row = int(np.flatnonzero(rows.frame["device"].is_null().to_numpy())[0])
        raise rows.refuse(row, "is empty", "device", "a name or number of the device in every row")
    found = rows_of_each(rows.frame.select(rows.keys)) if rows.keys else [np.arange(rows.frame.height)]
    _check_numbers(rows, np.array([own[0] for own in found]))
    return found


def _check_numbers(rows: Rows, firsts: NDArray[np.intp]) -> None:
    """One number of a channel stands for one channel."""
    if "channel" not in rows.keys:
        return
    import polars as pl

    named = rows.frame[firsts.tolist()].select(rows.keys).with_columns(pl.Series("row", firsts)).sort("row")
    for row in named.filter(pl.col("channel").is_duplicated()).iter_rows(named=True):
        other = named.filter(pl.col("channel").eq_missing(row["channel"])).row(0, named=True)
        changed = next((name for name in rows.keys if row[name] != other[name]), None)
        if changed is not None:
            message = f"changes within channel {row['channel']}: {other[changed]}, then {row[changed]}"
            raise rows.refuse(int(row["row"]), message, changed, "one value per channel")


def _quantities(rows: Rows, fact: Mapping[str, Any], own: NDArray[np.intp]) -> list[Quantity]:
    """What a channel measures: as its semantics say, else every column in which it has a value."""
    if fact.get("semantics") is not None:
        quantity: Quantity = "energy_j" if fact["semantics"] == "counter" else "power_w"
        return [quantity] if quantity in rows.values else []
    held: list[Quantity] = [one for one in VALUES if one in rows.values and not np.isnan(rows.values[one][own]).all()]
    return held or list(rows.values)[:1]


def _channel(rows: Rows, fact: Mapping[str, Any], quantity: Quantity, row: int, step_s: float) -> Channel:
    """A channel from the facts of its first row."""

    def refuse(name: str, allowed: str) -> BadInput:
        return rows.refuse(row, f"'{fact[name]}' cannot be", name, allowed)

    said = {name: fact[name] for name in FACTS if fact.get(name) is not None}
    if said.get("semantics", "instant") not in SEMANTICS:
        raise refuse("semantics", ", ".join(SEMANTICS))
    for name in NUMBERS:
        least = -1.0 if name in ("gain", "quantum", "u_time_s") else 0.0
        if name in said and not (least < said[name] <= MOST and said[name] >= 0):
            raise refuse(name, "a number, 0 or more" if least else "a number above 0, or nothing")
    try:
        scope = scope_of(said.pop("scope", None))
    except InferAtlasError as error:
        raise refuse("scope", error.allowed or "") from None
    semantics = said.pop("semantics", None)
    given = {"gain": GAINS["unknown"], "u_time_s": step_s * ROUNDED, "assumed": semantics is None, **said}
    if quantity == "energy_j":
        given["assumed"] = bool(said.get("assumed", False))
    kind = semantics or ("counter" if quantity == "energy_j" else "instant")
    return Channel(
        given.pop("source", "file"), given.pop("device", "0"), quantity, kind, scope, **given
    )  # fmt: skip
