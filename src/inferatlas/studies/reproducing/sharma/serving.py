"""One model on one accelerator under the loads that the paper's tables can mean: one stream, and a loaded server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.fleet import joined
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Interval, Metric, metric_arrays
from inferatlas.predict.cost.economics import economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import checkpoint_format, weight_choices
from inferatlas.predict.question import Asked, asked
from inferatlas.predict.replicas import points_of
from inferatlas.studies.exhibits import Label
from inferatlas.workload import Workload, make_workload

MODEL = "llama-2-70b"  # of Tables III and IV
ISL = 1024  # of Table III
OSL = 256  # the paper prints none
LEVELS = (16, 64, 256, 1024, 4096)  # requests in flight of a server that is offered more than it takes


@dataclass(frozen=True)
class Served:
    """One deployment at one load. ``metrics`` as `metric_arrays` names them, one entry."""

    one: Asked
    points: Points
    predictions: Predictions
    metrics: dict[str, Metric]

    @property
    def count(self) -> int:
        """Accelerators in all."""
        return self.one.layout.count

    @property
    def concurrency(self) -> float:
        return float(self.points.concurrency[0])

    @property
    def weights(self) -> str:
        return self.one.platform.precision.weights

    @property
    def label(self) -> Label:
        return "predicted" if self.one.label == "predicted" else "extrapolated"

    def of(self, metric: str, *, per: float = 1.0) -> Interval | None:
        """The interval of one metric, divided by ``per``; None where it is unknown."""
        found = self.metrics[metric].at()
        return None if found is None else Interval(found.low / per, found.value / per, found.high / per)

    def value(self, metric: str) -> float:
        """The metric's value, NaN where it is unknown."""
        return float(self.metrics[metric].value[0])


def served(accelerator: Accelerator, model: str, levels: Sequence[int], weights: str | None = None) -> list[Served]:
    """The fewest accelerators that hold the model, at each level of requests in flight.

    Raises
    ------
    NoFeasibleAnswer : the part does not run the format, or no number of it holds the model.
    """
    first, *others = levels
    one = asked(model, accelerator.id, _load(first), weights=weights)
    if one.table.resident[0]:  # on-chip memory is so scarce that the chips follow from the requests in flight
        every = [one, *(asked(model, accelerator.id, _load(x), weights=weights) for x in others)]
    else:
        every = [one, *(replace(one, load=_load(x), points=points_of(_load(x), [one.layout])) for x in others)]
    return _predicted(every)


def _load(level: int) -> Workload:
    return make_workload(None, isl=ISL, osl=OSL, concurrency=level)


def _predicted(every: list[Asked]) -> list[Served]:
    """Questions about one platform in one pass; those that do not fit are left out."""
    first, part = every[0], every[0].platform.device
    points = joined([one.points for one in every])
    predictions = predict(first.ops, first.table, points)
    money = economics(part.id, part.architectural_class, part.node)
    metrics = metric_arrays(predictions, points, first.table, [money])
    return [
        Served(one, points[i : i + 1], predictions[i : i + 1], {name: _at(m, i) for name, m in metrics.items()})
        for i, one in enumerate(every)
        if predictions.fits[i]
    ]


def _at(metric: Metric, i: int) -> Metric:
    most = metric.most if np.ndim(metric.most) == 0 else np.asarray(metric.most)[i : i + 1]
    return Metric(metric.value[i : i + 1], metric.sigma[i : i + 1], most)


def alone(accelerator: Accelerator, model: str = MODEL) -> Served:
    """One stream on the fewest accelerators that hold the model in its checkpoint's format.

    Examples
    --------
    >>> from inferatlas.catalogue.accelerators import load_accelerator
    >>> one = alone(load_accelerator("nvidia-b200-sxm"))
    >>> one.count, one.concurrency, one.value("output_tokens_per_s") < bandwidth_bound(one)
    (1, 1.0, True)

    Raises
    ------
    NoFeasibleAnswer : no number of them does.
    """
    found = served(accelerator, model, [1])
    if not found:
        raise NoFeasibleAnswer(f"{model} does not fit on any number of {accelerator.id}", code="memory")
    return found[0]


def loaded(accelerator: Accelerator, model: str = MODEL, *, any_format: bool = False) -> Served | None:
    """The level (and with ``any_format`` the weight format) with most output tokens per second and accelerator."""
    config, part = load_model(model), device(accelerator)
    usual = checkpoint_format(config, part)
    formats = weight_choices(config, part) if any_format else [usual] if usual else []
    found: list[Served] = []
    for weights in formats:
        try:
            found += served(accelerator, model, LEVELS, weights)
        except NoFeasibleAnswer:  # a format that its engine has no products for
            continue
    return max(found, key=lambda one: one.value("output_tokens_per_s") / one.count, default=None)


def bandwidth_bound(one: Served) -> float:
    """Tokens per second of one stream that nothing but reading all weights once a token limits.

    Ranks of a layer read at once, stages of a pipeline one after the other.
    """
    part, layout = one.one.platform.device, one.one.layout
    table = one.one.table
    weights = parameters(one.one.model).streamed * float(table.bytes_w[0])
    ranks = layout.tp if not table.resident[0] else 1
    return ranks * (part.memory.bytes_per_s or np.nan) / weights
