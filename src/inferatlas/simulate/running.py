"""Run a fleet against requests: lay the arrays out, turn the loop, hand over what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.fleet import POLICIES, ROLES, ROUTERS, Fleet, Pool
from inferatlas.simulate.kernel import state as k
from inferatlas.workload.requests import Requests

EVENTS = 200_000  # between two looks at the clock and at the keyboard
BINS = 1024
GAP_LOW, GAP_STEP, GAPS = 1e-5, 0.005, 4096  # seconds, and natural logarithm: half a percent from 10 µs to 2 h


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What the loop left behind: records of requests and replicas (`kernel.state`), totals, bins, gaps and the log."""

    requests: NDArray[Any]
    replicas: NDArray[Any]
    totals: Any
    bins: NDArray[np.float64]
    gaps: NDArray[np.float64]
    log: NDArray[Any] | None
    wall_s: float
    interrupted: bool


def run(fleet: Fleet, requests: Requests, *, seed: int = 0, log: bool = False, until_s: float = np.inf,
        told: Callable[[int], None] | None = None) -> Run:  # fmt: skip
    from inferatlas.simulate.kernel.loop import advance

    begun = time.perf_counter()
    w = world(fleet, requests, seed=seed, log=1 << 18 if log else 0, until_s=until_s)
    rows: list[NDArray[Any]] = []
    interrupted = False
    try:
        while (why := advance(w, EVENTS)) != k.FINISHED:
            if why == k.LOG_FULL:
                rows.append(w.log[: w.run[0]["log"]].copy())
                w.run[0]["log"] = 0
            if told is not None:
                told(int(w.run[0]["ended"]))
    except KeyboardInterrupt:
        interrupted = True
    if log:
        rows.append(w.log[: w.run[0]["log"]].copy())
    return Run(w.req, w.rep, w.run[0], w.bins, w.gaps, np.concatenate(rows) if log else None,
               time.perf_counter() - begun, interrupted)  # fmt: skip


