"""How wide an 80 % interval must be: from residuals of what was left out of the fit, per level of evidence.

The reach of a figure, in logs, is ``exp(base[load] + level + experts[level]) a^elasticity`` with ``a`` the predictor's
own log standard deviation (`predict.performance.widths`). The exponents are a quantile regression on the absolute log
residuals of left-out groups; then each level is scaled until the share asked for is inside (split conformal within a
level). Every group counts as the square root of its rows, so that a small one is heard.

All this is of the vendor with most groups, within models and sources that were measured. What comes on top is found
the same way and added in squares: another vendor's software, a model and a source that the fit has not seen. Two
factors follow: one per accelerator, engine and model that errs more or less than its level, drawn to 1 where groups
are few; and one per doubling beyond the largest batch and context, from rows that were left out for being large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.coefficients import ANSWERING
from inferatlas.predict.performance.priors import Z80
from inferatlas.predict.performance.widths import FACTORS, OTHER, UNCALIBRATED

TARGET = 0.83  # inside; a little above 0.8 because the next table is never quite like the last
SMALL = 0.01  # log: residuals below this are as good as none
# Where a level has too few left-out groups to speak for itself, it is assumed this much wider than the next closer one.
STEP = 1.35
ENOUGH = 8
GROUPS = 5  # groups that a vendor needs for a surplus of its own
# Left-out kinds that say how far a level reaches; the others are about what comes on top.
WITHIN = ("nothing", "group", "accelerator")
BEYOND = ("batch", "context")  # kinds that leave out what is large
STEEPEST = 1.0  # growth per doubling, in logs
DRAWN = 1.0  # groups that a factor of an accelerator, engine or model must outweigh
ROUNDS = 5
SLICED = ("accelerator", "engine", "model")
# Latency and throughput are one quantity seen from two sides, and what slows one machine's tokens slows them all.
SAME = ("latency_s", "output_tokens_per_s")
PACE = ("itl_s", *SAME)


@dataclass(frozen=True)
class Residuals:
    """Absolute log residuals of one metric with what widths may depend on; arrays of one entry a figure.

    ``own`` is the predictor's log standard deviation, ``level`` an index of `ANSWERING`, ``kind`` what was left out,
    ``known`` whether the model was measured elsewhere, ``doublings`` how often the batch or context doubles beyond the
    largest that was kept (0 for other kinds).
    """

    size: Floats
    own: Floats
    static: NDArray[np.bool_]
    experts: NDArray[np.bool_]
    level: NDArray[np.intp]
    group: NDArray[np.intp]
    vendor: NDArray[np.str_]
    accelerator: NDArray[np.str_]
    engine: NDArray[np.str_]
    model: NDArray[np.str_]
    kind: NDArray[np.str_]
    known: NDArray[np.bool_]
    doublings: Floats

    def where(self, mask: NDArray[np.bool_]) -> Residuals:
        return Residuals(*(getattr(self, f.name)[mask] for f in fields(self)))

    @staticmethod
    def joined(parts: Sequence[Residuals]) -> Residuals:
        return Residuals(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Residuals)))


@dataclass(frozen=True)
class Reach:
    """Half widths in logs by load, level and kind of model: ``dense`` and ``routed`` per level of `ANSWERING`."""

    static: float
    elasticity: float
    dense: list[float]
    routed: list[float]

    def of(self, r: Residuals) -> Floats:
        factor = np.where(r.experts, np.array(self.routed)[r.level], np.array(self.dense)[r.level])
        return factor * np.exp(self.static * r.static) * r.own**self.elasticity


def quantile_regression(x: Floats, y: Floats, weight: Floats, share: float, rounds: int = 200) -> Floats:
    """Coefficients b that put ``share`` of the weight of y below x b (majorisation, Hunter and Lange 2000).

    Examples
    --------
    >>> y = np.arange(1.0, 101.0)
    >>> bool(79 < quantile_regression(np.ones((100, 1)), y, np.ones(100), 0.8)[0] < 82)
    True
    """
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    scale = 1e-3 * (np.std(y) + 1e-9)
    for _ in range(rounds):
        residual = y - x @ coefficients
        pull = weight / (scale + np.abs(residual))
        left = (x * pull[:, None]).T @ x + 1e-9 * np.eye(x.shape[1])
        right = x.T @ (pull * y + weight * (2.0 * share - 1.0))
        coefficients = np.linalg.solve(left, right)
    return coefficients


def widths(sets: Mapping[str, Residuals], *, batch_seen: float, context_seen: float) -> dict[str, Any]:
    """The ``width`` part of a calibration, from left-out residuals per metric."""
    same = Residuals.joined([sets[metric] for metric in SAME])
    sets = {**sets, **dict.fromkeys(SAME, same)}
    groups = {str(name): len(np.unique(same.group[same.vendor == name])) for name in np.unique(same.vendor)}
    reference = max(groups, key=lambda name: groups[name], default=OTHER)
    reach = {m: _reach(sets[m].where(sets[m].vendor == reference), own=m != "power_w") for m in METRICS}
    surplus = _surpluses(sets, reach, groups, reference)
    out: dict[str, Any] = {
        "base": {}, "level": {}, "experts": {}, "elasticity": {}, "slice": {}, **surplus,
        "beyond": {
            "batch": {"seen": batch_seen, "per_doubling": {}}, "context": {"seen": context_seen, "per_doubling": {}},
        },
    }  # fmt: skip
    for metric in METRICS:
        r, found = sets[metric], reach[metric]
        base = found.dense[0] / Z80
        out["base"][metric] = {"closed": base, "open": base, "static": base * float(np.exp(found.static))}
        out["level"][metric] = dict(zip(ANSWERING, (x / found.dense[0] for x in found.dense), strict=True))
        routed = (a / b for a, b in zip(found.routed, found.dense, strict=True))
        out["experts"][metric] = dict(zip(ANSWERING, routed, strict=True))
        out["elasticity"][metric] = found.elasticity
        half = np.hypot(found.of(r), Z80 * _added(surplus, metric, r))
        out["slice"][metric] = _factors(r.where(r.kind == "group"), half[r.kind == "group"])
        for kind in BEYOND:
            far = (r.kind == kind) & (r.doublings > 0)
            out["beyond"][kind]["per_doubling"][metric] = _growth(r.where(far), half[far])
    return out


def _reach(every: Residuals, *, own: bool) -> Reach:
    """How far errors within measured sources reach, from one vendor's residuals."""
    seen = every.where(np.isin(every.kind, WITHIN) & every.known)
    present = [i for i in range(len(ANSWERING)) if len(np.unique(seen.group[seen.level == i])) >= ENOUGH]
    if not present:  # a small table: the ranges of the constants, as without any calibration
        steps = [UNCALIBRATED * Z80 * STEP**i for i in range(len(ANSWERING))]
        return Reach(0.0, float(own), steps, steps)
    keep = seen.where(np.isin(seen.level, present))
    features = {"static": keep.static, "experts": keep.experts}
    features = {name: value for name, value in features.items() if 0.02 < value.mean() < 0.98}
    columns = [np.ones(len(keep.size)), *(value.astype(float) for value in features.values())]
    columns += [(keep.level == i).astype(float) for i in present[1:]]
    columns += [np.log(keep.own)] if own else []
    weight = 1.0 / np.sqrt(np.bincount(keep.group)[keep.group])
    b = quantile_regression(np.stack(columns, axis=1), np.log(np.maximum(keep.size, SMALL)), weight, TARGET)
    effect = dict(zip(features, b[1:], strict=False))
    static, experts = float(effect.get("static", 0.0)), float(effect.get("experts", 0.0))
    elasticity = float(np.clip(b[-1], 0.0, 1.0)) if own else 0.0
    ratio = keep.size / (np.exp(static * keep.static) * keep.own**elasticity)

    def factors_of(kind: NDArray[np.bool_]) -> list[float]:
        cells = {i: kind & (keep.level == i) for i in present}
        enough = [i for i, cell in cells.items() if len(np.unique(keep.group[cell])) >= ENOUGH]
        return _filled({i: _quantile(ratio[cells[i]], keep.group[cells[i]]) for i in enough}) if enough else []

    # what is not known of a mixture of experts grows otherwise with the distance from evidence than for dense models
    together = factors_of(np.ones(len(ratio), dtype=bool))
    dense = factors_of(~keep.experts) or [f * float(np.exp(-experts * keep.experts.mean())) for f in together]
    routed = factors_of(keep.experts) or [f * float(np.exp(experts)) for f in dense]
    return Reach(static, elasticity, dense, routed)


