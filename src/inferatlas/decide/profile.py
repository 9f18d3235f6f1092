"""From a trace to a decision: regimes, primary constraint, architecture class, layout, software, failure signatures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.catalogue import names
from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.decide import signatures, support
from inferatlas.decide.cells import software
from inferatlas.decide.fitness import Fitness, fitness
from inferatlas.decide.fleet import native_format
from inferatlas.decide.judge import Budget, probability
from inferatlas.decide.launch import command
from inferatlas.decide.mix import KINDS, LOADS, pace, regime_shares
from inferatlas.decide.recommend import metrics_of
from inferatlas.decide.search import Designs, Limits, evaluate
from inferatlas.decide.strategies import STRATEGIES
from inferatlas.decide.why_not import explain
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.answer import Interval, Metric
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.performance.predictor import memory_budget, predict
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.under_load import spending, under_load
from inferatlas.predict.performance.variance import variance
from inferatlas.predict.question import check_context
from inferatlas.predict.replicas import Layout
from inferatlas.workload import ServiceTarget, Workload, parse_targets
from inferatlas.workload.traces import Trace, interarrival_cv, read_trace, trace_workload

EVEN = 0.5  # a design counts where it is as likely as not to meet the targets
VARIES = 0.10  # CoV of latency from which variance is named as the constraint where a percentile is asked for
DECIDES = {"target": "slo", "engine": "engine", "precision": "weights"}  # inputs behind a reason, beside the count
NEAREST = ("target", "rate_beyond_capacity", "kv_cache", "memory")  # why nothing serves, nearest to success first


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
    read = read_trace(trace)
    config, targets = load_model(model), parse_targets(slo)
    load = trace_workload(read)
    check_context(config, load)
    if load.output_tokens <= 1 and any(target.metric == "itl" for target in targets):
        raise BadInput("with one output token there is no inter-token latency", field="slo", allowed="ttft or latency")
    ttft_s, itl_s = pace(targets)
    shares = regime_shares(read, config, ttft_s, itl_s)
    asked = (accelerator,) if accelerator else None
    limits = Limits(asked, None, engine, weights, max_count=max_count)
    designs = evaluate(config, load, limits)
    if not weights:
        designs = _native(designs)
    smallest = _smallest(designs, targets)
    graded = fitness(model, names=[name for name in (*LOADS, *KINDS) if shares[name] > 0])
    mixed = _mixed(graded, shares)
    chosen = _chosen(smallest, mixed, designs)
    typed = model, accelerator
    return _profile(
        config, read, load, targets, designs, smallest, chosen, mixed, shares, graded, (ttft_s, itl_s), typed
    )


def _native(designs: Designs) -> Designs:
    """Those in the format in which accelerators are compared: narrower ones change a model's answers."""
    own = [p.precision.weights in native_format(designs.model, p.device) for p in designs.table.platforms]
    keep = np.flatnonzero(np.array(own, dtype=bool)[designs.points.platform])
    metrics = {
        name: Metric(*(np.broadcast_to(x, metric.value.shape)[keep] for x in (metric.value, metric.sigma, metric.most)))
        for name, metric in designs.metrics.items()
    }
    return replace(designs, points=designs.points[keep], predictions=designs.predictions[keep], metrics=metrics)


def _smallest(designs: Designs, targets: tuple[ServiceTarget, ...]) -> dict[str, int]:
    """Of every accelerator that serves the trace, the design of fewest devices, the fastest of those.

    Raises
    ------
    NoFeasibleAnswer : there is none.
    """
    keep = np.flatnonzero(designs.predictions.fits & (probability(designs, targets) >= EVEN))
    if not keep.size:
        raise _nothing_serves(designs, targets)
    latency = designs.metrics["latency_s"].value[keep]
    order = keep[np.lexsort((latency, designs.points.accelerators[keep]))]
    index, owner = designs.accelerator_index()
    out: dict[str, int] = {}
    for i in order.tolist():
        out.setdefault(index[owner[i]], i)
    return out


