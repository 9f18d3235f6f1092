"""Timings from a run record on disk, whole or in stretches that fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.timings import COUNTS, TEXTS, TIMES, Floats, Ints, Timings, timings_of

if TYPE_CHECKING:
    import polars as pl

REQUESTS = "requests.parquet"
FROM_SENT = ("closed", "offline")  # kinds of load in which no request is due at a time of its own
TOGETHER = 4_000_000  # tokens in memory at once: 32 MB of times and as much of counts


def read_timings(folder: Path, load: Mapping[str, Any] | None = None, *, events: bool = True) -> Timings:
    """Timings of a run record.

    Parameters
    ----------
    folder : of the record, with `requests.parquet`.
    load : the load as the record describes it (``kind``, ``concurrency``); None: from `run.json`, and before that is
        written a run in which nothing was due is taken for a closed loop.
    events : also the events that carried tokens; of a long run they are better read in `stretches`.

    Raises
    ------
    BadInput : no such table, or one that cannot be read, with its file; tokens that do not add up.
    """
    import polars as pl

    file = folder / REQUESTS
    names = _names(file)
    wanted = [one for one in (*TIMES, *COUNTS, *TEXTS, "status", "segment") if one in names]
    chosen: list[Any] = list(wanted)
    if "chunk_tokens" in names and not events:
        chosen.append(
            pl.col("chunk_tokens").list.eval(pl.element().filter(pl.element() > 0)).list.first().alias("first_tokens")
        )
    if events:
        chosen += [one for one in ("token_s", "chunk_tokens") if one in names]
    return _timings(pl.scan_parquet(file).select(chosen).collect(), _load(folder, load), file)


def stretches(folder: Path, load: Mapping[str, Any] | None = None, most: int = TOGETHER) -> Iterator[Timings]:
    """The same run as several Timings with their events, one after the other in the order of the table.

    Parameters
    ----------
    most : tokens of a stretch, unless a single request has more.
    """
    import polars as pl

    file = folder / REQUESTS
    names = _names(file)
    told, counts = _load(folder, load), [pl.col(one) for one in ("output_tokens", "chunks") if one in names]
    tokens = pl.scan_parquet(file).select(pl.max_horizontal(*counts, pl.lit(1))).collect().to_series().to_numpy()
    wanted = [one for one in (*TIMES, *COUNTS, *TEXTS, "status", "segment", "token_s", "chunk_tokens") if one in names]
    at, upto = 0, np.cumsum(tokens)
    if not tokens.size:  # nothing was sent: one stretch without requests
        yield _timings(pl.scan_parquet(file).select(wanted).collect(), told, file)
    while at < tokens.size:
        before = upto[at - 1] if at else 0
        end = max(int(np.searchsorted(upto, before + most, side="right")), at + 1)
        yield _timings(pl.scan_parquet(file).select(wanted).slice(at, end - at).collect(), told, file)
        at = end


def _names(file: Path) -> set[str]:
    import polars as pl

    if not file.is_file():
        raise BadInput("there is no such table", file=file, hint="a run record holds run.json and requests.parquet")
    try:
        names = set(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInput(f"this is no Parquet table: {error}", file=file) from None
    for needed in ("sent_s", "status"):
        if needed not in names:
            raise BadInput("the table has no such column", field=needed, file=file)
    return names


def _load(folder: Path, load: Mapping[str, Any] | None) -> Mapping[str, Any]:
    file = folder / "run.json"
    if load is not None or not file.is_file():
        return load or {}
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("load") or {}
    except (ValueError, AttributeError) as error:
        raise BadInput(f"this is no JSON object: {error}", file=file) from None


def _timings(table: pl.DataFrame, load: Mapping[str, Any], file: Path) -> Timings:
    import polars as pl

    columns: dict[str, Any] = {}
    for name in table.columns:
        if name in TIMES + COUNTS:
            columns[name] = table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        elif name in TEXTS:
            columns[name] = np.array(table[name].fill_null("").to_list(), dtype=np.str_)
    columns["done"] = (table["status"] == "done").fill_null(False).to_numpy()
    if "segment" in table.columns:
        columns["segment"] = table["segment"].fill_null(0).to_numpy()
    closed = load.get("kind") in FROM_SENT
    if "kind" not in load:
        closed = not np.isfinite(columns.get("due_s", np.array([np.nan]))).any()
    clients = load.get("concurrency") if load.get("kind") in (None, "closed") else None
    return timings_of(columns, *_events(table, file), closed=closed, clients=clients if closed else None)


def _events(table: pl.DataFrame, file: Path) -> tuple[Floats, Floats, Ints]:
    """Times of events, their tokens, and where those of each request begin.

    The table has the time of every token; those of one event share it. Where tokens of events are unknown it has the
    time of every event. An event to which no token was given, where a stream had more of them, is none.
    """
    if "token_s" not in table.columns:
        return np.zeros(0), np.zeros(0), np.zeros(table.height + 1, np.int64)
    stamps = table["token_s"].list.len().fill_null(0).to_numpy().astype(np.int64)
    counted = np.zeros_like(stamps)
    if "chunk_tokens" in table.columns:
        counted = table["chunk_tokens"].list.len().fill_null(0).to_numpy().astype(np.int64)
    chunks = np.where(counted > 0, counted, stamps)
    start = np.concatenate([[0], np.cumsum(chunks)])
    known = np.repeat(counted > 0, chunks)
    tokens = np.ones(int(start[-1]), np.int64)
    if known.any():
        tokens[known] = table["chunk_tokens"].filter(counted > 0).explode().to_numpy()
    upto = np.concatenate([[0], np.cumsum(tokens)])
    wrong = np.flatnonzero(upto[start[1:]] - upto[start[:-1]] != stamps)
    if wrong.size:
        raise BadInput(
            f"request in row {wrong[0]}: {stamps[wrong[0]]} times, and events with another number of tokens",
            field="chunk_tokens",
            file=file,
        )
    flat = table["token_s"].filter(stamps > 0).explode().to_numpy() if stamps.any() else np.zeros(0)
    some = tokens > 0
    kept = np.concatenate([[0], np.cumsum(some)])
    return flat[upto[1:][some] - 1], np.where(known, tokens, np.nan)[some], kept[start]
