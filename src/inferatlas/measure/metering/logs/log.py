"""A recorded log: readings of every channel on one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.metering.channel import Channel, Reading, Series

if TYPE_CHECKING:
    import polars as pl

NUMBERS = ("window_s", "update_s", "quantum", "wrap_j", "gain", "limit_w", "u_time_s")  # facts of a channel


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Readings, channel by channel, in the order in which they were taken.

    Parameters
    ----------
    series : one per channel; times on one clock, that of the log.
    unix_ns : what to add to those times for nanoseconds since 1970 (UTC), at the start; None where nobody says.
    remarks : codes that hold for the whole log: ``clock_step``. reasons : codes that make all of it invalid.
    notes : what was assumed or left out on reading, in sentences.
    """

    series: tuple[Series, ...]
    unix_ns: int | None = None
    remarks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(one.channel for one in self.series)

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """First and last time of any reading; None of an empty log."""
        held = [one for one in self.series if one.t_ns.size]
        if not held:
            return None
        return min(int(one.t_ns.min()) for one in held), max(int(one.t_ns.max()) for one in held)


def log_of(channels: Sequence[Channel], readings: Sequence[Reading], unix_ns: int | None = None) -> Log:
    """A log from readings at hand, in any number; ``channel`` of each counts ``channels``.

    Examples
    --------
    >>> from inferatlas.measure.metering.scope import Scope
    >>> card = Channel("file", "0", "power_w", "instant", Scope.GPU)
    >>> log = log_of([card], [Reading(0, 0, 500.0), Reading(0, 10**9, 510.0)])
    >>> log.series[0].value.tolist(), log.span_ns
    ([500.0, 510.0], (0, 1000000000))
    """
    which = np.array([one.channel for one in readings], dtype=np.int64)
    t_ns = np.array([one.t_ns for one in readings], dtype=np.int64)
    value = np.array([one.value for one in readings], dtype=np.float64)
    fault = np.array([int(one.fault) for one in readings], dtype=np.int8)
    own = [np.flatnonzero(which == n) for n in range(len(channels))]
    return Log(
        tuple(Series(channel, t_ns[at], value[at], fault[at]) for channel, at in zip(channels, own, strict=True)),
        unix_ns,
    )


def rows_of_each(keys: pl.DataFrame) -> list[NDArray[np.int64]]:
    """Rows that share all their keys: of each, where they stand, in order; those first that come first.

    Examples
    --------
    >>> import polars as pl
    >>> [rows.tolist() for rows in rows_of_each(pl.DataFrame({"device": ["b", "a", "b"], "scope": ["gpu"] * 3}))]
    [[0, 2], [1]]
    """
    varying = [name for name in keys.columns if keys.width == 1 or keys[name].n_unique() > 1]
    if not varying:
        return [np.arange(keys.height)]
    each = keys.select(varying).with_row_index("row").group_by(varying, maintain_order=True).agg("row")["row"]
    return [rows.to_numpy().astype(np.int64) for rows in each]
