"""Figs. 1 and 2: one GPU, models of several sizes, batches of several sizes; and the power that the text prints."""

from __future__ import annotations

from functools import cache
from math import isfinite

from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.pairs import (
    billions,
    claimed,
    model_name,
    named,
    pair_of,
    parameters,
    slope,
    span,
)
from inferatlas.studies.reproducing.brunetta.protocol import (
    A100,
    BATCHES,
    BY_SIZE,
    FOUR,
    GPUS,
    H100,
    MI300X,
    lengths_note,
    load_note,
)
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note
from inferatlas.studies.reproducing.phrases import listed

BATCH = 64  # Fig. 1
POWER = {H100: "h100-power", A100: "a100-power", MI300X: "mi300x-power"}  # claims of Sec. IV-A
QUANTITIES = ("total_tokens_per_s", "latency_s", "ttft_s", "total_tokens_per_joule")
TILES = "An MI250 and a Max 1550 are two devices to an engine: tensor parallelism 2 inside the card."


@cache
def grid() -> Answers:
    """Five models on six GPUs at the batches of Fig. 2."""
    return answered([Case(model, gpu, batch) for model in BY_SIZE for gpu in GPUS for batch in BATCHES])


def figure_1() -> Exhibit:
    """Performance and energy efficiency of one GPU against the size of the model."""
    cases = [Case(model, gpu, BATCH) for model in BY_SIZE for gpu in GPUS]
    pairs = tuple(_by_size(case, quantity) for quantity in QUANTITIES for case in cases)
    return Exhibit(
        "figure-1", "Fig. 1", "Performance and energy efficiency of one GPU by model size, batch 64",
        _size_finding(), pairs, Plot("lines", x="billion parameters", colour="accelerator", log=True),
        (lengths_note(), load_note(), calibration_note(), TILES),
    )  # fmt: skip


def _by_size(case: Case, quantity: str) -> Pair:
    return pair_of(grid(), case, quantity, named(case, **{"billion parameters": billions(case.model)}))


def _size_finding() -> str:
    powers = {name: [_slope(gpu, name) for gpu in GPUS] for name in QUANTITIES}
    words = (
        f"With size to the power p, latency grows with p of {span(powers['latency_s'])} and TTFT with "
        f"{span(powers['ttft_s'])}, while throughput changes with {span(powers['total_tokens_per_s'])} and tokens per "
        f"joule with {span(powers['total_tokens_per_joule'])}; fastest: {listed(_best('total_tokens_per_s'))}, most "
        f"tokens per joule: {listed(_best('total_tokens_per_joule'))}."
    )
    missing = {model: _without_room(model) for model in BY_SIZE if _without_room(model)}
    out = [f"{model_name(model)} does not fit on {listed(gpus)}" for model, gpus in missing.items()]
    return f"{words} {'; '.join(out)}." if out else words


def _without_room(model: str) -> list[str]:
    return [gpu for gpu in GPUS if grid().of(Case(model, gpu, BATCH), "latency_s") is None]


def _slope(gpu: str, quantity: str) -> float:
    values = [grid().number(Case(model, gpu, BATCH), quantity) for model in BY_SIZE]
    return slope([parameters(model).total for model in BY_SIZE], values)


def _best(quantity: str) -> list[str]:
    """The accelerators that are best at one model or more."""
    best = []
    for model in BY_SIZE:
        values = {gpu: grid().number(Case(model, gpu, BATCH), quantity) for gpu in GPUS}
        best.append(max((gpu for gpu in GPUS if isfinite(values[gpu])), key=values.__getitem__))
    return list(dict.fromkeys(best))


def power() -> Exhibit:
    """Power of one GPU, which the text prints of three."""
    pairs = tuple(_power(gpu) for gpu in GPUS)
    off = [f"{pair.ratio - 1.0:+.0%} on the {pair.what['accelerator']}" for pair in pairs if pair.ratio]
    return Exhibit(
        "power", "Sec. IV-A", "Power of one GPU, in numbers of the text",
        f"Our mean power differs from the printed by {listed(off)}.", pairs, Plot("bars", x="accelerator"),
        (
            lengths_note(), load_note(), calibration_note(),
            "The paper does not name the runs whose power it prints; ours is the mean over the models of Fig. 1 that "
            f"fit, batch {BATCH}.",
        ),
    )  # fmt: skip


def _power(gpu: str) -> Pair:
    """Mean power over the models that fit."""
    found = [one for model in BY_SIZE if (one := grid().of(Case(model, gpu, BATCH), "power_w"))]
    mean = Interval(*(sum(getattr(one, end) for one in found) / len(found) for end in ("low", "value", "high")))
    label = grid().labels[grid().rows[Case(BY_SIZE[0], gpu, BATCH)]]
    what = {"accelerator": gpu, "model": "mean of the models that fit", "batch": str(BATCH)}
    return Pair(what, "power_w", "W", claimed(POWER[gpu]) if gpu in POWER else None, mean, label)


def figure_2() -> Exhibit:
    """Throughput against latency along the batch."""
    cases = [Case(model, gpu, batch) for model in FOUR for gpu in GPUS for batch in BATCHES]
    quantities = ("latency_s", "total_tokens_per_s")
    pairs = tuple(pair_of(grid(), case, quantity, named(case)) for case in cases for quantity in quantities)
    return Exhibit(
        "figure-2", "Fig. 2", "Throughput against latency across batches of 16 to 128", _trade_finding(), pairs,
        Plot("tradeoff", x="latency_s", y="total_tokens_per_s", colour="accelerator", facet="model", mark="batch"),
        (lengths_note(), load_note(), calibration_note(), TILES),
    )  # fmt: skip


def _trade_finding() -> str:
    first, last = BATCHES[0], BATCHES[-1]
    gains, costs = (
        [grid().number(Case(m, g, last), name) / grid().number(Case(m, g, first), name) for m in FOUR for g in GPUS]
        for name in ("total_tokens_per_s", "latency_s")
    )
    return (
        f"From a batch of {first} to {last} throughput rises {span(gains)} times and latency {span(costs)} times, over "
        f"{len(gains)} pairs of model and GPU."
    )
