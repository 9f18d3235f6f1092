"""Equations (13), (14) and (16) against their acceptance values and against simulated routing (check C)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.experts import expected_max_load
from inferatlas.predict.llm import experts as ex

# experts, top k, Zipf exponent, tokens; distinct experts (formula), CoV (simulated): section 4
TABLE = [
    (8, 2, 0.0, 8, 7.20, 0.199),
    (8, 2, 0.0, 64, 8.0, 0.091),
    (8, 2, 1.0, 64, 8.0, 0.096),
    (64, 6, 0.0, 8, 34.9, 0.144),
    (64, 6, 0.6, 64, 63.0, 0.063),
    (64, 6, 1.0, 64, 59.6, 0.045),
    (256, 8, 0.0, 8, 57.4, 0.129),
    (256, 8, 0.0, 64, 222.44, 0.058),
    (256, 8, 0.6, 64, 197.1, 0.056),
    (256, 8, 1.0, 64, 153.0, 0.034),
    (256, 8, 0.0, 256, 255.9, 0.026),
]
CASES = [row[:4] for row in TABLE]


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens", "distinct", "_cov"), TABLE)
def test_13_14_formulas_print_the_acceptance_table(experts, top_k, zipf, tokens, distinct, _cov):
    digits = 0.005 if distinct == 222.44 else 0.05
    found = ex.distinct(ex.zipf_popularity(experts, zipf), top_k, tokens)
    assert found == pytest.approx(distinct, abs=digits + 1e-9)


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens"), CASES)
def test_c_distinct_experts_are_within_1_percent_of_simulated_routing(routed, experts, top_k, zipf, tokens):
    formula = float(ex.distinct(ex.zipf_popularity(experts, zipf), top_k, tokens))
    assert formula == pytest.approx(routed(experts, top_k, zipf, tokens)[0], rel=0.01)


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens", "_distinct", "cov"), TABLE)
def test_17_simulated_routing_varies_as_the_table_says(routed, experts, top_k, zipf, tokens, _distinct, cov):
    assert routed(experts, top_k, zipf, tokens)[2] == pytest.approx(cov, rel=0.15, abs=0.004)


@given(st.integers(2, 512), st.data(), st.floats(0, 1e6))
def test_13_is_14_for_equal_popularity_between_top_k_and_all(experts, data, tokens):
    top_k = data.draw(st.integers(1, experts))
    uniform = float(ex.distinct_uniform(experts, top_k, tokens))
    assert uniform == pytest.approx(
        float(ex.distinct(np.full(experts, 1 / experts), top_k, tokens)), rel=1e-6, abs=1e-9
    )
    assert uniform <= experts * (1 + 1e-12)
    assert uniform <= top_k * max(tokens, 1.0) * (1 + 1e-12)
    if tokens >= 1:
        assert uniform >= top_k * (1 - 1e-12)


def test_13_one_token_touches_exactly_its_experts_and_none_touches_none():
    assert ex.distinct_uniform(8, 2, [0, 1]).tolist() == pytest.approx([0.0, 2.0])
    assert ex.distinct_uniform(4, 4, [0, 1, 9]).tolist() == [0.0, 4.0, 4.0]


@given(st.integers(2, 300), st.floats(0, 2), st.data())
def test_14_inclusion_sums_to_top_k_and_follows_popularity(experts, zipf, data):
    top_k = data.draw(st.integers(1, experts - 1))
    pi = ex.inclusion(ex.zipf_popularity(experts, zipf), top_k)
    assert pi.sum() == pytest.approx(top_k, rel=1e-6)
    assert (np.diff(pi) <= 1e-12).all()
    assert (pi <= 1).all()


def test_14_correlated_tokens_count_less():
    popularity = ex.zipf_popularity(64, 0.0)
    few, many = ex.distinct(popularity, 6, [8, 64], correlation=0.2), ex.distinct(popularity, 6, [8, 64])
    assert (few < many).all()
    assert ex.distinct(popularity, 6, 1, correlation=0.2) == pytest.approx(6.0)


def test_16_expected_maximum_of_normals_is_exact_for_two_and_three_and_grows():
    assert ex.expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-9)
    assert ex.expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-9)
    values = [ex.expected_maximum(n) for n in (1, 2, 8, 64, 1024)]
    assert values == sorted(values)
    assert values[-1] < math.sqrt(2 * math.log(1024))


@given(
    st.integers(2, 6).map(lambda n: 2**n), st.integers(1, 8), st.floats(1, 1e5), st.integers(0, 6).map(lambda n: 2**n)
)
def test_16_imbalance_lies_between_even_and_all_on_one_device(experts, top_k, tokens, groups):
    value = float(ex.imbalance_uniform(experts, top_k, tokens, groups))
    assert 1.0 <= value <= groups


@pytest.mark.parametrize(("experts", "top_k", "tokens"), [(256, 8, 64), (256, 8, 256), (64, 6, 64), (8, 2, 64)])
def test_16_equal_means_agree_with_the_integral(experts, top_k, tokens):
    largest, mean = expected_max_load(np.full(experts, 1 / experts), top_k, tokens, 8)
    assert ex.imbalance_uniform(experts, top_k, tokens, 8) == pytest.approx(largest / mean, rel=1e-3)
