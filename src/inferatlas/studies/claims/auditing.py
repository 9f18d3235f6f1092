"""The audit: every claim's checks run, and the verdict that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inferatlas.errors import UnknownName
from inferatlas.studies.claims.checking import Computed, Outcome, check
from inferatlas.studies.claims.ledger import Claim, Formula, Ledger, ledger, paper_ids
from inferatlas.studies.claims.looking_up import Books
from inferatlas.studies.claims.printed import Printed

VERDICTS = ("consistent", "consistent_under_condition", "inconsistent", "beyond_physics", "not_checkable")
# The worst conclusive outcome is the claim's verdict; what stays open says nothing where another check speaks.
_GRAVITY = ("not_checkable", "consistent", "consistent_under_condition", "inconsistent", "beyond_physics")


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim with its verdict and the check that decided it; ``checks`` holds what came of each of them."""

    id: str
    paper: str
    place: str
    statement: str
    basis: str
    quotes: tuple[str, ...]
    asserted: Printed | Formula
    computed: Computed | None
    ratio: float | None
    verdict: str
    condition: str
    computation: str
    inputs: tuple[dict[str, Any], ...]
    needs: tuple[str, ...]
    checks: tuple[Outcome, ...]

    @property
    def asserted_words(self) -> str:
        """What the paper states, as it prints it."""
        return self.asserted.expression.text if isinstance(self.asserted, Formula) else self.asserted.text

    def as_dict(self) -> dict[str, Any]:
        """The finding in ``claims audit --format json``; values in SI, ``ratio`` asserted over computed."""
        asserted: dict[str, Any]
        if isinstance(self.asserted, Formula):
            asserted = {"value": None, "unit": self.asserted.unit, "formula": self.asserted.expression.text}
        else:
            asserted = self.asserted.as_dict()
        return {
            "id": f"{self.paper}/{self.id}", "paper": self.paper, "place": self.place, "statement": self.statement,
            "asserted": asserted,
            "computed": self.computed and self.computed.as_dict(), "ratio": self.ratio, "verdict": self.verdict,
            "condition": self.condition or None, "computation": self.computation, "inputs": list(self.inputs),
            "needs": list(self.needs), "basis": self.basis,
            "checks": [
                {"by": one.by, "verdict": one.verdict, "condition": one.condition or None, "ratio": one.ratio,
                 "computation": one.computation, "needs": list(one.needs)}
                for one in self.checks
            ],
        }  # fmt: skip


def published() -> dict[str, Ledger]:
    """The ledgers of the papers of the package, by paper."""
    return {paper: ledger(paper) for paper in paper_ids()}


def find(claim: Claim, books: Books) -> Finding:
    """One claim with its verdict.

    Raises
    ------
    BadInput : an unknown reference or a unit that does not match; with file and line.
    """
    outcomes = tuple(check(claim, one, books) for one in claim.checks)
    worst = max(outcomes, key=lambda one: _GRAVITY.index(one.verdict))
    conditions = dict.fromkeys(one.condition for one in outcomes if one.verdict == worst.verdict and one.condition)
    needs = dict.fromkeys(need for one in outcomes if one.holds is None for need in one.needs)
    return Finding(
        id=claim.id, paper=claim.paper, place=claim.place, statement=claim.statement, basis=claim.basis,
        quotes=claim.quotes, asserted=claim.asserted, computed=worst.computed, ratio=worst.ratio,
        verdict=worst.verdict, condition=" and ".join(conditions), computation=worst.computation,
        inputs=worst.inputs, needs=tuple(needs) if worst.holds is None else (), checks=outcomes,
    )  # fmt: skip


def audit(books: Mapping[str, Ledger], *, paper: str | None = None, verdict: str | None = None) -> tuple[Finding, ...]:
    """Every claim, or those of one paper, or those with one verdict; papers in order of their names.

    Raises
    ------
    UnknownName : no such paper or verdict. BadInput : a claim is refused; with file and line.

    Examples
    --------
    >>> found = audit(published(), paper="park-review")
    >>> {one.verdict for one in found} <= set(VERDICTS)
    True
    """
    if paper is not None and paper not in books:
        raise UnknownName("paper", paper, books)
    if verdict is not None and verdict not in VERDICTS:
        raise UnknownName("verdict", verdict, VERDICTS, allowed=", ".join(VERDICTS))
    chosen: Iterable[Ledger] = [book for name, book in sorted(books.items()) if paper in (None, name)]
    found = (find(claim, books) for book in chosen for claim in book.claims.values())
    return tuple(one for one in found if verdict in (None, one.verdict))


def find_named(name: str, books: Mapping[str, Ledger]) -> Finding:
    """The finding of ``paper/claim``.

    Raises
    ------
    UnknownName : no such paper or claim; near ones are offered.

    Examples
    --------
    >>> find_named("park-review/no-such-claim", published())
    Traceback (most recent call last):
    inferatlas.errors.UnknownName: claim: unknown claim 'park-review/no-such-claim'...
    """
    paper, _, rest = name.partition("/")
    if paper not in books or rest not in books[paper].claims:
        raise UnknownName("claim", name, [claim.key for book in books.values() for claim in book.claims.values()])
    return find(books[paper].claims[rest], books)
