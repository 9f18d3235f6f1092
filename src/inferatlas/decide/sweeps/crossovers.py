"""What a sweep found: points, crossovers, changes of bound, who leads where, and what is absent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.sweeps.swept import Curve, Swept
from inferatlas.predict.answer import Metric
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.points import BOUNDS


@dataclass(frozen=True)
class Crossover:
    """The best accelerator by ``metric`` changes at ``x`` (interpolated; see `crossings.Crossing`).

    ``first``: the first x at which the newcomer is the best, a whole number except of rates. ``how``: overtaken, or
    the former best ``ends`` there (it cannot serve beyond), or the newcomer ``begins`` (it could not before).
    """

    x: float
    before: str
    after: str
    metric: str
    x_low: float | None
    x_high: float | None
    first: float | None
    how: str

    def as_dict(self) -> dict[str, Any]:
        return {"x": self.x, "from": self.before, "to": self.after, "metric": self.metric, "x_low": self.x_low,
                "x_high": self.x_high, "first": self.first, "how": self.how}  # fmt: skip


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
    """One accelerator is the best by a metric at every x tried from ``x_from`` to ``x_to`` at which any serves."""

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

    def rows(self, at: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Rows of ``found`` that are the best by the primary metric, by x and accelerator; ``at``: only these x."""
        row = self.curves[self.metric].row.T if at is None else self.curves[self.metric].row.T[list(at)]
        return row[row >= 0]

    def metrics(self, rows: NDArray[np.int64]) -> dict[str, tuple[Floats, Floats, Floats]]:
        """Lower end, value and upper end of every metric in these rows; NaN where it is unknown."""
        found = {}
        for name, metric in self.found.metrics.items():
            one = Metric(
                *(np.broadcast_to(x, metric.value.shape)[rows] for x in (metric.value, metric.sigma, metric.most))
            )
            found[name] = (one.low(), one.value, one.high())
        return found

    def points(self, at: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """For each x and accelerator the design that is best by the primary metric."""
        found, rows = self.found, self.rows(at)
        metrics = {name: [column.tolist() for column in ends] for name, ends in self.metrics(rows).items()}
        layout = {name: column[rows].tolist() for name, column in found.layout.items()}
        xs, counts, bounds = found.x[rows].tolist(), found.count[rows].tolist(), found.bound[rows].tolist()
        points = []
        for i, owner in enumerate(found.platform[rows].tolist()):
            platform = found.platforms[owner]
            points.append(
                {
                    "x": xs[i], "accelerator": platform.device.id,
                    "metrics": {name: _interval(*(end[i] for end in ends)) for name, ends in metrics.items()},
                    "layout": {name: column[i] for name, column in layout.items()}, "count": counts[i],
                    "weights": platform.precision.weights, "engine": platform.engine.name,
                    "bound": BOUNDS[bounds[i]], "label": platform.label,
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


def _interval(low: float, value: float, high: float) -> dict[str, float] | None:
    return {"low": low, "value": value, "high": high} if math.isfinite(value) else None
