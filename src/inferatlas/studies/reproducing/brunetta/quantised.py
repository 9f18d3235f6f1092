"""Fig. 3: 8-bit weights against bfloat16, on one GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, answered
from inferatlas.studies.reproducing.brunetta.pairs import (
    OVER,
    TITLES,
    claimed,
    met,
    model_name,
    named,
    pair_of,
    percents,
    range_over,
)
from inferatlas.studies.reproducing.brunetta.protocol import (
    A100,
    BATCHES,
    FOUR,
    GH200,
    H100,
    MI300X,
    lengths_note,
    load_note,
)
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note

HOPPER = (H100, GH200)
W8A8, W8A16 = (*HOPPER, MI300X), (A100,)
SPEED, FRUGAL = "total_tokens_per_s", "total_tokens_per_joule"
PRECISION = {"": "bfloat16", "fp8": "FP8"}
WIDE_BATCHES = (1, 2, 4, 8, *BATCHES, 256)  # of the guidelines


@cache
def grid() -> Answers:
    """Four models in both precisions."""
    return answered(
        [
            Case(model, gpu, batch, weights=weights)
            for model in FOUR
            for gpu in (*W8A8, *W8A16)
            for batch in WIDE_BATCHES
            for weights in PRECISION
        ]
    )


def gain(model: str, gpu: str, batch: float, quantity: str) -> float:
    """FP8 over bfloat16 at the same point: a ratio."""
    narrow, wide = (Case(model, gpu, batch, weights=weights) for weights in ("fp8", ""))
    return grid().number(narrow, quantity) / grid().number(wide, quantity)


def gains(gpus: Sequence[str], models: Sequence[str], quantity: str) -> list[float]:
    """Gains less one over models and the batches of the figure."""
    return [gain(model, gpu, batch, quantity) - 1.0 for gpu in gpus for model in models for batch in BATCHES]


def figure_3() -> Exhibit:
    """Throughput with FP8 and with bfloat16 weights."""
    cases = [case for case in grid().cases if case.in_flight in BATCHES]
    pairs = tuple(
        pair_of(grid(), case, SPEED, named(case, series=f"{case.accelerator}, {PRECISION[case.weights]}"))
        for case in cases
    )
    hopper, mi300x, a100 = (percents(gains(gpus, FOUR, SPEED)) for gpus in (HOPPER, (MI300X,), W8A16))
    return Exhibit(
        "figure-3", "Fig. 3", "Throughput with FP8 and bfloat16 weights",
        f"FP8 gains {hopper} of throughput on Hopper, {mi300x} on the MI300X (W8A8 both) and {a100} on the A100 "
        f"(W8A16), over four models and batches of {BATCHES[0]} to {BATCHES[-1]}.",
        pairs, Plot("lines", x="batch", colour="series", facet="model", log=True),
        (lengths_note(), load_note(), calibration_note()),
    )  # fmt: skip


def printed() -> Exhibit:
    """The gains that text and box print, beside the range over our grid."""
    pairs = _printed()
    return Exhibit(
        "figure-3-text", "Sec. IV-A", "What FP8 gains, in numbers of the text",
        f"{met(pairs)} printed gains meet the range of ours over models and batches.", pairs,
        Plot("bars", x="case"),
        (
            lengths_note(), load_note(), calibration_note(),
            "Text and box print different gains for Hopper: both are shown.",
        ),
    )  # fmt: skip


def _printed() -> tuple[Pair, ...]:
    llama, mistral = FOUR[0], FOUR[2]
    rows = (
        ("Hopper, text", HOPPER, FOUR, SPEED, "fp8-hopper-throughput"),
        ("Hopper, text", HOPPER, FOUR, FRUGAL, "fp8-hopper-efficiency"),
        ("Hopper, box", HOPPER, FOUR, SPEED, "fp8-hopper-throughput-box"),
        ("Hopper, box", HOPPER, FOUR, FRUGAL, "fp8-hopper-efficiency-box"),
        (f"{MI300X}, {model_name(llama)}", (MI300X,), (llama,), SPEED, "fp8-mi300x-no-gain"),
        (f"{MI300X}, {model_name(mistral)}", (MI300X,), (mistral,), SPEED, "fp8-mi300x-throughput"),
        (f"{MI300X}, text", (MI300X,), FOUR, FRUGAL, "fp8-mi300x-efficiency"),
    )
    return tuple(
        Pair(
            {"case": case}, f"{TITLES[quantity]} gain", "1", claimed(name), range_over(gains(gpus, models, quantity)),
            "predicted", OVER,
        )
        for case, gpus, models, quantity, name in rows
    )  # fmt: skip
