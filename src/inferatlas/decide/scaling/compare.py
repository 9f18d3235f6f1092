"""Scaling strategies side by side: one model on so many accelerators, spread in every way there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.advisor.rank import OBJECTIVES
from inferatlas.decide.coverage import coverage
from inferatlas.decide.scaling import expert_choice
from inferatlas.decide.scaling.placed import Placed, Setting, metrics_of, placed
from inferatlas.decide.scaling.strategies import STRATEGIES, Candidates, Strategy, candidates
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.cost.economics import economics
from inferatlas.predict.hardware.device import device
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.llm.placement import Routing, no_experts
from inferatlas.predict.loads import check_load, load_of
from inferatlas.predict.mapping import reasons
from inferatlas.predict.mapping.layouts import is_resident
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import Points, Predictions, make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.platforms import bind, checkpoint_format
from inferatlas.predict.question import beyond
from inferatlas.predict.replicas import MOST_ACCELERATORS, load_columns
from inferatlas.workload import Workload

PER_ACCELERATOR = 8  # requests in flight per accelerator, where no load is given
ON_CHIP = 64  # the same for a whole row of chips that holds the model in on-chip memory
LENGTHS = (1024, 256)  # of a request, where none are given: the study's prompt, and as in the regimes


@dataclass(frozen=True)
class Scaling:
    """Every strategy, best first; what does not fit last."""

    inputs: dict[str, Any]
    strategies: list[Placed]
    expert_choice: list[dict[str, Any]]
    searched: int
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas scale --format json``."""
        return asdict(self) | {"interval": 0.8}


def scale(
    model: str, accelerator: str, *, count: int, workload: str | None = None, isl: int | None = None,
    osl: int | None = None, concurrency: int | None = None, request_rate: float | None = None,
    objective: str = "throughput", engine: str | None = None, weights: str | None = None,
    kv_cache: str | None = None, routing: Routing | None = None, price: float | None = None,
) -> Scaling:  # fmt: skip
    """Compare tensor, pipeline, expert, data and context parallelism, offload and their hybrids on ``count`` devices.

    Parameters
    ----------
    model, accelerator : catalogue names or paths. count : accelerators in all, 1 to 1,024.
    workload, isl, osl, concurrency, request_rate : traffic; without any 1,024/256 tokens and 8 requests in flight
        per accelerator (64 on a row of chips with the model in on-chip memory).
    objective : what is best, one of `rank.OBJECTIVES`. routing : popularity and placement of experts.

    Raises
    ------
    BadInput, UnknownName, NotModelled, NoFeasibleAnswer (engine or format). Strategies that do not fit are answers.

    Examples
    --------
    >>> found = scale("llama-3.3-70b", "h100", count=8)
    >>> found.strategies[0].name, {s.name: s.fits for s in found.strategies}["data"]
    ('tensor', False)
    """
    if objective not in OBJECTIVES:
        raise UnknownName("objective", objective, OBJECTIVES)
    if not 1 <= count <= MOST_ACCELERATORS or count != int(count):
        raise BadInput(f"{count} accelerators", field="count", allowed=f"1 to {MOST_ACCELERATORS}")
    config, known = load_model(model), load_accelerator(accelerator)
    if known.cluster is not None and count > known.cluster.count:
        raise beyond(known.cluster, count)
    light = ON_CHIP if is_resident(device(known)) else PER_ACCELERATOR * count
    load = _traffic(config, workload, isl, osl, concurrency, request_rate, light)
    check_load(config, load)
    ops = operators(config)
    if routing not in (None, Routing()) and not ops.experts:
        raise no_experts(ops, routing)
    weights = weights or checkpoint_format(config, device(known))
    platform = bind(known, engine, weights, kv_cache=kv_cache, model=config)
    part = platform.device
    money = economics(part.id, part.architectural_class, part.node, price=price, cluster=known.cluster)
    setting = Setting(
        ops, platform, platform_table([platform], is_moe=bool(ops.experts)), load, money, routing or Routing(), count
    )
    tried = candidates(ops, part, count)
    points = _points(setting, tried)
    predictions = predict(ops, setting.table, points, routing=setting.routing)
    goal, smaller = OBJECTIVES[objective]
    value = metrics_of(setting, points, predictions)[goal].value * (1.0 if smaller else -1.0)
    chosen = {s.name: _best(s, tried, predictions, value) for s in STRATEGIES if _asked(s, ops)}
    asked = [s for s in STRATEGIES if s.name in chosen]
    found = [placed(setting, s, tried, points, predictions, chosen[s.name]) for s in asked]
    order = {one.name: (not one.fits, _key(value, chosen[one.name]), k) for k, one in enumerate(found)}
    found.sort(key=lambda one: order[one.name])
    return Scaling(
        inputs={
            "model": config.id, "accelerator": part.id, "count": count, "engine": platform.engine.name,
            "weights": platform.precision.weights, "kv_cache": platform.precision.kv_cache,
            "workload": asdict(load), "objective": objective, "routing": setting.routing.as_dict(),
            "domain": part.domain, "link_bytes_per_s": platform.network.bytes_per_s,
            "scale_out_bytes_per_s": platform.network.scale_out,
        },
        strategies=found,
        expert_choice=expert_choice.table(ops, platform, setting.table) if ops.experts else [],
        searched=len(tried),
        assumptions=_assumptions(setting, found),
    )  # fmt: skip


