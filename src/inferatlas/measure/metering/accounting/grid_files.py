"""Files of measured lengths for `lengths.py`: CSV, JSON Lines or Parquet, read strictly.

In: columns requests, input_tokens, output_tokens, joules and, if it is known, uncertainty_j; others are left alone.
Out: a `Grid`; what is wrong is told with its line.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.documents import read_text
from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.metering.accounting.csv_rows import csv_rows
from inferatlas.measure.metering.accounting.lengths import Grid
from inferatlas.workload.workload import shown

NEEDED = ("requests", "input_tokens", "output_tokens", "joules")
MAYBE = "uncertainty_j"
KNOWN = (*NEEDED, MAYBE)
COUNTS = NEEDED[:3]
KINDS = (".csv", ".jsonl", ".ndjson", ".parquet", ".pq")
MOST = 1e18  # tokens, J: a gigawatt for thirty years; squares of far larger numbers would overflow
Row = tuple[int, dict[str, Any]]  # line (of Parquet: row), and its values


def read_grid(path: str | Path) -> Grid:
    """Read a grid of lengths with the energy of each run.

    Raises
    ------
    BadInput : an unreadable file, a missing column, a value that is no number or out of range, an uncertainty in some
        rows only; with file and line (Parquet: the row, from 1).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "grid.csv")
    ...     _ = path.write_text("requests,input_tokens,output_tokens,joules\\n10,128,1,64.5\\n10,128,256,1100\\n")
    ...     grid = read_grid(path)
    >>> grid.joules.tolist(), grid.uncertainty_j is None
    ([64.5, 1100.0], True)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        raise BadInput(
            f"'{path.suffix or path.name}' is no grid of lengths", field="grid", allowed=", ".join(KINDS), file=path
        )
    rows = list(_csv(path) if suffix == ".csv" else _json(path) if "json" in suffix else _parquet(path))
    if not rows:
        raise BadInput("holds no run", field="grid", allowed="a row per run", file=path)
    stated = rows[0][1].get(MAYBE) not in (None, "")
    columns = KNOWN if stated else NEEDED
    values = np.array([[_number(row, name, path, line) for name in columns] for line, row in rows])
    for line, row in rows:
        if not stated and row.get(MAYBE) not in (None, ""):
            raise BadInput("only some rows state it", field=MAYBE, allowed="all or none", file=path, line=line)
    return Grid(*values.T[:4], uncertainty_j=values[:, 4] if stated else None, name=str(path))


def _csv(path: Path) -> Iterator[Row]:
    names, rows = csv_rows(path, "grid")
    _check_names(names, path, 1)
    return ((line, dict(zip(names, row, strict=True))) for line, row in rows)


def _json(path: Path) -> Iterator[Row]:
    for line, text in enumerate(read_text(path, field="grid").splitlines(), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            raise BadInput("is not JSON", field="grid", allowed="one object per line", file=path, line=line) from None
        if not isinstance(row, dict):
            raise BadInput("is not an object", field="grid", allowed="one object per line", file=path, line=line)
        _check_names(list(row), path, line)
        yield line, row


def _parquet(path: Path) -> Iterator[Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = str(error).partition("\n")[0][:200]
        raise BadInput(f"is not readable as Parquet: {said}", field="grid", file=path) from None
    _check_names(frame.columns, path, None)
    return enumerate(frame.select(name for name in KNOWN if name in frame.columns).iter_rows(named=True), 1)


def _check_names(names: Sequence[str], path: Path, line: int | None) -> None:
    """Every column that is needed, and none that looks like one and is not."""
    for name in names:
        if name not in KNOWN and difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.85):
            raise UnknownName("column", name, KNOWN, file=path, line=line)
    for name in NEEDED:
        if name not in names:
            raise BadInput("is missing", field=name, allowed=f"columns {', '.join(NEEDED)}", file=path, line=line)


def _number(row: dict[str, Any], name: str, path: Path, line: int) -> float:
    value = row.get(name)
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    count = name in COUNTS
    if not (0 < number <= MOST) or (count and (number < 1 or number != int(number))):
        said = "is empty" if value in (None, "") else f"{shown(value)} is out of range"
        allowed = f"a whole number, 1 to {MOST:g}" if count else f"a number above 0, up to {MOST:g}"
        raise BadInput(said, field=name, allowed=allowed, file=path, line=line)
    return number
