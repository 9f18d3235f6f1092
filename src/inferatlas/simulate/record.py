"""A run as a folder: `run.json` beside tables of requests, power, server and steps (section 3 of the design).

Every file is written under another name and then renamed, `run.json` last: a folder with it is whole.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.outcome import Outcome
from inferatlas.simulate.record_tables import event_table, power_table, request_columns, server_table
from inferatlas.simulate.recorded import RUN, SCHEMA, document_of
from inferatlas.simulate.running import Run
from inferatlas.simulate.tokens import TokenTimes
from inferatlas.workload.requests import Requests

if TYPE_CHECKING:
    import polars as pl

TABLES = ("requests", "power", "server", "events")
UNFINISHED = ".tmp"
MOST_TOKENS = 20_000_000  # whose times are written
STRETCH = 1_000_000  # tokens held in memory at once
CLOCKS = {
    "client": "sent_s, first_token_s, finish_s, token_s, ttft_s, latency_s: from the scheduled sending to the token at "
    "the client, network_s after it left the engine",
    "engine": "arrival_s, admitted_s, events: when the scheduler sees the request, and steps",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a record says of a run beside its numbers.

    ``label``: predicted, or extrapolated where no calibration covers the deployment. ``software``: engine and version.
    """

    command: str
    label: Literal["predicted", "extrapolated"]
    seed: int
    models: tuple[str, ...]
    software: dict[str, Any] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_folder(path: str | Path, *, field: str = "record") -> Path:
    """The folder that a record may be written to, before the work is done: new, empty, or a simulated record.

    Raises
    ------
    BadInput : a file, a folder that holds something else or a measured record, a place that cannot be written.
    """
    folder = Path(path).expanduser()
    try:
        if folder.exists() and not folder.is_dir():
            raise BadInput("is a file", field=field, allowed="a folder", file=folder)
        folder.mkdir(parents=True, exist_ok=True)
        ours = {RUN, *(f"{name}.parquet" for name in TABLES)}
        others = sorted(one.name for one in folder.iterdir() if one.name.partition(UNFINISHED)[0] not in ours)
        trial = folder / (RUN + UNFINISHED)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", field=field, file=folder) from None
    if others:
        raise BadInput(
            f"holds {others[0]!r}, which is no part of a run record", field=field,
            allowed="a folder that is new, empty, or a record to write anew", file=folder,
        )  # fmt: skip
    if (folder / RUN).exists() and (kind := document_of(folder).get("kind")) != "simulated":
        raise BadInput(
            f"is a {kind} run, which is not written over", field=field, allowed="another folder", file=folder
        )
    return folder


