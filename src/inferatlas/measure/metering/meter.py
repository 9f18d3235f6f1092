"""The door from Python: a meter that runs while a block runs, and windows that it measures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.energy import Energy, together
from inferatlas.measure.metering.finding import Refusal, find
from inferatlas.measure.metering.logs.journal import ENDING, Journal
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.sampler import Cost, Sampler
from inferatlas.measure.metering.source import Source
from inferatlas.measure.metering.windows import energies

WHOLE = "all"  # the window from the start of a meter to its end
PATIENCE_S = 10.0  # for a reading after the end of a window
STEP_S = 0.002


@dataclass(slots=True)
class Window:
    """A named window: the spans of time it was open in, and the energy of them together."""

    name: str
    meter: Meter
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return sum(b - a for a, b in self.spans) / 1e9

    @property
    def energies(self) -> tuple[Energy, ...]:
        """One per source, scope and part, in the order of the sources: accelerators first."""
        self.meter.wait_for(max(b for _, b in self.spans))
        log = self.meter.log(min(a for a, _ in self.spans))
        each = [energies(log, a, b) for a, b in self.spans]
        return tuple(_spans_together(own) for own in zip(*each, strict=True))

    @property
    def energy(self) -> Energy:
        """The first of `energies` that is known: that of the accelerators, where they can be read."""
        found = self.energies
        if not found:
            return Energy(None, {}, None, "none", None, self.duration_s, 0.0, reasons=("no_source",))
        return next((one for one in found if one.joules is not None), found[0])


class Meter:
    """Power and energy of this machine while a block runs.

    Parameters
    ----------
    sources : names as `power sources` lists them (``nvml``, ``redfish:https://bmc``), or open sources; by default all
        that this machine has.
    interval_s : between readings.
    record : file for the readings (.parquet or .csv). journal : file where they stand until then, so that a crash
        loses nothing and memory stays small; by default beside ``record``, or none.

    Raises
    ------
    UnknownName, Unavailable : a source that was named. BadInput : interval, or a file that cannot be written.

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

    def __enter__(self) -> Meter:
        self._sampler.start()
        self._began = time.monotonic_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take a last reading, then no more; write the file of readings, if one was asked for."""
        if self._log is not None:
            return
        ended = time.monotonic_ns()
        self._sampler.stop()
        self._log = self._sampler.log()
        self._windows[WHOLE] = Window(WHOLE, self, [(self._began, ended)])
        if self._record is not None:
            from inferatlas.measure.metering.logs.tables import write_table

            write_table(self._log, self._record)
        if (journal := self._sampler.journal) is not None and self._sampler.trouble is None:
            journal.close()
            journal.path.unlink()

    @contextmanager
    def window(self, name: str) -> Iterator[Window]:
        """Measure what happens inside; windows may lie in each other, and a name that comes again adds up."""
        if not name or name == WHOLE:
            raise BadInput(f"'{name}' names no window", field="window", allowed=f"any name but '{WHOLE}'")
        started = self._mark()
        window = self._windows.setdefault(name, Window(name, self))
        try:
            yield window
        finally:
            window.spans.append((started, self._mark()))

    def __getitem__(self, name: str) -> Window:
        if name not in self._windows or not self._windows[name].spans:
            raise UnknownName("window", name, [one for one, window in self._windows.items() if window.spans])
        return self._windows[name]

    @property
    def trouble(self) -> BadInput | None:
        """What keeps readings from the disk; they stay in memory then."""
        return self._sampler.trouble

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


def _spans_together(energies_of_spans: tuple[Energy, ...]) -> Energy:
    if len(energies_of_spans) == 1:
        return energies_of_spans[0]
    whole = together(energies_of_spans)
    return replace(
        whole,
        duration_s=sum(one.duration_s for one in energies_of_spans),
        covered_s=sum(one.covered_s for one in energies_of_spans),
        device=energies_of_spans[0].device,
        name=energies_of_spans[0].name,
        devices=(),
    )


def _checked(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if path.suffix.lower() not in (".parquet", ".pq", ".csv"):
        raise BadInput(f"'{path.name}' names no table", field="record", allowed=".parquet or .csv")
    if not path.parent.is_dir():
        raise BadInput("its folder does not exist", field="record", file=path)
    return path
