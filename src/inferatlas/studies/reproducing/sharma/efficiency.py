"""Guideline: energy efficiency varies, and the order of interactive work inverts for batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Guideline, Pair, Plot, Verdict
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import plural, times
from inferatlas.studies.reproducing.sharma.interactive import ONE, SERVER, Interactive
from inferatlas.studies.reproducing.sharma.published import claimed, stated

BEST, WORST = "groq-lpu-v1", "cerebras-wse-3"  # of the quotation
CLAIM = "energy-efficiency-ratio"
QUANTITY = "tokens_per_joule"


def guideline(rows: Sequence[Interactive]) -> Guideline:
    """The rule in three cases: who is best alone, who is worst alone, and whether the two change places in batches."""
    by = {load: _efficiencies(rows, load) for load in (ONE, SERVER)}
    names = {it.accelerator: it.row.title for it in rows}
    alone, batch = by[ONE], by[SERVER]
    top, last = (pick(alone, key=lambda name: alone[name].value) for pick in (max, min))
    ratio = {load: found[BEST].value / found[WORST].value for load, found in by.items()}
    others = [one for name, one in alone.items() if name not in (BEST, WORST)]
    cases = {  # whether it is so, and whether our intervals leave it open
        f"{names[BEST]} is the most efficient with one stream": (
            top == BEST, all(alone[BEST].high >= one.low for one in (*others, alone[WORST]))
        ),
        f"{names[WORST]} is the least efficient with one stream": (
            last == WORST, all(alone[WORST].low <= one.high for one in (*others, alone[BEST]))
        ),
        f"{names[BEST]} is ahead of {names[WORST]} with one stream and behind it in batches": (
            ratio[ONE] > 1 > ratio[SERVER],
            alone[BEST].high >= alone[WORST].low and batch[BEST].low <= batch[WORST].high,
        ),
    }  # fmt: skip
    held, possible = (sum(case[k] for case in cases.values()) for k in (0, 1))
    verdict: Verdict = "agrees" if held == len(cases) else "undecided" if possible == len(cases) else "disagrees"
    printed = claimed(CLAIM)
    one_chip = _per_chip(rows)
    return Guideline(
        id="efficiency-inverts",
        place="Sec. IV-E, insight 4",
        quote="this relationship inverts for high-throughput batch workloads",
        verdict=verdict,
        where=(
            f"divided by the power of one accelerator, as the table does, {names[BEST]} would be "
            f"{times(one_chip[ONE])} as efficient as {names[WORST]} with one stream and {times(one_chip[SERVER])} "
            f"with a loaded server; over all that serve the model {names[top]} is the most efficient with one stream "
            f"and {names[last]} the least"
        ),
        held=held,
        tried=len(cases),
        finding=(
            f"{names[BEST]} is {times(ratio[ONE])} as efficient as {names[WORST]} with one stream (printed: "
            f"{printed.text}) and {times(ratio[SERVER])} with a loaded server, both over the power of all "
            f"accelerators; {'; '.join(f'{words}: {_answer(*case)}' for words, case in cases.items())}."
        ),
        pairs=(*_pairs(rows), *_ratios(ratio, printed, names)),
        plot=Plot("bars", x="accelerator", colour="load", log=True),
    )


def _answer(so: bool, possible: bool) -> str:
    return "yes" if so else "no, though our intervals leave it open" if possible else "no"


def _efficiencies(rows: Sequence[Interactive], load: str) -> dict[str, Interval]:
    found = {it.accelerator: it.by_load[load].of(QUANTITY) for it in rows if load in it.by_load}
    return {name: one for name, one in found.items() if one is not None}


def _per_chip(rows: Sequence[Interactive]) -> dict[str, float]:
    """The ratio of the two by load, were only one accelerator's power counted."""
    of = {it.accelerator: it.by_load for it in rows}
    return {
        load: of[BEST][load].value(QUANTITY) * of[BEST][load].count
        / (of[WORST][load].value(QUANTITY) * of[WORST][load].count)
        for load in (ONE, SERVER)
    }  # fmt: skip


def _pairs(rows: Sequence[Interactive]) -> list[Pair]:
    return [
        Pair(
            {"accelerator": it.row.title, "load": load}, QUANTITY, "1/J",
            stated(it.row, "energy-efficiency") if load == ONE else None, one.of(QUANTITY), one.label,
            f"{plural(one.count, 'accelerator')}, {one.weights}",
        )
        for it in rows
        for load, one in it.by_load.items()
        if load in (ONE, SERVER)
    ]  # fmt: skip


def _ratios(ratio: Mapping[str, float], printed: Printed, names: Mapping[str, str]) -> list[Pair]:
    over = f"{names[BEST]} over {names[WORST]}"
    return [
        Pair(
            {"accelerator": over, "load": load},
            "ratio",
            "1",
            printed if load == ONE else None,
            exact(x),
            "extrapolated",
        )
        for load, x in ratio.items()
    ]
