"""`inferatlas catalogue check` as rows and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.catalogue.check import ERROR
from inferatlas.errors import BadInput, ConflictingData
from inferatlas.show.page import Block, Command, Heading, Items, Page

# Findings in which two statements contradict each other, while each could stand alone.
CONFLICTS = ("is not twice", "the fact says", "already means")


def finding_rows(lines: Sequence[str]) -> list[dict[str, str]]:
    """Each finding with its kind: *error* (must be mended), *conflict* (facts contradict each other) or *note*.

    Examples
    --------
    >>> finding_rows(["error: a.yaml:3: unknown key 'x'", "note: b.yaml: 9 B/s is not twice the 4 B/s per direction"])
    [{'kind': 'error', 'text': "a.yaml:3: unknown key 'x'"},
     {'kind': 'conflict', 'text': 'b.yaml: 9 B/s is not twice the 4 B/s per direction'}]
    """
    rows = []
    for line in lines:
        head, _, text = line.partition(": ")
        conflict = any(words in text for words in CONFLICTS)
        rows.append({"kind": "conflict" if conflict else "error" if head + ": " == ERROR else "note", "text": text})
    return rows


def exit_code(rows: Sequence[dict[str, str]]) -> int:
    """2 with errors, 5 with conflicts alone, else 0: notes deserve a look and break nothing."""
    kinds = {row["kind"] for row in rows}
    return BadInput.exit_code if "error" in kinds else ConflictingData.exit_code if "conflict" in kinds else 0


def findings_page(rows: Sequence[dict[str, str]], typed: str) -> Page:
    """What was found, worst first."""
    blocks: list[Block] = [Heading(f"{len(rows)} findings." if rows else "Every file is sound.")]
    for kind, title in (("error", "Must be mended"), ("conflict", "Contradict each other"), ("note", "Deserve a look")):
        if texts := [row["text"] for row in rows if row["kind"] == kind]:
            blocks.append(Items(title, texts))
    return [*blocks, Command("Reproduce", typed)]
