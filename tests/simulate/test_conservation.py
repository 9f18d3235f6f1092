"""What holds of every run: nothing is lost, made twice, or used beyond its limits."""

from dataclasses import replace

import numpy as np
import pytest
from cases import LONGEST, Small, plain_law, pools, schedulers, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.simulate.fleet import Fleet, Link, Pool, Scheduler
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.kernel.machine import loop
from inferatlas.simulate.running import EVENTS, run, world
from inferatlas.workload.requests import Requests

KINDS = ("open", "turns", "clients")
ROUTERS = ("round-robin", "random", "least-outstanding", "least-kv", "shortest-queue", "two-choices", "prefix")


@st.composite
def fleets(draw: st.DrawFn) -> tuple[tuple[Small, ...], str]:
    """One pool, or one that computes prompts and one that decodes; any router."""
    router = draw(st.sampled_from(ROUTERS))
    if draw(st.booleans()):
        return (draw(pools()),), router
    budget = pools(schedulers(policy="budget"))
    return (draw(budget), draw(budget)), router


def built(small: tuple[tuple[Small, ...], str]) -> Fleet:
    some, router = small
    if len(some) == 1:
        return Fleet((some[0].pool(),), router)  # pyright: ignore[reportArgumentType]
    pair = (some[0].pool("prefill"), some[1].pool("decode"))
    return Fleet(pair, router, link=Link(1e7, 4e6))  # pyright: ignore[reportArgumentType]


def drained(fleet: Fleet, requests: Requests, seed: int = 0) -> k.World:
    """The arrays of a run to its end."""
    w, advance = world(fleet, requests, seed=seed, log=1 << 15, until_s=np.inf), loop()
    while (why := advance(w, EVENTS)) != k.FINISHED:
        assert why == k.MORE
    return w


@settings(max_examples=300)
@given(fleets(), streams(kinds=KINDS))
def test_nothing_is_lost(small, requests):
    """Every request ends once with its tokens; in the end nothing is in use, and no cache beyond the memory."""
    w = drained(built(small), requests)
    q, rep = w.req, w.rep
    assert (q["phase"] == k.DONE).all()
    assert np.isfinite(q["finish"]).all()
    assert w.run[0]["ended"] == len(requests)
    np.testing.assert_array_equal(q["made"], requests.output_tokens)
    assert rep["tokens"].sum() == requests.output_tokens.sum()
    for name in ("private", "shared", "running", "waiting", "door", "joins", "joined", "loads", "parts", "fins", "b",
                 "outstanding", "counted"):  # fmt: skip
        assert not rep[name].any(), name
    assert not w.phase.any()
    assert (w.unit["refs"] == 0).all()
    np.testing.assert_array_equal(w.unit["have"].sum(1), rep["cached"])
    assert (rep["cached"] <= rep["blocks"]).all()
    np.testing.assert_allclose(rep["queued"], 0.0, atol=1e-6)
    np.testing.assert_allclose(rep["context"], 0.0, atol=1e-6)
    arrival, admitted, first = q["arrival"], q["admitted"], q["first"]
    assert (q["sent"] <= arrival).all()
    assert (arrival <= admitted).all()
    assert (admitted < first).all()
    assert (first <= q["finish"]).all()


@settings(max_examples=300)
@given(fleets(), streams(kinds=KINDS))
def test_limits_are_kept(small, requests):
    """Sequences, tokens and blocks of a step, by the log and by the most that there was."""
    fleet = built(small)
    got = run(fleet, requests, log=True)
    pool = got.replicas["pool"]
    slots = np.array([min(p.scheduler.max_sequences, p.law.max_sequences) for p in fleet.pools])
    tokens = np.array([p.scheduler.step_tokens for p in fleet.pools])
    whole = np.array([not p.scheduler.chunked for p in fleet.pools])
    assert (got.replicas["most_batch"] <= slots[pool]).all()
    assert (got.replicas["most_blocks"] <= got.replicas["blocks"]).all()
    log = got.log
    assert log is not None
    own = pool[log["replica"]]
    assert (log["batch"] <= slots[own]).all()
    assert (log["blocks"] <= got.replicas["blocks"][log["replica"]]).all()
    alone = whole[own] & (log["prompts"] == 1)  # a whole prompt longer than any step goes alone
    within = np.maximum(tokens[own], log["batch"]) - np.where(log["prompt_tokens"] > 0, log["batch"], 0)
    assert ((log["prompt_tokens"] <= within) | alone).all()


@settings(max_examples=200)
@given(pools(schedulers(reserve_whole=True)), streams(kinds=KINDS))
def test_prompts_are_computed_once(small, requests):
    """Where nobody is preempted, each token that was not found."""
    got = run(Fleet((small.pool(),)), requests)
    assert not got.requests["preempted"].any()
    assert got.replicas["prompt_tokens"].sum() == (requests.input_tokens - got.requests["hit"]).sum()
    hits = got.requests["hit"]
    assert (hits < requests.input_tokens).all()
    if small.scheduler.prefix_cache != "tokens":
        assert not (hits % small.block).any()


