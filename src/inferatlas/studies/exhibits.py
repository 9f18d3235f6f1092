"""What a study consists of once it is reproduced: numbers in pairs, exhibits, guidelines, open questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferatlas.predict.answer import Interval
from inferatlas.studies.claims.printed import Printed

Label = Literal["catalogue", "derived", "measured", "predicted", "extrapolated"]
Verdict = Literal["agrees", "agrees_under_condition", "disagrees", "undecided"]
Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One number of the paper beside ours.

    Parameters
    ----------
    what : names the point, column by column, in the order in which they are shown:
        ``{"accelerator": "NVIDIA A100", "model": "Llama 3.1 8B", "batch": "64"}``.
    quantity, unit : what is counted (``output_tokens_per_s``), and its SI unit.
    published : as the paper prints it; None where it prints nothing for this point.
    ours : low, value, high at 80 %; a fact has all three equal; None where we have none, and ``note`` says why.
    label : what ours is.
    """

    what: Mapping[str, str]
    quantity: str
    unit: str
    published: Printed | None
    ours: Interval | None
    label: Label
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over theirs; None where one of them is missing, a text or zero."""
        if self.published is None or not self.published.value or self.ours is None:
            return None
        return self.ours.value / self.published.value

    @property
    def inside(self) -> bool | None:
        """Whether what the paper prints (with its rounding) meets our interval; None where one is missing."""
        theirs = self.published
        if theirs is None or theirs.value is None or theirs.low is None or theirs.high is None or self.ours is None:
            return None
        if theirs.relation == "at_least":
            return self.ours.high >= theirs.value
        if theirs.relation == "at_most":
            return self.ours.low <= theirs.value
        return theirs.low <= self.ours.high and self.ours.low <= theirs.high


@dataclass(frozen=True, slots=True)
class Plot:
    """How an exhibit is drawn, in names of its pairs.

    ``bars``: ``x`` names, ``colour`` series. ``lines``: ``x`` a number. ``heatmap``: ``x`` and ``y`` names, the value
    as colour. ``tradeoff``: ``x`` and ``y`` are quantities of the same points, joined along ``colour``, each point
    marked with its ``mark``. ``facet`` gives every value of a column a panel of its own.
    """

    kind: Literal["bars", "lines", "heatmap", "tradeoff"]
    x: str
    y: str = ""
    colour: str = ""
    facet: str = ""
    mark: str = ""
    log: bool = False


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One table or figure of a paper: theirs beside ours. ``finding`` is computed from the pairs, one sentence."""

    id: str
    place: str
    title: str
    finding: str
    pairs: tuple[Pair, ...]
    plot: Plot | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guideline:
    """A rule that a paper states, tested. ``where`` says under which condition it holds, or where the boundary lies.

    ``held`` of ``tried`` cases agree; ``finding`` says what was tried and what came of it.
    """

    id: str
    place: str
    quote: str
    verdict: Verdict
    where: str
    held: int
    tried: int
    finding: str
    pairs: tuple[Pair, ...] = ()
    plot: Plot | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that a paper leaves open, answered by the laboratory, with how sure that is and why."""

    id: str
    place: str
    question: str
    answer: str
    confidence: Confidence
    why: str
    conditions: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()
    plot: Plot | None = None
