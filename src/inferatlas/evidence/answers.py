"""Predictions for questions that came from an evidence table, in the terms in which its sources report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inferatlas.evidence.questions import Questions
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.coefficients import Closest
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.predictor import predict


def answers(
    q: Questions, tuned: Mapping[str, Floats] | None = None, closest: Sequence[Closest] | None = None
) -> dict[str, Floats]:
    """Predicted metrics, their sigmas and the batch for every row of ``q.frame``; NaN where none is possible.

    ``tuned``: coefficients per entry that replace those of the platforms (calibration varies them); ``closest``:
    how close evidence comes to each entry, instead of theirs.
    """
    out: dict[str, Floats] = {}
    for part in q.asked:
        own = slice(part.first_entry, part.first_entry + len(part.platforms))
        table = platform_table(
            part.platforms,
            is_moe=bool(part.ops.experts),
            tuned=None if tuned is None else {name: value[own] for name, value in tuned.items()},
            closest=None if closest is None else closest[own],
        )
        found = predict(part.ops, table, part.points, proven=True)
        for field in found.__slots__:
            out.setdefault(field, np.full(q.frame.height, np.nan))[part.rows] = getattr(found, field)
    if out:
        median = q.frame["itl_statistic"].fill_null("").str.starts_with("median").to_numpy()
        out["itl_s"] = np.where(median, out["itl_median_s"], out["itl_s"])
        _as_derived(q, out)
    return out


def _as_derived(q: Questions, out: dict[str, Floats]) -> None:
    """Latency and throughput of sources that derive them from TTFT, ITL and the nominal lengths."""
    tokens = q.frame["output_tokens"].to_numpy()
    gaps = np.maximum(tokens - 1.0, 0.0)
    latency = out["ttft_s"] + gaps * np.where(gaps > 0, out["itl_s"], 0.0)
    concurrency = q.frame["concurrency"].fill_null(np.nan).to_numpy()
    out["latency_s"] = np.where(q.drawn, latency, out["latency_s"])
    out["output_tokens_per_s"] = np.where(q.drawn, concurrency * tokens / latency, out["output_tokens_per_s"])
