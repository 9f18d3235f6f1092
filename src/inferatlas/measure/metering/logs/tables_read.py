"""Our table of readings, and plain power logs, from their files: Parquet and CSV.

In: a path, and of CSV its header. Out: `Rows`, of which `tables_rows.py` makes a `Log`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import UNITS, Quantity
from inferatlas.measure.metering.logs.formats_grid import read_grid
from inferatlas.measure.metering.logs.formats_text import FIELD, KNOWN_FORMS, Header
from inferatlas.measure.metering.logs.formats_told import Told
from inferatlas.measure.metering.logs.formats_tools import DEVICES, HOSTS
from inferatlas.measure.metering.logs.formats_values import Wrong, check_range, read_numbers
from inferatlas.measure.metering.logs.log import NUMBERS, Log
from inferatlas.measure.metering.logs.tables_rows import (
    CODES,
    FACTS,
    FLAGS,
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
HELD = ("remarks", "reasons", "notes")
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

    file = paths[0] if len(paths) == 1 else paths[0].parent

    def refuse(row: int, message: str, column: str, allowed: str) -> BadInput:
        return BadInput(f"row {row + 1:,}: {message}", field=column, allowed=allowed, file=file)

    with _readable(file):
        held = [pl.read_parquet_metadata(path).get(MARK) for path in paths]
        scan = pl.scan_parquet(list(paths), glob=False)
        schema = scan.collect_schema()
    _check_columns(schema, file)
    known = [_known(one, file) for one in held if one]
    # of our own files it is known that facts are constant within a channel: they are read of its first row alone
    keys = ("channel",) if all(held) and "channel" in schema else tuple(one for one in KEYS if one in schema)
    clock = next(one for one in TIMES if one in schema)
    wanted = dict.fromkeys((clock, "timestamp", *keys, *VALUES, "fault"))
    with _readable(file):
        frame = scan.select(_typed(one, "key") for one in wanted if one in schema).collect()
    if not frame.height:
        return Log((), notes=("the log holds no reading",))
    facts = [_typed(one, "fact") for one in FACTS if one in schema]

    def fact(row: int) -> dict[str, Any]:
        with _readable(file):
            return scan.slice(row, 1).select(facts).collect().row(0, named=True) if facts else {}

    values: Columns = {name: frame[name].to_numpy() for name in VALUES if name in schema}
    for name, value in values.items():
        try:
            check_range(value, frame[name], UNITS[name])
        except Wrong as wrong:
            raise refuse(wrong.row, wrong.message, name, wrong.allowed) from None
    code = _codes(frame["fault"], refuse) if "fault" in schema else np.zeros(frame.height, dtype=np.int8)
    log = log_of_rows(Rows(frame, keys, values, dict.fromkeys(values, code), fact, refuse), told)
    return _with_held(log, known)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What polars says against a file is what is wrong with it; from damaged ones it may panic."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = str(error).partition("\n")[0][:200]
        raise BadInput(f"cannot be read: {said}", field=FIELD, allowed=KNOWN_FORMS, file=path) from None


def _check_columns(schema: Mapping[str, pl.DataType], path: Path) -> None:
    """Times and readings are there, and numbers are numbers: a date or a duration cast to one would lose its unit."""
    import polars as pl

    for columns, what in ((TIMES, "times"), (VALUES, "power or energy")):
        if not any(one in schema for one in columns):
            message = f"no column of {what}: {', '.join(schema)[:200]}"
            raise BadInput(message, field=FIELD, allowed=" or ".join(columns), file=path)
    for name, kind in schema.items():
        number = kind.is_numeric() or kind in (pl.String, pl.Null)
        if name in (*TIMES, "channel", *VALUES, *NUMBERS) and not (
            number or (name == "timestamp" and kind == pl.Datetime)
        ):
            allowed = "dates with times, texts or numbers" if name == "timestamp" else "numbers"
            raise BadInput(f"is of type {kind}", field=name, allowed=allowed, file=path)


def _known(text: str, path: Path) -> dict[str, Any]:
    """What our own files keep of the whole log."""
    try:
        held = json.loads(text)
        if held["schema"] == SCHEMA:
            return {name: tuple(str(one) for one in held[name]) for name in HELD}
        message = f"is of schema {held['schema']!r:.20}"
    except (ValueError, TypeError, KeyError):
        message = f"what it says of itself ({MARK}) cannot be read"
    raise BadInput(message, field=FIELD, allowed=f"schema {SCHEMA}", file=path)


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


def _codes(words: pl.Series, refuse: Refuse) -> NDArray[np.int8]:
    """Faults by their codes, 0 where none is named; a code that is not known is refused."""
    code = np.zeros(len(words), dtype=np.int8)
    for word in words.unique().cast(str).drop_nulls().to_list() if words.null_count() < len(words) else ():
        where = (words == word).fill_null(False).to_numpy()
        if word not in CODES:
            raise refuse(int(np.flatnonzero(where)[0]), f"'{word[:40]}' is no fault", "fault", ", ".join(CODES))
        code[where] = CODES[word]
    return code


def _with_held(log: Log, held: Sequence[Mapping[str, tuple[str, ...]]]) -> Log:
    joined = {name: tuple(dict.fromkeys((*chain(*(one[name] for one in held)), *getattr(log, name)))) for name in HELD}
    return replace(log, **joined)


# CSV


def read_csv(path: Path, header: Header, told: Told) -> Log:
    """A table in CSV.

    Raises
    ------
    BadInput : a value that is wrong or a row that is not whole, with its line; a column given twice.
    """
    import polars as pl

    clock = next(name for name in TIMES if name in header.names)
    names = [name for name in header.names if name in (clock, "timestamp", *KEYS, *VALUES, "fault")]
    for name in names:
        if names.count(name) > 1:
            raise BadInput("is given twice", field=name, allowed="one column of a name", file=path, line=header.line)
    grid = read_grid(path, header, {name: _csv_type(name) for name in names})

    def refuse(row: int, message: str, column: str, allowed: str) -> BadInput:
        return grid.wrong(row, message, column=column, allowed=allowed)

    values: Columns = {}
    faults: Columns = {}
    columns: dict[str, pl.Series] = {}
    constant: dict[str, Any] = {}
    for name in names:
        cells = grid.column(name)
        if name in VALUES:
            try:
                values[name], faults[name] = read_numbers(cells, UNITS[name])
            except Wrong as wrong:
                raise grid.refused(name, wrong) from None
        elif name in FACTS and name != "device" and cells.n_unique() == 1:  # in a column of its own it would cost
            constant[name] = _typed_texts(cells.head(1), name, refuse)[0]
        else:
            columns[name] = _typed_texts(cells, name, refuse)
    if "fault" in columns:
        said = _codes(columns.pop("fault"), refuse)
        faults = {name: np.where(said == 0, fault, said) for name, fault in faults.items()}
    frame, varying = pl.DataFrame(columns), [name for name in FACTS if name in columns]

    def fact(row: int) -> dict[str, Any]:
        return constant | {name: frame[name][row] for name in varying}

    keys = tuple(name for name in KEYS if name in columns)
    return log_of_rows(Rows(frame, keys, values, faults, fact, refuse, grid.notes), told)


def _csv_type(name: str) -> Any:
    import polars as pl

    if name in ("t_ns", "channel"):
        return pl.Int64
    if name in (*VALUES, "time_s"):
        return pl.Float64
    return pl.Categorical if name in (*FACTS, "fault") else pl.String


def _typed_texts(cells: pl.Series, name: str, refuse: Refuse) -> pl.Series:
    """Texts as the column's type, null where they are empty."""
    import polars as pl

    if cells.dtype.is_numeric():
        return cells.alias(name)
    texts = pl.select(pl.when(cells != "").then(cells)).to_series().alias(name)
    if name in FLAGS:
        allowed = "true, false or nothing"
        typed = texts.cast(pl.String).replace_strict(
            {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
        )
    elif name in (*NUMBERS, "t_ns", "channel"):
        allowed = "a number" if name in NUMBERS else "a whole number"
        typed = texts.cast(pl.String).cast(pl.Float64 if name in NUMBERS else pl.Int64, strict=False)
    else:
        return texts
    odd = (typed.is_null() & texts.is_not_null()).to_numpy()
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise refuse(row, f"'{texts[row][:40]}' cannot be read", name, allowed)
    return typed
