"""Fig. 4: tensor against data parallelism on whole nodes, ten models in 16 bit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import isfinite

from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.pairs import (
    OVER,
    claimed,
    meet,
    met,
    model_name,
    named,
    pair_of,
    parameters,
    percents,
    range_over,
)
from inferatlas.studies.reproducing.brunetta.protocol import (
    A100,
    DENSE,
    H100,
    MI300X,
    NODES,
    PER_GPU,
    TEN,
    TENSOR,
    lengths_note,
    load_note,
)
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note
from inferatlas.studies.reproducing.phrases import listed

FRUGAL = "total_tokens_per_joule"
INSTANCE = "total_tokens_per_s_per_instance"  # "throughput values are normalized by D"
LARGE = "llama-3.3-70b"
PRINTED = {(MI300X, 1): "mi300x-70b-throughput", (H100, 4): "h100-70b-throughput"}  # node and T, Sec. IV-B


def on_node(
    model: str, node: str, tp: int, weights: str = "", *, count: int | None = None, memory: float = 1.0,
    level: int = PER_GPU,
) -> Case:  # fmt: skip
    """A node (or ``count`` accelerators of it) in instances of ``tp``, with ``level`` sequences per accelerator."""
    count = count or NODES[node]
    return Case(model, node, level * count, tp=tp, dp=count // tp, weights=weights, memory=memory)


@cache
def grid() -> Answers:
    """Ten models on three nodes in three layouts, and the two deployments of four GPUs that the text compares."""
    cases = [on_node(model, node, tp) for model in TEN for node in NODES for tp in TENSOR]
    return answered(list(dict.fromkeys([*cases, *FOUR_GPUS])))


FOUR_GPUS = (on_node(LARGE, MI300X, 1, count=4), on_node(LARGE, H100, 4, count=4))


def figure_4() -> Exhibit:
    """Throughput per instance and tokens per joule of whole nodes."""
    cases = [on_node(model, node, tp) for node in NODES for tp in TENSOR for model in TEN]
    pairs = tuple(_pair(case, quantity) for quantity in (INSTANCE, FRUGAL) for case in cases)
    return Exhibit(
        "figure-4", "Fig. 4", "Throughput per instance and tokens per joule of three nodes in bfloat16",
        _finding(), pairs, Plot("heatmap", x="layout", y="model", log=True),
        (
            lengths_note(), load_note(), calibration_note(),
            "The paper names four of its ten models; assumed are the ten smallest of Table II: "
            f"{listed([model_name(model) for model in TEN])}.",
        ),
    )  # fmt: skip


def _pair(case: Case, quantity: str) -> Pair:
    key = case.accelerator, case.tp
    known = quantity == INSTANCE and case.model == LARGE and key in PRINTED
    what = named(case, instances=str(case.dp), layout=f"{case.accelerator}, T = {case.tp}")
    return pair_of(grid(), case, quantity, what, claimed(PRINTED[key]) if known else None)


def gain_over_one(tp: int) -> dict[tuple[str, str], float]:
    """Throughput of an instance of ``tp`` over that of one GPU, by model and node, where one GPU holds the model."""
    found = {
        (model, node): grid().number(on_node(model, node, tp), INSTANCE)
        / grid().number(on_node(model, node, 1), INSTANCE)
        for model in TEN
        for node in NODES
    }
    return {key: ratio for key, ratio in found.items() if isfinite(ratio)}


def _finding() -> str:
    two, four = gain_over_one(2), gain_over_one(4)
    above = [f"{model_name(model)} on {node}" for (model, node), ratio in two.items() if ratio > 2.0]
    return (
        f"Two GPUs as one instance give {percents(r - 1 for r in two.values())} more than one and four "
        f"{percents(r - 1 for r in four.values())}; more than twice as much with T = 2: {listed(above)}. "
        f"{len(TEN) * len(NODES) - len(two)} of {len(TEN) * len(NODES)} pairs of model and node do not fit on one GPU."
    )


def printed() -> Exhibit:
    """Gains and scaling efficiencies of the text, and its comparison under a budget of four GPUs."""
    pairs = (*_gains(), *_four_gpus(), _size_of_equal_energy())
    return Exhibit(
        "figure-4-text", "Sec. IV-B", "What tensor parallelism gains, in numbers of the text",
        f"{met(pairs)} printed numbers meet ours. {_four_words()}", pairs, Plot("bars", x="case"),
        (
            lengths_note(), load_note(), calibration_note(),
            "The paper sets aside the models that run short of memory on one GPU; our gains have all that fit there.",
        ),
    )  # fmt: skip


def _gains() -> list[Pair]:
    out = []
    for tp in TENSOR[1:]:
        ratios = gain_over_one(tp).values()
        out.append(_ranged(tp, "gain over one GPU", (r - 1.0 for r in ratios), f"tp{tp}-gain"))
        out.append(_ranged(tp, "scaling efficiency", (r / tp for r in ratios), f"tp{tp}-efficiency"))
    most = max(ratio / tp for tp in TENSOR[1:] for ratio in gain_over_one(tp).values())
    largest = Pair(
        {"case": "the largest"}, "scaling efficiency", "1", claimed("tp-over-100"), Interval(most, most, most),
        "predicted", "the value that it reaches, without an interval",
    )  # fmt: skip
    return [*out, largest]


def more_of_a_joule() -> list[str]:
    """Models with which the A100 node makes more tokens per joule than the MI300X node, each in its best T."""
    best = {
        (model, node): max(
            (v for tp in TENSOR if isfinite(v := grid().number(on_node(model, node, tp), FRUGAL))), default=0.0
        )
        for model in TEN
        for node in (A100, MI300X)
    }
    return [model for model in TEN if best[model, A100] > best[model, MI300X]]


def _size_of_equal_energy() -> Pair:
    """Up to which size the A100 makes more tokens per joule than the MI300X."""
    sizes = [float(parameters(model).total) for model in more_of_a_joule() if model in DENSE]
    ours = Interval(max(sizes), max(sizes), max(sizes)) if sizes else None
    return Pair(
        {"case": f"{A100} above {MI300X} in tokens per joule"}, "up to parameters", "1",
        claimed("a100-over-mi300x-below-32b"), ours, "predicted",
        "the largest dense model of which that is so" if sizes else "with no dense model by our values",
    )  # fmt: skip


def _ranged(tp: int, quantity: str, values: Iterable[float], name: str) -> Pair:
    return Pair({"case": f"T = {tp}"}, quantity, "1", claimed(name), range_over(values), "predicted", OVER)


def _four_gpus() -> list[Pair]:
    rows = zip(
        FOUR_GPUS, (f"4 x {MI300X}, D = 4", f"4 x {H100}, T = 4"), ("mi300x-70b-four-gpus", PRINTED[H100, 4]),
        strict=True,
    )  # fmt: skip
    return [
        pair_of(grid(), case, "total_tokens_per_s", {"case": f"{model_name(LARGE)}, {words}"}, claimed(name))
        for case, words, name in rows
    ]


def _four_words() -> str:
    mi300x, h100 = (grid().of(case, "total_tokens_per_s") for case in FOUR_GPUS)
    meets = " (the intervals meet)" if meet(mi300x, h100) else ""
    return (
        f"With four GPUs {model_name(LARGE)} reaches {_of(mi300x)} tokens/s on the {MI300X} (D = 4) and {_of(h100)} on "
        f"the {H100} (T = 4){meets}."
    )


def _of(interval: Interval | None) -> str:
    return "no" if interval is None else f"{interval.value:,.0f}"
