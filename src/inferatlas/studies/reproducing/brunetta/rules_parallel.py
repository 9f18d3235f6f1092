"""Guidelines on layouts: data against tensor parallelism, and what a larger memory changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import isfinite

from inferatlas.predict.llm.precision import FORMATS
from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered, platform_of
from inferatlas.studies.reproducing.brunetta.comparing import columns, guideline, summaries
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, tried
from inferatlas.studies.reproducing.brunetta.nodes import on_node
from inferatlas.studies.reproducing.brunetta.pairs import model_name, parameters, percents, span
from inferatlas.studies.reproducing.brunetta.protocol import A100, H100, MI300X, MODELS, NODES, PER_GPU, TENSOR
from inferatlas.studies.reproducing.phrases import listed

RATE, FRUGAL = "total_tokens_per_s_per_accelerator", "total_tokens_per_joule"
PRECISIONS = ("", "fp8")
LEVELS = (32, PER_GPU, 512)  # sequences per accelerator
FOUR = 4  # accelerators of the comparison under a fixed budget
SHARE = "share of memory that weights take"


def weights_share(model: str, accelerator: str, tp: int, weights: str) -> float:
    """Weights of a model on one accelerator over its memory.

    >>> round(weights_share("qwen3-32b", "NVIDIA H100", 1, ""), 2)
    0.77
    """
    platform = platform_of(model, accelerator, weights)
    held = parameters(model).total * FORMATS[platform.precision.weights].bytes
    return held / tp / platform.device.memory.bytes


@cache
def grid() -> Answers:
    """Every model on three nodes in three layouts and both precisions, at three batches."""
    return answered([case for key in keys() for case in layouts(*key)])


def keys() -> list[tuple[str, str, str, int]]:
    """Model, node, precision and sequences per accelerator."""
    return [(m, node, form, level) for m in MODELS for node in NODES for form in PRECISIONS for level in LEVELS]


def layouts(model: str, node: str, form: str, level: int) -> list[Case]:
    """A node as instances of each tensor parallel size."""
    return [on_node(model, node, tp, form, level=level) for tp in TENSOR]


def layout_trials(value: Callable[[Case, str], float]) -> list[Trial]:
    """The least tensor parallelism that holds a model against each larger one, per accelerator."""
    found = []
    for model, node, form, level in keys():
        fit = [case for case in layouts(model, node, form, level) if isfinite(value(case, RATE))]
        for case in fit[1:]:
            more = {
                "layout": f"T = {fit[0].tp} over T = {case.tp}", "sequences per GPU": str(level),
                SHARE: f"{weights_share(model, node, fit[0].tp, form):.2f}",
            }  # fmt: skip
            for quantity in (RATE, FRUGAL):
                ratio = value(fit[0], quantity) / value(case, quantity)
                found.append(compared(columns(case, quantity, **more), ratio))
    return tried(found)


def data_parallel() -> Guideline:
    """As many data-parallel instances as possible."""
    trials = layout_trials(grid().number)
    own = [trial for trial in trials if trial.what["sequences per GPU"] == str(PER_GPU)]
    exceptions = [float(trial.what[SHARE]) for trial in own if trial.outcome == "against"]
    words = [f"{_held_at(trials, level)} at {level}" for level in LEVELS]
    return guideline(
        "data-parallel-first", "Sec. IV-B, first box",
        "In offline inference scenarios, maximizing the number of data-parallel instances generally provides the "
        "highest throughput and energy efficiency, rather than increasing the tensor parallel size.",
        trials,
        f"The least tensor parallel size that holds a model against each larger one up to {TENSOR[-1]}: fourteen "
        f"models, three nodes, bfloat16 and FP8. By sequences per GPU it holds in {listed(words)}; at the paper's "
        f"{PER_GPU}, weights take {span(exceptions)} of the memory where a larger one is better.",
        pairs=summaries(own, ("metric", "accelerator", SHARE), "least T over a larger one"),
        plot=Plot("lines", x=SHARE, colour="accelerator"),
        notes=(
            'The paper says "generally" and names exceptions of the kind found here.',
            "The sequences per GPU are held: an instance of T GPUs has T times the batch, and reads its weights as "
            "seldom as all of them together. At small batches that is worth more than the exchange costs.",
            f"The plot has the {PER_GPU} sequences per GPU of the paper.",
        ),
    )  # fmt: skip


def _held_at(trials: Sequence[Trial], level: int) -> str:
    mine = [trial.held for trial in trials if trial.what["sequences per GPU"] == str(level)]
    return f"{sum(mine)} of {len(mine)}"


@cache
def memory_grid() -> Answers:
    """Every model on four A100, H100 and MI300X, the first two also with the memory of an MI300X."""
    cases = [
        on_node(model, gpu, tp, form, count=FOUR, memory=memory)
        for model in MODELS
        for gpu in NODES
        for form in PRECISIONS
        for memory in dict.fromkeys((1.0, larger(gpu)))
        for tp in TENSOR
    ]
    return answered(cases)


def larger(gpu: str) -> float:
    """Memory of an MI300X over that of a GPU."""
    ours, theirs = (platform_of(MODELS[0], name, "").device.memory.bytes for name in (MI300X, gpu))
    return ours / theirs


def best_of_four(model: str, gpu: str, form: str, memory: float = 1.0) -> Case | None:
    """The layout of most throughput on four accelerators; None where none fits."""
    cases = [on_node(model, gpu, tp, form, count=FOUR, memory=memory) for tp in TENSOR]
    fit = [case for case in cases if isfinite(memory_grid().number(case, RATE))]
    return max(fit, key=lambda case: memory_grid().number(case, RATE), default=None)


def memory_trials() -> list[Trial]:
    """A larger memory for models whose best layout has T above 1: T must fall and throughput rise."""
    found = []
    for gpu in (A100, H100):
        for model in MODELS:
            for form in PRECISIONS:
                own, more = (best_of_four(model, gpu, form, memory) for memory in (1.0, larger(gpu)))
                if own is None or more is None or own.tp == 1:
                    continue
                what = columns(own, RATE, layout=f"T = {own.tp} to {more.tp}")
                ratio = memory_grid().number(more, RATE) / memory_grid().number(own, RATE)
                found.append(compared(what, ratio if more.tp < own.tp else min(ratio, 1.0)))
    return tried(found)


def larger_memory() -> Guideline:
    """A larger memory, a smaller T, more throughput."""
    trials = memory_trials()
    return guideline(
        "larger-memory", "Sec. IV-B, third box",
        "A larger memory capacity allows for a reduction in the tensor parallel size required to host a model. This "
        "provides an indirect benefit to performance, as data parallelism has better scaling efficiency.",
        trials,
        "Four A100 or H100, given the memory capacity of an MI300X and nothing else, for every model and precision "
        "whose best layout has T above 1: the best T must fall and throughput rise. It rises by "
        f"{percents(trial.value - 1 for trial in trials)}. {_real()}",
        pairs=summaries(trials, ("accelerator", "model", "precision"), "throughput with the larger memory over own"),
        plot=Plot("bars", x="model", colour="accelerator", facet="precision"),
        notes=("The larger memory is hypothetical: bandwidth, compute and links stay as they are.",),
    )  # fmt: skip


def _real() -> str:
    """The same between real GPUs: four MI300X over four H100, in models that want T above 1 on the H100."""
    wins, asked = [], 0
    for model in MODELS:
        for form in PRECISIONS:
            h100, mi300x = (best_of_four(model, gpu, form) for gpu in (H100, MI300X))
            if mi300x is None or (h100 is not None and h100.tp == 1):
                continue
            asked += 1
            if h100 is None or memory_grid().number(mi300x, RATE) > memory_grid().number(h100, RATE):
                wins.append(f"{model_name(model)}{' in FP8' if form else ''}")
    words = f" ({', '.join(wins)})" if wins else ""
    return (
        f"Of {asked} models and precisions that want T above 1 on four {H100}, {len(wins)} are faster on four "
        f"{MI300X}{words}."
    )


ALL = (data_parallel, larger_memory)