@settings(max_examples=200)
@given(fleets(), streams(kinds=KINDS))
def test_littles_law(small, requests):
    """The integral of the number in the system is the sum of the times in it: mean number = rate x mean latency."""
    q = run(built(small), requests).requests
    at = np.concatenate([q["sent"], q["finish"]])
    change = np.concatenate([np.ones(len(q)), -np.ones(len(q))])
    order = np.lexsort((-change, at))
    inside = np.cumsum(change[order])
    assert (inside >= 0).all()
    latency = q["finish"] - q["sent"]
    span = q["finish"].max() - q["sent"].min()
    mean_number = (inside[:-1] * np.diff(at[order])).sum() / span
    assert mean_number == pytest.approx(len(q) / span * latency.mean(), rel=1e-9)


@settings(max_examples=100)
@given(fleets(), streams(kinds=KINDS))
def test_time_is_accounted_for(small, requests):
    """Busy time, tokens and joules of replicas are the sums over the log and over the bins."""
    got = run(built(small), requests, log=True)
    log, rep, bins = got.log, got.replicas, got.bins
    assert log is not None
    n, first, more = log["steps"], log["first_s"], log["more_s"]
    seconds = n * first + more * n * (n - 1) / 2
    sums = np.bincount(log["replica"], seconds, minlength=rep.size)
    unpaused = not any(p.scheduler.swap for p in small[0])  # the first step of a run may be longer by what is moved
    if unpaused:
        np.testing.assert_allclose(sums, rep["busy_s"], rtol=1e-9, atol=1e-12)
    for column, name in ((k.BUSY, "busy_s"), (k.JOULES, "joules"), (k.OUT, "tokens"), (k.IN, "prompt_tokens")):
        assert bins[:, column].sum() == pytest.approx(rep[name].sum(), rel=1e-9)
    assert log["steps"].sum() == rep["steps"].sum()


@settings(max_examples=30)
@given(fleets(), streams(kinds=KINDS), st.integers(0, 2**63))
def test_a_seed_reproduces_a_run(small, requests, seed):
    one, two = (run(built(small), requests, seed=seed, log=True) for _ in range(2))
    assert one.requests.tobytes() == two.requests.tobytes()
    assert one.replicas.tobytes() == two.replicas.tobytes()
    assert one.log is not None and two.log is not None
    assert one.log.tobytes() == two.log.tobytes()


def latencies(fleet: Fleet, requests: Requests) -> np.ndarray:
    q = run(fleet, requests).requests
    return q["finish"] - q["sent"]


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from(["round-robin", "least-outstanding"]))
def test_more_is_never_worse_at_light_load(seed, replicas, router):
    """More replicas, blocks or slots, and a lower rate, where a request seldom meets another.

    To 2 %: whether an arrival just misses the beginning of a step is chance.
    """
    random = np.random.default_rng(seed)
    n = 60
    inputs, outputs = random.integers(1, 64, n), random.integers(1, 33, n)
    arrival = np.cumsum(random.exponential(2.0, n))
    requests = Requests("light", arrival, inputs, outputs)
    scheduler = Scheduler(step_tokens=64, prefix_cache="none", max_sequences=4)
    pool = Pool((plain_law(4, 2 * LONGEST // 4),), scheduler, replicas=replicas)
    mean = latencies(Fleet((pool,), router), requests).mean()
    for better in (
        replace(pool, replicas=replicas + 1),
        replace(pool, laws=(plain_law(4, 8 * LONGEST // 4),)),
        replace(pool, scheduler=replace(scheduler, max_sequences=12)),
    ):
        assert latencies(Fleet((better,), router), requests).mean() <= mean * 1.02
    slower = Requests("lighter", arrival * 4, inputs, outputs)
    assert latencies(Fleet((pool,), router), slower).mean() <= mean * 1.02


@settings(max_examples=100)
@given(pools(schedulers()), streams(kinds=("clients",)))
def test_a_machine_of_twice_the_speed_takes_half_the_time(small, requests):
    """Where all times shrink alike, so do the results: clients without think time."""
    at_once = Requests("busy", 0.0 * requests.arrival_s, requests.input_tokens, requests.output_tokens,
                       clients=requests.clients, chains=requests.chains)  # fmt: skip
    pool = small.pool()
    scheduler = replace(pool.scheduler, host_s=0.0)
    grid = pool.law.grid
    half = pool.law.grid._replace(decode=grid.decode / 2, mixed=grid.mixed / 2, several=grid.several / 2)
    law = replace(pool.law, grid=half, host_bytes_per_s=2 * pool.law.host_bytes_per_s)
    slow = run(Fleet((replace(pool, scheduler=scheduler),)), at_once).requests
    fast = run(Fleet((replace(pool, laws=(law,), scheduler=scheduler),)), at_once).requests
    np.testing.assert_allclose(fast["finish"], slow["finish"] / 2, rtol=1e-9)


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.2, 1.0]))
def test_a_faster_machine_is_never_later(seed, gap):
    """On average; one request may be, by a step, which comes just after the start of a step with a long prompt."""
    random = np.random.default_rng(seed)
    n = 50
    requests = Requests("random", np.cumsum(random.exponential(gap, n)), random.integers(1, 64, n),
                        random.integers(1, 33, n))  # fmt: skip
    law = plain_law(16, 1 << 20, 64)
    half = law.grid._replace(decode=law.grid.decode / 2, mixed=law.grid.mixed / 2)
    scheduler = Scheduler(prefix_cache="none")
    slow = run(Fleet((Pool((law,), scheduler),)), requests).requests
    fast = run(Fleet((Pool((replace(law, grid=half),), scheduler),)), requests).requests
    for name in ("first", "finish"):
        assert fast[name].mean() < slow[name].mean()
        assert (fast[name] <= slow[name] + 0.1).all()
