"""Print a page: for a terminal with rich tables, or as Markdown. The same words and numbers in both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from itertools import cycle
from typing import TYPE_CHECKING

from inferatlas.show.page import Bar, Block, Column, Command, Heading, Items, Page, Paragraph, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = 2  # blanks between columns
NARROWEST = 28  # least width of a column of words
FILLS = ("█", "▓", "▒", "░", "▚", "▞")  # parts of a bar can be told apart without colour
FREE = "·"
_COLOURS = ("blue", "green", "yellow", "magenta", "cyan", "red")
# words that are badges wherever they fill a cell
BADGES = {
    "predicted": "cyan",
    "measured": "green",
    "published": "green",
    "extrapolated": "yellow",
    "chosen": "green",
    "alternative": "dim",
    "rejected": "red",
    "UNVERIFIED": "bold yellow",
    "official": "green",
    "experimental": "yellow",
}


def to_text(page: Page, *, width: int, colour: bool = False) -> str:
    """A page as text, ``width`` characters wide; nothing is cut off at any width (commands are never broken).

    Examples
    --------
    >>> columns = [Column("name"), Column("W", right=True)]
    >>> print(to_text([Table("Two", columns, [["h100", "700"], ["l4", "72"]])], width=40))
    Two
    name    W
    ────  ───
    h100  700
    l4     72
    """
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=max(width, 20),
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for number, block in enumerate(page):
        if number:
            console.print()
        _print(console, block)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue] - the StringIO above
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _print(console: Console, block: Block) -> None:
    if isinstance(block, Heading):
        console.print(block.text, style="bold")
    elif isinstance(block, Paragraph):
        console.print(block.text, style="dim" if block.quiet else None)
    elif isinstance(block, Command):
        console.print(block.title, style="bold")
        console.print(f"  {block.text}", soft_wrap=True)
    elif isinstance(block, Items):
        console.print(block.title, style="bold")
        for text in block.texts:
            _item(console, text)
    elif isinstance(block, Bar):
        _bar(console, block)
    else:
        if block.title:
            console.print(block.title, style="bold")
        for number, chosen in enumerate(_fitting(block, console.width)):
            if number:
                console.print()
            _table(console, block, chosen)


def _item(console: Console, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(f"- {text}"), (0, 0, 0, 2)))


def _widths(table: Table) -> list[int]:
    from rich.cells import cell_len

    return [
        max(cell_len(line) for text in (column.name, *(row[i] for row in table.rows)) for line in text.split("\n"))
        for i, column in enumerate(table.columns)
    ]


def _fitting(table: Table, width: int) -> list[list[int]]:
    """Columns in as many groups as the width asks for, the key columns in each of them."""
    needed = [min(w, NARROWEST) if c.wraps else w for w, c in zip(_widths(table), table.columns, strict=True)]
    keys = list(range(min(table.keys, len(needed))))
    groups, chosen = [], list(keys)
    for i in range(len(keys), len(needed)):
        if len(chosen) > len(keys) and sum(needed[j] + GAP for j in [*chosen, i]) - GAP > width:
            groups.append(chosen)
            chosen = list(keys)
        chosen.append(i)
    return [*groups, chosen]


def _drawn_widths(table: Table, chosen: Sequence[int], width: int) -> list[int]:
    """Characters of each column: what it needs, and for columns of words a share of what the others leave."""
    widths = _widths(table)
    words = sorted((i for i in chosen if table.columns[i].wraps), key=lambda i: widths[i])
    room = width - sum(widths[i] for i in chosen if i not in words) - GAP * (len(chosen) - 1)
    for place, i in enumerate(words):  # narrow ones first: what they do not need is left to the others
        widths[i] = max(min(widths[i], room // (len(words) - place)), 1)
        room -= widths[i]
    return [min(widths[i], width) for i in chosen]


def _table(console: Console, table: Table, chosen: Sequence[int]) -> None:
    from rich.table import Table as RichTable

    drawn = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    widths = _drawn_widths(table, chosen, console.width)
    for i, width in zip(chosen, widths, strict=True):
        drawn.add_column(justify="right" if table.columns[i].right else "left", overflow="fold", width=width)
    drawn.add_row(*(_styled(table.columns[i].name, "bold") for i in chosen))
    drawn.add_row(*("─" * width for width in widths))
    for row in table.rows:
        drawn.add_row(*(_cell(row[i]) for i in chosen))
    console.print(drawn)


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style=style)


def _cell(text: str) -> Text:
    first, _, second = text.partition("\n")
    cell = _styled(first, BADGES.get(first, ""))
    return cell.append(f"\n{second}", style="dim") if second else cell


def _shares(bar: Bar, width: int) -> list[int]:
    """Characters of each part, then of what is free; a part that is not nothing gets at least one."""
    whole = max(bar.capacity.size, sum(part.size for part in bar.parts)) or 1.0
    cells = [max(round(width * part.size / whole), 1 if part.size > 0 else 0) for part in bar.parts]
    while sum(cells) > width:
        cells[cells.index(max(cells))] -= 1
    return [*cells, width - sum(cells)]


def _bar(console: Console, bar: Bar) -> None:
    from rich.text import Text

    console.print(bar.title, style="bold")
    line, legend = Text(), Text()
    cells = _shares(bar, min(console.width - 2, 72))
    for part, cell, fill, colour in zip(bar.parts, cells, FILLS, _COLOURS, strict=False):
        line.append(fill * cell, style=colour)
        legend.append(fill, style=colour).append(f" {part.name} {part.words}   ")
    line.append(FREE * cells[-1], style="dim")
    legend.append(f"{FREE if cells[-1] else '!'} {_left(bar)}")
    console.print(line)
    console.print(legend)


def bar_lines(bar: Bar, width: int) -> tuple[str, str]:
    """A bar of ``width`` characters and its legend, without colour.

    >>> from inferatlas.show.page import Part
    >>> bar_lines(Bar("memory", [Part("weights", 6.0, "6 GB")], Part("capacity", 8.0, "8 GB")), 8)
    ('██████··', '█ weights 6 GB   · capacity 8 GB')
    """
    cells = _shares(bar, width)
    line = "".join(fill * cell for fill, cell in zip(cycle(FILLS), cells[:-1], strict=False)) + FREE * cells[-1]
    parts = [f"{fill} {part.name} {part.words}" for fill, part in zip(cycle(FILLS), bar.parts, strict=False)]
    return line, "   ".join([*parts, f"{FREE if cells[-1] else '!'} {_left(bar)}"])


def _left(bar: Bar) -> str:
    excess = sum(part.size for part in bar.parts) - bar.capacity.size
    return (
        f"more than the {bar.capacity.name}: {bar.capacity.words}"
        if excess > 0
        else f"{bar.capacity.name} {bar.capacity.words}"
    )


def share_bar(share: float, width: int = 20) -> str:
    """A share as a bar of text.

    Examples
    --------
    >>> share_bar(0.5, 8), share_bar(0.01, 8), share_bar(0.0, 8)
    ('████', '▏', '')
    """
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    return "█" * (eighths // 8) + ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]


def to_markdown(page: Page) -> str:
    """A page as Markdown (GitHub tables).

    Examples
    --------
    >>> print(to_markdown([Table("", [Column("name"), Column("W", right=True)], [["h100", "700"]])]))
    | name | W |
    | --- | ---: |
    | h100 | 700 |
    """
    return "\n\n".join(_markdown(block) for block in page) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"# {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Command):
        return f"**{block.title}**\n\n```console\n{block.text}\n```"
    if isinstance(block, Items):
        return "\n".join([f"**{block.title}**", "", *(f"- {text}" for text in block.texts)])
    if isinstance(block, Bar):
        parts = ", ".join(f"{part.name} {part.words}" for part in block.parts)
        return f"**{block.title}**\n\n{parts}; {_left(block)}"
    head = [f"**{block.title}**", ""] if block.title else []
    rule = "| " + " | ".join("---:" if column.right else "---" for column in block.columns) + " |"
    names = _row(column.name.replace("\n", " ") for column in block.columns)
    rows = (_row(map(_one_line, row, block.columns)) for row in block.rows)
    return "\n".join([*head, names, rule, *rows])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _one_line(cell: str, column: Column) -> str:
    first, _, second = cell.partition("\n")
    return cell if not second else f"{first} ({second})" if column.right else f"{first} {second}"


__all__ = ["Column", "bar_lines", "share_bar", "to_markdown", "to_text"]
