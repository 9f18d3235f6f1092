"""What a run says of itself: definitions, the steady window, overload, targets, energy and cost."""

import json

import numpy as np
import pytest
from serving import capacity, interrupted, law, load, one, pair, served

from inferatlas.simulate.fleet import Fault, Fleet, Pool, Scaling, Scheduler
from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.law import affine_law
from inferatlas.simulate.outcome import across, meets, outcome
from inferatlas.simulate.running import run
from inferatlas.simulate.series import series_of, times_of
from inferatlas.workload.requests import Requests
from inferatlas.workload.targets import parse_targets

TARGETS = parse_targets(["ttft:p95<500ms", "itl<20ms"])


def test_the_document_has_the_keys_of_the_contract_and_no_infinity():
    found = outcome(*served(2000, 0.8), TARGETS).as_dict()
    assert {
        "requests", "completed", "failed", "saturated", "duration_s", "wall_s", "metrics", "batch", "kv_used_fraction",
        "preemptions", "queue", "steady", "whole_run", "engine_clock", "gap_s", "hit_rate", "queue_wait_s", "intervals",
        "cost", "warnings",
    } <= set(found)  # fmt: skip
    assert set(found["metrics"]["ttft_s"]) == {"mean", "p50", "p90", "p95", "p99"}
    assert set(found["metrics"]) == {
        "ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "power_w",
        "tokens_per_joule",
    }  # fmt: skip
    json.dumps(found, allow_nan=False)


def test_latency_is_ttft_and_gaps():
    r, fleet, requests = served(1, 0.01)
    found = outcome(r, fleet, requests)
    m, tokens = found.metrics, int(requests.output_tokens[0])
    assert m["latency_s"]["mean"] == pytest.approx(m["ttft_s"]["mean"] + (tokens - 1) * m["itl_s"]["mean"])
    assert m["ttft_s"]["mean"] == pytest.approx(0.01 + 256e-5)
    assert m["itl_s"]["mean"] == pytest.approx(0.0105)


def test_one_token_has_no_gap():
    requests = Requests("one token", np.array([0.0, 5.0]), np.array([8, 8]), np.array([1, 1]))
    found = outcome(run(one(), requests), one(), requests)
    assert set(found.metrics["itl_s"].values()) == {None} and found.metrics["latency_s"]["mean"] > 0
    kept = outcome(run(one(), requests), one(), requests, parse_targets(["itl<1ms"]))
    assert kept.metrics["goodput_per_s"] == pytest.approx(2 / kept.duration_s)


def test_the_clients_clock_begins_earlier_and_ends_later():
    slow = law()
    slow = type(slow)(**{name: getattr(slow, name) for name in slow.__dataclass_fields__} | {"request_s": 0.2})
    fleet, requests = Fleet((Pool((slow,)),), network_s=0.05), load(400, 0.5)
    found = outcome(run(fleet, requests), fleet, requests)
    for name in ("ttft_s", "latency_s"):
        assert found.metrics[name]["mean"] == pytest.approx(found.engine_clock[name]["mean"] + 0.25)
    assert found.metrics["itl_s"] == outcome(run(Fleet((Pool((slow,)),)), requests), fleet, requests).metrics["itl_s"]


@pytest.mark.parametrize(
    "fleet", [one(), one(Scheduler(kv_blocks=60)), one(Scheduler(kv_blocks=60, swap=True)), pair()],
    ids=["plain", "preempted", "swapped", "two pools"],
)  # fmt: skip
def test_littles_law_is_exact_over_a_drained_run(fleet):
    r, fleet, requests = served(1500, 0.6, fleet=fleet)
    times = times_of(r)
    series = series_of(r, fleet, times)
    spent = float((times.finish - times.sent).sum())
    assert (series.in_flight * series.widths).sum() == pytest.approx(spent, rel=1e-9)
    waited = float((times.admitted - times.arrival).sum())
    assert (series.waiting * series.widths).sum() == pytest.approx(waited, rel=1e-9)
    assert (series.output_tokens * series.widths).sum() == pytest.approx(float(requests.output_tokens.sum()))


