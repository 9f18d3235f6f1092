"""Apply service targets and budgets: who meets them, with which probability."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.answer import Metric
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.workload import ServiceTarget


@dataclass(frozen=True)
class Budget:
    """Upper bounds on the whole deployment; None: unlimited. USD per hour counts rental or the given price."""

    usd_per_hour: float | None = None
    power_w: float | None = None


def statistic(designs: Designs, target: ServiceTarget) -> Metric:
    """The quantity that a target bounds, for every design: a mean, or the percentile asked for."""
    metric = designs.metrics[target.quantity]
    if target.statistic == "mean":
        return metric
    cv = getattr(designs.predictions, f"{target.metric}_cv").astype(np.float64)
    return Metric(percentile_of(metric.value, cv, target.statistic), metric.sigma)


def meets(
    designs: Designs, targets: tuple[ServiceTarget, ...], least: float, scale: dict[int, float] | None = None
) -> NDArray[np.bool_]:
    """Designs that meet every target with probability ``least``; ``scale`` multiplies the bound of target i."""
    changed = tuple(replace(t, bound=t.bound * (scale or {}).get(i, 1.0)) for i, t in enumerate(targets))
    return designs.predictions.fits & (probability(designs, changed) >= least)


def probability(designs: Designs, targets: tuple[ServiceTarget, ...]) -> Floats:
    """Probability that each design meets every target, from the intervals; 0 where it does not fit.

    Errors are lognormal; those of several targets are taken as independent, which understates the joint
    probability where they go together (a conservative choice). A value that the question fixes, such as the
    throughput of an open loop, has no error: it meets the target or it does not.
    """
    joint = designs.predictions.fits.astype(np.float64)
    for target in targets:
        judged = statistic(designs, target)
        value, sigma = judged.value, judged.sigma
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.log(target.bound / value) * (1.0 if target.sense.startswith("<") else -1.0)
            # sweeps hold seven digits, so "equal" is no closer than that
            sure = target.met(value) | (("=" in target.sense) & (np.abs(distance) < 1e-6))
            z = np.where(sigma > 0, distance / np.maximum(sigma, 1e-12), np.where(sure, np.inf, -np.inf))
        joint *= normal_cdf(np.nan_to_num(z, nan=-np.inf))
    return joint


_erf: Any = np.frompyfunc(math.erf, 1, 1)  # scipy takes longer to import than this to answer for all designs


def normal_cdf(z: Floats) -> Floats:
    return 0.5 * (1.0 + _erf(z / math.sqrt(2.0)).astype(np.float64))


def within(designs: Designs, budget: Budget) -> NDArray[np.bool_]:
    """Designs inside the budget; where the price or power of a part is unknown it cannot be shown to be inside."""
    ok = np.ones(len(designs), dtype=bool)
    with np.errstate(invalid="ignore"):
        if budget.usd_per_hour is not None:
            ok &= hourly_usd(designs) <= budget.usd_per_hour
        if budget.power_w is not None:
            ok &= designs.predictions.power_w <= budget.power_w
    return ok


def hourly_usd(designs: Designs) -> Floats:
    """USD per hour of every design, NaN without a price."""
    price = np.array([np.nan if e.usd_per_hour is None else e.usd_per_hour for e in designs.economics])
    return price[designs.points.platform] * designs.points.accelerators
