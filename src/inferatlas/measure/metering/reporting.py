"""What is said of measured windows: energies, gross and net of idle, per request and token, footprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.errors import BadInput, called
from inferatlas.measure.metering.accounting.attribution import Per, WithIdle, baseline, per, with_idle
from inferatlas.measure.metering.accounting.footprint import Footprint, OverTime, footprint
from inferatlas.measure.metering.accounting.intensity import Intensity, read_intensity
from inferatlas.measure.metering.channel import Semantics
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.finding import Refusal
from inferatlas.measure.metering.judging import MOST_GAP_S
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.moments import extent, moment
from inferatlas.measure.metering.logs.tables import read_log
from inferatlas.measure.metering.sampler import Cost
from inferatlas.measure.metering.scope import Scope, scope_of
from inferatlas.measure.metering.windows import energies

AT_ONCE_NS = int(MOST_GAP_S * 1e9)  # what is read within so long, or within its own period, began or ended together


@dataclass(frozen=True, slots=True)
class Site:
    """Where energy is used, as the user states it, for `footprint`; ``carbon_series``: a file, see `intensity`."""

    region: str | None = None
    site: str | None = None
    pue: float | None = None
    usd_per_kwh: float | None = None
    wue_site: float | None = None
    carbon_series: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What was served in a window."""

    requests: int | None = None
    output_tokens: int | None = None

    def named(self) -> list[tuple[str, int]]:
        held = ("request", self.requests), ("output_token", self.output_tokens)
        return [(what, count) for what, count in held if count is not None]


@dataclass(frozen=True, slots=True)
class Report:
    """Energies of one window of time, one per source, scope and part, and what follows from them.

    ``idle``, ``per``, ``footprints`` are empty where they were not asked for; the latter two are of windows that are no
    part of another. ``command``, ``exit_code``, ``cost`` and
    ``refusals`` are of a live measurement. ``log`` and ``span_ns``: the readings, and the window on their clock.
    """

    windows: tuple[Energy, ...]
    idle: tuple[WithIdle, ...] = ()
    per: tuple[Per, ...] = ()
    footprints: tuple[Footprint, ...] = ()
    notes: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    exit_code: int | None = None
    cost: Cost | None = None
    refusals: tuple[Refusal, ...] = ()
    log: Log | None = field(default=None, repr=False)
    span_ns: tuple[int, int] = (0, 0)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        document: dict[str, Any] = {"windows": [one.as_dict() for one in self.windows]}
        if self.command is not None:
            document |= {"command": list(self.command), "exit_code": self.exit_code}
        if self.idle:
            document["idle"] = [one.as_dict() for one in self.idle]
        if self.per:
            document["per"] = [{"source": one.energy.source} | one.as_dict() for one in self.per]
        if self.footprints:
            document["footprints"] = [
                {"source": energy.source} | one.as_dict()
                for energy, one in zip(whole(self.windows), self.footprints, strict=True)
            ]
        if self.cost is not None:
            document["sampler"] = {
                "cpu_s": self.cost.cpu_s, "core_share": self.cost.share, "readings": self.cost.reads,
                "deadlines_missed": self.cost.missed, "latest_s": self.cost.late_s, "duration_s": self.cost.wall_s,
            }  # fmt: skip
            document["not_read"] = [{"source": one.name, "why": one.why, "hint": one.hint} for one in self.refusals]
        return document | {"notes": list(self.notes)}


def report(
    windows: Sequence[Energy],
    log: Log,
    span_ns: tuple[int, int],
    *,
    idle: Sequence[Energy] = (),
    counts: Counts = Counts(),
    site: Site = Site(),
) -> Report:
    """Put together what was asked of a window.

    Parameters
    ----------
    windows : energies over ``span_ns`` of the log. idle : energies of a marked idle time, for those of the same source,
        scope and part. counts : what was served. site : for carbon, water and cost, where a region or a price is given.

    Raises
    ------
    BadInput : what `footprint` refuses.
    """
    rest = {(one.source, one.scope, one.part): one for one in idle}
    pairs = [(one, rest[key]) for one in windows if (key := (one.source, one.scope, one.part)) in rest]
    both, notes = [], list(log.notes)
    for one, quiet in pairs:
        if quiet.valid and one.joules is not None:
            both.append(with_idle(one, baseline(quiet)))
        elif not quiet.valid:  # what was measured under load stands all the same
            notes.append(f"idle of {one.source}{one.part and ' ' + one.part} is not valid: {', '.join(quiet.reasons)}")
    each_of = whole(windows)
    each = tuple(per(one, count, what) for one in each_of for what, count in counts.named())
    prints: tuple[Footprint, ...] = ()
    if _asked(site):
        series = None if site.carbon_series is None else read_intensity(site.carbon_series)
        prints = tuple(_footprint(one, log, span_ns, site, series) for one in each_of)
    return Report(tuple(windows), tuple(both), each, prints, tuple(notes), log=log, span_ns=span_ns)


def rehearse(counts: Counts, site: Site) -> None:
    """Refuse counts and site as `report` would, before anything is measured.

    Raises
    ------
    BadInput, UnknownName : as of `per` and `footprint`.

    Examples
    --------
    >>> rehearse(Counts(requests=0), Site())
    Traceback (most recent call last):
    inferatlas.errors.BadInput: count of request: 0 in the window (allowed: above 0)
    """
    one = Energy(1.0, {}, "counter", "rehearsal", Scope.NODE_AC, 1.0, 1.0)
    for what, count in counts.named():
        per(one, count, what)
    if _asked(site):
        _footprint(one, Log(()), (0, 1), site, None)
        if site.carbon_series is not None:
            read_intensity(site.carbon_series)


