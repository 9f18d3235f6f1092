"""The charts of the scoreboard: which figures are drawn, and how many."""

from __future__ import annotations

from typing import Any

import polars as pl

from inferatlas.evidence.accuracy import IN_SAMPLE, Accuracy, Scores
from inferatlas.evidence.baselines import ONE_EFFICIENCY, ROOFLINE
from inferatlas.evidence.table import METRICS
from inferatlas.show.charts.agreement import agreement
from inferatlas.show.charts.errors import median_errors
from inferatlas.show.charts.style import AnyChart
from inferatlas.show.numbers import quantity

POINTS = 600  # drawn per metric
ROWS = 25  # slices drawn; tables hold all
AGREEMENT = (
    "On the line, prediction and measurement agree; the dashes are a factor of 1.25 off. Of every "
    f"metric at most {POINTS} figures are drawn, spread evenly over the measured ones in order of size."
)
PREDICTORS = {
    "median_ape": "left out",
    IN_SAMPLE: "in-sample",
    ONE_EFFICIENCY: "one efficiency",
    ROOFLINE: "bare roofline",
}


def predictors(scores: Accuracy) -> AnyChart:
    """The four predictors side by side."""
    panels = {
        quantity(one["metric"])[0]: {name: (one[key], None) for key, name in PREDICTORS.items() if one[key] is not None}
        for one in scores.overall
    }
    known = [name for name in PREDICTORS.values() if any(name in held for held in panels.values())]
    return median_errors(panels, known)


def family(rows: Scores) -> AnyChart | None:
    """Left-out errors of the slices with most figures, with a mark at one efficiency for all."""
    size: dict[str, int] = {}
    panels: dict[str, dict[str, tuple[float, float | None]]] = {}
    for one in rows:
        name = next(iter(one["by"].values()))
        size[name] = size.get(name, 0) + one["n"]
        panels.setdefault(one["metric"], {})[name] = (one["median_ape"], one[ONE_EFFICIENCY])
    if not size:
        return None
    largest = sorted(size, key=lambda name: (-size[name], name))[:ROWS]
    shown = [name for name in size if name in largest]
    return median_errors({quantity(m)[0]: panels[m] for m in METRICS if m in panels}, shown)


def points(scores: Accuracy) -> AnyChart:
    """Predicted against measured, coloured by load."""
    panels: dict[str, list[Any]] = {}
    for metric in METRICS:
        chosen = scores.figures.filter(pl.col("metric") == metric).sort("measured", "row_id")
        step = max(1, -(-chosen.height // POINTS))
        drawn = chosen.gather_every(step).select("measured", "value", pl.col("load").fill_null("load not stated"))
        panels[metric] = drawn.rows()
    return agreement(panels)
