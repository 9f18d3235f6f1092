"""Questions in SQL across runs: `runs`, a row per run, and the tables of all records under one name each.

DuckDB reads the tables of records where they lie. A question can read nothing else and change nothing: it must be one
SELECT, and files other than the tables found are closed to it before it runs
(https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.finding import Record
from inferatlas.measure.bench.record.flat import COLUMNS, flat

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLES = ("requests", "power", "server", "events")
SQL_TYPES = {"text": "VARCHAR", "whole": "BIGINT", "number": "DOUBLE", "flag": "BOOLEAN", "texts": "VARCHAR[]"}
MEMORY = "50%"  # of the machine's; a question beyond it ends with a message, since nothing is written to disk
PATTERN = set("*?[")  # in a path DuckDB takes them for a pattern, and a search of folders is closed to questions
ANYTHING = re.compile(r"\b(show|information_schema|pg_\w+|duckdb_\w+|pragma_\w+|sqlite_\w+)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns by name, each a list of plain values; ``remarks``: what was left out of the question.

    Times of day and dates are ISO texts, intervals seconds, decimals floats; NaN and infinities are None.
    """

    columns: dict[str, list[Any]]
    remarks: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True)]


def query(records: Sequence[Record], sql: str) -> Answer:
    """Ask about runs.

    Parameters
    ----------
    records : as `finding.find` gives them. sql : one SELECT (or WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE)
        over ``runs``, ``requests``, ``power``, ``server`` and ``events``; all but the first have a column ``run``.

    Raises
    ------
    BadInput : SQL that DuckDB refuses, with its message and the columns there are; a statement that is no question;
        a question for other files.

    Examples
    --------
    >>> query([], "SELECT count(*) AS runs FROM runs").columns
    {'runs': [0]}
    >>> query([], "COPY runs TO 'x.csv'")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: sql: is no question but COPY (allowed: one SELECT)
    """
    with _opened(records, _named(sql)) as (connection, remarks), _refusing(connection, sql):
        kinds = [one.type.name for one in connection.extract_statements(sql)]
        if len(kinds) != 1:
            raise BadInput(f"{len(kinds)} statements", field="sql", allowed="one SELECT")
        if kinds[0] != "SELECT":  # EXPLAIN ANALYZE would run what it explains
            raise BadInput(f"is no question but {kinds[0]}", field="sql", allowed="one SELECT")
        names, rows = _asked(connection, sql)
        values = list(zip(*rows, strict=True)) or [()] * len(names)
    columns = {name: [plain(one) for one in column] for name, column in zip(names, values, strict=True)}
    return Answer(columns, tuple(remarks))


def _asked(connection: DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows of an answer; Ctrl-C ends the question, which DuckDB on its own does not see before its end."""

    def work() -> tuple[list[str], list[tuple[Any, ...]]]:
        done = connection.execute(sql)
        return _distinct([one[0] for one in done.description or ()]), done.fetchall()

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(work)
        try:
            return asked.result()
        except KeyboardInterrupt:
            while not asked.done():  # one that comes before the work begins is lost
                connection.interrupt()
                wait([asked], timeout=0.05)
            raise


def schema(records: Sequence[Record]) -> Answer:
    """Tables, columns and types that a question may use: columns ``table``, ``column``, ``type``."""
    with _opened(records, TABLES) as (connection, remarks):
        found = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns()"
            " WHERE schema_name = 'main' AND NOT internal ORDER BY list_position(?, table_name), column_index",
            [["runs", *TABLES]],
        ).fetchall()
    names = ("table", "column", "type")
    return Answer({name: [row[i] for row in found] for i, name in enumerate(names)}, tuple(remarks))


def plain(value: Any) -> Any:
    """A value of DuckDB as every format knows it.

    >>> plain(timedelta(milliseconds=1500)), plain(Decimal("0.25")), plain([float("nan")]), plain(date(2026, 11, 29))
    (1.5, 0.25, [None], '2026-11-29')
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value)  # tables have no wider whole numbers
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return str(value)


def _named(sql: str) -> tuple[str, ...]:
    """The tables that a question may mean: opening those that it does not would read every file for nothing."""
    if ANYTHING.search(sql):
        return TABLES
    return tuple(name for name in TABLES if re.search(rf"\b{name}\b", sql, re.IGNORECASE))


