"""Images in prompts: how long until the first token, and what the vision tower adds to text of the same length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.predict.answer import Interval
from inferatlas.studies.common_errors import ratios
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, times
from inferatlas.studies.runs import Runs, joint, runs

MODELS = ("qwen2.5-vl-7b", "gemma-3-12b")  # tokens by the size of an image; the same number for any image
ACCELERATOR, TEXT, OSL = "nvidia-h100-sxm", 256, 256
IMAGES, SIZE = (1, 4, 16), "1024x1024"
FLYING = (1, 32)


@dataclass(frozen=True)
class Seen:
    """A prompt of ``images`` beside its text, over the text alone and over text of as many tokens in all.

    ``ttft`` and ``throughput`` are ratios to the text alone at the ends of `FLYING`; ``tower``: time to the first
    token over that of as many tokens of text.
    """

    model: str
    images: int
    tokens: int
    ttft: Interval
    throughput: Interval
    tower: Interval
    label: Label


def seen(model: str, images: Sequence[int] = IMAGES) -> list[Seen]:
    """One model on one accelerator with more and more images in every prompt."""
    plain = _runs(model, TEXT)
    out = []
    for many in images:
        one = _runs(model, TEXT, images=many, image_size=SIZE)
        tokens = int(one.points.input_tokens[0]) - TEXT
        text = _runs(model, TEXT + tokens)
        ratios = (
            _ratio(one, plain, "ttft_s", 0), _ratio(one, plain, "output_tokens_per_s", 1),
            _ratio(one, text, "ttft_s", 0),
        )  # fmt: skip
        out.append(Seen(model, many, tokens, *ratios, joint((one.label, plain.label))))
    return out


def _runs(model: str, isl: int, **pictures) -> Runs:
    return runs(model, ACCELERATOR, concurrency=FLYING, isl=isl, osl=OSL, count=1, tp=1, **pictures)


def _ratio(one: Runs, other: Runs, metric: str, i: int) -> Interval:
    found = ratios(one.deployed, other.deployed, metric)[i]
    return found or Interval(float("nan"), float("nan"), float("nan"))


def multimodal(models: Sequence[str] = MODELS) -> OpenQuestion:
    """Brunetta et al., VII: multimodal models."""
    found = [one for model in models for one in seen(model)]
    most = [one for one in found if one.images == IMAGES[-1]]
    grounds = [
        Ground(f"{one.model} with {one.images} images is slower to the first token", one.ttft, 1.0, one.label)
        for one in most
    ] + [
        Ground(
            f"{one.model} with {one.images} images writes less at {FLYING[1]} in flight", one.throughput, 1.0, one.label
        )
        for one in most
    ]
    sure, why = confidence(grounds)
    return OpenQuestion(
        id="multimodal",
        place="VII",
        question="What do images in the prompts of multimodal models cost?",
        answer=_answer(found, most),
        confidence=sure,
        why=why,
        conditions=(
            f"images of {SIZE} pixels beside {TEXT} tokens of text, {OSL} output tokens, one {ACCELERATOR}, no image "
            "seen before; decoding an image file and resizing it are not counted",
            "an image is a number of prompt tokens and a pass of the vision tower: it lengthens prefill and fills the "
            "cache, and decode steps change only by the longer context",
            "no measured point had images: the tower takes the efficiencies of prompts",
        ),
        pairs=tuple(pair for one in found for pair in _pairs(one)),
        plot=Plot("lines", x="images", colour="model", facet="what", log=True),
    )


def _answer(found: Sequence[Seen], most: Sequence[Seen]) -> str:
    each = {one.model: one.tokens // one.images for one in found}
    tokens = listed([f"{tokens:,} for {model}" for model, tokens in each.items()])
    slower = listed([f"{times(one.ttft)} for {one.model}" for one in most])
    left = listed([f"{times(one.throughput)} for {one.model}" for one in most])
    towers = [one.tower.value for one in found]
    return (
        f"An image of {SIZE} pixels is as many prompt tokens ({tokens}) plus the vision tower, which makes the first "
        f"token {number(min(towers))} to {number(max(towers))} times as late as text of that length does. "
        f"{IMAGES[-1]} of them delay the first token of a single request {slower}, and leave {left} of the throughput "
        f"at {FLYING[1]} requests in flight."
    )


def _pairs(one: Seen) -> list[Pair]:
    rows = {
        "time to first token over text alone": ("ttft_over_text", one.ttft),
        "throughput over text alone": ("throughput_over_text", one.throughput),
    }
    return [
        Pair(
            {"model": one.model, "images": str(one.images), "what": what}, quantity, "1", None, ratio, one.label,
            f"{one.tokens:,} tokens of images; {number(one.tower.value)} times the time of as much text",
        )
        for what, (quantity, ratio) in rows.items()
    ]  # fmt: skip
