"""The steady window leaves out start, end and interruptions, and is refused where there is none."""

import json

import numpy as np
import pytest

from inferatlas.measure.bench.metrics.flow import flow_of
from inferatlas.measure.bench.metrics.steady import steady_window, trend
from inferatlas.measure.bench.metrics.timings import timings_of


def queue(arrivals, service):
    """One server, first come, first served: begin and end of each service."""
    ends, free = np.empty(arrivals.size), 0.0
    for n, (at, takes) in enumerate(zip(arrivals, service, strict=True)):
        free = max(free, at) + takes
        ends[n] = free
    return ends - service, ends


def open_loop(sent, begin, end, **told):
    columns = {
        "sent_s": sent, "due_s": sent, "first_token_s": begin, "finish_s": end, "end_s": end,
        "done": np.ones(sent.size, bool), "output_tokens": np.full(sent.size, 10.0),
    }  # fmt: skip
    return timings_of(columns | told, closed=False)


def test_from_n_first_tokens_to_n_minus_one_unfinished(written):
    users = [(0.0, 0.5, 2.0), (0.0, 0.7, 2.0), (2.0, 2.3, 3.0), (2.0, 2.4, 4.0), (3.0, 3.2, 6.0), (4.0, 4.2, 5.0)]
    run = written([(s, [(first, 1), (end, 1)]) for s, first, end in users], clients=2)
    window = steady_window(run)
    assert window.spans == ((0.7, 5.0),) and window.steady  # at 5.0 one of two users is left
    assert not window.checked  # parts of two latencies would be too few


def test_a_ramp_is_no_steady_state(written):
    """Users come one a second and send again every 0.2 s: the first has many answers before the last one begins."""
    sent = [user + 0.2 * n for user in range(4) for n in range(50 - 5 * user)]
    run = written([(s, [(s + 0.05, 1), (s + 0.19, 1)]) for s in sent], clients=4)
    (span,) = steady_window(run).spans
    assert span[0] == pytest.approx(3.0) and span[1] > 9.0


def test_offline_the_batch_is_what_was_seen():
    """All are sent at once; the server answers four at a time, eight times."""
    begin = np.repeat(np.arange(8.0), 4) + 0.1
    columns = {"sent_s": np.zeros(32), "first_token_s": begin, "finish_s": begin + 0.8, "done": np.ones(32, bool)}
    assert steady_window(timings_of(columns, closed=True)).spans[0] == pytest.approx((0.1, 7.9))


def test_a_steady_closed_loop_is_checked_and_kept(loop):
    window = steady_window(loop(8, 30, 0.2, 0.02, 20))
    assert window.steady and window.checked
    assert {"concurrency", "output_tokens_per_s", "ttft_s"} == set(window.trends)
    json.dumps(window.as_dict(), allow_nan=False)


def test_a_loop_that_slows_down_has_no_steady_state(loop):
    window = steady_window(loop(8, 30, 0.2, 0.02, 20, drift=1.0))
    assert (window.why, window.spans) == ("no_steady_state", ())
    assert window.trends["output_tokens_per_s"].change < -0.2
    json.dumps(window.as_dict(), allow_nan=False)


def test_each_segment_has_its_own_start_and_the_pause_is_left_out(written, loop):
    one = loop(4, 10, 0.1, 0.01, 10)
    both = {
        name: np.concatenate([getattr(one, name), getattr(one, name) + 100.0])
        for name in ("sent_s", "first_token_s", "finish_s", "end_s")
    }
    both |= {"done": np.ones(80, bool), "segment": np.repeat([0, 1], 40)}
    window = steady_window(timings_of(both, closed=True, clients=4))
    (alone,) = steady_window(one).spans
    np.testing.assert_allclose(window.spans, [alone, np.add(alone, 100.0)])


def test_too_few_requests_are_told(written):
    run = written([(0.0, [(0.2, 1), (1.0, 1)]), (0.0, [(0.2, 1), (1.0, 1)])], clients=2)
    assert steady_window(run).why == "short"
    assert steady_window(written([(1.0 * n, [(n + 0.5, 1)]) for n in range(19)], closed=False)).why == "short"
    assert steady_window(timings_of({"sent_s": [np.nan], "done": [False]}, closed=True)).why == "short"


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_at_an_unlimited_server_are_steady(seed):
    random = np.random.default_rng(seed)
    sent = np.cumsum(random.exponential(0.1, 1500))
    run = open_loop(sent, sent + 0.2, sent + random.uniform(1.0, 3.0, sent.size))
    window = steady_window(run, flow_of(run))
    assert window.steady and window.checked and window.growth_per_s == 0.0
    begin, end = window.spans[0]
    assert begin < 0.5 * sent[-1] and end == sent[-1]


def test_poisson_arrivals_at_a_busy_server_are_seldom_taken_for_unsteady():
    random = np.random.default_rng(9)
    whys = []
    for _ in range(40):
        sent = np.cumsum(random.exponential(1.0, 800))
        whys.append(steady_window(open_loop(sent, *queue(sent, random.exponential(0.7, 800)))).why)
    assert whys.count("overloaded") <= 1 and whys.count("") >= 36


@pytest.mark.parametrize("load", [1.3, 2.0, 5.0])
def test_a_server_that_is_offered_too_much_is_overloaded(load):
    random = np.random.default_rng(10)
    sent = np.cumsum(random.exponential(1.0, 1000))
    window = steady_window(open_loop(sent, *queue(sent, random.exponential(load, 1000))))
    assert window.why == "overloaded" and window.growth_per_s > 0 and not window.spans


def test_latency_that_grows_little_by_little_is_no_steady_state():
    """Offered 2 % too much, evenly: the backlog is below what counts as one, and latency never settles."""
    sent = np.arange(1200.0)
    run = open_loop(sent, *queue(sent, np.full(1200, 1.02)))
    assert steady_window(run).why in {"overloaded", "no_steady_state"}


def test_the_warm_up_is_left_out():
    """A cold server takes ten times as long for the first hundred requests."""
    random = np.random.default_rng(11)
    sent = np.cumsum(random.exponential(0.1, 1500))
    takes = np.where(np.arange(1500) < 100, 10.0, 1.0)
    begin, _ = steady_window(open_loop(sent, sent + 0.1, sent + takes)).spans[0]
    assert sent[99] < begin < 0.5 * sent[-1]


def test_trend_knows_noise_from_growth():
    random = np.random.default_rng(12)
    chance = [trend(random.normal(10, 1, 16)).sure > 2.9 for _ in range(500)]
    assert np.mean(chance) < 0.03
    growing = trend(np.linspace(10, 15, 16) + random.normal(0, 0.3, 16))
    assert growing.sure > 2.9 and growing.change == pytest.approx(0.4, abs=0.1)
    assert trend(np.full(16, 3.0)).sure == 0.0
    alike = np.cumsum(random.normal(0, 1, (200, 16)), axis=1) + 100  # wandering is not growing
    assert np.mean([trend(one).sure > 2.9 for one in alike]) < 0.6
