"""Metrics are as defined: hand-computed cases, invariances, and the errors found in other clients."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.definitions import DEFINITIONS, definitions
from inferatlas.measure.bench.metrics.efficiency import EnergySum
from inferatlas.measure.bench.metrics.flow import flow_of
from inferatlas.measure.bench.metrics.goodput import good
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.reading import read_timings, stretches
from inferatlas.measure.bench.metrics.steady import Window, steady_window
from inferatlas.measure.bench.metrics.timings import timings_of
from inferatlas.workload.targets import parse_targets


def means(metrics):
    return {name: one.mean for name, one in metrics.spreads.items()}


def numbers(metrics):
    """Every number of the metrics, by its place."""
    found = {}

    def walk(value, name):
        if isinstance(value, dict):
            for key, one in value.items():
                walk(one, f"{name}.{key}")
        elif isinstance(value, list | tuple):
            for n, one in enumerate(value):
                walk(one, f"{name}.{n}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value

    walk(metrics.as_dict(), "")
    return found


# --- by hand -----------------------------------------------------------------------------------------------------


@pytest.fixture
def three(written):
    """Open loop: two requests are answered, one fails after its first token; times to be worked out on paper."""
    return written(
        [
            (0.0, [(1.0, 1), (2.0, 2), (3.0, 2)]),  # ttft 1, latency 3, itl 2/4
            (1.5, [(2.0, 2), (4.0, 2)]),  # due 1.0: ttft 1, service 0.5, latency 3, itl 2/2
            (2.0, [(2.5, 1)]),
        ],
        closed=False, due_s=[0.0, 1.0, 2.0], done=[True, True, False], reason=["", "", "closed_mid_stream"],
    )  # fmt: skip


def test_metrics_by_hand(three):
    found = measure(three, parse_targets(["ttft<1.1s", "tpot:p99<600ms"]))
    assert means(found) == pytest.approx(
        {
            "ttft_s": 1.0, "ttft_service_s": 0.75, "ttft_answer_s": None, "itl_s": 0.75, "latency_s": 3.0,
            "latency_service_s": 2.75, "send_lag_s": 0.25, "connect_s": None,
            "token_gap_s": (2 * 0.5 + 2 * 0.5 + 2 * 1.0) / 6, "chunk_gap_s": 4 / 3,
        }
    )  # fmt: skip
    assert (found.sent, found.completed, found.failed) == (3, 2, {"closed_mid_stream": 1})
    out, total = found.rates["output_tokens_per_s"], found.rates["total_tokens_per_s"]
    assert out.whole_run == pytest.approx(10 / 4)  # the token of the failed request arrived too
    assert total.whole_run == pytest.approx((10 + 300) / 4)
    assert out.peak_1s == 5 and out.steady is None and out.headline == out.whole_run  # 2 + 2 + 1 in (1.5, 2.5]
    assert found.requests_per_s == pytest.approx(2 / 4)
    assert found.goodput_per_s == pytest.approx(1 / 4)  # the second has an itl of 1 s, the third failed
    assert found.goodput_tokens_per_s == pytest.approx(5 / 4) and found.goodput_share == pytest.approx(1 / 3)
    assert found.interactivity == pytest.approx(1 / 0.75) and found.latency_cv == 0
    assert found.concurrency == pytest.approx((3.0 + 2.5 + 0.5) / 4)


def test_a_window_counts_what_arrived_in_it_and_what_began_in_it(three):
    found = measure(three, window=Window(((0.5, 2.0),)))
    out, total = found.rates["output_tokens_per_s"], found.rates["total_tokens_per_s"]
    assert out.steady == pytest.approx(5 / 1.5)  # 1 at 1.0, 2 and 2 at 2.0
    assert total.steady == pytest.approx((5 + 200) / 1.5)  # first tokens at 1.0 and 2.0
    assert found.spreads["ttft_s"].n == 1 and found.spreads["ttft_service_s"].mean == 0.5
    assert found.spreads["chunk_gap_s"].n == 1 and found.requests_per_s == 0
    assert found.as_dict()["window"]["kind"] == "steady"


def test_the_document_has_the_names_of_the_contract_and_is_json(three):
    found = measure(three, window=steady_window(three)).as_dict()
    assert {
        "ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "total_tokens_per_s", "goodput_per_s", "latency_cv",
        "latency_cov", "power_w", "tokens_per_joule", "token_gap_s", "chunk_gap_s", "send_lag_s", "connect_s",
    } <= set(found)  # fmt: skip
    assert {"mean", "p50", "p90", "p95", "p99", "n", "min", "max", "intervals"} <= set(found["ttft_s"])
    assert found["power_w"] is None and found["goodput_per_s"] is None  # unknown, not 0
    assert found["window"]["why"] == "short" and found["window"]["kind"] == "whole_run"
    json.dumps(found, allow_nan=False)


def test_every_metric_is_defined_with_its_unit(three):
    told = set(measure(three).as_dict()) - {"latency_cov", "latency_cv_interval", "energy", "load", "lengths"}
    assert told <= set(DEFINITIONS)
    assert all(one.text.endswith(".") and one.unit for one in DEFINITIONS.values())
    assert set(definitions()) == set(DEFINITIONS)


def test_a_run_without_answers_knows_nothing(written):
    empty = written([(0.0, []), (1.0, [])], end_s=[0.5, 1.5], reason=["refused", "refused"])
    found = measure(empty, parse_targets("ttft<1s"), steady_window(empty))
    assert found.completed == 0 and found.failed == {"refused": 2} and found.latency_cv is None
    assert set(means(found).values()) == {None} and found.goodput_per_s == 0.0
    json.dumps(found.as_dict(), allow_nan=False)
    never = timings_of({"sent_s": [np.nan], "done": [False], "reason": ["previous_failed"]}, closed=True)
    json.dumps(measure(never).as_dict(), allow_nan=False)


# --- errors found in peers (reference/load-generation.md, sections 3.3 and 4) ---------------------------------------


@pytest.fixture
def trap(written):
    """Mock `--role 2 --tokens-per-chunk 4 --ttft-ms 200 --itl-ms 10`, 33 tokens: first one, then four an event.

    The role event came at once; it carries no token and is in the record only as the first byte.
    """
    at = 0.2 + 0.03625 * np.arange(9)
    return written([(10.0 * n, [(10.0 * n + t, k) for t, k in zip(at, [1] + 8 * [4], strict=True)]) for n in range(50)],
                   first_byte_s=10.0 * np.arange(50) + 0.009)  # fmt: skip


def test_role_events_and_several_tokens_in_an_event(trap):
    found = means(measure(trap))
    assert found["ttft_s"] == pytest.approx(0.200)
    assert found["itl_s"] == pytest.approx(0.0090625) and found["token_gap_s"] == pytest.approx(0.0090625)
    assert found["chunk_gap_s"] == pytest.approx(0.03625)
    assert measure(trap).spreads["token_gap_s"].p50 == pytest.approx(0.0090625, rel=5e-4)  # not 0
    assert trap.ttfb_s[0] == pytest.approx(0.009)


def test_the_peak_is_in_tokens(trap):
    rates = measure(trap).rates["output_tokens_per_s"]
    assert rates.peak_1s == 33 and rates.peak_1s >= rates.whole_run


def test_a_stall_is_seen_in_the_gaps_and_not_in_the_mean_of_a_request(written):
    """Mock `--stall-at 16 --stall-ms 2000`: 2 s once in each answer."""
    times = 0.2 + 0.01 * np.arange(64) + 2.0 * (np.arange(64) >= 16)
    found = measure(written([(5.0 * n, [(5.0 * n + t, 1) for t in times]) for n in range(20)]))
    gaps = found.spreads["token_gap_s"]
    assert gaps.max == pytest.approx(2.01) and gaps.p99 == pytest.approx(2.01, rel=5e-4) and gaps.p50 < 0.0101
    assert found.spreads["itl_s"].max < 0.05


def test_itl_and_latency_do_not_hold_each_other(written):
    slow_first = measure(written([(0.0, [(9.0, 1), (9.1, 1), (9.2, 1)])]))
    assert slow_first.spreads["itl_s"].mean == pytest.approx(0.1)  # TTFT is no part of it


def test_latency_from_the_schedule_shows_a_late_client(written):
    late = written([(n + 0.5, [(n + 0.7, 1), (n + 0.9, 1)]) for n in range(5)], closed=False, due_s=np.arange(5.0))
    found = means(measure(late))
    assert found["ttft_s"] == pytest.approx(0.7) and found["ttft_service_s"] == pytest.approx(0.2)
    assert found["send_lag_s"] == pytest.approx(0.5)


def test_tokens_that_nobody_counted_are_unknown_and_not_events(written):
    run = written([(0.0, [(0.2, np.nan), (0.3, np.nan)])] * 3, output_tokens=[np.nan] * 3)
    found = measure(run)
    assert found.rates["output_tokens_per_s"].headline is None and found.spreads["itl_s"].mean is None
    assert found.spreads["chunk_gap_s"].n == 3 and found.lengths.unknown_output == 1.0


def test_tokens_of_a_request_that_broke_off_do_not_make_the_others_unknown(written):
    """Usage comes at the end of a stream, which the last of these never had."""
    run = written(
        [(0.0, [(0.5, 1), (1.0, 1)]), (0.0, [(0.5, np.nan)])], done=[True, False], output_tokens=[2, np.nan],
        input_tokens=[100, np.nan], end_s=[2.0, 2.0],
    )  # fmt: skip
    found = measure(run).rates
    assert found["output_tokens_per_s"].headline == 1.0 and found["total_tokens_per_s"].headline == 51.0


# --- invariances ------------------------------------------------------------------------------------------------

ANSWER = st.tuples(
    st.integers(0, 4096), st.lists(st.tuples(st.integers(1, 512), st.integers(1, 5)), min_size=1, max_size=6)
)


def of_answers(written, answers, shift=0.0, scale=1.0):
    """Requests on a grid of 1/1024 s, on which sums are exact."""
    requests = []
    for sent, events in answers:
        at = sent + np.cumsum([wait for wait, _ in events])
        tokens = [k for _, k in events]
        requests.append((scale * sent / 1024 + shift, list(zip(scale * at / 1024 + shift, tokens, strict=True))))
    return written(requests)


@given(st.lists(ANSWER, min_size=1, max_size=12), st.integers(1, 1000))
def test_metrics_do_not_depend_on_when_a_run_was(written, answers, shift):
    one, two = (numbers(measure(of_answers(written, answers, s), parse_targets("ttft<250ms"))) for s in (0.0, shift))
    moved = {name for name in one if ".spans_s." in name}
    assert {n: v for n, v in one.items() if n not in moved} == pytest.approx(
        {n: v for n, v in two.items() if n not in moved}, rel=1e-9, abs=1e-12
    )


@given(st.lists(ANSWER, min_size=1, max_size=12), st.sampled_from([0.25, 2.0, 8.0]))
def test_times_scale_and_rates_scale_back(written, answers, scale):
    one, two = (measure(of_answers(written, answers, 0.0, c)) for c in (1.0, scale))
    for name, spread in one.spreads.items():
        for part in ("mean", "p50", "p99", "max"):
            a, b = getattr(spread, part), getattr(two.spreads[name], part)
            assert (a is None) == (b is None)
            assert a is None or b == pytest.approx(scale * a, rel=2e-3, abs=1e-5)
    for name, rate in one.rates.items():
        assert two.rates[name].whole_run == pytest.approx(rate.whole_run / scale)
    assert two.latency_cv == pytest.approx(one.latency_cv, abs=1e-9)
    assert two.concurrency == pytest.approx(one.concurrency)


@given(st.lists(ANSWER, min_size=1, max_size=10))
def test_events_that_are_split_evenly_leave_the_time_between_tokens(written, answers):
    """An event of k tokens after a gap g is k events of one token, g/k apart; the first stays whole."""
    whole = of_answers(written, answers)
    requests = []
    for n in range(len(whole)):
        rows = slice(*whole.start[n : n + 2])
        times, tokens = whole.chunk_s[rows], whole.chunk_tokens[rows].astype(int)
        events = [(times[0], tokens[0])]
        for before, at, k in zip(times[:-1], times[1:], tokens[1:], strict=True):
            events += [(before + (at - before) * (j + 1) / k, 1) for j in range(k)]
        requests.append((whole.sent_s[n], events))
    one, two = measure(whole), measure(written(requests))
    for name in ("ttft_s", "itl_s", "latency_s", "token_gap_s"):
        a, b = one.spreads[name], two.spreads[name]
        assert (a.n, a.mean) == pytest.approx((b.n, b.mean))
        assert a.p50 is None or a.p50 == pytest.approx(b.p50, rel=1e-3, abs=1e-6)


# --- a known server -----------------------------------------------------------------------------------------------


def test_poisson_arrivals_at_a_known_server(paced):
    random = np.random.default_rng(1)
    sent = np.cumsum(random.exponential(0.05, 1200))
    ttft, itl = random.uniform(0.1, 0.3, sent.size), random.uniform(0.01, 0.03, sent.size)
    run = paced(sent, ttft, itl, 21, closed=False)
    found = measure(run, parse_targets(["ttft<200ms", "itl<20ms"]), steady_window(run))
    assert found.steady
    for name, truth in (("ttft_s", 0.2), ("itl_s", 0.02), ("latency_s", 0.6)):
        spread = found.spreads[name]
        low, high = spread.intervals["mean"]
        assert low < truth < high and high - low < 0.06 * truth
        low, high = spread.intervals["p50"]
        assert low < spread.p50 < high
    rate = found.rates["output_tokens_per_s"]
    assert rate.steady == pytest.approx(20 * 21, rel=0.08) and rate.interval[0] < 20 * 21 < rate.interval[1]
    assert rate.peak_1s > rate.steady > 0
    assert found.concurrency == pytest.approx(
        found.requests_per_s * found.spreads["latency_s"].mean, rel=0.03
    )  # Little
    assert found.goodput_share == pytest.approx(0.25, abs=0.04)
    assert found.goodput_per_s == pytest.approx(found.goodput_share * 20, rel=0.12)
    low, high = found.latency_cv_interval
    assert low < found.latency_cv < high


def test_intervals_of_gaps_hold_their_percentiles(loop):
    found = measure(loop(8, 30, 0.2, 0.02, 20)).spreads["token_gap_s"]
    for name in ("p50", "p90", "p95"):
        low, high = found.intervals[name]
        assert low <= getattr(found, name) <= high
    assert found.n == 8 * 30 * 19 and found.intervals["mean"][0] < found.mean < found.intervals["mean"][1]


def test_a_batch_that_was_sent_at_once_has_rates_of_its_window_and_latencies_of_the_run(paced):
    run = paced(np.zeros(32), np.repeat(np.arange(8.0), 4) + 0.1, 0.05, 17, closed=True)
    window = steady_window(run)
    found = measure(run, parse_targets("latency<4s"), window)
    assert found.steady and found.spreads["latency_s"].n == 32
    assert found.rates["output_tokens_per_s"].steady == pytest.approx(4 * 17, rel=0.05)
    assert found.goodput_per_s == pytest.approx(16 / run.finish_s.max())


def test_goodput_limits_are_of_requests(written):
    run = written(
        [(0.0, [(0.2, 1), (0.3, 1)]), (0.0, [(0.2, 2)]), (0.0, [(0.9, 1), (1.0, 1)]), (0.0, [(0.1, 1), (0.2, np.nan)])]
    )
    assert good(run, parse_targets(["ttft:p95<500ms", "itl<150ms"])).tolist() == [True, True, False, False]
    assert good(run, parse_targets("output_tokens_per_s>1000")).all()  # a bound on the deployment, not on a request
    assert measure(run, parse_targets("output_tokens_per_s>1000")).goodput_per_s is None


# --- energy -------------------------------------------------------------------------------------------------------


def test_tokens_per_joule_are_of_one_window(three):
    found = measure(three, energy=EnergySum(40.0, 2.0, "gpu", 4.0, idle_w=5.0))
    told = found.as_dict()
    assert told["power_w"] == 10.0 and told["tokens_per_joule"] == pytest.approx(10 / 40)
    assert told["tokens_per_joule_net"] == pytest.approx(10 / 20)
    assert told["total_tokens_per_joule"] == pytest.approx(310 / 40)
    assert told["energy"]["u_share"] == pytest.approx(0.05) and told["energy"]["scope"] == "gpu"
    assert measure(three, energy=EnergySum(40.0, None, "gpu", 4.0)).as_dict()["tokens_per_joule_net"] is None
    drowned = measure(three, energy=EnergySum(40.0, None, "gpu", 4.0, idle_w=10.0)).as_dict()
    assert drowned["tokens_per_joule_net"] is None  # nothing beyond idle was drawn
    with pytest.raises(BadInput, match="same window"):
        measure(three, energy=EnergySum(40.0, 2.0, "gpu", 5.0))
    with pytest.raises(BadInput, match="allowed: above 0"):
        measure(three, energy=EnergySum(0.0, 2.0, "gpu", 4.0))


# --- long runs ----------------------------------------------------------------------------------------------------


def test_a_long_run_is_measured_in_stretches(loop, tmp_path):
    import polars as pl

    run = loop(4, 30, 0.1, 0.01, 12)
    token_s = [run.chunk_s[a:b].tolist() for a, b in zip(run.start[:-1], run.start[1:], strict=True)]
    names = ("sent_s", "first_token_s", "finish_s", "end_s", "output_tokens", "input_tokens", "chunks")
    columns = {name: getattr(run, name) for name in names}
    pl.DataFrame(
        columns | {"status": ["done"] * len(run), "token_s": token_s, "chunk_tokens": [[1] * len(t) for t in token_s]}
    ).write_parquet(tmp_path / "requests.parquet")
    load = {"kind": "closed", "concurrency": 4}
    light = read_timings(tmp_path, load, events=False)

    def parts():
        return stretches(tmp_path, load, most=100)

    flow = flow_of(light, parts())
    window = steady_window(light, flow)
    assert len(list(parts())) > 10 and window == steady_window(run)
    assert numbers(measure(light, window=window, parts=parts, flow=flow)) == pytest.approx(
        numbers(measure(run, window=window)), rel=1e-9
    )
