"""The client notices when it does not run, and compares its two clocks soundly."""

import time
from dataclasses import replace

import pytest
from bench_plans import streamed, told
from bench_sending import PATIENT, Numbered, closed_loop, target

from inferatlas.measure.bench.client import health
from inferatlas.measure.bench.client.health import PAUSES_NS, Watch
from inferatlas.measure.bench.client.sending import Sender


def sent(server, tick):
    requests, asks = closed_loop(1, tokens=60), Numbered(60)
    return Sender([target(server.base_url)], requests, asks, lambda _: None, limits=PATIENT, tick=tick).run().health


def test_a_client_that_stands_still_says_so(served):
    """50 ms away in every tenth of a second, while tokens come every 5 ms."""
    server = served(streamed(told, gap_s=0.005))
    away: list[float] = []

    def busy(_):
        away.append(0.05)
        time.sleep(0.05)
        return False

    found = sent(server, busy)
    assert len(away) >= 2 and found.event_loop_lag_max_s > 0.03
    assert found.paused_s[1] >= 0.8 * (sum(away) - 0.05), "the last may have had nothing behind it"


def test_waiting_for_a_place_is_not_the_clients_lag(served):
    """Two at a time are allowed, of six that are due at once."""
    server = served(streamed(told, gap_s=0.005))
    requests = replace(closed_loop(6), clients=None)
    found = Sender(
        [target(server.base_url)], requests, Numbered(), lambda _: None, limits=PATIENT, most_in_flight=2
    ).run()
    assert found.health.most_in_flight == 2 and found.health.event_loop_lag_max_s < 0.05


def test_what_the_end_of_a_duration_cuts_off_is_no_fault_of_the_server(served):
    server = served(streamed(told, gap_s=0.05))
    ended: list[str | None] = []
    found = Sender(
        [target(server.base_url)], closed_loop(50, 2), Numbered(), lambda one: ended.append(one.reason),
        limits=replace(PATIENT, drain_s=0.0), duration_s=0.05,
    ).run()  # fmt: skip
    assert not found.stopped and set(ended) == {"interrupted"} and len(ended) < 50


def test_pauses_are_added_up_by_how_long_they_were():
    watch = Watch()
    for late_ns in (9_000_000, 11_000_000, 40_000_000, 2_000_000_000):
        watch.late(late_ns)
    assert watch.told().paused_s == pytest.approx((2.051, 2.04, 2.0, 2.0, 2.0)) and len(PAUSES_NS) == 5


def test_a_wall_clock_that_is_read_late_is_not_believed_and_one_that_was_set_is(monkeypatch):
    monotonic, wall, between = 10**12, 10**18, 0
    monkeypatch.setattr(health.time, "time_ns", lambda: wall + between)
    monkeypatch.setattr(health.time, "monotonic_ns", lambda: monotonic + between)
    watch = Watch()
    watch.lead(monotonic)
    first = watch.lead_ns
    between = 5_000_000  # another program had the core between the two readings
    watch.lead(monotonic)
    assert watch.lead_ns == first
    between, wall = 0, wall + 3_000
    watch.lead(monotonic)
    assert watch.lead_ns == first + 3_000
    wall += 3600 * 10**9
    watch.lead(monotonic)
    assert watch.lead_ns == first + 3_000 + 3600 * 10**9
