"""Predictions with intervals for every measured figure of an evidence table: one row a figure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from inferatlas.evidence.answers import answers
from inferatlas.evidence.calibration import LEFT_OUT, ROWS, entry_key, fingerprint
from inferatlas.evidence.fitting import entry_values, tuned
from inferatlas.evidence.importers.physics import judge
from inferatlas.evidence.leaving_out import SIGMAS, scored
from inferatlas.evidence.questions import KEYS, Questions, questions
from inferatlas.evidence.table import METRICS
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.calibrated import Calibration, current, load
from inferatlas.predict.performance.coefficients import Closest
from inferatlas.predict.performance.priors import Z80
from inferatlas.predict.performance.widths import UNSEEN

CONTEXT = (
    "row_id", "source", "accelerator", "accelerators", "engine", "model", "weights", "load", "concurrency",
    "input_tokens", "output_tokens",
)  # fmt: skip
SCORED: dict[str, pl.DataType] = {
    "metric": pl.String(), "measured": pl.Float64(), "low": pl.Float64(), "value": pl.Float64(), "high": pl.Float64(),
    "label": pl.String(), "level": pl.String(), "left_out": pl.Boolean(),
}  # fmt: skip
_RENAMED = "fitted under other names (model, accelerator, engine, formats, source): cannot be left out"
_WORDS = {"unit": "wrong unit: a time or power that no machine needs", "broken_physics": "breaks physics"}


def predict_rows(
    frame: pl.DataFrame, *, coefficients: Path | None = None, in_sample: bool = False
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Predict every measured figure of a table.

    Rows that the coefficients were fitted to (their ids and figures are recorded) are predicted by coefficients that
    were fitted without their group of accelerator, engine and model, unless ``in_sample``.

    Parameters
    ----------
    frame : an evidence table (`table.read_table`).
    coefficients : a folder written by `calibration.calibrate`; else those in use.
    in_sample : predict fitted rows with what was fitted to them.

    Returns
    -------
    (figures, skipped): a row per figure with `CONTEXT` and `SCORED` columns, and rows that were not predicted,
    counted by reason. ``low`` and ``high`` hold 80 %. ``left_out`` is false where the row itself was fitted.
    """
    learned = load(coefficients) if coefficients else current()
    frame, skipped = _physical(frame)
    fitted = was_fitted(frame, learned)
    if not in_sample and (lost := fitted & _renamed(frame, learned)).any():
        skipped[_RENAMED] = int(lost.sum())
        frame, fitted = frame.filter(~lost), fitted.filter(~lost)
    parts = []
    for rows, chosen in ((frame.filter(~fitted), False), (frame.filter(fitted), True)):
        figures, missed = _figures(rows, learned, fitted=chosen, left_out=not (chosen and in_sample))
        parts.append(figures)
        skipped.update(missed)
    return pl.concat(parts), dict(skipped)


def was_fitted(frame: pl.DataFrame, learned: Calibration) -> pl.Series:
    """Which rows the calibration was fitted to: the same id with the same figures."""
    known = _companion(learned.folder, ROWS)
    ids = frame["row_id"].to_list()
    marks = [mark in known.get(row, "").split() for row, mark in zip(ids, fingerprint(frame), strict=True)]
    return pl.Series(marks, dtype=pl.Boolean)


def _renamed(frame: pl.DataFrame, learned: Calibration) -> pl.Series:
    """Rows of which the fit knows no entry, because what names it was changed since."""
    known = _companion(learned.folder, LEFT_OUT).get("entries", {})
    columns = [pl.col("engine_version" if key == "version" else key).fill_null("") for key in KEYS]
    keys = frame.select(pl.concat_str(columns, separator="|")).to_series()
    return pl.Series([key not in known for key in keys], dtype=pl.Boolean)


@lru_cache(maxsize=8)
def _companion(folder: Path | None, name: str) -> dict[str, Any]:
    """A file beside the coefficients; nothing if there is none."""
    if folder is None or not (folder / name).exists():
        return {}
    return json.loads((folder / name).read_text(encoding="utf-8"))


def _figures(
    frame: pl.DataFrame, learned: Calibration, *, fitted: bool, left_out: bool
) -> tuple[pl.DataFrame, dict[str, int]]:
    asked = questions(frame, learned)
    if not asked.frame.height:
        return pl.DataFrame(schema={name: asked.frame.schema[name] for name in CONTEXT} | SCORED), asked.skipped
    close = [p.coefficients.closest for a in asked.asked for p in a.platforms]
    label = np.array([p.label for a in asked.asked for p in a.platforms], dtype=object)
    if fitted and left_out:
        coefficients, close = _without_group(asked, learned)
        found = answers(asked, coefficients, close)
    else:
        found = answers(asked)
    level = np.array([near.level for near in close], dtype=object)
    label[np.isin(level, UNSEEN)] = "extrapolated"
    parts = []
    for metric in METRICS:
        value = found[metric]
        sigma = found[SIGMAS[metric]]
        part = asked.frame.with_columns(
            metric=pl.lit(metric),
            measured=pl.Series(scored(asked.frame, metric)).fill_nan(None),
            low=pl.Series(value * np.exp(-Z80 * sigma)),
            value=pl.Series(value),
            high=pl.Series(value * np.exp(Z80 * sigma)),
            label=pl.Series(label[asked.entry].tolist(), dtype=pl.String),
            level=pl.Series(level[asked.entry].tolist(), dtype=pl.String),
            left_out=pl.lit(left_out or not fitted),
        ).filter(pl.col("measured").is_not_null() & pl.col("value").is_finite())
        parts.append(part.select([*CONTEXT, *SCORED]))
    return pl.concat(parts), asked.skipped


def _without_group(asked: Questions, learned: Calibration) -> tuple[dict[str, Floats], list[Closest]]:
    """Coefficients of every entry as they were fitted without its group, and how close evidence comes to it then."""
    kept = _companion(learned.folder, LEFT_OUT)
    names: Sequence[str] = kept["coefficients"]
    rows = [kept["entries"][entry_key(entry)] for entry in asked.entries]
    links = np.array([[-np.inf if x is None else x for x in row["links"]] for row in rows])
    values = {name: entry_values(asked, name) for name in names}
    return tuned(names, links, values), [Closest(*row["closest"]) for row in rows]


def _physical(frame: pl.DataFrame) -> tuple[pl.DataFrame, Counter[str]]:
    """Rows that no bound of physics contradicts, and the others counted."""
    verdicts = judge(frame)
    bad = [v is not None for v in verdicts]
    return frame.filter(~pl.Series(bad, dtype=pl.Boolean)), Counter(_WORDS.get(v.kind, v.kind) for v in verdicts if v)
