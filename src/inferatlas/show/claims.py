"""`inferatlas claims` as tables and pages: the list, the audit, one claim with its computation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from inferatlas.show.numbers import NONE, counted
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.show.studies.words import VERDICTS as MEANINGS
from inferatlas.show.studies.words import computed_words, quoted, ratio_words
from inferatlas.studies.claims.auditing import VERDICTS, Finding
from inferatlas.studies.claims.known import said

WORDS = {one: one.replace("_", " ") for one in VERDICTS}
HOW = (
    "Numbers are compared within their rounding (half of the last printed place), within 10 % where the paper says "
    "'about', and within 2 % where a figure stands against the catalogue. Ratio: stated over recomputed. A fact that "
    "no document confirms says nothing, and a prediction refutes no measurement."
)


def claim_rows(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """A line per claim."""
    return [
        {
            "id": f"{one.paper}/{one.id}", "place": one.place, "statement": one.statement,
            "asserted": one.asserted_words, "verdict": one.verdict, "condition": one.condition or None,
        }
        for one in found
    ]  # fmt: skip


def audit_rows(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """A line per claim with its computation; values in SI."""
    rows = []
    for one in found:
        data = one.as_dict()
        asserted, computed = data["asserted"], data["computed"] or {}
        rows.append(
            {
                "id": data["id"], "paper": one.paper, "place": one.place, "statement": one.statement,
                "asserted": one.asserted_words, "asserted_value": _number(asserted.get("value")),
                "computed_value": _number(computed.get("value")), "unit": asserted["unit"], "ratio": one.ratio,
                "verdict": one.verdict, "condition": one.condition or None, "computation": one.computation,
                "needs": "; ".join(one.needs) or None,
            }
        )  # fmt: skip
    return rows


def _number(value: Any) -> float | None:
    return value if isinstance(value, float) else None


def list_page(found: Sequence[Finding], typed: str) -> Page:
    """Every claim in a line."""
    columns = [Column("claim"), Column("place", wraps=True), Column("stated", wraps=True), Column("verdict")]
    rows = [[f"{one.paper}/{one.id}", one.place, one.statement, WORDS[one.verdict]] for one in found]
    return [Heading(_heading(found)), *([Table("Claims", columns, rows)] if rows else []), Command("Reproduce", typed)]


def _heading(found: Sequence[Finding]) -> str:
    if not found:
        return "No claim of that kind."
    counts = Counter(one.verdict for one in found)
    parts = ", ".join(f"{counts[verdict]:,} {WORDS[verdict]}" for verdict in VERDICTS if counts[verdict])
    return f"{counted(len(found), 'claim')}: {parts}."


def audit_page(found: Sequence[Finding], typed: str) -> Page:
    """Counts, then what does not hold or holds under a condition; the rest is counted."""
    rest = [one for one in ("consistent", "not_checkable") if any(f.verdict == one for f in found)]
    return [
        Heading(_heading(found)),
        *counts(found),
        *failing(found),
        *conditional(found),
        *(
            [Paragraph(f"`inferatlas claims list` shows the rest (--verdict {' or '.join(rest)}).", quiet=True)]
            if rest else []
        ),
        Paragraph(HOW, quiet=True),
        Command("Reproduce", typed),
    ]  # fmt: skip


def counts(found: Sequence[Finding]) -> list[Block]:
    """Claims by paper and verdict."""
    papers = list(dict.fromkeys(one.paper for one in found))
    if not papers:
        return []
    rows = []
    for paper in papers:
        of = Counter(one.verdict for one in found if one.paper == paper)
        rows.append([paper, f"{of.total():,}", *(f"{of[verdict]:,}" for verdict in VERDICTS)])
    columns = [Column("paper"), Column("claims", right=True)]
    columns += [Column(WORDS[verdict].replace(" ", "\n", 1), right=True) for verdict in VERDICTS]
    return [Table("Claims by verdict", columns, rows)]


def failing(found: Sequence[Finding]) -> list[Block]:
    """What is inconsistent, or beyond physics: both numbers and the ratio."""
    wrong = [one for one in found if one.verdict in ("inconsistent", "beyond_physics")]
    wrong.sort(key=lambda one: one.verdict != "beyond_physics")
    if not wrong:
        return []
    columns = [
        Column("claim"), Column("stated", wraps=True), Column("asserted", right=True), Column("recomputed", right=True),
        Column("ratio", right=True), Column("verdict"),
    ]  # fmt: skip
    rows = [[_name(one), one.statement, one.asserted_words, *_numbers(one), WORDS[one.verdict]] for one in wrong]
    return [Table("What does not hold", columns, rows)]


def conditional(found: Sequence[Finding]) -> list[Block]:
    """What holds under a condition that the paper does not state."""
    some = [one for one in found if one.verdict == "consistent_under_condition"]
    if not some:
        return []
    columns = [
        Column("claim"), Column("stated", wraps=True), Column("asserted", right=True), Column("recomputed", right=True),
        Column("holds if", wraps=True),
    ]  # fmt: skip
    rows = [[_name(one), one.statement, one.asserted_words, _numbers(one)[0], one.condition] for one in some]
    return [Table("What holds under a condition that is not stated", columns, rows)]


def _name(one: Finding) -> str:
    return f"{one.paper}/{one.id}\n{one.place}"


def _numbers(one: Finding) -> tuple[str, str]:
    return computed_words(one.computed), ratio_words(one.ratio)


def claim_page(one: Finding, typed: str) -> Page:
    """One claim with everything."""
    blocks: list[Block] = [
        Heading(f"{one.paper}/{one.id}: {WORDS[one.verdict]}"),
        Paragraph(f"{one.statement} ({one.place}; {one.basis})."),
        *([Items("In its words", [f"“{quoted(quote)}”" for quote in one.quotes])] if one.quotes else []),
        *([Paragraph(f"It holds if: {one.condition}.")] if one.condition else []),
        *([Items("What would be needed", list(one.needs))] if one.needs else []),
    ]
    for check in one.checks:
        came = WORDS[check.verdict] + (f", if {check.condition}" if check.condition else "")
        blocks.append(Items(f"By {check.by}: {came}", [check.computation]))
        columns = [Column("input"), Column("value", right=True), Column("from", wraps=True)]
        rows = [[str(row["name"]), _input(row), str(row["from"])] for row in check.inputs]
        blocks.append(Table("From", columns, rows))
    blocks += [Paragraph(f"{WORDS[one.verdict]}: {MEANINGS[one.verdict][1]} {HOW}", quiet=True)]
    return [*blocks, Command("Reproduce", typed)]


def _input(row: dict[str, Any]) -> str:
    value = row["value"]
    if isinstance(value, dict):
        return ", ".join(f"{name} {said(x, row['unit'])}" for name, x in value.items())
    return said(value, row["unit"], digits=4) if isinstance(value, float) else str(value or NONE)


def checked_page(found: Sequence[Finding], typed: str) -> Page:
    """A file of one's own: each claim with its verdict and computation."""
    columns = [
        Column("claim"), Column("asserted", right=True), Column("recomputed", right=True), Column("ratio", right=True),
        Column("verdict", wraps=True),
    ]  # fmt: skip
    rows = []
    for one in found:
        came = WORDS[one.verdict] + (f", if {one.condition}" if one.condition else "")
        rows.append([one.id, one.asserted_words, *_numbers(one), came])
    how = [f"{one.id}: {one.computation}" + (f"; needed: {'; '.join(one.needs)}" if one.needs else "") for one in found]
    return [Heading(_heading(found)), Table("Claims", columns, rows), Items("How", how), Paragraph(HOW, quiet=True),
            Command("Reproduce", typed)]  # fmt: skip
