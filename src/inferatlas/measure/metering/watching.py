"""Watch what is drawn until somebody ends it: running figures while it lasts, energies at the end."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from inferatlas.errors import BadInput
from inferatlas.measure.metering.exporter import metrics, served
from inferatlas.measure.metering.live import Live, take_all
from inferatlas.measure.metering.logs.journal import ENDING
from inferatlas.measure.metering.meter import WHOLE, Meter
from inferatlas.measure.metering.reporting import Report, report
from inferatlas.measure.metering.source import Source

LOOK_S = 0.5  # between two looks at what was read
MOST_S = 366 * 86400.0


def watch(
    sources: Sequence[str | Source],
    *,
    interval_s: float = 0.1,
    seconds: float | None = None,
    record: str | Path | None = None,
    prometheus: str | None = None,
    begun: Callable[[Meter, Sequence[Live], str | None], None] = lambda *_: None,
    look: Callable[[], None] = lambda: None,
) -> Report:
    """Read sources until the time is over, or until Ctrl-C or SIGTERM. Where the file for readings cannot be written
    at the end, the notes say so, and the energies stand.

    Parameters
    ----------
    sources, interval_s, record : as of `Meter`. seconds : how long; None for no end.
    prometheus : ``HOST:PORT`` to serve metrics on.
    begun : told of the meter, its running figures and the address of the metrics. look : called after every look.

    Raises
    ------
    BadInput : a time out of range, an address that cannot be listened on, and what `Meter` refuses.

    Examples
    --------
    >>> found = watch(["manual:400W@node_ac"], interval_s=0.01, seconds=0.1)
    >>> found.windows[0].joules > 30, found.windows[0].source
    (True, 'manual')
    """
    if seconds is not None and not 0 < seconds <= MOST_S:
        raise BadInput(f"{seconds!r} s", field="for", allowed="above 0 s and up to a year")
    with _somewhere(record) as journal:
        meter = Meter(sources, interval_s=interval_s, record=record, journal=journal)
        lives = [Live(channel) for source in meter.sources for channel in source.channels]
        registry = metrics(lives, lambda: meter.cost.cpu_s) if prometheus is not None else None
        serving = served(registry, prometheus) if registry is not None and prometheus is not None else nullcontext()
        try:
            with serving as address, meter, _told_to_end():
                begun(meter, lives, address)
                _look(meter, lives, seconds, look)
        except BadInput:
            if not meter.ended:  # else it was the file: energies stand all the same
                raise
        finally:  # of a meter that never ran: its sources
            meter.close()
        window = meter[WHOLE]
        found = report(window.energies, meter.log(), window.spans[0])
    notes = () if meter.trouble is None else (f"the readings were not kept: {meter.trouble}",)
    return replace(found, notes=(*found.notes, *notes), cost=meter.cost, refusals=meter.refusals)


@contextmanager
def _somewhere(record: str | Path | None) -> Iterator[Path | None]:
    """A file for readings of days, which do not belong into memory; where one is asked for, they stand beside it."""
    with ExitStack() as stack:
        journal = None
        if record is None:
            with suppress(OSError):  # no place for files at all: in memory then
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="inferatlas-", ignore_cleanup_errors=True)
                )
                journal = Path(folder) / f"power{ENDING}"
        yield journal


def _look(meter: Meter, lives: Sequence[Live], seconds: float | None, look: Callable[[], None]) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    seen = [0] * len(meter.sources)
    try:
        while end is None or time.monotonic() < end:
            time.sleep(LOOK_S if end is None else max(min(LOOK_S, end - time.monotonic()), 0.0))
            fresh, seen = meter.fresh(seen)
            take_all(lives, fresh)
            look()
    except KeyboardInterrupt:
        return


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM, as services get it, ends as Ctrl-C does: with everything written."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be handled
        yield
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