def _nothing_serves(designs: Designs, targets: tuple[ServiceTarget, ...]) -> NoFeasibleAnswer:
    """The reason of what came nearest to serving."""
    index, owner = designs.accelerator_index()
    never = {name for k, name in enumerate(index) if not (owner == k).any()}
    out = sorted(
        explain(designs, targets, Budget(), never, EVEN),
        key=lambda one: NEAREST.index(one.code) if one.code in NEAREST else len(NEAREST),
    )
    others = f", and {len(out) - 1} other accelerators do not either" if len(out) > 1 else ""
    return NoFeasibleAnswer(
        f"nothing within the limits serves the trace ({out[0].accelerator}: {out[0].detail}){others}",
        code=out[0].code,
        least_count=out[0].least_count,
        field=DECIDES.get(out[0].code, "max_count"),
    )


def _mixed(graded: Fitness, shares: dict[str, float]) -> dict[str, float]:
    """Score of every accelerator over the mix: its scores in the regimes, weighted by their shares."""
    total = sum(shares[one.regime.name] for one in graded.regimes)
    out: dict[str, float] = {}
    for one in graded.regimes:
        for cell in one.cells:
            part = (cell.score or 0.0) * shares[one.regime.name] / total
            out[cell.accelerator] = out.get(cell.accelerator, 0.0) + part
    return out


def _chosen(smallest: dict[str, int], mixed: dict[str, float], designs: Designs) -> int:
    """The design to look at: of the accelerator with the best score over the mix that serves the trace."""
    best = max(smallest, key=lambda name: (mixed.get(name, 0.0), -designs.points.accelerators[smallest[name]]))
    return smallest[best]


def _profile(
    config: ModelConfig, read: Trace, load: Workload, targets: tuple[ServiceTarget, ...], designs: Designs,
    smallest: dict[str, int], chosen: int, mixed: dict[str, float], shares: dict[str, float], graded: Fitness,
    at_pace: tuple[float, float], typed: tuple[str, str | None],
) -> Profile:  # fmt: skip
    ops, table = designs.ops, designs.table
    point = designs.points[np.array([chosen])]
    answer = predict(ops, table, point, checked=True)
    platform = designs.platform(chosen)
    cov = float(variance(ops, table, point, answer).cov()[0])
    constraints = _constraints(designs, smallest, chosen, cov)
    whole = {name: int(getattr(point, name)[0]) for name in ("tp", "pp", "ep", "dp")}
    model, name = typed[0], typed[1] if typed[1] and names.is_path(typed[1]) else platform.device.id
    deployment = Deployment(
        accelerator=platform.device.id,
        count=int(point.accelerators[0]),
        layout=whole,
        weights=platform.precision.weights,
        engine=platform.engine.name,
        metrics=metrics_of(designs, chosen),
        bound=BOUNDS[int(answer.bound[0])],
        batch=float(answer.batch[0]),
        label=platform.label,
        command=command(config, platform, load, **whole),
        support=support.of(platform, STRATEGIES[-1], Layout(**whole)),
    )
    return Profile(
        inputs={"model": config.id, "slo": [t.text() for t in targets], "trace": read.name, "workload": asdict(load)},
        trace=_stats(read, config),
        regimes=shares,
        constraint=_primary(deployment.bound, targets, cov),
        constraints=constraints,
        architecture_classes=_classes(graded, mixed, shares, smallest, designs),
        deployment=deployment,
        software=software(load_accelerator(name), platform),
        signatures=[
            signatures.out_of_memory(read, ops, table, point, answer),
            signatures.variance_of_experts(ops, table, point, answer, cov),
            signatures.low_use(ops, table, point, answer),
        ],
        experiments=experiments(model, name, deployment, load, mixed),
        assumptions=_assumptions(read, at_pace, deployment, graded),
    )


def _stats(read: Trace, config: ModelConfig) -> dict[str, Any]:
    def quantiles(values: np.ndarray) -> dict[str, float]:
        return {"mean": float(values.mean())} | {
            f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 99)
        } | {"max": float(values.max())}  # fmt: skip

    total = read.input_tokens + read.output_tokens
    return {
        "requests": len(read),
        "span_s": read.span_s,
        "request_rate": read.rate,
        "interarrival_cv": interarrival_cv(read),
        "input_tokens": quantiles(read.input_tokens),
        "output_tokens": quantiles(read.output_tokens),
        "beyond_context": float(np.mean(total > config.context_length)),
        "format": read.format,
        "notes": list(read.notes),
    }


