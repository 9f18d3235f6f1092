"""The main job: model + workload + target -> ranked deployments, and why not the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.advisor.judge import Budget, probability, statistic, within
from inferatlas.decide.advisor.launch import command
from inferatlas.decide.advisor.rank import OBJECTIVES, best_of_each, pareto
from inferatlas.decide.advisor.search import Designs, Limits, Rejected, evaluate
from inferatlas.decide.advisor.sensitivity import Flip, flips
from inferatlas.decide.advisor.why_not import explain
from inferatlas.decide.coverage import coverage
from inferatlas.errors import BadInput, UnknownName
from inferatlas.predict.answer import DEFINITIONS, Interval
from inferatlas.predict.cost.economics import Economics
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.precision import FORMATS
from inferatlas.predict.loads import check_load, load_of
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.question import memory_words
from inferatlas.predict.replicas import Layout, layout_notes
from inferatlas.workload import ServiceTarget, Workload, parse_targets

if TYPE_CHECKING:
    from inferatlas.decide.advisor.simulated import Simulated


@dataclass(frozen=True)
class Candidate:
    """A deployment that meets the targets, with everything needed to judge it."""

    rank: int
    accelerator: str
    name: str
    vendor: str
    count: int
    layout: dict[str, int]
    weights: str
    activations: str
    kv_cache: str
    engine: str
    metrics: dict[str, Interval | None]
    p_meets_target: float
    targets: list[dict[str, Any]]  # each target: its text, the interval of its statistic, its own probability
    bound: str
    batch: float
    memory: dict[str, float]
    usd_per_hour: float | None
    economics: Economics
    label: str
    pareto: bool
    command: str | None
    fallbacks: list[str]
    simulated: Simulated | None = None


@dataclass(frozen=True)
class Recommendation:
    """Ranked candidates, rejected accelerators with reasons, the Pareto set and what flips the winner."""

    inputs: dict[str, Any]
    candidates: list[Candidate]
    ranked_lower: list[str]  # accelerators that qualify too, but rank below the candidates shown
    rejected: list[Rejected]
    pareto: list[dict[str, Any]]
    flips: list[Flip]
    searched: int
    wall_s: float
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas recommend --format json``."""
        out = asdict(self)
        out["rejected"] = [
            {"accelerator": r.accelerator, "reason": {"code": r.code, "detail": r.detail, "least_count": r.least_count}}
            for r in self.rejected
        ]
        return out | {"definitions": DEFINITIONS, "interval": 0.8}


def recommend(
    model: str, *, workload: str | None = None, isl: int | None = None, osl: int | None = None,
    concurrency: int | None = None, request_rate: float | None = None, slo: str | Sequence[str] = (),
    objective: str = "cost", accelerators: str | Sequence[str] | None = None,
    vendors: str | Sequence[str] | None = None, engine: str | None = None,
    weights: str | Sequence[str] | None = None, kv_cache: str | None = None,
    max_count: int = 64, max_usd_per_hour: float | None = None, max_power_w: float | None = None,
    min_probability: float = 0.8, top: int = 10, price: float | None = None, region: str = "USA", site: str = "AWS",
    utilisation: float = 1.0, simulate: bool = False, seed: int = 0,
) -> Recommendation:  # fmt: skip
    """Search every accelerator, precision and layout and rank what meets the targets.

    Parameters
    ----------
    model : catalogue name or path. workload, isl, osl, concurrency, request_rate : `workload.make_workload`.
    slo : targets such as ``"ttft:p95<500ms"``; all must be met with ``min_probability``, which counts our own
        uncertainty: 0.8 by default, so that the intervals shown mean what is recommended.
    objective : one of `rank.OBJECTIVES`. Designs whose metric is unknown (no price) come last.
    accelerators, vendors, engine, weights, kv_cache, max_count : limits of the search.
    max_usd_per_hour, max_power_w : budget of the whole deployment. top : candidates returned (0: all).
    simulate : the candidates are simulated request by request, with ``seed``; those whose simulated percentiles keep
        the targets come first.

    Raises
    ------
    BadInput, UnknownName, NotModelled. No candidate is not an error here: ``candidates`` is empty.

    Examples
    --------
    >>> found = recommend("llama-3.1-8b", isl=1024, osl=256, concurrency=8, accelerators=("h100", "l4"), max_count=2)
    >>> found.candidates[0].accelerator
    'nvidia-h100-sxm'
    """
    started = time.perf_counter()
    if objective not in OBJECTIVES:
        raise UnknownName("objective", objective, OBJECTIVES)
    _check_numbers(max_usd_per_hour, max_power_w, min_probability, top)
    limits = Limits(accelerators, vendors, engine, weights, kv_cache, max_count, price, region, site, utilisation)
    targets = parse_targets(slo)
    config = load_model(model)
    operators(config)  # a model without performance model is refused before anything else is said about it
    load = load_of(config, workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate)
    check_load(config, load)
    if load.output_tokens <= 1 and any(target.metric == "itl" for target in targets):
        raise BadInput("with one output token there is no inter-token latency", field="slo", allowed="ttft or latency")
    designs = evaluate(config, load, limits)
    budget = Budget(max_usd_per_hour, max_power_w)
    inside = within(designs, budget)
    likely = probability(designs, targets)
    keep = designs.predictions.fits & (likely >= min_probability) & inside
    ranked = best_of_each(designs, keep, objective)
    front = pareto(designs, keep)
    kept = {designs.platform(i).device.id for i in ranked}
    chosen = ranked[:top] if top else ranked
    notes = _notes(designs, ranked, objective)
    seen: dict[int, Simulated] = {}
    if simulate:
        from inferatlas.decide.advisor.simulated import reranked

        chosen, seen, more = reranked(designs, chosen, targets, min_probability, seed)
        notes += more
    return Recommendation(
        inputs={
            "model": config.id,
            "workload": asdict(load),
            "slo": [target.text() for target in targets],
            "objective": objective,
            "limits": asdict(limits) | asdict(budget) | {"min_probability": min_probability},
        },
        candidates=[
            _candidate(designs, targets, float(likely[i]), i, rank, i in front, seen.get(i))
            for rank, i in enumerate(chosen, 1)
        ],
        ranked_lower=[designs.platform(i).device.id for i in ranked[len(chosen) :]],
        rejected=explain(designs, targets, budget, kept, min_probability),
        pareto=[_compact(designs, i) for i in front],
        flips=flips(designs, targets, budget, objective, ranked, min_probability),
        searched=len(designs),
        wall_s=time.perf_counter() - started,
        notes=notes,
    )


