"""The fitness matrix: every accelerator in every regime, a value with its interval, a score, a grade and reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerators, load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.decide import disagreement
from inferatlas.decide.fleet import fleet, native_format
from inferatlas.decide.judge import statistic
from inferatlas.decide.search import Designs
from inferatlas.decide.swapping import swap_seconds
from inferatlas.errors import BadInput
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.arrays import Floats
from inferatlas.predict.hardware.device import Device
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.platforms import supported_engines, weight_choices
from inferatlas.workload import Regime, load_regime, regimes

ROOM = 2.0  # chips of resident machines beyond the least that serves, where only the value per chip counts
LOADED = ("ttft_s", "latency_s")  # what waits for the weights of a model that is not in memory
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


@dataclass(frozen=True)
class RegimeResult:
    """One regime: its cells, best first, and how the values go with what the machines have (``drivers``)."""

    regime: Regime
    model: str
    cells: list[Cell]
    drivers: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        regime = asdict(self.regime)
        regime["slo"] = [target.text() for target in self.regime.slo]
        out = {"name": self.regime.name, "metric": self.regime.metric, "better": self.regime.better}
        return out | {"model": self.model, "cells": [asdict(c) for c in self.cells], "drivers": self.drivers,
                      "declared": regime}  # fmt: skip


@dataclass(frozen=True)
class Fitness:
    """The whole matrix."""

    model: str
    regimes: list[RegimeResult]
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas regimes --format json``."""
        return {
            "model": self.model,
            "regimes": [one.as_dict() for one in self.regimes],
            "assumptions": self.assumptions,
            "interval": 0.8,
        }


def fitness(model: str, *, names: Sequence[str] = (), accelerator_names: Sequence[str] = ()) -> Fitness:
    """Grade accelerators in operating regimes.

    Parameters
    ----------
    model : catalogue name or path; a regime about another kind of model asks its own.
    names : regimes (names, or YAML files of one's own); none: all eight. accelerator_names : none: all.

    Raises
    ------
    BadInput, UnknownName, NotModelled.

    Examples
    --------
    >>> found = fitness("llama-3.1-8b", names=["single-stream"], accelerator_names=["h100", "groq-lpu-v1", "l4"])
    >>> [(cell.accelerator, cell.grade) for cell in found.regimes[0].cells][0][1]
    'excellent'
    """
    asked = load_model(model)
    known = _known(accelerator_names)
    chosen = [load_regime(name) for name in names] if names else regimes()
    results = [_result(regime, _model_for(regime, asked), known) for regime in chosen]
    return Fitness(asked.id, results, list(_assumptions(results)))


def _known(names: Sequence[str]) -> list[Accelerator]:
    if not names:
        return list(accelerators())
    found: dict[str, Accelerator] = {}
    for name in names:
        one = load_accelerator(name)
        if one.id in found:
            raise BadInput(f"{one.id} is named twice", field="accelerators", allowed="each accelerator once")
        found[one.id] = one
    return list(found.values())


def _model_for(regime: Regime, asked: ModelConfig) -> ModelConfig:
    """The model asked about, unless the regime is about another kind."""
    other = regime.always or (regime.kind == "moe" and asked.kind != "moe")
    return load_model(regime.model) if other and regime.model else asked


