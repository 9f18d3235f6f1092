"""One check of one claim: what is computed, whether it meets what is asserted, and under which condition."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.studies.claims.known import Known, aligned, finite, said, shown_in
from inferatlas.studies.claims.ledger import Check, Claim, Formula, Reading
from inferatlas.studies.claims.looking_up import Books, look_up
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.claims.reading import CATALOGUE_TOLERANCE
from inferatlas.studies.claims.units import base_factor, formula_unit, spelt
from inferatlas.studies.claims.wording import normalise

OPEN_ENDED = 2.0  # "220+ TB/s": a data sheet that says more than X is taken to mean less than twice X


@dataclass(frozen=True, slots=True)
class Computed:
    """What a reading gives, in the unit of what is asserted; of a vector the entry that is farthest off.

    ``bound`` : whether what is asserted may be at most, or must be at least, so much; None where it should be equal.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    text: str | None = None
    bound: str | None = None
    shown: str = ""  # the unit for people, where it is another: %

    @property
    def words(self) -> str:
        """The value for people, with its interval where that shows."""
        if self.value is None:
            return self.text or "—"
        middle, *ends = (
            said(x, self.shown or self.unit) if x is not None and math.isfinite(x) else None
            for x in (self.value, self.low, self.high)
        )
        if ends == [middle, middle]:
            return str(middle)
        low, high = ends
        if low is None or high is None:
            return f"{middle} ({f'at least {low}' if low else f'at most {high}' if high else 'anything'})"
        return f"{middle} ({low} to {high})"

    def as_dict(self) -> dict[str, Any]:
        """It in JSON; an end that is not bounded is None."""
        value = self.value if self.value is not None else self.text
        return {"value": value, "unit": self.unit, "low": finite(self.low), "high": finite(self.high)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check. ``holds`` None: it cannot be computed, and ``needs`` says what is missing."""

    by: str
    holds: bool | None
    beyond: bool
    condition: str
    computed: Computed | None
    ratio: float | None
    computation: str
    inputs: tuple[dict[str, Any], ...]
    needs: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.holds is None:
            return "not_checkable"
        if self.holds:
            return "consistent_under_condition" if self.condition else "consistent"
        return "beyond_physics" if self.beyond else "inconsistent"


def check(claim: Claim, one: Check, books: Books) -> Outcome:
    """As stated; if that fails, with what other documents say; then under the conditions of the readings.

    Raises
    ------
    BadInput : an unknown reference, or units that do not match; with file and line.
    """
    first, *others = one.readings
    inputs = _inputs(claim, first, books)
    stated = _try(claim, one, first, inputs)
    if stated.holds and not _doubtful(inputs):
        return stated
    rivals = [(name, *rival) for name, source in inputs.items() for rival in source.rivals]
    for name, rival, condition in rivals if stated.holds is False else ():
        found = _try(claim, one, first, inputs | {name: rival})
        if found.holds and not _doubtful(inputs | {name: rival}):
            return _under(condition, found, stated)
    doubts = _doubtful(inputs)
    for reading in others if not stated.holds else ():
        known = _inputs(claim, reading, books)
        found = _try(claim, one, reading, known)
        if found.holds and not _doubtful(known):
            return _under(reading.under, found, stated)
        doubts += _doubtful(known) if found.holds else []
    return _forgiven(claim, one, stated, doubts)


def _under(condition: str, found: Outcome, stated: Outcome) -> Outcome:
    """What holds under a condition, with what came of it as stated."""
    before = f"as stated: {stated.computation}" if stated.holds is False else "as stated: cannot be computed"
    return replace(found, condition=condition, computation=f"{before}. If {condition}: {found.computation}")


def _doubtful(inputs: Mapping[str, Known]) -> list[str]:
    """Facts that no document confirms: they neither confirm nor refute."""
    return [source.origin for source in inputs.values() if not source.sure]


def _forgiven(claim: Claim, one: Check, stated: Outcome, doubts: Sequence[str]) -> Outcome:
    """What proves nothing stays open: facts that no document confirms, and a model against a measurement."""
    if stated.holds is None:
        return stated
    if doubts:
        needs = tuple(f"a document that confirms {origin}" for origin in dict.fromkeys(doubts))
        return replace(stated, holds=None, needs=needs)
    if not stated.holds and one.by == "model" and claim.basis == "measured":
        needs = ("a second measurement under stated conditions: a prediction does not refute one",)
        return replace(stated, holds=None, needs=needs)
    return stated


def _inputs(claim: Claim, reading: Reading, books: Books) -> dict[str, Known]:
    names = list(reading.expression.names)
    if isinstance(claim.asserted, Formula):
        names += claim.asserted.expression.names
    return aligned({name: look_up(reading.inputs[name], claim.paper, books) for name in dict.fromkeys(names)})


def _try(claim: Claim, one: Check, reading: Reading, inputs: dict[str, Known]) -> Outcome:
    missing = tuple(source.missing for source in inputs.values() if source.missing)
    listed = tuple(source.as_dict(name) for name, source in inputs.items())
    where = ", ".join(f"{name} = {source.words} ({source.origin})" for name, source in inputs.items())
    computation = f"{reading.expression.text}, where {where}" if where else reading.expression.text
    nothing = Outcome(one.by, None, False, "", None, None, computation, listed, missing)
    if missing:
        return nothing
    if isinstance(claim.asserted, Printed) and claim.asserted.value is None:
        return _words(claim.asserted, inputs, nothing)
    if any(source.text is not None for source in inputs.values()):
        word = next(source.text for source in inputs.values() if source.text is not None)
        raise one.at.bad(f"'{word}' is no number to compute with", field=claim.id)
    units = {name: formula_unit(source.unit) for name, source in inputs.items()}
    try:
        gives = reading.expression.unit(units)
        if isinstance(claim.asserted, Formula):
            wanted = claim.asserted.expression.unit(units)
        else:
            wanted = formula_unit(claim.asserted.unit)
    except BadInput as error:
        if one.by == "dimension":
            return replace(nothing, holds=False, computation=f"{nothing.computation}: {error.message}")
        raise one.at.bad(error.message, claim.id, error.allowed) from None
    same = gives.dimensionality == wanted.dimensionality
    if one.by == "dimension":
        named = claim.asserted_words if isinstance(claim.asserted, Formula) else "what is asserted"
        computed = Computed(None, None, None, spelt(gives), text=f"in {spelt(gives)}")
        text = f"{nothing.computation}: in {spelt(gives)}; {named} is in {spelt(wanted)}"
        return replace(nothing, holds=same, computed=computed, computation=text)
    if not same:
        message = f"'{reading.expression.text}' is in {spelt(gives)}, and what is asserted in {spelt(wanted)}"
        raise one.at.bad(message, claim.id, allowed=f"an expression in {spelt(wanted)}")
    return _compare(claim, one, reading, inputs, nothing)


def _words(asserted: Printed, inputs: Mapping[str, Known], nothing: Outcome) -> Outcome:
    """Words agree where all words of the paper are among those of the fact."""
    found = next((source.text for source in inputs.values() if source.text is not None), None)
    if found is None:
        return replace(nothing, needs=("a fact in words",))
    computed = Computed(None, None, None, "1", text=found)
    wanted = _spelt(asserted.word or asserted.text)
    holds = bool(wanted) and wanted <= _spelt(found)
    said_ = f"'{asserted.text}'" + (f", which is {asserted.word}" if asserted.word else "")
    return replace(nothing, holds=holds, computed=computed, computation=f"{nothing.computation}; asserted {said_}")


def _spelt(text: str) -> set[str]:
    """Words and numbers of a text: ``"TSMC 5nm"`` has tsmc and 5, and so has "TSMC N5"; "HBM3e" is not "HBM3"."""
    text = re.sub(r"\bn(\d)", r"\1", normalise(text).lower())
    return set(re.findall(r"[^\W\d_]+|\d+(?:\.\d+)?[^\W\d_]*", re.sub(r"(\d) ?nm?\b", r"\1", text)))


def _compare(claim: Claim, one: Check, reading: Reading, inputs: dict[str, Known], nothing: Outcome) -> Outcome:
    factor = base_factor(claim.asserted.unit)
    ends = [{name: getattr(source, end) for name, source in inputs.items()} for end in ("low", "value", "high")]
    value = np.atleast_1d(reading.expression.value(ends[1])) / factor
    low, high = (np.atleast_1d(end) / factor for end in reading.expression.interval(*ends))
    if not np.isfinite(value).any():
        return replace(nothing, needs=(f"inputs for which {reading.expression.text} is defined",))
    if isinstance(claim.asserted, Formula):
        stated = np.atleast_1d(claim.asserted.expression.value(ends[1])) / factor
        least, most = (np.atleast_1d(end) / factor for end in claim.asserted.expression.interval(*ends))
    else:
        stated, least, most = (
            np.array([end], dtype=float) for end in (claim.asserted.value, claim.asserted.low, claim.asserted.high)
        )
    # a column on one side only is compared with the one number on the other
    value, low, high, stated, least, most = np.broadcast_arrays(value, low, high, stated, least, most)
    usual = CATALOGUE_TOLERANCE if one.by == "catalogue" else 0.0
    tolerance = usual if claim.tolerance is None else claim.tolerance
    defined = np.isfinite(value) & np.isfinite(stated)  # elsewhere there is nothing to compare
    if not defined.any():
        return replace(nothing, needs=(f"inputs for which {claim.asserted_words} is defined",))
    holds = _meets(claim, one, (least, stated, most), (low, high), tolerance) | ~defined
    with np.errstate(all="ignore"):
        ratio = np.where(value != 0, stated / value, np.nan)
        off = np.nan_to_num(np.abs(np.log(np.abs(ratio))), nan=0.0, posinf=1e9)
    i = int(np.argmax(np.where(defined, off + np.where(holds, 0.0, 1e12), -1.0)))  # what fails, then the farthest
    shown = shown_in(claim.asserted) if isinstance(claim.asserted, Printed) else ""
    unit = claim.asserted.unit
    computed = Computed(float(value[i]), float(low[i]), float(high[i]), unit, bound=one.bound, shown=shown)
    asserted = _asserted_words(claim, float(stated[i]))
    within = f"; within {100 * tolerance:.3g} %" if tolerance else ""
    word = {"at_most": "at most ", "at_least": "at least ", None: ""}[one.bound]
    return replace(
        nothing, holds=bool(holds.all()), beyond=one.by == "physics" and one.bound is not None, computed=computed,
        ratio=float(ratio[i]) if np.isfinite(ratio[i]) else None,
        computation=f"{nothing.computation}: {word}{computed.words}; asserted {asserted}{within}",
    )  # fmt: skip


def _meets(
    claim: Claim, one: Check, asserted: tuple[np.ndarray, np.ndarray, np.ndarray],
    computed: tuple[np.ndarray, np.ndarray], tolerance: float,
) -> np.ndarray:  # fmt: skip
    (least, stated, most), (low, high) = asserted, computed
    relation, ends = "equal", (stated, stated)
    if isinstance(claim.asserted, Printed):
        relation, ends = claim.asserted.relation, claim.asserted.ends or ends
    slack = 1e-9 * np.abs(most)  # of floating point
    first, last = (end + sign * (tolerance * np.abs(end) + slack) for end, sign in zip(ends, (-1, 1), strict=True))
    least, most = np.minimum(least - slack, first), np.maximum(most + slack, last)
    if one.bound == "at_most":  # whoever says less than something says nothing that a limit from above refutes
        return (least <= high) | (relation == "at_most")
    if one.bound == "at_least":
        return (most >= low) | (relation == "at_least")
    if relation == "at_least":  # a bound is not rounded: more than 1 is not 0.6
        end = OPEN_ENDED * most if claim.basis == "specification" else np.inf
        return (high >= first) & (low <= end)
    if relation == "at_most":
        return low <= last
    return (low <= most) & (least <= high)


def _asserted_words(claim: Claim, value: float) -> str:
    formula = isinstance(claim.asserted, Formula)
    return claim.asserted_words + (f" = {said(value, claim.asserted.unit)}" if formula else "")
