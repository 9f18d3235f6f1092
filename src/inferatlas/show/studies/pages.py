"""A whole study as sections: the paper, what came of it in numbers, claims, exhibits, guidelines, questions, method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inferatlas.show.html import Section, html_page
from inferatlas.show.page import Block, Command, Heading, Page, Paragraph, Table
from inferatlas.show.studies import tables
from inferatlas.show.studies.charts import READING
from inferatlas.show.studies.method import METHOD, paper_table, reading, sources
from inferatlas.show.studies.parts import (
    Draw,
    drawer,
    exhibit_sections,
    guideline_sections,
    parts_of,
    question_sections,
    stem,
)
from inferatlas.show.studies.summary import answer, every_pair
from inferatlas.show.studies.words import FAILED
from inferatlas.studies.claims.auditing import Finding
from inferatlas.studies.reproducing.study import Study, pair_row

ALL_CLAIMS = "all-claims"
IN_NUMBERS = (
    "A number of the paper counts as inside where the number as printed, with its rounding, meets our interval. The "
    "difference is that between our number and the printed one, as a share of the printed one."
)


def sections(study: Study, *, draw: Draw | None = None, short: bool = False) -> list[Section]:
    """The parts of a study in reading order; those with nothing to show hold no block.

    ``draw`` : makes the chart of a part; None draws none. ``short`` : of long exhibits only the rows that tell most,
    and no computations of claims that hold.
    """
    return [
        Section("paper", "The paper", [paper_table(study.paper)]),
        Section("numbers", "In numbers", _in_numbers(study)),
        *claim_sections(study.findings),
        *exhibit_sections(study.exhibits, draw, short),
        *guideline_sections(study.guidelines, draw, short),
        *question_sections(study.questions, draw, short),
        *every_claim(study.findings, computation=not short),
        Section("method", "How this was done", [*METHOD, sources(study.findings, every_pair(study))]),
    ]


def title(study: Study) -> str:
    """The title of the page."""
    return f"“{study.paper.title}”: what can be recomputed of it"


def lead(study: Study) -> str:
    """Who wrote the paper, when."""
    year = f", {study.paper.year}" if study.paper.year else ""
    return f"{study.paper.authors}{year}."


def study_page(study: Study, typed: str) -> Page:
    """What a command prints: everything but the claims that hold, which `claims audit` lists."""
    blocks: list[Block] = [Heading(f"{title(study)}. {answer(study)}")]
    for section in sections(study):
        if section.key != ALL_CLAIMS:
            blocks += [Heading(section.title), *in_order(section)]
    listing = f"inferatlas claims audit --paper {study.paper.id}"
    return [*blocks, Command("All claims, with what was computed", listing), Command("Reproduce", typed)]


def study_rows(study: Study) -> list[dict[str, Any]]:
    """A row of data per pair, with the part of the study that it belongs to; values in SI."""
    return [
        {"paper": study.paper.id, "of": stem(one)} | pair_row(pair) for one in parts_of(study) for pair in one.pairs
    ]


def in_order(section: Section) -> list[Block]:
    """The blocks of a section where there is no chart: the lead first, and no title twice."""
    lead = [Paragraph(section.lead)] if section.lead else []
    return [*lead, *(_untitled(block, section) for block in section.blocks)]


def _untitled(block: Block, section: Section) -> Block:
    """A table whose title is that of its section needs none of its own."""
    return replace(block, title="") if isinstance(block, Table) and block.title == section.title else block


def study_html(study: Study, typed: str, draw: Draw | None = None) -> str:
    """The page of a study with its charts; it loads nothing. ``draw`` : where the charts are wanted elsewhere too."""
    parts = sections(study, draw=draw or drawer(study))
    return html_page(title(study), answer(study), parts, typed, lead=lead(study), contents=True)


def claim_sections(findings: Sequence[Finding]) -> list[Section]:
    """Claims that do not hold, then those that need a condition."""
    failed = [one for one in findings if one.verdict in FAILED]
    bound = [one for one in findings if one.verdict == "consistent_under_condition"]
    none = Paragraph("None: no claim contradicts what can be recomputed.")
    blocks: list[Block] = [tables.claims_table("Claims that do not hold", failed)] if failed else [none]
    found = [Section("not-holding", "Claims that do not hold", blocks, open=True)] if findings else []
    if bound:
        name = "Claims that hold only under a condition that the paper does not state"
        found.append(Section("conditional", name, [tables.conditional_table(name, bound)]))
    return found


def every_claim(findings: Sequence[Finding], *, computation: bool = True) -> list[Section]:
    """All claims, with or without their computation; a long table is folded on the page."""
    if not findings:
        return []
    lead = "A claim is a number, a table's cell or a word that can be compared with something."
    lead += " The last column says what was computed, and from which numbers." if computation else ""
    table = tables.claims_table("All claims", findings, computation=computation)
    return [Section(ALL_CLAIMS, "All claims", [table], lead=lead)]


def _in_numbers(study: Study) -> list[Block]:
    pairs = every_pair(study)
    blocks: list[Block] = [tables.verdicts_table(study.findings)] if study.findings else []
    if pairs:
        blocks += [tables.agreement_table(study), Paragraph(IN_NUMBERS, quiet=True)]
        blocks += [tables.labels_table(pairs), Paragraph(READING, quiet=True)]
    return [*reading(), *blocks]
