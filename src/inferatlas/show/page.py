"""What a command says, block by block, without saying where it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """The answer in one sentence, or the title of a page."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or two; ``quiet`` for what explains the numbers rather than being one."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command line to copy: never broken into lines, whatever the width."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences of one kind."""

    title: str
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: numbers stand right, and only columns of words may be broken into lines (``wraps``)."""

    name: str
    right: bool = False
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts. A cell may have a second line, after a line break: the interval of the first.

    ``keys`` columns from the left name the row; they are repeated where a table is too wide for the page.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    keys: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar: its name, its size, and its size in words."""

    name: str
    size: float
    words: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Parts that share a capacity (same unit); together they may exceed it, and then the bar says so."""

    title: str
    parts: Sequence[Part]
    capacity: Part


Block = Heading | Paragraph | Command | Items | Table | Bar
Page = Sequence[Block]
