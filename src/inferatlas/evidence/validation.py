"""A table of measured points against the predictor: figures, scores, and what was not scored and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from inferatlas.errors import ConflictingData
from inferatlas.evidence.predicting import predict_rows
from inferatlas.evidence.scoreboard import DEFINITIONS, check_by, errors, slices

ROWS = ("row_id", "metric", "measured", "low", "value", "high", "label", "level")
NO_FIGURE = "no figure that is predicted"


class NothingScored(ConflictingData):
    """A table of which no row could be scored; the reasons are counted in ``skipped``."""

    def __init__(self, rows: int, skipped: dict[str, int]) -> None:
        listed = "".join(f"\n  {count} x {reason}" for reason, count in ordered(skipped).items())
        super().__init__(f"none of {rows} rows could be scored{':' if listed else ''}{listed}", field="table")
        self.rows, self.skipped = rows, skipped

    def as_dict(self) -> dict[str, Any]:
        counted = {"rows": self.rows, "scored": 0, "skipped": ordered(self.skipped), "slices": []}
        return super().as_dict() | {"message": f"none of {self.rows} rows could be scored"} | counted


@dataclass(frozen=True)
class Validation:
    """What `validate` found. ``figures``: a row per scored row and metric, as `predict_rows` returns them.

    ``rows`` = ``scored`` + all of ``skipped``. ``fit`` says which coefficients answered and how many figures were
    predicted by coefficients that had not seen their group.
    """

    rows: int
    scored: int
    skipped: dict[str, int]
    figures: pl.DataFrame
    slices: list[dict[str, Any]]
    fit: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The JSON of the command."""
        return {
            "rows": self.rows, "scored": self.scored, "skipped": self.skipped, "slices": self.slices, "fit": self.fit,
            "definitions": DEFINITIONS,
        }  # fmt: skip


def validate(
    frame: pl.DataFrame, *, by: Sequence[str] = (), coefficients: Path | None = None, in_sample: bool = False
) -> Validation:
    """Predict every measured figure of a table and score it.

    Parameters
    ----------
    frame : an evidence table (`table.read_table`).
    by : columns to slice by, see `scoreboard.slices`.
    coefficients : a folder written by calibration; None for those of the package.
    in_sample : score with the coefficients as they are used for predictions, also where these rows were fitted;
        otherwise rows of the fit are predicted with their group left out.

    Raises
    ------
    BadInput : a column that cannot be sliced by. NothingScored : no row can be predicted.
    """
    check_by(by)
    figures, skipped = predict_rows(frame, coefficients=coefficients, in_sample=in_sample)
    figures = errors(figures).drop("ape", "log_ratio", "within")
    nth = pl.int_range(pl.len()).over("row_id", "metric")  # ids may repeat, and each row counts
    scored = figures.select("row_id", nth).n_unique() if figures.height else 0
    if (rest := frame.height - scored - sum(skipped.values())) > 0:
        skipped = skipped | {NO_FIGURE: skipped.get(NO_FIGURE, 0) + rest}
    if not scored:
        raise NothingScored(frame.height, skipped)
    return Validation(
        frame.height, scored, ordered(skipped), figures, slices(figures, by),
        _fit(figures, coefficients, in_sample) | {"assumed": _assumed(frame, figures)},
    )  # fmt: skip


def _assumed(frame: pl.DataFrame, figures: pl.DataFrame) -> dict[str, int]:
    """Scored rows by what they do not state and a default answered; see `questions` and `sources.yaml`."""
    rows = frame.filter(pl.col("row_id").is_in(figures["row_id"].unique().implode()))
    silent = {
        "input length": "input_tokens", "output length": "output_tokens", "weight format": "weights",
        "KV cache format": "kv_cache", "layout": "tp", "engine": "engine",
    }  # fmt: skip
    counts = {words: int(rows[column].null_count()) for words, column in silent.items()}
    return {words: count for words, count in counts.items() if count}


def ordered(skipped: dict[str, int]) -> dict[str, int]:
    """Reasons by how often they hold."""
    return dict(sorted(skipped.items(), key=lambda item: (-item[1], item[0])))


def _fit(figures: pl.DataFrame, coefficients: Path | None, in_sample: bool) -> dict[str, Any]:
    left_out = int(figures["left_out"].sum())
    return {
        "coefficients": "of the package" if coefficients is None else str(coefficients),
        "mode": "in-sample" if in_sample else "left out",
        "figures": figures.height,
        "figures_left_out": left_out,
        "figures_in_sample": figures.height - left_out,
        "labels": dict(figures["label"].value_counts(sort=True).iter_rows()),
        "levels": dict(figures["level"].value_counts(sort=True).iter_rows()),
    }
