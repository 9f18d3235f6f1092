"""When a guideline holds: trials, and a verdict with the condition under which it holds. Pure functions.

A trial compares two predictions, or a predicted number with a stated one. It *holds* where the difference goes the way
the guideline says by at least 2 % (`CLEAR`), is *against* it where it goes the other way by as much, and is *even*
between. Point values are compared, since the errors of both sides are shared in part (one model, one engine, often one
accelerator). Where the two sides are different accelerators, or tensor against expert parallelism, of which few
measurements exist, and their 80 % intervals meet, the trial is marked ``within``.

Verdicts:

- ``agrees``: 95 % of the trials hold (`NEARLY_ALL`), and the others are even.
- ``agrees_under_condition``: 95 % hold, and the exceptions are named; or 95 % hold of those that a condition on
  one column takes in (a name, several names, at most or at least a number), a quarter of all or more; failing that, of
  those that conditions on two columns take in, half of all or more.
- ``disagrees``: there is no such condition and less than half hold, and most of the others are not ``within``.
- ``undecided``: anything else, or nothing could be tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

import numpy as np

from inferatlas.studies.exhibits import Verdict

CLEAR = 1.02
NEARLY_ALL = 0.95
LEAST_COVER = 0.25  # of the trials, by a condition on one column
LEAST_OF_TWO = 0.5  # by one on two columns, of which there are so many that some fit by chance
FEWEST = 3  # trials that a condition takes in
NAMED = 3  # exceptions that are listed by name

Outcome = Literal["held", "even", "against"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One case of a guideline. ``what`` names it, column by column; ``value``: what was compared (a ratio, a slope)."""

    what: Mapping[str, str]
    value: float
    outcome: Outcome
    within: bool = False

    @property
    def held(self) -> bool:
        return self.outcome == "held"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of the trials of one guideline; ``where`` completes "it holds ..."."""

    verdict: Verdict
    where: str
    held: int
    tried: int
    even: int
    within: int
    exceptions: tuple[Trial, ...] = field(default=())

    @property
    def counts(self) -> str:
        """The trials in one sentence."""
        words = f"It holds in {self.held} of {self.tried} cases"
        if self.even:
            words += f"; in {self.even} the two sides are within {CLEAR - 1:.0%} of each other"
        if self.within:
            words += f"; in {self.within} the intervals of the two sides meet"
        return words + "."


def compared(what: Mapping[str, str], ratio: float, *, within: bool = False) -> Trial | None:
    """A trial of a ratio that the guideline says is above 1; None where a side is missing.

    Examples
    --------
    >>> [compared({}, ratio).outcome for ratio in (1.3, 1.01, 0.9)]
    ['held', 'even', 'against']
    """
    if not isfinite(ratio):
        return None
    return Trial(what, ratio, "held" if ratio >= CLEAR else "against" if ratio <= 1 / CLEAR else "even", within)


def bounded(what: Mapping[str, str], value: float, low: float, high: float) -> Trial | None:
    """A trial of a number that the guideline says lies between two; None where it is missing."""
    return Trial(what, value, "held" if low <= value <= high else "against") if isfinite(value) else None


def tried(trials: Iterable[Trial | None]) -> list[Trial]:
    """The trials that could be made."""
    return [trial for trial in trials if trial is not None]


def judged(trials: Sequence[Trial]) -> Judgement:
    """The verdict of the trials, by the rules above.

    Examples
    --------
    >>> small = [compared({"batch": str(b)}, 2.0) for b in (1, 2, 4, 8)]
    >>> large = [compared({"batch": str(b)}, 0.5) for b in (16, 32, 64)]
    >>> found = judged(small + large)
    >>> found.verdict, found.where
    ('agrees_under_condition', 'for batch up to 8 (4 of 4; elsewhere 0 of 3)')
    """
    held = sum(trial.held for trial in trials)
    missed = tuple(trial for trial in trials if not trial.held)
    verdict, where = _verdict(trials, held, missed)
    even = sum(trial.outcome == "even" for trial in trials)
    return Judgement(verdict, where, held, len(trials), even, sum(trial.within for trial in trials), missed)


def _verdict(trials: Sequence[Trial], held: int, missed: Sequence[Trial]) -> tuple[Verdict, str]:
    if not trials:
        return "undecided", "nowhere: nothing could be tried"
    share = held / len(trials)
    against = [trial for trial in missed if trial.outcome == "against"]
    if share >= NEARLY_ALL and not against:
        return "agrees", f"in every case{', or makes no difference' if missed else ''}"
    if share >= NEARLY_ALL:
        return "agrees_under_condition", f"except for {_named(against)}"
    found = best_condition(trials)
    if found:
        return "agrees_under_condition", found
    if share >= 0.5 or not against:
        return "undecided", f"in {share:.0%} of the cases, and no condition tells which"
    if sum(trial.within for trial in missed) > len(missed) / 2:
        where = f"in {share:.0%} of the cases" if held else "nowhere by our values"
        return "undecided", f"{where}, but most of the differences lie within the intervals"
    return "disagrees", "nowhere" if not held else f"only for {_named([trial for trial in trials if trial.held])}"


@dataclass(frozen=True)
class Condition:
    """A condition on one column, in words, and which trials it takes in."""

    column: str
    words: str
    inside: np.ndarray


def best_condition(trials: Sequence[Trial]) -> str | None:
    """The condition that takes in most trials of which 95 % hold, in words; None without one.

    A condition on one column is preferred; two columns are looked at where none of one column does.
    """
    held = np.array([trial.held for trial in trials])
    single, parts = [], []
    for column in dict.fromkeys(name for trial in trials for name in trial.what):
        values = np.array([trial.what.get(column, "") for trial in trials])
        single += _conditions(column, values, held)
        parts += [Condition(column, f"{_title(column)} {name}", values == name) for name in _names(values)]
    fit = [one for one in single if _suffices(int(one.inside.sum()), int((one.inside & held).sum()), len(held))]
    return _widest(fit, held) or _widest(list(_both([*single, *parts], held)), held)


def _widest(fit: Sequence[Condition], held: np.ndarray) -> str | None:
    best = max(fit, key=lambda one: one.inside.sum(), default=None)
    if best is None:
        return None
    inside, kept = int(best.inside.sum()), int((best.inside & held).sum())
    return f"for {best.words} ({kept} of {inside}; elsewhere {int(held.sum()) - kept} of {len(held) - inside})"


def _suffices(inside: int, kept: int, total: int, cover: float = LEAST_COVER) -> bool:
    return FEWEST <= inside < total and inside >= cover * total and kept >= NEARLY_ALL * inside


def _both(conditions: Sequence[Condition], held: np.ndarray) -> Iterator[Condition]:
    """Pairs of conditions on different columns that suffice."""
    masks = np.array([one.inside for one in conditions], dtype=np.int64).reshape(len(conditions), -1)
    inside, kept = masks @ masks.T, (masks * held) @ masks.T
    for i, first in enumerate(conditions):
        for k in range(i + 1, len(conditions)):
            other = conditions[k]
            enough = _suffices(int(inside[i, k]), int(kept[i, k]), len(held), LEAST_OF_TWO)
            if enough and first.column != other.column:
                yield Condition("", f"{first.words} and {other.words}", first.inside & other.inside)


def _conditions(column: str, values: np.ndarray, held: np.ndarray) -> Iterator[Condition]:
    """Conditions on one column: up to or from one of its numbers, or those of its names where trials hold."""
    title, known = _title(column), list(dict.fromkeys(values.tolist()))
    if all(is_number(value) for value in known):
        numbers = values.astype(float)
        for bound in sorted(known, key=float):
            yield Condition(column, f"{title} up to {bound}", numbers <= float(bound))
            yield Condition(column, f"{title} from {bound}", numbers >= float(bound))
        return
    good = [name for name in known if held[values == name].mean() >= NEARLY_ALL]
    if good:
        yield Condition(column, f"{title} {', '.join(good)}", np.isin(values, good))


def _names(values: np.ndarray) -> list[str]:
    """The values of a column of names; none of one of numbers."""
    known = list(dict.fromkeys(values.tolist()))
    return [] if all(is_number(value) for value in known) else [name for name in known if name]


def _title(column: str) -> str:
    return column.replace("_", " ")


def is_number(text: str) -> bool:
    """Whether a column's value is a number.

    >>> [is_number(text) for text in ("8", "0.75", "H100", "")]
    [True, True, False, False]
    """
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _named(trials: Sequence[Trial]) -> str:
    """The trials by their names, the first few; a bare number with the name of its column."""
    words = "; ".join(
        ", ".join(f"{name} {value}" if is_number(value) else value for name, value in trial.what.items())
        for trial in trials[:NAMED]
    )
    return words + (f" and {len(trials) - NAMED} more" if len(trials) > NAMED else "")
