"""A run over time and its distributions, for pictures: read from its folder alone, and never more than some hundred
points of each, however long it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.measure.bench.metrics.flow import flow_of, in_flight, within
from inferatlas.measure.bench.metrics.gaps import CLASSES, LOW, STEP, gaps_of
from inferatlas.measure.bench.metrics.reading import REQUESTS, read_timings, stretches
from inferatlas.measure.bench.metrics.timings import Flags, Floats, Timings
from inferatlas.measure.metering.sources.asking import told_apart

BINS = 150  # of the time of a run: what the eye tells apart
POINTS = 400  # of a distribution
SPANS = "spans_s"


@dataclass(frozen=True, slots=True, eq=False)
class OverTime:
    """Means over n stretches of a run that follow each other; NaN where unknown.

    ``edges_s`` : shape (n + 1,), since the start of the run. ``in_flight``, ``output_tokens_per_s`` : shape (n,).
    ``power_w`` : shape (n,) by device, scope and part; those of one name are numbered. ``running``, ``waiting`` :
    shape (n,), requests as the engine counts them, over all endpoints; None where it was not asked or does not say.
    ``steady`` : (from, to) of the steady window; empty: there is none.
    """

    edges_s: Floats
    in_flight: Floats
    output_tokens_per_s: Floats
    power_w: dict[str, Floats]
    running: Floats | None
    waiting: Floats | None
    steady: tuple[tuple[float, float], ...]

    @property
    def middle_s(self) -> Floats:
        return (self.edges_s[1:] + self.edges_s[:-1]) / 2


def steady_spans(document: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """The steady window as `run.json` has it; empty where metrics are of the whole run.

    Examples
    --------
    >>> steady_spans({"metrics": {"window": {"kind": "steady", "spans_s": [[1.0, 9.0]]}}}), steady_spans({})
    (((1.0, 9.0),), ())
    """
    window = (document.get("metrics") or {}).get("window") or {}
    if window.get("kind") != "steady":
        return ()
    return tuple((float(low), float(high)) for low, high in window.get(SPANS) or ())


def over_time(folder: Path, document: Mapping[str, Any], bins: int = BINS) -> OverTime | None:
    """What a run did in each of ``bins`` equal stretches; None where its requests were not kept.

    Parameters
    ----------
    folder : of the record. document : its `run.json`.

    Raises
    ------
    BadInput : a table that cannot be read, with its file.
    """
    if not (folder / REQUESTS).is_file():
        return None
    load = document.get("load") or {}
    timings = read_timings(folder, load, events=False)
    spans = timings.spans()
    if not spans.size:
        return None
    edges = np.linspace(float(spans[:, 0].min()), float(spans[:, 1].max()), bins + 1)
    if edges[-1] <= edges[0]:
        return None
    flow = flow_of(timings, stretches(folder, load))
    engine = _engine(folder, edges)
    return OverTime(
        edges,
        in_flight(timings.sent_s, timings.ended_s, edges),
        flow.between(edges) / np.diff(edges) if flow.output.any() else np.full(bins, np.nan),
        _power(folder, edges),
        engine.get("running"),
        engine.get("waiting"),
        steady_spans(document),
    )


def _power(folder: Path, edges: Floats) -> dict[str, Floats]:
    import polars as pl

    file = folder / "power.parquet"
    if not file.is_file():
        return {}
    table = pl.read_parquet(file)
    which = [name for name in ("device", "scope", "part") if name in table.columns]
    parts = table.drop_nulls("power_w").partition_by(which, maintain_order=True)
    names = [str((one["name"][0] if "name" in one.columns else None) or one["device"][0]) for one in parts]
    return {
        name: _means(own["time_s"].to_numpy(), own["power_w"].to_numpy(), edges)
        for name, own in zip(told_apart(names), parts, strict=True)
    }


def _means(times: Floats, values: Floats, edges: Floats) -> Floats:
    """Mean of the readings of each stretch; one without readings has what lies between its neighbours."""
    place = np.searchsorted(edges, times, side="right") - 1
    inside = (place >= 0) & (place < edges.size - 1)
    counts = np.bincount(place[inside], minlength=edges.size - 1)
    sums = np.bincount(place[inside], values[inside], minlength=edges.size - 1)
    means = np.divide(sums, counts, out=np.full(counts.size, np.nan), where=counts > 0)
    known = np.flatnonzero(counts)
    if not known.size:
        return means
    middle = np.arange(counts.size)
    filled = np.interp(middle, known, means[known])
    return np.where((middle < known[0]) | (middle > known[-1]), np.nan, filled)


def _engine(folder: Path, edges: Floats) -> dict[str, Floats]:
    """Requests running and waiting, of all endpoints together; between two scrapes they are taken to go straight."""
    import polars as pl

    file = folder / "server.parquet"
    if not file.is_file():
        return {}
    table = pl.read_parquet(file)
    middle = (edges[1:] + edges[:-1]) / 2
    found: dict[str, Floats] = {}
    for name in ("running", "waiting"):
        if name not in table.columns:
            continue
        known = table.select("time_s", "replica", name).drop_nulls().sort("time_s")
        for own in known.partition_by("replica"):
            times, values = own["time_s"].to_numpy(), own[name].cast(pl.Float64).to_numpy()
            line = np.interp(middle, times, values, left=np.nan, right=np.nan)
            found[name] = found[name] + line if name in found else line
    return found


def latencies(folder: Path, document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Floats]:
    """Values over the requests that the metrics are over, ascending, at most `POINTS` of each with the least and most.

    Parameters
    ----------
    folder : of the record. document : its `run.json`. names : such as ``ttft_s``, ``itl_s``, ``latency_s``.

    Returns
    -------
    dict : seconds, shape (k,); metrics without any value are left out. Values stand at equal shares from 0 to 1.

    Raises
    ------
    BadInput : a table that cannot be read.
    """
    if not (folder / REQUESTS).is_file():
        return {}
    timings = read_timings(folder, document.get("load") or {}, events=False)
    chosen = _of_window(timings, steady_spans(document)) & timings.done
    found = {}
    for name in names:
        values: Floats = getattr(timings, name)[chosen]
        values = np.sort(values[np.isfinite(values)])
        if values.size > POINTS:
            values = np.quantile(values, np.linspace(0.0, 1.0, POINTS))
        if values.size:
            found[name] = values
    return found


def _of_window(timings: Timings, spans: tuple[tuple[float, float], ...]) -> Flags:
    """Requests that began in the window; all that were sent where none did, as offline, or where there is none."""
    sent = np.isfinite(timings.sent_s)
    if not spans:
        return sent
    began = sent & within(timings.clock_s, np.array(spans), sending=True)
    return began if began.any() else sent


def gap_tail(folder: Path, document: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """How many gaps between tokens are longer than so much: (seconds, share), shape (k,), both ascending in seconds.

    Parameters
    ----------
    folder : of the record. document : its `run.json`.

    Returns
    -------
    tuple : empty arrays where the times of tokens were not kept.

    Raises
    ------
    BadInput : a table that cannot be read.
    """
    nothing = np.zeros(0)
    if not (folder / REQUESTS).is_file():
        return nothing, nothing
    spans = np.array(steady_spans(document)).reshape(-1, 2)

    def arrived(at: Floats) -> Flags:
        return within(at, spans) if spans.size else np.ones(at.shape, np.bool_)

    parts = stretches(folder, document.get("load") or {})
    found = gaps_of(parts, arrived).token
    if not found.n:
        return nothing, nothing
    longer = 1.0 - np.cumsum(found.counts) / found.n
    edges = LOW * np.exp(STEP * np.arange(CLASSES + 2))  # the upper end of each class
    edges[-1] = max(found.greatest, edges[-2])
    some = np.flatnonzero(found.counts)
    at = edges[some].clip(found.least, found.greatest)
    share = longer[some]
    whole = np.concatenate([[found.least], at]), np.concatenate([[1.0], share])
    kept = whole[1] > 0.5 / found.n  # the last one has no gap beyond it
    seconds, share = whole[0][kept], whole[1][kept]
    if seconds.size > POINTS:  # evenly in the logarithm of the share, so that the tail keeps its points
        places = np.linspace(0.0, np.log(share[-1]), POINTS)
        chosen = np.unique(np.searchsorted(-np.log(share), -places).clip(0, seconds.size - 1))
        seconds, share = seconds[chosen], share[chosen]
    return seconds, share


__all__ = ["OverTime", "gap_tail", "latencies", "over_time", "steady_spans"]
