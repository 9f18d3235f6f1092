"""How much one deployment's latency varies and why, and what the routing of experts would add at each spread."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.decide.visits import measured_popularity
from inferatlas.errors import BadInput, NoFeasibleAnswer
from inferatlas.predict.llm.operators import Experts, Operators
from inferatlas.predict.llm.placement import GROUPS, Routing, by_placement, layer_load, no_experts
from inferatlas.predict.loads import load_of
from inferatlas.predict.mapping.reasons import field_of
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.predict.performance.variance import MEANING, Variance, variance
from inferatlas.predict.question import asked, reason_of
from inferatlas.predict.replicas import label_of

HIGH = 0.10  # a coefficient of variation that the digest of Sharma 2025 calls high on mixtures of experts
QUANTILES = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True)
class Variability:
    """Coefficients of variation by cause on both clocks, percentiles, and the routing distribution of a mixture."""

    inputs: dict[str, Any]
    batch: float
    means: dict[str, float]  # itl_s, latency_s
    cov: dict[str, float]  # gap, latency (fixed lengths), latency_with_lengths
    percentiles: dict[str, dict[str, float]]
    causes: list[dict[str, Any]]
    routing: list[dict[str, Any]]
    deterministic: bool
    label: str
    assumptions: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of ``inferatlas variance --format json``."""
        return asdict(self)


def variability(
    model: str, accelerator: str, *, count: int | None = None, tp: int | None = None, pp: int | None = None,
    ep: int | None = None, dp: int | None = None, cp: int | None = None, engine: str | None = None,
    weights: str | None = None, kv_cache: str | None = None, workload: str | None = None, isl: int | None = None,
    osl: int | None = None, concurrency: int | None = None, request_rate: float | None = None,
    routing: Routing | None = None, counts: str | Path | None = None,
) -> Variability:  # fmt: skip
    """Variation of latency of one deployment and the share of each cause.

    Parameters
    ----------
    model, accelerator, count, tp, pp, ep, dp, cp, engine, weights, kv_cache : as in `predict.question.ask`.
    workload, isl, osl, concurrency, request_rate : traffic, see `workload.make_workload`.
    routing : popularity and placement of experts.
    counts : file with measured visits per expert (`visits.measured_popularity`), instead of an exponent.

    Raises
    ------
    BadInput, UnknownName, NotModelled. NoFeasibleAnswer : the deployment does not fit, with the reason.

    Examples
    --------
    >>> found = variability("llama-3.3-70b", "h100", tp=8, isl=1024, osl=256, concurrency=16)
    >>> max(found.causes, key=lambda cause: cause["latency_share"])["cause"]
    'prefill'
    """
    load = load_of(load_model(model), workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate)
    one = asked(
        model, accelerator, load, count=count, tp=tp, pp=pp, ep=ep, dp=dp, cp=cp, engine=engine, weights=weights,
        kv_cache=kv_cache,
    )  # fmt: skip
    ops, table, points, platform, chosen = one.ops, one.table, one.points, one.platform, one.layout
    routing = routing or Routing()
    if counts is not None:
        if routing.exponent:
            raise BadInput("contradicts measured visits", field="skew", allowed="--skew or --counts")
        routing = replace(routing, popularity=measured_popularity(counts, ops))
    if routing != Routing() and not ops.experts:
        raise no_experts(ops, routing)
    predictions = predict(ops, table, points, routing=routing)
    if not predictions.fits[0]:
        why = reason_of(int(predictions.reason[0]), ops, table, load, count=chosen.count)
        field = field_of(why["code"], {"tp": tp, "pp": pp, "ep": ep, "cp": cp})
        raise NoFeasibleAnswer(why["detail"], code=why["code"], least_count=why["least_count"], field=field)
    spread = variance(ops, table, points, predictions, routing)
    cov = {
        "gap": float(spread.cov("gap")[0]),
        "latency": float(spread.cov()[0]),
        "latency_with_lengths": float(spread.cov(fixed_lengths=False)[0]),
    }
    means = {"itl_s": float(predictions.itl_s[0]), "latency_s": float(predictions.latency_s[0])}
    percentiles = {
        "latency_s": _quantiles(means["latency_s"], cov["latency"]),
        "latency_with_lengths_s": _quantiles(means["latency_s"], cov["latency_with_lengths"]),
    }
    tokens = float(predictions.batch[0]) * (1 if table.resident[0] else 1.0 / chosen.pp)
    ranks = chosen.tp * platform.device.engine_devices
    return Variability(
        inputs={
            "model": one.model.id, "accelerator": platform.device.id, "count": chosen.count, "layout": asdict(chosen),
            "engine": platform.engine.name, "weights": platform.precision.weights, "workload": asdict(load),
            "routing": routing.as_dict(),
        },
        batch=float(predictions.batch[0]),
        means=means,
        cov=cov,
        percentiles=percentiles,
        causes=_causes(spread),
        routing=_distribution(ops, tokens, ranks, routing) if ops.experts and not table.resident[0] else [],
        deterministic=bool(table.resident[0]),
        label=label_of(platform, chosen),
        assumptions=[*_assumptions(routing, counts), *one.notes],
    )  # fmt: skip


