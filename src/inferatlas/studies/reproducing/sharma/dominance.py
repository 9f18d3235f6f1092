"""Guideline: no single architecture dominates all workloads."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.studies.exhibits import Guideline, Verdict
from inferatlas.studies.reproducing.phrases import listed, plural
from inferatlas.studies.reproducing.sharma.regimes import Graded, leaders, spreads


def guideline(found: Sequence[Graded]) -> Guideline:
    """The rule, by who is best in how many regimes, and whether the leader could be best in all."""
    first: dict[str, list[str]] = {}
    for one in found:
        if one.best is not None:
            first.setdefault(one.best.name, []).append(one.title)
    leader = max(first, key=lambda name: len(first[name]))
    others = [title for name, titles in first.items() if name != leader for title in titles]
    possible = [one.title for one in found if one.title in others and _within_reach(one, leader)]
    verdict: Verdict = "disagrees" if not others else "agrees" if len(possible) < len(others) else "undecided"
    never = [one for one in _names(found) if one not in first]
    return Guideline(
        id="no-single-architecture",
        place="Abstract, Sec. IV-B, insight 1",
        quote="No single architecture dominates",
        verdict=verdict,
        where=f"{leader} leads in {listed(first[leader])}; others lead in {listed(others)}",
        held=len(others),
        tried=len(found),
        finding=(
            f"{leaders(found)} In {plural(len(others), 'regime')} somebody else than {leader} is ahead, in "
            f"{len(possible)} of them within the reach of its interval; {listed(never)} lead in none, so that not "
            "every architecture excels somewhere."
        ),
        pairs=tuple(spreads(found)),
        notes=("a case holds where another accelerator than the one that leads most regimes has the best value",),
    )


def _names(found: Sequence[Graded]) -> list[str]:
    return list(dict.fromkeys(cell.name for one in found for cell in one.result.cells))


def _within_reach(one: Graded, leader: str) -> bool:
    """Whether the leader's interval meets that of the best of a regime."""
    best = one.best
    mine = next((cell for cell in one.result.cells if cell.name == leader), None)
    if best is None or best.value is None or mine is None or mine.value is None:
        return False
    return mine.value.low <= best.value.high and best.value.low <= mine.value.high
