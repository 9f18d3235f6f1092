"""Errors of answers whose times are known."""

from array import array

import numpy as np
import pytest

from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.selftest.errors import errors_of, gap_errors, stamp_errors, timings_from, ttft_errors

MS = 1_000_000


def answer(number: int, sent_ms: float, at_ms: list[float], reason: str | None = None) -> Answer:
    found = Answer(number, Ask(b"", "", 2, len(at_ms)), 0, 0)
    found.sent_ns, found.stamps = round(sent_ms * MS), array("q", [round(one * MS) for one in at_ms])
    found.status, found.reason = ("done", None) if reason is None else ("failed", reason)
    found.input_tokens, found.output_tokens = 2, len(at_ms)
    found.end_ns = found.stamps[-1] if at_ms else found.sent_ns
    return found


ANSWERS = [answer(0, 10, [31, 36, 39]), answer(1, 12, [35, 40]), answer(2, 13, [50], "closed_mid_stream")]


def test_errors_are_against_the_schedule_and_of_whole_answers():
    assert ttft_errors(ANSWERS, 0.020) == pytest.approx([0.001, 0.003])
    assert gap_errors(ANSWERS, 0.004) == pytest.approx([0.001, 0.001, 0.001])
    log = [
        {"user": "1", "first_ns": 34 * MS, "last_ns": 40 * MS},
        {"user": "0", "first_ns": 29 * MS, "last_ns": 39 * MS},
    ]
    assert stamp_errors(ANSWERS, log) == pytest.approx([0.002, 0.0, 0.001, 0.0])
    assert stamp_errors(ANSWERS, []).size == 0


def test_a_distribution_says_when_it_is_too_small():
    found = errors_of(np.linspace(0, 1, 459))
    assert (found.n, found.p50_s, found.max_s, found.few) == (459, 0.5, 1.0, False)
    assert found.p99_s == pytest.approx(0.99) and errors_of(np.ones(458)).few
    nothing = errors_of(np.zeros(0)).as_dict()
    assert nothing == {"n": 0, "mean_s": None, "p50_s": None, "p99_s": None, "max_s": None, "n_too_small": True}


def test_metrics_of_the_same_answers_agree():
    """TTFT and gaps by `metrics` are what the errors are of."""
    found = measure(timings_from(ANSWERS, 5 * MS, 3))
    assert (found.sent, found.completed, found.failed) == (3, 2, {"closed_mid_stream": 1})
    assert found.spreads["ttft_s"].mean == pytest.approx(0.020 + ttft_errors(ANSWERS, 0.020).mean())
    assert found.spreads["itl_s"].mean == pytest.approx((0.004 + 0.005) / 2)
    assert found.lengths.output_off == 0 and found.lengths.unknown_input == 0
