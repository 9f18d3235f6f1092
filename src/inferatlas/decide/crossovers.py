"""What a sweep found: points, crossovers, changes of bound, who leads where, and what is absent."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from inferatlas.decide.swept import LAYOUT, METRICS, Curve, Swept
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.points import BOUNDS


@dataclass(frozen=True)
class Crossover:
    """The best accelerator by ``metric`` changes at ``x`` (interpolated; see `crossings.Crossing`).

    ``first``: the first whole x, or the first x asked about, at which the newcomer is the best.
    """

    x: float
    before: str
    after: str
    metric: str
    x_low: float | None
    x_high: float | None
    first: float | None

    def as_dict(self) -> dict[str, Any]:
        return {"x": self.x, "from": self.before, "to": self.after, "metric": self.metric, "x_low": self.x_low,
                "x_high": self.x_high, "first": self.first}  # fmt: skip


@dataclass(frozen=True)
class BoundChange:
    """From ``x`` on something else binds the accelerator's best design by the primary metric; ``last`` before."""

    accelerator: str
    x: float
    before: str
    after: str
    last: float

    def as_dict(self) -> dict[str, Any]:
        return {"accelerator": self.accelerator, "x": self.x, "from": self.before, "to": self.after, "last": self.last}


@dataclass(frozen=True)
class Lead:
    """One accelerator is the best by a metric at every x tried from ``x_from`` to ``x_to``."""

    metric: str
    accelerator: str
    x_from: float
    x_to: float


@dataclass(frozen=True)
class Absent:
    """An accelerator has no point, or no value of ``metric``, from ``x_from`` to ``x_to``, and why."""

    accelerator: str
    x_from: float
    x_to: float
    code: str
    detail: str
    metric: str | None = None


@dataclass(frozen=True)
class Crossovers:
    """A sweep: ``curves`` holds the best of each accelerator at each x by each metric, ``found`` what they index."""

    inputs: dict[str, Any]
    x: Floats
    accelerators: list[str]
    metric: str
    curves: dict[str, Curve]
    found: Swept
    crossovers: list[Crossover]
    leads: list[Lead]
    bounds: list[BoundChange]
    assumptions: list[str]
    rejected: list[Absent]

    @property
    def over(self) -> str:
        return self.inputs["over"]

    def points(self) -> list[dict[str, Any]]:
        """For each x and accelerator the design that is best by the primary metric."""
        row = self.curves[self.metric].row
        ends = {name: _ends(self.found, name) for name in METRICS}
        names, bound = self.found.names().tolist(), self.found.bound.tolist()
        layout = {name: self.found.layout[name].tolist() for name in LAYOUT}
        count, owner = self.found.count.tolist(), self.found.platform.tolist()
        points = []
        for at, x in enumerate(self.x.tolist()):
            for i in row[:, at].tolist():
                if i < 0:
                    continue
                platform = self.found.platforms[owner[i]]
                metrics = {name: _interval(low[i], value[i], high[i]) for name, (low, value, high) in ends.items()}
                points.append(
                    {
                        "x": x, "accelerator": names[i], "metrics": metrics,
                        "layout": {name: column[i] for name, column in layout.items()}, "count": count[i],
                        "weights": platform.precision.weights, "engine": platform.engine.name,
                        "bound": BOUNDS[bound[i]], "label": platform.label,
                    }
                )  # fmt: skip
        return points

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas crossover --format json``."""
        return {
            "points": self.points(),
            "crossovers": [one.as_dict() for one in self.crossovers],
            "bounds": [one.as_dict() for one in self.bounds],
            "leads": [asdict(one) for one in self.leads],
            "inputs": self.inputs,
            "assumptions": self.assumptions,
            "rejected": [asdict(one) for one in self.rejected],
            "interval": 0.8,
        }


def _ends(found: Swept, name: str) -> tuple[list[float], list[float], list[float]]:
    metric = found.metrics[name]
    return metric.low().tolist(), metric.value.tolist(), metric.high().tolist()


def _interval(low: float, value: float, high: float) -> dict[str, float] | None:
    return {"low": low, "value": value, "high": high} if math.isfinite(value) else None
