"""A table of what is drawn now, with a line of the last minute: drawn again and again on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferatlas.measure.metering.live import Live, spark
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

NAMES = ("source", "device", "covers", "reading", "now", "peak", "energy")
NUMBERS, DEVICE = NAMES[4:], NAMES.index("device")
SPARK, LEAST_SPARK, LEAST_DEVICE, GAP = 24, 4, 6, 2


@dataclass(frozen=True, slots=True)
class LiveTable:
    """What every channel shows, for a console of any width: numbers stay whole, names and the line make room.

    ``lives`` : running figures. ``since_s`` : how long it has been watched.
    """

    lives: Sequence[Live]
    since_s: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        yield live_table(self.lives, self.since_s, options.max_width)


def live_table(lives: Sequence[Live], since_s: float, width: int) -> Table:
    """The table within so many characters."""
    from rich.table import Table

    rows = live_cells(lives)
    widths = [max(len(name), *(len(row[n]) for row in rows), 0) for n, name in enumerate(NAMES)]
    room = width - sum(widths) - GAP * len(NAMES)
    if room < LEAST_SPARK:
        widths[DEVICE] = max(widths[DEVICE] + room - LEAST_SPARK, LEAST_DEVICE)
        room = width - sum(widths) - GAP * len(NAMES)
    table = Table(box=None, pad_edge=False, title=f"{show(since_s, 's')} · Ctrl-C ends", title_justify="left")
    for name, wide in zip(NAMES, widths, strict=True):
        table.add_column(name, justify="right" if name in NUMBERS else "left", width=wide, no_wrap=True)
    if room >= LEAST_SPARK:
        table.add_column("last minute", no_wrap=True, overflow="crop", width=min(room, SPARK))
    for live, row in zip(lives, rows, strict=True):
        table.add_row(*row, *([_last_minute(live, min(room, SPARK))] if room >= LEAST_SPARK else []))
    return table


def live_cells(lives: Sequence[Live]) -> list[tuple[str, ...]]:
    """The cells of each channel but for its line; a fault stands where its power would be.

    A device has its name, or its identity where several are called the same.

    Examples
    --------
    >>> from inferatlas.measure.metering.channel import Channel, Fault
    >>> live_cells([Live(Channel("nvml", "GPU-1", "power_w", "instant", None), fault=Fault.DEVICE_LOST)])
    [('nvml', 'GPU-1', 'unknown', 'instant', 'device lost', '—', '0 J')]
    """
    called: dict[str, set[str]] = {}
    for live in lives:
        called.setdefault(live.channel.name, set()).add(live.channel.device)
    return [_cells(live, alone=len(called[live.channel.name]) == 1) for live in lives]


def _cells(live: Live, *, alone: bool) -> tuple[str, ...]:
    one = live.channel
    scope = "unknown" if one.scope is None else one.scope.label
    now = show(live.watts, "W") if not live.fault else live.fault.code.replace("_", " ")
    return (
        one.source, (alone and one.name) or one.device, f"{scope}, {one.part}" if one.part else scope, one.semantics,
        now, NONE if live.peak_w is None else show(live.peak_w, "W"), show(live.joules, "J"),
    )  # fmt: skip


def _last_minute(live: Live, width: int) -> str:
    return spark([watts for _, watts in live.history], width)
