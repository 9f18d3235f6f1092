"""Means and spread of serving against a simulation of every step, with the same step times.

Each step takes the prompts that wait, as far as the budget of tokens goes, and one token of every sequence under way.
"""

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Points, make_points
from inferatlas.predict.performance.predictor import collectives_in_use, predict
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import run
from inferatlas.predict.performance.variance import variance
from inferatlas.predict.platforms import bind

SMALL, LARGE, MIXTURE = ("llama-3.1-8b", 1), ("llama-3.3-70b", 8), ("mixtral-8x7b", 4)


@dataclass
class Machine:
    """Step times of one replica by sequences that decode and prompts that share the step."""

    model: str
    tp: int
    isl: int
    osl: int
    known: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self):
        self.ops = operators(load_model(self.model))
        self.table = platform_table([bind("h100", model=self.model)], is_moe=bool(self.ops.experts))
        points = self.points(concurrency=1)
        row = self.table.rows(points.platform)
        costs = collectives_in_use(self.ops, self.table, points, False)
        self.run = partial(run, prepare(self.ops, row, shard_of(row, points), costs))
        self.interference = float(row.interference[0])
        self.before_s = float(row.request_s[0] + self.isl * row.prompt_token_s[0])
        self.budget = int(row.step_tokens[0] // self.isl)

    def points(self, **load: float) -> Points:
        return make_points(0, tp=self.tp, input_tokens=self.isl, output_tokens=self.osl, **load)

    def step_s(self, decoding: int, prompts: int) -> float:
        if (decoding, prompts) not in self.known:
            batch = {"decode": np.array([float(decoding)]), "context": np.array([self.isl + 0.5 * self.osl])}
            plain = float(self.run(prefill=None, cached=None, **batch).total[0]) if decoding else 0.0
            if prompts:
                fresh = {"prefill": np.array([float(self.isl)]), "cached": np.zeros(1)}
                mixed = float(self.run(**fresh, **batch, prompts=np.array([float(prompts)])).total[0])
                plain += (mixed - plain) * (self.interference if decoding else 1.0)
            self.known[decoding, prompts] = plain
        return self.known[decoding, prompts]


def simulate(machine: Machine, requests: int, *, rate: float = 0.0, flying: int = 0) -> np.ndarray:
    """Latencies of so many requests that arrive at random, or of clients who each send the next; seconds, in order."""
    random = np.random.default_rng(7)
    arrivals = deque(np.cumsum(random.exponential(1.0 / rate, requests)) if rate else np.zeros(flying))
    waiting: deque[float] = deque()
    left: dict[int, int] = {}  # tokens that a sequence under way still has to make
    began: dict[int, float] = {}
    now, done, latencies = 0.0, 0, []
    while len(latencies) < requests:
        while arrivals and arrivals[0] + machine.before_s <= now:
            waiting.append(arrivals.popleft())
        starting = [waiting.popleft() for _ in range(min(len(waiting), machine.budget))]
        if not starting and not left:
            now = arrivals[0] + machine.before_s
            continue
        now += machine.step_s(len(left), len(starting))
        for one in list(left):
            left[one] -= 1
        for at in starting:
            began[done], left[done] = at, machine.osl - 1
            done += 1
        for one in [one for one, tokens in left.items() if tokens == 0]:
            del left[one]
            latencies.append(now - began[one])
            if flying:
                arrivals.append(now)
    return np.array(latencies[requests // 5 :])


@lru_cache
def machine(model: str, tp: int, isl: int, osl: int) -> Machine:
    return Machine(model, tp, isl, osl)


@pytest.mark.parametrize(
    ("model", "isl", "osl", "rate", "rel"),
    [
        (SMALL, 1024, 256, 2.0, 0.02), (SMALL, 1024, 256, 10.0, 0.02), (LARGE, 1024, 256, 6.0, 0.02),
        (LARGE, 4000, 64, 0.5, 0.02), (LARGE, 4000, 64, 1.0, 0.02), (LARGE, 8000, 128, 0.5, 0.02),
        (MIXTURE, 1024, 256, 8.0, 0.02), (SMALL, 4000, 2, 5.0, 0.1),
    ],
)  # fmt: skip
def test_open_loops(model: tuple[str, int], isl: int, osl: int, rate: float, rel: float):
    here = machine(*model, isl, osl)
    points = here.points(request_rate=rate)
    found = predict(here.ops, here.table, points)
    seen = simulate(here, 6000, rate=rate)
    assert found.latency_s[0] == pytest.approx(seen.mean(), rel=rel)
    cov = float(variance(here.ops, here.table, points, found).cov()[0])
    assert cov == pytest.approx(seen.std() / seen.mean(), rel=0.12)


@pytest.mark.parametrize("flying", [1, 8, 64, 256])
@pytest.mark.parametrize(("isl", "osl", "rel"), [(1024, 256, 0.03), (1024, 8, 0.2), (1024, 2, 0.06), (512, 1, 0.15)])
def test_closed_loops(isl: int, osl: int, rel: float, flying: int):
    here = machine(*SMALL, isl, osl)
    found = predict(here.ops, here.table, here.points(concurrency=flying))
    latency = simulate(here, 60 * flying, flying=flying).mean()
    assert found.output_tokens_per_s[0] / osl == pytest.approx(flying / latency, rel=rel)
    assert found.latency_s[0] == pytest.approx(latency, rel=rel)
