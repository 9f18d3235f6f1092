"""One load on the same accelerators, served in different ways: colocated, chunked, disaggregated, or by a scheduler."""

from __future__ import annotations

from dataclasses import replace

from inferatlas.errors import BadInput, UnknownName
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.answering import simulate
from inferatlas.simulate.asking import Question, prepare
from inferatlas.simulate.deployment import Deployment, PoolAsked
from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.outcome import Outcome
from inferatlas.simulate.profiles import profile_names, read_profile

# ways of serving that are not the name of a scheduler, and the scheduler that they are
WAYS = {"colocated": "vllm-v0", "chunked": "vllm-v1"}
DISAGGREGATED = "disaggregated"
MOST_SPLITS = 15


def ways() -> list[str]:
    """What can be compared.

    >>> ways()[:3]
    ['chunked', 'colocated', 'disaggregated']
    """
    return [*sorted((*WAYS, DISAGGREGATED)), *profile_names()]


def compare(question: Question, names: tuple[str, ...]) -> list[Simulation]:
    """Simulate the question's load in each way, on as many accelerators as the question has.

    *colocated*: prompts have steps of their own on the replicas that decode (as vLLM before version 1). *chunked*: one
    step holds decoding requests and pieces of prompts. *disaggregated*: pools of their own, in the split that keeps
    most targets, then the one with the lowest mean latency. Any scheduler's name is a way too.

    Raises
    ------
    BadInput, UnknownName : nothing to compare, a way twice, fleets of several pools.
    """
    if len(set(names)) != len(names):
        raise BadInput("names a way twice", field="compare", allowed=", ".join(ways()))
    for name in names:
        if name not in ways():
            raise UnknownName("way of serving", name, ways(), field="compare", allowed=", ".join(ways()))
    deployment, notes = _divisible(question, DISAGGREGATED in names)
    found = []
    for name in names:
        if name == DISAGGREGATED:
            found.append(_best_split(question, deployment, notes))
            continue
        profile = read_profile(WAYS.get(name, name))
        pool = replace(deployment.pools[0], scheduler=profile)
        found.append(_one(question, replace(deployment, pools=(pool,)), name, notes))
    return found


def _divisible(question: Question, split: bool) -> tuple[Deployment, tuple[str, ...]]:
    """The deployment with replicas enough to be split, all ways having as many."""
    deployment = question.deployment
    if len(deployment.pools) != 1 or deployment.pools[0].role != "both":
        allowed = "a deployment of one pool"
        raise BadInput("fleets of several pools are compared by their own files", field="compare", allowed=allowed)
    pool = deployment.pools[0]
    replicas = question.fleet.pools[0].replicas
    if not split or replicas > 1:
        return replace(deployment, pools=(replace(pool, replicas=replicas, count=None),)), ()
    note = "two replicas in every way of serving, the fewest that can be split"
    return replace(deployment, pools=(replace(pool, replicas=2, count=None),)), (note,)


def _one(question: Question, deployment: Deployment, name: str, notes: tuple[str, ...]) -> Simulation:
    asked = prepare(deployment, seed=question.seed, until_s=_until(question))
    found, _ = simulate(replace(asked, notes=(*asked.notes, *notes)), name=name)
    return found


def _until(question: Question) -> float | None:
    return None if question.until_s == float("inf") else question.until_s


def _best_split(question: Question, deployment: Deployment, notes: tuple[str, ...]) -> Simulation:
    pool = deployment.pools[0]
    many = pool.replicas or 1

    def side(role: str, replicas: int) -> PoolAsked:
        return replace(pool, role=role, name=role, replicas=replicas)

    asked = prepare(
        replace(deployment, pools=(side("prefill", 1), side("decode", many - 1))), seed=question.seed,
        until_s=_until(question),
    )  # fmt: skip
    found: list[tuple[tuple[float, ...], Simulation]] = []
    for first in _spread(many - 1):
        link = asked.fleet.link
        pools = (replace(asked.fleet.pools[0], replicas=first), replace(asked.fleet.pools[1], replicas=many - first))
        if link is not None and deployment.link is None:  # as many network ports as the smaller side has replicas
            link = replace(link, bytes_per_s=link.lane_bytes_per_s * min(first, many - first))
        fleet: Fleet = replace(asked.fleet, pools=pools, link=link)
        name = f"{DISAGGREGATED} {first}:{many - first}"
        one, _ = simulate(replace(asked, fleet=fleet, notes=(*asked.notes, *notes)), name=name)
        found.append((_order(one), one))
    return min(found, key=lambda pair: pair[0])[1]


def _spread(most: int) -> list[int]:
    """Replicas for prompts: all numbers, or so many evenly among them."""
    if most <= MOST_SPLITS:
        return list(range(1, most + 1))
    return sorted({1 + round(i * (most - 1) / (MOST_SPLITS - 1)) for i in range(MOST_SPLITS)})


def _order(one: Simulation) -> tuple[float, ...]:
    out: Outcome = one.outcome
    missed = sum(not verdict["met"] for verdict in one.verdicts)
    latency = out.metrics["latency_s"]["mean"]
    return float(out.saturated), float(missed), float("inf") if latency is None else latency
