"""A table of what is drawn now, with a line of the last minute: drawn again and again on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferatlas.measure.metering.live import Live, spark
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE

if TYPE_CHECKING:
    from rich.table import Table

SPARK = 24


def live_table(lives: Sequence[Live], since_s: float) -> Table:
    """What every channel shows.

    Parameters
    ----------
    lives : running figures. since_s : how long it has been watched.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=f"{show(since_s, 's')} · Ctrl-C ends", title_justify="left")
    for name in ("source", "device", "covers", "reading"):
        table.add_column(name, no_wrap=name != "device", overflow="ellipsis")
    for name in ("now", "peak", "energy"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last minute", no_wrap=True)
    for live in lives:
        table.add_row(*live_cells(live))
    return table


def live_cells(live: Live) -> tuple[str, ...]:
    """The cells of a channel; a fault stands where its power would be.

    Examples
    --------
    >>> from inferatlas.measure.metering.channel import Channel, Fault
    >>> live_cells(Live(Channel("nvml", "GPU-1", "power_w", "instant", None), fault=Fault.DEVICE_LOST))
    ('nvml', 'GPU-1', 'unknown', 'instant', 'device lost', '—', '0 J', '')
    """
    one = live.channel
    scope = "unknown" if one.scope is None else one.scope.label
    now = show(live.watts, "W") if not live.fault else live.fault.code.replace("_", " ")
    return (
        one.source, one.name or one.device, f"{scope}, {one.part}" if one.part else scope, one.semantics, now,
        NONE if live.peak_w is None else show(live.peak_w, "W"), show(live.joules, "J"),
        spark([watts for _, watts in live.history], SPARK),
    )  # fmt: skip
