"""Guidelines on one instance: what size does, what the batch does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.comparing import LESS_IS_BETTER, columns, guideline, summaries
from inferatlas.studies.reproducing.brunetta.judging import Trial, bounded, compared, tried
from inferatlas.studies.reproducing.brunetta.pairs import TITLES, parameters, slope, span
from inferatlas.studies.reproducing.brunetta.protocol import DENSE, GPUS, NODES

QUANTITIES = ("latency_s", "ttft_s", "total_tokens_per_s", "total_tokens_per_joule")
LEVELS = (1, 4, 16, 32, 64, 128, 256)  # sequences per GPU
PLACES = (*((gpu, 1) for gpu in GPUS), *((gpu, 4) for gpu in NODES))  # accelerators with their tensor parallel size
STRAIGHT = 0.15  # farthest that a point may lie from the line and be called on it; our reading of "linearly"
ROOM, SHORT = "with room for every batch", "short for some model"
Value = Callable[[str, str, int, int, str], float]  # of model, GPU, T, sequences per GPU and quantity
Whole = Callable[[str, str, int, int], bool]  # of the first four: whether memory holds the batch at once


@cache
def grid() -> Answers:
    """Nine dense models on one GPU of six kinds, and on four of three kinds."""
    return answered([place(model, gpu, tp, level) for model in DENSE for gpu, tp in PLACES for level in LEVELS])


def place(model: str, gpu: str, tp: int, level: int) -> Case:
    """One instance of ``tp`` GPUs with so many sequences on each."""
    return Case(model, gpu, level * tp, tp=tp)


def _value(model: str, gpu: str, tp: int, level: int, quantity: str) -> float:
    return grid().number(place(model, gpu, tp, level), quantity)


def _whole(model: str, gpu: str, tp: int, level: int) -> bool:
    return grid().whole[grid().rows[place(model, gpu, tp, level)]]


def off_the_line(sizes: Sequence[float], values: Sequence[float]) -> float:
    """How far the farthest point lies from the straight line a + b size that fits best, relative to itself.

    NaN with fewer than four known values; inf where the line does not rise.

    >>> off_the_line([1, 2, 3, 4], [3, 5, 7, 9]) < 1e-9, off_the_line([1, 2, 3, 4], [1, 4, 9, 16]) > 0.2
    (True, True)
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(y)
    if known.sum() < 4:
        return float("nan")
    x, y = x[known], y[known]
    rise, start = np.polyfit(x, y, 1, w=1.0 / y)
    return float(np.max(np.abs((start + rise * x) / y - 1.0))) if rise > 0 else float("inf")


def size_trials(value: Value, whole: Whole) -> list[Trial]:
    """Whether each metric (or the inverse of those that fall) lies on a line over size."""
    found = []
    sizes = [parameters(model).total for model in DENSE]
    for gpu, tp in PLACES:
        for level in LEVELS:
            for quantity in QUANTITIES:
                values = [value(model, gpu, tp, level, quantity) for model in DENSE]
                straight = values if quantity in LESS_IS_BETTER else [1.0 / v for v in values]
                what = {
                    "metric": TITLES[quantity], "accelerator": gpu, "tensor parallel": str(tp),
                    "sequences per GPU": str(level), "memory": _room(value, whole, gpu, tp, level),
                }  # fmt: skip
                found.append(bounded(what, off_the_line(sizes, straight), 0.0, STRAIGHT))
    return tried(found)


def _room(value: Value, whole: Whole, gpu: str, tp: int, level: int) -> str:
    """Whether the models that fit at all have room for the whole batch."""
    fit = [model for model in DENSE if np.isfinite(value(model, gpu, tp, level, "latency_s"))]
    return ROOM if all(whole(model, gpu, tp, level) for model in fit) else SHORT


def size() -> Guideline:
    """Latency and TTFT linear in size, throughput and tokens per joule inverse."""
    trials = size_trials(_value, _whole)
    words = ", ".join(f"{TITLES[quantity]} {span(_powers(quantity))}" for quantity in QUANTITIES)
    return guideline(
        "size-linear", "Sec. IV-A, first box",
        "Latency and TTFT increase linearly with model size, while throughput and energy efficiency decrease "
        "inversely.",
        trials,
        "Over nine dense models of 8 to 73 billion parameters, a metric (or its inverse) is called linear where no "
        f"model lies more than {STRAIGHT:.0%} off a straight line a + b N. Proportional it need not be: where memory "
        f"has room, the exponents over size are {words}.",
        pairs=summaries(trials, ("metric", "accelerator", "tensor parallel"), "farthest point off the line"),
        plot=Plot("bars", x="accelerator", colour="tensor parallel"),
        notes=("A constant part of a step (launches, host) is allowed: a line need not pass through zero.",),
    )  # fmt: skip


def _powers(quantity: str) -> list[float]:
    """Exponents over size at every place and level where memory has room for the batch of every model that fits."""
    sizes = [parameters(model).total for model in DENSE]
    return [
        slope(sizes, [_value(model, gpu, tp, level, quantity) for model in DENSE])
        for gpu, tp in PLACES
        for level in LEVELS
        if _room(_value, _whole, gpu, tp, level) == ROOM
    ]


def batch_trials(value: Value) -> list[Trial]:
    """Each step from one batch to the next: every metric must rise."""
    found = []
    for model in DENSE:
        for gpu, tp in PLACES:
            for small, large in pairwise(LEVELS):
                for quantity in QUANTITIES:
                    ratio = value(model, gpu, tp, large, quantity) / value(model, gpu, tp, small, quantity)
                    more = {"tensor parallel": str(tp), "sequences per GPU": str(large)}
                    found.append(compared(columns(place(model, gpu, tp, large), quantity, **more), ratio))
    return tried(found)


def batch() -> Guideline:
    """Larger batches: more throughput and tokens per joule, later answers."""
    trials = batch_trials(_value)
    return guideline(
        "batch-tradeoff", "Sec. IV-A, second box",
        "Larger batch sizes improve the performance in an offline setting while achieving better energy efficiency. In "
        "contrast, metrics related to online serving, such as TTFT or individual sequence latency, improve as the "
        "batch size decreases.",
        trials,
        f"Every step between batches of {LEVELS[0]} to {LEVELS[-1]} per GPU, nine dense models, one GPU of six kinds "
        "and four of three kinds: throughput and tokens per joule must rise, and so must latency and TTFT.",
        pairs=summaries(trials, ("metric", "sequences per GPU"), "ratio to the batch before"),
        plot=Plot("lines", x="sequences per GPU"),
    )  # fmt: skip


ALL = (size, batch)
