"""The highest load of a question: requests per second, or requests in flight, that keep its targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.simulate.answering import doubts
from inferatlas.simulate.asking import Question
from inferatlas.simulate.capacity import SUSTAINED, Capacity, Tried, find_capacity
from inferatlas.simulate.fleet import Fleet
from inferatlas.simulate.law import StepLaw
from inferatlas.simulate.outcome import meets, outcome
from inferatlas.simulate.running import run
from inferatlas.simulate.sending import send
from inferatlas.workload.requests import Requests

MOST_REQUESTS = 4000  # of one load that is tried: a 99th percentile over 40 of them


def capacity(question: Question, told: Callable[[Tried], None] | None = None) -> Capacity:
    """The highest load that keeps every target of the question, with its 80 % interval.

    Of an open loop the rate is sought, of a trace the speed (given as its rate), of a closed loop the clients.

    Raises
    ------
    BadInput : no targets.

    Examples
    --------
    >>> from inferatlas.simulate.asking import question
    >>> asked = question("llama-3.1-8b", "h100", isl=1024, osl=256, request_rate=6.0, requests=1000, seed=1,
    ...                  slo=("itl:p99<20ms",))
    >>> found = capacity(asked)
    >>> found.low < found.rate < found.high, found.missed
    (True, ('itl:p99<20ms',))
    """
    if not question.targets:
        raise BadInput("without targets there is no limit to find", field="slo", allowed='"ttft:p95<500ms"')
    closed = question.requests.clients is not None
    made = _made(question)

    def trial(load: float, stretch: float) -> Tried:
        requests = made(load)
        fleet = question.fleet if stretch == 1.0 else stretched(question.fleet, stretch)
        found = outcome(run(fleet, requests, seed=question.seed, until_s=question.until_s), fleet, requests,
                        question.targets)  # fmt: skip
        verdicts = meets(found, question.targets)
        missed = tuple(one["slo"] for one in verdicts if not one["met"])
        tried = Tried(load, {one["slo"]: one["value"] for one in verdicts},
                      (SUSTAINED, *missed) if found.saturated else missed)  # fmt: skip
        if told is not None:
            told(tried)
        return tried

    widths = doubts(question)
    # steps are as uncertain as ITL; TTFT is more so, for what happens before the scheduler, which limits no load
    sigma = widths.get("itl_s", widths.get("ttft_s", 0.0))
    unit = "requests in flight" if closed else "requests/s"
    return find_capacity(trial, _guess(question), sigma, unit=unit, whole=closed)


def how_many(question: Question) -> str:
    """In words, the requests of one load of the search: fewer than were asked for where those are many."""
    count = min(len(question.requests), MOST_REQUESTS)
    least = "at least " if question.requests.clients is not None else ""
    return f"{least}{count:,} requests at each load that was tried"


def _made(question: Question) -> Callable[[float], Requests]:
    """Requests of a load, with the same chance for every load."""
    deployment, requests = question.deployment, question.requests
    count = min(len(requests), MOST_REQUESTS)
    if deployment.traffic.trace is not None:
        head = requests.head(count)
        rate = head.offered_rate or 1.0

        def faster(load: float) -> Requests:
            scaled = head.arrival_s if head.previous is None else np.where(head.previous < 0, head.arrival_s, np.nan)
            return replace(head, arrival_s=np.where(np.isnan(scaled), head.arrival_s, scaled * (rate / load)))

        return faster
    configs = tuple(load_model(model) for model in deployment.models)

    def at(load: float) -> Requests:
        closed = requests.clients is not None
        traffic = replace(
            deployment.traffic, request_rate=None if closed else load, concurrency=int(load) if closed else None,
            requests=max(count, 20 * int(load)) if closed else count,
        )  # fmt: skip
        return send(replace(deployment, traffic=traffic), configs, question.seed).requests

    return at


def stretched(fleet: Fleet, factor: float) -> Fleet:
    """The fleet with every step so many times as long."""

    def longer(law: StepLaw | None) -> StepLaw | None:
        if law is None:
            return None
        scale = np.array([factor, factor])
        grid = law.grid._replace(
            decode=law.grid.decode * scale, mixed=law.grid.mixed * scale, several=law.grid.several * scale
        )
        return replace(law, grid=grid)

    return replace(fleet, pools=tuple(replace(p, laws=tuple(longer(law) for law in p.laws)) for p in fleet.pools))


def _guess(question: Question) -> float:
    """Half of what the decoding replicas make with full batches."""
    load = question.load
    total = 0.0
    for pool in question.fleet.pools:
        law = pool.law
        if pool.role == "prefill":
            continue
        most = min(pool.scheduler.max_sequences or law.max_sequences, law.max_sequences, law.grid.decode.shape[0] - 1)
        held = (pool.scheduler.kv_blocks or law.blocks) * law.block_tokens / (load.input_tokens + load.output_tokens)
        batch = int(max(1, min(most, held)))
        seconds = float(np.interp(load.input_tokens, law.grid.context, law.grid.decode[batch, :, 0]))
        total += pool.replicas * law.lanes * batch / (seconds * max(load.output_tokens, 1.0))
    if question.requests.clients is not None:
        return float(question.requests.clients)
    return max(0.5 * total, 1e-3)
