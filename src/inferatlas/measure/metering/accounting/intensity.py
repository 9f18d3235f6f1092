"""Carbon intensity of a grid over time, from a CSV file that the user gives: nothing of the kind is shipped.

In: a file with times and gCO2e/kWh: columns ``timestamp`` and ``gco2e_per_kwh``, or an export of Electricity Maps
(columns as in https://electricitymaps.com/data-portal/united-states-of-america). Out: an `Intensity`, which averages
over any time that it covers and refuses any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.csv_rows import csv_rows
from inferatlas.workload.workload import shown

Array = NDArray[np.float64]

MOST = 2000.0  # gCO2e/kWh; lignite, the worst of fuels, is at about 1,200 (prior)
GAP = 2.0  # median steps from which a value is not taken to hold until the next
TIMES = ("timestamp", "datetime (utc)")
# Names of columns in lower case, the preferred one first: the shipped tables are of life cycles too. The last three are
# names that Electricity Maps gave one column over the years.
VALUES = {
    "gco2e_per_kwh": "not stated",
    "carbon intensity gco2eq/kwh (life cycle)": "life cycle",
    "carbon intensity gco2eq/kwh (life cycle assessment)": "life cycle",
    "carbon intensity gco2eq/kwh (lca)": "life cycle",
    "carbon intensity gco2eq/kwh (direct)": "direct",
}
OTHERS = {"moer", "point_time"}  # of WattTime
MARGINAL = (
    "WattTime's rates are marginal and in lb/MWh (https://docs.watttime.org), and its files do not say so: multiply by "
    "0.45359237, and call the columns timestamp and gco2e_per_kwh"
)
ALLOWED = "columns timestamp and gco2e_per_kwh, or those of Electricity Maps"
_STAMP = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(Z|[-+]\d\d:?\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Intensity:
    """Carbon intensity of one grid, n values.

    Parameters
    ----------
    name : of the file. method : ``life cycle``, ``direct`` or ``not stated``.
    start_s, stop_s : shape (n,), seconds since 1970 (UTC): each value holds from the one to the other.
    gco2e_per_kwh : shape (n,). notes : what was assumed or left out on reading.
    """

    name: str
    method: str
    start_s: Array
    stop_s: Array
    gco2e_per_kwh: Array
    notes: tuple[str, ...] = ()

    def mean(self, start_s: ArrayLike, stop_s: ArrayLike) -> Array:
        """Mean intensity over each interval, in gCO2e/kWh: what constant power within it emits per kWh.

        Parameters
        ----------
        start_s, stop_s : shape (m,), seconds since 1970 (UTC), the second above the first.

        Raises
        ------
        BadInput : an interval in no order, or one that values do not cover, with the time that they lack.

        Examples
        --------
        >>> hours = Intensity("two.csv", "life cycle", np.array([0.0, 3600.0]), np.array([3600.0, 7200.0]),
        ...     np.array([100.0, 300.0]))
        >>> hours.mean([0.0, 3000.0], [7200.0, 4200.0]).tolist()
        [200.0, 200.0]
        """
        start, stop = np.asarray(start_s, dtype=np.float64), np.asarray(stop_s, dtype=np.float64)
        if start.shape != stop.shape or not np.all(start < stop):
            raise BadInput("intervals that do not end after they start", field="intensity", allowed="start before stop")
        held = self.stop_s - self.start_s
        lacking = stop - start - (self._until(stop, held) - self._until(start, held))
        if np.any(lacking > 1e-3):  # seconds since 1970 as floats are 0.2 µs apart
            first = int(np.flatnonzero(lacking > 1e-3)[0])
            raise BadInput(
                f"no value for {lacking[first]:.6g} s of {stamp(start[first])} to {stamp(stop[first])}; it has "
                f"{stamp(self.start_s[0])} to {stamp(self.stop_s[-1])}{self._gaps()}",
                field="intensity", allowed="a series that covers the window", file=self.name,
            )  # fmt: skip
        emitted = self._until(stop, held * self.gco2e_per_kwh) - self._until(start, held * self.gco2e_per_kwh)
        return emitted / (stop - start)

    def _until(self, at: Array, amounts: Array) -> Array:
        """Of amounts spread evenly over each value's time, what lies before a time."""
        so_far = np.concatenate(([0.0], np.cumsum(amounts)))
        value = np.clip(np.searchsorted(self.start_s, at, side="right") - 1, 0, len(amounts) - 1)
        share = (at - self.start_s[value]) / (self.stop_s[value] - self.start_s[value])
        return so_far[value] + amounts[value] * np.clip(share, 0.0, 1.0)

    def _gaps(self) -> str:
        return " with gaps" if np.any(self.start_s[1:] > self.stop_s[:-1]) else ""


