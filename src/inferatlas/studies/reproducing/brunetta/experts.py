"""Fig. 6: expert against tensor parallelism, four mixtures of experts on four GPUs in FP8.

The paper says two things of its expert parallelism: a single instance with EP = 4, and attention heads replicated. vLLM
does either: with one instance attention stays tensor parallel while experts are placed whole (*shared attention*); with
data-parallel attention every GPU has all heads and its own sequences (*replicated attention*). Both are predicted.
"""

from __future__ import annotations

from functools import cache
from math import isnan

from inferatlas.catalogue.models import load_model
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.judging import CLEAR
from inferatlas.studies.reproducing.brunetta.pairs import (
    OVER,
    TITLES,
    claimed,
    meet,
    met,
    model_name,
    named,
    pair_of,
    percents,
    range_over,
)
from inferatlas.studies.reproducing.brunetta.protocol import H100, LARGE_EXPERTS, MI300X, lengths_note, load_note
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note
from inferatlas.studies.reproducing.phrases import listed

NODES = (H100, MI300X)
GPUS = 4
BATCHES = (4, 8, 16, 32, 64, 128, 256)
SPEED, FRUGAL = "total_tokens_per_s", "total_tokens_per_joule"
TP, SHARED, REPLICATED = "TP", "EP, shared attention", "EP, replicated attention"
WAYS = {TP: (GPUS, 1, 1), SHARED: (GPUS, 1, GPUS), REPLICATED: (1, GPUS, GPUS)}  # tp, dp, ep
EITHER = (SHARED, REPLICATED)
MIXTRAL, SCOUT, QWEN3, DEEPSEEK = "mixtral-8x22b", "llama-4-scout", "qwen3-235b-a22b", "deepseek-r1"


def case_of(model: str, node: str, batch: float, way: str) -> Case:
    """Four GPUs as one instance (or four replicas that share experts), ``batch`` requests over all of them."""
    tp, dp, ep = WAYS[way]
    return Case(model, node, batch, tp=tp, dp=dp, ep=ep, weights="fp8")


@cache
def grid() -> Answers:
    """Four models on two nodes, three ways, over batches."""
    return answered(
        [case_of(m, node, b, way) for m in LARGE_EXPERTS for node in NODES for b in BATCHES for way in WAYS]
    )


def tensor_over_expert(model: str, node: str, batch: float, way: str, quantity: str) -> float:
    """Tensor over one kind of expert parallelism: a ratio, NaN where one does not fit."""
    tensor, expert = (grid().number(case_of(model, node, batch, name), quantity) for name in (TP, way))
    return tensor / expert


def within(model: str, node: str, batch: float, way: str, quantity: str) -> bool:
    """Whether the intervals of tensor and expert parallelism meet."""
    tensor, expert = (grid().of(case_of(model, node, batch, name), quantity) for name in (TP, way))
    return meet(tensor, expert)


def experts_of(model: str) -> int:
    """Routed experts of a layer."""
    return max(layer.ffn.experts for layer in load_model(model).layers if layer.ffn)


def figure_6() -> Exhibit:
    """Throughput and tokens per joule of tensor and expert parallelism over the batch."""
    return Exhibit(
        "figure-6", "Fig. 6", "Tensor against expert parallelism of four mixtures of experts on four GPUs",
        _finding(), tuple(_pair(case, quantity) for quantity in (SPEED, FRUGAL) for case in grid().cases),
        Plot("lines", x="batch", y=SPEED, colour="series", facet="model", log=True),
        (
            lengths_note(), load_note(), calibration_note(),
            f"The paper prints no batches: those from {BATCHES[0]} to {BATCHES[-1]} are assumed, over all four GPUs.",
            "It describes its expert parallelism in two ways that exclude each other (one instance; attention "
            "replicated): both are shown.",
        ),
    )  # fmt: skip


