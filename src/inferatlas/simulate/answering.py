"""From a question to an answer: run it, several times where asked to, judge the targets, say how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np

from inferatlas.predict.performance.points import Predictions
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.priors import Z80
from inferatlas.predict.question import Asked
from inferatlas.predict.replicas import points_of
from inferatlas.simulate.answered import Simulation
from inferatlas.simulate.asking import Question
from inferatlas.simulate.outcome import Outcome, across, meets, outcome
from inferatlas.simulate.record import About
from inferatlas.simulate.running import Run, run
from inferatlas.workload.workload import Workload

LATENCIES = ("ttft_s", "itl_s", "latency_s")
Told = Callable[[int, int], None]  # requests that ended, and how many there are


def simulate(
    question: Question, *, name: str = "", replications: int = 1, log: bool = False, told: Told | None = None
) -> tuple[Simulation, Run]:
    """Simulate a question; with ``log`` the run keeps what a record needs.

    ``replications``: runs with other chance, of which the first is shown and all give the intervals.

    Examples
    --------
    >>> from inferatlas.simulate.asking import question
    >>> found, _ = simulate(question("llama-3.1-8b", "h100", isl=1024, osl=256, request_rate=6.0, requests=500, seed=1))
    >>> found.outcome.completed, round(found.outcome.metrics["itl_s"]["mean"] * 1e3)
    (500, 9)
    """
    first = _run(question, log=log, told=told)
    found = outcome(first, question.fleet, question.requests, question.targets)
    several = [found]
    for n in range(1, replications):
        if first.interrupted:
            break
        again = question.again(question.seed + n)
        several.append(outcome(_run(again, told=told), again.fleet, again.requests, again.targets))
    if len(several) > 1:
        found = replace(found, intervals={**across(several), "by": "replications"})
    one = Simulation(
        name or name_of(question), inputs_of(question), found, meets(found, question.targets), question.label,
        question.notes, model_intervals(question, found),
    )  # fmt: skip
    return one, first


def _run(question: Question, *, log: bool = False, told: Told | None = None) -> Run:
    many = len(question.requests)
    return run(
        question.fleet, question.requests, seed=question.seed, log=log, until_s=question.until_s,
        told=None if told is None else (lambda ended: told(ended, many)),
    )  # fmt: skip


def name_of(question: Question) -> str:
    """The deployment in a few words."""
    pools = question.fleet.pools
    words = [
        (f"{p.replicas} replicas of " if p.replicas > 1 else "") + f"{p.law.accelerators} x {p.accelerator}"
        + ("" if p.role == "both" else f" ({p.role})")
        for p in pools
    ]  # fmt: skip
    return f"{', '.join(question.fleet.models)} on {' and '.join(words)}, {pools[0].scheduler.name}"


def inputs_of(question: Question) -> dict[str, object]:
    """What was asked, for the answer and for the record."""
    fleet = question.fleet
    return {
        "models": list(fleet.models),
        "pools": [
            {
                "name": p.name, "accelerator": p.accelerator, "role": p.role, "replicas": p.replicas,
                "accelerators_per_replica": p.law.accelerators, "scheduler": asdict(p.scheduler),
                "layout": asdict(next(one for one in row if one is not None).layout),
                "kv_blocks": p.scheduler.kv_blocks or p.law.blocks, "block_tokens": p.law.block_tokens,
                "max_sequences": p.scheduler.max_sequences or p.law.max_sequences,
                "step_tokens": p.scheduler.step_tokens or p.law.step_tokens,
            }
            for p, row in zip(fleet.pools, question.asked, strict=True)
        ],
        "router": fleet.router, "workload": asdict(question.load), "requests": len(question.requests),
        "seed": question.seed, "slo": [target.text() for target in question.targets],
    }  # fmt: skip


def about(question: Question, command: str) -> About:
    """What a run record says of the run beside its numbers."""
    asked = [one for row in question.asked for one in row if one is not None]
    software = {
        "engines": sorted({one.platform.engine.name for one in asked}),
        "schedulers": sorted({pool.scheduler.name for pool in question.fleet.pools}),
    }
    return About(
        command, "predicted" if question.label == "predicted" else "extrapolated", question.seed,
        question.fleet.models, software, inputs_of(question), question.notes,
    )  # fmt: skip


def model_intervals(question: Question, found: Outcome) -> dict[str, list[float] | None]:
    """80 % intervals of the means, from the error of the step times behind them: that of the closed form there.

    Of several pools the widest. None where the closed form has no answer to compare with (a load beyond capacity).
    """
    widths = doubts(question)
    intervals: dict[str, list[float] | None] = {}
    for name in LATENCIES:
        value, sigma = found.metrics[name]["mean"], widths.get(name)
        if value is None or sigma is None or found.saturated:
            intervals[name] = None
            continue
        factor = float(np.exp(Z80 * sigma))
        intervals[name] = [value / factor, value * factor]
    return intervals


def doubts(question: Question) -> dict[str, float]:
    """Standard deviation of the logarithm of the error of TTFT, ITL, latency and power, the largest of all pools."""
    widths: dict[str, float] = {}
    for pool, row in zip(question.fleet.pools, question.asked, strict=True):
        for one in row:
            found = None if one is None else _predicted(one, question.load, pool.replicas)
            for name in (*LATENCIES, "power_w") if found is not None else ():
                sigma = float(getattr(found, f"{name.removesuffix('_s').removesuffix('_w')}_sigma")[0])
                if np.isfinite(sigma):
                    widths[name] = max(widths.get(name, 0.0), sigma)
    return widths


def _predicted(one: Asked, load: Workload, replicas: int) -> Predictions:
    """The closed form of one pool under the whole load, or under the most that it takes."""
    layout = replace(one.layout, dp=replicas)
    found = predict(one.ops, one.table, points_of(load, [layout]), speculation=one.speculation)
    if found.fits[0]:
        return found
    full = replace(load, request_rate=None, concurrency=64 * replicas)
    return predict(one.ops, one.table, points_of(full, [layout]), speculation=one.speculation)
