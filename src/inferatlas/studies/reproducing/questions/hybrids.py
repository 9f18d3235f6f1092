"""Hybrids of Mamba and attention beside transformers of their size: by length of context and requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferatlas.catalogue.models import load_model
from inferatlas.predict.answer import Interval
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count
from inferatlas.predict.mapping.memory import kv_bytes
from inferatlas.predict.performance.points import OFFLINE
from inferatlas.quantities import show
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, times
from inferatlas.studies.runs import exactly, joint, over, runs

OSL, KEPT_BYTES = 512, 2.0
FLYING = (1.0, 32.0, OFFLINE)
ACCELERATOR = "nvidia-h100-sxm"


@dataclass(frozen=True)
class Beside:
    """A hybrid beside a transformer, on as many accelerators, at prompts that both hold."""

    hybrid: str
    transformer: str
    accelerators: int
    prompts: tuple[int, ...]


CASES = (
    Beside("nemotron-h-8b", "llama-3.1-8b", 1, (512, 2048, 7168)),
    Beside("jamba-1.5-mini", "mixtral-8x7b", 2, (512, 2048, 8192, 30720)),
)


@dataclass(frozen=True)
class Gain:
    """Output tokens/s of the hybrid over the transformer, at one length and number of requests in flight.

    ``kept``: bytes that a request holds at its end, of both.
    """

    case: Beside
    prompt: int
    flying: float
    gain: Interval
    batches: tuple[float, float]
    kept: tuple[float, float]
    label: Label

    @property
    def load(self) -> str:
        return "as many as memory holds" if self.flying == OFFLINE else f"{self.flying:g}"


def gains(case: Beside) -> list[Gain]:
    """Every length and number of requests in flight of one case; both models in 16 bit."""
    flying = [f for _ in case.prompts for f in FLYING]
    prompts = [isl for isl in case.prompts for _ in FLYING]
    both = [
        runs(
            name, ACCELERATOR, concurrency=flying, isl=prompts, osl=OSL, count=case.accelerators, tp=case.accelerators,
            weights="bf16",
        )
        for name in (case.hybrid, case.transformer)
    ]  # fmt: skip
    kept = [_kept(name, case.prompts) for name in (case.hybrid, case.transformer)]
    out = []
    for i, (isl, f) in enumerate(zip(prompts, flying, strict=True)):
        mine, other = (one.at("output_tokens_per_s", i) for one in both)
        if mine is not None and other is not None:
            batches = float(both[0].found.batch[i]), float(both[1].found.batch[i])
            held = kept[0][isl], kept[1][isl]
            out.append(Gain(case, isl, f, over(mine, other), batches, held, joint(one.label for one in both)))
    return out


def _kept(name: str, prompts: Sequence[int]) -> dict[int, float]:
    ops = operators(load_model(name))
    return {isl: float(kv_bytes(ops, 1, 1, float(isl + OSL), KEPT_BYTES, source=float(isl))) for isl in prompts}


def hybrid_models(cases: Sequence[Beside] = CASES) -> OpenQuestion:
    """Brunetta et al., VII: hybrids of Mamba and attention."""
    found = [one for case in cases for one in gains(case)]
    full = [one for one in found if one.flying == OFFLINE and one.prompt == one.case.prompts[-1]]
    grounds = [ground for one in full for ground in _grounds(one)]
    sure, why = confidence(grounds)
    return OpenQuestion(
        id="hybrid-mamba-attention",
        place="VII",
        question="What do hybrids of Mamba and attention gain over transformers of the same size?",
        answer=_answer(found),
        confidence=sure,
        why=why,
        conditions=(
            *(_size(case) for case in cases),
            "a request keeps a state of fixed size for most layers and a cache for few, so a hybrid gains where caches "
            "are most of what a step reads, or fill the memory: long contexts with many requests",
            "no measured point had recurrent layers: their kernels take each accelerator's efficiencies of transformer "
            "decoders; errors of the two models are taken as independent",
        ),
        pairs=tuple(_pair(one) for one in found),
        plot=Plot("lines", x="input tokens", colour="in flight", facet="hybrid", log=True),
    )


def _grounds(one: Gain) -> tuple[Ground, Ground]:
    verb = "gains" if one.gain.value > 1 else "loses"
    less = exactly(one.kept[0] / one.kept[1])
    return (
        Ground(f"{one.case.hybrid} {verb} at {one.prompt:,} tokens, {one.load} in flight", one.gain, 1.0, one.label),
        Ground(f"a request of {one.case.hybrid} of {one.prompt:,} tokens keeps less", less, 1.0, "derived"),
    )


def _answer(found: Sequence[Gain]) -> str:
    words = []
    for case in dict.fromkeys(one.case for one in found):
        mine = [one for one in found if one.case == case]
        alone = [one.gain.value for one in mine if one.flying == FLYING[0]]
        full = max((one for one in mine if one.flying == OFFLINE), key=lambda one: one.prompt)
        words.append(
            f"{case.hybrid} writes {number(min(alone))} to {number(max(alone))} times the tokens of "
            f"{case.transformer} for a single request, and {times(full.gain)} at {full.prompt:,} input tokens with as "
            f"many requests as memory holds ({number(full.batches[0])} instead of {number(full.batches[1])}), each of "
            f"which keeps {show(full.kept[0], 'B')} instead of {show(full.kept[1], 'B')}"
        )
    return f"They gain with long contexts and many requests, not alone: {'; '.join(words)}."


def _size(case: Beside) -> str:
    sizes = [count(load_model(name)).total for name in (case.hybrid, case.transformer)]
    many = f"{case.accelerators} x {ACCELERATOR}"
    both = listed(
        [
            f"{name} ({size / 1e9:.1f} billion parameters)"
            for name, size in zip((case.hybrid, case.transformer), sizes, strict=True)
        ]
    )
    return f"{both} on {many}, 16 bit, {OSL} output tokens, prompts up to {case.prompts[-1]:,} tokens, which both hold"


def _pair(one: Gain) -> Pair:
    hybrid = f"{one.case.hybrid} / {one.case.transformer}"
    return Pair(
        {"hybrid": hybrid, "input tokens": str(one.prompt), "in flight": one.load},
        "throughput_over_transformer", "1", None, one.gain, one.label,
        f"a request keeps {show(one.kept[0], 'B')} instead of {show(one.kept[1], 'B')}",
    )  # fmt: skip
