"""Streams have the lengths, the rate and the shares that were asked for; a seed makes them the same again."""

import dataclasses

import numpy as np
import pytest

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains
from inferatlas.workload.requests import ideal_hit_share
from inferatlas.workload.streams import assign, make_requests, replay, shared_prefix
from inferatlas.workload.traces import Trace
from inferatlas.workload.turns import conversations
from inferatlas.workload.workload import Workload

CHAT = Workload("chat", 1154.7, 211.13, 0.96, 0.77, request_rate=5.0)
COLUMNS = ("arrival_s", "input_tokens", "output_tokens")


def same(one, other, *fields):
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in fields or COLUMNS)


def test_an_open_loop_has_the_rate_and_the_means():
    some = make_requests(CHAT, 200_000, 1)
    assert (some.name, some.clients, some.previous, some.chains, some.notes) == ("chat", None, None, None, ())
    assert some.offered_rate == pytest.approx(5.0, rel=0.01)
    assert (some.input_tokens.mean(), some.output_tokens.mean()) == pytest.approx((1154.7, 211.13), rel=0.01)
    gaps = np.diff(some.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.01)  # Poisson, not constant


def test_a_closed_loop_has_clients_that_send_at_once():
    some = make_requests(dataclasses.replace(CHAT, request_rate=None, concurrency=32), 100, 1)
    assert (some.clients, some.arrival_s.tolist()) == (32, [0.0] * 100)
    assert same(some, make_requests(CHAT, 100, 1), "input_tokens", "output_tokens")
    closed = dataclasses.replace(CHAT, request_rate=None, concurrency=32)
    for wrong in ({"arrival": "constant"}, {"burstiness": 2.0}):
        with pytest.raises(BadInput) as caught:
            make_requests(closed, 100, 1, **wrong)
        assert caught.value.field in wrong
    for count in (0, 1.5):
        with pytest.raises(BadInput):
            make_requests(closed, count, 1)


def test_clients_may_think_before_they_send():
    closed = dataclasses.replace(CHAT, request_rate=None, concurrency=32)
    some = make_requests(closed, 100_000, 1, think_s=4.0)
    assert some.clients == 32
    assert (some.arrival_s.mean(), some.arrival_s.std()) == pytest.approx((4.0, 4.0), rel=0.02)
    for load, think in ((CHAT, 1.0), (closed, -1.0), (closed, np.nan)):
        with pytest.raises(BadInput) as caught:
            make_requests(load, 10, 1, think_s=think)
        assert caught.value.field == "think_s"


def test_a_change_of_one_source_leaves_the_others():
    some = make_requests(CHAT, 1000, 1)
    assert same(some, make_requests(CHAT, 1000, 1))
    assert not same(some, make_requests(CHAT, 1000, 2), "arrival_s")
    bursty = make_requests(CHAT, 1000, 1, arrival="gamma", burstiness=0.3)
    assert same(some, bursty, "input_tokens", "output_tokens") and not same(some, bursty, "arrival_s")
    longer = make_requests(dataclasses.replace(CHAT, input_tokens=4000.0), 1000, 1)
    assert same(some, longer, "arrival_s", "output_tokens") and not same(some, longer, "input_tokens")
    faster = make_requests(dataclasses.replace(CHAT, request_rate=20.0), 1000, 1)
    assert faster.arrival_s == pytest.approx(some.arrival_s / 4)
    assert same(some.head(300), make_requests(CHAT, 300, 1))


def test_a_common_prefix_is_a_unit_that_all_share():
    some = make_requests(dataclasses.replace(CHAT, prefix_tokens=1000.0), 50_000, 1)
    assert some.input_tokens.min() > 1000 and some.input_tokens.mean() == pytest.approx(1154.7, rel=0.01)
    assert some.chains is not None
    assert (some.chains.units, some.chains.end.tolist()) == (1, [1000])
    # all but the first find it
    assert ideal_hit_share(some, 1) == pytest.approx(49_999 * 1000 / some.input_tokens.sum())
    with pytest.raises(BadInput):
        shared_prefix(np.array([5, 6]), 5)


def test_lengths_may_be_drawn_from_a_trace_in_pairs():
    trace = Trace("seen", np.array([0.0, 1.0]), np.array([10, 20]), np.array([1, 2]))
    some = make_requests(CHAT, 100, 1, lengths=trace)
    assert some.name == "seen" and np.array_equal(some.input_tokens, 10 * some.output_tokens)
    assert same(some, make_requests(CHAT, 100, 1), "arrival_s")
    assert "pairs drawn from seen" in some.notes[0]


