"""The event loop against a plain program that takes one step after the other: the same schedule, the same times."""

import numpy as np
from cases import pools, streams
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import simulate

from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.running import run
from inferatlas.workload.requests import Requests

KINDS = ("open", "turns", "clients")


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
@given(pools(), streams(kinds=KINDS), st.sampled_from(["round-robin", "least-outstanding"]))
def test_one_pool(pool, requests, router):
    check(Fleet((pool,), router), requests)
