"""Two deployments on one part beside each other: the same coefficients stand behind both, so common errors cancel.

Each coefficient is moved alone to the ends of its 80 % range, as measurements showed it, both deployments are asked
again, and the deviations of their ratio add in squares, equation (54): `decide.disaggregation.doubt`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from inferatlas.decide.disaggregation.doubt import ROWS, deviations, measured_scales, moved, unmodelled
from inferatlas.predict.answer import Interval
from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import predict

VALUES = {
    "ttft_s": lambda p: p.ttft_s, "itl_s": lambda p: p.itl_s, "latency_s": lambda p: p.latency_s,
    "output_tokens_per_s": lambda p: p.output_tokens_per_s,
    "tokens_per_joule": lambda p: p.output_tokens_per_s / p.power_w,
}  # fmt: skip


@dataclass(frozen=True)
class Deployed:
    """A model on a platform at several loads; ``points`` are of platform 0."""

    ops: Operators
    platform: Platform
    points: Points

    def moved(self) -> Predictions:
        """Predictions of every load under every move of a coefficient, [move, load] in one row."""
        is_moe = bool(self.ops.experts)
        scales = measured_scales(self.ops, moved(self.platform, is_moe=is_moe), self.points[:1])
        table = moved(self.platform, is_moe=is_moe, scales=scales)
        n = len(self.points)
        rows = np.repeat(np.arange(ROWS, dtype=np.int32), n)
        return predict(self.ops, table, replace(self.points[np.tile(np.arange(n), ROWS)], platform=rows))


def ratios(one: Deployed, other: Deployed, metric: str, *, beyond: float = 0.0) -> list[Interval | None]:
    """One deployment over the other at every load; None where one of them does not serve it.

    Parameters
    ----------
    metric : of `VALUES`. beyond : further log deviation at 80 % that only one of them has, such as of a network.

    What no coefficient covers is that of two builds of an engine, unless the two are the same.

    Examples
    --------
    >>> from inferatlas.studies.runs import runs
    >>> loads = {"concurrency": [1, 64], "isl": 1024, "osl": 256, "count": 1, "tp": 1}
    >>> wide, narrow = (runs("llama-3.1-8b", "h100", weights=w, **loads).deployed for w in ("bf16", "fp8"))
    >>> gain = ratios(narrow, wide, "output_tokens_per_s")[0]
    >>> 1.0 < gain.low < gain.value < gain.high < 2.0
    True
    """
    of = VALUES[metric]
    found = [deployed.moved() for deployed in (one, other)]
    each: list[Floats] = [
        np.where(p.fits, of(p), np.nan).astype(float).reshape(ROWS, -1) for p in found
    ]  # fmt: skip
    ratio = each[0] / each[1]
    fall, rise = deviations(ratio)
    alike = np.abs(ratio - 1.0).max(axis=0) < 1e-6
    more = np.where(alike, 0.0, np.hypot(unmodelled(ratio=True), beyond))
    low, high = ratio[0] * np.exp(-np.hypot(fall, more)), ratio[0] * np.exp(np.hypot(rise, more))
    return [
        Interval(float(a), float(b), float(c)) if np.isfinite(b) else None
        for a, b, c in zip(low, ratio[0], high, strict=True)
    ]
