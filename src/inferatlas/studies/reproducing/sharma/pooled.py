"""Fig. 11: what nodes gain by sharing memory or compute, from how the paper's own workloads vary in their demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.decide.disaggregation.pool import pool
from inferatlas.predict.llm.operators import operators
from inferatlas.predict.llm.parameters import count as parameters
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import platform_table
from inferatlas.predict.performance.points import make_points
from inferatlas.predict.performance.predictor import predict
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Exhibit, Pair, Plot
from inferatlas.studies.reproducing.catalogued import exact
from inferatlas.studies.reproducing.phrases import span
from inferatlas.studies.reproducing.sharma.published import claimed
from inferatlas.studies.reproducing.sharma.regimes import Graded

ON = "nvidia-b200-sxm"
NODES = (2, 4, 8, 16, 64)
MIXED = "mixed"
POOLED = ("compute", "memory")
CLAIMS = {"compute": "disaggregation-compute", "memory": "disaggregation-memory"}
BEST = "disaggregation-mixed"  # "mixed workload scenarios see the greatest gains"
COST = "disaggregation-cost"


@dataclass(frozen=True)
class Demand:
    """What one workload takes of the node that serves it, as shares; ``batch``: sequences that run at a time.

    ``cv``: standard deviation over the mean of either demand as requests come and go.
    """

    workload: str
    compute: float
    memory: float
    batch: float
    cv: dict[str, float]


def demands(found: Sequence[Graded]) -> list[Demand]:
    """Each regime as `ON` serves it best."""
    return [demand for one in found if (demand := _demand(one)) is not None]


def _demand(one: Graded) -> Demand | None:
    cell = next((c for c in one.result.cells if c.accelerator == ON and c.score is not None), None)
    platform = next((p for p, _ in one.result.chosen if p.device.id == ON), None)
    if cell is None or platform is None or cell.concurrency is None:
        return None
    model = load_model(one.result.model)
    ops, regime = operators(model), one.result.regime
    table = platform_table([platform], is_moe=bool(ops.experts))
    points = make_points(
        0, **cell.layout, concurrency=cell.concurrency, input_tokens=regime.input_tokens,
        output_tokens=regime.output_tokens,
    )  # fmt: skip
    answer = predict(ops, table, points)
    budget = budget_of(ops, table, points)
    batch = float(answer.batch[0])
    cache = float(budget.kv_per_sequence[0]) * batch
    fixed = float((budget.weights + budget.activations + budget.reserve)[0])
    tokens = float(answer.output_tokens_per_s[0]) * (1.0 + regime.input_tokens / regime.output_tokens)
    per_token = 2.0 * parameters(model).active_without_embedding
    compute = tokens * per_token / (float(points.accelerators[0]) * platform.peak_flop_per_s)
    alone = 1.0 / np.sqrt(max(batch * float(points.dp[0]), 1.0))  # requests that come at random: Poisson
    cv = {"compute": float(alone), "memory": float(alone) * cache / (cache + fixed)}
    return Demand(one.title, compute, (cache + fixed) / float(budget.capacity[0]), batch, cv)


def mixed(found: Sequence[Demand]) -> dict[str, float]:
    """Coefficient of variation of either demand between nodes that each serve another of the workloads."""
    out = {}
    for name in POOLED:
        values = np.array([getattr(one, name) for one in found])
        out[name] = float(values.std() / values.mean())
    return out


def exhibit(found: Sequence[Demand]) -> Exhibit:
    """The gain in use by what is pooled, workload and number of nodes, and how many nodes the printed gains take."""
    spread = mixed(found)
    alone = {name: max(one.cv[name] for one in found) for name in POOLED}
    pairs: list[Pair] = []
    for name in POOLED:
        for nodes in NODES:
            pairs.append(_gain(name, MIXED, nodes, spread[name]))
            pairs.append(_gain(name, "one workload, the least steady", nodes, alone[name]))
    return Exhibit(
        id="fig-11",
        place="Fig. 11, Sec. VII-E",
        title="Pooling of compute and memory: gain in use by the nodes that share",
        finding=finding(found, spread),
        pairs=(*pairs, *_uses(found), *_cost(spread)),
        plot=Plot("lines", x="nodes", colour="workload", facet="pooled"),
        notes=(
            f"demand: what each regime of Fig. 8 takes of one node of {ON}; mixed: every node serves another regime, "
            "with the variation between them; one workload: requests that come at random",
            "gain: capacity of nodes that each hold their own peak over that of a pool, at 99 % of the time; "
            "nothing is charged for remote access, so it is an upper bound",
        ),
    )


def _gain(name: str, workload: str, nodes: int, cv: float) -> Pair:
    what = {"pooled": name, "workload": workload, "nodes": str(nodes)}
    gain = pool(nodes, cv).gain - 1.0
    printed = claimed(BEST if (name, workload) == ("compute", MIXED) else CLAIMS[name])
    return Pair(what, "gain_in_use", "1", printed, exact(gain), "derived", f"demand varies by {cv:.2f}")


def _uses(found: Sequence[Demand]) -> list[Pair]:
    """What each workload takes of its node: where the variation comes from."""
    return [
        Pair(
            {"pooled": name, "workload": one.workload, "nodes": "1"}, "share_in_use", "1", None,
            exact(getattr(one, name)), "extrapolated", f"{one.batch:,.0f} sequences at a time",
        )
        for one in found
        for name in POOLED
    ]  # fmt: skip


def _cost(spread: dict[str, float]) -> list[Pair]:
    """The most that a pool of everything can save, were the fabric free."""
    out = []
    for nodes in NODES:
        saved = pool(nodes, spread["memory"]).saved
        what = {"pooled": "cost", "workload": MIXED, "nodes": str(nodes)}
        words = (
            "memory not bought, as a share of its cost: the most that is saved, were it all the cost and fabric free"
        )
        out.append(Pair(what, "saved_at_most", "1", claimed(COST), exact(saved), "derived", words))
    return out


def finding(found: Sequence[Demand], spread: dict[str, float]) -> str:
    """From how many nodes the printed gains follow, and whether mixed workloads gain most."""
    said = [f"{name} varies by {spread[name]:.2f} between workloads: {_from(name, spread[name])}" for name in POOLED]
    calmer = {name: sum(one.cv[name] < spread[name] for one in found) for name in POOLED}
    cost = claimed(COST)
    enough = [nodes for nodes in NODES if pool(nodes, spread["memory"]).saved >= (cost.value or 0.0)]
    share = f"would take {enough[0]} nodes" if enough else "would come of no number of nodes tried"
    uses = {name: span([100.0 * getattr(one, name) for one in found]) for name in POOLED}
    return (
        f"The regimes take {uses['compute']} % of a node's compute and {uses['memory']} % of its memory. Demand for "
        f"{'; for '.join(said)}. Nodes of mixed workloads gain more than those of {calmer['compute']} of "
        f"{len(found)} single workloads in compute, and of {calmer['memory']} in memory. Were memory all of the "
        f"cost and the fabric free, the printed {cost.text} lower cost {share}."
    )


def _from(name: str, cv: float) -> str:
    printed: Printed = claimed(CLAIMS[name])
    low, high = (next((n for n in range(2, 4097) if _above(n, cv, end)), None) for end in printed.shown)
    if low is None:
        return f"no number of nodes gains the printed {printed.text}"
    return (
        f"the printed {printed.text} follow on {low} to {high} nodes"
        if high
        else f"{low} nodes gain the lower end only"
    )


def _above(nodes: int, cv: float, gain: float | None) -> bool:
    return pool(nodes, cv).gain - 1.0 >= (gain or 0.0)
