"""The measured points nearest to a question, with the distance and what differs.

The distance is a sum of terms, in units of "a factor of e in what counts"; 0 is the same question. Its weights are
judged, not fitted: a doubled load or length moves a measured time less than another model or another machine does.
A model or accelerator that the catalogue does not hold is 10 away.

| term | same | otherwise |
|---|---|---|
| model | 0 | 0.3, +0.2 of another family, +0.5 dense against experts, + abs ln of active, + 0.3 of all parameters |
| accelerator | 0 | 0.3, +0.2 of another vendor, +0.5 of another class, + 0.7 abs ln of bandwidth, + 0.3 of peak |
| engine | 0 | 0.4; 0.2 if not stated |
| weights | 0 | 0.2 + abs ln of bits; 0.2 if not stated |
| count | 0 | 0.7 abs ln; 1.5 if not stated |
| requests in flight (per accelerator where the count is asked) | 0 | 0.5 abs ln; 1.5 if not stated |
| input, output tokens | 0 | 0.4 abs ln each; 1.5 if not stated |
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, NotModelled
from inferatlas.evidence.importers import names
from inferatlas.evidence.table import METRICS, read_table
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.parameters import count as count_parameters
from inferatlas.predict.llm.precision import FORMATS

VARIABLE = "INFERATLAS_EVIDENCE"
SHOWN = (
    "row_id", "source", "model", "accelerators", "accelerator", "engine", "weights", "load", "concurrency",
    "input_tokens", "output_tokens", *METRICS, "reference", "licence",
)  # fmt: skip
UNSTATED = 1.5  # a number that a row does not state
FAR = 10.0  # where a table's name says nothing about the machine or the model


def near(
    frame: pl.DataFrame, *, model: str, accelerator: str, concurrency: float | None = None, isl: float | None = None,
    osl: float | None = None, engine: str | None = None, weights: str | None = None, count: float | None = None,
    n: int = 10,
) -> pl.DataFrame:  # fmt: skip
    """The ``n`` measured points nearest to a question.

    Parameters
    ----------
    frame : an evidence table (`table.read_table`).
    model, accelerator : names of the catalogue; the other arguments count only where they are given.
    concurrency : requests in flight; ``isl``, ``osl``: tokens; ``count``: accelerators.

    Returns
    -------
    The rows with `SHOWN` columns and, first, ``distance`` (see this module) and ``why`` (what differs, in words);
    nearest first, equal distances in the order of their row ids.

    Raises
    ------
    UnknownName : a model or accelerator that the catalogue does not hold. BadInput : ``n`` below 1.

    Examples
    --------
    >>> from inferatlas.evidence.table import conform
    >>> rows = {"row_id": ["a", "b"], "model": "llama-3.1-8b", "accelerator": ["nvidia-h200-sxm", "nvidia-h100-sxm"],
    ...         "concurrency": [8.0, 16.0], "itl_s": [0.006, 0.008]}
    >>> found = near(conform(pl.DataFrame(rows)), model="llama-3.1-8b", accelerator="h100", concurrency=8)
    >>> found.select("row_id", "why").rows()[0]
    ('b', 'requests in flight: 16, not 8')
    """
    for name, value in (("n", n), ("concurrency", concurrency), ("isl", isl), ("osl", osl), ("count", count)):
        if value is not None and not value > 0:
            raise BadInput(f"{value} is not above 0", field=name, allowed="above 0")
    asked_model, asked_part = load_model(model).id, load_accelerator(accelerator).id
    frame = frame.filter(pl.any_horizontal(pl.col(m).is_not_null() for m in METRICS))
    unit = 1.0 if count is None else count
    per = pl.lit(1.0) if count is None else pl.col("accelerators")
    terms = [
        _looked_up("model", {x: _model_term(asked_model, x) for x in _unique(frame, "model")}),
        _looked_up("accelerator", {x: _part_term(asked_part, x) for x in _unique(frame, "accelerator")}),
        *_stated("engine", engine, _engines(engine, frame)),
        *_stated("weights", weights, {x: _format_term(weights, x) for x in _unique(frame, "weights")}),
        *_ratio(pl.col("accelerators"), count, 0.7, "accelerators: {}, not {}"),
        *_ratio(pl.col("concurrency") / per, None if concurrency is None else concurrency / unit, 0.5,
                "requests in flight" + ("" if count is None else " per accelerator") + ": {}, not {}"),
        *_ratio(pl.col("input_tokens"), isl, 0.4, "input tokens: {}, not {}"),
        *_ratio(pl.col("output_tokens"), osl, 0.4, "output tokens: {}, not {}"),
    ]  # fmt: skip
    same = "the same in all that was asked"
    return (
        frame.select(
            pl.sum_horizontal(distance for distance, _ in terms).round(4).alias("distance"),
            pl.concat_str([words for _, words in terms], separator="; ", ignore_nulls=True)
            .replace("", same)
            .alias("why"),
            *SHOWN,
        )
        .sort("distance", "row_id", maintain_order=True)
        .head(int(n))
    )


def evidence_tables(paths: Sequence[str | Path] = ()) -> pl.DataFrame:
    """The evidence tables named, else those of the environment variable INFERATLAS_EVIDENCE, one below the other.

    The variable holds one file, or several with the separator of PATH between them.

    Raises
    ------
    BadInput : no table is named anywhere, or one cannot be read.
    """
    named = [str(p) for p in paths] or [p for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p.strip()]
    if not named:
        raise BadInput(
            "no evidence table is named, and none ships with the package: measured points have licences of their own",
            field="table",
            allowed=f"--table FILE, or the environment variable {VARIABLE}",
            hint="make one: inferatlas evidence import vllm-bench RESULTS --output table.parquet",
        )
    return pl.concat([read_table(path) for path in named], how="diagonal_relaxed")


def _unique(frame: pl.DataFrame, column: str) -> list[str]:
    return frame[column].drop_nulls().unique().sort().to_list()


def _looked_up(column: str, known: dict[str, float]) -> tuple[pl.Expr, pl.Expr]:
    distance = pl.col(column).replace_strict(known, default=FAR, return_dtype=pl.Float64)
    words = pl.when(distance > 0).then(pl.col(column).fill_null(f"{column} not stated"))
    return distance, words


def _stated(column: str, asked: str | None, known: dict[str, float]) -> list[tuple[pl.Expr, pl.Expr]]:
    """A name that counts only where it is asked."""
    if asked is None:
        return []
    distance = pl.col(column).replace_strict(known, default=0.2, return_dtype=pl.Float64)
    name = pl.col(column) if column == "engine" else pl.format("{} weights", pl.col(column))
    return [(distance, pl.when(distance > 0).then(name.fill_null(f"{column} not stated")))]


def _ratio(column: pl.Expr, asked: float | None, weight: float, words: str) -> list[tuple[pl.Expr, pl.Expr]]:
    """A number that counts by the logarithm of its ratio to what is asked."""
    if asked is None:
        return []
    positive = pl.when(column > 0).then(column)
    distance = (weight * (positive / asked).log().abs()).fill_null(UNSTATED)
    shown = pl.when(column % 1 == 0).then(column.cast(pl.Int64, strict=False).cast(pl.String))
    number = pl.coalesce(shown, column.round(2).cast(pl.String), pl.lit("unknown"))
    return [(distance, pl.when(distance > 1e-9).then(pl.format(words, number, pl.lit(f"{asked:g}"))))]


def _engines(asked: str | None, frame: pl.DataFrame) -> dict[str, float]:
    return {x: 0.4 * (names.engine(x) != names.engine(asked)) for x in _unique(frame, "engine")}


def _format_term(asked: str | None, have: str) -> float:
    asked = names.precision(asked)
    if have == asked:
        return 0.0
    if asked not in FORMATS or have not in FORMATS:
        return 0.5
    return 0.2 + abs(float(np.log(FORMATS[have].bits / FORMATS[asked].bits)))


@lru_cache(maxsize=4096)
def _model_term(asked: str, printed: str) -> float:
    found = names.model(printed)
    if found.slug == asked:
        return 0.0
    if not found.known:
        return FAR
    a, b = load_model(asked), load_model(found.slug)
    term = 0.3 + 0.2 * (a.family != b.family) + 0.5 * (a.kind != b.kind)
    try:
        x, y = count_parameters(a), count_parameters(b)
    except NotModelled:
        return FAR
    return term + abs(float(np.log(x.active / y.active))) + 0.3 * abs(float(np.log(x.total / y.total)))


@lru_cache(maxsize=4096)
def _part_term(asked: str, printed: str) -> float:
    found = names.accelerator(printed)
    if found.slug == asked:
        return 0.0
    if not found.known:
        return FAR
    try:
        a, b = device(load_accelerator(asked)), device(load_accelerator(found.slug))
    except NotModelled:
        return FAR
    term = 0.3 + 0.2 * (a.vendor != b.vendor) + 0.5 * (a.architectural_class != b.architectural_class)
    x, y = a.memory.bytes_per_s, b.memory.bytes_per_s
    term += 0.7 * abs(float(np.log(x / y))) if x and y else 1.0
    common = [rate for rate in ("bf16", "fp16", "fp8") if rate in a.peaks and rate in b.peaks]
    return term + (0.3 * abs(float(np.log(a.peaks[common[0]] / b.peaks[common[0]]))) if common else 0.5)
