"""`inferatlas catalogue check` as a page."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.catalogue.check import Finding
from inferatlas.show.page import Block, Command, Heading, Items, Page

TITLES = {"error": "Must be mended", "conflict": "Contradict each other", "note": "Deserve a look"}


def findings_page(found: Sequence[Finding], typed: str) -> Page:
    """What was found, worst first; ``typed`` is the command."""
    blocks: list[Block] = [Heading(f"{len(found)} findings." if found else "Every file is sound.")]
    for kind, title in TITLES.items():
        if texts := [one.text for one in found if one.kind == kind]:
            blocks.append(Items(title, texts))
    return [*blocks, Command("Reproduce", typed)]
