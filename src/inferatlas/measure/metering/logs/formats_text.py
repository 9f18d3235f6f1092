"""Text files of readings: their first lines, and their rows as texts, each with its line.

In: a path, and where its header stands. Out: a `Grid`. Nothing is read as a number here; what can only be a row that
was cut off at the end of the file is left out, with a note.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

Layout = Literal["csv", "spaced", "pairs"]
FIELD = "log"
HEAD_BYTES, HEAD_LINES = 65_536, 40
KNOWN_FORMS = "CSV or Parquet as written by inferatlas, CSV with times and power_w, logs of nvidia-smi, dcgmi dmon, "
KNOWN_FORMS += "amd-smi, rocm-smi, xpu-smi, hl-smi, SPEC PTDaemon, or CSV with columns such as 'Power (W)'"
NOT_TEXT = {  # files that are not text, by their first bytes: what they are, and what to do
    b"\x1f\x8b": ("is compressed with gzip", "decompress it first: gunzip --keep FILE"),
    b"\x28\xb5\x2f\xfd": ("is compressed with Zstandard", "decompress it first: zstd --decompress FILE"),
    b"PK\x03\x04": ("is a ZIP archive", "unpack it first: unzip FILE"),
    b"\xff\xfe": ("is UTF-16 text", "save it as UTF-8; in PowerShell: Get-Content FILE | Out-File -Encoding utf8 NEW"),
    b"\xfe\xff": ("is UTF-16 text", "save it as UTF-8; in PowerShell: Get-Content FILE | Out-File -Encoding utf8 NEW"),
}
_VALUE = re.compile(r"([-+]?\d+)(\.\d*)?(.*)")


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header of a file stands and how its rows split.

    ``names`` : of the columns, stripped. ``line`` : counts from 1. ``separator`` : of CSV. ``before`` : of ``spaced``,
    how many of the columns stand before the tool's own: times that another program put there.
    """

    names: tuple[str, ...]
    line: int
    layout: Layout
    separator: str = ","
    before: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Rows of a file as texts, n of them; ``cells`` : one column of stripped texts per name, called "0", "1", ..."""

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


# The first lines


def head(path: Path) -> list[tuple[int, str]]:
    """The first lines that are not blank, with their numbers; what is not text is refused.

    Raises
    ------
    BadInput : a file that cannot be read, is empty or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(HEAD_BYTES)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field=FIELD, file=path) from None
    for magic, (message, hint) in NOT_TEXT.items():
        if raw.startswith(magic):
            raise BadInput(message, field=FIELD, allowed=KNOWN_FORMS, hint=hint, file=path)
    if b"\0" in raw:
        raise BadInput("is not text", field=FIELD, allowed=KNOWN_FORMS, file=path)
    text = raw.decode("utf-8-sig", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise BadInput("is empty", field=FIELD, allowed=KNOWN_FORMS, file=path)
    return lines[:HEAD_LINES]


def header_of(line: str, number: int) -> Header:
    """A line read as a header: pairs of names and values, names between spaces after a '#', or CSV.

    Examples
    --------
    >>> header_of('timestamp, index, "power.draw [W]"', 1).names
    ('timestamp', 'index', 'power.draw [W]')
    >>> header_of("12:00:01 # gpu   pwr gtemp", 1).names
    ('timestamp', 'gpu', 'pwr', 'gtemp')
    >>> header_of("Time,12-23-2020 10:21:51.496,Watts,23.4", 1).names
    ('Time', 'Watts')
    """
    text = line.strip(" \t\r\n\ufeff")
    cells = text.split(",")
    if cells[0] == "Time" and len(cells) % 2 == 0 and len(cells) > 3 and cells[2] == "Watts":
        return Header(tuple(cells[::2]), number, "pairs")
    before, mark, names = text.partition("#")
    if mark and "," not in text:
        times = ("timestamp",) if len(before.split()) == 1 else ("date", "time")[: len(before.split())]
        return Header((*times, *names.split()), number, "spaced", before=len(times))
    separator = next((one for one in ";\t," if one in text), ",")
    return Header(tuple(_cells_of(text.lstrip("# "), separator)), number, "csv", separator)


def _cells_of(line: str, separator: str) -> list[str]:
    """The cells of one line of CSV, stripped; none where it is not CSV."""
    try:
        row = next(csv.reader([line.replace("\r", " ")], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]


# All lines


def read_grid(path: Path, header: Header) -> Grid:
    """All rows after the header; repeated headers are left out with a note, and so is a last row that was cut off.

    Raises
    ------
    BadInput : text that is not UTF-8; a row with more or fewer values than the header; no row at all.
    """
    import polars as pl

    texts = _lines(path)
    lines = np.arange(1, len(texts) + 1)
    keep = (texts != "").to_numpy()
    keep[: header.line if header.layout != "pairs" else header.line - 1] = False
    again = _repeats(texts, header) & keep
    keep &= ~again
    notes = [] if header.line == 1 else [f"lines before the header that are not read: {header.line - 1:,}"]
    if header.layout == "csv" and again.any():
        notes.append(f"headers that came again: {int(again.sum()):,}, the first in line {int(lines[again][0]):,}")
    texts, lines = texts.filter(pl.Series(keep)), lines[keep]
    if not len(texts):
        raise BadInput("holds no reading", field=FIELD, allowed="a row or more", file=path, line=header.line)
    cells, widths = {"csv": _split_csv, "spaced": _split_spaced, "pairs": _split_pairs}[header.layout](texts, header)
    grid = Grid(path, header, cells, lines, tuple(notes))
    return _checked(grid, widths, ends_within_line(path))


def _lines(path: Path) -> pl.Series:
    import polars as pl

    try:
        texts = pl.read_csv(
            path, has_header=False, separator="\x1f", quote_char=None, schema={"text": pl.String}, glob=False
        )["text"]
    except (pl.exceptions.PolarsError, OSError):
        raise _not_utf8(path) from None
    return texts.fill_null("").str.strip_chars(" \t\r\ufeff")


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
        rows = [_cells_of(text, header.separator) for text in texts.to_list()]  # line by line: none spans two
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


def ends_within_line(path: Path) -> bool:
    """The last line has no line break: it may have been cut off."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _checked(grid: Grid, widths: NDArray[np.int64], open_end: bool) -> Grid:
    """Every row as wide as the header; a last one without its end is left out where it may have been cut off."""
    odd = np.flatnonzero(widths != len(grid.header.names))
    last = len(widths) - 1
    if open_end and (last in odd or (last and _cut(grid.cells.to_series(-1)))):
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
    return not decimals and not unit and 5 * abs(int(whole)) < abs(int(whole_before))
