"""What may be believed of a run: every code at its threshold, and none without a cause."""

from dataclasses import replace

import numpy as np
import pytest

from inferatlas.measure.bench.metrics.efficiency import EnergySum
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.steady import Window
from inferatlas.measure.bench.metrics.validity import CODES, judge


@pytest.fixture
def good(loop):
    """480 requests of 8 users, all as asked."""
    return loop(8, 60, 0.2, 0.02, 20)


def told(run, health, window=None, **kwargs):
    return judge(measure(run, window=window), health, **kwargs)


def test_a_good_run_is_valid_without_remarks(good, healthy):
    assert told(good, healthy).as_dict() == {"valid": True, "verdict": "valid", "reasons": [], "remarks": []}


@pytest.mark.parametrize(
    ("health", "verdict", "code"),
    [
        ({"cpu_share": 0.70}, "valid", None),
        ({"cpu_share": 0.71}, "degraded", "client_busy"),
        ({"cpu_share": 0.91}, "invalid", "client_limited"),
        ({"stamp_delay_p99_s": 0.0019}, "valid", None),
        ({"stamp_delay_p99_s": 0.0021}, "degraded", "stamps_late"),
        ({"cpu_share": None}, "valid", "client_unwatched"),
        ({"stamp_delay_p99_s": None, "event_loop_lag_p99_s": 0.003}, "degraded", "stamps_late"),
    ],
)
def test_health_of_the_client(good, healthy, health, verdict, code):
    found = told(good, healthy | health)
    assert found.verdict == verdict and found.valid == (verdict != "invalid")
    assert found.reasons + found.remarks == ((code,) if code else ())
    assert (code in found.reasons) == (verdict == "invalid")


@pytest.mark.parametrize(
    ("paused", "verdict"),
    [
        ((5.0, 0.9, 0.0, 0.0, 0.0), "valid"),  # pauses of 10 ms merge no tokens that are 20 ms apart
        ((5.0, 1.1, 1.1, 0.0, 0.0), "degraded"),
        ((5.1, 5.1, 5.1, 5.1, 5.1), "invalid"),
    ],
)
def test_a_client_that_stood_still(good, healthy, paused, verdict):
    """It was stopped, or others had its core: the stalls are its own, although every packet read was a fresh one."""
    found = told(good, healthy | {"duration_s": 100.0, "paused_s": paused})
    assert found.verdict == verdict and ("client_paused" in found.reasons + found.remarks) == (verdict != "valid")


def test_energy_that_is_doubtful_or_missing_is_said(good, healthy):
    sound = EnergySum(100.0, 5.0, "gpu", measure(good).as_dict()["window"]["seconds"])
    doubtful = measure(good, energy=replace(sound, reasons=("gap_too_long",)))
    assert judge(doubtful, healthy, metered=True).as_dict()["remarks"] == ["energy_doubtful"]
    assert judge(doubtful, healthy, metered=True).verdict == "degraded"
    assert judge(measure(good, energy=sound), healthy, metered=True).remarks == ()
    assert judge(measure(good), healthy, metered=True).as_dict() == {
        "valid": True, "verdict": "valid", "reasons": [], "remarks": ["energy_unknown"],
    }  # fmt: skip


def test_a_stamp_is_late_against_a_quick_server(loop, healthy):
    quick = loop(8, 60, 0.02, 0.005, 20)
    assert told(quick, healthy | {"stamp_delay_p99_s": 0.0006}).remarks == ("stamps_late",)  # 10 % of 5 ms


@pytest.mark.parametrize(
    ("asked", "verdict", "code"),
    [(8, "valid", None), (9, "invalid", "concurrency_not_reached"), (16, "invalid", "concurrency_not_reached")],
)
def test_concurrency_that_was_not_reached(good, healthy, asked, verdict, code):
    """guidellm held 224 of 512 and did not say so (reference, section 4)."""
    found = told(replace(good, clients=asked), healthy)
    assert found.verdict == verdict and found.reasons == ((code,) if code else ())


def test_a_server_that_is_too_slow_is_no_fault_of_the_client(written, healthy):
    due = 0.1 * np.arange(600)
    answers = 0.3 * np.arange(600) + 0.3  # three times slower than asked
    run = written([(s, [(a, 1)]) for s, a in zip(due, answers, strict=True)], closed=False)
    found = told(run, healthy, Window((), "overloaded", 6.7))
    assert found.valid and "overloaded" in found.remarks and "load_not_delivered" not in found.remarks


