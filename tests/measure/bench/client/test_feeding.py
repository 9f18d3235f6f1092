"""Which request is due when."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.client.feeding import Feed
from inferatlas.workload.requests import Requests

MS = 1_000_000


def requests(arrivals: list[float], clients: int | None = None, previous: list[int] | None = None) -> Requests:
    many = len(arrivals)
    return Requests(
        "some", np.array(arrivals), np.ones(many, int), np.ones(many, int), previous=previous, clients=clients
    )


def drained(feed: Feed, latency_ns: int = 5 * MS) -> list[tuple[int, int]]:
    """Every request as it is taken: (due, number), where each answer takes the same time."""
    taken, ends = [], []
    while feed.left:
        due = feed.next_ns()
        if due is not None and (not ends or due <= ends[0][0]):
            at, number = feed.take()
            taken.append((at, number))
            ends.append((at + latency_ns, number))
            ends.sort()
        else:
            now, number = ends.pop(0)
            feed.ended(number, now, well=True)
    return taken


@given(st.integers(1, 40), st.integers(1, 12))
def test_clients_send_all_requests_once_in_order_and_never_more_than_there_are_clients(many: int, clients: int) -> None:
    taken = drained(Feed(requests([0.0] * many, clients), 0))
    assert [number for _, number in taken] == list(range(many))
    for at, _ in taken:
        assert sum(begin <= at < begin + 5 * MS for begin, _ in taken) <= clients


def test_clients_think_before_each_request_and_begin_one_after_the_other() -> None:
    taken = drained(Feed(requests([0.010, 0.0, 0.003], clients=2), 100 * MS, ramp_s=0.004))
    assert taken == [(102 * MS, 1), (110 * MS, 0), (110 * MS, 2)]


def test_an_open_loop_waits_for_nobody() -> None:
    taken = drained(Feed(requests([0.0, 0.001, 0.002]), 7), latency_ns=10**12)
    assert taken == [(7, 0), (7 + MS, 1), (7 + 2 * MS, 2)]


def test_a_turn_is_due_its_think_time_after_the_end_of_the_one_before() -> None:
    feed = Feed(requests([0.0, 0.002, 0.0], previous=[-1, 0, 1]), 0)
    assert feed.take() == (0, 0)
    assert feed.next_ns() is None
    assert feed.ended(0, 5 * MS, well=True) == []
    assert feed.take() == (7 * MS, 1)


def test_turns_after_one_that_failed_are_lost_with_it() -> None:
    feed = Feed(requests([0.0, 0.0, 0.0, 0.0], previous=[-1, 0, 1, -1]), 0)
    feed.take()
    assert feed.ended(0, 1, well=False) == [1, 2]
    assert feed.left == 1


def test_an_open_loop_goes_on_where_it_was_left() -> None:
    feed = Feed(requests([0.0, 1.0, 5.0, 5.5]), 1000, done=frozenset({0, 1}))
    assert [feed.take() for _ in range(2)] == [(1000, 2), (1000 + 500 * MS, 3)]


def test_clients_go_on_with_what_is_left() -> None:
    taken = drained(Feed(requests([0.0] * 6, clients=2), 0, done=frozenset({0, 2, 3})))
    assert [number for _, number in taken] == [1, 4, 5]


def test_a_turn_whose_predecessor_was_answered_before_is_due_at_once() -> None:
    feed = Feed(requests([0.0, 3.0], previous=[-1, 0]), 50, done=frozenset({0}))
    assert feed.take() == (50, 1)


def test_conversations_go_on_at_once_although_a_turn_is_due_too() -> None:
    """Turn 1 answers a request that is done; 2 and 3 begin conversations an hour after the start of the run."""
    feed = Feed(requests([0.0, 0.5, 3600.0, 3602.0], previous=[-1, 0, -1, -1]), 50, done=frozenset({0}))
    assert [feed.take() for _ in range(3)] == [(50, 1), (50, 2), (50 + 2_000_000_000, 3)]
