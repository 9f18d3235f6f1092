"""Requests of a deployment's traffic: a workload, conversations or a trace, spread over its models and adapters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.model import ModelConfig
from inferatlas.errors import BadInput
from inferatlas.predict.loads import check_kind, usual_load
from inferatlas.simulate.deployment import Deployment
from inferatlas.simulate.traffic import OF_TRACE, Traffic, shape_of
from inferatlas.simulate.values import placed
from inferatlas.workload.conversation_files import read_conversations
from inferatlas.workload.lengths import Lengths
from inferatlas.workload.making import make_workload
from inferatlas.workload.requests import Requests
from inferatlas.workload.streams import assign, make_requests, replay
from inferatlas.workload.traces import Trace, read_trace
from inferatlas.workload.turns import conversations
from inferatlas.workload.workload import Workload

REQUESTS = 1000  # where no number is given
ZIPF = 1.0  # popularity of adapters: the i-th is asked for in proportion to 1/i (as many services, a power law)


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """Requests, the same by their means, and the file and lines of the trace that they come from."""

    requests: Requests
    load: Workload
    notes: tuple[str, ...] = ()
    file: str | None = None
    lines: NDArray[np.int64] | None = None


def send(deployment: Deployment, configs: tuple[ModelConfig, ...], seed: int) -> Sent:
    """Make the requests of a deployment.

    Raises
    ------
    BadInput, UnknownName : traffic that contradicts itself, or that a model cannot serve; with file and line.
    """
    traffic = deployment.traffic
    with placed(traffic.file, traffic.lines, deployment.lines.get("workload")):
        made = _replayed(traffic, seed) if traffic.trace is not None else _made(traffic, configs, seed)
        for config in configs:
            check_kind(config, made.load)
        requests, notes = _models(made.requests, deployment, seed)
        requests, more = _adapters(requests, deployment, seed)
    return replace(made, requests=requests, notes=(*made.notes, *notes, *more))


def _replayed(traffic: Traffic, seed: int) -> Sent:
    for name in OF_TRACE:
        if getattr(traffic, name) is not None:
            raise BadInput("a trace says this itself", field=name, allowed="speed, requests and longest beside it")
    assert traffic.trace is not None
    trace = read_trace(traffic.trace, longest=traffic.longest)
    _check_order(trace, traffic.trace)
    requests = replay(trace, speed=1.0 if traffic.speed is None else traffic.speed, seed=seed)
    lines = trace.lines
    if traffic.requests is not None:
        _whole(traffic.requests)
        requests = requests.head(traffic.requests)
        lines = None if lines is None else lines[: len(requests)]
    return Sent(requests, _load(trace, requests), (), str(traffic.trace), lines)


def _check_order(trace: Trace, file: str) -> None:
    """Refuse rows that go back in time: a trace that was put together wrongly would be replayed as something else."""
    if trace.lines is None:
        return
    in_time = np.argsort(trace.lines)  # place in time of each row, in the order of the file
    back = np.flatnonzero(in_time < np.maximum.accumulate(in_time))
    if back.size:
        raise BadInput(
            "comes before a row above it", field="trace", allowed="rows in the order of their times", file=file,
            line=int(np.sort(trace.lines)[back[0]]), hint="sort the file by its time first",
        )  # fmt: skip


def _load(trace: Trace, requests: Requests) -> Workload:
    """The requests that are left of a trace, by their means."""
    inputs, outputs = requests.input_tokens, requests.output_tokens
    return Workload(
        trace.name, float(inputs.mean()), float(outputs.mean()), float(inputs.std() / inputs.mean()),
        float(outputs.std() / outputs.mean()), request_rate=requests.offered_rate or trace.rate,
    )  # fmt: skip


def _made(traffic: Traffic, configs: tuple[ModelConfig, ...], seed: int) -> Sent:
    if traffic.speed is not None:
        raise BadInput("there is no trace to replay", field="speed", allowed="with a trace")
    pairs = _pairs(traffic)
    load, notes = _workload(traffic, configs[0]) if pairs is None else (_drawn(traffic, pairs), list(pairs.notes))
    many = REQUESTS if traffic.requests is None else _whole(traffic.requests)
    if traffic.requests is None:
        notes.append(f"{many:,} requests")
    arrival: Any = traffic.arrival or "poisson"
    shape: dict[str, Any] = dict(shape_of(traffic))
    if traffic.turns is None:
        if traffic.fixed_turns is not None:
            raise BadInput("there are no conversations", field="fixed_turns", allowed="with turns")
        requests = make_requests(
            load, many, seed, arrival=arrival, think_s=traffic.think_s or 0.0, longest=traffic.longest, lengths=pairs,
            **shape,
        )  # fmt: skip
    else:
        requests = conversations(
            load, many, seed, turns=traffic.turns, think_s=traffic.think_s or 0.0,
            fixed_turns=bool(traffic.fixed_turns), longest=traffic.longest, arrival=arrival, **shape,
        )  # fmt: skip
        inputs = requests.input_tokens
        load = replace(load, input_tokens=float(inputs.mean()), input_cv=float(inputs.std() / inputs.mean()))
    return Sent(requests, load, tuple(notes))


def _pairs(traffic: Traffic) -> Lengths | Trace | None:
    """Pairs of lengths to draw from, where a file of them was given."""
    if traffic.dataset is None:
        if traffic.characters_per_token is not None:
            raise BadInput("there is no dataset", field="characters_per_token", allowed="with a dataset")
        return None
    for name in ("workload", "isl", "osl", "input_cv", "output_cv", "prefix_tokens", "turns", "fixed_turns"):
        if getattr(traffic, name) is not None:
            raise BadInput("a dataset says this itself", field=name, allowed="a rate or a concurrency beside it")
    if traffic.characters_per_token is None:
        return read_trace(traffic.dataset, longest=traffic.longest)
    return read_conversations(traffic.dataset, characters_per_token=traffic.characters_per_token)


def _drawn(traffic: Traffic, pairs: Lengths | Trace) -> Workload:
    """The pairs by their means, under the load that was given."""
    lengths = Lengths(pairs.name, pairs.input_tokens, pairs.output_tokens, pairs.notes)
    if traffic.concurrency is None and traffic.request_rate is None:
        allowed = "exactly one of concurrency and request rate"
        raise BadInput("a dataset says how long requests are, not how many", field="concurrency", allowed=allowed)
    return lengths.workload(concurrency=traffic.concurrency, request_rate=traffic.request_rate)


def _workload(traffic: Traffic, config: ModelConfig) -> tuple[Workload, list[str]]:
    """As given; where no lengths are, the usual ones of `predict.loads`."""
    lengths = {"isl": traffic.isl, "osl": traffic.osl}
    flying = {"concurrency": traffic.concurrency, "request_rate": traffic.request_rate}
    more = {name: getattr(traffic, name) for name in ("input_cv", "output_cv", "prefix_tokens")}
    if config.embeds and traffic.osl is None and traffic.workload is None:
        lengths["osl"] = 1
    complete = None not in lengths.values() and any(value is not None for value in flying.values())
    if traffic.workload is not None or complete:
        return make_workload(traffic.workload, **lengths, **flying, **more), []
    usual, notes = usual_load(config, **lengths, **flying)
    return replace(usual, **{name: value for name, value in more.items() if value is not None}), notes


def _models(requests: Requests, deployment: Deployment, seed: int) -> tuple[Requests, list[str]]:
    """Tag requests with the fleet's models: those that a trace names, else by shares."""
    models, shares = deployment.models, deployment.traffic.shares
    asked_for = requests.models
    if shares is not None and len(shares) != len(models):
        message = f"{len(shares)} shares for {len(models)} model{'s' if len(models) > 1 else ''}"
        raise BadInput(message, field="shares", allowed="one for each")
    if len(models) == 1:
        if not asked_for:
            return requests, []
        note = f"the trace asks for {', '.join(asked_for)}: all of it is sent to {models[0]}"
        return replace(requests, model=None, models=()), [note]
    if requests.model is not None and set(asked_for) <= set(models):
        place = np.array([models.index(name) for name in asked_for], np.int32)
        return replace(requests, model=place[requests.model], models=models), []
    notes = [] if shares else [f"models are asked for in equal shares: {', '.join(models)}"]
    if asked_for:
        notes.append(f"the trace asks for {', '.join(asked_for)}, which are not the fleet's: spread by shares")
    equal = shares or tuple(1.0 / len(models) for _ in models)
    return assign(replace(requests, model=None, models=()), models, equal, seed), notes


