"""Guidelines on accelerators: which GPU is fastest and which makes most of a joule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isfinite

from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.comparing import better, columns, guideline, summaries
from inferatlas.studies.reproducing.brunetta.judging import Trial, tried
from inferatlas.studies.reproducing.brunetta.pairs import claimed, span
from inferatlas.studies.reproducing.brunetta.protocol import (
    A100,
    BATCHES,
    DENSE,
    FOUR,
    GPUS,
    MAX1550,
    MI250,
    MI300X,
)
from inferatlas.studies.reproducing.brunetta.quantised import FRUGAL, HOPPER, SPEED
from inferatlas.studies.reproducing.brunetta.single import POWER
from inferatlas.studies.reproducing.phrases import listed

WITH_FP8 = (A100, *HOPPER, MI300X)
PRECISIONS = ("", "fp8")
PLACE = "Sec. IV-A, third box"
OVER_ALL = "at every dense model that fits, batch of 16 to 128 and precision"


@cache
def grid() -> Answers:
    """Dense models on one GPU, both precisions where the paper has them, the batches of Fig. 2."""
    cases = [Case(model, gpu, batch) for model in DENSE for gpu in GPUS for batch in BATCHES]
    cases += [Case(model, gpu, batch, weights="fp8") for model in DENSE for gpu in WITH_FP8 for batch in BATCHES]
    return answered(cases)


def rival_trials(answers: Answers, first: str, second: str, quantity: str) -> list[Trial]:
    """Whether one GPU is better than another at every model, batch and precision that both have."""
    return tried(
        better(answers, a, b, quantity, columns(a, quantity, batch=str(batch), accelerator=f"{first} over {second}"))
        for model in DENSE
        for batch in BATCHES
        for form in PRECISIONS
        for a, b in ((Case(model, first, batch, weights=form), Case(model, second, batch, weights=form)),)
        if a in answers.rows and b in answers.rows
    )


def hopper_trials(answers: Answers, quantity: str) -> list[Trial]:
    """The best Hopper over the best other GPU, at every model, batch and precision."""
    found = []
    for model in DENSE:
        for batch in BATCHES:
            for form in PRECISIONS:
                cases = [Case(model, gpu, batch, weights=form) for gpu in GPUS]
                cases = [case for case in cases if case in answers.rows]
                ours = _best(answers, [case for case in cases if case.accelerator in HOPPER], quantity)
                other = _best(answers, [case for case in cases if case.accelerator not in HOPPER], quantity)
                if ours and other:
                    what = columns(ours, quantity, batch=str(batch), accelerator=f"against {other.accelerator}")
                    found.append(better(answers, ours, other, quantity, what))
    return tried(found)


def _best(answers: Answers, cases: Sequence[Case], quantity: str) -> Case | None:
    known = [case for case in cases if isfinite(answers.number(case, quantity))]
    return max(known, key=lambda case: answers.number(case, quantity), default=None)


def _power_note() -> str:
    """Our power beside theirs: tokens per joule hang on it."""
    words = []
    for gpu, name in POWER.items():
        watts = [grid().number(Case(model, gpu, batch), "power_w") for model in FOUR for batch in BATCHES]
        words.append(f"{gpu} {span(watts, 3)} W (printed: {claimed(name).text})")
    return f"Predicted power over the four models of Fig. 2: {listed(words)}."


def _curves(name: str, quote: str, trials: list[Trial], finding: str, of: str) -> Guideline:
    """A guideline about two GPUs, drawn along the batch."""
    pairs = summaries(trials, ("metric", "precision", "batch"), of)
    return guideline(
        name, PLACE, quote, trials, finding, pairs=pairs, plot=Plot("lines", x="batch", colour="precision")
    )


BEST = "NVIDIA Hopper GPUs emerge as the most performant and energy-efficient GPU among those tested."
TRIED = f"The better of H100 and GH200 against the best other GPU, {OVER_ALL}"


def hopper_speed() -> Guideline:
    """The fastest Hopper against the fastest of the others."""
    trials = hopper_trials(grid(), SPEED)
    return _curves("hopper-fastest", BEST, trials, f"{TRIED}, in throughput.", "Hopper over the best other GPU")


def hopper_energy() -> Guideline:
    """The most frugal Hopper against the most frugal of the others."""
    trials = hopper_trials(grid(), FRUGAL)
    finding = f"{TRIED}, in tokens per joule. {_power_note()}"
    return _curves("hopper-most-efficient", BEST, trials, finding, "Hopper over the best other GPU")


SAID = "The AMD MI300X also delivers competitive performance, outpacing the NVIDIA A100, but not in energy efficiency."


def mi300x_speed() -> Guideline:
    """MI300X over A100 in throughput."""
    trials = rival_trials(grid(), MI300X, A100, SPEED)
    finding = f"MI300X over A100 in throughput, {OVER_ALL}."
    return _curves("mi300x-outpaces-a100", SAID, trials, finding, "MI300X over A100")


def mi300x_energy() -> Guideline:
    """A100 over MI300X in tokens per joule."""
    trials = rival_trials(grid(), A100, MI300X, FRUGAL)
    finding = f"A100 over MI300X in tokens per joule, {OVER_ALL}. {_power_note()}"
    return _curves("mi300x-less-efficient-than-a100", SAID, trials, finding, "A100 over MI300X")


def tiles() -> Guideline:
    """The GPUs of two tiles below the A100."""
    rivals = [(gpu, quantity) for gpu in (MAX1550, MI250) for quantity in (SPEED, FRUGAL)]
    trials = [trial for gpu, quantity in rivals for trial in rival_trials(grid(), A100, gpu, quantity)]
    return guideline(
        "two-tiles-below-a100", PLACE,
        "Finally, while Intel Max 1550 and AMD MI250 offer lower performance and energy efficiency than NVIDIA A100.",
        trials, "A100 over either, at every dense model that fits and batch of 16 to 128, in 16 bit.",
        pairs=summaries(trials, ("metric", "accelerator", "batch"), "A100 over the other"),
        plot=Plot("lines", x="batch", colour="accelerator"),
        notes=("The paper has no energy data of the MI250; ours are extrapolated, as those of the Max 1550 are.",),
    )  # fmt: skip


ALL = (hopper_speed, hopper_energy, mi300x_speed, mi300x_energy, tiles)