def _constraints(designs: Designs, smallest: dict[str, int], chosen: int, cov: float) -> list[dict[str, Any]]:
    """How much of the deployment looked at each resource takes, and on how many accelerators it binds."""
    point = designs.points[np.array([chosen])]
    answer = predict(designs.ops, designs.table, point, checked=True)
    shares = spending(under_load(designs.ops, designs.table, point, answer), point)
    binds = [BOUNDS[int(designs.predictions.bound[i])] for i in smallest.values()]
    table_row = designs.table.rows(point.platform)
    budget = memory_budget(
        designs.ops, table_row, shard_of(table_row, point), point, bool(designs.table.resident[point.platform[0]])
    )
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


def _classes(
    graded: Fitness, mixed: dict[str, float], shares: dict[str, float], smallest: dict[str, int], designs: Designs
) -> list[dict[str, Any]]:
    """Architecture classes by their best accelerator over the mix, best first."""
    first = graded.regimes[0].cells
    kinds = {cell.accelerator: cell.architectural_class for cell in first}
    best: dict[str, str] = {}
    for name in sorted(mixed, key=lambda name: (-mixed[name], name)):
        if mixed[name] > 0:
            best.setdefault(kinds[name], name)
    out = []
    for kind, name in best.items():
        cells = {one.regime.name: next(c for c in one.cells if c.accelerator == name) for one in graded.regimes}
        out.append(
            {
                "name": kind,
                "accelerator": name,
                "score": mixed[name],
                "grades": {regime: cell.grade for regime, cell in cells.items()},
                "why": "; ".join(
                    f"{regime} ({shares[regime]:.0%}): {cell.grade or 'cannot'}, {cell.reason}"
                    for regime, cell in cells.items()
                ),
                "least_count": int(designs.points.accelerators[smallest[name]]) if name in smallest else None,
                "label": next((c.label for c in cells.values() if c.label), None),
            }
        )
    return out


def experiments(
    model: str, accelerator: str, deployment: Deployment, load: Workload, mixed: dict[str, float]
) -> list[dict[str, str]]:
    """The digest's first three experiments, each as one command; ``model`` and ``accelerator`` as they are found."""
    others = [one for one in sorted(mixed, key=lambda one: (-mixed[one], one)) if one != deployment.accelerator]
    compared = shlex.quote(",".join([accelerator, *others[:3]]))
    model, accelerator = shlex.quote(model), shlex.quote(accelerator)
    lengths = f"--isl {round(load.input_tokens)} --osl {round(load.output_tokens)}"
    layout = " ".join(f"--{name} {n}" for name, n in deployment.layout.items())
    return [
        {
            "question": "does single-stream TTFT follow memory bandwidth across accelerators?",
            "command": f"inferatlas regimes --regime single-stream --model {model}",
        },
        {
            "question": "at which batch does compute bind instead of memory, and who leads where?",
            "command": f"inferatlas crossover --model {model} --accelerators {compared} --over batch {lengths}",
        },
        {
            "question": "how unevenly would experts be used, and how much would latency vary?",
            "command": f"inferatlas variance --model {model} --accelerator {accelerator} {layout} "
            f"--engine {deployment.engine} --weights {deployment.weights} {lengths} "
            f"--request-rate {load.request_rate:.6g}",
        },
    ]


def _assumptions(read: Trace, at_pace: tuple[float, float], deployment: Deployment, graded: Fitness) -> list[str]:
    ttft_s, itl_s = at_pace
    ungraded = [one for one in graded.regimes if all(cell.score is None for cell in one.cells)]
    return [
        f"requests in flight are counted at {ttft_s * 1e3:,.0f} ms to the first token and {itl_s * 1e3:,.0f} ms per "
        "token after it (--slo sets both; MLPerf's interactive limits otherwise)",
        "the deployment serves mean lengths with their spread, arriving at random at the mean rate of the trace; "
        f"its intervals vary by {interarrival_cv(read):.2f} (1 is random)",
        "an architecture class is as good as its best accelerator over the mix of regimes (`inferatlas regimes`)",
        f"the deployment is {deployment.label}; grades of others may be extrapolated",
        *(f"no accelerator is graded for {one.regime.name}: {one.cells[0].reason}" for one in ungraded),
        *read.notes,
    ]
