"""Every accelerator at the size a model needs: one node, or as many whole nodes as hold it, in all layouts.

Comparing machines needs a common measure of "one deployment". A node is what is bought; where a node does not
hold the model, nodes are doubled until they do. Machines that keep a model in on-chip memory take whole nodes of
chips, from what serves it up to a multiple of that. A number of accelerators may be given instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.decide.advisor.search import Designs, Rejected
from inferatlas.decide.advisor.why_not import too_large
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import metric_arrays
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.hardware.device import Device, device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping import layouts, reasons
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import PlatformTable, platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind, checkpoint_format, weight_choices
from inferatlas.predict.replicas import MOST_ACCELERATORS
from inferatlas.workload import Workload

ROOM = 2.0  # chips of resident machines beyond the least that serves, where only the value per chip counts
Formats = Callable[[ModelConfig, Device], Sequence[str]]
Levels = Mapping[str, Sequence[float]]  # columns of `make_points`, all of one length


def formats_among(names: Sequence[str]) -> Formats:
    """Formats to try on a part: those of ``names`` that it runs; without names the one that it would be served in."""

    def choices(model: ModelConfig, part: Device) -> Sequence[str]:
        if names:
            return [name for name in weight_choices(model, part) if name in names]
        usual = checkpoint_format(model, part)
        return [usual] if usual else []

    return choices


@dataclass(frozen=True)
class Bound:
    """Platforms to try, what they cost, and accelerators that are out already; for several loads of `fleet`."""

    platforms: list[Platform]
    most: list[int]  # accelerators of each
    costs: list[Economics]
    rejected: list[Rejected]
    table: PlatformTable


def fleet(
    model: ModelConfig, known: Sequence[Accelerator], workload: Workload, levels: Levels, *,
    formats: Formats | None = None, within: int | None = None, room: float = 1.0, bound: Bound | None = None,
) -> Designs:  # fmt: skip
    """Predict every accelerator at its size, in every layout and format, at every level of the load.

    Parameters
    ----------
    workload : lengths that the levels do not give, and their spread.
    levels : columns of equal length that vary: ``concurrency`` or ``request_rate``, ``input_tokens``, ...
    formats : weight formats to try on a part; None: the one that it would be served in.
    within : accelerators in all, instead of whole nodes.
    bound : what `bind_all` made of the same model, accelerators, formats and number, where several loads are asked.
    room : sizes of resident machines go from the least that serves up to so many times that.

    Returns
    -------
    Designs; accelerators that cannot serve the model at any size and level are in ``rejected`` with the reason.

    Raises
    ------
    NotModelled : the model has no performance model yet.
    """
    ops = operators(model)
    bound = bound or bind_all(model, known, formats or formats_among(()), within)
    table = bound.table
    sizes = {i: _sizes(ops, p.device, bound.most[i], within) for i, p in enumerate(bound.platforms)}
    parts: list[tuple[Points, Predictions]] = []
    why: dict[int, int] = {}
    tried: dict[int, int] = {}  # the largest size
    while sizes:
        shapes = {i: shape for i, more in sizes.items() if (shape := next(more, None)) is not None}
        sizes = {i: sizes[i] for i in shapes}
        if not shapes:
            break
        tried |= {i: int(shape.count.max()) for i, shape in shapes.items() if len(shape)}
        points = _points(shapes, workload, levels)
        predictions = predict(ops, table, points, checked=True, dtype=np.float32)
        done = np.bincount(points.platform, predictions.fits, len(bound.platforms)) > 0
        keep = np.flatnonzero(done[points.platform] & _in_room(table, points, predictions, room))
        parts.append((points[keep], predictions[keep]))
        codes = {i: predictions.reason[points.platform == i] for i in shapes if not done[i]}
        why |= {i: reasons.nearest(found) if found.size else reasons.HEADS for i, found in codes.items()}
        sizes = {i: more for i, more in sizes.items() if not done[i]}
    if not parts:  # every accelerator is out already: no point, and all the reasons
        none = make_points(np.zeros(0), concurrency=1.0, input_tokens=1.0, output_tokens=1.0)
        parts.append((none, predict(ops, table, none)))
    points, predictions = joined([p for p, _ in parts]), joined([p for _, p in parts])
    metrics = metric_arrays(predictions, points, table, bound.costs)
    out = [_never(ops, bound, of, why, tried, workload, levels, within) for of in _without(bound.platforms, points)]
    rejected = [*bound.rejected, *out]
    most = {p.device.id: m for p, m in zip(bound.platforms, bound.most, strict=True)}
    return Designs(model, workload, ops, table, points, predictions, bound.costs, metrics, rejected, most)


def bind_all(model: ModelConfig, known: Sequence[Accelerator], formats: Formats, within: int | None = None) -> Bound:
    """Every accelerator in every format to try, and why some are out; parameters as of `fleet`.

    Raises
    ------
    NotModelled : the model has no performance model yet.
    """
    platforms: list[Platform] = []
    most: list[int] = []
    costs: list[Economics] = []
    rejected: list[Rejected] = []
    for one in known:
        try:
            part = device(one)
            found = _platforms(one, model, formats(model, part))
            count = one.cluster.count if one.cluster else MOST_ACCELERATORS
            if within and within > count:
                raise NoFeasibleAnswer(f"{within} accelerators are more than the {count} there are", code="count")
        except NoFeasibleAnswer as error:
            rejected.append(Rejected(one.id, error.code, str(error)))
            continue
        cost = economics(part.id, part.architectural_class, part.node, cluster=one.cluster)
        platforms.extend(found)
        most.extend([count] * len(found))
        costs.extend([cost] * len(found))
    table = platform_table(platforms, is_moe=bool(operators(model).experts))
    return Bound(platforms, most, costs, rejected, table)


def _platforms(known: Accelerator, model: ModelConfig, formats: Sequence[str]) -> list[Platform]:
    """One accelerator in each format that it takes; raises the last reason if there is none."""
    found: list[Platform] = []
    last = NoFeasibleAnswer("none of the formats asked for is multiplied here", code="precision")
    for weights in formats:
        try:
            found.append(bind(known, None, weights, model=model))
        except NoFeasibleAnswer as error:
            last = error
    if not found:
        raise last
    return found


def _sizes(ops: Operators, part: Device, most: int, within: int | None) -> Iterator[layouts.Layouts]:
    """Layouts of one size after another, smallest first; of resident machines all sizes at once."""
    node = min(part.node, most)
    if layouts.is_resident(part):
        chips = np.array([within] if within else range(node, most + 1, node), dtype=np.int32)
        one = np.ones_like(chips)
        yield layouts.Layouts(one, chips, one, one, one)
        return
    count = within or node
    while count <= most:
        yield layouts.layouts_of(ops, part, count)
        if within:
            return
        count *= 2


def _points(shapes: dict[int, layouts.Layouts], workload: Workload, levels: Levels) -> Points:
    """Every layout of every platform at every level."""
    n = len(next(iter(levels.values())))
    columns: dict[str, Any] = {"platform": np.repeat(list(shapes), [len(s) * n for s in shapes.values()])}
    for name in ("tp", "pp", "ep", "dp", "cp"):
        columns[name] = np.repeat(np.concatenate([getattr(s, name) for s in shapes.values()]), n)
    times = len(columns["tp"]) // n
    lengths = {"input_tokens": workload.input_tokens, "output_tokens": workload.output_tokens}
    columns |= lengths | {name: np.tile(np.asarray(column, dtype=np.float64), times) for name, column in levels.items()}
    return make_points(**columns, input_cv=workload.input_cv, output_cv=workload.output_cv)


def _in_room(table: PlatformTable, points: Points, predictions: Predictions, room: float) -> np.ndarray:
    """Of resident machines, the sizes from the least that serves up to ``room`` times that; of others, all."""
    resident = table.resident[points.platform]
    least = np.full(len(table.platforms), np.iinfo(np.int32).max)
    served = np.flatnonzero(resident & predictions.fits)
    np.minimum.at(least, points.platform[served], points.pp[served])
    chips, first = points.pp, least[points.platform]
    return ~resident | ((chips >= first) & (chips <= room * first))


T = TypeVar("T", Points, Predictions)


def joined(parts: Sequence[T]) -> T:
    """One struct of arrays from several of a kind; at least one."""
    kind = type(parts[0])
    return kind(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)})


def _without(platforms: Sequence[Platform], points: Points) -> list[list[int]]:
    """The platforms of each accelerator of which none has a point."""
    here = {platforms[i].device.id for i in np.unique(points.platform).tolist()}
    out: dict[str, list[int]] = {}
    for i, platform in enumerate(platforms):
        if platform.device.id not in here:
            out.setdefault(platform.device.id, []).append(i)
    return list(out.values())


def _never(
    ops: Operators, bound: Bound, of: Sequence[int], why: Mapping[int, int], tried: Mapping[int, int],
    workload: Workload, levels: Levels, within: int | None,
) -> Rejected:  # fmt: skip
    """Why none of the platforms ``of`` one accelerator serves at any size; ``tried``: the largest size of each.

    The count that would do is that of the shortest request of the levels.
    """
    name, most = bound.platforms[of[0]].device.id, bound.most[of[0]]
    code = reasons.nearest(np.array([why[i] for i in of]))
    if code not in reasons.MEMORY:
        return Rejected(name, reasons.CODES[code], reasons.DETAILS[code])
    if within:
        numbers, most, other = "so many accelerators", within, "but"
    else:
        numbers, other = f"up to {max(tried[i] for i in of if i in tried):,} accelerators in whole nodes", "except"
    lengths = {name: levels[name] for name in ("input_tokens", "output_tokens") if name in levels}
    shortest = replace(workload, **{name: min(column) for name, column in lengths.items()})
    detail, least = too_large(ops, [bound.platforms[i] for i in of], shortest, numbers, most, other=other)
    if least and any(min(column) < max(column) for column in lengths.values()):
        detail += " (for the shortest of these requests)"
    return Rejected(name, reasons.CODES[code], detail, least)
