"""Charts of simulated runs: numbers over time, and distributions with the targets on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.show.charts.lines import Crossing, Series, lines
from inferatlas.show.charts.style import AnyChart, Axis
from inferatlas.show.charts.traces import DRAWN
from inferatlas.show.numbers import quantity
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.outcome import Outcome

Floats = NDArray[np.float64]
TIME = Axis("time", "s", None)
POINTS = DRAWN - 10


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


def memory_over_time(several: Sequence[Simulation]) -> AnyChart:
    """Share of the KV cache in use, a line per deployment."""
    shown = [
        _over_time(one.name if len(several) > 1 else "in use", one.outcome.series.bin_s, one.outcome.series.kv_used)
        for one in several
    ]
    return lines(shown, TIME, Axis("share of the KV cache in use", "1", None))


def distribution(several: Sequence[Simulation], name: str) -> AnyChart | None:
    """Share of requests with at most so much of a latency, with a rule at every target on it."""
    shown = []
    for one in several:
        values = one.outcome.curves[name]
        if values.size > 1:
            share = np.linspace(0.0, 1.0, values.size)
            shown.append(
                Series(one.name if len(several) > 1 else quantity(name)[0], one.name, values.tolist(), share.tolist())
            )
    if not shown:
        return None
    bounds: dict[float, str] = {one["bound"]: one["slo"] for it in several for one in _bounds(it, name)}
    marks = [Crossing(bound, text) for bound, text in bounds.items()]
    return lines(shown, Axis(quantity(name)[0], "s", True), Axis("share of requests", "1", None), marks)


def _bounds(found: Simulation, name: str) -> list[dict[str, Any]]:
    return [one for one in found.verdicts if f"{one['metric']}_s" == name]


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
