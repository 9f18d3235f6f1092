"""Less power: what a lower clock saves, and which machines spend less energy a token than a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.catalogue.accelerators import accelerators_named
from inferatlas.catalogue.models import load_model
from inferatlas.decide.fleet import fleet
from inferatlas.decide.regimes.ranks import rank_correlation
from inferatlas.predict.answer import Interval
from inferatlas.quantities import percent
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, spoken, times
from inferatlas.studies.runs import Runs, joint, over, runs
from inferatlas.workload import make_workload

MODEL, GPU = "llama-3.3-70b", "nvidia-h100-sxm"
ISL, OSL = 1024, 256
LEVELS = tuple(2.0**k for k in range(13))
PACE_S = 0.040  # MLPerf's interactive scenario
CLOCKS = (1.0, 0.9, 0.8, 0.7, 0.6)
SLOWED, FLYING = "llama-3.1-8b", 64


@dataclass(frozen=True)
class Spent:
    """Least joules per output token of an accelerator within the pace, on how many, with the rated watts of one."""

    accelerator: str
    architectural_class: str
    count: int
    rated_w: float
    joules: Interval
    label: Label


def spent(model: str = MODEL, pace_s: float = PACE_S) -> list[Spent]:
    """Every accelerator of the catalogue that keeps the pace and whose power is known, the least energy first."""
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=1)
    designs = fleet(load_model(model), accelerators_named(()), load, {"concurrency": LEVELS})
    names, owner = designs.accelerator_index()
    per_joule = designs.metrics["tokens_per_joule"]
    usable = designs.predictions.fits & (designs.predictions.itl_s <= pace_s) & np.isfinite(per_joule.value)
    out = []
    for k, name in enumerate(names):
        rows = np.flatnonzero((owner == k) & usable)
        if not rows.size:
            continue
        i = int(rows[per_joule.value[rows].argmax()])
        tokens, platform = per_joule.at(i), designs.platform(i)
        if tokens is not None:
            joules = Interval(1.0 / tokens.high, 1.0 / tokens.value, 1.0 / tokens.low)
            count, rated = int(designs.points.accelerators[i]), platform.device.power.rated_w or np.nan
            out.append(Spent(name, platform.device.architectural_class, count, rated, joules, joint((platform.label,))))
    return sorted(out, key=lambda one: one.joules.value)


def low_power() -> OpenQuestion:
    """Park et al., section 4, low power: throughput with less power than GPUs."""
    found = spent()
    base = next(one for one in found if one.accelerator == GPU)
    others = [one for one in found if one.architectural_class != "gpu_simt"]
    ratios = {one.accelerator: over(one.joules, base.joules) for one in others}
    slowed = runs(SLOWED, GPU, concurrency=FLYING, isl=ISL, osl=OSL, clock=CLOCKS, count=1, tp=1)
    saved = [_ratio(slowed, "tokens_per_joule", i) for i in range(len(CLOCKS))]
    kept = [_ratio(slowed, "output_tokens_per_s", i) for i in range(len(CLOCKS))]
    grounds = [
        Ground(f"{one.accelerator} spends {'less' if ratio.value < 1 else 'more'} a token than {GPU}", ratio, 1.0,
               joint((one.label, base.label)))
        for one, ratio in zip(others, ratios.values(), strict=True)
    ]  # fmt: skip
    sure, why = confidence(grounds)
    less = [name for name, ratio in ratios.items() if ratio.value < 1]
    surely = [name for name, ratio in ratios.items() if ratio.high < 1]
    rated = [one.rated_w for one in others]
    return OpenQuestion(
        id="low-power",
        place="4, Low Power Consumption",
        question="Do accelerators of other designs reach the throughput of GPUs with less power?",
        answer=(
            f"{len(less)} of {len(others)} spend less energy a token than {GPU} on {MODEL} at up to {PACE_S * 1e3:g} "
            f"ms a token ({listed(less)}), {len(surely)} of them beyond the intervals; the others take up to "
            f"{times(max(ratios.values(), key=lambda r: r.value))} its energy. Rated watts, {number(min(rated))} to "
            f"{number(max(rated))}, do not tell: their rank correlation with energy a token is "
            f"{number(_ranked(others))}."
        ),
        confidence=sure,
        why=why,
        conditions=(
            f"{ISL:,} input and {OSL} output tokens; each accelerator on its node, or as many as hold the model, at "
            f"its best number of requests in flight within {PACE_S * 1e3:g} ms a token; power of the accelerators "
            "alone, by the scope of each part's rating (a WSE's is of a whole system)",
            f"workload-adaptive clocks: {percent(CLOCKS[-1])} of the clock gives {GPU} {number(saved[-1])} times the "
            f"tokens per joule and {number(kept[-1])} times the tokens of {SLOWED} at {FLYING} requests in flight, "
            "equation (40)",
            "parts without a published power rating are left out",
        ),
        pairs=tuple(_pair(one, ratios, base) for one in found),
        plot=Plot("bars", x="accelerator", colour="class", log=True),
    )


def _ratio(slowed: Runs, metric: str, i: int) -> float:
    """At clock i over that at the full clock; both are of one part, so the values say it."""
    values = slowed.metrics[metric].value
    return float(values[i] / values[0])


def _ranked(found: Sequence[Spent]) -> float:
    """Rank correlation of rated power with energy per token."""
    return rank_correlation(np.array([one.rated_w for one in found]), np.array([one.joules.value for one in found]))


def _pair(one: Spent, ratios: dict[str, Interval], base: Spent) -> Pair:
    ratio = ratios.get(one.accelerator) or over(one.joules, base.joules)
    what = {"accelerator": one.accelerator, "class": spoken(one.architectural_class)}
    note = f"{one.count} accelerators; {number(ratio.value)} times that of {base.accelerator}"
    return Pair(what, "joules_per_output_token", "J", None, one.joules, one.label, note)
