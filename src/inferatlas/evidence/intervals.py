"""How wide an 80 % interval must be: from residuals of groups that were left out, per level of evidence.

The width of a figure, as a logarithm, is ``exp(base[load] + level + experts[level]) a^elasticity`` with ``a`` the
predictor's own log standard deviation (`predict.performance.widths`). The exponents are a quantile regression on the
absolute log residuals of left-out groups; then each level is scaled until the share asked for is inside (split
conformal within a level). Every group counts as the square root of its rows, so that a small one is heard.

All this is of the vendor with most groups. Another vendor's software adds an error of its own, found the same way and
added in squares, and what those vendors show with the accelerator left out stands for vendors of which little or
nothing was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.coefficients import ANSWERING
from inferatlas.predict.performance.priors import Z80
from inferatlas.predict.performance.widths import UNCALIBRATED

TARGET = 0.83  # inside; a little above 0.8 because the next table is never quite like the last
# Beyond the largest batch and context that was measured nothing says how errors grow; a tenth per doubling is assumed.
BEYOND = 0.10
SMALL = 0.01  # log: residuals below this are as good as none
# Where a level has too few left-out groups to speak for itself, it is assumed this much wider than the next closer one.
STEP = 1.35
ENOUGH = 8
GROUPS = 5  # groups that a vendor needs for a surplus of its own
OTHER = "other"  # vendors without one


@dataclass(frozen=True)
class Residuals:
    """Absolute log residuals of one metric with what widths may depend on; arrays of one entry a figure."""

    size: Floats
    own: Floats  # the predictor's own log standard deviation
    static: NDArray[np.bool_]
    experts: NDArray[np.bool_]
    level: NDArray[np.intp]  # index of `ANSWERING`
    group: NDArray[np.intp]
    vendor: NDArray[np.str_]
    unseen: NDArray[np.bool_]  # its accelerator was left out


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


def widths(sets: dict[str, Residuals], *, batch_seen: float, context_seen: float) -> dict[str, Any]:
    """The ``width`` part of a calibration, from left-out residuals per metric."""
    out: dict[str, Any] = {
        "base": {}, "level": {}, "experts": {}, "vendor": {}, "elasticity": {},
        "beyond": {
            "batch": {"seen": batch_seen, "per_doubling": BEYOND},
            "context": {"seen": context_seen, "per_doubling": BEYOND},
        },
    }  # fmt: skip
    for metric in METRICS:
        base, level, experts, vendor, elasticity = _one(sets[metric], own=metric != "power_w")
        out["base"][metric] = {"closed": base[0], "open": base[0], "static": base[1]}
        out["level"][metric] = dict(zip(ANSWERING, level, strict=True))
        out["experts"][metric] = dict(zip(ANSWERING, experts, strict=True))
        out["vendor"][metric], out["elasticity"][metric] = vendor, elasticity
    return out


def _one(
    every: Residuals, *, own: bool
) -> tuple[tuple[float, float], list[float], list[float], dict[str, float], float]:
    """Base of closed and static loads, factor per level, that of experts per level, surplus per vendor, elasticity."""
    groups = {str(name): len(np.unique(every.group[every.vendor == name])) for name in np.unique(every.vendor)}
    reference = max(groups, key=lambda name: groups[name], default=OTHER)
    seen = _chosen(every, every.vendor == reference)
    present = [i for i in range(len(ANSWERING)) if len(np.unique(seen.group[seen.level == i])) >= ENOUGH]
    if not present:  # a small table: the ranges of the constants, as without any calibration
        steps = [STEP**i for i in range(len(ANSWERING))]
        return (UNCALIBRATED, UNCALIBRATED), steps, [1.0] * len(ANSWERING), {OTHER: 0.0}, float(own)
    keep = _chosen(seen, np.isin(seen.level, present))
    features = {"static": keep.static, "experts": keep.experts}
    features = {name: value for name, value in features.items() if 0.02 < value.mean() < 0.98}
    columns = [np.ones(len(keep.size)), *(value.astype(float) for value in features.values())]
    columns += [(keep.level == i).astype(float) for i in present[1:]]
    columns += [np.log(keep.own)] if own else []
    weight = 1.0 / np.sqrt(np.bincount(keep.group)[keep.group])
    b = quantile_regression(np.stack(columns, axis=1), np.log(np.maximum(keep.size, SMALL)), weight, TARGET)
    effect = dict(zip(features, b[1:], strict=False))
    static, experts = effect.get("static", 0.0), effect.get("experts", 0.0)
    elasticity = float(np.clip(b[-1], 0.0, 1.0)) if own else 0.0

    def shape(r: Residuals) -> Floats:
        return np.exp(static * r.static) * r.own**elasticity

    ratio = keep.size / shape(keep)

    def factors_of(kind: NDArray[np.bool_]) -> list[float]:
        cells = {i: kind & (keep.level == i) for i in present}
        enough = [i for i, cell in cells.items() if len(np.unique(keep.group[cell])) >= ENOUGH]
        return _filled({i: _weighted_quantile(keep, ratio, cells[i]) for i in enough}) if enough else []

    # what is not known of a mixture of experts grows otherwise with the distance from evidence than for dense models
    together = factors_of(np.ones(len(ratio), dtype=bool))
    dense = factors_of(~keep.experts) or [f * float(np.exp(-experts * keep.experts.mean())) for f in together]
    routed = factors_of(keep.experts) or [f * float(np.exp(experts)) for f in dense]
    others = _chosen(every, every.vendor != reference)
    surplus = {reference: 0.0, OTHER: 0.0}
    if len(others.size):
        # what the widths above do not explain, in squares
        factor = np.where(others.experts, np.array(routed)[others.level], np.array(dense)[others.level])
        excess = others.size**2 - (factor * shape(others)) ** 2
        for name, count in groups.items():
            mine = (others.vendor == name) & ~others.unseen
            if name != reference and count >= GROUPS and mine.any():
                surplus[name] = _root(_weighted_quantile(others, excess, mine)) / Z80
        surplus[OTHER] = _root(_weighted_quantile(others, excess, others.unseen)) / Z80
    base = dense[0] / Z80
    return (
        (base, base * float(np.exp(static))),
        [factor / dense[0] for factor in dense],
        [a / b for a, b in zip(routed, dense, strict=True)],
        surplus,
        elasticity,
    )


def _chosen(seen: Residuals, mask: NDArray[np.bool_]) -> Residuals:
    return Residuals(*(getattr(seen, f.name)[mask] for f in fields(Residuals)))


def _root(square: float) -> float:
    return float(np.sqrt(max(square, 0.0)))


def _weighted_quantile(seen: Residuals, value: Floats, chosen: NDArray[np.bool_]) -> float:
    """The value that `TARGET` of the rows stay below: midway between every row and every group having an equal say."""
    if not chosen.any():
        return 0.0
    value, group = value[chosen], seen.group[chosen]
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