def _result(regime: Regime, model: ModelConfig, known: Sequence[Accelerator]) -> RegimeResult:
    longest = regime.input_tokens + regime.output_tokens
    if longest > model.context_length:
        why = f"requests of {longest:,.0f} tokens exceed the context of {model.id} ({model.context_length:,})"
        cells = [_empty(one, regime, "context_length", why) for one in known]
        return RegimeResult(regime, model.id, cells, {})

    def formats(asked: ModelConfig, part: Device) -> Sequence[str]:
        if not regime.weights:
            return native_format(asked, part)
        return [name for name in weight_choices(asked, part) if name in regime.weights]

    levels: dict[str, Sequence[float]] = {"concurrency": [float(level) for level in regime.concurrency]}
    designs = fleet(
        model,
        known,
        regime.workload(regime.concurrency[0]),
        levels,
        formats=formats,
        within=regime.within,
        room=ROOM if regime.per == "accelerator" else 1.0,
    )
    measure = _Measure.of(designs, regime)
    index, owner = designs.accelerator_index()
    rejected = {out.accelerator: out for out in designs.rejected}
    best = {name: i for k, name in enumerate(index) if (i := measure.best(np.flatnonzero(owner == k))) is not None}
    top = measure.top(list(best.values()))
    cells = [
        _cell(one, regime, designs, measure, best[one.id], top) if one.id in best
        else _empty(one, regime, *_why_not(designs, measure, rejected.get(one.id), one.id, regime))
        for one in known
    ]  # fmt: skip
    cells.sort(key=lambda cell: (cell.score is None, -(cell.score or 0.0), cell.accelerator))
    return RegimeResult(regime, model.id, cells, _drivers(designs, regime, measure, list(best.values())))


@dataclass(frozen=True)
class _Measure:
    """The regime's metric of every design, and the designs that meet its targets."""

    metric: Metric
    low: Floats
    high: Floats
    allowed: np.ndarray  # at the predicted values
    surely: np.ndarray  # even at the slow ends of the intervals
    perhaps: np.ndarray  # at the fast ends
    higher: bool

    @staticmethod
    def of(designs: Designs, regime: Regime) -> _Measure:
        metric = _metric(designs, regime)
        fits = designs.predictions.fits & np.isfinite(metric.value)
        allowed, surely, perhaps = fits.copy(), fits.copy(), fits.copy()
        for target in regime.slo:
            judged = statistic(designs, target)
            with np.errstate(invalid="ignore"):
                pessimistic, optimistic = (judged.high(), judged.low())[:: 1 if target.sense[0] == "<" else -1]
                allowed &= target.met(judged.value)
                surely &= target.met(pessimistic)
                perhaps &= target.met(optimistic)
        return _Measure(metric, metric.low(), metric.high(), allowed, surely, perhaps, regime.better == "higher")

    def best(self, index: np.ndarray) -> int | None:
        """The best design among some; None if none may count."""
        index = index[self.allowed[index]]
        if not index.size:
            return None
        value = self.metric.value[index]
        return int(index[np.argmax(value) if self.higher else np.argmin(value)])

    def top(self, chosen: list[int]) -> int | None:
        return self.best(np.array(chosen, dtype=np.int64)) if chosen else None

    def interval(self, i: int, same: np.ndarray) -> Interval:
        """The value of design i; with targets, from the best level that surely meets them to the one that may.

        ``same``: the designs of its accelerator and layout at other levels.
        """
        low, high = float(self.low[i]), float(self.high[i])
        if self.higher and not self.surely[same].all():
            sure, open_to = same[self.surely[same]], same[self.perhaps[same]]
            low = min(low, float(self.low[sure].max())) if sure.size else 0.0
            high = max(high, float(self.high[open_to].max()))
        return Interval(low, float(self.metric.value[i]), high)


def _metric(designs: Designs, regime: Regime) -> Metric:
    metrics = designs.metrics
    if regime.metric == "requests_per_s":
        per_token = metrics["output_tokens_per_s"]
        metric = Metric(per_token.value / designs.points.output_tokens, per_token.sigma)
    else:
        metric = metrics[regime.metric]
    if regime.hosted > 1 and regime.metric in LOADED:
        swap = swap_seconds(designs, regime.hosted)
        with np.errstate(invalid="ignore"):
            metric = Metric(metric.value + swap, metric.sigma)
    if regime.per == "accelerator":
        count = designs.points.accelerators
        metric = Metric(metric.value / count, metric.sigma, metric.most / count)
    return metric