def whole(windows: Sequence[Energy]) -> list[Energy]:
    """Windows that are no part of another; parts where there is nothing else."""
    return [one for one in windows if not one.part] or list(windows)


def integrated(
    path: str | Path,
    *,
    start: str | None = None,
    stop: str | None = None,
    idle: str | None = None,
    scope: str | None = None,
    semantics: Semantics | None = None,
    window_s: float | None = None,
    counts: Counts = Counts(),
    site: Site = Site(),
) -> Report:
    """Energies of a recorded log between two moments, by default all that its channels cover.

    Parameters
    ----------
    path : our own log, or one of another tool (see `tables.read_log`). start, stop : see `moments.moment`.
    idle : a span in which nothing ran, ``FROM..TO``. scope, semantics, window_s : what a plain log does not say.

    Raises
    ------
    BadInput : a file that cannot be read, moments, and what `footprint` refuses.
    """
    log = read_log(path, scope=scope_of(scope), semantics=semantics, window_s=window_s)
    span = _span(log, start, stop, path)
    quiet = () if idle is None else energies(log, *_idle_span(idle, log, path))
    return report(energies(log, *span), log, span, idle=quiet, counts=counts, site=site)


def _span(log: Log, start: str | None, stop: str | None, path: str | Path) -> tuple[int, int]:
    held = [one.t_ns for one in log.series if one.t_ns.size]
    if not held:
        raise BadInput("holds no reading", file=path)
    # channels are read one after the other: the whole is what all of them cover, but for one that came late or died
    each = [
        (int(t.min()), int(t.max()), max(AT_ONCE_NS, int(np.median(np.diff(t))) if t.size > 1 else 0)) for t in held
    ]
    a, b = min(first for first, _, _ in each), max(last for _, last, _ in each)
    begin = max(first for first, _, soon in each if first <= a + soon)
    end = min(last for _, last, soon in each if last >= b - soon)
    a = begin if start is None else moment(start, log, field="from")
    b = end if stop is None else moment(stop, log, field="to")
    if not b > a:
        raise _too_short(log, (b - a) / 1e9, "from" if stop is None and start is not None else "to", path)
    return a, b


def _too_short(log: Log, seconds: float, field: str, path: str | Path) -> BadInput:
    span = log.span_ns
    if span is not None and span[0] == span[1]:
        return BadInput("all its readings are of one moment", field="log", allowed="two moments or more", file=path)
    message = f"the window is {seconds:g} s long; {extent(log)}"
    return BadInput(message, field=field, allowed="an end after the start", file=path)


def _idle_span(text: str, log: Log, path: str | Path) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    if not dots or not first or not last:
        raise BadInput(f"'{text}' is no span of time", field="idle", allowed="FROM..TO, as in 0s..30s")
    with called("idle", "from"), called("idle", "to"):
        return _span(log, first, last, path)


def _asked(site: Site) -> bool:
    if site.region is None:
        for name in ("site", "pue", "usd_per_kwh", "wue_site", "carbon_series"):
            if getattr(site, name) is not None:
                raise BadInput("carbon and cost need the grid", field="region", allowed="--region, as in USA or FRA")
    return site.region is not None


def _footprint(
    energy: Energy, log: Log, span_ns: tuple[int, int], site: Site, series: Intensity | None
) -> Footprint:  # fmt: skip
    assert site.region is not None
    over_time, whole_of = None, True
    if series is not None and energy.joules is not None:
        over_time, whole_of = _by_interval(energy, log, span_ns, series)
    found = footprint(
        energy, region=site.region, site=site.site, pue=site.pue, wue_site=site.wue_site,
        usd_per_kwh=site.usd_per_kwh, intensity=series if over_time is not None else None, over_time=over_time,
    )  # fmt: skip
    return found if whole_of else replace(found, remarks=(*found.remarks, "mean_power_used"))


def _by_interval(
    energy: Energy, log: Log, span_ns: tuple[int, int], series: Intensity
) -> tuple[OverTime, bool]:  # fmt: skip
    """The energy of a window over the intervals of a series, which sum to the window's, and whether all were read.

    The window's mean power stands in where no reading lies in an interval.
    """
    if log.unix_ns is None:
        raise BadInput(
            "the log does not say when it was taken", field="carbon_series", allowed="a log with a timestamp column"
        )
    a, b = span_ns
    edges = np.union1d(series.start_s, series.stop_s) * 1e9 - log.unix_ns
    cuts = [a, *(int(edge) for edge in edges if a < edge < b), b]
    read = [_of_interval(energy, energies(log, *edges)) for edges in pairwise(cuts)]
    mean = (energy.joules or 0.0) / energy.duration_s * np.diff(cuts) / 1e9
    joules = np.array([own if one is None else one for one, own in zip(read, mean, strict=True)])
    times = (np.array(cuts) + log.unix_ns) / 1e9
    return OverTime(times[:-1], times[1:], joules * (energy.joules or 0.0) / joules.sum()), None not in read


def _of_interval(energy: Energy, found: Sequence[Energy]) -> float | None:
    key = energy.source, energy.scope, energy.part
    return next(one for one in found if (one.source, one.scope, one.part) == key).joules
