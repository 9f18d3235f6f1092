"""Guideline: memory bandwidth dominates for small batches, compute at larger ones (r = 0.88 at batch 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.catalogue.accelerators import accelerators
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import fleet
from inferatlas.decide.regimes.result import correlation
from inferatlas.predict.arrays import Floats
from inferatlas.studies.exhibits import Guideline, Pair, Plot, Verdict
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import plural, span
from inferatlas.studies.reproducing.sharma.published import claimed
from inferatlas.studies.reproducing.sharma.serving import ISL, OSL
from inferatlas.workload import make_workload

MODELS = ("llama-3.1-8b", "llama-2-13b", "qwen2.5-32b", "llama-2-70b")  # dense; the last is the paper's
BATCHES = (1, 4, 16, 64, 256, 1024)
HAS = ("memory bandwidth", "compute")
CLAIM = "bandwidth-correlation"
RATE = "output_tokens_per_s"


@dataclass(frozen=True)
class Correlated:
    """One model on the whole catalogue: Pearson's r of the rate with what a deployment has, by batch."""

    name: str
    machines: int
    by: dict[int, dict[str, float]]

    @property
    def holds(self) -> bool:
        """Whether bandwidth says more than compute at batch 1, and compute gains on it from there on."""
        first, last = self.by[BATCHES[0]], self.by[BATCHES[-1]]
        ahead = first[HAS[0]] > first[HAS[1]]
        return ahead and last[HAS[1]] - last[HAS[0]] > first[HAS[1]] - first[HAS[0]]

    @property
    def turn(self) -> int | None:
        """The least batch at which compute says more."""
        return next((batch for batch, r in self.by.items() if r[HAS[1]] > r[HAS[0]]), None)


def correlated() -> list[Correlated]:
    """Every model, each accelerator on its least whole nodes in its best layout."""
    return [_correlated(name) for name in MODELS]


def _correlated(name: str) -> Correlated:
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=1)
    model = load_model(name)
    designs = fleet(model, accelerators(), load, {"concurrency": [float(batch) for batch in BATCHES]})
    by = {}
    machines = 0
    for batch in BATCHES:
        rate, has = _columns(designs, batch)
        machines = len(rate)
        by[batch] = {what: correlation(column, rate) or 0.0 for what, column in zip(HAS, has, strict=True)}
    return Correlated(model.name, machines, by)


def _columns(designs: Designs, batch: int) -> tuple[Floats, tuple[Floats, Floats]]:
    """Of every accelerator at a batch: the best rate, and the bandwidth and peak of that deployment."""
    names, owner = designs.accelerator_index()
    rate = designs.metrics[RATE].value
    at = designs.predictions.fits & (designs.points.concurrency == batch)
    best = [
        int(mine[np.argmax(rate[mine])]) for k in range(len(names)) if (mine := np.flatnonzero(at & (owner == k))).size
    ]
    count = designs.points.accelerators[best].astype(np.float64)
    parts = [designs.platform(i) for i in best]
    bandwidth = np.array([part.device.memory.bytes_per_s or np.nan for part in parts])
    compute = np.array([part.peak_flop_per_s for part in parts])
    return rate[best].astype(np.float64), (count * bandwidth, count * compute)


def guideline() -> Guideline:
    """The rule, tested for several models over the whole catalogue."""
    found = correlated()
    printed = claimed(CLAIM)
    held = sum(one.holds for one in found)
    first = [one.by[BATCHES[0]][HAS[0]] for one in found]
    rival = [one.by[BATCHES[0]][HAS[1]] for one in found]
    turns = [one.turn for one in found]
    verdict: Verdict = "agrees" if held == len(found) else "agrees_under_condition" if held else "disagrees"
    known = [turn for turn in turns if turn is not None]
    where = (
        f"below a batch of {span(known)} in the whole deployment, by model; from there on compute says more"
        if known
        else f"at every batch tried, up to {BATCHES[-1]:,}"
    )
    return Guideline(
        id="bandwidth-at-batch-1",
        place="Sec. IV-E, insight 1",
        quote="For batch size 1, performance correlates strongly with internal memory bandwidth (r = 0.88)",
        verdict=verdict,
        where=where,
        held=held,
        tried=len(found),
        finding=(
            f"Over {plural(min(one.machines for one in found), 'accelerator')} or more and "
            f"{plural(len(found), 'model')}, the predicted rate of one stream correlates with memory bandwidth by "
            f"{span(first)} (printed: {printed.text}) and with peak compute by {span(rival)}; bandwidth is ahead at "
            f"batch {BATCHES[0]} and compute gains on it in {held} of {len(found)}."
        ),
        pairs=tuple(
            Pair(
                {"model": one.name, "batch": str(batch), "with": what}, "correlation", "1",
                printed if batch == BATCHES[0] and what == HAS[0] else None, exact(r[what]), "extrapolated",
                f"{one.machines} accelerators, each on its least whole nodes",
            )
            for one in found
            for batch, r in one.by.items()
            for what in HAS
        ),
        plot=Plot("lines", x="batch", colour="with", facet="model"),
        notes=(
            "predicted rates contain the bandwidth: what is tested is how far compute, numbers of accelerators and "
            "overheads blur it, not whether it matters",
            "Pearson's r of values as they are; the paper does not say over which machines or whether in logarithms",
            "bandwidth and compute of the whole deployment; parts of the catalogue without calibration are "
            "extrapolated",
        ),
    )  # fmt: skip
