"""From a trace to a decision: regimes, primary constraint, architecture class, layout, software, failure signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.models import load_model, stands_for
from inferatlas.decide.advisor.launch import command
from inferatlas.decide.advisor.recommend import metrics_of
from inferatlas.decide.advisor.search import Designs, Limits, evaluate
from inferatlas.decide.profiles import signatures
from inferatlas.decide.profiles.experiments import experiments
from inferatlas.decide.profiles.mix import KINDS, LOADS, pace, regime_shares, servable
from inferatlas.decide.profiles.smallest import native, smallest
from inferatlas.decide.profiles.suits import classes, mixed_scores
from inferatlas.decide.regimes.cells import software
from inferatlas.decide.regimes.fitness import fitness
from inferatlas.decide.regimes.result import Fitness
from inferatlas.decide.scaling import support
from inferatlas.decide.scaling.strategies import STRATEGIES
from inferatlas.errors import BadInput
from inferatlas.predict.answer import Interval
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.under_load import spending, under_load
from inferatlas.predict.performance.variance import variance
from inferatlas.predict.replicas import Layout, layout_notes
from inferatlas.workload import ServiceTarget, Workload, parse_targets
from inferatlas.workload.traces import Trace, interarrival_cv, read_trace, trace_workload

VARIES = 0.10  # CoV of latency from which variance is named as the constraint where a percentile is asked for


@dataclass(frozen=True)
class Deployment:
    """The smallest deployment of the accelerator looked at that serves the trace."""

    accelerator: str
    count: int
    layout: dict[str, int]
    weights: str
    engine: str
    metrics: dict[str, Interval | None]
    bound: str
    batch: float
    label: str
    command: str | None
    support: dict[str, Any]


@dataclass(frozen=True)
class Profile:
    """What a trace is, what limits it, and what follows."""

    inputs: dict[str, Any]
    trace: dict[str, Any]
    regimes: dict[str, float]
    constraint: str
    constraints: list[dict[str, Any]]
    architecture_classes: list[dict[str, Any]]
    deployment: Deployment
    software: dict[str, str]
    signatures: list[signatures.Signature]
    experiments: list[dict[str, str]]
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas profile --format json``."""
        return asdict(self) | {"interval": 0.8}


def profile(
    model: str, trace: str | Path, *, accelerator: str | None = None, slo: Sequence[str] = (),
    weights: tuple[str, ...] | None = None, engine: str | None = None, max_count: int = 64,
) -> Profile:  # fmt: skip
    """Profile a workload and follow the path from its regimes to a deployment.

    Parameters
    ----------
    trace : file of requests (`workload.traces.read_trace`). accelerator : the one to look at; without it, the best for
        the mix of regimes among all that can serve the trace.
    slo : targets; their TTFT and ITL also set the pace at which requests in flight are counted.
    weights, engine, max_count : limits of the search.

    Raises
    ------
    BadInput : a bad trace (file and line), target or name. NoFeasibleAnswer : nothing within the limits serves it.
    """
    config, targets = load_model(model), parse_targets(slo)
    read, longer = servable(read_trace(trace), config, trace)
    load = trace_workload(read)
    if load.output_tokens <= 1 and any(target.metric == "itl" for target in targets):
        raise BadInput("with one output token there is no inter-token latency", field="slo", allowed="ttft or latency")
    at_pace = pace(targets)
    shares = regime_shares(read, config, *at_pace)
    asked = (accelerator,) if accelerator else None
    designs = evaluate(config, load, Limits(asked, None, engine, weights, max_count=max_count))
    designs = designs if weights else native(designs)
    least = smallest(designs, targets)
    graded = fitness(model, regimes=[name for name in (*LOADS, *KINDS) if shares[name] > 0])
    mixed = mixed_scores(graded, shares)
    case = _Case(read, load, targets, designs, least, _chosen(least, mixed, designs))
    point, answer = case.point, predict(designs.ops, designs.table, case.point, checked=True)
    deployment = _deployment(case, answer)
    cov = float(variance(designs.ops, designs.table, point, answer).cov()[0])
    # a file of the user's own is found by what was typed, not by the name in it
    name = accelerator if accelerator and names.is_path(accelerator) else deployment.accelerator
    counts = {one: int(designs.points.accelerators[i]) for one, i in least.items()}
    return Profile(
        inputs={"model": config.id, "slo": [t.text() for t in targets], "trace": read.name, "workload": asdict(load)},
        trace=_stats(read, longer),
        regimes=shares,
        constraint=_primary(deployment.bound, targets, cov),
        constraints=_constraints(case, answer, cov),
        architecture_classes=classes(graded, mixed, shares, counts),
        deployment=deployment,
        software=software(load_accelerator(name), designs.platform(case.chosen)),
        signatures=[
            signatures.out_of_memory(read, designs.ops, designs.table, point, answer),
            signatures.variance_of_experts(designs.ops, designs.table, point, answer, cov),
            signatures.low_use(designs.ops, designs.table, point, answer),
        ],
        experiments=experiments(model, name, deployment, load, mixed, has_experts=bool(designs.ops.experts)),
        assumptions=_assumptions(case, at_pace, deployment, graded, longer),
    )


