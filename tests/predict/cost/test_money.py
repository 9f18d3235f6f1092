"""Prices: the acceptance value of (51), its limits, and that a bill split is a bill kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.predict.cost.money import capital_recovery, split_input_output, usd_per_million_tokens

rates = st.floats(0.0, 1.0)
years = st.floats(0.1, 50.0)
amounts = st.floats(1e-3, 1e6)
shares = st.floats(0.01, 1.0)


def test_51_capital_recovery():
    assert capital_recovery(0.08, 5) == pytest.approx(0.25046, abs=5e-6)


@given(rates, years)
def test_recovery_lies_between_its_limits(rate, life):
    recovery = capital_recovery(rate, life)
    assert recovery >= max(rate, 1 / life) * (1 - 1e-9)  # interest alone, repayment alone
    if life >= 1:
        assert recovery <= (1 / life + rate) * (1 + 1e-9)
    assert capital_recovery(0.0, life) == pytest.approx(1 / life)


@given(st.floats(1e-3, 1.0), st.integers(1, 40))
def test_recovery_pays_the_capital_back_exactly(rate, life):
    debt, payment = 1.0, float(capital_recovery(rate, life))
    for _ in range(life):
        debt = debt * (1 + rate) - payment
    assert debt == pytest.approx(0.0, abs=1e-9 * (1 + rate) ** life)


def test_no_cancellation_at_small_interest_and_a_perpetuity_pays_interest_only():
    assert capital_recovery(1e-12, 5) == pytest.approx(0.2, rel=1e-9)
    assert capital_recovery(0.08, 1e5) == pytest.approx(0.08)


@given(amounts, amounts, shares, st.floats(1.01, 10))
def test_price_is_proportional_to_the_hour_and_inverse_to_throughput_and_use(usd, tokens, share, factor):
    price = usd_per_million_tokens(usd, tokens, share)
    assert usd_per_million_tokens(usd * factor, tokens, share) == pytest.approx(price * factor)
    assert usd_per_million_tokens(usd, tokens * factor, share) == pytest.approx(price / factor)
    assert usd_per_million_tokens(usd, tokens, share / factor) == pytest.approx(price * factor)
    # an hour's tokens at this price are an hour's bill
    assert price * tokens * share * 3600 / 1e6 == pytest.approx(usd)


def test_no_token_has_no_finite_price_and_unknown_is_never_free():
    assert np.isinf(usd_per_million_tokens(2.0, 0.0))
    answer = usd_per_million_tokens([2.0, None, 2.0, 2.0], [100.0, 100.0, None, 100.0], [1.0, 1.0, 1.0, None])
    assert np.isnan(answer).tolist() == [False, True, True, True]


@given(amounts, amounts, amounts, amounts, amounts)
def test_the_split_adds_up_to_the_bill(price, tokens_in, tokens_out, time_in, time_out):
    usd_in, usd_out = split_input_output(price, tokens_in, tokens_out, time_in, time_out)
    assert usd_in * tokens_in + usd_out * tokens_out == pytest.approx(price * (tokens_in + tokens_out))
    assert usd_in * tokens_in * time_out == pytest.approx(usd_out * tokens_out * time_in)  # shares as the times


def test_a_split_without_tokens_or_time_is_unknown():
    usd_in, usd_out = split_input_output(0.2, [0, 100, 100], [100, 100, 100], [0.0, 0.0, None], [1.0, 0.0, 1.0])
    assert np.isnan(usd_in).tolist() == [True, True, True]
    assert np.isnan(usd_out).tolist() == [False, True, True]
    assert usd_out[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: capital_recovery(-0.01, 5), "rate"),
        (lambda: capital_recovery(0.08, 0), "years"),
        (lambda: usd_per_million_tokens(-1, 100), "usd_per_hour"),
        (lambda: usd_per_million_tokens(1, -100), "tokens_per_s"),
        (lambda: usd_per_million_tokens(1, 100, 0), "utilisation"),
        (lambda: usd_per_million_tokens(1, 100, 40), "utilisation"),  # a percentage
        (lambda: split_input_output(1, -1, 1, 1, 1), "input_tokens"),
    ],
)
def test_what_cannot_be_is_refused_by_field(wrong, field):
    with pytest.raises(BadInput) as caught:
        wrong()
    assert caught.value.field == field
