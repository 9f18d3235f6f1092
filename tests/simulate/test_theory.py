"""The event loop where queueing theory knows the answer (section 7.1 of the serving reference).

Gaps and lengths are the quantiles of their distributions in random order: their means are exact, so that less is left
to chance than in a sample of the same size.
"""

from dataclasses import replace

import numpy as np
import pytest

from inferatlas.predict.performance.speculation import Speculation
from inferatlas.simulate.fleet import Fleet, Pool, Scheduler
from inferatlas.simulate.law import StepLaw, affine_law
from inferatlas.simulate.running import Run, run
from inferatlas.workload.requests import Requests

CACHELESS = Scheduler(prefix_cache="none")


def exponential(random: np.random.Generator, n: int, mean: float) -> np.ndarray:
    """Quantiles of the exponential distribution in random order."""
    return -np.log1p(-random.permutation((np.arange(n) + 0.5) / n)) * mean


def poisson(random: np.random.Generator, n: int, rate: float) -> np.ndarray:
    return np.cumsum(exponential(random, n, 1 / rate))


def serve(law: StepLaw, arrival: np.ndarray, inputs: np.ndarray | int, outputs: np.ndarray | int,
          scheduler: Scheduler = CACHELESS) -> Run:  # fmt: skip
    inputs, outputs = (np.broadcast_to(tokens, arrival.size).astype(np.int64) for tokens in (inputs, outputs))
    return run(Fleet((Pool((law,), scheduler),)), Requests("theory", arrival, inputs, outputs))


def latency(got: Run, warm_up: float = 0.05) -> np.ndarray:
    """Of the requests after the first."""
    q = got.requests[int(warm_up * got.requests.size) :]
    return q["finish"] - q["sent"]


def test_m_d_1():
    """(42): prompts of 0.1 s, 5 a second, one at a time: 0.15 s."""
    arrival = poisson(np.random.default_rng(1), 300_000, 5.0)
    got = serve(affine_law(0.1, 0.0, 1), arrival, 1, 1)
    assert latency(got, 0.0).mean() == pytest.approx(0.15, rel=5e-3)
    assert got.replicas["busy_s"][0] == pytest.approx(0.1 * 300_000)


def lindley(arrival: np.ndarray, service: np.ndarray) -> np.ndarray:
    """Waits of a queue with one server: the sums of service less gaps above their lowest so far."""
    steps = np.concatenate([[0.0], service[:-1] - np.diff(arrival)])
    total = np.cumsum(steps)
    return total - np.minimum.accumulate(total)


def test_m_m_1():
    """Answers of exponential length, one at a time, 80 % busy: a wait of four service times."""
    random = np.random.default_rng(2)
    n, step, mean = 1_000_000, 1e-3, 1.0
    outputs = np.maximum(np.round(exponential(random, n, mean / step)), 1)
    arrival = poisson(random, n, 0.8 / (outputs.mean() * step))
    got = serve(affine_law(step, 0.0, 1), arrival, 1, outputs).requests
    wait = got["admitted"] - got["arrival"]
    np.testing.assert_allclose(wait, lindley(arrival, outputs * step), rtol=0, atol=1e-6)
    assert wait.mean() == pytest.approx(4.0 * mean, rel=0.01)


def test_m_m_4():
    """Four slots, steps that take as long whatever the batch: Erlang's queue, 0.74554 service times at 80 %.

    A request also waits for the end of the step under way, where one is: half of it at most.
    """
    random = np.random.default_rng(3)
    n, step, mean = 1_000_000, 1e-3, 1.0
    outputs = np.maximum(np.round(exponential(random, n, mean / step)), 1)
    arrival = poisson(random, n, 4 * 0.8 / (outputs.mean() * step))
    got = serve(affine_law(step, 0.0, 4), arrival, 1, outputs).requests
    wait = got["admitted"] - got["arrival"]
    assert wait.mean() == pytest.approx(0.74554 * mean + step / 2, rel=0.01)


