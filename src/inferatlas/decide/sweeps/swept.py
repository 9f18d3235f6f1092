"""How every accelerator does along one quantity x: at each x the least deployment that serves, in every layout.

At one x this is what `fleet` answers for that x alone; here it is asked for many x at once, with as few predictions
as that takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import ROOM, Formats, fleet, formats_among
from inferatlas.predict.answer import Metric
from inferatlas.predict.arrays import Floats, Ints
from inferatlas.predict.mapping import reasons
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.replicas import Layout
from inferatlas.workload import Workload

# what may be swept, and the column of a point that holds it
OVER = {"batch": "concurrency", "isl": "input_tokens", "osl": "output_tokens", "rate": "request_rate", "count": "count"}
# metric -> whether more is better
METRICS = {
    "itl_s": False, "ttft_s": False, "latency_s": False, "output_tokens_per_s": True,
    "output_tokens_per_s_per_accelerator": True, "tokens_per_joule": True, "power_w": False,
    "usd_per_million_tokens": False,
}  # fmt: skip
FEW = 64  # x at which all sizes of resident machines are predicted sooner than looked for
HARDLY_ANY = 1e-6  # requests per second
LAYOUT = ("tp", "pp", "ep", "dp")


@dataclass(frozen=True)
class Sweep:
    """What is asked: ``over`` is swept, the rest stays as it is in ``workload``; ``within``: accelerators in all."""

    model: ModelConfig
    known: tuple[Accelerator, ...]
    workload: Workload
    over: str
    weights: tuple[str, ...] = ()
    within: int | None = None

    def levels(self, xs: Sequence[float]) -> dict[str, Sequence[float]]:
        """Columns of the load at every x."""
        held = [float(self.workload.concurrency or 1)] * len(xs)
        if self.over == "count":
            return {"concurrency": held[:1]}
        return {OVER[self.over]: xs} if self.over in ("batch", "rate") else {OVER[self.over]: xs, "concurrency": held}


@dataclass(frozen=True)
class Curve:
    """The best design of every accelerator at every x by one metric, [accelerator, x]; NaN (row -1) without one."""

    value: Floats
    sigma: Floats
    low: Floats
    high: Floats
    row: NDArray[np.int64]


@dataclass(frozen=True)
class Swept:
    """Feasible designs, one row each in arrays of one length, and why others are missing, by accelerator and x.

    ``platform`` indexes ``platforms``; ``metrics`` are those of `METRICS`.
    """

    x: Floats
    platform: NDArray[np.int64]
    layout: dict[str, Ints]
    count: Ints
    bound: NDArray[np.int8]
    metrics: dict[str, Metric]
    platforms: tuple[Platform, ...]
    missing: dict[tuple[str, float], tuple[str, str]]

    def __len__(self) -> int:
        return len(self.x)

    def names(self) -> NDArray[np.str_]:
        """The accelerator of each row."""
        return np.array([p.device.id for p in self.platforms] or [""])[self.platform]

    def layout_at(self, i: int) -> Layout:
        return Layout(**{name: int(column[i]) for name, column in self.layout.items()})

    def curve(self, metric: str, names: Sequence[str], xs: Sequence[float]) -> Curve:
        """The best row of each accelerator at each x (increasing)."""
        known = self.metrics[metric]
        number = np.array([names.index(p.device.id) for p in self.platforms] or [0])[self.platform]
        grid = np.asarray(xs, dtype=np.float64)
        place = np.minimum(np.searchsorted(grid, self.x), len(grid) - 1)
        rows = np.flatnonzero(np.isfinite(known.value) & (grid[place] == self.x))
        key = (number * len(grid) + place)[rows]
        order = np.lexsort((known.value[rows] * (1.0 if METRICS[metric] else -1.0), key))
        rows, key = rows[order], key[order]
        last = np.flatnonzero(np.append(key[1:] != key[:-1], True)) if rows.size else rows
        row = np.full(len(names) * len(grid), -1, dtype=np.int64)
        row[key[last]] = rows[last]
        row = row.reshape(len(names), len(grid))

        def column(values: Floats | float) -> Floats:
            held = np.broadcast_to(values, self.x.shape)
            return np.where(row < 0, np.nan, held[row]) if held.size else np.full(row.shape, np.nan)

        best = Metric(column(known.value), column(known.sigma), column(known.most))
        return Curve(best.value, best.sigma, best.low(), best.high(), row)


def joined(parts: Sequence[Swept]) -> Swept:
    """Several as one; what one of them serves is not missing."""
    start = np.cumsum([0, *(len(part.platforms) for part in parts)])

    def column(of) -> NDArray:
        return np.concatenate([of(part) for part in parts])

    def metric(name: str) -> Metric:
        ends = [(m.value, m.sigma, np.broadcast_to(m.most, m.value.shape)) for m in (p.metrics[name] for p in parts)]
        return Metric(*(np.concatenate(columns) for columns in zip(*ends, strict=True)))

    both = Swept(
        column(lambda part: part.x),
        np.concatenate([part.platform + first for part, first in zip(parts, start, strict=False)]),
        {name: column(lambda part, name=name: part.layout[name]) for name in LAYOUT},
        column(lambda part: part.count),
        column(lambda part: part.bound),
        {name: metric(name) for name in METRICS},
        tuple(platform for part in parts for platform in part.platforms),
        {at: why for part in parts for at, why in part.missing.items()},
    )
    if not both.missing:
        return both
    served = set(zip(both.names().tolist(), both.x.tolist(), strict=True))
    return replace(both, missing={at: why for at, why in both.missing.items() if at not in served})


def swept(ask: Sweep, xs: Sequence[float]) -> Swept:
    """Every feasible design at every x, on the least deployment that serves there.

    Parameters
    ----------
    xs : increasing; requests within the model's context.
    """
    if ask.over == "count":
        return joined([_once(ask, ask.known, [x], within=int(x)) for x in xs])
    return _of_known_size(ask, xs) if ask.over == "batch" and not ask.within else _growing(ask, xs)


def _of_known_size(ask: Sweep, xs: Sequence[float]) -> Swept:
    """What more requests need is patience, not memory: the sizes at the first x are those at all of them."""
    if len(xs) <= FEW:
        return _once(ask, ask.known, xs, room=ROOM)
    first = _once(ask, ask.known, xs[:1], room=ROOM)
    parts = [replace(first, missing={(name, x): why for (name, _), why in first.missing.items() for x in xs})]
    held: dict[int, dict[str, list[str]]] = {}  # accelerators in all -> accelerator -> formats
    for i, count in sorted(set(zip(first.platform.tolist(), first.count.tolist(), strict=True))):
        p = first.platforms[i]
        held.setdefault(count, {}).setdefault(p.device.id, []).append(p.precision.weights)
    for size, formats in held.items():
        known = [one for one in ask.known if one.id in formats]
        parts.append(_once(ask, known, xs[1:], within=size, formats=lambda _, part, names=formats: names[part.id]))
    return joined(parts)


def _growing(ask: Sweep, xs: Sequence[float]) -> Swept:
    """Longer requests or more of them a second need larger deployments: who cannot serve an x yet is asked again.

    So is who may not grow: alone with what it cannot serve, it says why.
    """
    first = _once(ask, ask.known, xs, within=ask.within, room=math.inf)
    parts = [first]
    for i, platform in enumerate(first.platforms):
        known = [one for one in ask.known if one.id == platform.device.id]
        formats = [platform.precision.weights]
        left = sorted(set(xs) - set(first.x[first.platform == i].tolist()))
        while left and len(left) < len(xs):  # none served at all: `fleet` has tried every size
            more = _once(
                ask, known, left, within=ask.within, room=math.inf, formats=lambda *_, formats=formats: formats
            )
            parts.append(more)
            if not len(more):
                break
            left = sorted(set(left) - set(more.x.tolist()))
    found = joined(parts)
    return replace(found, missing=_of_rates(ask, found)) if ask.over == "rate" and found.missing else found


def _of_rates(ask: Sweep, found: Swept) -> dict[tuple[str, float], tuple[str, str]]:
    """Who serves some rate, however low, holds the model: it is the rate that others are too much for."""
    names = {name for name, _ in found.missing}
    known = [one for one in ask.known if one.id in names]
    holds = set(_once(ask, known, [HARDLY_ANY], within=ask.within).names().tolist())
    who = "so many accelerators" if ask.within else "the largest deployment"
    why = reasons.CODES[reasons.RATE], f"the request rate exceeds what {who} can serve"
    return {(name, x): why if name in holds else other for (name, x), other in found.missing.items()}


def _once(
    ask: Sweep, known: Iterable[Accelerator], xs: Sequence[float], *, within: int | None = None, room: float = 1.0,
    formats: Formats | None = None,
) -> Swept:  # fmt: skip
    """One call of `fleet`, its feasible designs of the least count at each x."""
    known = list(known)
    designs = fleet(
        ask.model,
        known,
        ask.workload,
        ask.levels(xs),
        formats=formats or formats_among(ask.weights),
        within=within,
        room=room,
    )
    x = _swept_column(ask, designs)
    rows = _least(designs, x, xs)
    metrics = {name: _metric(designs, name, rows) for name in METRICS}
    points = designs.points
    found = Swept(
        x[rows], points.platform[rows].astype(np.int64), {name: getattr(points, name)[rows] for name in LAYOUT},
        points.accelerators[rows], designs.predictions.bound[rows], metrics, designs.table.platforms, {},
    )  # fmt: skip
    return replace(found, missing=_missing(designs, x, known, xs, found))


def _swept_column(ask: Sweep, designs: Designs) -> Floats:
    points = designs.points
    column = points.accelerators if ask.over == "count" else getattr(points, OVER[ask.over])
    return column.astype(np.float64)


def _least(designs: Designs, x: Floats, xs: Sequence[float]) -> NDArray[np.int64]:
    """Feasible rows on the fewest accelerators that serve at their x, per platform; resident machines have room."""
    rows = np.flatnonzero(designs.predictions.fits)
    key = designs.points.platform[rows] * len(xs) + np.searchsorted(np.asarray(xs), x[rows])
    count = designs.points.accelerators[rows]
    least = np.full(len(designs.table.platforms) * len(xs), np.iinfo(np.int32).max)
    np.minimum.at(least, key, count)
    room = np.where(designs.table.resident[designs.points.platform[rows]], ROOM, 1.0)
    return rows[count <= room * least[key]]


def _metric(designs: Designs, name: str, rows: NDArray[np.int64]) -> Metric:
    whole = designs.metrics[name.removesuffix("_per_accelerator")]
    share = designs.points.accelerators[rows] if name.endswith("_per_accelerator") else 1.0
    value, sigma, most = (np.broadcast_to(c, whole.value.shape)[rows] for c in (whole.value, whole.sigma, whole.most))
    return Metric(value.astype(np.float64) / share, np.nan_to_num(sigma.astype(np.float64)), most)


def _missing(
    designs: Designs, x: Floats, known: Sequence[Accelerator], xs: Sequence[float], found: Swept
) -> dict[tuple[str, float], tuple[str, str]]:
    """Why an accelerator has nothing at an x, for all that have not: the reason of what came closest."""
    served = set(zip(found.names().tolist(), found.x.tolist(), strict=True))
    out = {one.accelerator: (one.code, one.detail) for one in designs.rejected}
    names, owner = designs.accelerator_index()
    place = np.searchsorted(np.asarray(xs), x)
    order = np.lexsort((place, owner))
    starts = np.searchsorted(owner[order] * len(xs) + place[order], np.arange(len(names) * len(xs) + 1))
    codes = designs.predictions.reason[order]

    def why(name: str, k: int) -> tuple[str, str]:
        if name in out:
            return out[name]
        at = names.index(name) * len(xs) + k if name in names else -1
        mine = codes[starts[at] : starts[at + 1]] if at >= 0 else codes[:0]
        if not mine.size:
            return "count", "the cluster has fewer accelerators than that"
        code = reasons.nearest(mine)
        return reasons.CODES[code], reasons.DETAILS[code]

    return {(one.id, at): why(one.id, k) for one in known for k, at in enumerate(xs) if (one.id, at) not in served}
