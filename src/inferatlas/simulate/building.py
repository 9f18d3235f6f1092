"""From a deployment as it is asked for to a fleet: layouts, laws, schedulers, links, adapters, and what was assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.cost.economics import economics
from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.question import Asked, asked, why_not
from inferatlas.simulate.around import faults_of, link_of
from inferatlas.simulate.deployment import Deployment, PoolAsked
from inferatlas.simulate.fleet import Adapters, Fleet, Pool, Scheduler
from inferatlas.simulate.law import StepLaw
from inferatlas.simulate.lora import adapter_bytes
from inferatlas.simulate.profiles import profile_for, read_profile
from inferatlas.simulate.tabulating import Wanted, laws_of
from inferatlas.simulate.values import placed
from inferatlas.workload.workload import Workload

# Seconds until a model whose weights have come back from host memory serves again (prior; 0.1 to 6 s are published for
# vLLM's sleep mode, https://blog.vllm.ai/2025/10/26/sleep-mode.html, its first answer after waking up took 1 s)
WAKE_S = 1.0
DAY_S = 86_400.0
_GIVEN = ("tp", "pp", "ep", "cp", "engine", "weights", "activations", "kv_cache", "speculate")


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A fleet, what was asked for each of its pools and models (None: not hosted), and what was assumed."""

    fleet: Fleet
    asked: tuple[tuple[Asked | None, ...], ...]
    notes: tuple[str, ...]


def build(deployment: Deployment, load: Workload, longest: int, *, seed: int = 0, horizon_s: float = DAY_S) -> Built:
    """Bind a deployment.

    Parameters
    ----------
    load : mean lengths, and the load for which layouts are chosen where only a count is given.
    longest : most tokens of a request, input and output. seed, horizon_s : of random failures.

    Raises
    ------
    BadInput, UnknownName : what `question.asked` refuses; with file and line where the deployment was read from one.
    NoFeasibleAnswer : a model does not fit, or its engine does not run there.
    """
    notes: list[str] = []
    asks = [[_asked(deployment, pool, i, model, load, notes) for model in deployment.models]
            for i, pool in enumerate(deployment.pools)]  # fmt: skip
    schedulers = [_scheduler(pool, [one for one in row if one], notes)
                  for pool, row in zip(deployment.pools, asks, strict=True)]  # fmt: skip
    laws = _laws(deployment, asks, schedulers, longest)
    pools = tuple(
        _pool(deployment, i, tuple(asks[i]), schedulers[i], tuple(laws[i]), notes) for i in range(len(deployment.pools))
    )
    with placed(deployment.file, deployment.lines):
        fleet = Fleet(
            pools=pools, router=deployment.router, models=deployment.models,
            link=link_of(deployment.link, pools, asks, notes),
            faults=faults_of(deployment, pools, seed, horizon_s, notes), stale_s=deployment.stale_s,
            load_penalty=deployment.load_penalty, retry=deployment.retry, queue_limit=deployment.queue_limit,
            network_s=deployment.network_s,
        )  # fmt: skip
    return Built(fleet, tuple(tuple(row) for row in asks), tuple(dict.fromkeys(notes)))


def name_of(pool: PoolAsked, index: int, pools: Sequence[PoolAsked]) -> str:
    """What a pool is called: its name, its role, or its accelerator."""
    if pool.name:
        return pool.name
    if pool.role != "both" and sum(one.role == pool.role for one in pools) == 1:
        return pool.role
    alone = sum(one.accelerator == pool.accelerator for one in pools) == 1
    return pool.accelerator if alone else f"{pool.accelerator} {index + 1}"


