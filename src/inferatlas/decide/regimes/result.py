"""What comes out of the regimes: cells, drivers and energy of each, the whole matrix, and comparisons beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.decide.regimes.cells import Cell
from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.replicas import Layout
from inferatlas.workload import Regime

HAS = ("memory_bandwidth", "compute", "memory_capacity")  # of a deployment: what goodness may follow


@dataclass(frozen=True)
class RegimeResult:
    """One regime: its cells, best first, how the values go with what the machines have (``drivers``), and energy.

    ``energy``: the accelerator with most output tokens per joule at these designs, and the rank correlation of that
    with the value (1: the same order). ``chosen``: the designs behind the cells; ``rising``: accelerators whose value
    would grow with still more requests in flight than the regime declares; ``has``: what each graded accelerator's
    value is divided by or made with, in the order of `HAS`; ``kept_bytes``: what a request holds in memory at its
    end, the cache in 16 bit (None of a model that keeps nothing); ``layers``: that a token passes.
    """

    regime: Regime
    model: str
    cells: list[Cell]
    drivers: dict[str, float | None]
    energy: dict[str, Any] = field(default_factory=dict)
    chosen: tuple[tuple[Platform, Layout], ...] = ()
    rising: tuple[str, ...] = ()
    has: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    kept_bytes: float | None = None
    layers: int = 0

    def as_dict(self) -> dict[str, Any]:
        regime = asdict(self.regime)
        regime["slo"] = [target.text() for target in self.regime.slo]
        out = {"name": self.regime.name, "metric": self.regime.metric, "better": self.regime.better}
        out |= {"model": self.model, "cells": [asdict(c) for c in self.cells], "drivers": self.drivers}
        return out | {"energy": self.energy, "declared": regime}


@dataclass(frozen=True)
class Place:
    """Where one accelerator stands for both models: among those graded for both, 1 is best.

    ``gained``: places gained from the other model to the one asked about, and between which ends the two intervals
    let that be; ``why``: what is other about its two deployments.
    """

    accelerator: str
    rank: int
    rank_against: int
    gained: Interval
    why: str

    @property
    def moved(self) -> bool:
        """Whether the intervals cannot explain the change."""
        return self.gained.low > 0 or self.gained.high < 0


@dataclass(frozen=True)
class Comparison:
    """One regime for two models: whether it has the same order.

    ``rank_correlation``: of the scores (Spearman), with its spread over accelerators drawn with replacement.
    ``independent``: 80 % of the correlations that remain if the errors of the two models had nothing in common.
    ``moved``: accelerators that change rank by more than the intervals allow, most places first; ``places``: all.
    ``drivers``, ``drivers_against``: over the accelerators graded for both.
    """

    name: str
    title: str
    model: str
    model_against: str
    compared: int
    best: str | None
    best_against: str | None
    verdict: str
    rank_correlation: Interval | None = None
    independent: tuple[float, float] | None = None
    places: tuple[Place, ...] = ()
    drivers: dict[str, float | None] = field(default_factory=dict)
    drivers_against: dict[str, float | None] = field(default_factory=dict)
    kept_bytes: float | None = None
    kept_bytes_against: float | None = None

    @property
    def moved(self) -> tuple[Place, ...]:
        return tuple(sorted((one for one in self.places if one.moved), key=lambda one: -abs(one.gained.value)))

    def as_dict(self) -> dict[str, Any]:
        out = {
            "name": self.name, "model": self.model, "model_against": self.model_against, "compared": self.compared,
            "best": self.best, "best_against": self.best_against, "verdict": self.verdict,
            "rank_correlation": asdict(self.rank_correlation) if self.rank_correlation else None,
        }  # fmt: skip
        ends = None if self.independent is None else dict(zip(("low", "high"), self.independent, strict=True))
        return out | {
            "rank_correlation_if_errors_are_independent": ends,
            "moved": [asdict(one) for one in self.moved], "places": [asdict(one) for one in self.places],
            "drivers": self.drivers, "drivers_against": self.drivers_against,
            "kept_bytes": self.kept_bytes, "kept_bytes_against": self.kept_bytes_against,
        }  # fmt: skip


@dataclass(frozen=True)
class Against:
    """The same matrix for another model, and what changes."""

    model: str
    results: list[RegimeResult]
    regimes: list[Comparison]

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "regimes": [one.as_dict() for one in self.regimes]}


@dataclass(frozen=True)
class Fitness:
    """The whole matrix; ``against``: what changes for other models, where that was asked.

    ``counterpart``: the transformer that a recurrent model may be compared with (`asking.counterpart`).
    """

    model: str
    regimes: list[RegimeResult]
    assumptions: list[str]
    against: tuple[Against, ...] = ()
    counterpart: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas regimes --format json``."""
        found = {
            "model": self.model,
            "regimes": [one.as_dict() for one in self.regimes],
            "assumptions": self.assumptions,
            "interval": 0.8,
        }
        return found | ({"against": [one.as_dict() for one in self.against]} if self.against else {})


def correlation(x: Floats, y: Floats) -> float | None:
    """Pearson's, of what is known on both sides; None of fewer than three, or where one side is all equal."""
    ok = np.isfinite(x) & np.isfinite(y)
    if ok.sum() < 3 or np.ptp(x[ok]) == 0 or np.ptp(y[ok]) == 0:
        return None
    return float(np.corrcoef(x[ok], y[ok])[0, 1])


def drivers(
    cells: Mapping[str, Cell], has: Mapping[str, tuple[float, ...]], *, higher: bool
) -> dict[str, float | None]:  # fmt: skip
    """Correlation of logarithms of goodness with what each deployment has; nothing for fewer than three of them."""
    known = [(cell.value.value, has[name]) for name, cell in cells.items() if cell.value is not None and name in has]
    if len(known) < 3:
        return {}
    goodness = np.log([value for value, _ in known]) * (1.0 if higher else -1.0)
    columns = np.log(np.array([row for _, row in known])).T
    return {name: correlation(column, goodness) for name, column in zip(HAS, columns, strict=True)}