@pytest.mark.parametrize(("slow", "verdict"), [(1.01, "valid"), (1.05, "degraded"), (1.2, "invalid")])
def test_a_client_that_sends_too_slowly(written, healthy, slow, verdict):
    due = 0.1 * np.arange(600)
    run = written([(slow * s, [(slow * s + 9.0, 1)]) for s in due], closed=False, due_s=due)
    found = told(run, healthy)
    assert found.verdict == verdict
    assert ("load_not_delivered" in found.reasons + found.remarks) == (verdict != "valid")


def test_a_client_that_stops_for_a_while_sends_late(written, healthy):
    due = 0.1 * np.arange(600)
    sent = np.where((due > 20) & (due < 22), 22.0, due)
    found = told(written([(s, [(s + 0.2, 1)]) for s in sent], closed=False, due_s=due), healthy)
    assert found.remarks == ("sends_late",) and found.valid


def test_an_early_stop_is_a_mismatch_of_lengths(paced, healthy):
    """A model that ends its answer early is quicker and more frugal than one that was asked for all."""
    run = paced(np.arange(500.0), 0.2, 0.02, 20, asked_output_tokens=np.where(np.arange(500) < 30, 40.0, 20.0))
    assert told(run, healthy).reasons == ("lengths_not_met",)
    assert told(run, healthy, forced=False).valid
    few = paced(np.arange(500.0), 0.2, 0.02, 20, asked_output_tokens=np.where(np.arange(500) < 4, 40.0, 20.0))
    assert told(few, healthy).valid  # 80 of 10,080 tokens


@pytest.mark.parametrize(
    ("columns", "verdict", "code"),
    [
        ({"asked_input_tokens": np.full(500, 103.0)}, "degraded", "prompt_lengths_off"),
        ({"cached_tokens": np.full(500, 2.0)}, "valid", "cached_prompts"),
        ({"cached_tokens": np.full(500, 1.0)}, "valid", None),
        ({"chunks": np.full(500, 21.0)}, "degraded", "more_chunks_than_tokens"),
        ({"output_tokens_source": ["tokenizer"] * 500}, "valid", "tokens_estimated"),
        ({"chunk_tokens_source": ["text"] * 500}, "valid", "tokens_estimated"),
        ({"input_tokens": np.full(500, np.nan)}, "degraded", "tokens_unknown"),
        ({"done": np.arange(500) >= 5}, "valid", None),
        ({"done": np.arange(500) >= 6}, "invalid", "too_many_failures"),
    ],
)
def test_requests(paced, healthy, columns, verdict, code):
    found = told(paced(np.arange(500.0), 0.2, 0.02, 20, **columns), healthy)
    assert found.verdict == verdict and found.reasons + found.remarks == ((code,) if code else ())


def test_requests_in_flight_when_the_run_was_stopped_have_not_failed(paced, healthy):
    done = np.arange(500) < 480
    run = paced(np.arange(500.0), 0.2, 0.02, 20, done=done, reason=np.where(done, "", "interrupted"))
    assert told(run, healthy).remarks == ("interrupted",) and told(run, healthy).valid


def test_nothing_completed(written, healthy):
    found = told(written([(0.0, [])], reason=["refused"]), healthy)
    assert found.reasons == ("nothing_completed", "too_many_failures")


@pytest.mark.parametrize(
    ("window", "verdict", "code"),
    [
        (Window((), "no_steady_state"), "degraded", "no_steady_state"),
        (Window((), "short"), "degraded", "too_short"),
        (Window(((1.0, 30.0),), checked=True), "valid", None),
        (Window(((1.0, 30.0),)), "valid", "steady_unchecked"),
    ],
)
def test_windows(good, healthy, window, verdict, code):
    found = told(good, healthy, window)
    assert found.verdict == verdict and [one for one in found.remarks if one != "few_requests"] == (
        [code] if code else []
    )


def test_few_requests_are_remarked(loop, healthy):
    found = told(loop(8, 20, 0.2, 0.02, 20), healthy)
    assert found.verdict == "valid" and found.remarks == ("few_requests",)


def test_every_code_has_a_sentence():
    assert all(text and text[0].islower() and not text.endswith(".") for text in CODES.values())
