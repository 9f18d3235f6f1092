"""Machines without HBM: what each kind of memory holds, how fast a reader is served, and at which energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.catalogue.accelerators import accelerators_named
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import fleet
from inferatlas.decide.whatif.whatif import whatif
from inferatlas.predict.answer import Interval
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number, times
from inferatlas.studies.runs import joint, over
from inferatlas.workload import make_workload

MODELS = ("llama-3.1-8b", "llama-3.3-70b", "llama-3.1-405b")
ISL, OSL = 1024, 256
LEVELS = tuple(2.0**k for k in range(13))
KINDS = ("HBM", "graphics memory", "LPDDR or DDR", "SRAM")
ROOM = 8.0  # sizes of machines with on-chip memory, up to so many times the least that serves
LESS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)  # of the bandwidth of an H100, at which it is asked what would be left
HBM_PART = "nvidia-h100-sxm"


@dataclass(frozen=True)
class Best:
    """The best accelerator with one kind of memory for one model, by two measures.

    ``itl_s`` of a single request on ``fastest``; ``joules`` per output token on ``thriftiest``; ``least``: fewest
    accelerators of any part of the kind that serve it.
    """

    model: str
    kind: str
    least: int
    fastest: str
    itl: Interval
    thriftiest: str
    joules: Interval
    label: Label


def kind_of(memory: str) -> str:
    """The kind of a main memory by its name in the catalogue.

    >>> [kind_of(name) for name in ("hbm", "gddr6x", "lpddr5", "ddr", "sram")]
    ['HBM', 'graphics memory', 'LPDDR or DDR', 'LPDDR or DDR', 'SRAM']
    """
    if memory == "hbm":
        return KINDS[0]
    if memory.startswith("gddr"):
        return KINDS[1]
    return KINDS[3] if memory == "sram" else KINDS[2]


def best_of(model: str) -> list[Best]:
    """Every kind of memory that serves the model."""
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=1)
    designs = fleet(load_model(model), accelerators_named(()), load, {"concurrency": LEVELS}, room=ROOM)
    kinds = np.array([kind_of(p.device.memory.name) for p in designs.table.platforms])[designs.points.platform]
    alone = designs.points.concurrency == LEVELS[0]
    return [
        found
        for kind in KINDS
        if (found := _best(designs, model, kind, np.flatnonzero((kinds == kind) & designs.predictions.fits), alone))
    ]


def _best(designs: Designs, model: str, kind: str, rows: np.ndarray, alone: np.ndarray) -> Best | None:
    itl, per_joule = (designs.metrics[name] for name in ("itl_s", "tokens_per_joule"))
    single, known = rows[alone[rows]], rows[np.isfinite(per_joule.value[rows])]
    if not single.size or not known.size:
        return None
    fast, thrifty = int(single[itl.value[single].argmin()]), int(known[per_joule.value[known].argmax()])
    gap, tokens = itl.at(fast), per_joule.at(thrifty)
    if gap is None or tokens is None:
        return None
    parts = [designs.platform(i) for i in (fast, thrifty)]
    return Best(
        model, kind, int(designs.points.accelerators[rows].min()), parts[0].device.id, gap, parts[1].device.id,
        Interval(1.0 / tokens.high, 1.0 / tokens.value, 1.0 / tokens.low), joint(part.label for part in parts),
    )  # fmt: skip


def without_hbm(models: Sequence[str] = MODELS) -> OpenQuestion:
    """Park et al., section 4, memory: do SRAM and LPDDR replace HBM?"""
    found = {model: best_of(model) for model in models}
    left = {flying: _left(flying) for flying in (1, 64)}
    rows = {one.kind: one for one in found[models[-1]]}
    grounds = _grounds(rows)
    sure, why = confidence(grounds)
    return OpenQuestion(
        id="memory-without-hbm",
        place="4, Memory",
        question="Can memory other than HBM, SRAM or LPDDR, serve growing models?",
        answer=_answer(rows),
        confidence=sure,
        why=why,
        conditions=(
            f"best accelerator of each kind of main memory in the catalogue, {ISL:,} input and {OSL} output tokens; "
            "speed: gap between the tokens of a single request; energy: joules per output token at the best number of "
            "requests",
            f"what bandwidth is worth: an {HBM_PART} with a tenth of its bandwidth and all else equal keeps "
            f"{number(left[1][LESS.index(0.1)])} of its throughput for one request and "
            f"{number(left[64][LESS.index(0.1)])} for 64 ({MODELS[0]})",
            "a machine with on-chip memory takes as many chips as hold the model: their number grows with it, and so "
            "do the hops a token takes and the power that idles",
        ),
        pairs=tuple(pair for several in found.values() for one in several for pair in _pairs(one)),
        plot=Plot("tradeoff", x="itl_s", y="joules_per_output_token", colour="model", mark="memory", log=True),
    )


def _left(flying: int) -> list[float]:
    """Share of its throughput that an H100 keeps at a share of its bandwidth."""
    ends = f"memory_bandwidth={LESS[0]:g}..{LESS[-1]:g}:20"
    asked = whatif(
        HBM_PART, model=MODELS[0], isl=ISL, osl=OSL, concurrency=flying, vary=[ends], by=("itl", "throughput")
    )
    members = asked.family.members if asked.family else []
    x = [member.parameters["memory_bandwidth"] for member in members]
    y = [member.metrics["output_tokens_per_s"] or np.nan for member in members]
    return [float(np.interp(share, x, y) / y[-1]) for share in LESS]


def _grounds(rows: dict[str, Best]) -> list[Ground]:
    """For the largest model: how fast each kind is beside HBM, and what SRAM's speed costs."""
    base = rows[KINDS[0]]
    out = []
    for kind, one in rows.items():
        label = joint((one.label, base.label))
        if kind != KINDS[0]:
            out.append(Ground(f"{kind} beside HBM in speed ({one.model})", over(one.itl, base.itl), 1.0, label))
        if kind == KINDS[3]:
            out.append(Ground(f"{kind} beside HBM in energy ({one.model})", over(one.joules, base.joules), 1.0, label))
    return out


def _answer(rows: dict[str, Best]) -> str:
    base = rows[KINDS[0]]
    words = [
        f"{kind} {times(over(one.itl, base.itl))} the gap between tokens at {times(over(one.joules, base.joules))} the "
        f"energy, on {one.least} accelerators or more"
        for kind, one in rows.items()
        if kind != KINDS[0]
    ]
    missing = [kind for kind in KINDS if kind not in rows]
    if missing:
        words.append(f"{listed(missing)} no part that serves it")
    better = [
        kind for kind, one in rows.items()
        if kind != KINDS[0] and one.itl.value < base.itl.value and one.joules.value < base.joules.value
    ]  # fmt: skip
    head = f"{listed(better)} in both" if better else "None in both speed and energy"
    return f"{head}: beside the best part with HBM, {base.model} has with {'; with '.join(words)}."


def _pairs(one: Best) -> tuple[Pair, Pair]:
    what = {"model": one.model, "memory": one.kind}
    note = f"{one.least} accelerators or more"
    return (
        Pair(what, "itl_s", "s", None, one.itl, one.label, f"{one.fastest}, {note}"),
        Pair(what, "joules_per_output_token", "J", None, one.joules, one.label, f"{one.thriftiest}, {note}"),
    )
