"""Charts of measured runs, drawn from their records: what throughput costs, distributions, tails, one run over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferatlas.catalogue.accelerators import accelerator_ids
from inferatlas.measure.bench.record.overtime import gap_tail, latencies, over_time
from inferatlas.show.bench_loads import PAIR, Load, get
from inferatlas.show.charts.curves import Curve, Panel, Spot, curves
from inferatlas.show.charts.lines import Crossing, Series, lines
from inferatlas.show.charts.strips import Line, Strip, strips
from inferatlas.show.charts.style import NAMED, PALETTE, AnyChart, Axis
from inferatlas.show.numbers import quantity
from inferatlas.workload import parse_targets

TIME = Axis("time since the start of the run", "s", None)
COSTS = ("ttft_s", "itl_s", "latency_s")
QUANTILES = ("p50", "p99")
FAR = 20.0  # a target so far beyond all values is not drawn


def cost_of_throughput(loads: Sequence[Load]) -> AnyChart | None:
    """Latencies over output tokens per second, a point per load; None with fewer than two loads."""
    some = [one for one in loads if one.values.get("output_tokens_per_s")]
    if len(some) < 2:
        return None
    sweeps = list(dict.fromkeys(one.lengths for one in some))
    panels = []
    for metric in COSTS:
        found = []
        for number, lengths in enumerate(sweeps):
            own = [one for one in some if one.lengths == lengths]
            each = QUANTILES if len(sweeps) == 1 else QUANTILES[:1]
            for place, quantile in enumerate(each):
                name = quantile if len(sweeps) == 1 else lengths or "other lengths"
                found.append(Curve(name, number if len(sweeps) > 1 else 2 * place, _spots(own, metric, quantile)))
        what = quantity(metric)[0] + ("" if len(sweeps) == 1 else ", median")
        panels.append(Panel(Axis(what, "s", None), found, _limits(some, metric)))
    return curves(Axis("output tokens/s", "1", None), panels)


def _spots(loads: Sequence[Load], metric: str, quantile: str) -> list[Spot]:
    found = []
    for one in loads:
        x, y = one.values["output_tokens_per_s"], one.values.get(f"{metric}.{quantile}")
        low, high = one.ends.get(f"{metric}.{quantile}", (None, None))
        if x is not None and y is not None:
            found.append(Spot(PAIR.sub("", one.name), x, y, low, high, sure=one.valid))
    return found


def _limits(loads: Sequence[Load], metric: str) -> list[tuple[float, str]]:
    targets = parse_targets(get(loads[0].first, "slo") or ())
    return [(one.bound, one.text()) for one in targets if one.quantity == metric]


def distribution(loads: Sequence[Load], metric: str) -> AnyChart | None:
    """Share of requests with at most so much of a latency, a line per load, with a rule at every target on it."""
    found = [(one.name, latencies(*one.runs[0], (metric,)).get(metric)) for one in chosen(loads)]
    shown = [
        _share(name, number, values.tolist())
        for number, (name, values) in enumerate(found)
        if values is not None and values.size > 1
    ]
    return _shares(shown, quantity(metric)[0], _limits(loads, metric)) if shown else None


def distributions(folder: Path, document: Mapping[str, Any]) -> AnyChart | None:
    """The same of one run: first token, pace and whole answer on one axis."""
    found = latencies(folder, document, COSTS)
    shown = [
        _share(quantity(name)[0], number, found[name].tolist())
        for number, name in enumerate(COSTS)
        if name in found and found[name].size > 1
    ]
    limits = [(one.bound, one.text()) for one in parse_targets(document.get("slo") or ()) if one.quantity in COSTS]
    return _shares(shown, "time", limits) if shown else None


def _share(name: str, number: int, values: list[float]) -> Series:
    return Series(name, hue(number), values, [n / (len(values) - 1) for n in range(len(values))])


def _shares(shown: Sequence[Series], axis: str, limits: Sequence[tuple[float, str]]) -> AnyChart:
    most = max(one.x[-1] for one in shown)
    marks = [Crossing(bound, text) for bound, text in limits if bound <= FAR * most]
    return lines(shown, Axis(axis, "s", True), Axis("share of requests", "1", None), marks)


def gaps(loads: Sequence[Load]) -> AnyChart | None:
    """Share of the gaps between tokens that are longer than so much, a line per load: stalls are at its right end."""
    shown = []
    for number, one in enumerate(chosen(loads)):
        seconds, share = gap_tail(*one.runs[0])
        if seconds.size > 1:
            shown.append(Series(one.name, hue(number), seconds.tolist(), share.tolist()))
    if not shown:
        return None
    return lines(shown, Axis("gap between tokens", "s", True), Axis("share of longer gaps", "1", None))


def timeline(folder: Path, document: Mapping[str, Any]) -> AnyChart | None:
    """One run over time: requests in flight and in the engine, tokens per second, power; its steady window shaded."""
    found = over_time(folder, document)
    if found is None:
        return None
    seen = [Line("in flight", found.in_flight.tolist())]
    for name, values in (("engine: running", found.running), ("engine: waiting", found.waiting)):
        if values is not None:
            seen.append(Line(name, values.tolist()))
    some = dict(list(found.power_w.items())[:NAMED])
    power = [Line(name, values.tolist()) for name, values in some.items()]
    return strips(
        TIME,
        found.middle_s.tolist(),
        [
            Strip(Axis("requests", "1", None), seen),
            Strip(Axis("output tokens/s", "1", None), [Line("", found.output_tokens_per_s.tolist())]),
            Strip(Axis("power", "W", None), power),
        ],
        found.steady,
    )


def chosen(loads: Sequence[Load]) -> list[Load]:
    """At most as many loads as a chart can name, evenly of all, the first and the last among them."""
    if len(loads) <= NAMED:
        return list(loads)
    return [loads[round(n * (len(loads) - 1) / (NAMED - 1))] for n in range(NAMED)]


def hue(number: int) -> str:
    """What has the colour of that place in the palette: lines are coloured by accelerator, and these have none."""
    return accelerator_ids()[number % len(PALETTE)]


__all__ = ["chosen", "cost_of_throughput", "distribution", "distributions", "gaps", "timeline"]
