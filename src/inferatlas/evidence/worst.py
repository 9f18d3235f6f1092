"""The rows that predictions miss by most, with what the table itself says about why."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from inferatlas.catalogue.models import models
from inferatlas.evidence.importers import names
from inferatlas.evidence.importers.physics import bounds
from inferatlas.evidence.scoreboard import errors

CONFIGURATION = (
    "metric", "accelerator", "accelerators", "engine", "engine_version", "model", "weights", "activations", "kv_cache",
    "load", "concurrency", "input_tokens", "output_tokens", "tp", "pp", "ep",
)  # fmt: skip
TOLD = (
    "engine_version",
    "activations",
    "kv_cache",
    "tp",
    "pp",
    "ep",
    "weight",
    "quality",
    "notes",
    "throughput_origin",
)
UNEXPLAINED = "not explained"
DIFFERENT = 1.15  # two results of one configuration that differ by more contradict each other
WAITING = 10.0  # a TTFT of so many bare prompts is a wait at the door
SLOWEST = 5.0  # a prompt at a fifth of peak compute
GROUP = ("source", "accelerator", "engine", "model", "metric")
TOGETHER = 5  # figures of a group that are missed together
PREFILL_HEAVY = 8.0  # input over output tokens
MOST = 3  # reasons of a row


def worst(figures: pl.DataFrame, frame: pl.DataFrame | None = None, n: int = 20) -> list[dict[str, Any]]:
    """The ``n`` rows with the largest ratio between predicted and measured, either way, worst first.

    Parameters
    ----------
    figures : as `predicting.predict_rows` returns them; of each row its worst figure counts.
    frame : the evidence table, for what a figure does not carry (cautions, notes, versions).

    Returns
    -------
    ``row_id, source, accelerator, accelerators, engine, model, weights, load, concurrency, input_tokens,
    output_tokens, metric, measured, value, ratio, reason`` each. ``reason``: what the table says that explains a miss
    (an observation, no proof), or "not explained".
    """
    scored = _with_notes(errors(figures), frame)
    scored = _with_peers(scored).with_columns(pl.col("log_ratio").abs().alias("miss"))
    rows = (
        scored.sort("miss", "row_id", descending=[True, False], nulls_last=True, maintain_order=True)
        .unique("row_id", keep="first", maintain_order=True)
        .head(n)
    )
    kept = [c for c in figures.columns if c not in ("low", "high", "label", "level", "left_out")]
    return [
        {name: row.get(name) for name in kept if name in row}
        | {"ratio": row["value"] / row["measured"], "reason": "; ".join(_reasons(row)[:MOST]) or UNEXPLAINED}
        for row in rows.iter_rows(named=True)
    ]


def _with_notes(scored: pl.DataFrame, frame: pl.DataFrame | None) -> pl.DataFrame:
    missing = [name for name in TOLD if name not in scored.columns]
    if frame is None:
        return scored.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    notes = frame.select("row_id", *missing).unique("row_id", keep="first")
    return scored.join(notes, on="row_id", how="left", maintain_order="left")


def _with_peers(scored: pl.DataFrame) -> pl.DataFrame:
    """What the other figures say: results of the same configuration, groups with the same model or accelerator."""
    measured = pl.col("measured")
    return scored.with_columns(
        measured.min().over(CONFIGURATION).alias("_least"),
        measured.max().over(CONFIGURATION).alias("_most"),
        pl.struct("accelerator", "engine").n_unique().over("model").alias("_of_model"),
        pl.struct("model", "engine").n_unique().over("accelerator").alias("_of_part"),
        pl.col("log_ratio").median().over(GROUP).alias("_group_bias"),
        pl.len().over(GROUP).alias("_group_size"),
        pl.col("value").filter(pl.col("metric") == "itl_s").first().over("row_id").alias("_itl"),
    )


def _reasons(row: dict[str, Any]) -> list[str]:
    """What is known of a row, the most specific first."""
    out: list[str] = []
    if row["_most"] > DIFFERENT * row["_least"]:
        out.append(
            f"measured more than once in one configuration, with results {row['_most'] / row['_least']:.1f}x apart"
        )
    if prompts := _waits(row):
        text = f"TTFT is {prompts[0]:,.0f} bare prompts measured, {prompts[1]:,.0f} predicted"
        beyond = prompts[0] > SLOWEST * (row["concurrency"] or math.inf)
        queue = "more than a queue of all requests in flight explains: warm-up, an outlier or a wait for memory"
        out.append(f"{text}, {queue}" if beyond else f"requests queue: {text}")
    if "derived" in str(row["throughput_origin"]) and row["metric"] == "output_tokens_per_s":
        out.append("throughput derived by the source from other figures")
    if "multimodal" in str(row["quality"]) or _sees_images(row["model"]):
        out.append("a model that also reads images, of which the row says nothing")
    if row["weight"] is not None and float(row["weight"]) < 1:
        told = str(row["notes"] or row["quality"] or "").strip()
        out.append(f"its source carries a caution{f' ({told[:80]})' if told else ''}")
    if not row["weights"]:
        out.append("precision not published")
    if row["load"] == "offline" or row["concurrency"] is None:
        out.append("load not published: the batch is what memory holds")
    if row["_of_model"] == 1:
        out.append("model measured nowhere else in the table")
    if row["_of_part"] == 1:
        out.append("accelerator measured nowhere else in the table")
    if row["_group_size"] >= TOGETHER and row["_group_bias"] * row["log_ratio"] > 0.5 * row["log_ratio"] ** 2:
        ratio = math.exp(row["_group_bias"])
        out.append(f"all {row['_group_size']} figures of its group are missed alike (median {ratio:.2g}x)")
    if row["input_tokens"] and row["output_tokens"] and row["input_tokens"] >= PREFILL_HEAVY * row["output_tokens"]:
        out.append(f"prefill-heavy: {row['input_tokens']:g} input for {row['output_tokens']:g} output tokens")
    return out


def _waits(row: dict[str, Any]) -> tuple[float, float] | None:
    """Where requests queue: TTFT, measured and predicted, in prompts at peak compute (at least a decode step)."""
    if row["metric"] != "ttft_s" or not row["input_tokens"] or not row["accelerators"]:
        return None
    bound = bounds(row["model"], row["accelerator"], row["weights"] or "", "")
    bare = row["input_tokens"] * bound.prompt_flop / (bound.flop_s * row["accelerators"])
    bare = max(bare, row["_itl"] or 0.0)  # NaN where the model or the part has no published peak
    found = row["measured"] / bare, row["value"] / bare
    return found if max(found) > WAITING else None


def _sees_images(model: str) -> bool:
    known = models().get(names.model(model).slug)
    return known is not None and known.other_parameters > 0
