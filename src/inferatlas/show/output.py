"""Write a result in the format asked for: to a stream, or to a file whose extension names the format."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from inferatlas.errors import BadInput
from inferatlas.show.page import Page
from inferatlas.show.tables import to_markdown, to_text

Format = Literal["table", "json", "jsonl", "csv", "parquet", "md", "html"]
FORMATS: tuple[str, ...] = get_args(Format)
EXTENSIONS = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".md": "md",
    ".html": "html",
    ".htm": "html",
}
FILE_WIDTH = 160  # characters of a table that no terminal limits
Rows = Sequence[Mapping[str, Any]]
Columns = Mapping[str, Any]  # name -> array, all of one length


@dataclass(frozen=True)
class Result:
    """One result in its forms, each made only when it is asked for.

    ``document`` is the JSON, ``rows`` the table of data (rows, or columns as arrays), ``page`` what people read;
    ``html`` a page with charts, where there is a better one than ``page`` itself.
    """

    document: Callable[[], Any]
    rows: Callable[[], Rows | Columns]
    page: Callable[[], Page]
    html: Callable[[], str] | None = None


def format_for(asked: str | None, output: str | None) -> str:
    """The format asked for, else the one of the file's extension, else a table.

    Raises
    ------
    BadInput : an extension that names no format.

    Examples
    --------
    >>> format_for(None, "points.parquet"), format_for("csv", "points.dat"), format_for(None, None)
    ('parquet', 'csv', 'table')
    """
    if asked is not None:
        return asked
    if output is None or output == "-":
        return "table"
    suffix = Path(output).suffix.lower()
    if suffix not in EXTENSIONS:
        raise BadInput(
            f"'{output}' does not say which format" if not suffix else f"'{suffix}' is no format",
            field="output",
            allowed=", ".join(EXTENSIONS),
            hint="or name it with --format",
        )
    return EXTENSIONS[suffix]


def check_writable(path: str | Path, field: str = "output") -> Path:
    """Refuse a path that cannot be written, before the work is done.

    Raises
    ------
    BadInput : a folder that does not exist or may not be written, or a path that is itself a folder.
    """
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            raise BadInput("is a folder", field=field, allowed="the name of a file", file=path)
        if not path.parent.is_dir():
            raise BadInput("its folder does not exist", field=field, file=path)
        existed = path.exists()
        if existed and not path.is_file():  # a device or a pipe: opening it twice would end its reader
            return path
        with path.open("ab"):  # the one test that also sees read-only disks and quotas
            pass
        if not existed:
            path.unlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unwritable(path, error, field) from None
    return path


def _unwritable(path: Path, error: Exception, field: str) -> BadInput:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return BadInput(f"cannot be written: {reason}", field=field, file=path)


def emit(result: Result, style: str, *, width: int = FILE_WIDTH, colour: bool = False) -> str | bytes:
    """The result in a format: text, or bytes for Parquet."""
    if style == "table":
        return to_text(result.page(), width=width, colour=colour)
    if style == "md":
        return to_markdown(result.page())
    if style == "html":
        from inferatlas.show.html import plain_page

        return result.html() if result.html else plain_page(result.page())
    if style == "json":
        return to_json(result.document())
    rows = result.rows()
    return {"jsonl": to_jsonl, "csv": to_csv, "parquet": to_parquet}[style](rows)


def write_file(content: str | bytes, path: Path, field: str = "output") -> None:
    """Write a result to a file; `BadInput` for ``field``, the flag that named it, where the disk refuses."""
    try:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise _unwritable(path, error, field) from None


def write_stdout(content: str | bytes) -> None:
    """Write a result to standard output; bytes never to a terminal.

    Raises
    ------
    BadInput : Parquet to a terminal, a full disk. BrokenPipeError : the reader has gone.
    """
    if isinstance(content, bytes) and sys.stdout.isatty():
        raise BadInput("Parquet is not for terminals", field="format", allowed="--output FILE, or a pipe")
    try:
        if isinstance(content, bytes):
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        else:
            sys.stdout.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadInput(f"standard output cannot be written: {error.strerror}", field="output") from None


def plain(value: Any) -> Any:
    """Anything a result holds, as JSON knows it: what is not finite becomes null, arrays become lists.

    Examples
    --------
    >>> plain({"a": float("nan"), "b": (1, None), "c": float("inf")})
    {'a': None, 'b': [1, None], 'c': None}
    """
    if isinstance(value, str | int | None):  # bool is an int
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    tolist = getattr(value, "tolist", None)  # numpy scalars and arrays
    return str(value) if tolist is None else plain(tolist())


def to_json(document: Any) -> str:
    """A document as indented JSON; never NaN or Infinity, which JSON does not have."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_jsonl(rows: Rows | Columns) -> str:
    """One JSON object a line.

    Examples
    --------
    >>> to_jsonl([{"a": 1, "b": float("nan")}, {"a": "x"}])
    '{"a": 1, "b": null}\\n{"a": "x"}\\n'
    """
    return "".join(json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n" for row in as_rows(rows))


def to_csv(rows: Rows | Columns) -> str:
    """Comma-separated with a header; what is unknown is empty.

    Examples
    --------
    >>> to_csv([{"a": 1.5, "b": None}, {"a": float("nan"), "b": "x, y"}])
    'a,b\\n1.5,\\n,"x, y"\\n'
    """
    if isinstance(rows, Mapping):
        return _frame(rows).write_csv()
    if not rows:
        return ""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = _names(rows)
    writer.writerow(names)
    writer.writerows([["" if (cell := plain(row.get(name))) is None else cell for name in names] for row in rows])
    return stream.getvalue()


def to_parquet(rows: Rows | Columns) -> bytes:
    """Parquet, compressed with zstd. A column of numbers and words becomes one of words."""
    stream = io.BytesIO()
    _frame(rows).write_parquet(stream, compression="zstd")
    return stream.getvalue()


def as_rows(rows: Rows | Columns) -> Rows:
    """Rows as they are; columns turned into rows."""
    if not isinstance(rows, Mapping):
        return rows
    names, columns = list(rows), [column.tolist() for column in rows.values()]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _frame(rows: Rows | Columns):
    import polars as pl

    if isinstance(rows, Mapping):
        frame = pl.DataFrame(dict(rows))
    else:
        frame = pl.DataFrame({name: _one_type([plain(row.get(name)) for row in rows]) for name in _names(rows)})
    return frame.with_columns(pl.selectors.float().fill_nan(None))


def _one_type(values: list[Any]) -> list[Any]:
    if any(isinstance(one, list | dict) for one in values):
        return [None if one is None else json.dumps(one, ensure_ascii=False) for one in values]
    if any(isinstance(one, str) for one in values):
        return [None if one is None else str(one) for one in values]
    if any(isinstance(one, float) for one in values):
        return [None if one is None else float(one) for one in values]
    return values


__all__ = ["EXTENSIONS", "FORMATS", "Columns", "Format", "Result", "Rows", "check_writable", "emit", "format_for"]
