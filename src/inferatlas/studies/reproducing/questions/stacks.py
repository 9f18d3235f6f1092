"""How much of the differences between parts is software: one engine, one set of efficiencies, or no software at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.catalogue.accelerators import accelerators_named
from inferatlas.catalogue.models import load_model
from inferatlas.decide.regimes.ranks import spread
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.handbook.roofline import Peaks, Shape, decode_step, prefill_step
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.performance.calibrated import NOTHING
from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind, supported_engines
from inferatlas.quantities import percent
from inferatlas.studies.common_errors import Deployed, ratios
from inferatlas.studies.exhibits import OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.published import said
from inferatlas.studies.reproducing.questions.words import number
from inferatlas.studies.runs import over

MODEL, COMMON = "llama-3.1-8b", "vllm"
FLYING = (1, 16, 64)
ISL, OSL = 1024, 256
ORDERED = 0.5**0.5  # rank correlation of which the square is one half
PUBLISHED = "software-variation"  # Sharma 2025, IV-E: "up to 40%" on the same hardware


@dataclass(frozen=True)
class Stack:
    """One part with one engine: output tokens/s by requests in flight, at its hardware's limits and as calibrated.

    ``prior``: with the efficiencies that every machine of its style starts from; ``level``: how close measured
    points come.
    """

    accelerator: str
    engine: str
    level: str
    points: int
    bare: tuple[float, ...]
    prior: tuple[float, ...]
    calibrated: tuple[Interval, ...]

    def reached(self, k: int) -> Interval:
        """Share of the hardware's limits that the part reaches."""
        one = self.calibrated[k]
        return Interval(one.low / self.bare[k], one.value / self.bare[k], min(one.high / self.bare[k], 1.0))


def stacks(model: str = MODEL, flying: Sequence[int] = FLYING) -> list[Stack]:
    """Every part and engine that measured points cover, on one accelerator that holds the model and all requests."""
    config = load_model(model)
    ops, shape = operators(config), Shape.of(config)
    bound: list[tuple[Platform, Platform]] = []
    for known in accelerators_named(()):
        for engine in supported_engines(known):
            try:
                mine = bind(known, engine, model=config)
                common = bind(known, engine, model=config, calibration=NOTHING)
            except NoFeasibleAnswer:
                continue
            if mine.label == "predicted" and mine.device.style == "kernel":
                bound.append((mine, common))
    table = platform_table([mine for mine, _ in bound] + [common for _, common in bound], is_moe=bool(ops.experts))
    number_of, levels = len(bound), len(flying)
    points = make_points(
        np.repeat(np.arange(2 * number_of), levels), concurrency=np.tile(flying, 2 * number_of), input_tokens=ISL,
        output_tokens=OSL,
    )  # fmt: skip
    found = predict(ops, table, points)
    rate = Metric(found.output_tokens_per_s, found.rate_sigma.astype(float))
    full = (found.fits & (found.batch >= 0.99 * points.concurrency)).reshape(2, number_of, levels)
    out = []
    for i, (mine, _) in enumerate(bound):
        if not full[:, i].all():
            continue
        rows = [(i * levels + k, (number_of + i) * levels + k) for k in range(levels)]
        out.append(
            Stack(
                mine.device.id, mine.engine.name, mine.coefficients.closest.level, mine.coefficients.closest.points,
                tuple(_bare(shape, mine, k) for k in flying), tuple(float(rate.value[q]) for _, q in rows),
                tuple(one for p, _ in rows if (one := rate.at(p)) is not None),
            )
        )  # fmt: skip
    return out


def _bare(shape: Shape, platform: Platform, flying: int) -> float:
    """Output tokens/s of the plain roofline: every prompt by itself, then steps at the mean context."""
    peaks = Peaks.of(platform.device, platform.compute_rate)
    step = float(decode_step(shape, peaks, flying, ISL + OSL / 2))
    return flying * OSL / (flying * float(prefill_step(shape, peaks, 1, ISL)) + OSL * step)


@dataclass(frozen=True)
class Gap:
    """The lower of two over the higher, at so many in flight."""

    lower: Stack
    higher: Stack
    k: int
    ratio: Interval

    @property
    def words(self) -> str:
        """How much lower the lower one is; an interval that holds no difference begins with none."""
        least = 1.0 - self.ratio.high
        ends = f"{percent(least) if least > 0 else 'none'} to {percent(1.0 - self.ratio.low)}"
        return f"{percent(1.0 - self.ratio.value)} ({ends})"


def between_parts(found: Sequence[Stack]) -> Gap:
    """The widest gap between parts in the share of their limits that they reach on the common engine."""
    same = [one for one in found if one.engine == COMMON]
    gaps = []
    for k in range(len(FLYING)):
        low, high = (pick(same, key=lambda one: one.reached(k).value) for pick in (min, max))
        gaps.append(Gap(low, high, k, over(low.reached(k), high.reached(k))))
    return min(gaps, key=lambda gap: gap.ratio.value)


def between_engines(found: Sequence[Stack]) -> Gap | None:
    """The widest gap between two engines on one part, both of which were measured there."""
    gaps = [
        Gap(a, b, k, over(a.calibrated[k], b.calibrated[k]))
        for a in found
        for b in found
        for k in range(len(FLYING))
        if a.accelerator == b.accelerator and a.engine != b.engine and "engine" in a.level and "engine" in b.level
    ]
    widest = min(gaps, key=lambda gap: gap.ratio.value, default=None)
    return None if widest is None else replace(widest, ratio=_on_one_part(widest))


