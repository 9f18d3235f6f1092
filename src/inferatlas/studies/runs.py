"""Predictions of one deployment at several loads, and what two of them say about each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.catalogue.models import load_model
from inferatlas.predict.answer import Interval, Metric, metric_arrays
from inferatlas.predict.cost.economics import economics
from inferatlas.predict.loads import load_of
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.question import Asked, asked
from inferatlas.studies.common_errors import Deployed
from inferatlas.studies.exhibits import Label


@dataclass(frozen=True)
class Runs:
    """One deployment at several loads: the question of the first, points, predictions and their metrics."""

    one: Asked
    points: Points
    found: Predictions
    metrics: dict[str, Metric]

    @property
    def label(self) -> Label:
        return "predicted" if self.one.label == "predicted" else "extrapolated"

    @property
    def deployed(self) -> Deployed:
        return Deployed(self.one.ops, self.one.platform, self.points)

    @property
    def fits(self) -> NDArray[np.bool_]:
        return self.found.fits

    def at(self, metric: str, i: int) -> Interval | None:
        """The interval of a metric at load i; None where the deployment does not serve it or nothing is known."""
        return self.metrics[metric].at(i) if self.found.fits[i] else None


def runs(
    model: str, accelerator: str, *, concurrency: ArrayLike, isl: ArrayLike, osl: ArrayLike, count: int | None = None,
    clock: ArrayLike = 1.0, **served: Any,
) -> Runs:  # fmt: skip
    """Predict one deployment at several loads in one pass.

    Parameters
    ----------
    concurrency, isl, osl : requests in flight and tokens, of one length or single numbers; what images of a prompt
        take is added to ``isl``. clock : of the cores, relative to the one that was measured.
    count, served : layout, engine and formats as of `predict.question.asked`; what is left open is chosen for the
        first of the loads.

    Raises
    ------
    As of `asked`.

    Examples
    --------
    >>> found = runs("llama-3.1-8b", "nvidia-h100-sxm", concurrency=[1, 16], isl=1024, osl=256, tp=1)
    >>> found.at("itl_s", 0).value < found.at("itl_s", 1).value
    True
    """
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=float)) for x in (concurrency, isl, osl, clock)))
    flying, first, second, speed = columns
    load = load_of(load_model(model), isl=int(first[0]), osl=int(second[0]), concurrency=int(flying[0]))
    one = asked(model, accelerator, load, count=count, **served)
    seen = one.load.input_tokens - load.input_tokens  # tokens of images
    layout = one.layout
    points = make_points(
        0, tp=layout.tp, pp=layout.pp, ep=layout.ep, dp=layout.dp, cp=layout.cp, concurrency=flying,
        input_tokens=first + seen, output_tokens=second, clock=speed,
    )  # fmt: skip
    found = predict(one.ops, one.table, points)
    part = one.platform.device
    money = economics(part.id, part.architectural_class, part.node, cluster=one.accelerator.cluster)
    return Runs(one, points, found, metric_arrays(found, points, one.table, [money]))


def over(one: Interval, other: Interval) -> Interval:
    """One quantity over another, as if their errors had nothing in common: too wide rather than too narrow.

    >>> over(Interval(5.0, 10.0, 20.0), Interval(5.0, 5.0, 5.0))
    Interval(low=1.0, value=2.0, high=4.0)
    """
    value = one.value / other.value
    down = math.hypot(_log(one.value, one.low), _log(other.high, other.value))
    up = math.hypot(_log(one.high, one.value), _log(other.value, other.low))
    return Interval(value * math.exp(-down), value, value * math.exp(up))


def _log(high: float, low: float) -> float:
    return math.log(high / low) if low > 0 else math.inf


def exactly(value: float) -> Interval:
    """A number without an error: a fact, or arithmetic on facts."""
    return Interval(value, value, value)


def joint(labels: Iterable[str]) -> Label:
    """What several together are: extrapolated if one of them is."""
    return "extrapolated" if "extrapolated" in set(labels) else "predicted"
