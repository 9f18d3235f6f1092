"""Equations (16) and (18): load of the busiest device (check D), and what a dispatch sends."""

import pytest

from inferatlas.predict.handbook import experts as ex
from inferatlas.predict.llm.experts import zipf_popularity

# experts, top k, Zipf exponent, tokens; EP8 max/mean (formula): section 4
TABLE = [
    (8, 2, 0.0, 8, 1.87),
    (8, 2, 0.0, 64, 1.31),
    (8, 2, 1.0, 64, 2.42),
    (64, 6, 0.0, 8, 1.55),
    (64, 6, 0.6, 64, 2.57),
    (64, 6, 1.0, 64, 3.93),
    (256, 8, 0.0, 8, 1.50),
    (256, 8, 0.0, 64, 1.18),
    (256, 8, 0.6, 64, 2.97),
    (256, 8, 1.0, 64, 4.86),
    (256, 8, 0.0, 256, 1.09),
]
CASES = [row[:4] for row in TABLE]


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens", "imbalance"), TABLE)
def test_16_the_integral_prints_the_acceptance_table(experts, top_k, zipf, tokens, imbalance):
    largest, mean = ex.expected_max_load(zipf_popularity(experts, zipf), top_k, tokens, 8)
    assert largest / mean == pytest.approx(imbalance, abs=0.0051)


@pytest.mark.parametrize(("experts", "top_k", "zipf", "tokens"), CASES)
def test_d_imbalance_is_within_5_percent_of_simulated_routing_from_64_tokens(routed, experts, top_k, zipf, tokens):
    largest, mean = ex.expected_max_load(zipf_popularity(experts, zipf), top_k, tokens, 8)
    assert largest / mean == pytest.approx(routed(experts, top_k, zipf, tokens)[1], rel=0.05 if tokens >= 64 else 0.07)


def test_18_a_token_sends_a_copy_per_expert_or_per_destination():
    assert ex.dispatch_bytes(100, 8, 7168, 1.0, 32) == pytest.approx(100 * 8 * 7168 * 31 / 32)
    assert ex.dispatch_bytes(100, 8, 7168, 1.0, [1, 4]).tolist() == [0.0, 100 * 4 * 7168 * 0.75]
    assert ex.destinations(8, 32) == pytest.approx(32 * (1 - (31 / 32) ** 8))
    assert ex.destinations(8, [1, 10**6]).tolist() == pytest.approx([1.0, 8.0], rel=1e-4)
