"""What random arrivals do to the steps of continuous batching, against batching simulated step by step: (45)."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.predict.handbook.continuous_batching import continuous_batching
from inferatlas.predict.performance.arrivals import arrival_noise

# Poisson arrivals into steps of t0 + a (sequences) + c (arrivals, each with its prompt), G tokens each


@lru_cache
def batched(tokens: int, t0: float, a: float, c: float, rate: float) -> tuple[float, float, float]:
    """Squared CoV of a step and of a request's latency, and the mean batch, of 400 servers side by side."""
    servers, warm, steps = 400, 12 * tokens, 12 * tokens + 2500
    random = np.random.default_rng(tokens)
    _, batch, settled = continuous_batching(t0, a + c / tokens, tokens, rate)
    joined, duration = np.zeros((steps, servers), dtype=int), np.zeros((steps, servers))
    joined[:tokens] = random.poisson(rate * float(settled), (tokens, servers))
    held, came = joined[:tokens].sum(axis=0), np.zeros(servers, dtype=int)
    duration[:tokens] = float(settled)
    total = np.zeros(servers)
    for i in range(tokens, steps):
        joined[i] = came
        held = held + came - joined[i - tokens]
        duration[i] = t0 + a * held + c * came
        came = random.poisson(rate * duration[i])
        total += held if i >= warm else 0
    clock = np.concatenate([np.zeros((1, servers)), np.cumsum(duration, axis=0)])
    start = np.arange(warm, steps - tokens)
    weight, wait = joined[start], duration[start - 1]
    inside = clock[start + tokens] - clock[start]
    mean = np.average(inside + wait / 2, weights=weight)
    second = np.average((inside + wait / 2) ** 2 + wait**2 / 12, weights=weight)
    seen = duration[warm:]
    assert total.mean() / (steps - warm) == pytest.approx(float(batch), rel=0.02)
    return float(seen.var() / seen.mean() ** 2), float(second / mean**2 - 1), float(batch)


# G, t0, a of the acceptance table of (45), and a load
@pytest.mark.parametrize(("tokens", "t0", "a", "load"), [
    (100, 1.0, 0.02, 0.5), (50, 1.0, 0.05, 0.2), (200, 0.010, 0.0003, 0.8),
])  # fmt: skip
def test_45_gap_and_latency_vary_as_simulated_batching_does(tokens, t0, a, load):
    gap, latency, batch = batched(tokens, t0, a, 0.0, load / (tokens * a))
    noise = arrival_noise(np.array([load]), np.zeros(1), np.array([batch]))
    assert noise.gap == pytest.approx(gap, rel=0.05)
    assert np.sqrt(noise.request + 1 / (12 * tokens**2)) == pytest.approx(np.sqrt(latency), rel=0.05)
    assert noise.prompts == 0


# shares of the step that sequences and prompts make
@pytest.mark.parametrize(("own", "prompts"), [(0.25, 0.25), (0.1, 0.4), (0.04, 0.16), (0.4, 0.1), (0.14, 0.56)])
def test_45_holds_where_requests_come_with_prompts(own, prompts):
    tokens, t0, a = 100, 1.0, 0.005
    rate, c = own / (tokens * a), prompts / own * tokens * a
    gap, latency, batch = batched(tokens, t0, a, c, rate)
    noise = arrival_noise(np.array([own]), np.array([prompts]), np.array([batch]))
    found = np.sqrt(noise.request + noise.prompts + 1 / (12 * tokens**2))
    assert found == pytest.approx(np.sqrt(latency), rel=0.06)
    chunks = tokens * prompts**2 / batch / (1 - prompts**2)  # of a step with A arrivals of c each
    assert np.sqrt(noise.gap + chunks) == pytest.approx(np.sqrt(gap), rel=0.03)


@given(st.floats(0, 0.95), st.floats(0.01, 1000))
def test_45_without_prompts_the_batch_varies_by_b_over_1_less_rho_as_a_shared_processor(load, batch):
    # steps in which n sequences share a server of rate n/(t0 + a n): n is negative binomial with t0/a successes
    noise = arrival_noise(np.array([load]), np.zeros(1), np.array([batch]))
    assert noise.gap * batch == pytest.approx(load**2 / (1 - load), rel=1e-9, abs=1e-12)