def _cell(known: Accelerator, regime: Regime, designs: Designs, measure: _Measure, i: int, top: int | None) -> Cell:
    platform, points = designs.platform(i), designs.points
    same = np.flatnonzero(
        (points.platform == points.platform[i])
        & np.logical_and.reduce([getattr(points, n) == getattr(points, n)[i] for n in ("tp", "pp", "ep", "dp", "cp")])
    )
    value = measure.interval(i, same)
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
    from inferatlas.quantities import show

    part = platform.device
    rate = part.peaks.get(platform.compute) or next(iter(part.peaks.values()))
    link = part.link_bytes_per_s
    what = {
        "memory_bandwidth": f"memory bandwidth: {count} x {show(part.memory.bytes_per_s or 0.0, 'B/s')} of "
        f"{part.memory.name}",
        "compute": f"compute: {count} x {show(rate, 'FLOP/s')} {platform.compute}",
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


def _empty(known: Accelerator, regime: Regime, code: str, why: str) -> Cell:
    return disagreement.explained(
        Cell(
            known.id, known.name, known.architectural_class, None, None, None, None, why, software(known), code,
            paper_grade=regime.published.grades.get(known.id) if regime.published else None,
        ),
        regime,
    )  # fmt: skip


def _why_not(designs: Designs, measure: _Measure, out: Any, name: str, regime: Regime) -> tuple[str, str]:
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
    from inferatlas.quantities import show

    return show(float(f"{value:.3g}"), "s" if target.quantity.endswith("_s") and "per" not in target.quantity else "1")


def _drivers(designs: Designs, regime: Regime, measure: _Measure, chosen: list[int]) -> dict[str, float | None]:
    """Correlation (Pearson, of logarithms) of goodness with what each deployment has, over the accelerators."""
    if len(chosen) < 3:
        return {}
    index = np.array(chosen)
    parts = [designs.platform(i) for i in chosen]
    share = np.ones(len(chosen)) if regime.per == "accelerator" else designs.points.accelerators[index] * 1.0
    goodness = np.log(measure.metric.value[index]) * (1.0 if measure.higher else -1.0)
    has = {
        "memory_bandwidth": [p.device.memory.bytes_per_s or np.nan for p in parts],
        "compute": [p.device.peaks.get(p.compute, np.nan) for p in parts],
        "memory_capacity": [p.device.memory.bytes for p in parts],
    }
    return {name: _correlation(np.log(np.asarray(values) * share), goodness) for name, values in has.items()}


def _correlation(x: Floats, y: Floats) -> float | None:
    ok = np.isfinite(x) & np.isfinite(y)
    if ok.sum() < 3 or np.ptp(x[ok]) == 0 or np.ptp(y[ok]) == 0:
        return None
    return float(np.corrcoef(x[ok], y[ok])[0, 1])


def _assumptions(results: Sequence[RegimeResult]) -> Iterator[str]:
    yield "a deployment is one node, or as many whole nodes as hold the model"
    yield f"of machines with on-chip memory, per accelerator, up to {ROOM:g} times the least that serve are tried"
    yield "weights: the checkpoint's format where the part multiplies it, else 16 bit, unless the regime names formats"
    yield "the best layout and level of concurrency of each accelerator counts; scores are relative to the best shown"
    cells = [cell for one in results for cell in one.cells if cell.label]
    calibrated = sorted({cell.accelerator for cell in cells if cell.label == "predicted"})
    yield (
        f"calibrated (predicted): {', '.join(calibrated) or 'none'}; extrapolated: "
        f"{len({cell.accelerator for cell in cells}) - len(calibrated)} other accelerators"
    )
    if any(one.regime.kind == "moe" for one in results):
        yield "tokens are routed uniformly over the experts"
    if any(one.regime.hosted > 1 for one in results):
        yield "weights of models that are not in memory come over each accelerator's own link to its host"
