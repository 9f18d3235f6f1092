"""A regime's metric for every design of a fleet, and which designs meet its targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.decide.advisor.judge import statistic
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.regimes.swapping import swap_seconds
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.arrays import Floats
from inferatlas.workload import Regime

LOADED = ("ttft_s", "latency_s")  # what waits for the weights of a model that is not in memory


@dataclass(frozen=True)
class Measure:
    """The regime's metric of every design, and the designs that meet its targets."""

    metric: Metric
    low: Floats
    high: Floats
    allowed: np.ndarray  # at the predicted values
    surely: np.ndarray  # even at the slow ends of the intervals
    perhaps: np.ndarray  # at the fast ends
    higher: bool

    @staticmethod
    def of(designs: Designs, regime: Regime) -> Measure:
        metric = measured(designs, regime)
        fits = designs.predictions.fits & np.isfinite(metric.value)
        allowed, surely, perhaps = fits.copy(), fits.copy(), fits.copy()
        for target in regime.slo:
            judged = statistic(designs, target)
            with np.errstate(invalid="ignore"):
                pessimistic, optimistic = (judged.high(), judged.low())[:: 1 if target.sense[0] == "<" else -1]
                allowed &= target.met(judged.value)
                surely &= target.met(pessimistic)
                perhaps &= target.met(optimistic)
        return Measure(metric, metric.low(), metric.high(), allowed, surely, perhaps, regime.better == "higher")

    def best(self, index: np.ndarray) -> int | None:
        """The best design among some; None if none may count."""
        index = index[self.allowed[index]]
        if not index.size:
            return None
        value = self.metric.value[index]
        return int(index[np.argmax(value) if self.higher else np.argmin(value)])

    def top(self, chosen: list[int]) -> int | None:
        return self.best(np.array(chosen, dtype=np.int64)) if chosen else None

    def interval(self, i: int, same: np.ndarray) -> Interval:
        """The value of design i; with targets, from the best level that surely meets them to the one that may.

        ``same``: the designs of its accelerator and layout at other levels.
        """
        low, high = float(self.low[i]), float(self.high[i])
        if self.higher and not self.surely[same].all():
            sure, open_to = same[self.surely[same]], same[self.perhaps[same]]
            low = min(low, float(self.low[sure].max())) if sure.size else 0.0
            high = max(high, float(self.high[open_to].max()))
        return Interval(low, float(self.metric.value[i]), high)


def measured(designs: Designs, regime: Regime) -> Metric:
    """The regime's metric of every design: per accelerator, and with the loading of models, where it says so."""
    metrics = designs.metrics
    if regime.metric == "requests_per_s":
        per_token = metrics["output_tokens_per_s"]
        metric = Metric(per_token.value / designs.points.output_tokens, per_token.sigma)
    else:
        metric = metrics[regime.metric]
    if regime.hosted > 1 and regime.metric in LOADED:
        swap = swap_seconds(designs, regime.hosted)
        with np.errstate(invalid="ignore"):
            metric = Metric(metric.value + swap, metric.sigma)
    if regime.per == "accelerator":
        count = designs.points.accelerators
        metric = Metric(metric.value / count, metric.sigma, metric.most / count)
    return metric
