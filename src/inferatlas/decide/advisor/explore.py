"""Every design over a range of loads, as columns: the table behind explorers and studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs, Limits, evaluate
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.loads import check_load, load_of
from inferatlas.predict.performance.points import BOUNDS

CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
Column = NDArray[Any]  # floats, integers or words


def explore(
    model: str, *, workload: str | None = None, isl: int | None = None, osl: int | None = None,
    concurrency: int | Sequence[int] = CONCURRENCIES, accelerators: str | Sequence[str] | None = None,
    vendors: str | Sequence[str] | None = None, engine: str | None = None,
    weights: str | Sequence[str] | None = None, kv_cache: str | None = None, max_count: int = 8,
    price: float | None = None, region: str = "USA", site: str = "AWS",
    watched: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> dict[str, Column]:  # fmt: skip
    """All feasible designs at every concurrency, one row each, as named columns of equal length.

    Every metric has three columns: ``x``, ``x_low`` and ``x_high`` (80 %); unknown figures are NaN. A concurrency
    given twice counts once; ``watched`` yields the levels one by one, and may show progress.

    Raises
    ------
    BadInput, UnknownName, NotModelled, NoFeasibleAnswer.

    Examples
    --------
    >>> table = explore("llama-3.1-8b", isl=1024, osl=256, accelerators=("h100",), concurrency=(1, 8), max_count=1)
    >>> sorted(set(table["weights"].tolist()))
    ['bf16', 'fp8', 'int4', 'int8']
    """
    levels = tuple(dict.fromkeys([concurrency] if isinstance(concurrency, int) else concurrency))
    if not levels:
        raise BadInput("no concurrency to explore", field="concurrency", allowed="one or more whole numbers")
    config = load_model(model)
    operators(config)  # a model without performance model is refused before anything else is said about it
    limits = Limits(accelerators, vendors, engine, weights, kv_cache, max_count, price, region, site)
    parts: list[dict[str, Column]] = []
    for level in watched(levels):
        load = load_of(config, workload, isl=isl, osl=osl, concurrency=level)
        check_load(config, load)
        designs = evaluate(config, load, limits)
        if not len(designs):
            words = "; ".join(f"{out.accelerator}: {out.detail}" for out in designs.rejected[:5])
            raise NoFeasibleAnswer(f"nothing can be explored: {words}", code="no_accelerator", field="accelerator")
        parts.append(columns(designs))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def columns(designs: Designs) -> dict[str, Column]:
    """The feasible designs of a search as columns."""
    keep = np.flatnonzero(designs.predictions.fits)
    owner = designs.points.platform[keep]
    platforms = designs.table.platforms

    def words(of) -> NDArray[np.str_]:
        return np.array([of(p) for p in platforms])[owner]

    points, predictions = designs.points, designs.predictions
    table: dict[str, Column] = {
        "model": np.full(keep.size, designs.model.id),
        "accelerator": words(lambda p: p.device.id),
        "vendor": words(lambda p: p.device.vendor),
        "engine": words(lambda p: p.engine.name),
        "weights": words(lambda p: p.precision.weights),
        "activations": words(lambda p: p.precision.activations),
        "kv_cache": words(lambda p: p.precision.kv_cache),
        "label": words(lambda p: p.label),
        "count": points.accelerators[keep].astype(np.int64),
        **{name: getattr(points, name)[keep].astype(np.int64) for name in ("tp", "pp", "ep", "dp")},
        "input_tokens": np.full(keep.size, designs.workload.input_tokens),
        "output_tokens": np.full(keep.size, designs.workload.output_tokens),
        "concurrency": points.concurrency[keep],
        "batch": predictions.batch[keep].astype(np.float64),
        "bound": np.array(BOUNDS)[predictions.bound[keep]],
    }
    for name, metric in designs.metrics.items():
        table |= {name: metric.value[keep], f"{name}_low": metric.low()[keep], f"{name}_high": metric.high()[keep]}
    return table


def best_designs(table: Mapping[str, Column], score: NDArray[np.float64]) -> list[int]:
    """The rows with the highest score of each accelerator, best first; NaN is no score.

    Parameters
    ----------
    table : columns as `explore` returns them. score : one number per row.

    Returns
    -------
    One row per accelerator; none for an accelerator without any score. Of equal scores the first row counts.

    Examples
    --------
    >>> table = {"accelerator": np.array(["l4", "l4", "h100", "h100", "tpu"])}
    >>> best_designs(table, np.array([2.0, 1.0, np.nan, 7.0, np.nan]))
    [3, 0]
    """
    best: list[tuple[float, int]] = []
    for name in np.unique(table["accelerator"]):
        mine = np.flatnonzero((table["accelerator"] == name) & np.isfinite(score))
        if mine.size:
            row = int(mine[np.argmax(score[mine])])
            best.append((float(score[row]), row))
    return [row for _, row in sorted(best, reverse=True)]
