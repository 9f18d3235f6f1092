"""Charts of simulated runs: numbers over time, and distributions with the targets on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inferatlas.show.charts.lines import Crossing, Series, lines
from inferatlas.show.charts.style import AnyChart, Axis
from inferatlas.show.numbers import quantity
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.outcome import Outcome
from inferatlas.simulate.part import LATENCY_METRICS

Floats = NDArray[np.float64]
TIME = Axis("time", "s", None)
POINTS = 100  # of a line over time: what the eye tells apart


def numbers_over_time(out: Outcome) -> AnyChart | None:
    """Requests running and waiting, with rules where the steady window begins and ends."""
    s = out.series
    several = [_over_time("running", s.bin_s, s.running), _over_time("waiting", s.bin_s, s.waiting)]
    marks = []
    if out.steady is not None:
        marks = [Crossing(out.steady["from_s"], "steady from here"), Crossing(out.steady["to_s"], "last is sent")]
    return lines(several, TIME, Axis("requests", "1", None), marks)


def flying_over_time(several: Sequence[Simulation]) -> AnyChart:
    """Requests in flight, a line per deployment."""
    shown = [_over_time(one.name, one.outcome.series.bin_s, one.outcome.series.in_flight) for one in several]
    return lines(shown, TIME, Axis("requests in flight", "1", None))


def memory_over_time(out: Outcome) -> AnyChart:
    """Share of the KV cache in use."""
    shown = [_over_time("in use", out.series.bin_s, out.series.kv_used)]
    return lines(shown, TIME, Axis("share of the KV cache in use", "1", None))


def distributions(found: Simulation) -> AnyChart | None:
    """Share of requests with at most so much of each latency, on one axis, with a rule at every target."""
    shown = [
        one for name in LATENCY_METRICS if (one := _share(quantity(name)[0], found.outcome.curves[name])) is not None
    ]
    return _with_targets(shown, "time", [found], LATENCY_METRICS)


def distribution(several: Sequence[Simulation], name: str) -> AnyChart | None:
    """Share of requests with at most so much of a latency, a line per deployment, with a rule at every target on it."""
    shown = [line for one in several if (line := _share(one.name, one.outcome.curves[name])) is not None]
    return _with_targets(shown, quantity(name)[0], several, (name,))


def _share(name: str, values: Floats) -> Series | None:
    if values.size < 2:
        return None
    return Series(name, name, values.tolist(), np.linspace(0.0, 1.0, values.size).tolist())


def _with_targets(
    shown: Sequence[Series], axis: str, several: Sequence[Simulation], names: Sequence[str]
) -> AnyChart | None:
    if not shown:
        return None
    bounds = {one["bound"]: one["slo"] for it in several for one in it.verdicts if f"{one['metric']}_s" in names}
    marks = [Crossing(bound, text) for bound, text in bounds.items()]
    return lines(shown, Axis(axis, "s", True), Axis("share of requests", "1", None), marks)


def _over_time(name: str, bin_s: float, values: Floats) -> Series:
    """A series from nothing at time 0, averaged to as many points as are drawn."""
    each = -(-values.size // POINTS)
    whole = values.size // each * each
    means = values[:whole].reshape(-1, each).mean(axis=1)
    if whole < values.size:
        means = np.append(means, values[whole:].mean())
    ends = np.minimum((np.arange(means.size) + 1.0) * each, values.size) * bin_s
    middle = ends - 0.5 * each * bin_s
    return Series(name, name, [0.0, *middle.tolist()], [0.0, *means.tolist()])
