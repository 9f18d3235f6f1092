"""Lengths keep the mean and the variation that were asked for, and pairs stay pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.workload.lengths import Lengths, draw_lengths, draw_pairs, draw_tokens
from inferatlas.workload.workload import Workload

N = 400_000


def drawn(mean, cv, least=1, count=N, seed=5):
    return draw_tokens(count, mean, cv, np.random.default_rng(seed), np.random.default_rng(seed + 1), least)


@pytest.mark.parametrize("mean", [1.5, 3.0, 27.9, 211.13, 1154.7, 12_035.0])
@pytest.mark.parametrize("cv", [0.1, 0.5, 0.96, 2.0])
def test_the_mean_is_kept_within_a_hundredth_however_short_or_varied(mean, cv):
    tokens = drawn(mean, cv)
    assert tokens.min() >= 1 and tokens.dtype == np.int64
    assert tokens.mean() == pytest.approx(mean, rel=0.01)
    if mean * cv > 3:  # where rounding to whole tokens does not matter
        assert tokens.std() / tokens.mean() == pytest.approx(cv, rel=0.05)


def test_lengths_far_above_one_token_are_lognormal():
    logs = np.log(drawn(1154.7, 0.5))
    skew = np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3
    assert (logs.std(), skew) == pytest.approx((np.sqrt(np.log(1.25)), 0.0), abs=0.01)


@given(st.floats(1, 1e9), st.floats(0, 100), st.integers(1, 1000))
def test_no_mean_and_no_variation_leaves_the_range(mean, cv, least):
    tokens = drawn(mean, cv, least, count=50)
    assert tokens.min() >= least and tokens.max() <= 10**9
    if cv == 0:
        assert set(tokens.tolist()) == {max(round(mean), least)}


def test_inputs_and_outputs_have_streams_of_their_own():
    load = Workload("x", 500.0, 50.0, 0.8, 0.8, request_rate=1.0)
    inputs, outputs, notes = draw_lengths(load, 1000, 7)
    assert notes == [] and not np.array_equal(inputs, outputs)
    assert abs(np.corrcoef(inputs, outputs)[0, 1]) < 0.1
    for changed in (Workload("x", 900.0, 50.0, 0.0, 0.8, request_rate=1.0), load):
        assert np.array_equal(draw_lengths(changed, 1000, 7)[1], outputs)
    assert np.array_equal(draw_lengths(load, 600, 7)[0], inputs[:600])
    assert np.array_equal(draw_lengths(load, 600, 7)[1], outputs[:600])
    assert not np.array_equal(draw_lengths(load, 1000, 8)[0], inputs)


def test_longer_requests_are_drawn_anew_and_told():
    load = Workload("x", 1154.7, 211.13, 0.96, 0.77, request_rate=1.0)
    inputs, outputs, notes = draw_lengths(load, 20_000, 1, longest=2048)
    assert (inputs + outputs).max() <= 2048 and inputs.min() >= 1 and outputs.min() >= 1
    assert "% of requests were longer than 2,048 tokens and drawn anew" in notes[0]
    assert f"{inputs.mean():.6g} input" in notes[0]
    fits = (draw_lengths(load, 20_000, 1)[0] + draw_lengths(load, 20_000, 1)[1]) <= 2048
    assert np.array_equal(inputs[fits], draw_lengths(load, 20_000, 1)[0][fits])
    with pytest.raises(BadInput) as caught:
        draw_lengths(load, 10, 1, longest=1000)
    assert caught.value.field == "longest"


@pytest.mark.parametrize("cv", [0.0, 3.0, 100.0])
def test_a_limit_at_the_mean_still_ends(cv):
    inputs, outputs, _ = draw_lengths(Workload("x", 100.0, 20.0, cv, cv, request_rate=1.0), 5000, 1, longest=120)
    assert (inputs + outputs).max() <= 120 and outputs.min() >= 1


def test_what_cannot_vary_is_told():
    _, outputs, notes = draw_lengths(Workload("x", 100.4, 1.0, 0.0, 0.7, request_rate=1.0), 10, 1)
    assert set(outputs.tolist()) == {1}
    assert notes == [
        "a mean of 100.4 input tokens is rounded: all are 100",
        "a mean of 1 output tokens leaves nothing to vary: all are 1",
    ]


def test_pairs_stay_together_and_long_ones_are_counted():
    pairs = Lengths("seen", np.array([10, 20, 3000]), np.array([1, 2, 3]))
    inputs, outputs, notes = draw_pairs(pairs, 9000, 1)
    assert set(zip(inputs.tolist(), outputs.tolist(), strict=True)) == {(10, 1), (20, 2), (3000, 3)}
    assert np.bincount(outputs)[1:] == pytest.approx(3000, rel=0.1)
    assert notes == ["lengths are whole pairs drawn from seen"]
    assert np.array_equal(draw_pairs(pairs, 100, 1)[0], inputs[:100])
    inputs, _, notes = draw_pairs(pairs, 100, 1, longest=22)
    assert inputs.max() == 20 and notes[0] == "left out: 1 of 3 pairs of more than 22 tokens"
    with pytest.raises(BadInput):
        draw_pairs(pairs, 100, 1, longest=10)


def test_observed_lengths_are_a_workload_too():
    load = Lengths("seen", np.array([10, 30]), np.array([5, 5]), ("a", "b")).workload(concurrency=2)
    assert (load.input_tokens, load.input_cv, load.output_cv, load.note) == (20.0, 0.5, 0.0, "a; b")
