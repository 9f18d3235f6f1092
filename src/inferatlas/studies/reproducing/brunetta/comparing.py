"""Trials from predictions, and a guideline from its trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from inferatlas.studies.exhibits import Guideline, Pair, Plot
from inferatlas.studies.reproducing.brunetta.asking import Answers, Case, label_of
from inferatlas.studies.reproducing.brunetta.judging import Trial, compared, judged
from inferatlas.studies.reproducing.brunetta.pairs import OVER, TITLES, meet, model_name, range_over
from inferatlas.studies.reproducing.brunetta.provenance import calibration_note

LESS_IS_BETTER = frozenset({"latency_s", "ttft_s", "itl_s", "power_w"})


def better(answers: Answers, first: Case, second: Case, quantity: str, what: Mapping[str, str]) -> Trial | None:
    """Whether the first case is better than the second in one quantity; None where one cannot be."""
    a, b = answers.of(first, quantity), answers.of(second, quantity)
    if a is None or b is None:
        return None
    ratio = b.value / a.value if quantity in LESS_IS_BETTER else a.value / b.value
    return compared(what, ratio, within=first.accelerator != second.accelerator and meet(a, b))


def columns(case: Case, quantity: str, **more: str) -> dict[str, str]:
    """What names a trial, in the columns that conditions are sought in."""
    return {
        "metric": TITLES[quantity], "accelerator": case.accelerator, "model": model_name(case.model),
        "precision": "FP8" if case.weights else "16 bit",
    } | more  # fmt: skip


def guideline(
    name: str, place: str, quote: str, trials: Sequence[Trial], finding: str, *, boundary: str = "",
    pairs: Sequence[Pair] = (), plot: Plot | None = None, notes: Sequence[str] = (),
) -> Guideline:  # fmt: skip
    """A guideline with the verdict of its trials.

    Parameters
    ----------
    finding : what was tried and what came of it; the counts are added.
    boundary : where our own boundary lies, added to where the guideline holds.
    """
    found = judged(trials)
    return Guideline(
        name, place, quote, found.verdict, "; ".join(filter(None, (found.where, boundary))), found.held, found.tried,
        f"{finding} {found.counts}", tuple(pairs), plot, (*notes, calibration_note()),
    )  # fmt: skip


def summaries(trials: Iterable[Trial], by: Sequence[str], quantity: str) -> list[Pair]:
    """What was compared in the trials of each group, as pairs whose interval holds 80 % of the group.

    The trials' metric, where it is among ``by``, becomes part of the quantity: charts draw one at a time.
    """
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        groups.setdefault(tuple(trial.what.get(name, "") for name in by), []).append(trial)
    return [_summary(dict(zip(by, key, strict=True)), quantity, mine) for key, mine in groups.items()]


def _summary(what: dict[str, str], quantity: str, trials: Sequence[Trial]) -> Pair:
    metric = what.pop("metric", "")
    words = " ".join(word for trial in trials for word in trial.what.values())
    return Pair(
        what, f"{metric}: {quantity}" if metric else quantity, "1", None, range_over(trial.value for trial in trials),
        label_of(words), f"{OVER}; {len(trials)} cases",
    )  # fmt: skip
