"""Routing of experts, sampled: how much a step is longer or shorter than the mean because tokens choose experts.

The mean of the busiest device's surplus is in the law (equation (16)). Here each step draws its own: every token picks
its experts at random in every layer, layers add up. Draws are made beforehand and used in turn, so that the sum over
many steps is a difference of two entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.experts import imbalance_slope
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.parts import Parts
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.shard import Shard

DRAWS = 4096  # steps after which the same surpluses come again
TOKENS = 64  # of a step that is sampled; the surplus of n tokens is sqrt(64/n) times as large
MOST = 8192  # tokens of a step, beyond which its surplus is that of so many


@dataclass(frozen=True, slots=True, eq=False)
class Imbalance:
    """``sums``: shape (draws + 1,), sums of surpluses of mean 0 and deviation 1. ``swing``: shape (tokens + 1,),
    seconds that one of them adds to a step with so many tokens."""

    sums: Floats
    swing: Floats


def imbalance_of(
    step: Callable[..., Parts], ops: Operators, row: PlatformTable, shard: Shard, seed: int = 0
) -> Imbalance | None:
    """The random part of a replica's step, None where no expert lies apart from the others."""
    ep = int(shard.ep[0])
    if not ops.experts or ep < 2:
        return None
    layers = sum(op.count for op in ops.experts)
    first = ops.experts[0]
    sums, deviation = surpluses(first.top_k, ep, layers, seed)
    tokens = np.unique(np.round(np.geomspace(1.0, MOST, 60)))
    spent = np.zeros_like(tokens)
    names = {op.name for op in ops.experts}

    def sink(
        name: str, count: int, *, compute: Floats | float = 0.0, memory: Floats | float = 0.0, **_: object
    ) -> None:
        if name in names:
            np.add(spent, compute, out=spent)
            np.add(spent, memory, out=spent)

    step(prefill=None, cached=None, decode=tokens, context=np.ones_like(tokens), sink=sink)
    group = max(ep / float(shard.ranks_f[0]), 1.0)
    slope = float(imbalance_slope(first.experts, first.top_k, shard.ep)[0] * row.imbalance[0])
    mean = np.minimum(1.0 + slope / np.sqrt(tokens * group), ep)
    swing = spent / mean * deviation * np.sqrt(TOKENS / (tokens * group))
    # no step is shorter than one whose experts are all as busy as the mean
    deepest = float(np.diff(sums).min())
    swing = np.minimum(swing, spent * (1.0 - 1.0 / mean) / -deepest)
    return Imbalance(sums, np.interp(np.arange(MOST + 1.0), tokens, swing))


@lru_cache(maxsize=8)
def surpluses(top_k: int, ep: int, layers: int, seed: int) -> tuple[Floats, float]:
    """Sums of standardised surpluses over layers, and the deviation of one step of `TOKENS` tokens.

    A device's load is binomial; the busiest of ``ep`` has the surplus of equation (16).

    >>> sums, deviation = surpluses(2, 8, 32, 0)
    >>> sums.size, bool(abs(sums[-1]) < 1e-6), 0.01 < deviation < 0.1
    (4097, True, True)
    """
    random = np.random.default_rng([seed, 16])
    visits = TOKENS * top_k
    loads = random.multinomial(visits, np.full(ep, 1.0 / ep), size=(DRAWS, min(layers, 32)))
    surplus = loads.max(axis=-1) * (ep / visits) - 1.0
    drawn = surplus.mean(axis=1)
    deviation = float(drawn.std())
    one = (drawn - drawn.mean()) / deviation
    scale = np.sqrt(min(layers, 32) / layers)  # independent layers
    return np.concatenate(([0.0], np.cumsum(one))), deviation * float(scale)