def _surpluses(
    sets: Mapping[str, Residuals], reach: Mapping[str, Reach], groups: Mapping[str, int], reference: str
) -> dict[str, dict[str, Any]]:
    """Log standard deviations that a new source and a new model (per metric) and other vendors (and vendor) add."""
    out: dict[str, dict[str, Any]] = {"source": {}, "model": {}, "vendor": {}}
    for metrics in (("ttft_s",), PACE, ("power_w",)):
        every = Residuals.joined([sets[m] for m in metrics])
        excess = every.size**2 - np.concatenate([reach[m].of(sets[m]) for m in metrics]) ** 2

        def surplus(mask: NDArray[np.bool_], excess: Floats = excess, every: Residuals = every) -> float:
            return float(np.sqrt(max(_quantile(excess[mask], every.group[mask]), 0.0))) / Z80

        home, within = every.vendor == reference, np.isin(every.kind, WITHIN) & every.known
        found = {reference: 0.0}
        for name, count in groups.items():
            mine = (every.vendor == name) & within & (every.kind != "accelerator")
            if name != reference and count >= GROUPS and mine.any():
                found[name] = surplus(mine)
        found[OTHER] = max(surplus(~home & (every.kind == "accelerator")), *found.values())
        for m in metrics:
            out["source"][m] = surplus(home & (every.kind == "source") & every.known)
            out["model"][m] = surplus(home & (every.kind == "model"))
            out["vendor"][m] = found
    return out


