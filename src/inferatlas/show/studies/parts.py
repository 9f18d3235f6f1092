"""Exhibits, guidelines and open questions as sections: what is told, the chart, theirs beside ours, notes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inferatlas.show.html import Section, inline
from inferatlas.show.page import Block, Items, Paragraph
from inferatlas.show.studies import tables
from inferatlas.show.studies.charts import chart_of, in_words, places
from inferatlas.show.studies.summary import telling
from inferatlas.show.studies.words import GUIDELINES, one_line, sentence
from inferatlas.studies.exhibits import Exhibit, Guideline, OpenQuestion
from inferatlas.studies.reproducing.study import Study

if TYPE_CHECKING:
    from markupsafe import Markup

Part = Exhibit | Guideline | OpenQuestion
Draw = Callable[[Part], "Markup | None"]


def parts_of(study: Study) -> tuple[Part, ...]:
    """Everything of a study that holds pairs."""
    return (*study.exhibits, *study.guidelines, *study.questions)


def stem(one: Part) -> str:
    """The name of a part's files without their ending, and of its place in the page."""
    kind = {Exhibit: "", Guideline: "guideline-", OpenQuestion: "question-"}[type(one)]
    return kind + re.sub(r"[^A-Za-z0-9._-]+", "-", one.id).lstrip(".")


def drawer(study: Study) -> Draw:
    """Draws the parts of a study as they stand in a page, each once; a name keeps its colour from chart to chart."""
    at = places(pair for one in parts_of(study) for pair in one.pairs)
    drawn: dict[str, Markup | None] = {}

    def draw(one: Part) -> Markup | None:
        name = stem(one)
        if name not in drawn:
            chart = chart_of(one, at)
            drawn[name] = None if chart is None or one.plot is None else inline(chart, in_words(one.pairs, one.plot))
        return drawn[name]

    return draw


def exhibit_sections(exhibits: Sequence[Exhibit], draw: Draw | None, short: bool) -> list[Section]:
    """A section per table or figure, the finding over its chart."""
    return [
        _section(one, f"{one.place}: {one.title}", sentence(one.finding), [], one.notes, draw, short)
        for one in exhibits
    ]


def guideline_sections(guidelines: Sequence[Guideline], draw: Draw | None, short: bool) -> list[Section]:
    """All rules in a table, then a section per rule: what it says, whether it holds and where, what was tried."""
    if not guidelines:
        return []
    words = Items("Verdicts", [f"{name}: {text}" for name, text in GUIDELINES.values()])
    found = [Section("guidelines", "The paper's advice, tested", [tables.guidelines_table(guidelines), words])]
    for one in guidelines:
        verdict, _ = GUIDELINES[one.verdict]
        verb = "stays undecided" if one.verdict == "undecided" else verdict
        lead = f"The paper says: “{one_line(one.quote).rstrip('.')}”. It {verb}. {sentence(one.where)}".strip()
        told = [Paragraph(sentence(one.finding))] if one.finding else []
        found.append(_section(one, f"{one.place}: advice that {verb}", lead, told, one.notes, draw, short))
    return found


def question_sections(questions: Sequence[OpenQuestion], draw: Draw | None, short: bool) -> list[Section]:
    """All questions with their answers in a table, then a section per question with reasons and conditions."""
    if not questions:
        return []
    overview: list[Block] = [tables.questions_table(questions), tables.confidence_table(questions)]
    found = [Section("questions", "Questions that the paper leaves open", overview)]
    for one in questions:
        told = [Paragraph(f"Confidence: {one.confidence}. {sentence(one.why)}")]
        name = f"{one.place}: {one_line(one.question)}"
        found.append(_section(one, name, sentence(one.answer), told, one.conditions, draw, short))
    return found


def _section(
    one: Part, title: str, lead: str, told: Sequence[Block], notes: Sequence[str], draw: Draw | None, short: bool
) -> Section:
    """One section: the lead, the chart, what else is told, the pairs, and notes or conditions."""
    pairs = telling(one.pairs) if short else one.pairs
    numbers: list[Block] = [tables.pair_table(pairs)] if pairs else []
    if len(pairs) < len(one.pairs):
        numbers.append(Paragraph(f"{len(one.pairs) - len(pairs):,} more rows are in {stem(one)}.csv."))
    heading = "Under these conditions" if isinstance(one, OpenQuestion) else "Notes"
    remarks: list[Block] = [Items(heading, [sentence(text) for text in notes])] if notes else []
    chart = (lambda: draw(one)) if draw and one.plot else None
    return Section(key(one), title, [*told, *numbers, *remarks], chart, lead=lead)


def key(one: Part) -> str:
    """The name of a part's section in the page."""
    return f"exhibit-{stem(one)}" if isinstance(one, Exhibit) else stem(one)
