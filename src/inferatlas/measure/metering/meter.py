"""The door from Python: a meter that runs while a block runs, and windows that it measures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.energy import Energy, spans_together
from inferatlas.measure.metering.finding import Refusal, find
from inferatlas.measure.metering.logs.journal import ENDING, Journal
from inferatlas.measure.metering.logs.log import Log, log_of
from inferatlas.measure.metering.sampler import PATIENCE_S, Cost, Sampler
from inferatlas.measure.metering.source import Source
from inferatlas.measure.metering.windows import energies

WHOLE = "all"  # the window from the start of a meter to its end
STEP_S = 0.002


@dataclass(slots=True)
class Window:
    """A named window: the spans of time it was open in, and the energy of them together.

    Spans that overlap, as windows of one name in several threads do, are one: the time in which any of them was open.
    """

    name: str
    meter: Meter
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def open_ns(self) -> list[tuple[int, int]]:
        """Its spans in order, each moment once."""
        found: list[tuple[int, int]] = []
        for a, b in sorted(self.spans):
            if found and a <= found[-1][1]:
                found[-1] = found[-1][0], max(b, found[-1][1])
            else:
                found.append((a, b))
        return found

    @property
    def duration_s(self) -> float:
        return sum(b - a for a, b in self.open_ns) / 1e9

    @property
    def energies(self) -> tuple[Energy, ...]:
        """One per source, scope and part, in the order of the sources: accelerators first.

        Raises
        ------
        BadInput : the window is open for the first time.
        """
        if not self.spans:
            raise BadInput(f"'{self.name}' is still open", field="window", allowed="its energy, once it is closed")
        spans = self.open_ns
        self.meter.wait_for(spans[-1][1])
        log = self.meter.log(spans[0][0])
        each = [energies(log, a, b) for a, b in spans]
        return tuple(spans_together(own) for own in zip(*each, strict=True))

    @property
    def energy(self) -> Energy:
        """The first of `energies` that is known: that of the accelerators, where they can be read."""
        found = self.energies
        if not found:
            return Energy(None, {}, None, "none", None, self.duration_s, 0.0, reasons=("no_source",))
        return next((one for one in found if one.joules is not None), found[0])


class Meter:
    """Power and energy of this machine while a block runs, once. Every source was read when the block begins.

    A copy of it in another process, as ``fork`` leaves it, measures nothing and writes nothing.

    Parameters
    ----------
    sources : names as `power sources` lists them (``nvml``, ``redfish:https://bmc``), or open sources; by default all
        that this machine has.
    interval_s : between readings.
    record : file for the readings (.parquet or .csv). journal : file where they stand until then, so that a crash
        loses nothing and memory stays small; by default beside ``record``, or none.

    Raises
    ------
    UnknownName, Unavailable : a source that was named. BadInput : interval, a file that cannot be written (at the end
        the energies stand all the same, and the readings in the journal, if one was written), a second use.

    Examples
    --------
    >>> with Meter(["manual:400W@node_ac"], interval_s=0.01) as meter:
    ...     with meter.window("decode"):
    ...         time.sleep(0.05)
    >>> energy = meter["decode"].energy
    >>> energy.method, energy.scope.label, 350 < energy.mean_w < 450
    ('instant', 'node_ac', True)
    """

    def __init__(
        self,
        sources: Sequence[str | Source] = (),
        *,
        interval_s: float = 0.1,
        record: str | Path | None = None,
        journal: str | Path | None = None,
    ) -> None:
        self._record = None if record is None else _checked(record)
        named = [one for one in sources if isinstance(one, str)]
        opened = [one for one in sources if not isinstance(one, str)]
        found = find(named) if named or not opened else None
        self.refusals: tuple[Refusal, ...] = found.refusals if found else ()
        self.sources: tuple[Source, ...] = (*(found.sources if found else ()), *opened)
        if journal is None and self._record is not None:
            journal = self._record.with_name(self._record.name + ENDING)
        self._sampler = Sampler(self.sources, interval_s, None if journal is None else Journal(journal))
        self._windows: dict[str, Window] = {}
        self._log: Log | None = None
        self._began: int | None = None
        self._refused: BadInput | None = None

    def __enter__(self) -> Meter:
        self._sampler.start()
        try:
            self.wait_for(0)  # a window that begins now lies between two readings
        except BaseException:
            self._sampler.stop()
            raise
        self._began = time.monotonic_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except BadInput:
            if kind is None:  # else what the block raised matters more; `trouble` tells of the file
                raise

    def close(self) -> None:
        """Take a last reading, then no more; write the file of readings, if one was asked for.

        Raises
        ------
        BadInput : the file cannot be written.
        """
        if self._log is not None or self._sampler.forked:
            return
        ended = time.monotonic_ns()
        self._sampler.stop()
        if self._began is None:  # it never ran
            self._log = log_of(self._sampler.channels, ())
            return
        self._log = self._sampler.log()
        self._windows[WHOLE] = Window(WHOLE, self, [(self._began, max(ended, self._began + 1))])
        try:
            self._keep(self._log)
        except BadInput as error:
            self._refused = error
            raise

    def _keep(self, log: Log) -> None:
        """Write the table; the journal goes when it is whole, and stays where it is not."""
        journal = self._sampler.journal
        try:
            if self._record is not None:
                from inferatlas.measure.metering.logs.tables import write_table

                write_table(log, self._record)
        except Exception as error:  # whatever it was: energies stand, and what is on the disk stays
            refused = error if isinstance(error, BadInput) else _unwritable(self._record, error)
            if journal is not None and journal.path.exists():
                some = "the readings" if self._sampler.trouble is None else "the readings until the disk refused"
                refused.hint = f"{some} are in {journal.path}"
            raise refused from None
        else:
            if journal is not None:
                with suppress(OSError):  # the table holds all of it
                    journal.path.unlink()
        finally:
            if journal is not None:
                with suppress(BadInput):
                    journal.close()

    @contextmanager
    def window(self, name: str) -> Iterator[Window]:
        """Measure what happens inside; windows may lie in each other, and a name that comes again adds up.

        Raises
        ------
        BadInput : no name, or that of the whole; a meter that does not run yet.
        """
        if not name or name == WHOLE:
            raise BadInput(f"'{name}' names no window", field="window", allowed=f"any name but '{WHOLE}'")
        if self._began is None:
            raise BadInput("the meter does not run yet", field="window", allowed="with Meter() as meter: ...")
        window = self._windows.setdefault(name, Window(name, self))
        started = self._mark()
        try:
            yield window
        finally:
            window.spans.append((started, max(self._mark(), started + 1)))

    def __getitem__(self, name: str) -> Window:
        if name not in self._windows or not self._windows[name].spans:
            raise UnknownName("window", name, [one for one, window in self._windows.items() if window.spans])
        return self._windows[name]

    @property
    def ended(self) -> bool:
        """Whether it ran, and takes no more readings."""
        return WHOLE in self._windows

    @property
    def trouble(self) -> BadInput | None:
        """What keeps readings from the disk; they stay in memory then. At the end: why the file was not written."""
        return self._refused if self.ended else self._sampler.trouble

    @property
    def cost(self) -> Cost:
        """What sampling took."""
        return self._sampler.cost()

    def log(self, since_ns: int | None = None) -> Log:
        """All readings so far; or those from a time (``time.monotonic_ns``) on, with some before it."""
        return self._log or self._sampler.log(since_ns)

    def fresh(self, seen: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """As `Sampler.fresh`."""
        return self._sampler.fresh(seen)

    def wait_for(self, t_ns: int) -> None:
        """Wait, while the meter runs, until every source was read after a time."""
        until = time.monotonic() + PATIENCE_S
        while self._log is None and not self._sampler.read_since(t_ns) and time.monotonic() < until:
            time.sleep(STEP_S)

    def _mark(self) -> int:
        """This moment, with readings of all sources close to it."""
        now = time.monotonic_ns()
        self._sampler.now()
        return now


def _unwritable(path: Path | None, error: Exception) -> BadInput:
    return BadInput(f"cannot be written: {error}", field="record", file=path)


def _checked(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if path.suffix.lower() not in (".parquet", ".pq", ".csv"):
        raise BadInput(f"'{path.name}' names no table", field="record", allowed=".parquet or .csv")
    if not path.parent.is_dir():
        raise BadInput("its folder does not exist", field="record", file=path)
    return path
