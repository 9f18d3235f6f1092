"""Evaluate every design: accelerators x precisions x layouts, in one vectorised pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerators, accelerators_named
from inferatlas.catalogue.engines import load_engine
from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import BadInput, InferAtlasError, NoFeasibleAnswer, UnknownName
from inferatlas.inputs import several
from inferatlas.predict.answer import Metric, metric_arrays
from inferatlas.predict.arrays import Ints
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.precision import format_named
from inferatlas.predict.mapping import layouts, reasons
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind, supported_engines, weight_choices
from inferatlas.predict.replicas import MOST_ACCELERATORS, Layout, load_columns
from inferatlas.workload import Workload


@dataclass(frozen=True)
class Rejected:
    """An accelerator that is out, with the reason in code and words."""

    accelerator: str
    code: str
    detail: str
    least_count: int | None = None


@dataclass(frozen=True)
class Designs:
    """Everything evaluated: points, predictions and metrics as arrays; what never became a point in ``rejected``.

    ``most``: how many of each accelerator the search could use, ``known``: what the catalogue says of it; by name.
    """

    model: ModelConfig
    workload: Workload
    ops: Operators
    table: PlatformTable
    points: Points
    predictions: Predictions
    economics: list[Economics]
    metrics: dict[str, Metric]
    rejected: list[Rejected]
    most: dict[str, int]
    known: dict[str, Accelerator] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def platform(self, i: int) -> Platform:
        return self.table.platforms[int(self.points.platform[i])]

    def layout(self, i: int) -> Layout:
        points = self.points
        return Layout(int(points.tp[i]), int(points.pp[i]), int(points.ep[i]), int(points.dp[i]))

    def accelerator_index(self) -> tuple[list[str], NDArray[np.int32]]:
        """Names of the accelerators in use, and which of them each point is on."""
        names = sorted({p.device.id for p in self.table.platforms})
        of_platform = np.array([names.index(p.device.id) for p in self.table.platforms], dtype=np.int32)
        return names, of_platform[self.points.platform]


@dataclass(frozen=True)
class Limits:
    """What the search may use. ``accelerators``: names or files (None or ``all``: the whole catalogue).

    A bare name is one name; formats are held as they are written in the table of formats.

    Raises
    ------
    BadInput : ``max_count`` is not a whole number from 1 to 1,024; an empty name. UnknownName : a format.
    """

    accelerators: str | Sequence[str] | None = None
    vendors: str | Sequence[str] | None = None
    engine: str | None = None
    weights: str | Sequence[str] | None = None
    kv_cache: str | None = None
    max_count: int = 64
    price: float | None = None
    region: str = "USA"
    site: str = "AWS"
    utilisation: float = 1.0

    def __post_init__(self) -> None:
        given = {
            "accelerators": several(self.accelerators, "accelerator"),
            "vendors": several(self.vendors, "vendor"),
            "weights": tuple(format_named(name) for name in several(self.weights, "weights")),
            "kv_cache": format_named(self.kv_cache, "kv_cache") if self.kv_cache else None,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value or None)
        if not 1 <= self.max_count <= MOST_ACCELERATORS or self.max_count != int(self.max_count):
            raise BadInput(f"{self.max_count} accelerators", field="max_count", allowed=f"1 to {MOST_ACCELERATORS}")


def evaluate(model: ModelConfig, workload: Workload, limits: Limits) -> Designs:
    """Predict every legal design within the limits; there may be none, and then every accelerator is rejected.

    Raises
    ------
    NotModelled : the model has no performance model yet.
    UnknownName : an accelerator, vendor, engine, region or site. BadInput : an accelerator named twice.
    """
    ops = operators(model)
    platforms, costs, rejected = [], [], []
    shapes: list[layouts.Layouts] = []
    most: dict[str, int] = {}
    parts: dict[str, Accelerator] = {}
    asked = accelerators_named(limits.accelerators)
    _check_vendors(limits, asked)
    vendors = {vendor.lower() for vendor in limits.vendors or ()}
    for known in asked:
        if vendors and known.vendor.lower() not in vendors:
            rejected.append(Rejected(known.id, "vendor", f"{known.vendor} is not among the vendors asked for"))
            continue
        try:
            found = _platforms(known, model, limits)
        except NoFeasibleAnswer as error:
            rejected.append(Rejected(known.id, error.code, str(error)))
            continue
        part = found[0].device
        parts[part.id] = known
        most[part.id] = min(limits.max_count, known.cluster.count if known.cluster else limits.max_count)
        shape = layouts.enumerate_layouts(ops, part, most[part.id])
        if not len(shape):
            rejected.append(Rejected(known.id, "layout", reasons.DETAILS[reasons.HEADS]))
            continue
        money = economics(
            part.id,
            part.architectural_class,
            part.node,
            price=limits.price,
            region=limits.region,
            site=limits.site,
            utilisation=limits.utilisation,
            cluster=known.cluster,
        )
        for platform in found:
            platforms.append(platform)
            costs.append(money)
            shapes.append(shape)
    table = platform_table(platforms, is_moe=bool(ops.experts))
    owner = np.repeat(np.arange(len(platforms), dtype=np.int32), [len(s) for s in shapes])
    points = make_points(
        owner,
        tp=_joined([s.tp for s in shapes]),
        pp=_joined([s.pp for s in shapes]),
        ep=_joined([s.ep for s in shapes]),
        dp=_joined([s.dp for s in shapes]),
        **load_columns(workload),
    )
    predictions = predict(ops, table, points, checked=True, dtype=np.float32)
    metrics = metric_arrays(predictions, points, table, costs)
    return Designs(model, workload, ops, table, points, predictions, costs, metrics, rejected, most, parts)


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)


def _check_vendors(limits: Limits, asked: Sequence[Accelerator]) -> None:
    here = {known.vendor.lower() for known in asked}
    for vendor in limits.vendors or ():
        if vendor.lower() not in here and vendor.lower() not in (
            everywhere := here | {known.vendor.lower() for known in accelerators()}
        ):
            raise UnknownName("vendor", vendor, everywhere)


def _platforms(known: Accelerator, model: ModelConfig, limits: Limits) -> list[Platform]:
    """All platforms of one accelerator within the limits; raises the last reason if there is none."""
    part = device(known)
    if limits.engine and load_engine(limits.engine).id not in supported_engines(known):
        # bind() words the refusal with what would be allowed
        return [bind(known, limits.engine, model=model)]
    found: list[Platform] = []
    last: InferAtlasError | None = None
    for weights in limits.weights or weight_choices(model, part):
        try:
            found.append(bind(known, limits.engine, weights, kv_cache=limits.kv_cache, model=model))
        except NoFeasibleAnswer as error:
            last = error
    if not found:
        raise last or NoFeasibleAnswer(f"{known.id} has no weight format to try", code="precision", field="weights")
    return found
