"""A paper reproduced: its claims with verdicts, its exhibits and guidelines, its open questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from inferatlas.errors import UnknownName
from inferatlas.studies.claims.auditing import Finding, audit, published
from inferatlas.studies.claims.ledger import Paper, paper_ids
from inferatlas.studies.exhibits import Exhibit, Guideline, OpenQuestion, Pair

ROOMS = {"sharma-2025": "sharma", "park-review": "park", "brunetta": "brunetta"}


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that comes of one paper."""

    paper: Paper
    findings: tuple[Finding, ...]
    exhibits: tuple[Exhibit, ...]
    guidelines: tuple[Guideline, ...]
    questions: tuple[OpenQuestion, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas reproduce --format json``."""
        return {
            "paper": asdict(self.paper),
            "claims": [one.as_dict() for one in self.findings],
            "exhibits": [_with_pairs(one) for one in self.exhibits],
            "guidelines": [_with_pairs(one) for one in self.guidelines],
            "open_questions": [_with_pairs(one) for one in self.questions],
        }


def reproduce(paper: str, told: Callable[[str], None] | None = None) -> Study:
    """Everything of one paper, computed now; ``told`` hears what is being worked on.

    Raises
    ------
    UnknownName : no such paper.
    """
    if paper not in paper_ids():
        raise UnknownName("paper", paper, paper_ids())
    say = told or (lambda _: None)
    books = published()
    say("auditing claims")
    findings = audit(books, paper=paper)
    room = import_module(f"inferatlas.studies.reproducing.{ROOMS[paper]}")
    say("tables and figures")
    exhibits = room.exhibits()
    say("guidelines")
    guidelines = room.guidelines() if hasattr(room, "guidelines") else ()
    say("open questions")
    from inferatlas.studies.reproducing.questions import open_questions

    return Study(books[paper].paper, findings, exhibits, guidelines, open_questions(paper))


def _with_pairs(one: Exhibit | Guideline | OpenQuestion) -> dict[str, Any]:
    return asdict(one) | {"pairs": [pair_row(pair) for pair in one.pairs]}


def pair_row(pair: Pair) -> dict[str, Any]:
    """A pair as a row of data: the point, then theirs and ours."""
    ours = pair.ours
    return {
        **pair.what, "quantity": pair.quantity, "unit": pair.unit,
        "published": (pair.published.value if pair.published.value is not None else pair.published.text)
        if pair.published else None,
        "published_as": pair.published.text if pair.published else None,
        "low": ours.low if ours else None, "value": ours.value if ours else None, "high": ours.high if ours else None,
        "label": pair.label, "ratio": pair.ratio, "inside": pair.inside, "note": pair.note,
    }  # fmt: skip
