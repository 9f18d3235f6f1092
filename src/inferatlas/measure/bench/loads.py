"""A point of load as requests and bodies: when each is sent, how long it is, what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Asks
from inferatlas.measure.bench.plan import Plan, Point, Prompts, requests_of
from inferatlas.measure.bench.prompts.conversing import Conversations, Recorded, conversations_of
from inferatlas.measure.bench.prompts.datasets import parse_dataset
from inferatlas.measure.bench.prompts.imitation import NAME as IMITATION
from inferatlas.measure.bench.prompts.imitation import NOTES as IMITATION_NOTES
from inferatlas.measure.bench.prompts.imitation import imitate_lmsys
from inferatlas.measure.bench.prompts.selecting import Selection, select
from inferatlas.measure.bench.prompts.synthetic import Synthetic
from inferatlas.measure.bench.setting import Setting
from inferatlas.workload import Workload, load_workload, make_requests
from inferatlas.workload.arrivals import arrival_times, piecewise
from inferatlas.workload.requests import Requests
from inferatlas.workload.seeds import random_stream
from inferatlas.workload.streams import replay
from inferatlas.workload.traces import read_trace
from inferatlas.workload.turns import conversations

USUAL_INPUT, USUAL_OUTPUT = 512, 128  # tokens, where nobody says how long requests are
RAMP_STEPS = 64  # a rate that rises is that many steps
MANY_SEEDS = 1_000_003  # a prime: seeds of points lie apart
FIRST_IMITATED = 1000
WARM_OUTPUT = 16  # tokens that a request before the run asks for, at most
ID_RANGE = (1000, 30_000)  # token ids: past the special ones, within the vocabulary of every current model


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What a point sends. ``conversations`` : of each request its conversation and turn; None without turns.
    ``about`` : for the record.
    """

    requests: Requests
    asks: Asks
    about: dict[str, Any]
    conversations: list[tuple[int, int]] | None = None


def load_of(plan: Plan, point: Point, setting: Setting) -> Loaded:
    """The requests of a point and their bodies, the same whenever it is asked.

    Raises
    ------
    BadInput : a data set, trace or workload that cannot be read; lengths that do not fit.
    """
    seed = plan.seed * MANY_SEEDS + _place(plan, point)
    form = replace(setting.form, seed=None)
    if plan.prompts.dataset is not None:
        said = recorded(plan, setting)
        requests = _of_conversations(plan, point, said)
        return Loaded(
            requests, Recorded(said, form), _about(requests) | {"dataset_sha256": said.sha256}, _turns(requests)
        )
    requests = _made(plan, point)
    live = requests.previous is not None
    asks = Synthetic(
        requests, form, seed=seed, counter=None if plan.prompts.token_ids else setting.words,
        overhead=setting.overhead, token_ids=ID_RANGE if plan.prompts.token_ids else None, live=live,
    )  # fmt: skip
    return Loaded(requests, asks, _about(requests), _turns(requests))


def warm_up(plan: Plan, loaded: Loaded, setting: Setting) -> Loaded | None:
    """Requests to send before a point, as long as its own and of other text."""
    many = plan.rules.warmup
    if not many:
        return None
    requests = loaded.requests
    typical = int(np.median(requests.input_tokens))
    outputs = int(min(np.median(requests.output_tokens), WARM_OUTPUT))
    clients = min(many, requests.clients or many)
    before = Requests("warm-up", np.zeros(many), np.full(many, typical), np.full(many, outputs), clients=clients)
    asks = Synthetic(
        before, setting.form, seed=plan.seed * MANY_SEEDS + MANY_SEEDS - 1, counter=setting.words,
        overhead=setting.overhead,
    )  # fmt: skip
    return Loaded(before, asks, {})


def _place(plan: Plan, point: Point) -> int:
    """A number for each point, so that none has the prompts of another, which a cache might hold."""
    return 1 + next((n for n, one in enumerate(plan.points) if one.name == point.name), len(plan.points))


# Synthetic prompts


def _made(plan: Plan, point: Point) -> Requests:
    prompts, seed = plan.prompts, plan.seed
    if point.kind == "trace":
        assert point.trace is not None
        trace = read_trace(point.trace, longest=prompts.longest)
        requests = replay(trace, speed=point.speed, seed=seed)
        return requests if point.requests is None else requests.head(point.requests)
    many = requests_of(point)
    load = _workload(plan, point)
    if prompts.turns is not None:
        return conversations(
            load, many, seed, turns=prompts.turns, think_s=prompts.think_s, longest=prompts.longest, **_arrival(point)
        )
    if point.kind == "closed":
        return make_requests(load, many, seed, think_s=prompts.think_s, longest=prompts.longest)
    requests = make_requests(
        load, many, seed, longest=prompts.longest, **(_arrival(point) if point.kind == "open" else {})
    )
    if point.kind == "offline":
        return replace(requests, arrival_s=np.zeros(many))
    if point.kind == "ramp":
        return replace(requests, arrival_s=_rising(point, many, seed))
    return requests


