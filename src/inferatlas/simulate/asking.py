"""From a question to what the event loop runs: requests, a fleet, checks that they go together, and what was assumed.

In: a deployment (a file, or one pool from parameters named as those of `predict`) and traffic. Out: `Question`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput, UnknownName, called
from inferatlas.predict.question import Asked
from inferatlas.simulate.building import DAY_S, Built, build
from inferatlas.simulate.deployment import Deployment, PoolAsked, read_deployment
from inferatlas.simulate.fleet import ROUTERS, Fleet
from inferatlas.simulate.profiles import Profile, read_profile
from inferatlas.simulate.room import check_room
from inferatlas.simulate.sending import Sent, send
from inferatlas.simulate.traffic import Traffic
from inferatlas.workload.requests import Requests, check_context
from inferatlas.workload.targets import ServiceTarget, parse_targets
from inferatlas.workload.workload import Workload


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Ready for `running.run`: ``run(question.fleet, question.requests, seed=..., until_s=question.until_s)``.

    ``asked``: for each pool and model, None where it is not hosted. ``load``: the requests by their means. ``lines``:
    of the trace they were read from. ``label``: *extrapolated* where no calibration covers a part of it.
    """

    fleet: Fleet
    requests: Requests
    asked: tuple[tuple[Asked | None, ...], ...]
    notes: tuple[str, ...]
    label: str
    load: Workload
    targets: tuple[ServiceTarget, ...]
    seed: int
    until_s: float
    deployment: Deployment
    lines: NDArray[np.int64] | None = None

    def again(self, seed: int) -> Question:
        """The same question with other chance: other arrivals and lengths (not of a trace), other failures.

        Raises
        ------
        BadInput, NoFeasibleAnswer : as `prepare`.
        """
        return prepare(self.deployment, seed=seed, until_s=self.until_s)


def prepare(
    deployment: Deployment, traffic: Traffic | None = None, *, slo: tuple[str, ...] | None = None, seed: int = 0,
    until_s: float | None = None,
) -> Question:  # fmt: skip
    """Make requests and a fleet, and check that each of the requests can be served.

    Parameters
    ----------
    traffic : what is given beside the deployment's own, and wins.
    slo : instead of the deployment's targets. seed : of everything random. until_s : when to stop; None: at the end.

    Raises
    ------
    BadInput, UnknownName : with file and line where the wrong value was read from a file.
    NoFeasibleAnswer : a model does not fit, a request is larger than the cache of a pool.

    Examples
    --------
    >>> fleet = Deployment(("llama-3.1-8b",), (PoolAsked("h100", replicas=2),))
    >>> question = prepare(fleet, Traffic(isl=1024, osl=256, request_rate=4.0, requests=100))
    >>> len(question.requests), question.fleet.accelerators, question.label
    (100, 2, 'predicted')
    """
    if until_s is not None and not until_s > 0:
        raise BadInput(f"{until_s!r} seconds", field="until_s", allowed="above 0")
    deployment = replace(deployment, traffic=deployment.traffic.under(traffic or Traffic()))
    deployment = deployment if slo is None else replace(deployment, slo=slo)
    targets = parse_targets(deployment.slo)
    configs = tuple(load_model(model) for model in deployment.models)
    sent = send(deployment, configs, seed)
    requests = sent.requests
    for i, config in enumerate(configs):
        own = np.ones(len(requests), np.bool_) if requests.model is None else requests.model == i
        if own.any():
            some = _some(requests, own)
            lines = None if sent.lines is None else sent.lines[own]
            check_context(some, config, lines, file=sent.file)
    total = requests.input_tokens + requests.output_tokens
    horizon = until_s if until_s is not None else _horizon(requests)
    built = build(deployment, sent.load, int(total.max()), seed=seed, horizon_s=horizon)
    check_room(built.fleet, requests, sent.lines, file=sent.file)
    return Question(
        built.fleet, requests, built.asked, _notes(sent, built), _label(built, requests), sent.load, targets, seed,
        np.inf if until_s is None else float(until_s), deployment, sent.lines,
    )  # fmt: skip