def _traffic(
    config: ModelConfig, workload: str | None, isl: int | None, osl: int | None, concurrency: int | None,
    rate: float | None, flying: int,
) -> Workload:  # fmt: skip
    if workload is None and isl is None and osl is None:
        isl, osl = LENGTHS if not config.embeds else (LENGTHS[0], 1)
    if concurrency is None and rate is None:
        concurrency = flying
    return load_of(config, workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=rate)


def _asked(strategy: Strategy, ops: Operators) -> bool:
    """Expert parallelism is no question of a dense model."""
    return bool(ops.experts) or "expert" not in strategy.name


def _points(setting: Setting, tried: Candidates) -> Points:
    return make_points(
        0, tp=tried.tp, pp=tried.pp, ep=tried.ep, dp=tried.dp, cp=tried.cp, offload=tried.offload,
        **load_columns(setting.load),
    )  # fmt: skip


def _best(strategy: Strategy, tried: Candidates, predictions: Predictions, value: np.ndarray) -> int | None:
    """The best layout of a strategy; if none fits, one that says why; None if there is none at all."""
    mine = np.flatnonzero(strategy.belongs(tried))
    if not mine.size:
        return None
    fits = mine[predictions.fits[mine]]
    if fits.size:
        return int(fits[np.argmin(np.nan_to_num(value[fits], nan=np.inf))])
    code = reasons.nearest(predictions.reason[mine])
    return int(min(mine[predictions.reason[mine] == code], key=lambda i: (-tried.offload[i], i)))


def _key(value: np.ndarray, i: int | None) -> float:
    return float("inf") if i is None or not np.isfinite(value[i]) else float(value[i])


def _assumptions(setting: Setting, placed: Sequence[Placed]) -> list[str]:
    load, routing = setting.load, setting.routing
    flying, rate = load.concurrency, load.request_rate
    words = f"{flying:,} requests in flight" if flying is not None else f"{rate:g} requests/s"
    out = [
        f"{load.input_tokens:,.0f} input and {load.output_tokens:,.0f} output tokens, {words} over the deployment",
        f"{setting.platform.precision.weights} weights, {setting.platform.engine.name}; the pure strategies use one "
        "kind of parallelism over all accelerators, the hybrids the best layout of their kind",
        "variation of latency is at fixed lengths of requests; theory, not calibrated by measurements of spread",
    ]  # fmt: skip
    if setting.ops.experts:
        out.append(
            "experts are chosen uniformly" if not routing.is_skewed
            else f"experts are chosen by a Zipf law of exponent {routing.exponent:g}, {routing.placement} placement, "
            f"{routing.redundant} spare copies a layer"
        )  # fmt: skip
    out += stands_for(setting.ops.model)
    out.append(coverage((one.name, one.label) for one in placed if one.label))
    return out
