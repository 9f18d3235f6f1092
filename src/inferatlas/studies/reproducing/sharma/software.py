"""Guideline: software matters as much as hardware, up to 40 % on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.accelerators import accelerators
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.platforms import PREFERENCE, supported_engines
from inferatlas.predict.question import asked
from inferatlas.quantities import percent
from inferatlas.studies.exhibits import Guideline, Label, Pair, Plot, Verdict
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import plural, times
from inferatlas.studies.reproducing.sharma.published import claimed
from inferatlas.studies.reproducing.sharma.serving import ISL, OSL
from inferatlas.workload import make_workload

MODEL = "llama-3.1-8b"  # fits on one of almost every accelerator, and is measured with most engines
LEVELS = (1, 64)
CLAIM = "software-variation"


@dataclass(frozen=True)
class Stacks:
    """One accelerator at one load with every engine: tokens per second."""

    name: str
    level: int
    rates: dict[str, Interval]
    label: Label

    @property
    def spread(self) -> float:
        """How much faster the best engine is than the worst, less one."""
        return self.best / self.worst - 1.0

    @property
    def best(self) -> float:
        """The rate of the fastest engine."""
        return max(rate.value for rate in self.rates.values())

    @property
    def worst(self) -> float:
        """The rate of the slowest."""
        return min(rate.value for rate in self.rates.values())


def stacks() -> list[Stacks]:
    """Accelerators that several engines are known to serve, alone, at both loads."""
    found = []
    for known in accelerators():
        engines = [name for name in PREFERENCE if name in supported_engines(known)]
        if len(engines) > 1:
            found += [one for level in LEVELS if len((one := _stacks(known, engines, level)).rates) > 1]
    return found


def _stacks(known: Accelerator, engines: Sequence[str], level: int) -> Stacks:
    rates, labels = {}, set()
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=level)
    for engine in engines:
        try:
            one = asked(MODEL, known.id, load, tp=1, pp=1, engine=engine)
        except NoFeasibleAnswer:  # a format that this engine has no products for
            continue
        answer = one.predict()
        rate = Metric(answer.output_tokens_per_s, answer.rate_sigma.astype(np.float64)).at() if answer.fits[0] else None
        if rate is not None:
            rates[engine] = rate
            labels.add(one.label)
    return Stacks(known.name, level, rates, "predicted" if labels == {"predicted"} else "extrapolated")


def guideline() -> Guideline:
    """The rule: what engines differ by on one machine, beside what machines differ by with their best engine."""
    found = stacks()
    printed = claimed(CLAIM)
    limit = printed.value or 0.0
    within = [one for one in found if one.spread <= (printed.high or limit)]
    turned, pairs = _turned(found)
    hardware = max(_hardware(found, level) for level in LEVELS)
    typical = sorted(one.spread for one in found)[len(found) // 2]
    verdict: Verdict = "agrees" if turned == pairs else "agrees_under_condition" if turned else "disagrees"
    return Guideline(
        id="software-as-hardware",
        place="Sec. IV-E, insight 3",
        quote=(
            "Performance variations of up to 40% were observed for the same hardware with different software stack "
            "versions"
        ),
        verdict=verdict,
        where=(
            f"between accelerators of like speed: the choice of engines turns the order of {turned} of "
            f"{plural(pairs, 'pair')} of accelerators; of the others no engine makes up for the hardware"
        ),
        held=turned,
        tried=pairs,
        finding=(
            f"Engines differ by {percent(min(one.spread for one in found))} to "
            f"{percent(max(one.spread for one in found))} on one accelerator, by {percent(typical)} in the middle, "
            f"and by no more than the printed {printed.text} in {len(within)} of {plural(len(found), 'case')}; "
            f"accelerators with their best engine differ by up to {times(hardware)}."
        ),
        pairs=tuple(pair for one in found for pair in _pairs(one)),
        plot=Plot("bars", x="accelerator", colour="engine", facet="load", log=True),
        notes=(
            f"{MODEL} on one accelerator, prompts of {ISL:,} and answers of {OSL} tokens; the paper speaks of "
            "versions of a stack, ours are engines as they are today",
            "a case holds where the slower accelerator with its best engine is at least as fast as the faster one "
            "with its worst",
        ),
    )


def _turned(found: Sequence[Stacks]) -> tuple[int, int]:
    """Pairs of accelerators of which engines can turn the order, at the same load, and all pairs."""
    pairs = [(a, b) for a, b in combinations(found, 2) if a.level == b.level]
    both = [sorted(pair, key=lambda one: one.best) for pair in pairs]
    return sum(slow.best >= fast.worst for slow, fast in both), len(pairs)


def _hardware(found: Sequence[Stacks], level: int) -> float:
    best = [one.best for one in found if one.level == level]
    return max(best) / min(best)


def _pairs(one: Stacks) -> list[Pair]:
    load = f"{one.level} in flight"
    out = [
        Pair({"accelerator": one.name, "load": load, "engine": engine}, "output_tokens_per_s", "1/s", None,
             rate, one.label)
        for engine, rate in one.rates.items()
    ]  # fmt: skip
    what = {"accelerator": one.name, "load": load, "engine": "best over worst, less one"}
    return [*out, Pair(what, "spread", "1", claimed(CLAIM), exact(one.spread), one.label)]
