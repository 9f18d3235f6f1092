"""The scoreboard: how far predictions are from measurements, beside in-sample predictions and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from inferatlas.evidence.baselines import ONE_EFFICIENCY, ROOFLINE, with_baselines
from inferatlas.evidence.scoreboard import medians, slices
from inferatlas.evidence.validation import Validation, validate
from inferatlas.evidence.worst import worst

FAMILIES = ("accelerator", "engine", "model", "load")
WORST = 20
IN_SAMPLE = "in_sample"
_INSIDE = (IN_SAMPLE, ROOFLINE, ONE_EFFICIENCY)
Scores = list[dict[str, Any]]


@dataclass(frozen=True)
class Accuracy:
    """A validation beside what it must beat.

    Parameters
    ----------
    name : what the table is called. found : its validation, with left-out figures.
    figures : a row per row and metric, with the predictions of all: left out, in-sample, baselines.
    overall, families, levels : slices of all figures, by each family (name -> slices) and by level, each with the
        medians of the other predictors beside its own.
    worst : the rows furthest off. fitted : figures whose rows the coefficients were fitted to.
    """

    name: str
    found: Validation
    figures: pl.DataFrame
    overall: Scores
    families: dict[str, Scores]
    levels: Scores
    worst: list[dict[str, Any]]
    fitted: int


def accuracy(
    frame: pl.DataFrame, found: Validation, *, by: Sequence[str] = (), coefficients: Path | None = None, name: str = ""
) -> Accuracy:
    """Put a validation beside its in-sample figures and the baselines.

    Parameters
    ----------
    frame : the evidence table. found : its validation, of which left-out figures are taken where it has them.
    by : families of slices; default `FAMILIES`.
    coefficients : as for `validation.validate`.
    name : what the table is called.

    Raises
    ------
    BadInput : a column that cannot be sliced by.
    """
    inside = found if found.fit["mode"] == "in-sample" else validate(frame, coefficients=coefficients, in_sample=True)
    outside = found if found.fit["mode"] != "in-sample" else validate(frame, coefficients=coefficients)
    figures = _beside(with_baselines(outside.figures, frame), inside.figures)
    families = {family: _scores(figures, family) for family in by or FAMILIES}
    return Accuracy(
        name, outside, figures, _scores(figures, None), families, _scores(figures, "level"),
        worst(outside.figures, frame, WORST), inside.fit["figures_in_sample"],
    )  # fmt: skip


def _beside(figures: pl.DataFrame, inside: pl.DataFrame) -> pl.DataFrame:
    """In-sample predictions beside the others, null for rows that no coefficient was fitted to."""
    seen = inside.filter(~pl.col("left_out")).select("row_id", "metric", pl.col("value").alias(IN_SAMPLE))
    return figures.join(seen.unique(["row_id", "metric"], keep="first"), on=["row_id", "metric"], how="left")


def _scores(figures: pl.DataFrame, family: str | None) -> Scores:
    rows = [one for one in slices(figures, [family] if family else []) if bool(one["by"]) == bool(family)]
    other = medians(figures, family, _INSIDE)
    empty = dict.fromkeys(_INSIDE)
    return [one | empty | other.get((next(iter(one["by"].values()), ""), one["metric"]), {}) for one in rows]