def _adapters(requests: Requests, deployment: Deployment, seed: int) -> tuple[Requests, list[str]]:
    traffic, pools = deployment.traffic, deployment.pools
    given = [pool.adapters for pool in pools if pool.adapters is not None]
    if not given:
        for name in ("adapter_share", "adapter_zipf"):
            if getattr(traffic, name) is not None:
                raise BadInput("no pool has adapters", field=name, allowed="with adapters of a pool")
        return requests, []
    if len(given) < len(pools):
        raise BadInput("some pools have adapters and some have none", field="adapters", allowed="all, or none")
    many = max(one.count for one in given)
    zipf = ZIPF if traffic.adapter_zipf is None else traffic.adapter_zipf
    share = 1.0 if traffic.adapter_share is None else traffic.adapter_share
    if not 0 <= share <= 1:
        raise BadInput(f"{share!r} of the requests", field="adapter_share", allowed="0 to 1")
    weight = np.arange(1, many + 1) ** -float(zipf)
    parts = weight / weight.sum() * share
    names = tuple(f"adapter {i}" for i in range(1, many + 1))
    note = f"{share:.0%} of requests use one of {many} adapters, the i-th in proportion to i^-{zipf:g}"
    return assign(requests, names, parts.tolist(), seed, "adapter"), [note]


def _whole(count: int) -> int:
    if isinstance(count, bool) or count != int(count) or count < 1:
        raise BadInput(f"{count!r} requests", field="requests", allowed="a whole number of at least 1")
    return int(count)
