"""A study as Markdown for GitHub: the same sections, charts as files beside it; of long exhibits the telling rows.

Nothing in it depends on the day or the machine, so that the same study gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from inferatlas.show.page import Bar, Block, Column, Command, Heading, Items, Paragraph, Table
from inferatlas.show.studies.pages import in_order, lead, sections, title
from inferatlas.show.studies.parts import key, parts_of, stem
from inferatlas.show.studies.summary import answer
from inferatlas.show.tables import to_markdown
from inferatlas.studies.reproducing.study import Study

# what GitHub would read as marks: code, emphasis, tags, links, formulas, and lists where a paragraph begins
_MARKS = re.compile(r"[\\`*<>\[\]$~]|(?<![^\W_])_|_(?![^\W_])|^(?=[#+-]|\d+[.)] )")


def study_markdown(study: Study, typed: str, pictures: Collection[str] = ()) -> str:
    """The study as Markdown.

    ``typed`` : the command that makes it. ``pictures`` : the parts, by `parts.stem`, of which an SVG lies beside it.
    """
    drawn = {key(one): f"![{one.id}]({stem(one)}.svg)" for one in parts_of(study) if stem(one) in pictures}
    parts = [f"# {escaped(title(study))}", escaped(lead(study)), escaped(answer(study))]
    for section in sections(study, short=True):
        blocks = in_order(section)
        if blocks:
            shown = to_markdown([_escaped(block) for block in blocks]).rstrip("\n")
            picture = drawn.get(section.key)
            parts += [f"## {escaped(section.title)}", *([picture] if picture else []), shown]
    parts.append(f"## This page again\n\n```console\n{typed}\n```")
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """A text in which nothing is a mark of Markdown; pipes are left to tables.

    >>> print(escaped("a <script> *b* $5 tokens_per_s _x_"))
    a \\<script\\> \\*b\\* \\$5 tokens_per_s \\_x\\_
    >>> print(escaped("1. first"), escaped("-5 %"))
    \\1. first \\-5 %
    """
    return _MARKS.sub(lambda found: f"\\{found[0]}", text)


def _escaped(block: Block) -> Block:
    """A block of which every text is escaped; a command stands in a code block, where nothing is a mark."""
    if isinstance(block, Heading | Paragraph):
        return replace(block, text=escaped(block.text))
    if isinstance(block, Items):
        return Items(escaped(block.title), [escaped(text) for text in block.texts])
    if isinstance(block, Table):
        columns = [Column(escaped(one.name), one.right, one.wraps) for one in block.columns]
        return Table(escaped(block.title), columns, [[_cell(cell) for cell in row] for row in block.rows], block.keys)
    assert isinstance(block, Command | Bar)
    return block


def _cell(cell: str) -> str:
    return "\n".join(escaped(line) for line in cell.split("\n"))
