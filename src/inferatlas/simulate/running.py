"""Run a fleet against requests: lay the arrays out, turn the loop, hand over what came out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.drafting import verifications
from inferatlas.simulate.fleet import POLICIES, ROLES, ROUTERS, Fleet, Pool
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.law import StepLaw
from inferatlas.workload.requests import Requests

EVENTS = 200_000  # between two looks at the clock and at the keyboard
BINS = 1024
GAP_LOW, GAP_STEP, GAPS = 1e-5, 0.005, 4096  # seconds, and natural logarithm: half a percent from 10 µs to 2 h


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What the loop left behind, see `kernel.state`: requests and replicas, totals, bins, gaps, log and pieces."""

    requests: NDArray[Any]
    replicas: NDArray[Any]
    totals: Any
    bins: NDArray[np.float64]
    gaps: NDArray[np.float64]
    log: NDArray[Any] | None
    pieces: NDArray[Any] | None
    wall_s: float
    interrupted: bool


def run(fleet: Fleet, requests: Requests, *, seed: int = 0, log: bool = False, until_s: float = np.inf,
        told: Callable[[int], None] | None = None) -> Run:  # fmt: skip
    """Play requests on a fleet to their end; Ctrl-C ends it early, with what was played until then.

    Parameters
    ----------
    seed : of what the loop itself draws (random routers, drafts). log : keep what a run record needs.
    until_s : simulated seconds after which nothing more happens. told : is told now and then how many have ended.

    Examples
    --------
    >>> from inferatlas.simulate.law import affine_law
    >>> three = Requests("three", np.array([0.0, 1.0, 2.0]), np.array([100, 100, 100]), np.array([1, 11, 21]))
    >>> played = run(Fleet((Pool((affine_law(0.01, 0.0, 4),)),)), three)
    >>> np.round(played.requests["finish"], 9).tolist()
    [0.01, 1.11, 2.21]
    """
    from inferatlas.simulate.kernel.machine import loop

    advance = loop()
    begun = time.perf_counter()
    w = world(fleet, requests, seed=seed, log=1 << 18 if log else 0, until_s=until_s)
    rows: list[NDArray[Any]] = []
    pieces: list[NDArray[Any]] = []
    interrupted = False
    try:
        while (why := advance(w, EVENTS)) != k.FINISHED:
            if why == k.LOG_FULL:
                _empty(w, rows, pieces)
            if told is not None:
                told(int(w.run[0]["ended"]))
    except KeyboardInterrupt:
        interrupted = True
    _empty(w, rows, pieces)
    return Run(
        w.req, w.rep, w.run[0], w.bins, w.gaps, np.concatenate(rows) if log else None,
        np.concatenate(pieces) if log else None, time.perf_counter() - begun, interrupted,
    )  # fmt: skip


def _empty(w: k.World, rows: list[NDArray[Any]], pieces: list[NDArray[Any]]) -> None:
    """Take what the log holds."""
    run = w.run[0]
    rows.append(w.log[: run["log"]].copy())
    pieces.append(w.piece[: run["pieces"]].copy())
    run["log"] = run["pieces"] = 0


def world(fleet: Fleet, requests: Requests, *, seed: int, log: int, until_s: float) -> k.World:
    """The arrays of `kernel.state`, ready to run."""
    pools = fleet.pools
    replicas = np.repeat(np.arange(len(pools)), [_most(p) * p.law.lanes for p in pools])
    n, r = len(requests), replicas.size
    pool = np.zeros(len(pools), k.POOL)
    laws = [law for p in pools for law in p.laws]
    for i, p in enumerate(pools):
        _pool(pool[i], p, first_law=sum(len(q.laws) for q in pools[:i]), replicas=np.flatnonzero(replicas == i))
    most = int(pool["sequences"].max()) + 1
    block = int(min(max(pool["block"].max(), 1), 4096))
    req = _requests(requests, fleet, seed)
    space = np.array([[_blocks(p, law) for law in p.laws] for p in pools], dtype=np.int64)
    one, order = _run(fleet, requests, req, pool, seed=seed, log=log, until_s=until_s)
    chains = requests.chains
    units = 0 if chains is None else chains.units
    none = np.zeros(1, np.int64)
    axes = next(law.grid for law in laws if law is not None)
    tiers = pool["tier_blocks"].any()
    random, swing = _noise(laws)

    def stacked(name: str) -> NDArray[np.float64]:
        return np.stack([getattr(axes if law is None else law.grid, name) for law in laws])

    return k.World(
        run=one, req=req, order=order, soon=np.zeros(n + 1 if order.size < n else 1, k.EVENT),
        flying=np.zeros(n + 1 if fleet.link else 1, k.EVENT), rep=_replicas(pools, replicas, space),
        ends=np.full(r, np.inf), snapshot=np.zeros((r, 3)), pool=pool,
        fin=np.zeros((r, most), k.ENDING), phase=np.zeros((r, block), np.int64), part=np.zeros((r, most), np.int64),
        chunk=np.zeros((r, most), k.CHUNK), load=np.zeros((r, most if tiers else 1), k.EVENT),
        join=np.zeros((r, most if fleet.link else 1), np.int64), unit=_units(r, units),
        tier=_units(r, units if tiers else 1), upper=np.full((r, 2), k.NONE, np.int64),
        lower=np.tile(np.array([k.NONE, k.NONE, 0], np.int64), (r, 1)), tier_free=np.zeros(r), space=space,
        chain=none if chains is None else chains.unit.astype(np.int64),
        begin=none if chains is None else chains.begin.astype(np.int64),
        end=none if chains is None else chains.end.astype(np.int64),
        adapter=np.zeros((r, max(len(requests.adapters), 1)), k.ADAPTER), fault=_faults(fleet),
        batches=axes.batch, contexts=axes.context, wides=axes.wide, tokens=axes.tokens, pairs=axes.pairs,
        outputs=axes.outputs, decode=stacked("decode"), mixed=stacked("mixed"), several=stacked("several"),
        noise=random, swing=swing, bins=np.zeros((BINS, k.COLUMNS)), gaps=np.zeros(GAPS),
        log=np.zeros(max(log, 1), k.LOG), piece=np.zeros(log + most if log else 1, k.PIECE),
    )  # fmt: skip


