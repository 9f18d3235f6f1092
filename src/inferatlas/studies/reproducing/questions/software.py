"""Which accelerators run common frameworks, and how much of their hardware a port of one reaches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferatlas.catalogue.accelerators import accelerators_named, load_accelerator
from inferatlas.predict.performance.coefficients import HOME
from inferatlas.predict.platforms import supported_engines
from inferatlas.quantities import percent
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.stacks import COMMON, FLYING, Stack, stacks
from inferatlas.studies.reproducing.questions.words import spoken
from inferatlas.studies.runs import exactly, over

FRAMEWORKS = ("vllm", "sglang", "tensorrt-llm", "deepspeed")
LEVELS = ("official", "experimental", "none")


def support() -> dict[str, str]:
    """Accelerator -> the best support that a common framework gives it, of the whole catalogue."""
    found = {one.id: supported_engines(one) for one in accelerators_named(())}
    return {
        name: min((level for engine, level in usable.items() if engine in FRAMEWORKS), key=LEVELS.index, default="none")
        for name, usable in found.items()
    }


def software_compatibility() -> OpenQuestion:
    """Park et al., section 4, software compatibility: common frameworks on parts that are no GPUs."""
    known = {one.id: one for one in accelerators_named(())}
    best = {name: level for name, level in support().items() if known[name].architectural_class != "gpu_simt"}
    counts = {level: list(best.values()).count(level) for level in LEVELS}
    middle = FLYING.index(16)
    same = [one for one in stacks() if one.engine == COMMON]
    home = [one for one in same if load_accelerator(one.accelerator).vendor == HOME]
    ports = [one for one in same if one not in home]
    typical = sorted(home, key=lambda one: one.reached(middle).value)[len(home) // 2]
    ratios = [over(one.reached(middle), typical.reached(middle)) for one in ports]
    grounds = [
        Ground(f"{one.accelerator} reaches less than {typical.accelerator}", ratio, 1.0, "predicted")
        for one, ratio in zip(ports, ratios, strict=True)
    ]
    sure, why = confidence(grounds)
    behind = [ratio.value for ratio in ratios]
    return OpenQuestion(
        id="software-compatibility",
        place="4, Software Compatibility",
        question="Do common frameworks run models well on accelerators that are no GPUs?",
        answer=(
            f"Of {len(best)} that are no GPUs a common framework runs on {counts['official']} officially, on "
            f"{counts['experimental']} experimentally and on {counts['none']} not at all. Where {COMMON} was measured "
            f"on a part that is not {HOME}'s, it reaches {_shares(ports, middle)} of the limits of the hardware, on "
            f"{HOME}'s {_shares(home, middle)}: {percent(float(np.median(behind)))} of the middle one of those by the "
            "median."
        ),
        confidence=sure,
        why=why,
        conditions=(
            f"common frameworks: {', '.join(FRAMEWORKS)}; support as the catalogue states it with its sources",
            "limits of the hardware: the plain roofline; what is missing is the compiler, kernels and "
            "microarchitecture together",
            f"{FLYING[middle]} requests in flight; see the question on a common stack",
        ),
        pairs=tuple(_pair(name, level, known[name].architectural_class) for name, level in best.items()),
        plot=Plot("heatmap", x="class", y="accelerator"),
    )


def _shares(found: Sequence[Stack], k: int) -> str:
    values = [one.reached(k).value for one in found]
    return f"{percent(min(values))} to {percent(max(values))}" if values else "nothing known"


def _pair(name: str, level: str, kind: str) -> Pair:
    return Pair(
        {"accelerator": name, "class": spoken(kind)}, "common_frameworks", "1", None,
        exactly(1.0 - LEVELS.index(level) / 2.0), "catalogue", f"support: {level}",
    )  # fmt: skip
