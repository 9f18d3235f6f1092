"""Our table of readings, and plain power logs, from their files: Parquet, and CSV the fast way and the careful way.

In: a path, and of CSV its header. Out: `Rows`, of which `tables_rows.py` makes a `Log`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Quantity
from inferatlas.measure.metering.logs.formats_text import (
    FIELD,
    KNOWN_FORMS,
    Grid,
    Header,
    ends_within_line,
    read_grid,
)
from inferatlas.measure.metering.logs.formats_told import Told
from inferatlas.measure.metering.logs.formats_tools import DEVICES, HOSTS
from inferatlas.measure.metering.logs.formats_values import Wrong, read_numbers
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables_rows import (
    CODES,
    FACTS,
    FLAGS,
    NUMBERS,
    TIMES,
    VALUES,
    Refuse,
    Rows,
    log_of_rows,
)

if TYPE_CHECKING:
    import polars as pl

SCHEMA = 1
MARK = "inferatlas.power"  # in our own Parquet files: what holds for the whole log, and that facts are constant
KEYS = ("channel", *FACTS)
Columns = dict[Quantity, NDArray[Any]]


def is_ours(header: Header) -> bool:
    """Times and readings by our names, of devices by our names or of one: our own table or a plain power log."""
    names = set(header.names)
    others = (*HOSTS, *(() if "device" in names else DEVICES))
    by_others = "channel" not in names and not names.isdisjoint(others)
    return header.layout == "csv" and not by_others and not names.isdisjoint(VALUES) and not names.isdisjoint(TIMES)


# Parquet


def read_parquet(paths: Sequence[Path], told: Told) -> Log:
    """A table in Parquet, or in parts that follow each other.

    Raises
    ------
    BadInput : a file that is not whole, without times or readings, or with a value that is wrong, with its row.
    """
    import polars as pl

    def refuse(row: int, message: str, column: str, allowed: str) -> BadInput:
        return BadInput(f"row {row + 1:,}: {message}", field=column, allowed=allowed, file=paths[0])

    try:
        held = [pl.read_parquet_metadata(path).get(MARK) for path in paths]
        scan = pl.scan_parquet(list(paths), glob=False)
        names = scan.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, paths[0]) from None
    _check_columns(names, paths[0])
    # of our own files it is known that facts are constant within a channel: they are read of its first row alone
    keys = ("channel",) if all(held) else tuple(one for one in KEYS if one in names)
    clock = next(one for one in TIMES if one in names)
    wanted = dict.fromkeys((clock, "timestamp", *keys, *VALUES, "fault"))
    frame = _collected(scan.select(_typed(one, "key") for one in wanted if one in names), paths[0])
    if not frame.height:
        return Log((), notes=("the log holds no reading",))
    facts = [_typed(one, "fact") for one in FACTS if one in names]

    def fact(row: int) -> dict[str, Any]:
        return _collected(scan.slice(row, 1).select(facts), paths[0]).row(0, named=True) if facts else {}

    values, faults = _values(frame, refuse)
    log = log_of_rows(Rows(frame, keys, values, faults, fact, refuse), told)
    return _with_held(log, [json.loads(one) for one in held if one])


def _collected(scan: pl.LazyFrame, path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        return scan.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(error, path) from None


def _unreadable(error: Exception, path: Path) -> BadInput:
    said = str(error).partition("\n")[0]
    return BadInput(f"cannot be read: {said}", field=FIELD, allowed=KNOWN_FORMS, file=path)


def _check_columns(names: Sequence[str], path: Path) -> None:
    for columns, what in ((TIMES, "times"), (VALUES, "power or energy")):
        if not any(one in names for one in columns):
            message = f"no column of {what}: {', '.join(names)[:200]}"
            raise BadInput(message, field=FIELD, allowed=" or ".join(columns), file=path)


def _typed(name: str, use: Literal["key", "fact"]) -> pl.Expr:
    """A column as it is used: words that name channels as categories, of which a row holds but a number."""
    import polars as pl

    column = pl.col(name)
    if name == "timestamp":
        return column
    if name in ("t_ns", "channel"):
        return column.cast(pl.Int64)
    if name in FLAGS:
        return column.cast(pl.Boolean)
    if name in (*NUMBERS, *VALUES, "time_s"):
        return column.cast(pl.Float64)
    return column.cast(pl.String).cast(pl.Categorical) if use == "key" else column.cast(pl.String)


def _values(frame: pl.DataFrame, refuse: Refuse) -> tuple[Columns, Columns]:
    """Values and faults of every quantity; a code that is not known, and a number without end, are refused."""
    import polars as pl

    code = np.zeros(frame.height, dtype=np.int8)
    if "fault" in frame.columns and frame["fault"].null_count() < frame.height:
        words = frame["fault"].cast(pl.String)
        for word in words.drop_nulls().unique().to_list():
            where = (words == word).fill_null(False).to_numpy()
            if word not in CODES:
                raise refuse(int(np.flatnonzero(where)[0]), f"'{word}' is no fault", "fault", ", ".join(CODES))
            code[where] = CODES[word]
    values: Columns = {name: frame[name].to_numpy() for name in VALUES if name in frame.columns}
    for name, value in values.items():
        if (endless := np.isinf(value)).any():
            raise refuse(int(np.flatnonzero(endless)[0]), "is not finite", name, "a number, or nothing")
    return values, dict.fromkeys(values, code)


def _with_held(log: Log, held: list[dict[str, Any]]) -> Log:
    """With what our own files keep of the whole log."""

    def joined(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(one for each in held for one in each[name]), *getattr(log, name))))

    return Log(log.series, log.unix_ns, joined("remarks"), joined("reasons"), joined("notes"))


# CSV


def read_csv(path: Path, header: Header, told: Told) -> Log:
    """A table in CSV.

    Raises
    ------
    BadInput : a value that is wrong or a row that is not whole, with its line; a column given twice.
    """
    return _read_fast(path, header, told) or _read_careful(read_grid(path, header), told)


class _Careful(Exception):
    """Something is wrong, and in which line has to be found out."""


def _read_fast(path: Path, header: Header, told: Told) -> Log | None:
    """CSV that holds nothing but numbers where numbers are; None for any other, which is read with care."""
    import polars as pl

    def refuse(row: int, message: str, column: str, allowed: str) -> BadInput:
        raise _Careful

    names = header.names
    if header.line != 1 or len(set(names)) < len(names) or ends_within_line(path):
        return None
    used = [name for name in names if name in (*TIMES, *KEYS, *VALUES, "fault") or name == names[-1]]
    types = {name: _csv_type(name) for name in used}
    try:
        frame = pl.read_csv(path, separator=header.separator, columns=used, schema_overrides=types, glob=False)
    except pl.exceptions.PolarsError:
        return None
    if not frame.height or frame[names[-1]].null_count():  # a row that is too short ends with null
        return None
    try:
        return log_of_rows(_rows(frame, *_values(frame, refuse), refuse), told)
    except _Careful:
        return None


def _csv_type(name: str) -> Any:
    import polars as pl

    if name in ("t_ns", "channel"):
        return pl.Int64
    if name in (*NUMBERS, *VALUES, "time_s"):
        return pl.Float64
    if name in FLAGS:
        return pl.Boolean
    return pl.Categorical if name in (*FACTS, "fault") else pl.String


def _rows(frame: pl.DataFrame, values: Columns, faults: Columns, refuse: Refuse, notes: tuple[str, ...] = ()) -> Rows:
    facts = [_typed(one, "fact") for one in FACTS if one in frame.columns]
    keys = tuple(one for one in KEYS if one in frame.columns)

    def fact(row: int) -> dict[str, Any]:
        return frame[row].select(facts).row(0, named=True) if facts else {}

    return Rows(frame, keys, values, faults, fact, refuse, notes)


def _read_careful(grid: Grid, told: Told) -> Log:
    """CSV with whatever else can stand in it: N/A, repeated headers, units, a last line that was cut off."""
    import polars as pl

    def refuse(row: int, message: str, column: str, allowed: str) -> BadInput:
        return grid.wrong(row, message, column=column, allowed=allowed)

    columns: dict[str, pl.Series] = {}
    missing: Columns = {}
    for name in grid.header.names:
        if name not in (*TIMES, *KEYS, *VALUES, "fault"):
            continue
        if grid.header.names.count(name) > 1:
            line = grid.header.line
            raise BadInput("is given twice", field=name, allowed="one column of a name", file=grid.path, line=line)
        cells = grid.column(name)
        if name in VALUES:
            try:
                value, missing[name] = read_numbers(cells, "W" if name == "power_w" else "J")
            except Wrong as wrong:
                raise grid.wrong(
                    wrong.row, wrong.message, column=name, allowed=wrong.allowed, hint=wrong.hint
                ) from None
            columns[name] = pl.Series(name, value).fill_nan(None)
        else:
            columns[name] = _cast(cells, name, refuse)
    frame = pl.DataFrame(columns)
    values, faults = _values(frame, refuse)
    faults: Columns = {name: np.where(faults[name] == 0, missing[name], faults[name]) for name in values}
    return log_of_rows(_rows(frame, values, faults, refuse, grid.notes), told)


def _cast(cells: pl.Series, name: str, refuse: Refuse) -> pl.Series:
    """Texts as the column's type, null where they are empty."""
    import polars as pl

    texts = pl.select(pl.when(cells != "").then(cells)).to_series().alias(name)
    if name in FLAGS:
        typed = texts.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    elif name in ("t_ns", "channel"):
        typed = texts.cast(pl.Int64, strict=False)
    elif name in NUMBERS:
        typed = texts.cast(pl.Float64, strict=False)
    else:
        return texts
    odd = (typed.is_null() & texts.is_not_null()).to_numpy()
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        allowed = "true, false or nothing" if name in FLAGS else "a number" if name in NUMBERS else "a whole number"
        raise refuse(row, f"'{texts[row][:40]}' cannot be read", name, allowed)
    return typed