def _pair(case: Case, quantity: str) -> Pair:
    way = next(name for name, layout in WAYS.items() if layout == (case.tp, case.dp, case.ep))
    return pair_of(grid(), case, quantity, named(case, parallelism=way, series=f"{case.accelerator}, {way}"))


def _finding() -> str:
    words = [
        f"{percents(_gain(m, n, b, way) for n in NODES for b in BATCHES for way in EITHER)} with {model_name(m)} "
        f"({experts_of(m)} experts)"
        for m in LARGE_EXPERTS
    ]
    missing = [f"{model_name(m)} on 4 x {n}" for m in LARGE_EXPERTS for n in NODES if isnan(_gain(m, n, 4, SHARED))]
    return f"Tensor over expert parallelism gains {'; '.join(words)}. Without room for its weights: {listed(missing)}."


def _gain(model: str, node: str, batch: float, way: str) -> float:
    return tensor_over_expert(model, node, batch, way, SPEED) - 1.0


# model, node, quantity, claim: what tensor parallelism gains (Sec. IV-B); "roughly two-fold" is no printed number
_CLAIMS = (
    (QWEN3, MI300X, SPEED, "ep-qwen3-mi300x"),
    (QWEN3, H100, SPEED, "ep-qwen3-h100"),
    (QWEN3, MI300X, FRUGAL, "ep-qwen3-efficiency-mi300x"),
    (QWEN3, H100, FRUGAL, "ep-qwen3-efficiency-h100"),
    (SCOUT, MI300X, SPEED, "ep-scout-mi300x"),
    (SCOUT, H100, SPEED, "ep-scout-h100"),
    (MIXTRAL, H100, SPEED, "ep-mixtral-h100"),
    (MIXTRAL, MI300X, SPEED, "ep-mixtral-mi300x"),
    (MIXTRAL, H100, FRUGAL, "ep-mixtral-efficiency-h100"),
)


def printed() -> Exhibit:
    """What tensor parallelism gains over expert parallelism, in numbers of the text."""
    pairs = (*(_printed(*row) for row in _CLAIMS), _last_batch())
    return Exhibit(
        "figure-6-text", "Sec. IV-B", "What tensor parallelism gains over expert parallelism, in numbers of the text",
        f"{met(pairs)} printed gains meet the range of ours over batches of {BATCHES[0]} to {BATCHES[-1]} and "
        "both ways to place attention.",
        pairs, Plot("bars", x="case"), (lengths_note(), load_note(), calibration_note()),
    )  # fmt: skip


def _printed(model: str, node: str, quantity: str, claim: str) -> Pair:
    """A printed gain; one of several times ("2.7x") is a ratio, those in per cent are gains."""
    published = claimed(claim)
    less = 0.0 if published.value is not None and published.value >= 1.0 else 1.0
    ratios = [tensor_over_expert(model, node, batch, way, quantity) for batch in BATCHES for way in EITHER]
    title = f"{TITLES[quantity]} {'gain' if less else 'ratio'}"
    ours = range_over(ratio - less for ratio in ratios)
    return Pair({"case": f"{model_name(model)}, {node}"}, title, "1", published, ours, "predicted", OVER)


def last_level(model: str, node: str, way: str) -> float:
    """The largest batch at which expert parallelism has no less throughput; NaN where it has less at every batch."""
    level = [batch for batch in BATCHES if tensor_over_expert(model, node, batch, way, SPEED) < CLEAR]
    return float(max(level, default=float("nan")))


def _last_batch() -> Pair:
    """Up to which batch DeepSeek-R1 is served as well with expert parallelism, over both ways to place attention."""
    ours = range_over(last_level(DEEPSEEK, MI300X, way) for way in EITHER)
    note = f"of batches up to {BATCHES[-1]}; the ends of the interval are near the two ways to place attention"
    return Pair(
        {"case": f"{model_name(DEEPSEEK)}, {MI300X}"}, "last batch at which EP is level or ahead", "1",
        claimed("ep-deepseek-batches"), ours, "predicted", note if ours else f"less throughput at every batch; {note}",
    )  # fmt: skip
