"""A run record as the writers of other formats need it: run.json, and the requests as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats.fields import Where
from inferatlas.measure.bench.record.columns import COLUMNS


@dataclass(frozen=True, slots=True)
class Record:
    """A run record: ``run`` is run.json, ``columns`` are those of requests.parquet, None where there is none."""

    folder: Path
    run: dict[str, Any]
    columns: dict[str, list[Any]] | None

    @property
    def where(self) -> Where:
        """The place of run.json, for what is wrong in it."""
        return Where(self.folder / "run.json")

    @property
    def load(self) -> dict[str, Any]:
        """What was asked of the endpoint."""
        return self.where.table(self.run, "load")

    @property
    def model(self) -> str:
        """The model's name; "unknown" where the record does not tell it."""
        return str(next(iter(self.where.rows(self.run, "models")), None) or self.load.get("model") or "unknown")

    @property
    def started(self) -> datetime:
        """When the run started; the time of the record's writing, or the epoch, where that is unknown."""
        told = self.run.get("started") or self.run.get("written")
        if told is None:
            return datetime.fromtimestamp(0, UTC)
        try:
            moment = datetime.fromisoformat(told)
        except (TypeError, ValueError):
            raise self.where.bad("started", f"{told!r} is no moment", "ISO 8601") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def requests(self) -> Iterator[dict[str, Any]]:
        """Requests in the order in which they were sent, those never sent last.

        Raises
        ------
        BadInput : the record has none.
        """
        if self.columns is None:
            raise BadInput(
                "the record has no requests, only figures of the whole run", file=self.folder / "requests.parquet",
                allowed="a run record with requests.parquet", hint="llm-d and inferencex take figures alone",
            )  # fmt: skip
        names = list(self.columns)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True)]
        yield from sorted(rows, key=lambda row: (row["sent_s"] is None, row["sent_s"] or 0.0))

    def power_w(self) -> float | None:
        """Mean power of the run, where its metrics tell it."""
        return self.where.number(self.where.table(self.run, "metrics"), "power_w")


def open_record(folder: str | Path) -> Record:
    """Read a run record.

    Raises
    ------
    BadInput : no run record, or a table that lacks columns.
    """
    import msgspec

    folder = Path(folder).expanduser()
    file = folder / "run.json"
    try:
        run = msgspec.json.decode(file.read_bytes())
    except OSError:
        raise BadInput("no run record: there is no run.json", file=folder, allowed="the folder of a run") from None
    except (msgspec.DecodeError, RecursionError) as problem:
        raise BadInput(f"not JSON: {problem}", file=file) from None
    if not isinstance(run, dict):
        raise BadInput("not the table of a run", file=file)
    return Record(folder, run, _columns(folder / "requests.parquet"))


def _columns(file: Path) -> dict[str, list[Any]] | None:
    if not file.exists():
        return None
    import polars as pl

    try:
        table = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise BadInput(f"not Parquet: {str(problem).splitlines()[0]}", file=file) from None
    missing = [name for name in ("sent_s", "status") if name not in table.columns]
    if missing:
        raise BadInput(f"no column {', '.join(missing)}", file=file, allowed="the columns of a run record")
    held = table.to_dict(as_series=False)
    return {name: held.get(name) or [None] * table.height for name in COLUMNS}


def event_times(row: dict[str, Any]) -> tuple[list[float], list[int]] | None:
    """When each event with tokens came, in seconds of the run, and its tokens; None where that is unknown.

    Without the tokens of each event, tokens at one moment are taken as one event.

    Examples
    --------
    >>> event_times({"token_s": [1.0, 1.0, 2.0], "chunk_tokens": [2, 1]})
    ([1.0, 2.0], [2, 1])
    """
    times, many = row["token_s"], row["chunk_tokens"]
    if not times:
        return None
    if many and sum(many) == len(times):
        ends, at = [], -1
        for tokens in many:
            at += tokens
            ends.append(times[at])
        return ends, list(many)
    counted: dict[float, int] = {}
    for time in times:
        counted[time] = counted.get(time, 0) + 1
    return list(counted), list(counted.values())


def tpot_s(row: dict[str, Any]) -> float | None:
    """Time per output token as vLLM and GuideLLM take it, whatever the first event held, in s.

    Examples
    --------
    >>> tpot_s({"first_token_s": 1.0, "finish_s": 3.0, "output_tokens": 5})
    0.5
    """
    first, finish, tokens = row["first_token_s"], row["finish_s"], row["output_tokens"]
    return None if first is None or finish is None or (tokens or 0) < 2 else (finish - first) / (tokens - 1)


def ended(row: dict[str, Any]) -> float | None:
    """When a request was over, in seconds of the run: its end, else its last token, else its failure."""
    return next((row[name] for name in ("end_s", "finish_s", "failed_s") if row[name] is not None), None)


def span_s(rows: list[dict[str, Any]]) -> float:
    """From the first request's send to the end of the last, in seconds; 0 where none was sent."""
    starts = [row["sent_s"] for row in rows if row["sent_s"] is not None]
    ends = [end for row in rows if (end := ended(row)) is not None]
    return max(ends) - min(starts) if starts and ends else 0.0
