"""Is a ledger complete: every number of a paper's text in a claim, in a table's cell, or left out with a reason.

Also the reverse: every quotation and every cell must be printed in the paper as the ledger has it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inferatlas.documents import read_text
from inferatlas.studies.claims.ledger import Ledger, ledger
from inferatlas.studies.claims.wording import Line, Wording, normalise, numbers, occurrences, word

_AROUND = 60  # characters of context on either side


@dataclass(frozen=True, slots=True)
class Quotation:
    """A quotation and whose it is: ``claim energy-ratio`` or ``left-out``."""

    of: str
    quote: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table in the ledger: ``id`` is ``table-1/nvidia-h100``, ``cells`` by column in print order."""

    id: str
    title: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a ledger stands in the paper: quotations of claims, rows of tables, what is left out."""

    claims: tuple[Quotation, ...] = ()
    rows: tuple[Row, ...] = ()
    left_out: tuple[Quotation, ...] = ()
    patterns: tuple[str, ...] = ()  # left out too: regular expressions, matched against single normalised lines


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A number of the paper that the ledger does not have."""

    line: int
    number: str
    context: str


@dataclass(frozen=True, slots=True)
class Completeness:
    """Result: all three empty when the ledger is complete.

    ``idle``: quotations and patterns of left-out that no number stands in.
    """

    uncovered: tuple[Uncovered, ...]
    misquoted: tuple[Quotation, ...]
    idle: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.uncovered or self.misquoted or self.idle)


@dataclass(slots=True)
class _Cover:
    """Which characters of the text are covered."""

    wording: Wording
    mask: bytearray = field(init=False)

    def __post_init__(self) -> None:
        self.mask = bytearray(len(self.wording.text))

    def add(self, spans: Iterable[tuple[int, int]]) -> bool:
        """Cover spans; whether there were any."""
        some = False
        for start, end in spans:
            self.mask[start:end] = b"\x01" * (end - start)
            some = True
        return some

    def has(self, start: int, end: int) -> bool:
        return all(self.mask[start:end])


def check(paper: str, parts: Parts) -> Completeness:
    """Compare a paper's text with its ledger, both ways.

    A line whose cells are separated by tabs is a row of a table: the ledger's row of that title, and of several the
    one that fits best, covers it cell by cell, in print order.

    Examples
    --------
    >>> text = "Table 1 has 2 chips of 40 GB.\\nA\\t7nm\\t300\\nB\\t5nm\\t400\\nReferences\\n[1] 1999"
    >>> parts = Parts((Quotation("claim memory", "chips of 40 GB"),),
    ...               (Row("table-1/a", "A", {"node": "7nm", "power": "300"}),), (), ("^Table 1",))
    >>> [(one.line, one.number) for one in check(text, parts).uncovered]
    [(1, '2'), (3, '5'), (3, '400')]
    """
    wording = word(paper)
    cover = _Cover(wording)
    missed = list(_cover_rows(cover, parts.rows))
    missed += [one for one in parts.claims if not cover.add(occurrences(normalise(one.quote), wording.text))]
    idle: list[str] = []
    for one in parts.left_out:
        spans = list(occurrences(normalise(one.quote), wording.text))
        if not cover.add(spans):
            missed.append(one)
        elif not _has_number(wording, spans):
            idle.append(one.quote)
    for pattern in parts.patterns:
        spans = list(_matches(pattern, wording))
        cover.add(spans)
        if not _has_number(wording, spans):
            idle.append(pattern)
    return Completeness(tuple(_uncovered(cover)), tuple(missed), tuple(idle))


def _uncovered(cover: _Cover) -> Iterable[Uncovered]:
    text = cover.wording.text
    for line in cover.wording.lines:
        for start, end in _numbers_of(line):
            if not cover.has(start, end):
                yield Uncovered(line.number, text[start:end], text[max(0, start - _AROUND) : end + _AROUND])


def _numbers_of(line: Line) -> Iterable[tuple[int, int]]:
    """The numbers of a line as spans of the whole text, cell by cell: no number reaches over a tab."""
    start = line.start
    for cell in filter(None, line.cells):
        yield from ((start + first, start + last) for first, last in numbers(cell))
        start += len(cell) + 1


def _matches(pattern: str, wording: Wording) -> Iterable[tuple[int, int]]:
    for line in wording.lines:
        yield from ((line.start + m.start(), line.start + m.end()) for m in re.finditer(pattern, line.text))


