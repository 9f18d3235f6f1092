"""Read a run record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.simulate.outcome import Outcome
from inferatlas.simulate.part import LATENCY_METRICS, curve
from inferatlas.simulate.series import Series

SCHEMA = 1
RUN = "run.json"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A record that was read: the document, and tables as columns (floats NaN where nothing is known)."""

    folder: Path
    document: dict[str, Any]
    requests: dict[str, NDArray[Any]]
    server: dict[str, NDArray[Any]]
    power: dict[str, NDArray[Any]]
    events: dict[str, NDArray[Any]]

    @property
    def outcome(self) -> Outcome:
        """As `outcome.outcome` gave it, with what is drawn of it; what was infinite is None."""
        told, q, s = self.document["outcome"], self.requests, self.server
        done, steady = q["status"] == "done", told["steady"]
        if steady is not None:
            done &= (q["sent_s"] >= steady["from_s"]) & (q["sent_s"] <= steady["to_s"])
        power = np.zeros(s["time_s"].size)
        for name in np.unique(self.power["device"]) if self.power else ():
            power += self.power["power_w"][self.power["device"] == name]
        series = Series(
            float(s["bin_s"].max()), float(s["time_s"][-1] + s["bin_s"][-1]), s["in_flight"], s["waiting"],
            s["running"], s["batch"], s["kv_used_fraction"], s["output_tokens_per_s"], s["prompt_tokens_per_s"], power,
        )  # fmt: skip
        columns = {name: q[name][done] for name in LATENCY_METRICS}
        curves = {name: curve(one[np.isfinite(one)]) for name, one in columns.items()}
        return Outcome(**told, series=series, curves=curves)

    def token_times(self) -> list[NDArray[np.float64]] | None:
        """Times of tokens of each request, as the client sees them; None where they were not written."""
        import polars as pl

        frame = pl.scan_parquet(self.folder / "requests.parquet")
        if "token_s" not in frame.collect_schema().names():
            return None
        lists = frame.select("token_s").collect()["token_s"]
        return [np.zeros(0) if one is None else one.to_numpy() for one in lists]


def read_record(path: str | Path, *, field: str = "record") -> Record:
    """Read a record.

    Raises
    ------
    BadInput : no record, one that is not whole, of a newer schema, or damaged.
    """
    folder = Path(path).expanduser()
    if not (folder / RUN).is_file():
        what = "is no folder" if not folder.is_dir() else f"has no {RUN}, which is written last"
        raise BadInput(what, field=field, allowed="the folder of a run record", file=folder)
    document = document_of(folder)
    if document.get("schema_version") != SCHEMA:
        version = document.get("schema_version")
        raise BadInput(f"schema {version!r}", field="schema_version", allowed=str(SCHEMA), file=folder / RUN)
    return Record(folder, document, *(_columns(folder, name) for name in ("requests", "server", "power", "events")))


def _columns(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    import polars as pl

    file = folder / f"{name}.parquet"
    if not file.is_file():
        raise BadInput("is missing from the record", field="record", file=file)
    try:
        lazy = pl.scan_parquet(file)
        wanted = [one for one, kind in lazy.collect_schema().items() if kind.base_type() != pl.List]
        frame = lazy.select(wanted).collect()
    except (pl.exceptions.PolarsError, OSError):
        raise BadInput("cannot be read as Parquet", field="record", file=file) from None
    floats = [one for one, kind in frame.schema.items() if kind.is_float()]
    frame = frame.with_columns(pl.col(floats).fill_null(float("nan")))
    return {one: frame[one].to_numpy() for one in frame.columns}


def document_of(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BadInput("cannot be read as JSON", field="record", file=folder / RUN, line=line) from None
    if not isinstance(document, dict):
        raise BadInput("is no JSON object", field="record", file=folder / RUN)
    return document
