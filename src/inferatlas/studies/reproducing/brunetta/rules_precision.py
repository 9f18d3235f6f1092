"""Guidelines on 8-bit weights: where they gain, who gains most, until which batch the A100 does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from inferatlas.studies.exhibits import Guideline, Plot
from inferatlas.studies.reproducing.brunetta.asking import Case
from inferatlas.studies.reproducing.brunetta.comparing import columns, guideline, summaries
from inferatlas.studies.reproducing.brunetta.judging import CLEAR, Trial, compared, tried
from inferatlas.studies.reproducing.brunetta.pairs import model_name, percents
from inferatlas.studies.reproducing.brunetta.protocol import A100, BATCHES, FOUR, MI300X
from inferatlas.studies.reproducing.brunetta.quantised import FRUGAL, HOPPER, SPEED, W8A8, WIDE_BATCHES, gain
from inferatlas.studies.reproducing.phrases import listed

PLACE = "Sec. IV-A, fourth box"
SMALL, LARGE = 16, 128  # of the A100's batches: the least of Fig. 3 and the largest
Gain = Callable[[str, str, float, str], float]  # of model, GPU, batch and quantity: FP8 over bfloat16


def _what(model: str, gpu: str, batch: int, quantity: str) -> dict[str, str]:
    what = columns(Case(model, gpu, batch), quantity, batch=str(batch))
    del what["precision"]
    return what


def gain_trials(gains: Gain, gpus: Sequence[str] = W8A8, batches: Sequence[int] = WIDE_BATCHES) -> list[Trial]:
    """Whether FP8 gains, at every model, GPU, batch, in throughput and tokens per joule."""
    return tried(
        compared(_what(model, gpu, batch, quantity), gains(model, gpu, batch, quantity))
        for gpu in gpus
        for model in FOUR
        for batch in batches
        for quantity in (SPEED, FRUGAL)
    )


def w8a8() -> Guideline:
    """W8A8 gains in throughput and tokens per joule."""
    trials = gain_trials(gain)
    return guideline(
        "w8a8-gains", PLACE,
        "W8A8 quantization delivers significant performance and energy efficiency gains while incurring only minimal "
        "accuracy loss.",
        trials,
        f"FP8 over bfloat16 on H100, GH200 and MI300X at batches of {WIDE_BATCHES[0]} to {WIDE_BATCHES[-1]}: gains of "
        f"{percents(trial.value - 1 for trial in trials)}.",
        pairs=summaries(trials, ("metric", "accelerator", "batch"), "FP8 over bfloat16"),
        plot=Plot("lines", x="batch", colour="accelerator", log=True),
        notes=("Loss of accuracy is not part of our model.",),
    )  # fmt: skip


def most_trials(gains: Gain) -> list[Trial]:
    """Hopper's gain over that of the MI300X; gains of different machines, so within the intervals throughout."""
    return tried(
        compared(
            _what(model, gpu, batch, quantity),
            gains(model, gpu, batch, quantity) / gains(model, MI300X, batch, quantity), within=True,
        )
        for gpu in HOPPER for model in FOUR for batch in BATCHES for quantity in (SPEED, FRUGAL)
    )  # fmt: skip


def hopper_gains_most() -> Guideline:
    """Hopper's gain over the MI300X's."""
    trials = most_trials(gain)
    return guideline(
        "hopper-gains-most", PLACE,
        "NVIDIA Hopper GPUs gain the most from FP8 quantization (up to 44% throughput and 47% energy efficiency), "
        "while AMD MI300X offers smaller improvements, mainly at larger scales.",
        trials, "The gain of FP8 over bfloat16 on H100 and GH200 over that on the MI300X, at equal model and batch.",
        pairs=summaries(trials, ("metric", "accelerator", "model"), "gain over that of the MI300X"),
        plot=Plot("bars", x="model", colour="accelerator"),
        notes=("These are gains on different machines: every case is marked as within the intervals.",),
    )  # fmt: skip


def w8a16_trials(gains: Gain) -> list[Trial]:
    """A gain up to batch 16, none from batch 128."""
    found = []
    for trial in gain_trials(gains, (A100,)):
        batch = int(trial.what["batch"])
        if batch <= SMALL:
            found.append(trial)
        elif batch >= LARGE:
            found.append(Trial(trial.what, trial.value, "held" if trial.value < CLEAR else "against"))
    return found


def last_gain(model: str, quantity: str, gains: Gain = gain) -> int | None:
    """The largest batch at which W8A16 still gains on the A100; None where it never does."""
    known = {batch: gains(model, A100, batch, quantity) for batch in WIDE_BATCHES}
    return max((batch for batch, ratio in known.items() if isfinite(ratio) and ratio >= CLEAR), default=None)


def w8a16() -> Guideline:
    """W8A16 on the A100 only at small batches."""
    trials = w8a16_trials(gain)
    ends = [f"{last_gain(model, SPEED)} with {model_name(model)}" for model in FOUR]
    return guideline(
        "w8a16-small-batches", PLACE,
        "On NVIDIA A100, W8A16 quantization is beneficial only at smaller batch sizes.",
        trials,
        f"W8A16 over bfloat16 must gain at batches up to {SMALL} and not from {LARGE}. The largest batch at which it "
        f"gains throughput: {listed(ends)} (of batches up to {WIDE_BATCHES[-1]}).",
        pairs=summaries(gain_trials(gain, (A100,)), ("metric", "model", "batch"), "FP8 over bfloat16"),
        plot=Plot("lines", x="batch", colour="model", log=True),
        notes=("Where bfloat16 runs short of memory for the whole batch, FP8 gains because it does not.",),
    )  # fmt: skip


ALL = (w8a8, hopper_gains_most, w8a16)
