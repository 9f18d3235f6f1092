"""The client's account over several starts of one run."""

import json

from inferatlas.measure.bench.record.document import CLIENT, client_of
from inferatlas.measure.bench.record.journal import State


def account(duration_s, cpu_s, lag_s, opened=1):
    return {
        "duration_s": duration_s, "cpu_s": cpu_s, "cpu_share": cpu_s / duration_s, "event_loop_lag_p99_s": lag_s,
        "event_loop_lag_max_s": lag_s, "opened": opened, "stamps": "kernel", "paused_s": [lag_s, 0.0],
        "memory_bytes": None,
    }  # fmt: skip


def state(*accounts):
    """A run with a request in each of its starts; None: one that was killed."""
    events = [(n, 0, CLIENT, json.dumps(one)) for n, one in enumerate(accounts) if one is not None]
    return State(segment_of={n: n for n in range(len(accounts))}, events=events)


def test_a_start_that_had_nothing_to_send_makes_no_client_busy():
    found = client_of(state(account(100.0, 5.0, 0.001), account(0.0001, 0.0002, 0.5)))
    assert (found["cpu_share"], found["event_loop_lag_p99_s"]) == (0.05, 0.001)
    assert (found["opened"], found["event_loop_lag_max_s"], found["paused_s"]) == (2, 0.5, [0.501, 0.0])
    assert found["unwatched"] == 0 and found["memory_bytes"] is None


def test_the_worst_of_the_long_ones_counts():
    assert client_of(state(account(10.0, 9.5, 0.2), account(100.0, 5.0, 0.001)))["cpu_share"] == 0.95


def test_one_start_is_told_as_it_is_however_short():
    assert client_of(state(account(0.2, 0.1, 0.001)))["cpu_share"] == 0.5


def test_a_start_that_was_killed_is_known_to_have_no_account():
    assert client_of(state(None, account(10.0, 1.0, 0.001)))["unwatched"] == 1
    assert client_of(State()) == {}
