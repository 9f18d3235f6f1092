"""Four bits: what narrow weights gain by batch, and what narrow products gain beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent
from inferatlas.studies.common_errors import ratios
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, times
from inferatlas.studies.runs import Runs, joint, over, runs

MODEL, COUNT = "llama-3.3-70b", 4
ISL, OSL = 1024, 256
FLYING = tuple(2**k for k in range(10))
WIDE, WEIGHTS_ONLY, FULL = "bf16", "int4", "nvfp4"
PARTS = {
    "nvidia-h100-sxm": (WEIGHTS_ONLY,),
    "nvidia-b200-sxm": (WEIGHTS_ONLY, FULL),
}  # only Blackwell multiplies 4 bits
WORTH = 1.1  # a gain in throughput below which a format is not worth its loss of accuracy


@dataclass(frozen=True)
class Gains:
    """Output tokens/s of a 4-bit format over 16 bit, and tokens per joule likewise, by requests in flight."""

    accelerator: str
    weights: str
    label: Label
    speed: tuple[Interval, ...]
    energy: tuple[Interval, ...]

    @property
    def name(self) -> str:
        return f"{self.weights} on {self.accelerator}"

    def worth_until(self) -> int | None:
        """Most requests in flight at which it gains more than `WORTH`; None where it never does."""
        above = [flying for flying, gain in zip(FLYING, self.speed, strict=True) if gain.value > WORTH]
        return max(above, default=None)


def gains(accelerator: str, formats: Sequence[str], model: str = MODEL) -> list[Gains]:
    """The gain of each format on ``COUNT`` of an accelerator in tensor parallelism."""
    loads = {"concurrency": FLYING, "isl": ISL, "osl": OSL, "count": COUNT, "tp": COUNT}
    wide = runs(model, accelerator, weights=WIDE, **loads)
    out = []
    for weights in formats:
        narrow = runs(model, accelerator, weights=weights, **loads)
        speed, energy = (_ratios(narrow, wide, metric) for metric in ("output_tokens_per_s", "tokens_per_joule"))
        out.append(Gains(accelerator, weights, joint((narrow.label, wide.label)), speed, energy))
    return out


def _ratios(narrow: Runs, wide: Runs, metric: str) -> tuple[Interval, ...]:
    return tuple(one for one in ratios(narrow.deployed, wide.deployed, metric) if one is not None)


def four_bits() -> OpenQuestion:
    """Brunetta et al., VII: 4-bit quantisation."""
    found = [one for accelerator, formats in PARTS.items() for one in gains(accelerator, formats)]
    only = [one for one in found if one.weights == WEIGHTS_ONLY]
    full = [one for one in found if one.weights == FULL]
    sure, why = confidence(_grounds(only, full))
    return OpenQuestion(
        id="four-bit-quantisation",
        place="VII",
        question="What does 4-bit quantisation gain, in weights alone and in weights and activations?",
        answer=f"{_weights_only(only)} {_full(full, only)}",
        confidence=sure,
        why=why,
        conditions=(
            f"{MODEL} on {COUNT} accelerators in tensor parallelism, {ISL:,} input and {OSL} output tokens, against "
            "16-bit weights and activations; the cache is 16 bit in all",
            "weights alone are widened on the way to the multiplier: they save reading and memory, and cost "
            "arithmetic; the gain goes with the share of a step that reads weights",
            "where 16 bit runs out of memory for caches, narrow weights leave room for more requests, which is in the "
            "gain",
            "nothing is said of the quality of answers; errors of the part are common to both formats",
        ),
        pairs=tuple(_pair(one, k) for one in found for k in range(len(FLYING))),
        plot=Plot("lines", x="in flight", colour="format", facet="accelerator", log=True),
    )


def _grounds(only: Sequence[Gains], full: Sequence[Gains]) -> list[Ground]:
    out = [Ground(f"{one.name} gains at 1 in flight", one.speed[0], 1.0, one.label) for one in only]
    for one in full:
        out += [
            Ground(f"{one.name} gains at {FLYING[k]} in flight", one.speed[k], 1.0, one.label) for k in (0, -1)
        ]  # fmt: skip
        beside = next((other for other in only if other.accelerator == one.accelerator), None)
        if beside is not None:
            ahead = over(one.speed[-1], beside.speed[-1])
            says = f"{one.name} is faster than {beside.weights} at {FLYING[-1]} in flight"
            out.append(Ground(says, ahead, 1.0, joint((one.label, beside.label))))
    return out


def _weights_only(only: Sequence[Gains]) -> str:
    first = listed([f"{times(one.speed[0])} on {one.accelerator}" for one in only])
    until = listed([f"{one.worth_until() or 0} on {one.accelerator}" for one in only])
    last = listed([f"{number(one.speed[-1].value)}" for one in only])
    return (
        f"Weights in 4 bits alone give a single request {first} of the 16-bit throughput, more than "
        f"{percent(WORTH - 1)} extra up to {until} requests in flight, and {last} times at {FLYING[-1]}."
    )


def _full(full: Sequence[Gains], only: Sequence[Gains]) -> str:
    words = []
    for one in full:
        beside = next(other for other in only if other.accelerator == one.accelerator)
        ahead = np.flatnonzero([a.value > b.value for a, b in zip(one.speed, beside.speed, strict=True)])
        start = f"ahead of weights alone from {FLYING[ahead[0]]} in flight" if ahead.size else "never ahead of them"
        words.append(
            f"4-bit products as well ({one.name}) keep the gain, {times(one.speed[0])} at 1 and "
            f"{times(one.speed[-1])} at {FLYING[-1]} requests in flight, {start}, with {times(one.energy[-1])} the "
            "tokens per joule"
        )
    return f"{listed(words)}." if words else ""


def _pair(one: Gains, k: int) -> Pair:
    return Pair(
        {"accelerator": one.accelerator, "format": one.weights, "in flight": str(FLYING[k])},
        "throughput_over_16_bit", "1", None, one.speed[k], one.label,
        f"{number(one.energy[k].value)} times the tokens per joule",
    )  # fmt: skip