def world(fleet: Fleet, requests: Requests, *, seed: int, log: int, until_s: float) -> k.World:
    """The arrays of `kernel.state`, ready to run."""
    pools = fleet.pools
    replicas = np.repeat(np.arange(len(pools)), [p.replicas * p.law.lanes for p in pools])
    n, r = len(requests), replicas.size
    pool = np.zeros(len(pools), k.POOL)
    laws = [law for p in pools for law in p.laws]
    for i, p in enumerate(pools):
        _pool(pool[i], p, first_law=sum(len(q.laws) for q in pools[:i]), replicas=replicas, index=i)
    most = int(pool["sequences"].max()) + 1
    block = int(min(max(pool["block"].max(), 1), 4096))
    req = _requests(requests, fleet)
    rep = np.zeros(r, k.REPLICA)
    rep["pool"] = replicas
    for name in ("run_head", "run_tail", "wait_head", "wait_tail", "door_head", "door_tail"):
        rep[name] = k.NONE
    rep["ready"] = np.inf
    for i, p in enumerate(pools):
        blocks = p.scheduler.kv_blocks or p.law.blocks
        rep["blocks"][replicas == i] = max(min(blocks // p.law.lanes, 1 << 30), 1)
    world = np.zeros(1, k.WORLD)
    one = world[0]
    one["seed"], one["until"], one["closed"] = seed, until_s, requests.clients is not None
    one["bin_s"], one["gap_low"], one["gap_log"] = 1e-3, GAP_LOW, GAP_STEP
    one["limbo_head"] = one["limbo_tail"] = k.NONE
    one["router"] = ROUTERS.index(fleet.router)
    one["logging"] = log > 0
    known = np.isfinite(req["sent"])
    if requests.clients is not None:
        known = np.arange(n) < requests.clients
        one["sent"] = min(requests.clients, n)
        req["sent"] = np.where(known, req["think"], np.nan)
    order = np.flatnonzero(known)
    order = order[np.argsort((req["sent"] + req["before"])[order], kind="stable")].astype(np.int64)
    chains = requests.chains
    units = 0 if chains is None else chains.begin.size
    grids = [law.grid for law in laws if law is not None]
    axes = grids[0]

    def stacked(name: str) -> NDArray[np.float64]:
        return np.stack([getattr(axes if law is None else law.grid, name) for law in laws])

    return k.World(
        run=world, req=req, order=order, soon=np.zeros(n + 1 if order.size < n else 1, k.EVENT),
        flying=np.zeros(1, k.EVENT), rep=rep, ends=np.full(r, np.inf), snapshot=np.zeros((r, 3)), pool=pool,
        fin=np.zeros((r, most), k.ENDING), phase=np.zeros((r, block), np.int64), part=np.zeros((r, most), np.int64),
        chunk=np.zeros((r, most), k.CHUNK), load=np.zeros((r, 1), k.EVENT), join=np.zeros((r, most), np.int64),
        unit=_units(r, units), tier=_units(r, 1), upper=np.full((r, 2), k.NONE, np.int64),
        lower=np.tile(np.array([k.NONE, k.NONE, 0], np.int64), (r, 1)), tier_free=np.zeros(r),
        chain=np.zeros(1, np.int64) if chains is None else chains.unit.astype(np.int64),
        begin=np.zeros(1, np.int64) if chains is None else chains.begin.astype(np.int64),
        end=np.zeros(1, np.int64) if chains is None else chains.end.astype(np.int64),
        adapter=np.zeros((r, 1), k.ADAPTER), fault=np.zeros(1, k.FAULT),
        batches=axes.batch, contexts=axes.context, wides=axes.wide, tokens=axes.tokens, pairs=axes.pairs,
        outputs=axes.outputs, decode=stacked("decode"), mixed=stacked("mixed"), several=stacked("several"),
        noise=np.zeros((1, 2)), swing=np.zeros((1, 1)), bins=np.zeros((BINS, k.COLUMNS)), gaps=np.zeros(GAPS),
        log=np.zeros(max(log, 1), k.LOG),
    )  # fmt: skip


def _units(r: int, units: int) -> NDArray[Any]:
    made = np.zeros((r, max(units, 1)), k.UNIT)
    made["prev"] = made["next"] = k.NONE
    return made


def _pool(row: Any, p: Pool, *, first_law: int, replicas: NDArray[np.int64], index: int) -> None:
    s, law = p.scheduler, p.law
    row["law"], row["role"], row["policy"] = first_law, ROLES.index(p.role), POLICIES.index(s.policy)
    row["step_tokens"] = min(s.step_tokens or law.step_tokens, 1 << 30)
    row["sequences"] = min(s.max_sequences or law.max_sequences, law.max_sequences)
    row["chunked"], row["chunk_limit"] = s.chunked, s.chunk_limit or 0
    row["block"] = 1 if s.prefix_cache == "tokens" else min(law.block_tokens, 1 << 30)
    row["whole"] = s.reserve_whole or s.policy == "static" or row["block"] > 4096
    row["swap"], row["fixed"], row["cache"] = s.swap, law.fixed_blocks, s.prefix_cache != "none"
    row["queries"], row["noise"], row["host_s"] = 1, k.NONE, s.host_s
    row["hosted"] = sum(1 << m for m, one in enumerate(p.laws) if one is not None)
    row["first"], row["many"] = int(np.flatnonzero(replicas == index)[0]), int((replicas == index).sum())


def _requests(requests: Requests, fleet: Fleet) -> NDArray[Any]:
    req = np.zeros(len(requests), k.REQUEST)
    law = fleet.pools[0].law
    req["input"], req["output"] = requests.input_tokens, requests.output_tokens
    req["before"] = law.request_s + law.prompt_token_s * requests.input_tokens
    req["sent"], req["think"] = requests.arrival_s, requests.arrival_s
    for name in ("after", "adapter", "replica", "prev", "next", "due", "from_", "first_replica"):
        req[name] = k.NONE
    for name in ("arrival", "admitted", "first", "finish", "moved"):
        req[name] = np.nan
    if requests.previous is not None:
        later = requests.previous >= 0
        req["after"][requests.previous[later]] = np.flatnonzero(later)
        req["sent"][later] = np.nan
    if requests.model is not None:
        req["model"] = requests.model
    if requests.adapter is not None:
        req["adapter"] = requests.adapter
    if requests.chains is not None:
        req["chain"], req["units"] = requests.chains.start[:-1], np.diff(requests.chains.start)
    req["growth"] = 1.0
    return req
