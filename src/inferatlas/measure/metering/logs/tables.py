"""Tables of readings: our own form, in Parquet or CSV, and the door to every log.

A row is a reading: ``time_s`` (seconds on the clock of the log) and ``t_ns`` (the same, exact), ``timestamp`` (UTC, to
the microsecond, null where it is not known), ``channel``, ``device``, ``power_w`` or ``energy_j``, ``fault`` (null or a
code of `Fault`), then the facts of the channel (`Channel`), the same in all its rows. A channel without a reading has
one row without a time. A plain power log is the same table with columns missing: ``time_s`` or ``timestamp``,
``power_w``, perhaps ``device``. Where both are there, ``t_ns`` is read and not ``time_s``.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Series
from inferatlas.measure.metering.logs.formats import read_foreign
from inferatlas.measure.metering.logs.formats_text import FIELD, head, header_of
from inferatlas.measure.metering.logs.formats_told import Told, as_told, told_of
from inferatlas.measure.metering.logs.journal import ENDING, is_journal, read_journal
from inferatlas.measure.metering.logs.log import NUMBERS, Log
from inferatlas.measure.metering.logs.tables_read import HELD, MARK, SCHEMA, is_ours, read_csv, read_parquet
from inferatlas.measure.metering.logs.tables_rows import CODES, FACTS, FLAGS
from inferatlas.measure.metering.scope import Scope

if TYPE_CHECKING:
    import polars as pl

UNFINISHED = ".unfinished"
STAMP = "%Y-%m-%dT%H:%M:%S%.6fZ"
READINGS = "readings-*.parquet"  # of a measured run: a log per start


def write_table(log: Log, path: str | Path) -> None:
    """Write a log as a table: Parquet (zstd) or CSV, by the extension. It appears under its name when it is whole.

    Parquet also keeps the log's remarks, reasons and notes; of CSV only the readings come back.

    Raises
    ------
    BadInput : another extension, a folder that does not exist, a disk that refuses; field ``output``.

    Examples
    --------
    >>> import tempfile
    >>> from inferatlas.measure.metering.channel import Channel, Reading
    >>> from inferatlas.measure.metering.logs.log import log_of
    >>> card = Channel("nvml", "GPU-1", "power_w", "average", Scope.GPU, window_s=1.0)
    >>> log = log_of([card], [Reading(0, 10**9, 500.0), Reading(0, 2 * 10**9, 510.0)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(log, f"{folder}/power.parquet")
    ...     again = read_log(f"{folder}/power.parquet")
    >>> again.channels == log.channels, again.series[0].t_ns.tolist()
    (True, [1000000000, 2000000000])
    """
    import polars as pl

    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".pq", ".csv"):
        message = f"'{suffix}' is no form of a table" if suffix else f"'{path.name}' does not say which form"
        raise BadInput(message, field="output", allowed=".parquet, .csv", file=path)
    table = pl.concat([_table(n, one, log.unix_ns) for n, one in enumerate(log.series)] or [_table(0, None, None)])
    held = {"schema": SCHEMA} | {name: getattr(log, name) for name in HELD}
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        if suffix == ".csv":
            table.sink_csv(unfinished, datetime_format=STAMP)
        else:
            table.sink_parquet(unfinished, compression="zstd", metadata={MARK: json.dumps(held)})
        unfinished.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        with suppress(OSError):  # what there is of it only takes room
            unfinished.unlink(missing_ok=True)
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        raise BadInput(f"cannot be written: {said}", field="output", file=path) from None


def _table(number: int, one: Series | None, unix_ns: int | None) -> pl.LazyFrame:
    """Rows of one channel; without a reading, one that names it; without a channel, none."""
    import polars as pl

    channel, empty = (None, True) if one is None else (one.channel, not one.t_ns.size)
    readings = {
        "t_ns": pl.Series([None] if empty or one is None else one.t_ns, dtype=pl.Int64),
        "value": pl.Series([None] if empty or one is None else one.value, dtype=pl.Float64, nan_to_null=True),
        "code": pl.Series([0] if empty or one is None else one.fault, dtype=pl.Int8),
    }
    words = {number: code for code, number in CODES.items()}
    facts: dict[str, Any] = {name: getattr(channel, name, None) for name in FACTS}
    facts["scope"] = None if channel is None or channel.scope is None else channel.scope.label
    unknown = pl.lit(None, pl.Float64)
    energy = channel is not None and channel.quantity == "energy_j"
    faulty = pl.col("code").replace_strict(words, default=None, return_dtype=pl.String)
    stamp = pl.lit(None, pl.Int64) if unix_ns is None else (pl.col("t_ns") + unix_ns) // 1000
    return (
        pl.LazyFrame(readings)
        .head(0 if one is None else len(readings["code"]))
        .select(
            (pl.col("t_ns") / 1e9).alias("time_s"),
            "t_ns",
            stamp.cast(pl.Datetime("us", "UTC")).alias("timestamp"),
            pl.lit(number, pl.Int16).alias("channel"),
            pl.lit(facts["device"], pl.String).alias("device"),
            (unknown if energy else pl.col("value")).alias("power_w"),
            (pl.col("value") if energy else unknown).alias("energy_j"),
            (faulty if (readings["code"] != 0).any() else pl.lit(None, pl.String)).alias("fault"),
            *(pl.lit(facts[name], _dtype(name)).alias(name) for name in FACTS if name != "device"),
        )
    )


def _dtype(name: str) -> Any:
    import polars as pl

    return pl.Float64 if name in NUMBERS else pl.Boolean if name in FLAGS else pl.String


# Reading


def read_log(
    path: str | Path,
    *,
    scope: Scope | str | None = None,
    semantics: str | None = None,
    window_s: float | None = None,
) -> Log:
    """A log from a file, whatever wrote it, or from the folder of a run record or of parts of a table.

    Parameters
    ----------
    scope, semantics, window_s : what the log does not say: what its readings cover, whether power is ``instant``,
        ``average`` (over ``window_s`` seconds) or of a ``model``.

    Raises
    ------
    BadInput : a file that cannot be read, of an unknown form, or with a value that is wrong, with its line; something
        given that the log itself says otherwise.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "power.csv"
    ...     _ = file.write_text("time_s,device,power_w\\n0.0,a,400\\n0.0,b,410\\n1.0,a,N/A\\n")
    ...     log = read_log(file, scope="gpu")
    >>> [(one.channel.device, one.value.tolist()) for one in log.series]
    [('a', [400.0, nan]), ('b', [410.0])]
    """
    path = Path(path).expanduser()
    if _simulated(path):
        if semantics not in (None, "model"):
            raise BadInput("a simulation made it, no sensor", field="semantics", allowed="leave it out", file=path)
        semantics = "model"
    told = told_of(scope, semantics, window_s)
    if path.is_dir():
        return _read_folder(path, told)
    if _begins(path, b"PAR1"):
        return read_parquet([path], told)
    if is_journal(path):
        log = read_journal(path)
        return replace(log, series=tuple(replace(one, channel=as_told(one.channel, told)) for one in log.series))
    lines = head(path)
    header = header_of(lines[0][1], lines[0][0])
    return read_csv(path, header, told) if is_ours(header) else read_foreign(path, told)


def _begins(path: Path, magic: bytes) -> bool:
    try:
        if not path.is_file() and path.exists():
            raise BadInput("is no file", field=FIELD, allowed="a file: a log is read more than once", file=path)
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        left = path.with_name(path.name + ENDING)
        hint = f"recording ended early, and left {left}: read that" if not path.exists() and left.exists() else None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"cannot be read: {reason}", field=FIELD, file=path, hint=hint) from None


def _simulated(path: Path) -> bool:
    """Whether a log lies in the record of a simulated run."""
    record = (path if path.is_dir() else path.parent) / "run.json"
    try:
        return json.loads(record.read_text(encoding="utf-8")).get("kind") == "simulated"
    except (OSError, ValueError, AttributeError):
        return False


def _read_folder(folder: Path, told: Told) -> Log:
    readings = sorted(folder.glob(READINGS))  # of a measured run: all that is known of its meters
    if len(readings) == 1:
        return read_parquet(readings, told)
    if readings:
        allowed = ", ".join(one.name for one in readings)
        raise BadInput("holds a log per start of the run", field=FIELD, allowed=allowed, file=folder)
    for name in ("power.parquet", "power.csv"):
        if (folder / name).exists():
            return read_log(folder / name, scope=told.scope, semantics=told.semantics, window_s=told.window_s)
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        allowed = "a folder with power.parquet, power.csv or parts of one table (*.parquet)"
        raise BadInput("holds no log", field=FIELD, allowed=allowed, file=folder)
    return read_parquet(parts, told)