@pytest.mark.parametrize("slots", [1, 16])
@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_queues_that_are_stable_and_those_that_are_not(n, slots):
    fleet = Fleet((Pool((law(slots),)),))

    def saturated(rho: float) -> int:
        return sum(outcome(*served(n, rho, seed, fleet=fleet, slots=slots)).saturated for seed in range(12))

    assert saturated(0.5) == 0
    assert saturated(0.9) <= 1
    assert saturated(3.0) == 12
    if n == 5000:
        assert saturated(0.95) == 0 and saturated(1.25) == 12


def test_overload_is_said_with_its_growth():
    r, fleet, requests = served(4000, 1.6)
    found = outcome(r, fleet, requests, TARGETS)
    last = requests.arrival_s[-1]
    left = int((r.requests["finish"] > last).sum())
    assert found.saturated and found.steady is None and found.intervals is None
    assert found.queue["growth_per_s"] == pytest.approx(left / last, rel=0.1)
    assert "Latencies grow with the length of the run" in " ".join(found.warnings)
    assert found.metrics == found.whole_run
    assert [one["met"] for one in meets(found, parse_targets(["itl<1s", "output_tokens_per_s>100"]))] == [False, True]


def test_constant_arrivals_below_capacity_and_a_fleet_that_fills_up_are_steady():
    n = 400
    at = np.arange(n) / (0.9 * capacity())
    requests = Requests("constant", at, np.full(n, 256), np.full(n, 32))
    assert not outcome(run(one(), requests), one(), requests).saturated
    wide = Fleet((Pool((affine_law(0.01, 0.0, 1024),)),))  # as fast for many as for one
    long = Requests("as long as the run", np.arange(n) * 0.1, np.full(n, 16), np.full(n, 3000))
    filling = outcome(run(wide, long), wide, long)
    assert not filling.saturated  # in flight grows since nobody has ended yet


def test_a_load_far_beyond_capacity_is_overload_however_short():
    n = 2000
    requests = Requests("a moment", np.arange(n) * 1e-5, np.full(n, 256), np.full(n, 32))
    found = outcome(run(one(), requests), one(), requests)
    assert found.saturated and found.queue["growth_per_s"] == pytest.approx(1e5, rel=0.05)


def test_a_closed_loop_is_never_saturated_and_its_first_wave_is_left_out():
    r, fleet, requests = served(2000, 1.0, clients=64)
    found = outcome(r, fleet, requests)
    assert not found.saturated and found.steady is not None
    first = r.requests["finish"][:64].max()
    assert found.steady["from_s"] >= first
    assert found.queue["in_flight_mean"] == pytest.approx(64, rel=0.01)
    assert found.steady["to_s"] == pytest.approx(r.requests["sent"].max())


def test_a_burst_and_a_short_run_have_no_steady_state():
    at_once = Requests("at once", np.zeros(200), np.full(200, 64), np.full(200, 8))
    burst = outcome(run(one(), at_once), one(), at_once)
    assert burst.steady is None and not burst.saturated and "sent at once" in burst.warnings[0]
    short = outcome(*served(10, 0.5))
    assert short.steady is None and "too few requests" in short.warnings[0]
    assert any("99th percentile" in one for one in short.warnings)
    assert not outcome(*served(2000, 0.5)).warnings


def test_replications_agree_with_intervals_within_one_run():
    several = [outcome(*served(3000, 0.7, seed)) for seed in range(8)]
    found = across(several)
    assert found["runs"] == 8 and found["saturated"] == 0
    ttft = found["ttft_s"]["mean"]
    assert ttft["low"] < ttft["mean"] < ttft["high"]
    inside = sum(
        one.intervals["ttft_s"]["mean"][0] <= ttft["mean"] <= one.intervals["ttft_s"]["mean"][1] for one in several
    )
    assert inside >= 6


