"""The best candidates once more, request by request: percentiles that closed forms can only estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from inferatlas.decide.advisor.judge import normal_cdf, statistic
from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.question import Asked
from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.outcome import Outcome, outcome
from inferatlas.simulate.profiles import load_profile, profile_for
from inferatlas.simulate.running import run
from inferatlas.simulate.tabulating import law_of
from inferatlas.workload import ServiceTarget, make_requests

REQUESTS = 4000  # of each candidate: a 99th percentile over 40 of them


@dataclass(frozen=True)
class Simulated:
    """What a simulation of a candidate says. ``p_meets_target``: as `judge.probability`, of simulated statistics."""

    scheduler: str
    requests: int
    saturated: bool
    metrics: dict[str, Any]
    targets: list[dict[str, Any]]
    p_meets_target: float


def reranked(
    designs: Designs, ranked: list[int], targets: tuple[ServiceTarget, ...], least: float, seed: int
) -> tuple[list[int], dict[int, Simulated], list[str]]:
    """Candidates in their order, but those first whose simulated percentiles keep the targets; with what was simulated.

    ``least``: the probability asked for.
    """
    seen = {i: simulated(designs, i, targets, seed) for i in ranked}
    keep = {i for i, one in seen.items() if one.p_meets_target >= least}
    order = [i for i in ranked if i in keep] + [i for i in ranked if i not in keep]
    notes = [f"simulated: {REQUESTS:,} requests on each candidate; the spread of percentiles is that of the load"]
    fallen = [designs.platform(i).device.id for i in ranked if i not in keep]
    if fallen:
        notes.append(f"closed forms qualify {', '.join(fallen)}, simulated percentiles do not: ranked last")
    return order, seen, notes


def simulated(designs: Designs, i: int, targets: tuple[ServiceTarget, ...], seed: int = 0) -> Simulated:
    """Simulate design ``i`` under the load of the question.

    The error of a simulated statistic is that of the step times behind it: the spread of the closed form's.
    """
    platform, layout, load = designs.platform(i), designs.layout(i), designs.workload
    requests = make_requests(load, REQUESTS, seed)
    longest = int((requests.input_tokens + requests.output_tokens).max())
    one = Asked(
        designs.model, designs.known[platform.device.id], designs.ops, platform, designs.table, load, layout,
        designs.points[np.array([i])], [],
    )  # fmt: skip
    profile = load_profile(profile_for(platform))
    fleet = Fleet((Pool((law_of(one, longest),), profile, replicas=layout.dp),))
    found = outcome(run(fleet, requests, seed=seed), fleet, requests, targets)
    judged = [_judged(designs, i, target, found) for target in targets]
    return Simulated(
        profile.name, REQUESTS, found.saturated, found.as_dict()["metrics"], judged,
        float(np.prod([one["probability"] for one in judged])) * (not found.saturated),
    )  # fmt: skip


def _judged(designs: Designs, i: int, target: ServiceTarget, found: Outcome) -> dict[str, Any]:
    value = found.value(target)
    sigma = float(np.broadcast_to(statistic(designs, target).sigma, len(designs))[i])
    if value is None or not np.isfinite(value):
        return {"target": target.text(), "value": None, "met": False, "probability": 0.0}
    distance = np.log(target.bound / value) * (1.0 if target.sense.startswith("<") else -1.0)
    likely = float(normal_cdf(np.array([distance / sigma]))[0]) if sigma > 0 else float(target.met(value))
    return {"target": target.text(), "value": value, "met": bool(target.met(value)), "probability": likely}