def _rising(point: Point, many: int, seed: int) -> NDArray[np.float64]:
    """Arrivals at a rate that rises, in steps, from the first to the last."""
    low, high = point.rates or (1.0, 1.0)
    span = point.duration_s or many / ((low + high) / 2)
    edges = np.arange(RAMP_STEPS) * span / RAMP_STEPS
    rates = low + (high - low) * (np.arange(RAMP_STEPS) + 0.5) / RAMP_STEPS
    return piecewise(many, random_stream(seed, "arrivals"), edges.tolist(), rates.tolist(), point.burstiness or 1.0)


def _arrival(point: Point) -> dict[str, Any]:
    shape = {} if point.burstiness is None else {"burstiness": point.burstiness}
    return {"arrival": point.arrival, **shape}


def _workload(plan: Plan, point: Point) -> Workload:
    """Lengths and load of synthetic requests; arrivals of a ramp and of an offline load are put in later."""
    prompts = plan.prompts
    isl, osl = point.isl or prompts.isl, point.osl or prompts.osl
    cvs = prompts.input_cv, prompts.output_cv
    name = "synthetic"
    if prompts.workload is not None:
        named = load_workload(prompts.workload)
        name, cvs = named.name, (prompts.input_cv or named.input_cv, prompts.output_cv or named.output_cv)
        isl, osl = isl or named.input_tokens, osl or named.output_tokens
    closed = point.kind == "closed"
    return Workload(
        name, isl or USUAL_INPUT, osl or USUAL_OUTPUT, *cvs, prefix_tokens=float(prompts.prefix_tokens),
        concurrency=point.concurrency if closed else None, request_rate=None if closed else point.request_rate or 1.0,
    )  # fmt: skip


# Conversations of a data set


def check_loads(plan: Plan) -> None:
    """Read the data set and the traces of a plan and make two requests of every load, before any server is asked.

    Raises
    ------
    BadInput : a file that is not there, or not what it should be, with the line; lengths or arrivals that cannot be.
    """
    if plan.prompts.dataset is not None:
        _selected(plan.prompts, plan.seed)
    if plan.prompts.workload is not None:
        load_workload(plan.prompts.workload)
    for trace in {one.trace for one in plan.points if one.trace is not None}:
        read_trace(trace, longest=plan.prompts.longest)
    for point in plan.points:
        if plan.prompts.dataset is None and point.kind != "trace":
            _made(plan, replace(point, requests=2))
        elif point.kind == "open":
            kind: Any = point.arrival
            shape = {} if point.burstiness is None else {"burstiness": point.burstiness}
            arrival_times(kind, 1, point.request_rate or 1.0, random_stream(0, "arrivals"), **shape)


def recorded(plan: Plan, setting: Setting) -> Conversations:
    """The conversations that a plan asks, with their lengths."""
    selection = _selected(plan.prompts, plan.seed)
    osl = None if plan.prompts.osl is None else round(plan.prompts.osl)
    return conversations_of(
        selection, setting.counter, api=plan.api, overhead=setting.overhead,
        turns="all" if plan.prompts.all_turns else "last", output_tokens=osl,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _selected(prompts: Prompts, seed: int) -> Selection:
    """The conversations of a data set, read once for all points."""
    assert prompts.dataset is not None
    choice: dict[str, Any] = {
        "first": prompts.first, "characters": prompts.characters, "filter_first": prompts.filter_first,
        "drop_last": prompts.force_reference or prompts.osl is None,
    }  # fmt: skip
    if prompts.dataset == "imitation":
        many = 2 * (prompts.first or FIRST_IMITATED)  # some are too short or too long
        found = select(imitate_lmsys(many, seed), IMITATION, **choice)
        return replace(found, notes=(*IMITATION_NOTES, *found.notes))
    data = parse_dataset(prompts.dataset)
    return select(data.read(), data.name, **choice)


def _of_conversations(plan: Plan, point: Point, said: Conversations) -> Requests:
    many = point.requests
    if many is None:
        many = len(said) if point.duration_s is None else max(requests_of(point), len(said))
    if point.kind == "closed":
        requests = said.requests(many, plan.seed, concurrency=point.concurrency)
    elif point.kind == "offline":
        requests = said.requests(many, plan.seed, request_rate=1.0, arrival="constant")
        requests = replace(requests, arrival_s=np.zeros(len(requests)))
    elif point.kind == "open":
        requests = said.requests(many, plan.seed, request_rate=point.request_rate, **_arrival(point))
    elif point.kind == "ramp":
        requests = said.requests(many, plan.seed, request_rate=1.0)
        requests = replace(requests, arrival_s=_rising(point, many, plan.seed), previous=None)
    else:
        raise BadInput("a trace has its own lengths", field="trace", allowed="a trace, or a data set")
    return requests


def _turns(requests: Requests) -> list[tuple[int, int]] | None:
    """Of each request the conversation, counted from 0, and the turn in it."""
    if requests.previous is None:
        return None
    found: list[tuple[int, int]] = []
    begun = 0
    for before in requests.previous.tolist():
        if before < 0:
            found.append((begun, 0))
            begun += 1
        else:
            conversation, turn = found[before]
            found.append((conversation, turn + 1))
    return found


def _about(requests: Requests) -> dict[str, Any]:
    """Of what was asked: for the record."""
    return {
        "name": requests.name, "requests": len(requests), "input_tokens": float(requests.input_tokens.mean()),
        "output_tokens": float(requests.output_tokens.mean()), "offered_per_s": requests.offered_rate,
    }  # fmt: skip
