"""The question several times over: as asked, at other prompts per answer, and at other bounds on the gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.decide.disaggregation.rates import Settings
from inferatlas.errors import BadInput
from inferatlas.predict.arrays import Floats
from inferatlas.workload import ServiceTarget
from inferatlas.workload.targets import THROUGHPUTS

RATIOS = tuple(2.0**k for k in range(-2, 6))  # input over output tokens, their sum as asked
BOUNDS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)  # of the bound asked for
FROM_FASTEST = (1.1, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0)  # of the shortest gap there is, where none is asked for


@dataclass(frozen=True)
class Asking:
    """Settings with what each is for: ``axis`` (None for the question itself) and where it lies on it."""

    settings: Settings
    axis: tuple[str | None, ...]
    x: Floats


def asking(
    isl: float, osl: float, cv: tuple[float, float], targets: tuple[ServiceTarget, ...], shortest_s: float | None,
    longest: float,
) -> Asking:  # fmt: skip
    """The question as first setting, then its curves.

    Parameters
    ----------
    isl, osl, cv : tokens of a request and the coefficients of variation of both.
    targets : on latencies. shortest_s : the shortest gap any unit offers, for a curve where no gap is bounded.
    longest : tokens that the model's context holds.

    Raises
    ------
    BadInput : a target on throughput: the rate is what is looked for.
    """
    for target in targets:
        if target.metric in THROUGHPUTS:
            raise BadInput(
                f"{target.text()}: the rate is what is looked for", field="slo", allowed="targets on ttft, itl, latency"
            )
    gaps = [k for k, target in enumerate(targets) if target.metric == "itl"]
    rows: list[tuple[str | None, float, float, float, float]] = [(None, np.nan, isl, osl, 1.0)]
    whole = isl + osl
    for ratio in RATIOS:
        first = max(whole * ratio / (1.0 + ratio), 1.0)
        second = max(whole - first, 2.0)
        if first + second <= longest:
            rows.append(("isl_over_osl", first / second, first, second, 1.0))
    if gaps:
        bound = min(targets[k].bound for k in gaps)
        rows += [("itl_target_s", factor * bound, isl, osl, factor) for factor in BOUNDS]
    elif shortest_s is not None and np.isfinite(shortest_s):
        targets = (*targets, ServiceTarget("itl", "mean", shortest_s, "<="))
        gaps = [len(targets) - 1]
        rows = [(axis, x, a, b, np.inf) for axis, x, a, b, _ in rows]
        rows += [("itl_target_s", factor * shortest_s, isl, osl, factor) for factor in FROM_FASTEST]
    axis, x, first, second, factor = zip(*rows, strict=True)
    bounds = np.array(
        [target.bound * (np.array(factor) if k in gaps else np.ones(len(rows))) for k, target in enumerate(targets)]
    ).reshape(len(targets), len(rows))
    return Asking(Settings(np.array(first), np.array(second), cv, targets, bounds), axis, np.array(x))