def _added(surplus: Mapping[str, Mapping[str, Any]], metric: str, r: Residuals) -> Floats:
    """What vendor and new models add to residuals of measured sources."""
    vendors = surplus["vendor"][metric]
    own = np.array([vendors.get(str(v), vendors[OTHER]) for v in r.vendor])
    return np.hypot(own, np.where(r.known, 0.0, surplus["model"][metric]))


def _factors(r: Residuals, half: Floats) -> dict[str, float]:
    """How much wider or narrower than its level each accelerator, engine and model needs to be; others are 1."""
    found: dict[str, float] = {}
    names = {kind: np.array([f"{kind}:{x}" for x in getattr(r, kind)]) for kind in SLICED}
    product = np.ones(len(r.size))
    for _ in range(ROUNDS):  # each in turn, beside the others as they are
        for of in names.values():
            for name in np.unique(of):
                mine = of == name
                others = product[mine] / found.get(str(name), 1.0)
                need = _quantile(r.size[mine] / (half[mine] * np.clip(others, *FACTORS)), r.group[mine])
                groups = len(np.unique(r.group[mine]))
                drawn = np.log(max(need, SMALL)) * groups / (groups + DRAWN)
                found[str(name)] = float(np.exp(np.clip(drawn, *np.log(FACTORS))))
                product[mine] = others * found[str(name)]
    return found


def _growth(r: Residuals, half: Floats) -> float:
    """Growth per doubling, in logs, that keeps the share inside: a figure is inside from its own growth on."""
    if not len(r.size):
        return 0.0
    need = np.log(np.maximum(r.size / half, SMALL)) / r.doublings
    return float(np.clip(_quantile(need, r.group), 0.0, STEEPEST))


def _quantile(value: Floats, group: NDArray[np.intp]) -> float:
    """The value that `TARGET` of the rows stay below: midway between every row and every group having an equal say."""
    if not len(value):
        return 0.0
    weight = 1.0 / np.sqrt(np.bincount(group)[group])
    order = np.argsort(value)
    by_group = np.interp(TARGET, np.cumsum(weight[order]) / weight.sum(), value[order])
    return float(0.5 * (by_group + np.quantile(value, TARGET)))


def _filled(reach: dict[int, float]) -> list[float]:
    """One multiple per level, never narrower than a closer level; missing levels step up from the closer one."""
    out: list[float] = []
    for i in range(len(ANSWERING)):
        closer = out[-1] if out else min(reach.values())
        out.append(max(reach[i], closer) if i in reach else closer * STEP if out else closer)
    return out


def group_numbers(names: Sequence[tuple[str, ...]]) -> NDArray[np.intp]:
    """Consecutive numbers of equal names."""
    numbers: dict[tuple[str, ...], int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)
