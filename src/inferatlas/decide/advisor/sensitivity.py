"""What flips the winner: prices, targets, and our own uncertainty; no design is evaluated again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inferatlas.decide.advisor.judge import Budget, meets, within
from inferatlas.decide.advisor.rank import OBJECTIVES, best_of_each
from inferatlas.decide.advisor.search import Designs
from inferatlas.workload import ServiceTarget

RIVALS = 4  # told at most, the nearest first


@dataclass(frozen=True)
class Flip:
    """A change that makes another accelerator win; ``probability`` that it already is better, where known."""

    change: str
    winner: str
    probability: float | None = None


def flips(
    designs: Designs,
    targets: tuple[ServiceTarget, ...],
    budget: Budget,
    objective: str,
    ranked: list[int],
    least: float,
) -> list[Flip]:
    """Rivals within reach, and targets halved or doubled."""
    if not ranked:
        return []
    # the throughput of an open loop is the offered one, whatever the accelerator: there is nothing to overtake
    given = objective == "throughput" and designs.workload.request_rate is not None
    found = [] if given else _rivals(designs, objective, ranked)
    winner = designs.platform(ranked[0]).device.id
    inside = within(designs, budget)
    for i, target in enumerate(targets):
        for factor, word in ((0.5, "halved"), (2.0, "doubled")):
            best = best_of_each(designs, meets(designs, targets, least, {i: factor}) & inside, objective)
            name = designs.platform(best[0]).device.id if best else None
            if name != winner:
                change = f"{target.text()} with its bound {word}"
                found.append(Flip(change, name or "nothing meets the targets"))
    return found


def _rivals(designs: Designs, objective: str, ranked: list[int]) -> list[Flip]:
    metric, smaller = OBJECTIVES[objective]
    value, sigma = designs.metrics[metric].value, designs.metrics[metric].sigma
    sigma = np.broadcast_to(sigma, value.shape)
    first = ranked[0]
    seen = {designs.platform(first).device.id}
    found: list[Flip] = []
    for i in ranked[1:]:
        name = designs.platform(i).device.id
        if name in seen or not math.isfinite(value[i]) or not math.isfinite(value[first]):
            continue
        seen.add(name)
        ratio = float(value[i] / value[first]) if smaller else float(value[first] / value[i])
        # two parts of one style share most of their error; independence overstates how open the race is
        spread = math.hypot(float(sigma[i]), float(sigma[first]))
        better = 0.5 * (1.0 - math.erf(math.log(ratio) / (spread * math.sqrt(2)))) if spread > 0 else None
        word = "price" if objective == "cost" else metric
        enough = math.floor(ratio * 100.0 + 1.0) / 100.0  # rounded up: the factor as printed does flip the winner
        found.append(Flip(f"{word} of {name} {'down' if smaller else 'up'} by a factor of {enough:.2f}", name, better))
        if len(found) == RIVALS:
            break
    return found
