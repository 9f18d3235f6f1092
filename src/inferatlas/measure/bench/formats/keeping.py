"""A result of another tool as a run record, marked as imported: how its client fared is unknown."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats.foreign import Foreign
from inferatlas.measure.bench.record.columns import schema

SCHEMA_VERSION = 1
IMPORTED = "imported"  # remark: the health of the client is unknown


def write_imported(foreign: Foreign, folder: str | Path) -> Path:
    """Write a run record; run.json comes last, so that a folder with it is whole.

    Returns
    -------
    Path : run.json.

    Raises
    ------
    BadInput : there is something in the folder, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> found = Foreign("vllm", None, {"kind": "closed"}, None, {"output_tokens_per_s": 10.0})
    >>> with tempfile.TemporaryDirectory() as base:
    ...     run = msgspec.json.decode(write_imported(found, Path(base, "a")).read_bytes())
    >>> run["imported_from"], run["validity"]["remarks"]
    ('vllm', ['imported'])
    """
    folder = Path(folder).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("there is something in the folder", file=folder, allowed="a new or empty folder")
        if foreign.requests is not None:
            _write_requests(foreign.requests, folder / "requests.parquet")
        part, file = folder / "run.json.part", folder / "run.json"
        with part.open("wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(_run(foreign)), indent=2))
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as problem:
        raise BadInput(f"cannot be written: {problem.strerror}", file=folder) from None
    return file


def _run(foreign: Foreign) -> dict[str, Any]:
    counts = {"sent": None, "completed": None, "failed": {}} | foreign.counts
    model = foreign.load.get("model")
    return {
        "schema_version": SCHEMA_VERSION, "kind": "measured", "label": "measured", "imported_from": foreign.tool,
        "imported_version": foreign.version, "command": None, "written": datetime.now(UTC).isoformat(), "started": None,
        "environment": {}, "hardware": _hardware(foreign.load), "software": {}, "models": [model] if model else [],
        "endpoints": [], "seed": None, "load": foreign.load, "protocol": foreign.load.get("protocol"),
        "definitions": foreign.definitions, "clocks": {},
        # what was measured may be sound: that the client kept up is what nobody can tell
        "validity": {"valid": None, "verdict": None, "reasons": [], "remarks": [IMPORTED, *foreign.remarks]},
        "requests": counts, "metrics": foreign.metrics, "foreign": foreign.foreign, "client": {}, "energy": [],
        "notes": list(foreign.notes),
    }  # fmt: skip


def _hardware(load: dict[str, Any]) -> dict[str, Any]:
    return {name: load[name] for name in ("accelerator", "accelerators") if load.get(name) is not None}


def _write_requests(columns: dict[str, list[Any]], file: Path) -> None:
    import polars as pl

    try:
        table = pl.DataFrame(columns, schema=schema())
    except (pl.exceptions.PolarsError, TypeError, OverflowError) as problem:
        raise BadInput(f"a value of a request does not fit its column: {problem}", file=file) from None
    table.write_parquet(file, compression="zstd")
