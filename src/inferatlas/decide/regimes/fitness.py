"""The fitness matrix: every accelerator in every regime, a value with its interval, a score, a grade and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerator_ids, accelerators_named
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.coverage import assumed_hops, coverage
from inferatlas.decide.fleet import ROOM, fleet, formats_among
from inferatlas.decide.regimes.cells import Cell, empty, filled, siblings, why_not
from inferatlas.decide.regimes.measures import Measure
from inferatlas.errors import BadInput, UnknownName
from inferatlas.inputs import several
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.precision import format_named
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.replicas import Layout
from inferatlas.workload import Regime, in_regime, load_regime
from inferatlas.workload import regimes as every_regime

GAIN = 1.05  # by the last level of concurrency, above which a value is said to be still rising


@dataclass(frozen=True)
class RegimeResult:
    """One regime: its cells, best first, how the values go with what the machines have (``drivers``), and energy.

    ``energy``: the accelerator with most output tokens per joule at these designs, and the rank correlation of that
    with the value (1: the same order). ``chosen``: the designs behind the cells; ``rising``: accelerators whose value
    would grow with still more requests in flight than the regime declares.
    """

    regime: Regime
    model: str
    cells: list[Cell]
    drivers: dict[str, float | None]
    energy: dict[str, Any] = field(default_factory=dict)
    chosen: tuple[tuple[Platform, Layout], ...] = ()
    rising: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        regime = asdict(self.regime)
        regime["slo"] = [target.text() for target in self.regime.slo]
        out = {"name": self.regime.name, "metric": self.regime.metric, "better": self.regime.better}
        out |= {"model": self.model, "cells": [asdict(c) for c in self.cells], "drivers": self.drivers}
        return out | {"energy": self.energy, "declared": regime}


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


def fitness(model: str, *, regimes: str | Iterable[str] = (), accelerators: str | Iterable[str] = ()) -> Fitness:
    """Grade accelerators in operating regimes.

    Parameters
    ----------
    model : catalogue name or path; a regime about another kind of model asks its own.
    regimes : names, or YAML files of one's own; none: all eight. accelerators : names or files; none, or ``all``: all.

    Raises
    ------
    BadInput, UnknownName, NotModelled.

    Examples
    --------
    >>> found = fitness("llama-3.1-8b", regimes="single-stream", accelerators=["h100", "groq-lpu-v1", "l4"])
    >>> [(cell.accelerator, cell.grade) for cell in found.regimes[0].cells][0][1]
    'excellent'
    """
    asked = load_model(model)
    known = accelerators_named(accelerators)
    results = [_result(regime, _model_for(regime, asked), known) for regime in _chosen(regimes, known)]
    return Fitness(asked.id, results, list(_assumptions(asked, results)))


def _chosen(names: str | Iterable[str], known: Sequence[Accelerator]) -> list[Regime]:
    """The regimes asked for, each once: answers go by their names."""
    given = [(name, load_regime(name)) for name in several(names, "regime")]
    found: dict[str, Regime] = {}
    for name, regime in given or [(one.name, one) for one in every_regime()]:
        if regime.name in found:
            raise BadInput(f"{regime.name} is named twice", field="regime", allowed="each name once, files' names too")
        try:
            _check_names(regime, known)
        except BadInput as wrong:
            raise wrong if wrong.file else in_regime(wrong, name) from None
        found[regime.name] = regime
    return list(found.values())


def _check_names(regime: Regime, known: Sequence[Accelerator]) -> None:
    """Names in a regime that the floor it is read on does not know: formats, graded accelerators, and the model."""
    for name in regime.weights:
        format_named(name)
    graded = {*accelerator_ids(), *(one.id for one in known)}
    for name in regime.published.grades if regime.published else ():
        if name not in graded:
            raise UnknownName("accelerator", name, graded, field=f"published.grades.{name}")
    other = load_model(regime.model) if regime.model is not None else None
    if other is not None and regime.kind == "moe" and other.kind != "moe":
        message = f"{other.id} is no mixture of experts, and kind is moe"
        raise BadInput(message, field="model", allowed="a mixture of experts")


def _model_for(regime: Regime, asked: ModelConfig) -> ModelConfig:
    """The model asked about, unless the regime is about another kind."""
    other = regime.always or (regime.kind == "moe" and asked.kind != "moe")
    return load_model(regime.model) if other and regime.model else asked


def _result(regime: Regime, model: ModelConfig, known: Sequence[Accelerator]) -> RegimeResult:
    operators(model)  # a model without performance model is refused before anything else is said about it
    longest = regime.input_tokens + regime.output_tokens
    if not model.holds(longest):
        why = f"requests of {longest:,.0f} tokens exceed the context of {model.id} ({model.context_length:,})"
        cells = [empty(one, regime, "context_length", why) for one in known]
        return RegimeResult(regime, model.id, cells, {})
    levels: dict[str, Sequence[float]] = {"concurrency": [float(level) for level in regime.concurrency]}
    designs = fleet(
        model,
        known,
        regime.workload(regime.concurrency[0]),
        levels,
        formats=formats_among(regime.weights),
        within=regime.within,
        room=ROOM if regime.per == "accelerator" else 1.0,
    )
    measure = Measure.of(designs, regime)
    index, owner = designs.accelerator_index()
    rejected = {out.accelerator: out for out in designs.rejected}
    best = {name: i for k, name in enumerate(index) if (i := measure.best(np.flatnonzero(owner == k))) is not None}
    top = measure.top(list(best.values()))
    cells = [
        filled(one, regime, designs, measure, best[one.id], top) if one.id in best
        else empty(one, regime, *why_not(designs, measure, rejected.get(one.id), one.id, regime))
        for one in known
    ]  # fmt: skip
    cells.sort(key=lambda cell: (cell.score is None, -(cell.score or 0.0), cell.accelerator))
    drivers = _drivers(designs, regime, measure, list(best.values()))
    chosen = tuple((designs.platform(i), designs.layout(i)) for i in best.values())
    rising = tuple(name for name, i in best.items() if _rises(designs, measure, i))
    return RegimeResult(regime, model.id, cells, drivers, _energy(cells), chosen, rising)


def _rises(designs: Designs, measure: Measure, i: int) -> bool:
    """Whether a design gains at the last level of concurrency: a value that more is better of, still growing there."""
    flying, same = designs.points.concurrency, siblings(designs.points, i)
    fewer = same[(flying[same] < flying[i]) & measure.allowed[same]]
    if not measure.higher or flying[i] < flying.max() or not fewer.size:
        return False
    return bool(measure.metric.value[i] > GAIN * measure.metric.value[fewer].max())


def _drivers(designs: Designs, regime: Regime, measure: Measure, chosen: list[int]) -> dict[str, float | None]:
    """Correlation (Pearson, of logarithms) of goodness with what each deployment has, over the accelerators."""
    if len(chosen) < 3:
        return {}
    index = np.array(chosen)
    parts = [designs.platform(i) for i in chosen]
    share = np.ones(len(chosen)) if regime.per == "accelerator" else designs.points.accelerators[index] * 1.0
    goodness = np.log(measure.metric.value[index]) * (1.0 if measure.higher else -1.0)
    has = {
        "memory_bandwidth": [p.device.memory.bytes_per_s or np.nan for p in parts],
        "compute": [p.peak_flop_per_s for p in parts],
        "memory_capacity": [p.device.memory.bytes for p in parts],
    }
    return {name: _correlation(np.log(np.asarray(values) * share), goodness) for name, values in has.items()}


def _energy(cells: Sequence[Cell]) -> dict[str, Any]:
    """Who is best by output tokens per joule, and whether that is the order of the scores."""
    known = [(c, one.value) for c in cells if c.score is not None and (one := c.metrics.get("tokens_per_joule"))]
    if not known:
        return {"best": None, "rank_correlation": None}
    per_joule = np.array([value for _, value in known])
    scores = np.array([c.score for c, _ in known])
    ranks = [np.argsort(np.argsort(x)).astype(np.float64) for x in (per_joule, scores)]
    return {"best": known[int(np.argmax(per_joule))][0].accelerator, "rank_correlation": _correlation(*ranks)}


def _correlation(x: Floats, y: Floats) -> float | None:
    ok = np.isfinite(x) & np.isfinite(y)
    if ok.sum() < 3 or np.ptp(x[ok]) == 0 or np.ptp(y[ok]) == 0:
        return None
    return float(np.corrcoef(x[ok], y[ok])[0, 1])


def _assumptions(asked: ModelConfig, results: Sequence[RegimeResult]) -> Iterator[str]:
    yield from stands_for(asked)
    given = {one.regime.name: one.regime.within for one in results if one.regime.within}
    yield from (f"in {name} a deployment has {within} accelerators" for name, within in given.items())
    if len(given) < len(results):
        others = "elsewhere " if given else ""
        yield f"{others}a deployment is one node, or as many whole nodes as hold the model"
        yield (
            f"{others}of machines with on-chip memory, per accelerator, up to {ROOM:g} times the least that serve "
            "are tried"
        )
    yield "weights: the checkpoint's format where the part runs it, else 16 bit, unless the regime names formats"
    yield "the best layout and level of concurrency of each accelerator counts; scores are relative to the best shown"
    yield coverage((cell.accelerator, cell.label) for one in results for cell in one.cells if cell.label)
    yield from assumed_hops(pair for one in results for pair in one.chosen)
    for one in (one for one in results if one.rising):
        most = max(one.regime.concurrency)
        yield (
            f"in {one.regime.name}, still gaining at {most:,} requests in flight (more might change their grade): "
            f"{', '.join(sorted(one.rising))}"
        )
    if any(one.regime.kind == "moe" for one in results):
        yield "tokens are routed uniformly over the experts"
    if any(one.regime.hosted > 1 for one in results):
        yield "weights of models that are not in memory come over each accelerator's own link to its host"