def stamp(time_s: float) -> str:
    """Seconds since 1970 as people write them.

    Examples
    --------
    >>> stamp(1700000000.0)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(round(float(time_s)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_intensity(path: str | Path) -> Intensity:
    """Read a time series of carbon intensity.

    Each value holds until the next, the last one for a median step. Where the next is over 2 median steps away, it
    holds for one of them, and the rest is not covered. Rows may be in any order; those without a value are left out.

    Raises
    ------
    BadInput : with file and line: columns that are not known, a time or value that cannot be read or believed (below 0,
        above 2,000 gCO2e/kWh), one time twice, some times with a zone and some without; fewer than two values.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "grid.csv")
    ...     _ = path.write_text("timestamp,gco2e_per_kwh\\n2026-01-01T00:00Z,120\\n2026-01-01T01:00Z,80\\n")
    ...     series = read_intensity(path)
    >>> series.gco2e_per_kwh.tolist(), (series.stop_s - series.start_s).tolist(), series.notes
    ([120.0, 80.0], [3600.0, 3600.0], ())
    """
    path = Path(path)
    names, rows = csv_rows(path, "intensity")
    when, what, method, notes = _columns(names, path)
    utc = names[when].lower() == TIMES[1]
    times, values, zones, empty = dict[float, int](), list[float](), set[bool](), list[int]()
    for line, row in rows:
        time, zoned = _time(row[when], names[when], path, line)
        zones.add(zoned)
        if len(zones) > 1:
            message = f"{shown(row[when])} has {'a' if zoned else 'no'} zone, unlike the first row"
            raise BadInput(message, field=names[when], allowed="a zone in all or in none", file=path, line=line)
        if time in times:
            message = f"{shown(row[when])} stands in line {times[time]} as well"
            raise BadInput(message, field=names[when], allowed="each time once, one grid a file", file=path, line=line)
        if not row[what].strip():
            empty.append(line)
            continue
        times[time] = line
        values.append(_value(row[what], names[what], path, line))
    if len(times) < 2:
        raise BadInput(f"holds {len(times)} values", field="intensity", allowed="two or more", file=path)
    if zones == {False} and not utc:
        notes.append("times without a zone are taken as UTC")
    if empty:
        notes.append(f"left out: {len(empty):,} without a value, the first in line {empty[0]:,}")
    start = np.fromiter(times, np.float64)
    order = np.argsort(start)
    start = start[order]
    step = float(np.median(np.diff(start)))
    until = np.append(start[1:], start[-1] + step)
    far = until - start > GAP * step
    if np.any(far):
        first = int(np.flatnonzero(far)[0])
        notes.append(f"gaps of over {GAP * step:g} s: {np.count_nonzero(far)}, the first after {stamp(start[first])}")
    stop = np.where(far, start + step, until)
    return Intensity(path.name, method, start, stop, np.array(values)[order], tuple(notes))


def _columns(names: list[str], path: Path) -> tuple[int, int, str, list[str]]:
    """Places of the times and of the values, the method of the values, and notes."""
    lower = [name.lower().replace("₂", "2") for name in names]
    time = next((name for name in TIMES if name in lower), None)
    held = [name for name in VALUES if name in lower]
    if time is None or not held:
        hint = MARGINAL if OTHERS & set(lower) else None
        message = f"unknown columns: {', '.join(names)[:200]}"
        raise BadInput(message, field="intensity", allowed=ALLOWED, hint=hint, file=path, line=1)
    chosen, places = held[0], [lower.index(name) for name in held]
    notes = [f"read from '{names[places[0]]}', not '{names[other]}'" for other in places[1:]]
    return lower.index(time), places[0], VALUES[chosen], notes


def _time(text: str, field: str, path: Path, line: int) -> tuple[float, bool]:
    """Seconds since 1970, and whether a zone was stated."""
    match = _STAMP.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        zoned = match[1] is not None
        moment = datetime.fromisoformat(text.strip())
        return (moment if zoned else moment.replace(tzinfo=UTC)).timestamp(), zoned
    except ValueError:
        allowed = "ISO 8601, for example 2026-01-31T13:00:00Z"
        raise BadInput(f"{shown(text)} is not a time", field=field, allowed=allowed, file=path, line=line) from None


def _value(text: str, field: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST:
        allowed = f"a number from 0 to {MOST:,.0f} gCO2e/kWh"
        raise BadInput(f"{shown(text)} is no carbon intensity", field=field, allowed=allowed, file=path, line=line)
    return value