def test_throughput_and_power_of_the_steady_window_are_those_of_the_whole_run_where_all_is_steady():
    found = outcome(*served(20_000, 0.7), TARGETS)
    for name in ("output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "power_w"):
        assert found.metrics[name] == pytest.approx(found.whole_run[name], rel=0.01)
    assert found.metrics["power_w"] == pytest.approx(101.0, abs=0.05)  # idle, and one while it works
    assert found.metrics["tokens_per_joule"] == pytest.approx(
        found.metrics["output_tokens_per_s"] / found.metrics["power_w"]
    )
    dollars = found.cost["usd_per_million_output_tokens"]
    assert dollars == pytest.approx(2.0 / 3600 / found.metrics["output_tokens_per_s"] * 1e6)
    low, high = found.intervals["output_tokens_per_s"]
    assert low < found.metrics["output_tokens_per_s"] < high


def test_replicas_that_are_off_draw_nothing_and_cost_nothing():
    scaling = Scaling(1, 4, up_above=20, down_below=5, every_s=2.0, startup_s=4.0, cooldown_s=4.0)
    fleet, requests = one(scaling=scaling), load(3000, 1.5)
    found = outcome(run(fleet, requests), fleet, requests)
    up = found.pools[0]["on_s"] / found.duration_s
    assert 1.0 < up < 4.0
    assert found.cost["usd_per_hour"] == pytest.approx(2.0 * up, rel=0.01)
    assert 100 * up < found.whole_run["power_w"] < 104 * up


def test_unknown_power_and_price_are_unknown():
    r, _, requests = served(300, 0.5)
    r.replicas["joules"] = np.nan
    r.bins[:, k.JOULES] = np.nan
    found = outcome(r, Fleet((Pool((law(),)),)), requests)
    assert found.metrics["power_w"] is None and found.metrics["tokens_per_joule"] is None
    assert set(found.cost.values()) == {None} and found.metrics["goodput_per_s"] is None


def test_failed_requests_are_counted_and_infinitely_late():
    fleet = Fleet((Pool((law(),)),), faults=(Fault(5.0, 0, 20.0),), retry=False, queue_limit=1)
    requests = load(600, 0.8)
    found = outcome(run(fleet, requests), fleet, requests, TARGETS)
    assert found.failed > 6 and found.completed + found.failed == 600
    assert found.whole_run["latency_s"]["p99"] == np.inf and found.as_dict()["whole_run"]["latency_s"]["p99"] is None
    assert any("failed" in one for one in found.warnings)
    assert not meets(found, parse_targets(["ttft:p99<100s"]))[0]["met"]


def test_goodput_counts_requests_that_keep_every_bound():
    r, fleet, requests = served(5000, 0.9)
    found = outcome(r, fleet, requests, parse_targets(["ttft<50ms", "itl<17ms"]))
    q = r.requests
    start, end = found.steady["from_s"], found.steady["to_s"]
    inside = (q["sent"] >= start) & (q["sent"] <= end)
    gap = np.where(q["output"] > 1, (q["finish"] - q["first"]) / np.maximum(q["output"] - 1, 1), 0.0)
    good = inside & (q["first"] - q["sent"] < 0.05) & (gap < 0.017)
    assert found.metrics["goodput_per_s"] == pytest.approx(good.sum() / (end - start))
    assert 0.1 < good.sum() / inside.sum() < 0.9


def test_an_interrupted_run_tells_what_is_known():
    found = outcome(*interrupted(3000, 0.7))
    assert 0 < found.completed < 3000 and found.failed == 0
    assert "interrupted" in found.warnings[0]
    assert found.metrics["latency_s"]["mean"] > 0
    json.dumps(found.as_dict(), allow_nan=False)
