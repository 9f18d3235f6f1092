"""One huge model over many accelerators: how much faster it gets, by the reach of fast links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.catalogue.accelerators import accelerators_named
from inferatlas.catalogue.models import load_model
from inferatlas.decide.sweeps.swept import Sweep, Swept, swept
from inferatlas.predict.answer import Interval
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.performance.points import BOUNDS, make_points
from inferatlas.predict.performance.priors import Z80, spread
from inferatlas.studies.common_errors import Deployed, ratios
from inferatlas.studies.exhibits import Label, OpenQuestion, Pair, Plot
from inferatlas.studies.reproducing.questions.confidence import Ground, confidence
from inferatlas.studies.reproducing.questions.words import listed, number
from inferatlas.studies.runs import exactly, joint
from inferatlas.workload import make_workload

MODEL, ISL, OSL = "llama-3.1-405b", 1024, 256
COUNTS = (8, 16, 32, 64, 128)
FIRST, LAST = 16, 64  # accelerators between which the gain is taken
HARDLY = 1.1  # gain of four times the accelerators, below which it is hardly one


@dataclass(frozen=True)
class Grown:
    """A part with more and more accelerators for a single request: gap between tokens and what binds, by count.

    ``domain``: accelerators that its fast links join. ``gain``: how many times as fast at `LAST` as at `FIRST`
    accelerators, None where it does not hold the model at one of them.
    """

    accelerator: str
    domain: int
    itl: dict[int, Interval]
    bound: dict[int, str]
    label: Label
    gain: Interval | None


def grown(model: str = MODEL, counts: Sequence[int] = COUNTS) -> list[Grown]:
    """Every accelerator that runs kernels or dataflow over links and holds the model at one of the counts."""
    known = tuple(accelerators_named(()))
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=1)
    config = load_model(model)
    found = swept(Sweep(config, known, load, "count"), counts)
    names = [one.id for one in known]
    curve = found.curve("itl_s", names, counts)
    parts = {p.device.id: p for p in found.platforms}
    out = []
    for i, name in enumerate(names):
        served = np.flatnonzero(curve.row[i] >= 0).tolist()
        if not served or parts[name].device.memory.name == "sram":
            continue
        itl = {counts[k]: Interval(*(float(x[i, k]) for x in (curve.low, curve.value, curve.high))) for k in served}
        bound = {counts[k]: BOUNDS[int(found.bound[curve.row[i, k]])] for k in served}
        ends = [int(curve.row[i, counts.index(count)]) for count in (LAST, FIRST)]
        gain = _gain(operators(config), found, ends) if min(ends) >= 0 else None
        out.append(Grown(name, parts[name].device.domain, itl, bound, joint((parts[name].label,)), gain))
    return out


def _gain(ops: Operators, found: Swept, ends: Sequence[int]) -> Interval | None:
    """Gap between tokens at the first count over that at the last; errors of the part are common to both."""
    last, first = (found.layout_at(row) for row in ends)
    if (last.tp, last.pp) == (first.tp, first.pp):  # more replicas of one kind: none of them is faster
        return exactly(1.0)
    more, fewer = (_deployed(ops, found, row) for row in ends)
    return ratios(fewer, more, "itl_s", beyond=Z80 * spread("network"))[0]


def _deployed(ops: Operators, found: Swept, row: int) -> Deployed:
    layout = found.layout_at(row)
    points = make_points(
        0, tp=layout.tp, pp=layout.pp, ep=layout.ep, dp=layout.dp, concurrency=1, input_tokens=ISL, output_tokens=OSL
    )
    return Deployed(ops, found.platforms[int(found.platform[row])], points)


def scalability() -> OpenQuestion:
    """Park et al., section 4, scalability: what links are worth."""
    found = [one for one in grown() if one.gain is not None]
    wide = [one for one in found if one.domain >= LAST]
    narrow = [one for one in found if one.domain < FIRST]
    sure, why = confidence(_grounds(wide, narrow))
    return OpenQuestion(
        id="scalability",
        place="4, Scalability",
        question="How much do links between accelerators decide how a massive model scales?",
        answer=(
            f"They decide it: from {FIRST} to {LAST} accelerators a single request of {MODEL} gets {_range(wide)} on "
            f"the {len(wide)} parts whose fast links join {LAST} or more, and {_range(narrow)} on the {len(narrow)} "
            f"whose links end below {FIRST}: beyond their reach more accelerators serve more requests, none of them "
            "sooner."
        ),
        confidence=sure,
        why=why,
        conditions=(
            f"the best layout at each number of accelerators for one request in flight, {ISL:,} input and {OSL} output "
            "tokens; parts that hold the model in memory beside the chip",
            f"within the reach of fast links the gain ends where exchanges bind: at {LAST} accelerators {_bound(wide)}",
            "where no scale-out bandwidth is published, one is assumed for hops between nodes",
        ),
        pairs=tuple(pair for one in found for pair in _pairs(one)),
        plot=Plot("lines", x="accelerators", colour="accelerator", log=True),
    )


def _grounds(wide: Sequence[Grown], narrow: Sequence[Grown]) -> list[Ground]:
    words = f"from {FIRST} to {LAST} accelerators"
    gaining = [Ground(f"{one.accelerator} gets faster {words}", one.gain, 1.0, one.label) for one in wide if one.gain]
    still = [
        Ground(f"{one.accelerator} hardly gains {words}", one.gain, HARDLY, one.label) for one in narrow if one.gain
    ]
    return [*gaining, *still]


def _range(found: Sequence[Grown]) -> str:
    values = [one.gain.value for one in found if one.gain is not None]
    if max(values, default=1.0) <= HARDLY:
        return "no faster"
    return f"{number(min(values))} to {number(max(values))} times as fast"


def _bound(found: Sequence[Grown]) -> str:
    kinds = [one.bound[LAST].replace("_", " ") for one in found if LAST in one.bound]
    return listed([f"{kinds.count(kind)} are bound by {kind}" for kind in sorted(set(kinds))])


def _pairs(one: Grown) -> list[Pair]:
    return [
        Pair(
            {"accelerator": one.accelerator, "accelerators": str(count)}, "itl_s", "s", None, itl, one.label,
            f"fast links join {one.domain}; bound by {one.bound[count].replace('_', ' ')}",
        )
        for count, itl in one.itl.items()
    ]  # fmt: skip
