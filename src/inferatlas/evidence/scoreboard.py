"""How well predictions meet measurements: figures reduced to errors, bias and coverage, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from inferatlas.errors import BadInput
from inferatlas.evidence.table import METRICS

BANDED = ("concurrency", "input_tokens", "output_tokens")  # sliced by powers of four: 1-3, 4-15, 16-63, ...
SLICEABLE = (
    "accelerator", "engine", "model", "load", "source", "weights", "accelerators", "label", "level", *BANDED,
)  # fmt: skip
NOT_STATED = "not stated"
DEFINITIONS = {
    "ape": "absolute relative error |predicted / measured - 1| of one figure; slices give its median, mean and p90",
    "bias": "median of ln(predicted / measured): above 0 where predictions are too high, 0.1 is about 10 %",
    "coverage": "share of measured figures between low and high, which hold 80 % of them if intervals are honest; "
    "for rows of the fit, widths were set on these same left-out errors",
    "left out": "predicted by coefficients to which the row was not fitted; for a row of the fit, its whole group of "
    "accelerator, engine and model is left out",
    "row": "a row of the table is scored once for each metric that it measured",
}
_MEASURES = {
    "n": pl.len().cast(pl.Int64),
    "median_ape": pl.col("ape").median(),
    "mean_ape": pl.col("ape").mean(),
    "p90_ape": pl.col("ape").quantile(0.9, "linear"),
    "bias": pl.col("log_ratio").median(),
    "coverage": pl.col("within").mean(),
}


def errors(figures: pl.DataFrame, value: str = "value") -> pl.DataFrame:
    """Figures that can be scored, with ``ape``, ``log_ratio`` and ``within`` (the interval) beside them.

    ``value`` names the column of predictions. Figures that are not finite and above 0 on both sides are left out.

    Examples
    --------
    >>> figures = pl.DataFrame({"measured": [0.010, 0.020], "low": [0.009, 0.021], "value": [0.011, 0.025],
    ...                         "high": [0.013, 0.030]})
    >>> errors(figures).select("ape", "within").rows()
    [(0.1, True), (0.25, False)]
    """
    ratio = pl.col(value) / pl.col("measured")
    return figures.filter(
        *((pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(False) for name in ("measured", value))
    ).with_columns(
        ape=(ratio - 1.0).abs(),
        log_ratio=ratio.log(),
        within=pl.col("measured").is_between(pl.col("low"), pl.col("high")),
    )


def slices(figures: pl.DataFrame, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Scores per metric: first overall, then for every value of each column in ``by``, one column after the other.

    Parameters
    ----------
    figures : as `predicting.predict_rows` returns them.
    by : columns of `SLICEABLE`; counts of requests and tokens are taken in bands of powers of four.

    Returns
    -------
    ``{"by", "metric", "n", "median_ape", "mean_ape", "p90_ape", "bias", "coverage"}`` each, see `DEFINITIONS`.
    An overall slice has ``by`` {}; a metric without figures has no slice. ``coverage`` is None without intervals.

    Raises
    ------
    BadInput : a column that cannot be sliced by.

    Examples
    --------
    >>> figures = pl.DataFrame({"metric": ["itl_s"] * 2, "engine": ["vllm", "sglang"], "measured": [0.010, 0.020],
    ...                         "low": [0.009, 0.021], "value": [0.011, 0.025], "high": [0.013, 0.030]})
    >>> [(one["by"], one["n"], round(one["median_ape"], 3), one["coverage"]) for one in slices(figures, ["engine"])]
    [({}, 2, 0.175, 0.5), ({'engine': 'sglang'}, 1, 0.25, 0.0), ({'engine': 'vllm'}, 1, 0.1, 1.0)]
    """
    columns = check_by(by)
    scored = errors(figures)
    out = [{"by": {}, **row} for row in _grouped(scored, []).to_dicts()]
    for name in columns:
        table = _grouped(scored.with_columns(_value_of(name)), ["_order", "_by"])
        out += [{"by": {name: row["_by"]}, **_without(row)} for row in table.to_dicts()]
    return out


def check_by(by: Sequence[str]) -> list[str]:
    """The columns to slice by, each once; `BadInput` for one that is none."""
    for name in by:
        if name not in SLICEABLE:
            raise BadInput(f"cannot slice by '{name}'", field="by", allowed=", ".join(SLICEABLE))
    return list(dict.fromkeys(by))


def medians(figures: pl.DataFrame, by: str | None, values: Sequence[str]) -> dict[tuple[str, str], dict[str, float]]:
    """Median error of other columns of predictions (baselines), by (value of ``by``, metric) ("" for all figures)."""
    out: dict[tuple[str, str], dict[str, float]] = {}
    for value in values:
        if value not in figures.columns:
            continue
        scored = errors(figures, value)
        scored = scored.with_columns(*(_value_of(by) if by else [pl.lit("").alias("_by")]))
        for name, metric, ape in scored.group_by("_by", "metric").agg(pl.col("ape").median()).iter_rows():
            out.setdefault((name, metric), {})[value] = ape
    return out


def _value_of(name: str) -> list[pl.Expr]:
    """The slice that a figure belongs to, in words, and its place among them."""
    if name in BANDED:
        band = (pl.col(name).clip(1).log(4) + 1e-9).floor()
        low = (4.0**band).round().cast(pl.Int64)
        words = pl.format("{}-{}", low, 4 * low - 1)
        return [words.fill_null(NOT_STATED).alias("_by"), band.fill_null(-1.0).alias("_order")]
    if name == "accelerators":
        count = pl.col(name).cast(pl.Int64, strict=False)
        return [
            count.cast(pl.String).fill_null(NOT_STATED).alias("_by"),
            count.fill_null(0).cast(float).alias("_order"),
        ]
    text = pl.col(name).cast(pl.String).replace("", None).fill_null(NOT_STATED)
    return [text.alias("_by"), pl.lit(0.0).alias("_order")]


def _grouped(scored: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    measured = pl.DataFrame({"metric": METRICS}).with_row_index("_place")
    table = scored.group_by([*keys, "metric"]).agg(**_MEASURES)
    return table.join(measured, on="metric", how="left").sort([*keys, "_place"]).drop("_place")


def _without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("_")}
