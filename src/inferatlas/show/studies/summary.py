"""What a study comes to: counts of verdicts, and how closely our numbers meet those that the paper prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from inferatlas.quantities import percent
from inferatlas.show.numbers import counted, listed
from inferatlas.show.studies.words import GUIDELINES, VERDICTS, error_words
from inferatlas.studies.claims.auditing import Finding
from inferatlas.studies.exhibits import Guideline, Pair
from inferatlas.studies.reproducing.study import Study

MOST = 30  # rows of a long exhibit that tell most
MODELLED = "predicted or extrapolated"
FACTUAL = "catalogue facts and what follows from them"
MEASURED = "measured by us"
OURS = {MODELLED: "that we predict", FACTUAL: "that follow from catalogue facts", MEASURED: "that we measured"}
GROUPS = {
    "predicted": MODELLED, "extrapolated": MODELLED, "catalogue": FACTUAL, "derived": FACTUAL, "measured": MEASURED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """How pairs agree. ``error`` is the median of abs(ours / printed - 1), None where no two numbers stand together.

    ``compared`` pairs have both numbers; ``printed`` have only theirs, ``ours`` only ours.
    """

    compared: int
    inside: int
    error: float | None
    printed: int
    ours: int


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Count pairs.

    >>> from inferatlas.predict.answer import Interval
    >>> from inferatlas.studies.claims.printed import read_printed
    >>> one = Pair({}, "power_w", "W", read_printed("100"), Interval(80, 110, 120), "predicted")
    >>> agreement([one, Pair({}, "power_w", "W", None, Interval(1, 2, 3), "predicted")])
    Agreement(compared=1, inside=1, error=0.1..., printed=0, ours=1)
    """
    compared = [pair for pair in pairs if pair.inside is not None]
    errors = [abs(pair.ratio - 1) for pair in compared if pair.ratio is not None]
    return Agreement(
        compared=len(compared),
        inside=sum(bool(pair.inside) for pair in compared),
        error=median(errors) if errors else None,
        printed=sum(stated(pair) and pair.ours is None for pair in pairs),
        ours=sum(not stated(pair) and pair.ours is not None for pair in pairs),
    )


def stated(pair: Pair) -> bool:
    """Whether the paper prints something for the point."""
    return pair.published is not None and pair.published.stated


def telling(pairs: Sequence[Pair], most: int = MOST) -> list[Pair]:
    """The pairs to be shown: all of a short exhibit, else first those that the paper prints, in their order.

    >>> one = Pair({}, "power_w", "W", None, None, "predicted")
    >>> len(telling([one] * 5, 3)), len(telling([one] * 5))
    (3, 5)
    """
    if len(pairs) <= most:
        return list(pairs)
    return sorted(pairs, key=lambda pair: not stated(pair))[:most]


def by_group(pairs: Sequence[Pair]) -> dict[str, Agreement]:
    """Agreement by what our numbers rest on; groups without a pair are left out."""
    held: dict[str, list[Pair]] = {}
    for pair in pairs:
        held.setdefault(GROUPS[pair.label], []).append(pair)
    return {name: agreement(held[name]) for name in dict.fromkeys(GROUPS.values()) if name in held}


def verdict_counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Claims by verdict, all verdicts in their order."""
    counts = Counter(one.verdict for one in findings)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def every_pair(study: Study) -> list[Pair]:
    """The pairs of all exhibits; guidelines and questions show these again, and others that no paper prints."""
    return [pair for one in study.exhibits for pair in one.pairs]


def claims_sentence(findings: Sequence[Finding]) -> str:
    """The verdicts in a sentence; those that nothing has are left out."""
    n = verdict_counts(findings)
    parts = [
        (n["consistent"], "agrees", "agree", "with what can be recomputed"),
        (n["consistent_under_condition"], "agrees", "agree", "only under a condition that the paper does not state"),
        (
            n["inconsistent"],
            "contradicts",
            "contradict",
            "other numbers of the papers, or the makers' documents",
        ),
        (n["beyond_physics"], "exceeds", "exceed", "what the hardware can do"),
        (n["not_checkable"], "cannot", "cannot", "be checked with what is published"),
    ]
    if not findings:
        return "No claim was audited."
    told = listed([f"{count:,} {one if count == 1 else many} {words}" for count, one, many, words in parts if count])
    return f"Of {counted(len(findings), 'claim')}, {told}."


def pairs_sentence(pairs: Sequence[Pair]) -> str:
    """How many printed numbers lie in our intervals, by what ours rest on."""
    told = []
    for name, found in by_group(pairs).items():
        if found.compared:
            error = "" if found.error is None else f"; the median difference is {error_words(found.error)}"
            meet = "agree within their rounding" if name == FACTUAL else "lie in our 80 % intervals"
            told.append(
                f"Of {counted(found.compared, 'printed number')} {OURS[name]}, {found.inside:,} "
                f"({percent(found.inside / found.compared)}) {meet}{error}."
            )
    return " ".join(told)


def guidelines_sentence(guidelines: Sequence[Guideline]) -> str:
    """The guidelines' verdicts in a sentence; empty without any."""
    if not guidelines:
        return ""
    counts = Counter(one.verdict for one in guidelines)
    words = {
        "agrees": ("holds", "hold"), "agrees_under_condition": ("holds under a condition", "hold under a condition"),
        "disagrees": ("does not hold", "do not hold"), "undecided": ("stays undecided", "stay undecided"),
    }  # fmt: skip
    told = [f"{counts[verdict]} {words[verdict][counts[verdict] > 1]}" for verdict in GUIDELINES if counts[verdict]]
    return f"Of {counted(len(guidelines), 'guideline')}, {listed(told)}."


def answer(study: Study) -> str:
    """The study in a few sentences."""
    parts = [claims_sentence(study.findings), pairs_sentence(every_pair(study)), guidelines_sentence(study.guidelines)]
    return " ".join(part for part in parts if part)
