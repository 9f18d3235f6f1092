"""One question's answer in words and intervals: what the commands print and Python returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.cost.carbon import operational_gco2e_per_million_tokens
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.cost.money import usd_per_million_tokens
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.priors import Z80

DEFINITIONS = {
    "ttft_s": "time to first token, mean over requests, queueing included",
    "itl_s": "(latency - TTFT) / (output tokens - 1), mean over requests",
    "latency_s": "end to end, mean over requests",
    "output_tokens_per_s": "output tokens, whole deployment",
    "total_tokens_per_s": "input and output tokens, whole deployment",
    "power_w": "all accelerators together",
    "tokens_per_joule": "output tokens per joule of the accelerators",
    "usd_per_million_tokens": "rental (or the given price), per million output tokens",
    "usd_per_million_tokens_owned": "cost of ownership, per million output tokens",
    "gco2e_per_million_tokens": "electricity of the accelerators with PUE, per million output tokens",
    "gco2e_embodied_per_million_tokens": "share of making accelerators and hosts, per million output tokens",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A predicted quantity at 80 %: low, value, high."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question. ``metrics`` holds None where a figure is unknown; infeasible has none at all.

    ``evidence``: the closest level of measured points behind the coefficients, their number and the calibration.
    ``techniques``: what drafting gains and what lies in which slower memory, where either is used (`looking`).
    """

    inputs: dict[str, Any]
    fits: bool
    reason: dict[str, Any] | None
    metrics: dict[str, Interval | None]
    bound: str | None
    batch: float | None
    memory: dict[str, float]
    breakdown: list[dict[str, Any]]
    label: str
    fallbacks: list[str]
    percentiles: dict[str, dict[str, float]] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)
    techniques: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas predict --format json``."""
        return asdict(self) | {"definitions": DEFINITIONS, "interval": 0.8}


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity for many points: values, log standard deviation of their error, the most they can be.

    ``most`` bounds the upper end of the interval where physics does: no device draws more than its rating.
    """

    value: Floats
    sigma: Floats
    most: Floats | float = math.inf

    def low(self) -> Floats:
        """Lower ends of the 80 % intervals."""
        return self.value / np.exp(Z80 * self.sigma)

    def high(self) -> Floats:
        """Upper ends of the 80 % intervals."""
        return np.minimum(self.value * np.exp(Z80 * self.sigma), self.most)

    def at(self, i: int = 0) -> Interval | None:
        """The interval of point i; None if the quantity is unknown there."""
        value, sigma, most = (_one(x, i) for x in (self.value, self.sigma, self.most))
        if not math.isfinite(value):
            return None
        factor = float(np.exp(Z80 * (0.0 if math.isnan(sigma) else sigma)))
        return Interval(value / factor, value, min(value * factor, most))


def _one(values: Floats | float, i: int) -> float:
    """Element i of an array, or what stands for all of them."""
    if np.ndim(values) == 0:
        return float(values)
    held = np.asarray(values)
    return float(held[i if len(held) > 1 else 0])


def metric_arrays(
    predictions: Predictions, points: Points, table: PlatformTable, economics: Sequence[Economics]
) -> dict[str, Metric]:
    """Every metric for all points; ``economics``: one for each platform of the table.

    In an open loop the throughput is the offered one and has no error of ours.
    """

    def column(name: str) -> Floats:
        values = [np.nan if (v := getattr(e, name)) is None else v for e in economics]
        return np.array(values, dtype=np.float64).take(points.platform)

    p = predictions
    count = points.accelerators.astype(np.float64)
    output = points.output_tokens.astype(np.float64)
    tokens_per_request = (points.input_tokens + output) / output
    rate_sigma = np.where(np.isnan(points.request_rate), p.rate_sigma.astype(np.float64), 0.0)
    tokens = p.output_tokens_per_s
    power_sigma = p.power_sigma.astype(np.float64)
    energy_sigma = np.hypot(rate_sigma, power_sigma)
    utilisation = column("utilisation")
    with np.errstate(divide="ignore", invalid="ignore"):
        per_joule = tokens / p.power_w
        rent = usd_per_million_tokens(column("usd_per_hour") * count, tokens, utilisation)
        owned = usd_per_million_tokens(column("usd_per_hour_owned") * count, tokens, utilisation)
        carbon = operational_gco2e_per_million_tokens(p.power_w, column("pue"), column("gco2e_per_kwh"), tokens)
        embodied = column("embodied_g_per_hour") * count * 1e6 / (3600.0 * tokens)
    return {
        "ttft_s": Metric(p.ttft_s, p.ttft_sigma.astype(np.float64)),
        "itl_s": Metric(p.itl_s, p.itl_sigma.astype(np.float64)),
        "latency_s": Metric(p.latency_s, p.latency_sigma.astype(np.float64)),
        "output_tokens_per_s": Metric(tokens, rate_sigma),
        "total_tokens_per_s": Metric(tokens * tokens_per_request, rate_sigma),
        "power_w": Metric(p.power_w, power_sigma, table.rated_w.take(points.platform) * count),
        "tokens_per_joule": Metric(per_joule, energy_sigma),
        "usd_per_million_tokens": Metric(rent, rate_sigma),
        "usd_per_million_tokens_owned": Metric(owned, rate_sigma),
        "gco2e_per_million_tokens": Metric(carbon, energy_sigma),
        "gco2e_embodied_per_million_tokens": Metric(embodied, rate_sigma),
    }
