"""What of a table is independent evidence: which figures calibration fits, and with what weight.

In many rows latency and throughput are one measurement, or both are derived from TTFT and ITL. One figure of each
independent measurement is taken: TTFT and ITL of a closed loop, the whole latency of a static batch, the throughput
of an offline run, ITL and throughput of a saturated one (at half weight each: ITL is a median there).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from inferatlas.evidence.questions import Questions
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats

FIRST_TOKEN = "first token"  # what some tables call a latency
KINDS = (
    "closed ttft",
    "closed itl",
    "static ttft",
    "static latency",
    "offline rate",
    "saturated itl",
    "saturated rate",
)
POWER = "power"


@dataclass(frozen=True)
class Observations:
    """Figures to fit, arrays of one entry a figure.

    ``row`` of the questions' frame, ``entry`` of the questions, ``metric`` and ``kind`` as indices of `METRICS` and
    `KINDS`, ``log`` of the measured value, ``weight`` of the source.
    """

    row: NDArray[np.intp]
    entry: NDArray[np.intp]
    metric: NDArray[np.intp]
    kind: NDArray[np.intp]
    log: Floats
    weight: Floats

    def predicted(self, found: dict[str, Floats]) -> Floats:
        """Logarithms of the predictions of these figures; NaN where there is none."""
        out = np.empty(len(self.row))
        for i, name in enumerate(METRICS):
            mine = self.metric == i
            out[mine] = found[name][self.row[mine]]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(out)


def observations(asked: Questions) -> Observations:
    """The independent latencies and rates of a table."""
    load = pl.col("load").fill_null("closed_loop")
    first = pl.col("latency_meaning").fill_null("") == FIRST_TOKEN
    whole = (load == "static_batch") & ~first
    has_latency = pl.col("latency_s").is_not_null()
    several = pl.col("output_tokens") > 1
    closed = ~load.is_in(["static_batch", "offline", "saturated"])
    chosen = [
        ("closed ttft", "ttft_s", closed, 1.0),
        ("closed itl", "itl_s", closed & several, 1.0),
        ("static ttft", "ttft_s", (load == "static_batch") & first, 1.0),
        ("static latency", "latency_s", whole & has_latency, 1.0),
        ("static latency", "output_tokens_per_s", whole & ~has_latency, 1.0),
        ("offline rate", "output_tokens_per_s", load == "offline", 1.0),
        ("saturated itl", "itl_s", (load == "saturated") & several, 0.5),
        ("saturated rate", "output_tokens_per_s", load == "saturated", 0.5),
    ]
    return _collect(asked, [(KINDS.index(kind), *rest) for kind, *rest in chosen])


def power_observations(asked: Questions) -> Observations:
    """The power figures of a table; they are fitted apart, so that watts never move a time."""
    return _collect(asked, [(0, "power_w", pl.lit(True), 1.0)])


def _collect(asked: Questions, chosen: list) -> Observations:
    frame = asked.frame.with_row_index("_row").with_columns(pl.Series("_entry", asked.entry))
    parts = [
        frame.filter(condition & (pl.col(metric) > 0)).select(
            row="_row", entry="_entry", metric=pl.lit(METRICS.index(metric)), kind=pl.lit(kind),
            log=pl.col(metric).log(), weight=pl.col("weight").fill_null(1.0) * share,
        )
        for kind, metric, condition, share in chosen
    ]  # fmt: skip
    table = pl.concat(parts)

    def whole(name: str) -> NDArray[np.intp]:
        return table[name].to_numpy().astype(np.intp)

    return Observations(
        whole("row"), whole("entry"), whole("metric"), whole("kind"), table["log"].to_numpy(),
        table["weight"].to_numpy(),
    )  # fmt: skip