def one_pool(
    model: str, accelerator: str, *, scheduler: str | Path | None = None, settings: dict[str, Any] | None = None,
    dp: int | None = None, **layout: Any,
) -> Deployment:  # fmt: skip
    """A deployment of one pool: ``dp`` replicas, or those that ``count`` accelerators make.

    Parameters
    ----------
    scheduler : a profile's name or file; None: that of the engine. settings : of the scheduler, which replace its own.
    layout : count, tp, pp, ep, cp, engine, weights, activations, kv_cache, speculate, as in `question.ask`; tier,
        adapters, scaling, usd_per_hour as in `PoolAsked`.
    """
    profile = read_profile(scheduler).changed(settings or {}) if scheduler else None
    if profile is None and settings:
        profile = Profile("", settings)
    with called("dp", "replicas"):
        return Deployment((model,), (PoolAsked(accelerator, replicas=dp, scheduler=profile, **layout),))


def question(
    model: str | None = None, accelerator: str | None = None, *, config: str | Path | None = None,
    count: int | None = None, tp: int | None = None, pp: int | None = None, ep: int | None = None,
    dp: int | None = None, cp: int | None = None, engine: str | None = None, weights: str | None = None,
    activations: str | None = None, kv_cache: str | None = None, speculate: str | None = None,
    scheduler: str | Path | None = None, settings: dict[str, Any] | None = None, router: str | None = None,
    usd_per_hour: float | None = None, slo: str | tuple[str, ...] | list[str] | None = None, seed: int = 0,
    until_s: float | None = None, **traffic: Any,
) -> Question:  # fmt: skip
    """A question from names, as commands and notebooks ask it.

    Parameters
    ----------
    model, accelerator : of one pool; or ``config``: a deployment's file, beside which nothing of a pool is given.
    count to speculate : as in `predict.question.ask`; ``dp``: replicas.
    usd_per_hour : of an accelerator; None: the catalogue's. scheduler, settings : see `one_pool`.
    router : one of `fleet.ROUTERS`.
    slo, seed, until_s : see `prepare`. traffic : fields of `Traffic`; without any the usual load, and a note.

    Raises
    ------
    BadInput, UnknownName, NoFeasibleAnswer : as `prepare`.

    Examples
    --------
    >>> question("llama-3.1-8b", "h100", concurrency=8, isl=512, osl=64, requests=50).requests.clients
    8
    """
    given = Traffic(**traffic)
    pool: dict[str, Any] = {
        "count": count, "tp": tp, "pp": pp, "ep": ep, "cp": cp, "engine": engine, "weights": weights,
        "activations": activations, "kv_cache": kv_cache, "speculate": speculate, "usd_per_hour": usd_per_hour,
    }  # fmt: skip
    if config is not None:
        both = {
            "model": model,
            "accelerator": accelerator,
            "dp": dp,
            "scheduler": scheduler,
            "settings": settings,
        } | pool
        beside = [name for name, value in both.items() if value is not None]
        if beside:
            raise BadInput("the deployment's file says this", field=beside[0], allowed="in the file, or without one")
        deployment = read_deployment(config)
    elif model is None or accelerator is None:
        missing = "model" if model is None else "accelerator"
        raise BadInput("is missing", field=missing, allowed="a model and an accelerator, or a deployment's file")
    else:
        deployment = one_pool(model, accelerator, scheduler=scheduler, settings=settings, dp=dp, **pool)
    if router is not None:
        if router not in ROUTERS:
            raise UnknownName("router", router, ROUTERS)
        deployment = replace(deployment, router=router)
    targets = None if slo is None else (slo,) if isinstance(slo, str) else tuple(slo)
    return prepare(deployment, given, slo=targets, seed=seed, until_s=until_s)


def _some(requests: Requests, own: NDArray[np.bool_]) -> Requests:
    """The lengths of some of them, without what ties requests together."""
    return Requests(
        requests.name, np.zeros(int(own.sum())), requests.input_tokens[own], requests.output_tokens[own]
    )  # fmt: skip


def _horizon(requests: Requests) -> float:
    """Seconds for which failures are drawn: twice as long as requests come, at least a day."""
    return max(2.0 * float(np.max(requests.arrival_s)), DAY_S)


def _notes(sent: Sent, built: Built) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*sent.requests.notes, *sent.notes, *built.notes)))


def _label(built: Built, requests: Requests) -> str:
    """No calibration has seen shared prefixes, two kinds of pools, adapters or several models."""
    pools = built.fleet.pools
    beyond = requests.chains is not None or built.fleet.link is not None or len(built.fleet.models) > 1
    beyond |= any(pool.adapters is not None or pool.tier is not None for pool in pools)
    labels = {one.label for row in built.asked for one in row if one is not None}
    return "extrapolated" if beyond or "extrapolated" in labels else "predicted"
