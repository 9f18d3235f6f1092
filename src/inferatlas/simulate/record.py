"""A run as a folder: `run.json` beside tables of requests, power, server and steps (section 3 of the design).

Every file is written under another name and then renamed, `run.json` last: a folder with it is whole.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from importlib.metadata import version
from inferatlas.errors import BadInput
from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.outcome import LATENCY_METRICS, Outcome, curve
from inferatlas.simulate.running import Run
from inferatlas.simulate.series import Series, on_seconds, times_of
from inferatlas.simulate.tokens import TokenTimes
from inferatlas.workload.requests import Requests

if TYPE_CHECKING:
    import polars as pl

SCHEMA = 1
RUN = "run.json"
TABLES = ("requests", "power", "server", "events")
UNFINISHED = ".tmp"
MOST_TOKENS = 20_000_000  # whose times are written
STRETCH = 1_000_000  # tokens held in memory at once
PHASES = ("unsent", "waiting", "prompt", "decode", "loading", "moving", "arrived", "swapped", "done", "failed")
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
        others = sorted(one.name for one in folder.iterdir() if one.name.removesuffix(UNFINISHED) not in ours)
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
    if (folder / RUN).exists() and (kind := _document(folder).get("kind")) != "simulated":
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
        tokens = _write_requests(folder, run, fleet, requests)
        for name, table in (
            ("power", power_table(run, fleet)),
            ("server", server_table(found)),
            ("events", event_table(run)),
        ):
            _write(folder, name, table)
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
            ("saturated", found.saturated), ("no_steady_state", found.steady is None), ("failed_requests", found.failed > 0),
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
        piece(*span).write_ipc(part, compression="lz4")
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


def request_columns(run: Run, fleet: Fleet, requests: Requests) -> dict[str, Any]:
    """A row per request; times in seconds, NaN where it did not happen."""
    t, q = times_of(run), run.requests
    first, finish = t.first + fleet.network_s, np.where(t.done, t.finish + fleet.network_s, np.nan)
    several = t.output > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        itl = np.where(several, (finish - first) / (t.output - 1), np.nan)
    names = np.array([*requests.models] or ["model"], dtype=object)
    adapters = np.array([*requests.adapters, None], dtype=object)
    hit = np.where(np.isfinite(t.admitted), q["hit"], 0)
    return {
        "id": np.arange(len(q)), "sent_s": np.where(t.was_sent, t.sent, np.nan), "arrival_s": t.arrival,
        "admitted_s": t.admitted, "first_token_s": first, "finish_s": finish, "failed_s": np.where(t.failed, t.finish, np.nan),
        "ttft_s": first - t.sent, "itl_s": itl, "latency_s": finish - t.sent, "input_tokens": q["input"].astype(np.int64),
        "output_tokens": q["output"].astype(np.int64), "cached_tokens": hit.astype(np.int64),
        "preemptions": q["preempted"].astype(np.int64), "retries": q["retries"].astype(np.int64),
        "replica": np.where(np.isfinite(t.arrival), q["replica"], k.NONE).astype(np.int64),
        "model": names[q["model"]].tolist(), "adapter": adapters[q["adapter"]].tolist(),
        "status": np.array(PHASES)[q["phase"]].tolist(),
    }  # fmt: skip


def server_table(found: Outcome) -> pl.DataFrame:
    """What the fleet held and did, averaged over bins of time that are equally wide."""
    import polars as pl

    s = found.series
    return pl.DataFrame(
        {
            "time_s": np.arange(s.in_flight.size) * s.bin_s, "bin_s": s.widths,
            "in_flight": s.in_flight, "waiting": s.waiting, "running": s.running, "batch": s.batch,
            "kv_used_fraction": s.kv_used, "output_tokens_per_s": s.output_tokens,
            "prompt_tokens_per_s": s.prompt_tokens,
        }
    )  # fmt: skip


def power_table(run: Run, fleet: Fleet) -> pl.DataFrame:
    """Mean power of each pool over bins of time, idle power included."""
    import polars as pl

    until = times_of(run).until
    bin_s = float(run.totals["bin_s"])
    many = min(max(int(np.ceil(until / bin_s)), 1), run.bins.shape[0])
    edges = np.minimum(np.arange(many + 1) * bin_s, until)
    on = on_seconds(run, until) / max(until, 1e-300)
    tables = []
    for n, pool in enumerate(fleet.pools):
        mine = run.replicas["pool"] == n
        idle = pool.law.idle_w / pool.law.lanes * float(on[mine].sum())
        if run.log is None:
            if len(fleet.pools) > 1:
                continue
            joules = run.bins[:many, k.JOULES]
        else:
            joules = spread(run.log[mine[run.log["replica"]]], edges)
        power = joules / np.maximum(np.diff(edges), 1e-300) + idle
        tables.append(pl.DataFrame({"time_s": edges[:-1], "power_w": power}).with_columns(device=pl.lit(pool.name)))
    return pl.concat(tables).fill_nan(None).select("time_s", "device", "power_w") if tables else pl.DataFrame()


def spread(rows: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joules of rows of the log, spent evenly from their start to their end, between moments evenly apart."""
    span = np.maximum(rows["end_s"] - rows["start_s"], 1e-300)
    watts = rows["joules"] / span
    upto = np.zeros(edges.size)
    for moments, sign in ((rows["start_s"], 1.0), (rows["end_s"], -1.0)):
        at = np.searchsorted(edges, moments)  # the first edge at or after it
        weight = np.cumsum(np.bincount(at, watts, minlength=edges.size + 1)[: edges.size])
        moment = np.cumsum(np.bincount(at, watts * moments, minlength=edges.size + 1)[: edges.size])
        upto += sign * (edges * weight - moment)
    return np.diff(upto)


def event_table(run: Run) -> pl.DataFrame:
    """The log: runs of steps, see `kernel.state.LOG`."""
    import polars as pl

    rows = np.zeros(0, k.LOG) if run.log is None else run.log
    columns = {name: np.ascontiguousarray(rows[name]) for name in k.LOG.names or ()}
    return pl.DataFrame(columns).with_columns(pool=pl.Series(run.replicas["pool"][rows["replica"]]))


def _write(folder: Path, name: str, table: pl.DataFrame) -> None:
    import polars as pl

    table = table.with_columns(pl.selectors.float().fill_nan(None))
    _rename(folder, f"{name}.parquet", lambda file: table.write_parquet(file, compression="zstd"))


def _rename(folder: Path, name: str, write: Any) -> None:
    file = folder / (name + UNFINISHED)
    write(file)
    file.replace(folder / name)


# Reading


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
    document = _document(folder)
    if document.get("schema_version") != SCHEMA:
        version = document.get("schema_version")
        raise BadInput(f"schema {version!r}", field="schema_version", allowed=str(SCHEMA), file=folder / RUN)
    return Record(folder, document, *(_columns(folder, name) for name in ("requests", "server", "power", "events")))


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BadInput("cannot be read as JSON", field="record", file=folder / RUN, line=line) from None
    if not isinstance(document, dict):
        raise BadInput("is no JSON object", field="record", file=folder / RUN)
    return document


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


__all__ = ["About", "Record", "check_folder", "read_record", "write_record"]
