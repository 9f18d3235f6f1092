"""The evidence table: one row per measured point, in the columns of the design."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from inferatlas.errors import BadInput

TEXT = (
    "row_id", "source", "accelerator", "engine", "engine_version", "model", "weights", "activations", "kv_cache",
    "load", "quality", "licence", "reference", "notes", "throughput_origin", "latency_meaning", "ttft_statistic",
    "itl_statistic", "power_method",
)  # fmt: skip
COUNTS = ("accelerators", "tp", "pp", "ep", "dp", "concurrency", "input_tokens", "output_tokens")
METRICS = ("ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w")
NUMBERS = (*COUNTS, *METRICS, "total_tokens_per_s", "weight")
LOADS = ("static_batch", "closed_loop", "saturated", "poisson", "offline")
SCHEMA: Mapping[str, pl.DataType] = {name: pl.String() for name in TEXT} | {name: pl.Float64() for name in NUMBERS}
READERS = {
    ".parquet": pl.read_parquet,
    ".pq": pl.read_parquet,
    ".csv": lambda path: pl.read_csv(path, infer_schema_length=0),
    ".jsonl": pl.read_ndjson,
    ".ndjson": pl.read_ndjson,
}


def read_table(path: str | Path) -> pl.DataFrame:
    """Read an evidence table (CSV, Parquet or JSON lines); columns it lacks come back empty, others are kept.

    Numbers that cannot be read become null: rows are judged one by one later, a table is never refused for a
    row. Rows without an id get ``<file name>:<row>``, counted from 1.

    Raises
    ------
    BadInput : the file is missing, of another kind, not readable, or names no column of the schema.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "runs.csv")
    ...     _ = file.write_text("model,accelerator,itl_s\\nllama-3.1-8b,nvidia-h100-sxm,0.0071\\n")
    ...     read_table(file).select("row_id", "model", "itl_s", "ttft_s").row(0)
    ('runs.csv:1', 'llama-3.1-8b', 0.0071, None)
    """
    file = Path(path).expanduser()
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise BadInput(f"'{file.suffix}' is no table", field="table", file=file, allowed=", ".join(READERS))
    try:
        frame = reader(file)
    except FileNotFoundError:
        raise BadInput("no such file", field="table", file=file) from None
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise BadInput(f"not readable as {file.suffix[1:]}: {problem}", field="table", file=file) from None
    if not set(frame.columns) & set(SCHEMA):
        raise BadInput("names no column of the evidence table", field="columns", file=file, allowed=", ".join(SCHEMA))
    return conform(frame, file.name)


def conform(frame: pl.DataFrame, name: str = "row") -> pl.DataFrame:
    """Give a frame every column of the schema in its type; see `read_table`. A ``source_title`` names the source."""
    if "source" not in frame.columns and "source_title" in frame.columns:
        frame = frame.with_columns(source="source_title")
    frame = frame.with_columns(
        pl.col(column).cast(kind, strict=False) if column in frame.columns else pl.lit(None, dtype=kind).alias(column)
        for column, kind in SCHEMA.items()
    )
    numbered = pl.format("{}:{}", pl.lit(name), pl.int_range(1, frame.height + 1))
    return frame.with_columns(
        pl.coalesce("row_id", numbered).alias("row_id"),
        *(pl.when(pl.col(c).is_finite()).then(pl.col(c)).alias(c) for c in NUMBERS),
    ).select([*SCHEMA, *(c for c in frame.columns if c not in SCHEMA)])


def write_table(frame: pl.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet (zstd), CSV or JSON lines, by its extension.

    Raises
    ------
    BadInput : another extension.
    """
    file = Path(path).expanduser()
    match file.suffix.lower():
        case ".parquet" | ".pq":
            frame.write_parquet(file, compression="zstd")
        case ".csv":
            frame.write_csv(file)
        case ".jsonl" | ".ndjson":
            frame.write_ndjson(file)
        case other:
            raise BadInput(f"'{other}' is no table", field="output", allowed=", ".join(READERS))