def _check_numbers(usd: float | None, watts: float | None, likely: float, top: int) -> None:
    for name, value in (("max_usd_per_hour", usd), ("max_power_w", watts)):
        if value is not None and not 0 < value < float("inf"):
            raise BadInput(f"{value!r} is not a budget", field=name, allowed="a number above 0")
    if not 0 <= likely < 1:
        raise BadInput(
            f"{likely!r} is not a probability", field="min_probability", allowed="from 0 up to, not including, 1"
        )
    if top < 0:
        raise BadInput(f"{top} candidates", field="top", allowed="0 (all) or more")


def _notes(designs: Designs, ranked: list[int], objective: str) -> list[str]:
    labelled = [(designs.platform(i).device.id, designs.platform(i).label) for i in ranked]
    notes = [f"{coverage(labelled)}; intervals are 80 %"] if ranked else []
    metric = designs.metrics[OBJECTIVES[objective][0]].value
    unknown = sorted({designs.platform(i).device.id for i in ranked if np.isnan(metric[i])})
    if unknown:
        what = "price" if objective == "cost" else "power"
        notes.append(f"no {what} with a source is known for {', '.join(unknown)}: ranked last")
    notes += stands_for(designs.model)
    if designs.ops.experts:
        notes.append("tokens are assumed to be routed uniformly over the experts")
    return notes


def _candidate(
    designs: Designs, targets: tuple[ServiceTarget, ...], likely: float, i: int, rank: int, on_front: bool,
    seen: Simulated | None = None,
) -> Candidate:  # fmt: skip
    platform, points = designs.platform(i), designs.points[np.array([i])]
    layout = {name: int(getattr(points, name)[0]) for name in ("tp", "pp", "ep", "dp")}
    budget = budget_of(designs.ops, designs.table, points)
    money = designs.economics[int(points.platform[0])]
    count = int(points.accelerators[0])
    return Candidate(
        rank=rank,
        accelerator=platform.device.id,
        name=platform.device.name,
        vendor=platform.device.vendor,
        count=count,
        layout=layout,
        weights=platform.precision.weights,
        activations=platform.precision.activations,
        kv_cache=platform.precision.kv_cache,
        engine=platform.engine.name,
        metrics=metrics_of(designs, i),
        p_meets_target=likely,
        targets=[_judged(designs, target, i) for target in targets],
        bound=BOUNDS[int(designs.predictions.bound[i])],
        batch=float(designs.predictions.batch[i]),
        memory=memory_words(budget, designs.predictions[i : i + 1]),
        usd_per_hour=None if money.usd_per_hour is None else money.usd_per_hour * count,
        economics=money,
        label=platform.label,
        pareto=on_front,
        command=command(designs.model, platform, designs.workload, **layout),
        fallbacks=[
            *platform.notes,
            *layout_notes(platform, Layout(**layout)),
            *_quality(designs, platform.precision.weights),
        ],
        simulated=seen,
    )


def _judged(designs: Designs, target: ServiceTarget, i: int) -> dict[str, Any]:
    return {
        "target": target.text(),
        "metric": target.metric,
        "statistic": target.statistic,
        "bound": target.bound,
        "value": statistic(designs, target).at(i),
        "probability": float(probability(designs, (target,))[i]),
    }


def _quality(designs: Designs, weights: str) -> list[str]:
    """Narrower weights than the checkpoint's change a model's answers; that is not priced here."""
    checkpoint = designs.model.checkpoint_weights
    if FORMATS[weights].bits >= FORMATS[checkpoint].bits:
        return []
    return [
        f"{weights} weights are narrower than the checkpoint ({checkpoint}): the quality of answers is not modelled"
    ]


def metrics_of(designs: Designs, i: int) -> dict[str, Interval | None]:
    """Every metric of one design with its interval."""
    return {name: metric.at(i) for name, metric in designs.metrics.items()}


def _compact(designs: Designs, i: int) -> dict[str, Any]:
    platform, p = designs.platform(i), designs.points
    return {
        "accelerator": platform.device.id,
        "weights": platform.precision.weights,
        "count": int(p.accelerators[i]),
        "tp": int(p.tp[i]),
        "pp": int(p.pp[i]),
        "ep": int(p.ep[i]),
        "dp": int(p.dp[i]),
        **{name: _plain(metric.value[i]) for name, metric in designs.metrics.items()},
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


__all__ = ["Candidate", "Recommendation", "Workload", "recommend"]
