"""What a prediction must beat: the bare roofline, and the same with one efficiency for every machine.

Both see a row as the predictor does (`questions`): operators, layout, queueing. The bare roofline runs every unit at
its peak without any overhead; the other divides by one number, the median over rows of all *other* groups of
accelerator, engine and model, so that it is never fitted to what it scores.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from inferatlas.evidence.answers import answers
from inferatlas.evidence.questions import Questions, questions

Floats = NDArray[np.float64]
ROOFLINE, ONE_EFFICIENCY = "roofline", "one_efficiency"
GROUP = ("accelerator", "engine", "model")
PEAK = dict.fromkeys(
    ("compute_efficiency", "memory_efficiency", "attention_efficiency", "cache_efficiency", "expert_efficiency",
     "grouped_efficiency",
     "interference", "network_byte_scale", "accepted", "room"), 1.0,
) | dict.fromkeys(
    ("kernel_s", "prefill_kernel_s", "layer_s", "routing_s", "sequence_s", "step_s", "request_s", "prompt_token_s",
     "grouping", "straggling", "network_scale"), 0.0,
)  # fmt: skip
_ONE_PER_ROW = ("itl_s", "latency_s", "output_tokens_per_s", "ttft_s")  # the rest of a row is often derived from it


def with_baselines(figures: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Add what the two baselines say: columns `ROOFLINE` and `ONE_EFFICIENCY`, null where they have no answer.

    Parameters
    ----------
    figures : as `predicting.predict_rows` returns them.
    frame : the evidence table that they come from.

    Power of the bare roofline is the rated power of all accelerators; with one efficiency it is one share of it.
    The second column is null where there is no other group to learn from.
    """
    if not figures.height:
        return figures.with_columns(pl.lit(None, pl.Float64).alias(name) for name in (ROOFLINE, ONE_EFFICIENCY))
    asked = questions(frame.filter(pl.col("row_id").is_in(figures["row_id"].unique().implode())))
    figures = figures.join(_bare(asked), on=["row_id", "metric"], how="left", maintain_order="left")
    return figures.with_columns(pl.Series(ONE_EFFICIENCY, _one_efficiency(figures)).fill_nan(None))


def _bare(asked: Questions) -> pl.DataFrame:
    """The bare roofline of every row and metric."""
    entries = len(asked.entries)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing to wait for: shares of a wait of 0
        found = answers(asked, {name: np.full(entries, value) for name, value in PEAK.items()})
    rated = [
        np.nan if p.device.power.rated_w is None else p.device.power.rated_w for a in asked.asked for p in a.platforms
    ]
    power = np.array(rated, dtype=np.float64)[asked.entry] * asked.frame["accelerators"].to_numpy()
    columns = {name: np.asarray(found[name], dtype=np.float64) for name in _ONE_PER_ROW} | {"power_w": power}
    ids = asked.frame["row_id"]
    table = pl.concat(
        pl.DataFrame({"row_id": ids, "metric": pl.repeat(name, len(ids), eager=True), ROOFLINE: value})
        for name, value in columns.items()
    )
    finite = pl.col(ROOFLINE).is_finite() & (pl.col(ROOFLINE) > 0)
    return table.with_columns(pl.when(finite).then(pl.col(ROOFLINE))).unique(["row_id", "metric"], keep="first")


def _one_efficiency(figures: pl.DataFrame) -> Floats:
    """The bare roofline at the efficiency of the other groups; time and rate scale with it, power is a share."""
    metric = figures["metric"].to_numpy()
    group = figures.select(pl.struct(pl.col(c).fill_null("") for c in GROUP).rank("dense").alias("g"))["g"].to_numpy()
    bare = figures[ROOFLINE].fill_null(np.nan).to_numpy()
    measured = figures["measured"].to_numpy()
    is_power, is_rate = metric == "power_w", metric == "output_tokens_per_s"
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.where(is_power | is_rate, measured / bare, bare / measured)
    usable = np.isfinite(speed) & (speed > 0)
    chosen = usable & ~is_power & _first_of_row(figures)
    efficiency = _median_of_others(group, speed, chosen)
    share = _median_of_others(group, speed, usable & is_power)
    return np.where(is_power, bare * share, np.where(is_rate, bare * efficiency, bare / efficiency))


def _first_of_row(figures: pl.DataFrame) -> NDArray[np.bool_]:
    """The one figure of each row that counts as its evidence."""
    place = pl.col("metric").replace_strict(
        {m: i for i, m in enumerate(_ONE_PER_ROW)}, default=99, return_dtype=pl.Int32
    )
    return figures.select((place == place.min().over("row_id")) & (place < 99)).to_series().to_numpy()


def _median_of_others(group: NDArray[np.generic], values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """For every figure the median of the chosen values of all groups but its own (the lower one of two middles).

    The j-th of the others is found among all values in order: it stands as many places further on as values of
    its own group stand before it.
    """
    order = np.flatnonzero(chosen)
    order = order[np.argsort(values[order], kind="stable")]
    ordered, owner = values[order], group[order]
    names, own = np.unique(group, return_inverse=True)
    medians = np.full(names.size, np.nan)
    by_owner = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[by_owner], names, side="left"), np.searchsorted(owner[by_owner], names, side="right")
    for i, (start, stop) in enumerate(zip(*bounds, strict=True)):
        mine = by_owner[start:stop]  # places of this group in the order, ascending
        others = ordered.size - mine.size
        if others:
            j = (others - 1) // 2
            medians[i] = ordered[j + np.searchsorted(mine - np.arange(mine.size), j, side="right")]
    return medians[own]
