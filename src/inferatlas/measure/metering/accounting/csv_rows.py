"""Rows of small CSV files with a header, each with its line: read strictly, wrong with its place."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from inferatlas.documents import read_text
from inferatlas.errors import BadInput


def csv_rows(path: Path, field: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The names of the columns, and the rows with their lines (from 1); empty lines are left out.

    Commas, semicolons or tabs separate. ``field`` names the input in messages.

    Raises
    ------
    BadInput : a file that cannot be read, is not UTF-8, or holds nothing; a name given twice; while rows are drawn, a
        line that is not CSV or has another number of values.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "some.csv")
    ...     _ = path.write_text("a,b\\n1,2\\n\\n3,4\\n")
    ...     header, rows = csv_rows(path, "some")
    >>> header, list(rows)
    (['a', 'b'], [(2, ['1', '2']), (4, ['3', '4'])])
    """
    text = read_text(path, field=field)
    rows = _rows(text, path, field)
    line, header = next(rows, (1, []))
    if not header:
        raise BadInput("is empty", field=field, allowed="a header and rows", file=path, line=line)
    names = [name.strip() for name in header]
    for name in names:
        if names.count(name) > 1:
            raise BadInput("is given twice", field=name, allowed="one column of a name", file=path, line=line)
    return names, rows


def _rows(text: str, path: Path, field: str) -> Iterator[tuple[int, list[str]]]:
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = next((mark for mark in ",;\t" if mark in header), ",")
    reader, width = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True), 0
    while True:
        line = reader.line_num + 1  # a quoted value may span lines: the first one is told
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise BadInput(f"is not CSV: {error}", field=field, file=path, line=line) from None
        if row is None:
            return
        if not any(value.strip() for value in row):
            continue
        width = width or len(row)
        if len(row) != width:
            message, allowed = f"{len(row)} values in a row", f"{width}, as in the header"
            raise BadInput(message, field=field, allowed=allowed, file=path, line=line)
        yield line, row
