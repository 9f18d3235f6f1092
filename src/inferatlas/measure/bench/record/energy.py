"""Energy of a run's window, and power over time, from the readings that were kept beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inferatlas.measure.bench.record.journal import State
from inferatlas.measure.bench.record.tables import UNFINISHED, Clock
from inferatlas.measure.metering.energy import Energy, spans_together
from inferatlas.measure.metering.logs.journal import ENDING, read_journal
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.windows import energies

if TYPE_CHECKING:
    import polars as pl

Span = tuple[float, float]
POWER = "time_s", "device", "name", "scope", "part", "power_w"  # columns of power.parquet
UNCOVERED = 0.01  # share of a window that readings may leave out
IDLE = "idle"  # event of the journal at the end of idle time; its detail: how long that was, in s


def readings_file(folder: Path, segment: int) -> Path:
    """Where the readings of a segment are kept; while it runs, and after a kill, in a journal beside."""
    return folder / f"readings-{segment}.parquet"


def read_readings(folder: Path, segments: int) -> list[Log | None]:
    """The log of each segment; None where power was not read.

    Raises
    ------
    BadInput : a log that is damaged.
    """
    from inferatlas.measure.metering.logs.tables import read_log

    found: list[Log | None] = []
    for segment in range(segments):
        table = readings_file(folder, segment)
        journal = table.with_name(table.name + ENDING)
        if table.exists():
            found.append(read_log(table))
        else:
            found.append(read_journal(journal) if journal.exists() else None)
    return found


def energies_of(logs: Sequence[Log | None], clock: Clock, spans: Sequence[Span]) -> tuple[Energy, ...]:
    """Energy over spans of a run (seconds since it began), one per source, scope and part; accelerators first.

    Spans that no segment's readings cover make the energy invalid, never smaller.
    """
    each: list[tuple[Energy, ...]] = []
    for low, high in spans:
        for segment, log in enumerate(logs):
            begin, end = clock.bounds_s(segment)
            a, b = max(low, begin), min(high, end)
            if a >= b:
                continue
            if log is None:
                return ()
            each.append(energies(log, clock.ns(a, segment), clock.ns(b, segment)))
    if not each or len({len(one) for one in each}) != 1:
        return ()
    return tuple(spans_together(own) for own in zip(*each, strict=True))


def headline(found: Sequence[Energy]) -> Energy | None:
    """The energy that tokens are set against: a valid one, else one that covers its window; accelerators before nodes.

    Joules of a part of the window are none of it: a meter that was lost would make the tokens cheap.
    """
    known = [one for one in found if one.joules is not None and one.joules > 0]
    whole = [one for one in known if one.covered_s >= (1 - UNCOVERED) * one.duration_s]
    return next((one for one in known if one.valid), whole[0] if whole else None)


def idle_power(state: State, logs: Sequence[Log | None], of: Energy) -> float | None:
    """W that the meter of an energy showed before the first request, while nothing was asked; None: not measured."""
    for segment, t_ns, kind, detail in state.events:
        log = logs[segment] if 0 <= segment < len(logs) else None
        if kind != IDLE or log is None:
            continue
        for one in energies(log, t_ns - round(float(detail) * 1e9), t_ns):
            if (one.source, one.scope, one.part) == (of.source, of.scope, of.part):
                return one.mean_w
    return None


def write_power(folder: Path, logs: Sequence[Log | None], clock: Clock) -> None:
    """Write power.parquet: a row per reading; the power of a counter is its mean between two readings.

    ``device`` is the source with the device's identity, ``name`` what people call it, ``scope`` and ``part`` what the
    reading covers.
    """
    import polars as pl

    tables = [_power(log, clock, segment) for segment, log in enumerate(logs) if log is not None]
    schema: Any = dict.fromkeys(POWER, pl.String) | {"time_s": pl.Float64, "power_w": pl.Float64}
    table = pl.concat([pl.DataFrame(schema=schema).select(POWER), *tables]).sort("time_s", "device")
    target = folder / f"power.parquet{UNFINISHED}"
    table.write_parquet(target)
    target.replace(folder / "power.parquet")


def _power(log: Log, clock: Clock, segment: int) -> pl.DataFrame:
    import polars as pl

    schema: Any = dict.fromkeys(POWER, pl.String) | {"time_s": pl.Float64, "power_w": pl.Float64}
    tables = [pl.DataFrame(schema=schema).select(POWER)]
    for one in log.series:
        good = (one.fault == 0) & np.isfinite(one.value)
        t_ns, value = one.t_ns[good], one.value[good]
        if one.channel.semantics == "counter":
            step = np.diff(t_ns) / 1e9
            fine = (step > 0) & (np.diff(value) >= 0)
            value, t_ns = np.diff(value)[fine] / step[fine], t_ns[1:][fine]
        channel = one.channel
        scope = None if channel.scope is None else channel.scope.label
        same = (f"{channel.source}:{channel.device}", channel.name or None, scope, channel.part or None)
        columns = {"time_s": clock.all_s(t_ns, segment), "power_w": value}
        table = pl.DataFrame(columns).with_columns(
            pl.lit(value, pl.String).alias(name) for name, value in zip(POWER[1:-1], same, strict=True)
        )
        tables.append(table.select(POWER))
    return pl.concat(tables)