@contextmanager
def _opened(records: Sequence[Record], tables: Sequence[str]) -> Iterator[tuple[DuckDBPyConnection, list[str]]]:
    """A database in memory with these tables, closed to everything else."""
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "python_enable_replacements": False,  # variables of this process are no tables
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": MEMORY,
            "temp_directory": "",
        },
    )
    try:
        connection.execute("SET enable_progress_bar = false")
        _make_runs(connection, records)
        remarks: list[str] = []
        allowed: list[str] = []
        for name in tables:
            files = {
                str(path): one.name for one in records if (path := one.path.absolute() / f"{name}.parquet").is_file()
            }
            allowed += _make_view(connection, name, files, remarks)
        connection.execute(f"SET allowed_paths = {_list(allowed)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection, remarks
    finally:
        connection.close()


def _make_runs(connection: DuckDBPyConnection, records: Sequence[Record]) -> None:
    columns = ", ".join(f'"{name}" {SQL_TYPES[kind]}' for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE runs ({columns})")
    connection.execute("CREATE SCHEMA hidden; CREATE TABLE hidden.files (file VARCHAR, run VARCHAR)")
    rows = [list(flat(one).values()) for one in records]
    if rows:
        # one list per column: a statement for each row would cost a millisecond each
        cells = ", ".join(f"unnest(?::{SQL_TYPES[kind]}[])" for kind in COLUMNS.values())
        connection.execute(f"INSERT INTO runs SELECT {cells}", [list(column) for column in zip(*rows, strict=True)])


def _make_view(connection: DuckDBPyConnection, name: str, files: dict[str, str], remarks: list[str]) -> list[str]:
    """A view over the same table of all records, columns united by name; the files that it reads."""
    import duckdb

    odd = [file for file in files if PATTERN & set(file)]
    remarks += [
        f"{file} left out: DuckDB takes one of {' '.join(sorted(PATTERN))} in a path for a pattern" for file in odd
    ]
    good = [file for file in files if file not in odd]
    try:
        _view(connection, name, good, files)
    except duckdb.Error:
        bad = {file: why for file in good if (why := _trouble(connection, file)) is not None}
        remarks += [f"{file} left out: {why}" for file, why in bad.items()]
        good = [file for file in good if file not in bad]
        with _refusing(connection, name):
            _view(connection, name, good, files)
    return good


def _view(connection: DuckDBPyConnection, name: str, good: list[str], files: dict[str, str]) -> None:
    if not good:
        connection.execute(f"CREATE VIEW {name} AS SELECT NULL::VARCHAR AS run WHERE false")
        return
    read = f"read_parquet({_list(good)}, union_by_name = true, filename = true)"
    connection.execute(
        f"CREATE VIEW {name} AS SELECT f.run, t.* EXCLUDE (filename)"
        f" FROM {read} t JOIN hidden.files f ON t.filename = f.file"
    )
    known = [good, [files[one] for one in good]]
    connection.execute("INSERT INTO hidden.files SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])", known)


def _trouble(connection: DuckDBPyConnection, file: str) -> str | None:
    import duckdb

    try:
        connection.execute(f"SELECT * FROM read_parquet({_list([file])}) LIMIT 0").fetchall()
    except duckdb.Error as error:
        return _first_line(error)
    return None


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join("'" + one.replace("'", "''") + "'" for one in texts) + "]"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _refusing(connection: DuckDBPyConnection, sql: str) -> Iterator[None]:
    """What DuckDB refuses is bad input, told with the columns of the tables that were meant."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        message = "\n".join(line for line in str(error).strip().splitlines() if line.strip())
        raise BadInput(message, field="sql", hint=_there(connection, sql)) from None


def _there(connection: DuckDBPyConnection, sql: str) -> str:
    found = connection.execute(
        "SELECT table_name, string_agg(column_name, ', ' ORDER BY column_index) FROM duckdb_columns()"
        " WHERE schema_name = 'main' AND NOT internal GROUP BY 1 ORDER BY 1"
    ).fetchall()
    lines = [f"{name}: {columns}" for name, columns in found if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    return "\n  ".join([*lines, f"tables: {', '.join(('runs', *TABLES))}; `inferatlas runs query --schema` shows all"])


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns, the second of one name with a number."""
    found: list[str] = []
    for name in names:
        new, number = name, 1
        while new in found:
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found


__all__ = ["TABLES", "Answer", "plain", "query", "schema"]
