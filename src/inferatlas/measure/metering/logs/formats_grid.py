"""Rows of text files as texts, each with its line.

In: a path, and where its header stands. Out: a `Grid`. Nothing is read as a number here; what can only be a row that
was cut off at the end of the file is left out, with a note. CSV of nothing but whole rows, as nearly all of it is, is
split at once, anything else line by line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.logs.formats_text import FIELD, KNOWN_FORMS, Header, cells_of
from inferatlas.measure.metering.logs.formats_values import Wrong

if TYPE_CHECKING:
    import polars as pl

PADDING = " \t\r\ufeff"
_VALUE = re.compile(r"([-+]?\d+)(\.\d*)?(.*)")


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Rows of a file as texts, n of them.

    ``cells`` : one column of stripped texts for every name that was asked for, called by its place: "0", "1", ...
    ``lines`` : shape (n,), of the file.
    """

    path: Path
    header: Header
    cells: pl.DataFrame
    lines: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> pl.Series:
        return self.cells[str(self.header.names.index(name))]

    def wrong(self, row: int, message: str, *, column: str, allowed: str, hint: str | None = None) -> BadInput:
        """What is wrong in a row, with its line."""
        line = int(self.lines[row])
        return BadInput(message, field=column, allowed=allowed, hint=hint, file=self.path, line=line)

    def refused(self, column: str, wrong: Wrong) -> BadInput:
        """A wrong value with its line and column."""
        return self.wrong(wrong.row, wrong.message, column=column, allowed=wrong.allowed, hint=wrong.hint)


def read_grid(path: Path, header: Header, kinds: Mapping[str, Any] | None = None) -> Grid:
    """All rows after the header; repeated headers are left out with a note, and so is a last row that was cut off.

    Parameters
    ----------
    kinds : names of the columns that will be asked for, and types of polars that these come in where nothing else
        stands in them, null where they are empty; None for all columns, as texts.

    Raises
    ------
    BadInput : text that is not UTF-8; a row with more or fewer values than the header; no row at all.
    """
    import polars as pl

    if header.layout != "csv":
        return _checked(*_line_by_line(path, header))
    texts = dict.fromkeys(header.names if kinds is None else kinds, pl.String)
    # of a last line that may have been cut off the text is needed
    ways = [texts] if kinds in (None, texts) or _ends_within_line(path) else [kinds, texts]
    split = next((found for way in ways if (found := _at_once(path, header, way))), None)
    return _checked(*(split or _line_by_line(path, header)))


def _at_once(path: Path, header: Header, kinds: Mapping[str, Any]) -> tuple[Grid, NDArray[np.int64]] | None:
    """Rows of CSV where every line after the header is a whole row; None where one is not, or is of other kinds."""
    import polars as pl

    width = len(header.names)
    last = str(width - 1)
    schema = {str(n): kinds.get(name, pl.String) for n, name in enumerate(header.names)}
    places = [str(n) for n, name in enumerate(header.names) if name in kinds or n == width - 1]
    all_columns = pl.QueryOptFlags(projection_pushdown=False)  # else rows that are too long pass
    try:
        scan = pl.scan_csv(
            path, separator=header.separator, has_header=False, skip_lines=header.line, schema=schema, glob=False
        )
        texts = pl.col(pl.String).str.strip_chars(PADDING)
        cells = scan.select(places).with_columns(texts).collect(optimizations=all_columns)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a row that is too long, another encoding
        return None
    # a value that spans lines makes fewer rows than lines, and a row that is too short ends without a value
    if cells.height != _line_count(path) - header.line or not cells.height or cells[last].null_count():
        return None
    if not schema[last].is_numeric() and (cells[last] == header.names[-1]).any():  # the header again
        return None
    few = [cells[place].unique().cast(pl.String) for place in places if schema[place] == pl.Categorical]
    if any((one != one.str.strip_chars(PADDING)).any() for one in few):
        return None
    if True in chain(*cells.select(pl.col(pl.String).str.starts_with('"').any()).rows()):  # quoted after a space
        return None
    lines = np.arange(header.line + 1, header.line + 1 + cells.height)
    grid = Grid(path, header, cells.with_columns(pl.col(pl.String).fill_null("")), lines, _before(header))
    return grid, np.full(cells.height, width)


def _line_count(path: Path) -> int:
    with path.open("rb") as file:
        many, end = 0, b"\n"
        while part := file.read(1 << 20):
            many, end = many + part.count(b"\n"), part[-1:]
    return many + (end != b"\n")


def _before(header: Header) -> tuple[str, ...]:
    return () if header.line == 1 else (f"lines before the header that are not read: {header.line - 1:,}",)


def _line_by_line(path: Path, header: Header) -> tuple[Grid, NDArray[np.int64]]:
    """Rows of any layout with how many values each has, whatever else stands between them."""
    texts = _lines(path)
    lines = np.arange(1, len(texts) + 1)
    keep = (texts != "").to_numpy()
    keep[: header.line if header.layout != "pairs" else header.line - 1] = False
    again = _repeats(texts, header) & keep
    keep &= ~again
    notes = list(_before(header))
    if header.layout == "csv" and again.any():
        notes.append(f"headers that came again: {int(again.sum()):,}, the first in line {int(lines[again][0]):,}")
    texts, lines = texts.filter(keep), lines[keep]
    if not len(texts):
        raise BadInput("holds no reading", field=FIELD, allowed="a row or more", file=path, line=header.line)
    cells, widths = {"csv": _split_csv, "spaced": _split_spaced, "pairs": _split_pairs}[header.layout](texts, header)
    return Grid(path, header, cells, lines, tuple(notes)), widths


