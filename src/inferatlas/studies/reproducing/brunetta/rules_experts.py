"""Guidelines on mixtures of experts: against dense models, against their sparsity; expert and tensor parallelism."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import exp, isfinite, log

import numpy as np

from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.comparing import LESS_IS_BETTER, guideline, summaries
from inferatlas.studies.reproducing.brunetta.experts import (
    BATCHES,
    DEEPSEEK,
    EITHER,
    FRUGAL,
    NODES,
    SPEED,
    experts_of,
    tensor_over_expert,
    within,
)
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, tried
from inferatlas.studies.reproducing.brunetta.pairs import TITLES, model_name, parameters, percents, span
from inferatlas.studies.reproducing.brunetta.protocol import DENSE, EXPERTS, LARGE_EXPERTS
from inferatlas.studies.reproducing.brunetta.protocol import NODES as WHOLE
from inferatlas.studies.reproducing.brunetta.sizes import QUANTITIES, RATE, gain_of_scout
from inferatlas.studies.reproducing.brunetta.sizes import value as best_value

Value = Callable[[str, str, str], float]  # of model, node and quantity
Ratio = Callable[[str, str, float, str, str], float]  # of model, node, batch, way and quantity: tensor over expert
Meets = Callable[[str, str, float, str, str], bool]  # of the same: whether the intervals of both sides meet
SMALL = 16  # largest batch of the exception that the paper names


def of_equal_size(value: Value, model: str, node: str, quantity: str) -> float:
    """What a dense model of the same size would have: the power law through the dense models that fit."""
    x = np.array([parameters(m).total for m in DENSE], dtype=float)
    y = np.array([value(m, node, quantity) for m in DENSE])
    known = np.isfinite(y)
    if known.sum() < 3:
        return float("nan")
    b, a = np.polyfit(np.log(x[known]), np.log(y[known]), 1)
    return exp(a + b * log(parameters(model).total))


def gains_of_experts(value: Value) -> dict[tuple[str, str, str], float]:
    """How much better a mixture is than a dense model of equal size: a ratio, above 1 where it is better."""
    out = {}
    for model in EXPERTS:
        for node in WHOLE:
            for quantity in QUANTITIES:
                ratio = value(model, node, quantity) / of_equal_size(value, model, node, quantity)
                out[model, node, quantity] = 1.0 / ratio if quantity in LESS_IS_BETTER else ratio
    return out


def _what(model: str, node: str, quantity: str) -> dict[str, str]:
    return {"metric": TITLES[quantity], "accelerator": node, "model": model_name(model)}


def sparse_trials(value: Value) -> list[Trial]:
    """Mixtures against dense models of equal size."""
    return tried(compared(_what(*key), ratio) for key, ratio in gains_of_experts(value).items())


def bounded_trials(value: Value) -> list[Trial]:
    """All over active parameters against what a mixture gains in throughput and tokens per joule."""
    return tried(
        compared(_what(*key), sparsity_limit(key[0]) / ratio)
        for key, ratio in gains_of_experts(value).items()
        if key[2] in (RATE, FRUGAL)
    )


def sparsity_limit(model: str) -> float:
    """All parameters over those that a token meets.

    >>> round(sparsity_limit("mixtral-8x7b"), 1)
    3.6
    """
    return parameters(model).total / parameters(model).active


def _one_over_s(model: str) -> float:
    """What the paper prints, with its own s."""
    return 1.0 / (1.0 - 1.0 / sparsity_limit(model))


def _beyond_s() -> str:
    gains = {key: gain for key, gain in gains_of_experts(best_value).items() if key[2] == RATE and isfinite(gain)}
    return f"{sum(gain > _one_over_s(key[0]) for key, gain in gains.items())} of {len(gains)}"


QUOTE = (
    "MoE models achieve improved computational efficiency and performance relative to the dense counterparts, while "
    "achieving similar or better accuracy on established evaluation benchmarks."
)
LARGEST = max(parameters(model).total for model in DENSE)


def experts_beat_dense() -> Guideline:
    """Mixtures better than dense models of equal size."""
    trials = sparse_trials(best_value)
    scout, joules = gain_of_scout(RATE), gain_of_scout(FRUGAL)
    ours = f"{scout.value:+.0%} and {joules.value:+.0%}" if scout and joules else "unknown"
    return guideline(
        "moe-over-dense", "Sec. IV-B, fourth box", QUOTE, trials,
        "Each mixture, in FP8 and in the best layout of each node, against the power law through the dense models, in "
        f"throughput per GPU, tokens per joule, latency and TTFT. Llama 4 Scout over Llama 3.3 70B on the H100: {ours} "
        "in throughput and tokens per joule.",
        pairs=summaries(trials, ("metric", "model"), "better than dense of equal size"),
        plot=Plot("bars", x="model"),
        notes=(
            f"Dense models end at {LARGEST / 1e9:.0f} billion parameters: beyond, the power law is continued.",
            "Accuracy is not part of our model.",
        ),
    )  # fmt: skip


def less_than_sparsity() -> Guideline:
    """Less than sparsity would give."""
    trials = bounded_trials(best_value)
    gains = {key: ratio for key, ratio in gains_of_experts(best_value).items() if key[2] == RATE}
    return guideline(
        "moe-below-sparsity", "Sec. IV-B, fourth box",
        "However, the improvement is substantially lower than 1/s, where s is the sparsity.",
        trials,
        f"Mixtures gain {span(gains.values())} times the throughput of dense models of equal size, and have "
        f"{span(sparsity_limit(model) for model in EXPERTS)} times the parameters that a token meets: the first must "
        "be below the second.",
        pairs=summaries(trials, ("metric", "model"), "all over active parameters, over the gain"),
        plot=Plot("bars", x="model"),
        notes=(
            "The paper lets s be the share of parameters that a token does not meet (FLOPs fall by 1 - s). What "
            "sparsity could give is then 1/(1 - s), all over active parameters, which is what is tested; 1/s itself is "
            f"{span(_one_over_s(model) for model in EXPERTS)} here, and mixtures gain more than that in {_beyond_s()} "
            "cases.",
        ),
    )  # fmt: skip


def parallelism_trials(ratio: Ratio, meets: Meets) -> list[Trial]:
    """Tensor over expert parallelism at every batch and way, in throughput and tokens per joule."""
    return tried(
        compared(
            {
                "metric": TITLES[quantity], "accelerator": node, "model": model_name(model), "batch": str(batch),
                "against": way, "experts": str(experts_of(model)),
            },
            ratio(model, node, batch, way, quantity), within=meets(model, node, batch, way, quantity),
        )
        for model in LARGE_EXPERTS for node in NODES for batch in BATCHES for way in EITHER
        for quantity in (SPEED, FRUGAL)
    )  # fmt: skip


def tensor_first() -> Guideline:
    """Tensor parallelism better, DeepSeek R1 being the exception."""
    trials = [t for t in parallelism_trials(tensor_over_expert, within) if t.what["model"] != model_name(DEEPSEEK)]
    return guideline(
        "tp-over-ep", "Sec. IV-B, fifth box",
        "Tensor Parallelism outperforms Expert Parallelism in both performance and energy efficiency across models and "
        "hardware platforms, with DeepSeek R1 being the sole exception.",
        trials,
        f"Tensor over expert parallelism on four GPUs in FP8 at batches of {BATCHES[0]} to {BATCHES[-1]}, both ways to "
        "place attention, the three models that the paper does not except.",
        pairs=summaries(trials, ("metric", "against", "model", "batch"), "tensor over expert parallelism"),
        plot=Plot("lines", x="batch", colour="model", facet="against"),
        notes=("Experts are chosen uniformly and evenly placed; an uneven choice would favour tensor parallelism.",),
    )  # fmt: skip


def gap_trials(ratio: Ratio, meets: Meets) -> list[Trial]:
    """The gap of each model against that of the model with the next more experts: it must be larger."""
    names = sorted((m for m in LARGE_EXPERTS if m != DEEPSEEK), key=experts_of)
    found = []
    for node in NODES:
        for batch in BATCHES:
            for way in EITHER:
                for quantity in (SPEED, FRUGAL):
                    for few, many in pairwise(names):
                        what = {
                            "metric": TITLES[quantity], "accelerator": node, "batch": str(batch), "against": way,
                            "models": f"{experts_of(few)} over {experts_of(many)} experts",
                        }  # fmt: skip
                        top, bottom = (ratio(model, node, batch, way, quantity) for model in (few, many))
                        wide = any(meets(model, node, batch, way, quantity) for model in (few, many))
                        found.append(compared(what, top / bottom, within=wide))
    return tried(found)


def gap_narrows() -> Guideline:
    """The gap narrows with the number of experts."""
    trials = gap_trials(tensor_over_expert, within)
    return guideline(
        "gap-narrows", "Sec. IV-B, fifth box",
        "The performance gap narrows as the number of experts increases.",
        trials,
        "The ratio of tensor to expert parallelism of Mixtral 8x22B over that of Llama 4 Scout, and of that over Qwen3 "
        "235B, at equal node, batch and way.",
        pairs=summaries(trials, ("metric", "against", "models", "batch"), "gap over the gap with more experts"),
        plot=Plot("lines", x="batch", colour="models", facet="against"),
        notes=("The models differ in more than their number of experts: in size, width and active share too.",),
    )  # fmt: skip


def deepseek_trials(ratio: Ratio, meets: Meets) -> list[Trial]:
    """Expert parallelism no worse up to batch 16, tensor parallelism better beyond."""
    found = []
    for trial in parallelism_trials(ratio, meets):
        if trial.what["model"] != model_name(DEEPSEEK):
            continue
        small = float(trial.what["batch"]) <= SMALL
        fair = trial.outcome in ("even", "against") if small else trial.held
        found.append(Trial(trial.what, trial.value, "held" if fair else "against", trial.within))
    return found


def deepseek() -> Guideline:
    """The exception of DeepSeek R1."""
    trials = deepseek_trials(tensor_over_expert, within)
    ratios = [trial.value - 1 for trial in trials]
    return guideline(
        "deepseek-exception", "Sec. IV-B",
        "Expert Parallelism achieves competitive or superior throughput and efficiency at batch sizes of 16 or "
        "smaller, while Tensor Parallelism becomes superior at larger batch sizes.",
        trials,
        f"DeepSeek-R1 on the nodes that hold it: tensor over expert parallelism gains {percents(ratios)}; it must not "
        f"gain up to a batch of {SMALL} and must gain beyond.",
        pairs=summaries(trials, ("metric", "against", "batch"), "tensor over expert parallelism"),
        plot=Plot("lines", x="batch", colour="against"),
        notes=("In FP8 its weights exceed the memory of four H100: only the MI300X is tried.",),
    )  # fmt: skip


ALL = (experts_beat_dense, less_than_sparsity, tensor_first, gap_narrows, deepseek)