def _most(p: Pool) -> int:
    """Replicas of a pool that may ever be up."""
    return p.replicas if p.scaling is None else p.scaling.most


def _blocks(p: Pool, law: StepLaw | None) -> int:
    """Of one replica, or of one stage of a pipeline, while a model is resident."""
    if law is None:
        return 0
    blocks = (p.scheduler.kv_blocks or law.blocks) // law.lanes
    return max(min(blocks * law.block_tokens // _block(p), 1 << 30), 1)


def _block(p: Pool) -> int:
    """Tokens of a block; by tokens a prefix is shared to the last of them."""
    return 1 if p.scheduler.prefix_cache == "tokens" else min(p.law.block_tokens, 1 << 30)


def _run(
    fleet: Fleet, requests: Requests, req: NDArray[Any], pool: NDArray[Any], *, seed: int, log: int, until_s: float
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What there is one of, and the requests whose time is known, in order."""
    one = np.zeros(1, k.WORLD)
    run, n, closed = one[0], len(requests), requests.clients is not None
    run["seed"], run["until"], run["closed"], run["logging"] = seed, until_s, closed, log > 0
    run["bin_s"], run["gap_low"], run["gap_log"] = 1e-3, GAP_LOW, GAP_STEP
    run["limbo_head"] = run["limbo_tail"] = k.NONE
    run["router"], run["stale_s"], run["load_penalty"] = ROUTERS.index(fleet.router), fleet.stale_s, fleet.load_penalty
    run["retry"], run["queue_limit"] = fleet.retry, fleet.queue_limit or 0
    scaled = pool["signal"] != k.NO_SCALING
    run["tick_at"] = pool["tick_at"][scaled].min() if scaled.any() else np.inf
    if fleet.link is not None:
        link, giver = fleet.link, next(p for p in fleet.pools if p.role == "prefill")
        run["link_total"], run["link_lane"], run["link_latency"] = (
            link.bytes_per_s, min(link.lane_bytes_per_s, link.bytes_per_s), link.latency_s,
        )  # fmt: skip
        run["hidden"] = (link.layers - 1) / link.layers if link.layers else 0.0
        run["token_bytes"] = giver.law.block_bytes / giver.law.block_tokens
        run["decode_sends"] = link.first_token == "decode"
    known = np.isfinite(req["sent"])
    if closed:
        known = np.arange(n) < (requests.clients or 0)
        run["sent"] = int(known.sum())
        req["sent"] = np.where(known, req["think"], np.nan)
    order = np.flatnonzero(known)
    return one, order[np.argsort((req["sent"] + req["before"])[order], kind="stable")]


def _replicas(pools: tuple[Pool, ...], index: NDArray[np.int64], space: NDArray[np.int64]) -> NDArray[Any]:
    rep = np.zeros(index.size, k.REPLICA)
    rep["pool"], rep["ready"] = index, np.inf
    for name in ("run_head", "run_tail", "wait_head", "wait_tail", "door_head", "door_tail"):
        rep[name] = k.NONE
    for i, p in enumerate(pools):
        own = np.flatnonzero(index == i)
        rep["model"][own] = next(m for m, law in enumerate(p.laws) if law is not None)
        rep["blocks"][own] = space[i, rep["model"][own[0]]]
        rep["state"][own[p.replicas * p.law.lanes :]] = k.OFF
    return rep


def _units(r: int, units: int) -> NDArray[Any]:
    made = np.zeros((r, max(units, 1)), k.UNIT)
    made["prev"] = made["next"] = k.NONE
    return made


def _noise(laws: list[StepLaw | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The random part of every law's steps, 0 where it has none."""
    drawn = [None if law is None else law.imbalance for law in laws]
    known = next((one for one in drawn if one is not None), None)
    if known is None:
        return np.zeros((1, 2)), np.zeros((1, 1))
    sums, swing = (np.zeros((len(laws), column.size)) for column in (known.sums, known.swing))
    for i, one in enumerate(drawn):
        if one is not None:
            sums[i], swing[i] = one.sums, one.swing
    return sums, swing


def _faults(fleet: Fleet) -> NDArray[Any]:
    faults = np.zeros(len(fleet.faults) + 1, k.FAULT)
    for i, one in enumerate(sorted(fleet.faults, key=lambda f: f.at_s)):
        faults[i] = (one.at_s, one.for_s, one.replica)
    faults[-1]["at"] = np.inf
    return faults


def _pool(row: Any, p: Pool, *, first_law: int, replicas: NDArray[np.int64]) -> None:
    s, law, tier = p.scheduler, p.law, p.tier
    row["law"], row["role"], row["policy"] = first_law, ROLES.index(p.role), POLICIES.index(s.policy)
    row["step_tokens"] = min(s.step_tokens or law.step_tokens, 1 << 30)
    row["sequences"] = min(s.max_sequences or law.max_sequences, law.max_sequences)
    row["chunked"], row["chunk_limit"] = s.chunked, s.chunk_limit or 0
    row["block"] = _block(p)
    row["queries"], row["host_s"] = law.queries, s.host_s
    row["noise"] = any(one is not None and one.imbalance is not None for one in p.laws)
    # drafts: what a verification accepts is not known before, so blocks are taken for the longest answer
    row["whole"] = s.reserve_whole or s.policy == "static" or row["block"] > 4096 or law.queries > 1
    row["swap"], row["cache"] = s.swap, s.prefix_cache != "none"
    row["fixed"] = law.fixed_blocks * law.block_tokens // _block(p)
    row["hosted"] = sum(1 << m for m, one in enumerate(p.laws) if one is not None)
    row["several"] = sum(one is not None for one in p.laws) > 1
    row["model_load_s"], row["patience_s"] = p.model_load_s, p.patience_s
    row["first"], row["many"] = int(replicas[0]), replicas.size
    size = law.block_bytes / law.block_tokens * row["block"]
    if s.swap:
        row["swap_block_s"] = size / law.host_bytes_per_s
    if tier is not None:
        row["tier_blocks"], row["tier_latency_s"] = int(tier.bytes // size), tier.latency_s
        row["tier_block_s"] = size / tier.bytes_per_s
    if p.adapters is not None:
        row["slots"], row["adapter_load_s"], row["adapter_step_s"] = (
            p.adapters.slots, p.adapters.load_s, p.adapters.step_s,
        )  # fmt: skip
    if p.scaling is not None:
        c = p.scaling
        row["signal"] = k.BY_KV if c.signal == "kv" else k.BY_OUTSTANDING
        row["least"], row["up_above"], row["down_below"] = c.least, c.up_above, c.down_below
        row["every_s"], row["startup_s"], row["cooldown_s"] = c.every_s, c.startup_s, c.cooldown_s
        row["tick_at"], row["scaled_at"] = c.every_s, -np.inf


def _requests(requests: Requests, fleet: Fleet, seed: int) -> NDArray[Any]:
    req = np.zeros(len(requests), k.REQUEST)
    law = fleet.pools[0].law
    req["input"], req["output"] = requests.input_tokens, requests.output_tokens
    req["before"] = law.request_s + law.prompt_token_s * requests.input_tokens
    req["sent"], req["think"] = requests.arrival_s, requests.arrival_s
    for name in ("after", "beside", "adapter", "replica", "prev", "next", "due", "from_", "first_replica"):
        req[name] = k.NONE
    for name in ("arrival", "admitted", "first", "finish", "moved"):
        req[name] = np.nan
    if requests.previous is not None:
        later = np.flatnonzero(requests.previous >= 0)
        later = later[np.argsort(requests.previous[later], kind="stable")]
        before = requests.previous[later]
        same = before[1:] == before[:-1]  # as the next one: both wait for the same
        req["beside"][later[:-1][same]] = later[1:][same]
        first = np.concatenate([[True], ~same])[: later.size]
        req["after"][before[first]] = later[first]
        req["sent"][later] = np.nan
    if requests.model is not None:
        req["model"] = requests.model
    if requests.adapter is not None:
        req["adapter"] = requests.adapter
    if requests.chains is not None:
        req["chain"], req["units"] = requests.chains.start[:-1], np.diff(requests.chains.start)
    drafting = next((p.law.speculation for p in fleet.pools if p.law.speculation), None)
    req["growth"] = 1.0
    if drafting is not None:
        gaps = np.maximum(requests.output_tokens - 1, 1)
        req["growth"] = gaps / verifications(gaps, drafting, np.random.default_rng([seed, 48]))
    return req