def _lines(path: Path) -> pl.Series:
    import polars as pl

    try:
        texts = pl.read_csv(
            path, has_header=False, separator="\x1f", quote_char=None, schema={"text": pl.String}, glob=False
        )["text"]
    except (pl.exceptions.PolarsError, OSError):
        raise _not_utf8(path) from None
    return texts.fill_null("").str.strip_chars(PADDING)


def _not_utf8(path: Path) -> BadInput:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                return BadInput("is not UTF-8 text", field=FIELD, allowed=KNOWN_FORMS, file=path, line=number)
    return BadInput("cannot be split into lines", field=FIELD, allowed=KNOWN_FORMS, file=path)


def _repeats(texts: pl.Series, header: Header) -> NDArray[np.bool_]:
    """Lines that say the header again: of a logger that was started again, or every few rows as ``dmon`` does."""
    if header.layout == "pairs":
        return np.zeros(len(texts), dtype=bool)
    if header.layout == "csv":
        return (texts == texts[header.line - 1]).to_numpy()
    units = rf"^(?:\S+\s+){{{header.before}}}I[Dd]\b"  # the second line of dcgmi's, under "#Entity"
    return (texts.str.contains("#", literal=True) | texts.str.contains(units)).to_numpy()


def _split_csv(texts: pl.Series, header: Header) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Cells, and how many each row has; quotes are rare and take the slow way."""
    import polars as pl

    width = len(header.names)
    if texts.str.contains('"', literal=True).any():
        rows = [cells_of(text, header.separator) for text in texts.to_list()]  # line by line: none spans two
        found = np.array([len(row) for row in rows])
        full = [(row + [""] * width)[:width] for row in rows]
        return pl.DataFrame({str(n): [row[n] for row in full] for n in range(width)}), found
    found = texts.str.count_matches(header.separator, literal=True).to_numpy() + 1
    parts = texts.str.split_exact(header.separator, width - 1).struct.rename_fields([str(n) for n in range(width)])
    return _stripped(parts.struct.unnest()), found


def _split_spaced(texts: pl.Series, header: Header) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Cells between spaces; the entity of dcgmi, "GPU 0", is one of them."""
    import polars as pl

    width = len(header.names)
    entity = rf"^((?:\S+\s+){{{header.before}}})([A-Z][\w-]*)\s+(\d+)(\s|$)"
    parts = texts.str.replace(entity, "${1}${2}\u00a0${3}${4}").str.extract_all(r"[^ \t]+")
    cells = {str(n): parts.list.get(n, null_on_oob=True).str.replace("\u00a0", " ") for n in range(width)}
    return _stripped(pl.DataFrame(cells)), parts.list.len().cast(pl.Int64).to_numpy()


def _split_pairs(texts: pl.Series, header: Header) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Values of names that every row repeats; a row with other names has no width."""
    import polars as pl

    width = len(header.names)
    parts = texts.str.split_exact(",", 2 * width - 1).struct.unnest()
    same = pl.all_horizontal(pl.nth(2 * n) == name for n, name in enumerate(header.names))
    found = (texts.str.count_matches(",", literal=True).cast(pl.Int64) + 1) // 2
    cells = parts.select(pl.nth(2 * n + 1).alias(str(n)) for n in range(width))
    return _stripped(cells), (found * parts.select(same.fill_null(False)).to_series().cast(pl.Int64)).to_numpy()


def _stripped(cells: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    return cells.select(pl.all().fill_null("").str.strip_chars(' \t"'))


# The end of the file


def _ends_within_line(path: Path) -> bool:
    """The last line has no line break: it may have been cut off."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _checked(grid: Grid, widths: NDArray[np.int64]) -> Grid:
    """Every row as wide as the header; a last one without its end is left out where it may have been cut off."""
    odd = np.flatnonzero(widths != len(grid.header.names))
    last = len(widths) - 1
    if _ends_within_line(grid.path) and (last in odd or (last and _cut(grid.cells.to_series(-1)))):
        line = int(grid.lines[last])
        note = f"line {line:,} has no end and seems cut off: left out (if it is whole, end it with a line break)"
        grid = Grid(grid.path, grid.header, grid.cells.head(last), grid.lines[:last], (*grid.notes, note))
        odd = odd[odd < last]
    if not grid.cells.height:
        raise BadInput(
            "holds no reading", field=FIELD, allowed="a whole row or more", file=grid.path, line=grid.header.line
        )
    if odd.size:
        row = int(odd[0])
        pairs = grid.header.layout == "pairs" and not widths[row]
        message = "names other values than the first row" if pairs else f"{int(widths[row])} values in a row"
        raise grid.wrong(row, message, column=FIELD, allowed=f"{len(grid.header.names)}, as in the header")
    return grid


def _cut(values: pl.Series) -> bool:
    """The last value lacks decimals, a digit or the unit of the one before it, or is a word that did not come yet."""
    before, this = (_VALUE.fullmatch(values[n]) for n in (-2, -1))
    if before is None or this is None:
        return values[-1] not in values.head(len(values) - 1)
    (whole, decimals, unit), (whole_before, decimals_before, unit_before) = this.groups(""), before.groups("")
    if len(decimals) < len(decimals_before) or unit != unit_before:
        return True
    return not decimals and not unit and 5 * abs(float(whole)) < abs(float(whole_before))
