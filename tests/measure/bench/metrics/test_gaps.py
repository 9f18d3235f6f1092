"""Histograms of gaps say what the gaps themselves say, and rates are counted in tokens."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.metrics.flow import flow_of, in_flight, most_in_flight, within
from inferatlas.measure.bench.metrics.gaps import CLASSES, gaps_of, gaps_within, histogram_of
from inferatlas.measure.bench.metrics.timings import timings_of

Q = [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0]
durations = st.lists(st.floats(2e-6, 5e3), min_size=1, max_size=60)


def always(at):
    return np.ones(at.shape, bool)


@given(durations)
def test_quantiles_are_those_of_the_values_within_a_thousandth(values):
    found = histogram_of(values).quantile(Q)
    np.testing.assert_allclose(found, np.quantile(values, Q), rtol=0.0005)


@given(durations, durations)
def test_histograms_add_up(a, b):
    both, joined = histogram_of(a) + histogram_of(b), histogram_of(a + b)
    assert (both.counts == joined.counts).all() and both.n == len(a) + len(b)
    assert both.total == pytest.approx(joined.total)
    assert (both.least, both.greatest) == (joined.least, joined.greatest) == (min(a + b), max(a + b))


@given(st.lists(st.tuples(st.floats(1e-5, 10.0), st.integers(1, 9)), min_size=1, max_size=30))
def test_weights_are_repetitions(pairs):
    values, weights = zip(*pairs, strict=True)
    once = histogram_of(np.repeat(values, weights))
    assert (histogram_of(values, weights).counts == once.counts).all()
    assert histogram_of(values, weights).mean == pytest.approx(once.mean)


def test_what_is_beyond_the_classes_is_counted_and_never_invented():
    found = histogram_of([0.0, 0.0, 0.0, 5e4, 6e4])
    assert (found.counts[0], found.counts[CLASSES + 1], found.n) == (3, 2, 5)
    assert found.quantile([0.0, 0.5, 1.0]).tolist() == [0.0, 0.0, 6e4]
    assert np.isnan(histogram_of(()).quantile(0.5)) and histogram_of(()).n == 0


def test_a_gap_is_divided_by_the_tokens_after_it_and_each_counts(written):
    run = written([(0.0, [(0.2, 3), (0.24, 4), (0.25, 1)]), (0.1, [(0.5, 2)]), (0.2, [])])
    found = gaps_of([run], always)
    assert found.token.n == 5 and found.token.total == pytest.approx(0.05)
    assert found.chunk.n == 2 and found.chunk.total == pytest.approx(0.05)
    assert found.tokens.tolist() == [5, 0, 0] and found.chunks.tolist() == [2, 0, 0]
    assert found.arrived.tolist() == [8, 2, 0]
    upto_token, upto_chunk = gaps_within([run], always, np.array([0.0101, 1.0]), np.array([0.0101, 1.0]))
    assert upto_token.tolist() == [[5, 5], [0, 0], [0, 0]]
    assert upto_chunk.tolist() == [[1, 2], [0, 0], [0, 0]]


def test_events_of_unknown_tokens_have_a_chunk_gap_and_no_token_gap():
    run = timings_of({"sent_s": [0.0], "done": [True]}, [0.1, 0.2], [np.nan, np.nan], [0, 2], closed=True)
    found = gaps_of([run], always)
    assert (found.token.n, found.chunk.n, found.arrived.tolist()) == (0, 1, [0])


def test_stretches_say_the_same_as_the_whole(loop):
    run = loop(4, 6, 0.1, 0.01, 12)
    cut = run.start[[0, 7, len(run)]]
    names = ("sent_s", "first_token_s", "output_tokens", "done")
    pieces = [
        timings_of(
            {name: getattr(run, name)[rows] for name in names}, run.chunk_s[a:b], run.chunk_tokens[a:b],
            run.start[rows.start : rows.stop + 1] - a, closed=True,
        )
        for rows, a, b in ((slice(0, 7), cut[0], cut[1]), (slice(7, len(run)), cut[1], cut[2]))
    ]  # fmt: skip
    one, two = gaps_of([run], always), gaps_of(pieces, always)
    assert (one.token.counts == two.token.counts).all() and (one.tokens == two.tokens).all()
    np.testing.assert_allclose(flow_of(run, pieces).output, flow_of(run).output)


def test_the_peak_counts_tokens_and_is_not_below_the_mean(written):
    """SGLang and vLLM count events: 72 tokens/s at most, and 266 on the mean (reference, section 4)."""
    run = written([(0.0, [(0.2 + 0.03625 * n, 4.0) for n in range(200)])])
    flow = flow_of(run)
    mean = 800 / (run.finish_s[0] - run.sent_s[0])
    assert flow.peak() == pytest.approx(28 * 4) and flow.peak() >= mean
    assert flow.peak(total=True) == pytest.approx(28 * 4 + 100)


def test_the_peak_is_found_between_full_seconds(written):
    burst = [(1.6 + 0.01 * n, 1.0) for n in range(80)]
    run = written([(0.0, [(0.5, 1.0), *burst, (9.0, 1.0)])])
    assert flow_of(run).peak() == 80
    assert flow_of(written([(0.0, [(0.5, 9.0)])])).peak() is None  # shorter than a second


@pytest.mark.parametrize("apart_s", [100.0, 1.8e9])
def test_a_run_that_went_on_years_later_takes_no_more_memory(written, apart_s):
    """A machine that began in 1970 and then was told the date; the time between counts for nothing."""
    answer = [(0.5 + 0.01 * n, 1.0) for n in range(200)]
    later = [(apart_s + at, tokens) for at, tokens in answer]
    run = replace(written([(0.0, answer), (apart_s, later)]), segment=np.array([0, 1]))
    flow = flow_of(run)
    assert flow.output.size < 1000 and flow.output.sum() == 400 and flow.peak() == pytest.approx(100, abs=1)
    edges = [0.0, 1.0, 3.0, apart_s, apart_s + 1.0, apart_s + 3.0]
    assert flow.between(edges) == pytest.approx([50, 150, 0, 50, 150], abs=1)
    held = in_flight(run.sent_s, run.ended_s, apart_s + np.array([-5.0, 0.0, 1.0, 2.0]))
    assert held == pytest.approx([0, 1, 1])


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 3)), min_size=1, max_size=12))
def test_requests_in_flight_are_what_littles_law_says(pairs):
    sent = np.array([a for a, _ in pairs])
    ended = sent + np.array([b for _, b in pairs])
    held = in_flight(sent, ended, [0.0, 12.0])[0]
    assert held * 12 == pytest.approx(sum(b for _, b in pairs))
    most, when = most_in_flight(sent, ended)
    assert most == max(int(((sent <= t) & (ended > t)).sum()) for t in sent)
    assert ((sent <= when) & (ended > when)).sum() == most


def test_what_was_never_sent_is_not_in_flight():
    sent, ended = np.array([0.0, np.nan]), np.array([np.nan, np.nan])
    assert in_flight(sent, ended, [0.0, 1.0, 2.0]).tolist() == [1.0, 1.0]
    assert most_in_flight(sent[1:], ended[1:])[0] == 0


def test_an_arrival_at_the_begin_of_a_span_belongs_before_it_and_a_sending_into_it():
    at, spans = np.array([0.0, 1.0, 2.0, np.nan]), np.array([[0.0, 1.0], [1.5, 2.0]])
    assert within(at, spans).tolist() == [False, True, True, False]
    assert within(at, spans, sending=True).tolist() == [True, False, False, False]
