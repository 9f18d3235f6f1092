"""How a study was made, in words for somebody who has not seen the tool: where each number comes from."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.show.page import Block, Column, Items, Paragraph, Table
from inferatlas.show.studies.words import BASES, CHECKS
from inferatlas.studies.claims.auditing import Finding
from inferatlas.studies.claims.ledger import Paper
from inferatlas.studies.exhibits import Pair

READING = (
    "Every number of the paper is a claim: what the paper prints is compared with what can be computed from its own "
    "tables, from the makers' documents, from the configurations of the models, or from bounds that no machine passes. "
    "Nobody types a verdict; it follows from the comparison. Where a claim fails, readings that the paper does not "
    "state but that would make it right are tried before it is called inconsistent.",
    "The tables and figures of the paper are then computed again from facts and from a model of performance and power "
    "that was not fitted to them, and stand here beside the printed numbers; where a starting value of the model rests "
    "on the paper, a note says so. Our numbers are intervals: we expect the truth inside in 8 cases of 10.",
)
METHOD: tuple[Block, ...] = (
    Items(
        "How a verdict is made",
        [
            "The printed text is read with its rounding: 3.7 is anything from 3.65 to 3.75, “about” allows 10 %, a "
            "range is a range, and “more than” and “less than” are bounds.",
            "The claim is recomputed from named inputs; the rounding of printed inputs is carried through. Both "
            "intervals have to meet. Against documents of makers 2 % more are allowed.",
            "If they do not meet, other documented values are tried, and then readings that the paper does not state. "
            "What succeeds is named as the condition.",
            "A number above a physical bound is called beyond physics, not merely inconsistent.",
            "An input that nobody has published leaves the claim not checkable, and the input is named.",
            "Of several checks the worst that decides counts.",
        ],
    ),
    Items("Kinds of check", [f"{name}: {text}" for name, text in CHECKS.items()]),
    Items("Where the paper has its numbers from", [f"{name}: {text}" for name, text in BASES.items()]),
)


def reading() -> list[Block]:
    """What was done with the paper, in two paragraphs."""
    return [Paragraph(text) for text in READING]


def paper_table(paper: Paper) -> Table:
    """Title, authors, year and address."""
    rows = [
        ["title", paper.title], ["authors", paper.authors], ["year", str(paper.year) if paper.year else "not stated"],
        ["address", paper.address or "none known: a copy was at hand"], ["name here", paper.id],
    ]  # fmt: skip
    return Table("The paper", [Column("what"), Column("value", wraps=True)], rows)


def sources(findings: Sequence[Finding], pairs: Sequence[Pair]) -> Items:
    """Where the numbers come from that stand beside those of the paper."""
    kinds = sorted({check.by for one in findings for check in one.checks})
    labels = sorted({pair.label for pair in pairs})
    texts = [
        "Facts of accelerators: the catalogue, every value with its source (inferatlas catalogue show NAME).",
        "Models: their published configurations, from which parameters, layers and cache sizes follow.",
    ]
    if {"predicted", "extrapolated"} & set(labels):
        texts.append(
            "Predictions: the model of performance and power. How far it is off on measurements that were left out of "
            "its fit, inferatlas validate shows; extrapolated numbers are those of machines without any measurement."
        )
    texts += [f"Checks used here: {', '.join(kinds)}."] if kinds else []
    return Items("Sources", texts)