def _asked(
    deployment: Deployment, pool: PoolAsked, index: int, model: str, load: Workload, notes: list[str]
) -> Asked | None:
    """One replica of a pool; with a count, as many as `predict` would make of it."""
    if pool.models is not None and model not in pool.models:
        return None
    given: dict[str, Any] = {name: getattr(pool, name) for name in _GIVEN}
    lines = {**deployment.lines, **{key: line for key, line in pool.lines.items() if key != "models"}}
    with placed(deployment.file, lines, pool.line):
        groups = _ranks(pool)
        lengths = replace(load, prefix_tokens=0.0)
        if pool.count is None:
            lengths = replace(lengths, concurrency=groups, request_rate=None)
        dp = pool.replicas if pool.count is not None else groups if groups > 1 else None
        one = asked(model, pool.accelerator, lengths, count=pool.count, dp=dp, **given)
        if pool.count is None and is_resident(one.platform.device) and pool.pp is None:
            one = _held(one, model, pool, load, given)
        _check(one)
    who = f"{name_of(pool, index, deployment.pools)}: " if len(deployment.pools) > 1 else ""
    notes += [f"{who}{note}" for note in (*one.platform.notes, *one.notes)]
    return one


def _ranks(pool: PoolAsked) -> int:
    """Replicas among which experts are divided: each holds some, and they run in step."""
    devices = load_accelerator(pool.accelerator).devices_per_card
    return max((pool.ep or 1) // ((pool.tp or 1) * devices), 1)


def _check(one: Asked) -> None:
    """Refuse a layout that is not legal, or does not hold one request; too many of them are what is simulated."""
    found = one.predict()
    if found.fits[0] or int(found.reason[0]) == reasons.RATE:
        return
    why = why_not(one, found)
    raise NoFeasibleAnswer(why["detail"], code=why["code"], least_count=why["least_count"], field="tp")


def _held(one: Asked, model: str, pool: PoolAsked, load: Workload, given: dict[str, Any]) -> Asked:
    """A row of chips follows from the requests that it holds at once: those of the load, shared by the replicas."""
    if load.concurrency is not None:
        share = ceil(load.concurrency / (pool.replicas or 1))
        return asked(model, pool.accelerator, replace(load, concurrency=share, prefix_tokens=0.0), **given)
    rate = load.request_rate / (pool.replicas or 1) if load.request_rate else None
    wide = asked(model, pool.accelerator, replace(load, request_rate=rate, prefix_tokens=0.0), **given)
    chips = {**given, "pp": wide.layout.pp}
    found = asked(model, pool.accelerator, one.load, **chips)
    found.notes.extend(wide.notes)
    return found


def _scheduler(pool: PoolAsked, asks: list[Asked], notes: list[str]) -> Scheduler:
    """The pool's, or that of its engine; settings alone change that of its engine."""
    first = asks[0]
    context = max(one.model.context_length for one in asks)
    usual = profile_for(first.platform)
    profile = pool.scheduler
    if profile is None or not profile.name:
        profile = read_profile(usual).changed(profile.settings if profile else {})
        engine = first.platform.engine.name
        if engine == "native":
            notes.append(f"{first.accelerator.id}: no scheduler of the vendor's stack is published: {usual} assumed")
    return profile.scheduler(context or None)


def _laws(
    deployment: Deployment, asks: list[list[Asked | None]], schedulers: list[Scheduler], longest: int
) -> list[list[StepLaw | None]]:
    wanted = [
        Wanted(one, s.max_sequences, s.step_tokens)
        for row, s in zip(asks, schedulers, strict=True) for one in row if one is not None
    ]  # fmt: skip
    with placed(deployment.file, {}, deployment.lines.get("pools")):
        found = iter(laws_of(wanted, longest))
    return [[None if one is None else next(found) for one in row] for row in asks]


def _pool(
    deployment: Deployment, index: int, asks: tuple[Asked | None, ...], scheduler: Scheduler,
    laws: tuple[StepLaw | None, ...], notes: list[str],
) -> Pool:  # fmt: skip
    pool = deployment.pools[index]
    name = name_of(pool, index, deployment.pools)
    hosted = [(one, law) for one, law in zip(asks, laws, strict=True) if one is not None and law is not None]
    first, law = hosted[0]
    most = min(law.max_sequences for _, law in hosted)
    if scheduler.max_sequences is not None and scheduler.max_sequences > most:
        why = f"not {scheduler.max_sequences}: no more fit, or are compiled"
        notes.append(f"{name}: {most} sequences in a step at most, {why}")
    replicas = _replicas(deployment, pool, first, law)
    adapters = None
    if pool.adapters is not None:
        adapters, laws = _adapters(pool, name, asks, laws, notes)
    load_s = pool.model_load_s or 0.0
    if pool.model_load_s is None and len(hosted) > 1:
        load_s = max(law.weight_bytes / law.host_bytes_per_s for _, law in hosted) + WAKE_S
        spent = f"{load_s:.3g} s with {WAKE_S:g} s to wake up"
        notes.append(f"{name}: another model's weights come over the host link, {spent}")
    if pool.scaling is not None and "scaling" in pool.lines:
        notes.append(f"{name}: a replica takes {pool.scaling.startup_s:g} s to start")
    return Pool(
        laws=laws, scheduler=scheduler, replicas=replicas, role=pool.role, name=name, accelerator=first.accelerator.id,
        tier=pool.tier, adapters=adapters, scaling=pool.scaling, model_load_s=load_s, patience_s=pool.patience_s,
        usd_per_hour=_price(pool, first),
    )  # fmt: skip


def _price(pool: PoolAsked, first: Asked) -> float | None:
    """USD per accelerator-hour: as given, else the catalogue's, None where it knows none."""
    part = first.platform.device
    money = economics(
        part.id, part.architectural_class, part.node, price=pool.usd_per_hour, cluster=first.accelerator.cluster
    )
    return money.usd_per_hour


def _replicas(deployment: Deployment, pool: PoolAsked, first: Asked, law: StepLaw) -> int:
    """So many as are given; experts that ranks share need whole groups of them."""
    group = first.layout.dp
    many = pool.replicas or (pool.scaling.least if pool.scaling else group)
    if pool.count is not None:
        many = group
    elif many % group or (pool.scaling and group > 1):
        raise BadInput(
            f"{many} replicas, where {group} share their experts", field="replicas",
            allowed=f"a multiple of ep/tp, here {group}, without scaling", file=deployment.file,
            line=pool.lines.get("replicas", pool.line),
        )  # fmt: skip
    cluster = first.accelerator.cluster
    most = max(many, pool.scaling.most if pool.scaling else 0) * law.accelerators
    if cluster is not None and most > cluster.count:
        raise BadInput(
            f"{most} accelerators are more than cluster {cluster.id} has", field="replicas",
            allowed=f"up to {cluster.count}", file=deployment.file, line=pool.lines.get("replicas", pool.line),
        )  # fmt: skip
    return many


def _adapters(
    pool: PoolAsked,
    name: str,
    asks: tuple[Asked | None, ...],
    laws: tuple[StepLaw | None, ...],
    notes: list[str],
) -> tuple[Adapters, tuple[StepLaw | None, ...]]:
    """Loading over one accelerator's host link, reading at the rate of its memory; slots take room from the cache."""
    given = pool.adapters
    assert given is not None
    size = max(adapter_bytes(one.model, given.rank) for one in asks if one is not None)
    one, law = next((one, law) for one, law in zip(asks, laws, strict=True) if one is not None and law is not None)
    rate = (one.platform.device.memory.bytes_per_s or 0.0) * one.platform.coefficients.memory_efficiency
    load = size / (law.host_bytes_per_s / law.accelerators) if given.load_s is None else given.load_s
    step = size / (rate * law.accelerators) if given.step_s is None else given.step_s
    notes.append(
        f"{name}: an adapter of rank {given.rank} is {size / 1e6:.3g} MB, loads in {load * 1e3:.3g} ms and adds "
        f"{step * 1e6:.3g} µs to a step"
    )
    room = tuple(law and replace(law, blocks=law.blocks - ceil(given.slots * size / law.block_bytes)) for law in laws)
    if any(law is not None and law.blocks < 1 for law in room):
        message = f"{given.slots} adapters of {size / 1e6:.3g} MB leave no room for a cache"
        raise BadInput(message, field="adapters.slots", allowed="fewer slots, or a smaller rank")
    return Adapters(given.slots, load, step), room