def _on_one_part(gap: Gap) -> Interval:
    """The ratio of two engines: what the part's coefficients are wrong by is common, two builds of engines differ."""
    config, flying = load_model(MODEL), FLYING[gap.k]
    points = make_points(0, concurrency=flying, input_tokens=ISL, output_tokens=OSL)
    both = [
        Deployed(operators(config), bind(one.accelerator, one.engine, model=config), points)
        for one in (gap.lower, gap.higher)
    ]
    return ratios(both[0], both[1], "output_tokens_per_s")[0] or gap.ratio


def explained(found: Sequence[Stack], k: int) -> float:
    """Share of the variance of logarithms between parts on the common engine that the bare hardware explains (r²)."""
    same = [one for one in found if one.engine == COMMON]
    logs = np.log([[one.bare[k] for one in same], [one.calibrated[k].value for one in same]])
    return float(np.corrcoef(logs)[0, 1] ** 2)


def common_stack() -> OpenQuestion:
    """Next check 1 of Sharma 2025: with one software stack, how much of the differences between parts remains?"""
    found = stacks()
    parts, engines = between_parts(found), between_engines(found)
    grounds = _grounds(found, parts, engines)
    sure, why = confidence(grounds)
    same = [one for one in found if one.engine == COMMON]
    middle = FLYING.index(16)
    reached = [one.reached(middle).value for one in same]
    return OpenQuestion(
        id="common-stack",
        place="next check 1; limitations",
        question="On one software stack, how much of the differences between accelerators is left to the hardware?",
        answer=_answer(found, parts, engines),
        confidence=sure,
        why=why,
        conditions=(
            f"{MODEL} in 16 bit on one accelerator, {ISL:,} input and {OSL} output tokens; {len(same)} parts that run "
            f"kernels, that {COMMON} supports and that measured points cover; {FLYING[middle]} requests in flight "
            "unless said",
            "limits of the hardware: the plain roofline (efficiency 1, no overhead); what a part does not reach is "
            "software and microarchitecture together, and points on one engine cannot part the two",
            "two engines on one part differ by software alone, as the versions do that the paper compared; only "
            "engines measured on that part are compared",
            f"with one set of efficiencies for all (no calibration) the parts reach {_common(same, middle)} of their "
            f"limits instead of {percent(min(reached))} to {percent(max(reached))}",
        ),
        pairs=tuple(_pair(one, middle) for one in same) + tuple(_gap_pairs(parts, engines)),
        plot=Plot("bars", x="accelerator", colour="engine"),
    )


def _grounds(found: Sequence[Stack], parts: Gap, engines: Gap | None) -> list[Ground]:
    """That hardware orders parts, that they differ beyond it, and that engines do by no more than the paper saw."""
    same, k = [one for one in found if one.engine == COMMON], FLYING.index(16)
    order = spread(np.array([one.bare[k] for one in same]), np.array([one.calibrated[k].value for one in same]))
    less = f"{parts.lower.accelerator} reaches less than {parts.higher.accelerator}"
    out = [
        Ground("the limits of the hardware order the parts", order, ORDERED, "predicted"),
        Ground(less, parts.ratio, 1.0, "predicted"),
    ]
    seen = said("sharma-2025", PUBLISHED)
    if engines is not None and seen is not None and seen.value is not None:
        side = "more" if 1.0 - engines.ratio.value > seen.value else "less"
        says = f"engines on {engines.lower.accelerator} differ by {side} than {percent(seen.value)}"
        out.append(Ground(says, engines.ratio, 1.0 - seen.value, "predicted"))
    return out


def _answer(found: Sequence[Stack], parts: Gap, engines: Gap | None) -> str:
    same = [one for one in found if one.engine == COMMON]
    k = FLYING.index(16)
    r2 = explained(found, k)
    bare = max(one.bare[k] for one in same) / min(one.bare[k] for one in same)
    real = max(one.calibrated[k].value for one in same) / min(one.calibrated[k].value for one in same)
    words = (
        f"Most of it: the limits of the hardware explain {percent(r2)} of the differences between {len(same)} parts on "
        f"{COMMON} ({number(bare)} times between the extremes at the limits, {number(real)} times as calibrated), but "
        f"{parts.lower.accelerator} reaches a {parts.words} smaller share of its limits than {parts.higher.accelerator}"
    )
    if engines is None:
        return f"{words}."
    return (
        f"{words}. On one part, software alone makes up to {engines.words}: {engines.lower.engine} against "
        f"{engines.higher.engine} on {engines.lower.accelerator}."
    )


def _common(same: Sequence[Stack], k: int) -> str:
    shares = [one.prior[k] / one.bare[k] for one in same]
    return f"{percent(min(shares))} to {percent(max(shares))}"


def _pair(one: Stack, k: int) -> Pair:
    return Pair(
        {"accelerator": one.accelerator, "engine": one.engine}, "share_of_hardware_limits", "1", None, one.reached(k),
        "predicted", f"{one.points} measured points ({one.level})",
    )  # fmt: skip


def _gap_pairs(parts: Gap, engines: Gap | None) -> list[Pair]:
    """Both gaps; beside that between engines what the paper saw between versions of the software."""
    out = []
    for what, gap in (("between_parts_on_one_engine", parts), ("between_engines_on_one_part", engines)):
        if gap is None:
            continue
        lost = Interval(1.0 - gap.ratio.high, 1.0 - gap.ratio.value, 1.0 - gap.ratio.low)
        theirs = said("sharma-2025", PUBLISHED) if gap is engines else None
        where = {"accelerator": gap.lower.accelerator, "engine": gap.lower.engine}
        note = f"against {gap.higher.accelerator}/{gap.higher.engine} at {FLYING[gap.k]} in flight"
        out.append(Pair(where, f"variation_{what}", "1", theirs, lost, "predicted", note))
    return out