@pytest.mark.parametrize(
    ("load", "formula", "simulated", "n"),
    [(0.1, 1.688, 1.688, 200_000), (0.3, 2.168, 2.168, 400_000), (0.5, 3.033, 3.034, 600_000),
     (0.7, 5.053, 5.083, 600_000), (0.9, 15.153, 15.324, 2_000_000)],
)  # fmt: skip
def test_take_all_batching(load, formula, simulated, n):
    """(43): a static batch takes all that wait, and n prompts of a token take 1 + 0.02 n seconds."""
    a, start = 0.02, 1.0
    rate = load / a
    law = affine_law(start, 0.0, 4096, per_prompt_token=a)
    arrival = poisson(np.random.default_rng(4), n, rate)
    got = serve(law, arrival, 1, 1, Scheduler(policy="static", prefix_cache="none"))
    assert got.replicas["waiting"][0] == 0
    mean = latency(got, 0.01).mean()
    exact = 1.5 * start / (1 - load) + a / 2 * (load + 2) / (1 - load**2)
    assert exact == pytest.approx(formula, abs=6e-4)
    assert mean == pytest.approx(formula, rel=0.02)
    assert mean == pytest.approx(simulated, rel=0.01 if load < 0.8 else 0.02)  # batches of 450 that hang together


# G, t0, a, load; (44b), CoV and p99 by formula, as equation (45) lists them
CONTINUOUS = [
    (100, 1.0, 0.02, 0.2, 128.1, 0.0537, 145.0),
    (100, 1.0, 0.02, 0.5, 205.0, 0.0901, 251.7),
    (100, 1.0, 0.02, 0.8, 512.5, 0.1212, 673.8),
    (50, 1.0, 0.05, 0.2, 66.25, 0.0850, 80.4),
    (50, 1.0, 0.05, 0.5, 106.0, 0.1424, 145.9),
    (50, 1.0, 0.05, 0.8, 265.0, 0.1917, 404.8),
    (200, 0.010, 0.0003, 0.2, 2.581, 0.0657, 3.001),
    (200, 0.010, 0.0003, 0.5, 4.130, 0.1103, 5.301),
    (200, 0.010, 0.0003, 0.8, 10.325, 0.1484, 14.40),
]


@pytest.mark.parametrize(("tokens", "start", "a", "load", "mean", "spread", "high"), CONTINUOUS)
def test_continuous_batching(tokens, start, a, load, mean, spread, high):
    """(44b) and (45): steps of t0 + a b seconds, b with those that have just come.

    A prompt of one token that costs a per token makes the step in which a request joins as long as any other step with
    it; it yields the first token, so that a request is there for G steps.
    """
    rate = load / (tokens * a)
    n = max(int(rate * 300_000 * start / (1 - load)), 100_000)  # of steps, of requests
    law = affine_law(start, a, 1024, per_prompt_token=a)
    got = serve(law, poisson(np.random.default_rng(5), n, rate), 1, tokens)
    assert got.replicas["steps"][0] >= 100_000  # shorter ones scatter by 10 % in p99
    times = latency(got)
    assert times.mean() == pytest.approx(mean, rel=0.01)
    assert times.std() / times.mean() == pytest.approx(spread, rel=0.05)
    assert np.quantile(times, 0.99) == pytest.approx(high, rel=0.04)


def test_a_deterministic_machine_has_no_spread():
    """A compiled batch takes as long whoever is in it: without queueing all requests do, too."""
    law = affine_law(0.002, 0.0, 8)
    got = serve(law, np.arange(1000) * 1.7, 64, 100)
    times = latency(got, 0.0)
    assert times.mean() == pytest.approx(100 * 0.002, rel=1e-9)
    assert times.std() / times.mean() < 1e-9
    # together too: eight at once, every 1.7 s
    got = serve(law, np.repeat(np.arange(1000) * 1.7, 8), 64, 100)
    assert latency(got, 0.0).std() < 1e-9


def test_speculation():
    """(48): five tokens are verified in a step, of which 2.7731 are kept where each draft is right in 7 of 10 cases."""
    law = replace(affine_law(0.01, 0.0, 4), queries=5, speculation=Speculation(4, 0.7))
    got = serve(law, np.arange(100) * 1e3, 1, 10_001)
    verifications = got.replicas["steps"][0] - 100  # a step with the prompt before them
    assert 100 * 10_000 / verifications == pytest.approx(2.7731, rel=3e-3)
    assert latency(got, 0.0).mean() == pytest.approx(0.01 * (10_000 / 2.7731 + 1), rel=3e-3)
