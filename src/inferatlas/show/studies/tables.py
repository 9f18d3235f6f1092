"""Tables of a study: pairs theirs beside ours, claims with their verdicts, counts. Texts only, nothing is judged."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.quantities import percent
from inferatlas.show.numbers import NONE
from inferatlas.show.page import Column, Table
from inferatlas.show.studies.summary import Agreement, agreement, by_group, every_pair, stated, verdict_counts
from inferatlas.show.studies.words import (
    CONFIDENCE,
    GUIDELINES,
    LABELS,
    VERDICTS,
    asserted_words,
    computed_words,
    error_words,
    heading_of,
    inside_words,
    interval_words,
    one_line,
    printed_words,
    quoted,
    ratio_words,
    unit_of,
)
from inferatlas.studies.claims.auditing import Finding
from inferatlas.studies.exhibits import Guideline, OpenQuestion, Pair
from inferatlas.studies.reproducing.study import Study

LONG = 26  # letters of a number with its unit or interval that stand on one line


def pair_table(pairs: Sequence[Pair]) -> Table:
    """Every pair a row: the point, theirs, ours with its interval, their ratio, inside or not, label, note.

    Columns that would be empty are left out, and so is the quantity where all rows share it: then the title says it.
    """
    keys = list(dict.fromkeys(key for pair in pairs for key in pair.what))
    quantities = list(dict.fromkeys(pair.quantity for pair in pairs))
    several, noted, printed = len(quantities) > 1, any(pair.note for pair in pairs), any(map(stated, pairs))
    columns = [Column(key) for key in keys]
    columns += [Column("quantity")] if several else []
    columns += [Column("published", right=True)] if printed else []
    columns += [Column("ours\n(80 % interval)", right=True)]
    columns += [Column("ours /\npublished", right=True), Column("inside")] if printed else []
    columns += [Column("label"), *([Column("note", wraps=True)] if noted else [])]
    rows = [
        [
            *(one_line(pair.what.get(key, NONE)) or NONE for key in keys),
            *([heading_of(pair.quantity)] if several else []),
            *([printed_words(pair.published)] if printed else []),
            interval_words(pair.ours, unit_of(pair)),
            *([ratio_words(pair.ratio), inside_words(pair.inside)] if printed else []),
            pair.label if pair.ours else NONE, *([one_line(pair.note)] if noted else []),
        ]
        for pair in pairs
    ]  # fmt: skip
    title = "Theirs and ours" if printed else "Ours"
    named = title if several or not quantities else f"{title}: {heading_of(quantities[0])}"
    return Table(named, columns, rows, keys=max(len(keys), 1))


def claim_words(one: Finding) -> str:
    """What is claimed, and on a second line the words of the paper where these say more."""
    statement = one_line(one.statement)
    quotes = [quoted(quote) for quote in one.quotes]
    if not quotes or any(quote in statement for quote in quotes):
        return statement
    return f"{statement}\n“{'”, “'.join(quotes)}”"


def because(one: Finding) -> str:
    """What the verdict depends on: a condition, or what nobody has published."""
    if one.condition:
        return one_line(one.condition)
    return f"needs {one_line('; '.join(one.needs))}" if one.needs else ""


def claims_table(title: str, findings: Sequence[Finding], *, computation: bool = True) -> Table:
    """Claims with their verdicts. Papers have a column where there are several, conditions where there are any."""
    papers, conditions = len({one.paper for one in findings}) > 1, any(because(one) for one in findings)
    asserted = [one_line(asserted_words(one.asserted)) for one in findings]
    computed = [computed_words(one.computed) for one in findings]
    columns = [
        *([Column("paper")] if papers else []), Column("place\n(name)", wraps=True),
        Column("claim\n(the paper's words)", wraps=True),
        Column("asserted", right=True, wraps=_long(asserted)),
        Column("computed\n(interval)", right=True, wraps=_long(computed)),
        Column("asserted /\ncomputed", right=True), Column("verdict"),
        *([Column("condition, or what is missing", wraps=True)] if conditions else []),
        *([Column("how it was computed", wraps=True)] if computation else []),
    ]  # fmt: skip
    rows = [
        [
            *([one.paper] if papers else []), f"{one_line(one.place)}\n{one.id}", claim_words(one), said, found,
            ratio_words(one.ratio), VERDICTS[one.verdict][0], *([because(one) or NONE] if conditions else []),
            *([one_line(one.computation)] if computation else []),
        ]
        for one, said, found in zip(findings, asserted, computed, strict=True)
    ]  # fmt: skip
    return Table(title, columns, rows, keys=2 + papers)


def conditional_table(title: str, findings: Sequence[Finding]) -> Table:
    """Claims that hold under a condition, with the condition in place of the verdict."""
    whole = claims_table(title, findings)
    place = [column.name for column in whole.columns].index("verdict")
    columns = [*whole.columns[:place], Column("under this condition", wraps=True), *whole.columns[place + 2 :]]
    rows = [
        [*row[:place], one_line(one.condition), *row[place + 2 :]]
        for one, row in zip(findings, whole.rows, strict=True)
    ]
    return Table(title, columns, rows, whole.keys)


def _long(cells: Sequence[str]) -> bool:
    """Whether some cell is too long to stand on one line."""
    return any(len(line) > LONG for cell in cells for line in cell.split("\n"))


def verdicts_table(findings: Sequence[Finding]) -> Table:
    """Claims by verdict, and what each verdict means."""
    rows = [[VERDICTS[key][0], f"{count:,}", VERDICTS[key][1]] for key, count in verdict_counts(findings).items()]
    columns = [Column("verdict"), Column("claims", right=True), Column("what it means", wraps=True)]
    return Table("Claims by verdict", columns, rows)


def agreement_table(study: Study) -> Table:
    """Printed numbers beside ours: by what ours rest on, then by exhibit."""
    groups = [[f"All: {name}", *_counts(one)] for name, one in by_group(every_pair(study)).items()]
    exhibits = [[f"{one.place}: {one.title}", *_counts(agreement(one.pairs))] for one in study.exhibits]
    columns = [
        Column("numbers", wraps=True), Column("compared", right=True), Column("inside", right=True),
        Column("share\ninside", right=True), Column("median\ndifference", right=True),
        Column("printed,\nnone of ours", right=True), Column("ours,\nnot printed", right=True),
    ]  # fmt: skip
    return Table("Printed numbers and ours", columns, [*groups, *exhibits])


def _counts(one: Agreement) -> list[str]:
    share = percent(one.inside / one.compared) if one.compared else NONE
    return [f"{one.compared:,}", f"{one.inside:,}", share, error_words(one.error), f"{one.printed:,}", f"{one.ours:,}"]


def labels_table(pairs: Sequence[Pair]) -> Table:
    """What the labels mean that stand beside these numbers."""
    used = {"published", *(pair.label for pair in pairs)}
    rows = [[name, f"{text[:1].upper()}{text[1:]}."] for name, text in LABELS.items() if name in used]
    return Table("Labels", [Column("label"), Column("what it says of a number", wraps=True)], rows)


def guidelines_table(guidelines: Sequence[Guideline]) -> Table:
    """Guidelines with their verdicts."""
    rows = [
        [one_line(one.place), f"“{one_line(one.quote).rstrip('.')}”", GUIDELINES[one.verdict][0],
         one_line(one.where) or NONE, f"{one.held:,} of {one.tried:,}"]
        for one in guidelines
    ]  # fmt: skip
    columns = [
        Column("place"), Column("what the paper advises", wraps=True), Column("verdict"), Column("where", wraps=True),
        Column("cases that\nagree", right=True),
    ]  # fmt: skip
    return Table("Guidelines", columns, rows)


def questions_table(questions: Sequence[OpenQuestion]) -> Table:
    """Open questions with their answers."""
    rows = [[one_line(one.place), one_line(one.question), one_line(one.answer), one.confidence] for one in questions]
    columns = [Column("place"), Column("question", wraps=True), Column("answer", wraps=True), Column("confidence")]
    return Table("Open questions", columns, rows)


def confidence_table(questions: Sequence[OpenQuestion]) -> Table:
    """What the words for confidence mean."""
    used = {one.confidence for one in questions}
    rows = [[name, f"{text[:1].upper()}{text[1:]}."] for name, text in CONFIDENCE.items() if name in used]
    return Table("Confidence", [Column("confidence"), Column("what it means", wraps=True)], rows)
