"""One accelerator in one regime: what stands in a cell of the fitness matrix, and why it is empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.decide.advisor.judge import statistic
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.regimes import disagreement
from inferatlas.decide.regimes.measures import LOADED, Measure
from inferatlas.predict.answer import Interval
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.points import BOUNDS, Points
from inferatlas.predict.platforms import supported_engines
from inferatlas.quantities import show
from inferatlas.workload import Regime

SHOWN = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w", "tokens_per_joule")


@dataclass(frozen=True)
class Cell:
    """One accelerator in one regime. What cannot be has neither value nor grade, and ``reason`` says why.

    ``value`` is per accelerator where the regime says so; ``metrics`` are of the whole deployment. ``grades``: those
    of the ends of the interval, worse first. ``differs``: why the published grade is another one.
    """

    accelerator: str
    name: str
    architectural_class: str
    count: int | None
    value: Interval | None
    score: float | None
    grade: str | None
    reason: str
    software: dict[str, str]
    code: str | None = None
    grades: tuple[str, str] | None = None
    bound: str | None = None
    layout: dict[str, int] = field(default_factory=dict)
    weights: str | None = None
    engine: str | None = None
    concurrency: float | None = None
    metrics: dict[str, Interval | None] = field(default_factory=dict)
    label: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    paper_grade: str | None = None
    differs: str | None = None


def siblings(points: Points, i: int) -> np.ndarray:
    """The designs of the same platform and layout as design i, at every level of the load."""
    names = ("platform", "tp", "pp", "ep", "dp", "cp")
    return np.flatnonzero(np.logical_and.reduce([getattr(points, n) == getattr(points, n)[i] for n in names]))


def filled(known: Accelerator, regime: Regime, designs: Designs, measure: Measure, i: int, top: int | None) -> Cell:
    """The cell of design i, scored against design ``top``."""
    platform, points = designs.platform(i), designs.points
    value = measure.interval(i, siblings(points, i))
    best = float(measure.metric.value[top]) if top is not None else value.value

    def score(x: float) -> float:
        if measure.higher:
            return min(x / best, 1.0)
        return min(best / x, 1.0)

    grade = regime.grade(score(value.value))
    ends = sorted((score(value.low), score(value.high)))
    bound = BOUNDS[int(designs.predictions.bound[i])]
    near = platform.coefficients.closest
    cell = Cell(
        accelerator=known.id,
        name=known.name,
        architectural_class=known.architectural_class,
        count=int(points.accelerators[i]),
        value=value,
        score=score(value.value),
        grade=grade,
        reason=resource_words(bound, platform, int(points.accelerators[i])),
        software=software(known, platform),
        grades=(regime.grade(ends[0]), regime.grade(ends[1])),
        bound=bound,
        layout={n: int(getattr(points, n)[i]) for n in ("tp", "pp", "ep", "dp")},
        weights=platform.precision.weights,
        engine=platform.engine.name,
        concurrency=float(points.concurrency[i]),
        metrics={name: designs.metrics[name].at(i) for name in SHOWN},
        label=platform.label,
        evidence={"level": near.level, "points": near.points},
        paper_grade=regime.published.grades.get(known.id) if regime.published else None,
    )
    return disagreement.explained(cell, regime)


def resource_words(bound: str, platform: Platform, count: int) -> str:
    """What binds, and how much of it the deployment has.

    Examples
    --------
    >>> from inferatlas.predict.platforms import bind
    >>> resource_words("memory_bandwidth", bind("h100"), 8)
    'memory bandwidth: 8 x 3.35 TB/s of hbm'
    """
    part = platform.device
    link = part.link_bytes_per_s
    what = {
        "memory_bandwidth": f"memory bandwidth: {count} x {show(part.memory.bytes_per_s or 0.0, 'B/s')} of "
        f"{part.memory.name}",
        "compute": f"compute: {count} x {show(platform.peak_flop_per_s, 'FLOP/s')} {platform.compute}",
        "interconnect": f"interconnect: {show(link, 'B/s') if link else 'unpublished bandwidth'} a device",
        "overhead": "overhead: launches, layers' latencies and the host, not the units themselves",
        "memory_capacity": f"memory capacity: {count} x {show(part.memory.bytes, 'B')} of {part.memory.name}",
    }
    return what[bound]


def software(known: Accelerator, platform: Platform | None = None) -> dict[str, str]:
    """Engines known to run on an accelerator and how well; ``answered`` is the one behind the value."""
    usable = supported_engines(known)
    answered = {"answered": platform.engine.name} if platform else {}
    return {"level": next(iter(usable.values()), "none"), **answered, **usable}


def empty(known: Accelerator, regime: Regime, code: str, why: str) -> Cell:
    """The cell of what cannot be."""
    return disagreement.explained(
        Cell(
            known.id, known.name, known.architectural_class, None, None, None, None, why, software(known), code,
            paper_grade=regime.published.grades.get(known.id) if regime.published else None,
        ),
        regime,
    )  # fmt: skip


def why_not(designs: Designs, measure: Measure, out: Any, name: str, regime: Regime) -> tuple[str, str]:
    """Code and words for an accelerator without a value."""
    if out is not None:
        return out.code, out.detail
    index, owner = designs.accelerator_index()
    mine = np.flatnonzero((owner == index.index(name)) & designs.predictions.fits)
    if not np.isfinite(measure.metric.value[mine]).any():
        if regime.hosted > 1 and regime.metric in LOADED:
            return "no_slower_memory", "no rate of a link to the host is known, over which models could be exchanged"
        return "unknown", f"{regime.metric} is not known here: {_missing(regime.metric)}"
    for target in regime.slo:
        values = statistic(designs, target).value[mine]
        if not target.met(values).any():
            known = values[np.isfinite(values)]
            if not known.size:
                return "target", f"{target.metric} is not known here, {_missing(target.metric)}: {target.text()}"
            reached = known.min() if target.sense.startswith("<") else known.max()
            return "target", f"{target.metric} {target.statistic} is {_shown(target, reached)} at best: {target.text()}"
    return "target", "no level of concurrency meets all targets at once"


def _missing(metric: str) -> str:
    """Why a metric has no value where a design runs."""
    return "one output token has no gap" if metric.startswith("itl") else "no rated power or price with a source"


def _shown(target: Any, value: float) -> str:
    return show(float(f"{value:.3g}"), "s" if target.quantity.endswith("_s") and "per" not in target.quantity else "1")
