"""The event loop against a plain program that takes one step after the other: the same schedule, the same times."""

from dataclasses import replace

import numpy as np
from cases import LONGEST, plain_law, pools, real_law, schedulers, shared_prefixes, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import simulate

from inferatlas.simulate.fleet import Fleet, Link, Pool, Scheduler
from inferatlas.simulate.running import run
from inferatlas.workload.requests import Requests

KINDS = ("open", "turns", "clients")
ROUTERS = ("round-robin", "least-outstanding")


def check(fleet: Fleet, requests: Requests) -> None:
    """Times to 1e-9, decisions exactly."""
    got, want = run(fleet, requests).requests, simulate(fleet, requests)
    for name in ("preempted", "hit"):
        np.testing.assert_array_equal(got[name], [getattr(q, name) for q in want.requests], name)
    for name in ("admitted", "first", "moved", "finish"):
        expected = [getattr(q, name) for q in want.requests]
        np.testing.assert_allclose(got[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.isfinite(got["finish"]).all()


@settings(max_examples=400)
@given(pools(), streams(kinds=KINDS), st.sampled_from(ROUTERS))
def test_one_pool_of_any_policy(small, requests, router):
    check(Fleet((small.pool(),), router), requests)


@settings(max_examples=200)
@given(streams(kinds=KINDS, most=40), st.sampled_from([8, 64]), st.booleans(), st.sampled_from(["none", "blocks"]))
def test_preemption_again_and_again(requests, budget, swap, cache):
    """Room for two of the longest, and slots for many."""
    scheduler = Scheduler(step_tokens=budget, swap=swap, prefix_cache=cache)
    check(Fleet((Pool((plain_law(4, 2 * LONGEST // 4),), scheduler),)), requests)


@settings(max_examples=100)
@given(streams(kinds=KINDS, longest=300, most=40), schedulers(), st.integers(1, 2))
def test_the_law_of_a_real_part(requests, scheduler, replicas):
    law = replace(real_law(), blocks=60)
    check(Fleet((Pool((law,), scheduler, replicas=replicas),)), requests)


@settings(max_examples=200)
@given(
    streams(kinds=KINDS, most=40),
    pools(schedulers(policy="budget")),
    pools(schedulers(policy="budget")),
    st.sampled_from(ROUTERS),
    st.sampled_from([1e5, 1e6, 1e8]),
    st.sampled_from([1.0, 0.4]),
    st.sampled_from(["prefill", "decode"]),
)
def test_prompts_and_decoding_apart(requests, giver, taker, router, rate, lane, sends):
    """The cache crosses a link that many transfers share."""
    pair = (giver.pool("prefill"), taker.pool("decode"))
    check(Fleet(pair, router, link=Link(rate, lane * rate, first_token=sends)), requests)


@settings(max_examples=50)
@given(streams(most=40), st.sampled_from([1e5, 1e6, 1e8]), st.sampled_from([2, 32]))
def test_layers_that_cross_while_the_prompt_is_computed(requests, rate, layers):
    roomy = Pool((plain_law(16, 1 << 20, 64),), Scheduler(prefix_cache="none"), replicas=2)
    few = Scheduler(prefix_cache="none", max_sequences=4)
    pair = (replace(roomy, role="prefill"), replace(roomy, role="decode", scheduler=few))
    check(Fleet(pair, link=Link(rate, rate / 2, layers=layers)), requests)


def test_the_cases_meet_what_they_are_for():
    """Preemption, hits after eviction, cut prompts and transfers that share the link do occur."""
    random = np.random.default_rng(5)
    inputs, outputs = random.integers(1, 60, 40), random.integers(1, 36, 40)
    chains, inputs = shared_prefixes(random, inputs, outputs)
    requests = Requests("busy", np.cumsum(random.exponential(0.02, 40)), inputs, outputs, chains=chains)
    tight = Pool((plain_law(4, 2 * LONGEST // 4),), Scheduler(step_tokens=16))
    fleet = Fleet((tight,))
    check(fleet, requests)
    got = run(fleet, requests)
    assert got.requests["preempted"].sum() > 10
    assert got.requests["hit"].sum() > 100
    assert got.replicas["evicted"].sum() > 10
    pair = (replace(tight, role="prefill"), replace(tight, role="decode"))
    fleet = Fleet(pair, link=Link(1e6, 1e6))
    check(fleet, requests)
    moved = run(fleet, requests).requests
    taken = moved["moved"] - moved["first"]  # the decode side sends it: no gap
    assert np.nanmax(taken) == 0.0
    assert np.isfinite(moved["moved"]).sum() == (outputs > 1).sum()