@dataclass(frozen=True)
class _Case:
    """The trace with its load and targets, the designs tried, the smallest of each accelerator, the one looked at."""

    read: Trace
    load: Workload
    targets: tuple[ServiceTarget, ...]
    designs: Designs
    least: dict[str, int]
    chosen: int

    @property
    def point(self) -> Points:
        return self.designs.points[self.chosen : self.chosen + 1]


def _chosen(least: dict[str, int], mixed: dict[str, float], designs: Designs) -> int:
    """The design to look at: of the accelerator with the best score over the mix that serves the trace."""
    best = max(least, key=lambda name: (mixed.get(name, 0.0), -designs.points.accelerators[least[name]]))
    return least[best]


def _deployment(case: _Case, answer: Predictions) -> Deployment:
    designs, point = case.designs, case.point
    platform = designs.platform(case.chosen)
    whole = {name: int(getattr(point, name)[0]) for name in ("tp", "pp", "ep", "dp")}
    return Deployment(
        accelerator=platform.device.id,
        count=int(point.accelerators[0]),
        layout=whole,
        weights=platform.precision.weights,
        engine=platform.engine.name,
        metrics=metrics_of(designs, case.chosen),
        bound=BOUNDS[int(answer.bound[0])],
        batch=float(answer.batch[0]),
        label=platform.label,
        command=command(designs.model, platform, case.load, **whole, longest=_longest(case.read)),
        support=support.of(platform, STRATEGIES[-1], Layout(**whole)),
    )


def _longest(read: Trace) -> int:
    """Tokens of the longest request."""
    return int((read.input_tokens + read.output_tokens).max())


def _stats(read: Trace, longer: int) -> dict[str, Any]:
    def quantiles(values: np.ndarray) -> dict[str, float]:
        return {"mean": float(values.mean())} | {
            f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 99)
        } | {"max": float(values.max())}  # fmt: skip

    return {
        "requests": len(read),
        "span_s": read.span_s,
        "request_rate": read.rate,
        "interarrival_cv": interarrival_cv(read),
        "arrival_step_s": read.step_s,
        "input_tokens": quantiles(read.input_tokens),
        "output_tokens": quantiles(read.output_tokens),
        "beyond_context": longer / (len(read) + longer),
        "format": read.format,
        "notes": list(read.notes),
    }


def _constraints(case: _Case, answer: Predictions, cov: float) -> list[dict[str, Any]]:
    """How much of the deployment looked at each resource takes, and on how many accelerators it binds."""
    designs, point = case.designs, case.point
    shares = spending(under_load(designs.ops, designs.table, point, answer), point)
    binds = [BOUNDS[int(designs.predictions.bound[i])] for i in case.least.values()]
    budget = budget_of(designs.ops, designs.table, point)
    held = float(budget.weights[0] + budget.kv_per_sequence[0] * answer.batch[0] + budget.activations[0])
    out = [
        {"name": name, "value": float(part[0]), "of": "the time of a request", "binds_on": binds.count(name)}
        for name, part in shares.items()
    ]
    out.append(
        {"name": "memory_capacity", "value": min((held + float(budget.reserve[0])) / float(budget.usable[0]), 1.0),
         "of": "the usable memory", "binds_on": binds.count("memory_capacity")}
    )  # fmt: skip
    out.append({"name": "latency_variance", "value": cov, "of": "the mean latency (CoV)", "binds_on": None})
    return [one | {"accelerators": len(binds)} for one in out]


def _primary(bound: str, targets: tuple[ServiceTarget, ...], cov: float) -> str:
    """What binds the deployment; variance where a percentile is asked for and latency varies that much."""
    if cov > VARIES and any(target.statistic not in ("mean", "p50") for target in targets):
        return "latency_variance"
    return bound


def _assumptions(
    case: _Case, at_pace: tuple[float, float], deployment: Deployment, graded: Fitness, longer: int
) -> list[str]:
    read, (ttft_s, itl_s) = case.read, at_pace
    model, platform = case.designs.model, case.designs.platform(case.chosen)
    ungraded = [one for one in graded.regimes if all(cell.score is None for cell in one.cells)]
    refused = (
        f"{longer:,} of {len(read) + longer:,} requests exceed the context of {model.id} ({model.context_length:,})"
    )
    return [
        *stands_for(model),
        *([f"{refused}: engines refuse them, and nothing here counts them"] if longer else []),
        f"requests in flight are counted at {ttft_s * 1e3:,.0f} ms to the first token and {itl_s * 1e3:,.0f} ms per "
        "token after it (--slo sets both; MLPerf's interactive limits otherwise)",
        "the deployment serves mean lengths with their spread, arriving at random at the mean rate of the trace; "
        f"its intervals vary by {'' if read.step_s is None else 'at least '}{interarrival_cv(read):.2f} (1 is random)",
        "an architecture class is as good as its best accelerator over the mix of regimes (`inferatlas regimes`)",
        f"the deployment is {deployment.label}; grades of others may be extrapolated",
        *platform.notes,
        *layout_notes(platform, Layout(**deployment.layout)),
        *(f"no accelerator is graded for {one.regime.name}: {one.cells[0].reason}" for one in ungraded),
        *read.notes,
    ]