def _causes(spread: Variance) -> list[dict[str, Any]]:
    """Every cause on both clocks; lengths are no cause of the gap."""
    gap_shares, latency_shares = spread.shares("gap"), spread.shares("latency")
    return [
        {
            "cause": cause,
            "meaning": MEANING[cause],
            "gap_cov": float(np.sqrt(spread.gap[cause][0])) if cause in spread.gap else None,
            "gap_share": float(gap_shares[cause][0]) if cause in spread.gap else None,
            "latency_cov": float(np.sqrt(part[0])),
            "latency_share": float(latency_shares[cause][0]),
        }
        for cause, part in spread.latency.items()
    ]


def _quantiles(mean: float, cov: float) -> dict[str, float]:
    return {q: float(percentile_of(mean, cov, q)) for q in QUANTILES}


def _distribution(ops: Operators, tokens: float, ranks: int, routing: Routing) -> list[dict[str, Any]]:
    """What one layer's routing does on every number of devices: experts touched, imbalance by placement, variation.

    ``tokens`` in a step of one replica, whose ``ranks`` share them; more devices are more such replicas.
    """
    op = max(ops.experts, key=lambda one: one.count)
    rows = []
    for groups in (n for n in GROUPS if n <= op.experts):
        seen = max(tokens, 1.0) * max(groups // ranks, 1)
        held = by_placement(op, seen, groups, routing)
        own = layer_load(op, seen, groups, routing)
        rows.append(
            {
                "devices": groups, "tokens": seen, "distinct": own.distinct, "layer_cov": own.cov,
                "step_cov": own.cov / np.sqrt(op.count), "high": own.cov > HIGH,
                **{f"imbalance_{name}": load.imbalance for name, load in held.items()},
                "skew": own.skew, "layers": op.count, **_of(op),
            }
        )  # fmt: skip
    return rows


def _of(op: Experts) -> dict[str, int]:
    return {"experts": op.experts, "top_k": op.top_k}


def _assumptions(routing: Routing, counts: str | Path | None) -> list[str]:
    out = [
        "causes are independent: squared coefficients of variation add; percentiles are lognormal (45)",
        "layers route independently, so that a step varies as one layer over the root of their number (17)",
        "means are predicted; how they vary is theory, not calibrated by measurements of spread: no interval",
        "jitter of a device that a host drives is a prior (1 % of a step, 0.3 to 3 %), nil on machines that keep the "
        "model in on-chip memory",
    ]
    if counts is not None:
        out.append(
            "experts are as popular as the measured visits say; contiguous placement is in the order of the file"
        )
    elif routing.exponent:
        out.append(f"experts follow a Zipf law of exponent {routing.exponent:.2f}, an assumption")
    if routing.is_skewed:
        out.append("persistent skew is bias, not variance")
    return out
