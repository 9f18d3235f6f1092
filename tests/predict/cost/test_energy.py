"""Equation (41): joules per token, tokens per joule and mWh per query are one number in three units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost.energy import joules_per_token, milliwatt_hours_per_query, tokens_per_joule

watts = st.floats(1.0, 1e6)
throughputs = st.floats(1e-2, 1e7)
overheads = st.floats(1.0, 2.0)


@given(watts, throughputs, overheads)
def test_the_two_directions_are_inverse(power, tokens, pue):
    assert joules_per_token(power, tokens, pue) * tokens_per_joule(power, tokens, pue) == pytest.approx(1.0)


@given(watts, throughputs, overheads, st.floats(1.0, 1e5))
def test_a_query_costs_its_tokens(power, tokens, pue, length):
    seconds = length / tokens
    in_joules = milliwatt_hours_per_query(power, tokens, length, pue) * 3.6
    assert in_joules == pytest.approx(power * pue * seconds)


@pytest.mark.parametrize(
    ("watt", "rate", "published"),
    # 8 x H200 and 8 x B200, MLPerf Inference offline, Llama-2-70B; 8 x B200, Llama-3.1-405B
    [(6153.0, 25262.0, 4.11), (10401.0, 102909.0, 9.89), (9892.0, 1637.0, 0.166)],
)
def test_whole_nodes_as_submitted_to_mlperf(watt, rate, published):
    assert tokens_per_joule(watt, rate) == pytest.approx(published, rel=4e-3)


def test_no_token_costs_infinitely_and_unknown_stays_unknown():
    assert np.isinf(joules_per_token(700.0, 0.0))
    assert tokens_per_joule(700.0, 0.0) == 0
    assert np.isnan(tokens_per_joule(0.0, 0.0))
    for answer in (
        joules_per_token([700.0, None, 700.0], [10.0, 10.0, None]),
        tokens_per_joule([700.0, None, 700.0], [10.0, 10.0, None]),
        milliwatt_hours_per_query([700.0, None, 700.0], [10.0, 10.0, None], 100.0),
    ):
        assert np.isnan(answer).tolist() == [False, True, True]


def test_the_facility_never_saves_energy():
    with pytest.raises(BadInput, match="pue"):
        joules_per_token(700.0, 10.0, 0.9)
