"""Fig. 5: every model in FP8, each node in its best layout, per GPU; dense models against mixtures of experts."""

from __future__ import annotations

from functools import cache
from math import isfinite

from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.nodes import on_node
from inferatlas.studies.reproducing.brunetta.pairs import (
    TITLES,
    billions,
    claimed,
    less_one,
    model_name,
    named,
    pair_of,
    parameters,
    ratio_of,
    slope,
    span,
)
from inferatlas.studies.reproducing.brunetta.protocol import (
    DENSE,
    EXPERTS,
    H100,
    MODELS,
    NODES,
    lengths_note,
    load_note,
)
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note
from inferatlas.studies.reproducing.phrases import listed

RATE, FRUGAL = "total_tokens_per_s_per_accelerator", "total_tokens_per_joule"
QUANTITIES = (RATE, FRUGAL, "latency_s", "ttft_s")
TENSOR = (1, 2, 4, 8)
SCOUT, LARGE_DENSE, NEMOTRON = "llama-4-scout", "llama-3.3-70b", "nemotron-super-49b"


def layouts(model: str, node: str) -> list[Case]:
    """The layouts of a node in FP8."""
    return [on_node(model, node, tp, "fp8") for tp in TENSOR if tp <= NODES[node]]


@cache
def grid() -> Answers:
    """Every model on three nodes in every layout."""
    return answered([case for model in MODELS for node in NODES for case in layouts(model, node)])


@cache
def best(model: str, node: str) -> Case | None:
    """The layout of most throughput per GPU; None where none fits."""
    fit = [case for case in layouts(model, node) if isfinite(grid().number(case, RATE))]
    return max(fit, key=lambda case: grid().number(case, RATE), default=None)


def figure(model: str, node: str, quantity: str) -> Interval | None:
    """One figure of a model in the best layout of a node."""
    case = best(model, node)
    return grid().of(case, quantity) if case else None


def value(model: str, node: str, quantity: str) -> float:
    """The same without its interval, NaN where nothing fits."""
    return found.value if (found := figure(model, node, quantity)) else float("nan")


def figure_5() -> Exhibit:
    """Four figures of merit against the size of the model."""
    return Exhibit(
        "figure-5", "Fig. 5", "Size and sparsity: the best layout of each node in FP8, per GPU", _finding(),
        tuple(_pair(model, node, quantity) for quantity in QUANTITIES for node in NODES for model in MODELS),
        Plot("lines", x="billion parameters", colour="series", log=True),
        (
            lengths_note(), load_note(), calibration_note(),
            "Best: most throughput per GPU over T = 1, 2, 4 and, on nodes of eight, 8, at 128 sequences per GPU.",
            "On the A100 FP8 weights are multiplied in 16 bit (W8A16).",
        ),
    )  # fmt: skip


def _pair(model: str, node: str, quantity: str) -> Pair:
    case = best(model, node)
    note = f"{case.dp} x T = {case.tp}" if case else f"in no layout of {NODES[node]} GPUs"
    shown = case or layouts(model, node)[-1]
    kind = "MoE" if model in EXPERTS else "dense"
    more = {"billion parameters": billions(model), "series": f"{node}, {kind}"}
    return pair_of(grid(), shown, quantity, named(shown, **more), note=note)


def _finding() -> str:
    sizes = [parameters(model).total for model in DENSE]
    powers = {
        quantity: [slope(sizes, [value(model, node, quantity) for model in DENSE]) for node in NODES]
        for quantity in QUANTITIES
    }
    nowhere = [f"{model_name(model)} on {node}" for model in MODELS for node in NODES if best(model, node) is None]
    return (
        f"Over the dense models throughput per GPU changes with size to the power {span(powers[RATE])}, tokens per "
        f"joule with {span(powers[FRUGAL])}, latency with {span(powers['latency_s'])} and TTFT with "
        f"{span(powers['ttft_s'])}. Nothing fits for {listed(nowhere)}."
    )


def gain_of_scout(quantity: str) -> Interval | None:
    """Llama 4 Scout over Llama 3.3 70B on the H100 node, less one."""
    return less_one(ratio_of(figure(SCOUT, H100, quantity), figure(LARGE_DENSE, H100, quantity)))


def printed() -> Exhibit:
    """Llama 4 Scout against a dense model, in numbers of the text."""
    what = {"case": f"{model_name(SCOUT)} over {model_name(LARGE_DENSE)}, {H100}"}
    note = "interval as if the errors of both models were independent"
    pairs = tuple(
        Pair(what, f"{TITLES[name]} gain", "1", claimed(claim), gain_of_scout(name), "predicted", note)
        for name, claim in ((RATE, "scout-throughput"), (FRUGAL, "scout-efficiency"))
    )
    behind = [node for node in NODES if value(SCOUT, node, RATE) < value(NEMOTRON, node, RATE)]
    return Exhibit(
        "figure-5-text", "Sec. IV-B", "A mixture of experts against dense models, in numbers of the text",
        f"{model_name(SCOUT)} has less throughput than {model_name(NEMOTRON)} on {listed(behind)} (the paper says so "
        "of H100 and MI300X).",
        pairs, Plot("bars", x="case"), (lengths_note(), load_note(), calibration_note()),
    )  # fmt: skip