def write_record(path: str | Path, run: Run, fleet: Fleet, requests: Requests, found: Outcome, about: About) -> Path:
    """Write a run; of one that was interrupted all that is known.

    Parameters
    ----------
    path : a folder, see `check_folder`. run : with its log. found : its outcome.

    Raises
    ------
    BadInput : see `check_folder`; a disk that is full.
    """
    folder = check_folder(path)
    try:
        (folder / RUN).unlink(missing_ok=True)  # until all is there again the folder is no record
        for left in folder.glob(f"*{UNFINISHED}*"):
            left.unlink()
        tokens = _write_requests(folder, run, fleet, requests)
        _write(folder, "power", power_table(run, fleet))
        _write(folder, "server", server_table(found))
        _write(folder, "events", event_table(run))
        document = _run_document(run, fleet, requests, found, about) | {"tokens": tokens}
        _rename(folder, RUN, lambda file: file.write_text(_json(document), encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}", field="record", file=folder) from None
    return folder


# run.json


def _run_document(run: Run, fleet: Fleet, requests: Requests, found: Outcome, about: About) -> dict[str, Any]:
    remarks = [
        code
        for code, holds in (
            ("saturated", found.saturated), ("no_steady_state", found.steady is None),
            ("failed_requests", found.failed > 0),
        )
        if holds
    ]  # fmt: skip
    reasons = ["interrupted"] if run.interrupted else []
    return {
        "schema_version": SCHEMA, "kind": "simulated", "label": about.label, "command": about.command,
        "written": datetime.now(UTC).isoformat(timespec="seconds"), "environment": environment(),
        "hardware": {"accelerators": fleet.accelerators, "pools": [_pool(one) for one in fleet.pools]},
        "software": about.software, "models": list(about.models), "seed": about.seed,
        "fleet": {
            "router": fleet.router, "stale_s": fleet.stale_s, "retry": fleet.retry, "queue_limit": fleet.queue_limit,
            "network_s": fleet.network_s, "link": None if fleet.link is None else asdict(fleet.link),
            "faults": [asdict(one) for one in fleet.faults],
        },
        "workload": {
            "name": requests.name, "requests": len(requests), "clients": requests.clients,
            "offered_per_s": requests.offered_rate, "adapters": len(requests.adapters), "notes": list(requests.notes),
        } | about.workload,
        "clocks": CLOCKS | {"network_s": fleet.network_s},
        "validity": {"valid": not reasons, "reasons": reasons, "remarks": remarks},
        "totals": {
            "events": int(run.totals["events"]), "steps": int(run.replicas["steps"].sum()),
            "output_tokens": int(run.replicas["tokens"].sum()),
            "prompt_tokens_computed": int(run.replicas["prompt_tokens"].sum()),
            "hit_tokens": int(run.totals["hit_tokens"]), "scalings": int(run.totals["scalings"]),
            "link_bytes": float(run.totals["link_bytes"]),
        },
        "outcome": found.as_dict(), "notes": list(about.notes),
    }  # fmt: skip


def environment() -> dict[str, str]:
    """The software that ran, by version."""
    return {
        "inferatlas": version("inferatlas"), "python": platform.python_version(), "numpy": np.__version__,
        "numba": version("numba"), "platform": platform.platform(),
    }  # fmt: skip


def _pool(pool: Pool) -> dict[str, Any]:
    law = pool.law
    return {
        "name": pool.name, "accelerator": pool.accelerator, "role": pool.role, "replicas": pool.replicas,
        "accelerators_per_replica": law.accelerators, "pipeline_stages": law.lanes,
        "models": sum(one is not None for one in pool.laws), "kv_blocks": pool.scheduler.kv_blocks or law.blocks,
        "block_tokens": law.block_tokens, "max_sequences": law.max_sequences, "step_tokens": law.step_tokens,
        "idle_w": law.idle_w, "usd_per_hour": pool.usd_per_hour, "scheduler": asdict(pool.scheduler),
        "tier": None if pool.tier is None else asdict(pool.tier),
        "adapters": None if pool.adapters is None else asdict(pool.adapters),
        "scaling": None if pool.scaling is None else asdict(pool.scaling),
    }  # fmt: skip


def _json(document: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


# Tables


def _write_requests(folder: Path, run: Run, fleet: Fleet, requests: Requests) -> dict[str, Any]:
    """The table of requests, in stretches so that the times of tokens never lie in memory together."""
    import polars as pl

    columns = request_columns(run, fleet, requests)
    if run.log is None:
        _write(folder, "requests", pl.DataFrame(columns))
        return {"written": False, "reason": "the run kept no log"}
    times = TokenTimes(run)
    counts = times.counts
    total = int(counts.sum())
    if total > MOST_TOKENS:
        _write(folder, "requests", pl.DataFrame(columns))
        return {"written": False, "tokens": total, "reason": f"more than {MOST_TOKENS:,} tokens"}

    def piece(low: int, high: int) -> pl.DataFrame:
        values, bounds = times.of(low, high)
        token_s = _lists(pl.Series("token_s", values + fleet.network_s), bounds)
        return pl.DataFrame({name: one[low:high] for name, one in columns.items()}).with_columns(token_s)

    spans = list(_stretches(counts))
    if len(spans) == 1:
        _write(folder, "requests", piece(*spans[0]))
        return {"written": True, "tokens": total}
    parts = []
    for number, span in enumerate(spans):
        part = folder / f"requests.parquet{UNFINISHED}{number}"
        _known(piece(*span)).write_ipc(part, compression="lz4")
        parts.append(part)
    try:
        together = pl.scan_ipc(parts)
        _rename(folder, "requests.parquet", lambda file: together.sink_parquet(file, compression="zstd"))
    finally:
        for part in parts:
            part.unlink()
    return {"written": True, "tokens": total}


def _lists(values: pl.Series, bounds: NDArray[np.int64]) -> pl.Series:
    """A list per request of a flat column."""
    import polars as pl

    frame = pl.DataFrame({"id": np.repeat(np.arange(bounds.size - 1), np.diff(bounds)), "token_s": values})
    lists = frame.group_by("id", maintain_order=True).agg("token_s")
    return pl.DataFrame({"id": np.arange(bounds.size - 1)}).join(lists, on="id", how="left", maintain_order="left")[
        "token_s"
    ]


def _stretches(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Requests whose tokens together are about `STRETCH`."""
    part = (np.cumsum(counts) - counts) // STRETCH
    edges = np.flatnonzero(np.diff(part)) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), counts.size], strict=True)


def _write(folder: Path, name: str, table: pl.DataFrame) -> None:
    _rename(folder, f"{name}.parquet", lambda file: _known(table).write_parquet(file, compression="zstd"))


def _known(table: pl.DataFrame) -> pl.DataFrame:
    """What is not known is null in a file."""
    import polars as pl

    return table.with_columns(pl.selectors.float().fill_nan(None))


def _rename(folder: Path, name: str, write: Any) -> None:
    file = folder / (name + UNFINISHED)
    write(file)
    file.replace(folder / name)


__all__ = ["About", "check_folder", "write_record"]