# Replay


def steps():
    times = np.repeat(np.arange(50.0) * 3, 100)
    return Trace("steps", times, np.arange(1, 5001), np.ones(5000, np.int64), step_s=3.0)


def test_a_trace_is_replayed_as_it_was_or_faster():
    chains = Chains(np.array([0, 1, 2]), np.array([0, 0]), np.array([0]), np.array([4]))
    trace = Trace(
        "two", np.array([0.0, 3.0]), np.array([5, 6]), np.array([7, 8]), ("m", "n"), np.array([1, 0]), ("read",),
        chains=chains,
    )  # fmt: skip
    some = replay(trace, speed=4)
    assert (some.arrival_s.tolist(), some.input_tokens.tolist(), some.output_tokens.tolist()) == (
        [0, 0.75],
        [5, 6],
        [7, 8],
    )
    assert some.models == ("m", "n") and some.model is not None and some.model.tolist() == [1, 0]
    assert some.chains is chains
    assert some.notes == ("read", "replayed 4 times as fast: times are divided by 4")
    assert replay(trace).notes == ("read",)
    assert some.offered_rate == pytest.approx(4 * trace.rate)
    for speed in (0, -1, np.nan, np.inf, True):
        with pytest.raises(BadInput) as caught:
            replay(trace, speed=speed)
        assert caught.value.field == "speed"


def test_times_recorded_in_steps_are_spread_evenly_or_by_a_seed():
    trace = steps()
    even, drawn = replay(trace), replay(trace, seed=1)
    assert np.array_equal(even.arrival_s, trace.apart_s)
    assert (even.notes[-1], drawn.notes[-1]) == (
        "arrivals of one step of 3 s are spread evenly over it",
        "arrivals of one step of 3 s are spread at random over it",
    )
    for some in (even, drawn):
        assert np.all(np.diff(some.arrival_s) >= 0) and same(some, trace, "input_tokens")
        assert np.array_equal(some.arrival_s // 3 * 3, trace.arrival_s)
    gaps = np.diff(drawn.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)  # as Poisson
    assert not same(drawn, replay(trace, seed=2), "arrival_s") and same(drawn, replay(trace, seed=1))


# Models and adapters


def test_models_and_adapters_are_assigned_by_their_shares():
    some = make_requests(CHAT, 100_000, 1)
    both = assign(assign(some, ("a", "b", "c"), (0.5, 0.3, 0.2), 1), ("x", "y"), (0.1, 0.2), 1, "adapter")
    assert (both.models, both.adapters) == (("a", "b", "c"), ("x", "y"))
    assert both.model is not None and both.adapter is not None
    assert np.bincount(both.model) / 1e5 == pytest.approx([0.5, 0.3, 0.2], abs=0.01)
    assert np.bincount(both.adapter + 1) / 1e5 == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    assert abs(np.corrcoef(both.model, both.adapter)[0, 1]) < 0.01
    assert same(some, both)
    thirds = assign(some, ("a", "b", "c"), (1 / 3, 1 / 3, 1 / 3), 1)
    assert thirds.model is not None and thirds.model.min() == 0
    never = assign(some, ("a", "b"), (1.0, 0.0), 1)
    assert never.model is not None and set(never.model.tolist()) == {0}


def test_turns_of_a_conversation_ask_for_the_same_model():
    talk = conversations(CHAT, 5000, 1, turns=6, think_s=1.0)
    tagged = assign(talk, ("a", "b"), (0.5, 0.5), 1)
    assert talk.previous is not None and tagged.model is not None
    later = talk.previous >= 0
    assert later.sum() > 3000
    assert np.array_equal(tagged.model[later], tagged.model[talk.previous[later]])
    assert np.mean(tagged.model) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("names", "shares", "kind", "field"),
    [
        (("a", "b"), (0.5, 0.4), "model", "shares"),
        (("a", "b"), (0.5, 0.6), "adapter", "shares"),
        (("a", "b"), (1.5, -0.5), "model", "shares"),
        (("a", "b"), (np.nan, 1.0), "model", "shares"),
        (("a", "b"), (1.0,), "model", "shares"),
        ((), (), "model", "shares"),
        (("a", "a"), (0.5, 0.5), "model", "models"),
        (("a",), (1.0,), "tenant", "kind"),
    ],
)
def test_shares_that_are_none_are_refused(names, shares, kind, field):
    with pytest.raises(BadInput) as caught:
        assign(make_requests(CHAT, 10, 1), names, shares, 1, kind)
    assert caught.value.field == field