def _has_number(wording: Wording, spans: Iterable[tuple[int, int]]) -> bool:
    return any(True for start, end in spans for _ in numbers(wording.text[start:end]))


def _cover_rows(cover: _Cover, rows: Sequence[Row]) -> Iterable[Quotation]:
    """Cover the printed rows by the ledger's; yields the cells, and the rows, that are not printed so."""
    best: dict[str, tuple[Line, dict[str, tuple[int, int]]]] = {}
    by_title: dict[str, list[Row]] = {}
    for row in rows:
        by_title.setdefault(normalise(row.title), []).append(row)
    for line in cover.wording.lines:
        if len(line.cells) < 2 or line.cells[0] not in by_title:
            continue
        fits = [(row, _fit(row, line)) for row in by_title[line.cells[0]]]
        row, found = max(fits, key=lambda fit: (_share(*fit), len(fit[1])))
        cover.add([(line.start, line.start + len(line.cells[0])), *found.values()])
        if row.id not in best or len(found) > len(best[row.id][1]):
            best[row.id] = (line, found)
    for row in rows:
        if row.id not in best:
            yield Quotation(f"row {row.id}", row.title)
            continue
        found = best[row.id][1]
        lacking = ((name, cell) for name, cell in row.cells.items() if cell and name not in found)
        yield from (Quotation(f"cell {row.id}/{name}", cell) for name, cell in lacking)


def _share(row: Row, found: Mapping[str, tuple[int, int]]) -> float:
    """How much of what the row states was found; a row that states nothing is found wherever its title is."""
    stated = sum(bool(cell) for cell in row.cells.values())
    return len(found) / stated if stated else 1.0


def _fit(row: Row, line: Line) -> dict[str, tuple[int, int]]:
    """Which cells of the row the line prints, and where: in order, each after the one before.

    A value that stands for several columns ("1.8 PFLOPS FP8 / BF16") is printed once.
    """
    found: dict[str, tuple[int, int]] = {}
    starts, at = [], line.start
    for cell in line.cells:
        starts.append(at)
        at += len(cell) + 1 if cell else 0
    index, after, last = 1, 0, ("", (0, 0))  # the printed cell, how far into it, and the value before
    for name, cell in row.cells.items():
        wanted = normalise(cell)
        for place in range(index, len(line.cells)):
            offset = after if place == index else 0
            spans = [span for span in _within(wanted, line.cells[place]) if span[0] >= offset]
            if spans:
                index, after = place, spans[0][1]
                found[name] = (starts[place] + spans[0][0], starts[place] + spans[0][1])
                last = (wanted, found[name])
                break
        else:
            if wanted and wanted == last[0]:
                found[name] = last[1]
    return found


def _within(wanted: str, printed: str) -> list[tuple[int, int]]:
    return list(occurrences(wanted, printed, of_number=wanted[-1:].isdigit())) if wanted else []


def parts_of(book: Ledger) -> Parts:
    """What of a ledger stands in the paper."""
    own = [claim for claim in book.claims.values() if claim.quotes]
    return Parts(
        tuple(Quotation(f"claim {claim.id}", quote) for claim in own for quote in claim.quotes),
        tuple(
            Row(
                f"{table.id}/{row.id}",
                row.title,
                {key: row.cells[key].text for key in table.columns if key in row.cells},
            )
            for table in book.tables.values()
            for row in table.rows.values()
        ),
        tuple(Quotation("left-out", quote) for entry in book.left_out for quote in entry.quotes),
        tuple(pattern for entry in book.left_out for pattern in entry.patterns),
    )


def main(paper: str, text_file: str) -> None:
    """Print what is not covered, misquoted or idle: ``python -m … sharma-2025 /path/to/sharma-2025.txt``."""
    result = check(read_text(text_file), parts_of(ledger(paper)))
    for one in result.uncovered:
        print(f"{text_file}:{one.line}: not covered: {one.number}   … {one.context} …")
    for one in result.misquoted:
        print(f"not printed in the paper: {one.of}: {one.quote}")
    for one in result.idle:
        print(f"left out, but no number stands in it: {one}")
    print(f"{len(result.uncovered)} uncovered, {len(result.misquoted)} misquoted, {len(result.idle)} idle")


if __name__ == "__main__":
    main(*sys.argv[1:])
