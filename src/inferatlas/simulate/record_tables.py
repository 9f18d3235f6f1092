"""The tables of a run record: requests, server and power over time, and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.outcome import Outcome
from inferatlas.simulate.running import Run
from inferatlas.simulate.series import on_seconds, times_of
from inferatlas.workload.requests import Requests

if TYPE_CHECKING:
    import polars as pl

PHASES = ("unsent", "waiting", "prompt", "decode", "loading", "moving", "arrived", "swapped", "done", "failed")


def request_columns(run: Run, fleet: Fleet, requests: Requests) -> dict[str, Any]:
    """A row per request; times in seconds, NaN where it did not happen."""
    t, q = times_of(run), run.requests
    first, finish = t.first + fleet.network_s, np.where(t.done, t.finish + fleet.network_s, np.nan)
    several = t.output > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        itl = np.where(several, (finish - first) / (t.output - 1), np.nan)
    names = np.array(requests.models or fleet.models, dtype=object)
    adapters = np.array([*requests.adapters, None], dtype=object)
    hit = np.where(np.isfinite(t.admitted), q["hit"], 0)
    return {
        "id": np.arange(len(q)), "sent_s": np.where(t.was_sent, t.sent, np.nan), "arrival_s": t.arrival,
        "admitted_s": t.admitted, "first_token_s": first, "finish_s": finish,
        "failed_s": np.where(t.failed, t.finish, np.nan),
        "ttft_s": first - t.sent, "itl_s": itl, "latency_s": finish - t.sent,
        "input_tokens": q["input"].astype(np.int64),
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
