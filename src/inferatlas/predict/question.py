"""One question: a model on an accelerator under a load, answered with intervals, memory, breakdown and notes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.catalogue.model import ModelConfig
from inferatlas.catalogue.models import load_model
from inferatlas.errors import BadInput
from inferatlas.predict.answer import Answer, metric_arrays
from inferatlas.predict.cost.economics import Economics, economics
from inferatlas.predict.llm.operators import Operators, operators
from inferatlas.predict.mapping import layouts, memory, reasons
from inferatlas.predict.performance.breakdown import breakdown
from inferatlas.predict.performance.platform import Platform, PlatformTable, platform_table
from inferatlas.predict.performance.points import BOUNDS, Points, Predictions, make_points
from inferatlas.predict.performance.predictor import memory_budget, predict
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.tails import percentile_of
from inferatlas.predict.platforms import bind
from inferatlas.workload import Workload, make_workload

MOST_ACCELERATORS = 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """tp x pp accelerators per replica, dp replicas, experts over ep ranks."""

    tp: int
    pp: int
    ep: int
    dp: int

    @property
    def count(self) -> int:
        return self.tp * self.pp * self.dp


def ask(
    model: str, accelerator: str, *, count: int | None = None, tp: int | None = None, pp: int | None = None,
    ep: int | None = None, dp: int | None = None, engine: str | None = None, weights: str | None = None,
    activations: str | None = None, kv_cache: str | None = None, workload: str | None = None,
    isl: int | None = None, osl: int | None = None, concurrency: int | None = None,
    request_rate: float | None = None, price: float | None = None, region: str = "USA", site: str = "AWS",
    utilisation: float = 1.0,
) -> Answer:  # fmt: skip
    """Predict latency, throughput, power, cost and carbon of one deployment.

    Parameters
    ----------
    model, accelerator : catalogue names, or paths (YAML of an accelerator or a cluster; ``config.json`` of a model).
    count : accelerators in all; without it the smallest number that the layout needs.
    tp, pp, ep, dp : layout; what is not given is chosen and named in ``fallbacks``.
    engine, weights, activations, kv_cache : names; defaults are documented in `platforms.bind`.
    workload, isl, osl, concurrency, request_rate : traffic, see `workload.make_workload`.
    price : USD per accelerator-hour. region, site : rows of the grid and PUE tables.

    Raises
    ------
    BadInput, UnknownName : the question is malformed. NoFeasibleAnswer : engine or formats are not supported,
    or the model has no performance model yet. A layout that does not fit is an answer (``fits`` False).

    Examples
    --------
    >>> answer = ask("llama-3.1-8b", "nvidia-h100-sxm", concurrency=32, isl=1024, osl=256)
    >>> answer.fits, answer.bound, answer.batch
    (True, 'memory_bandwidth', 32.0)
    """
    config = load_model(model)
    ops = operators(config)
    load = make_workload(workload, isl=isl, osl=osl, concurrency=concurrency, request_rate=request_rate)
    check_context(config, load)
    known = load_accelerator(accelerator)
    platform = bind(known, engine, weights, activations, kv_cache)
    table = platform_table([platform], is_moe=bool(ops.experts))
    layout, notes = choose_layout(ops, table, load, count=count, tp=tp, pp=pp, ep=ep, dp=dp)
    points = points_of(load, [layout])
    predictions = predict(ops, table, points)
    part = platform.device
    money = economics(
        part.id, part.architectural_class, part.node, price=price, region=region, site=site,
        utilisation=utilisation, cluster=known.cluster,
    )  # fmt: skip
    if known.cluster is not None and layout.count > known.cluster.count:
        raise BadInput(
            f"{layout.count} accelerators are more than cluster {known.cluster.id} has",
            field="count",
            allowed=f"up to {known.cluster.count}",
        )
    return _answer(config, ops, table, platform, load, layout, points, predictions, money, notes)


def check_context(config: ModelConfig, load: Workload) -> None:
    """Refuse requests longer than the model's context.

    Raises
    ------
    BadInput : with the length that is allowed.
    """
    if load.total_tokens > config.context_length:
        raise BadInput(
            f"{load.input_tokens:g} input and {load.output_tokens:g} output tokens exceed the context of {config.id}",
            field="isl",
            allowed=f"isl + osl up to {config.context_length}",
        )


def points_of(load: Workload, chosen: list[Layout], platform: int = 0) -> Points:
    """Design points of a workload in several layouts on one platform."""
    return make_points(
        platform,
        tp=[x.tp for x in chosen],
        pp=[x.pp for x in chosen],
        ep=[x.ep for x in chosen],
        dp=[x.dp for x in chosen],
        concurrency=np.nan if load.concurrency is None else load.concurrency,
        request_rate=np.nan if load.request_rate is None else load.request_rate,
        input_tokens=load.input_tokens,
        output_tokens=load.output_tokens,
        input_cv=load.input_cv,
        output_cv=load.output_cv,
    )


def choose_layout(
    ops: Operators, table: PlatformTable, load: Workload, *, count: int | None, tp: int | None, pp: int | None,
    ep: int | None, dp: int | None,
) -> tuple[Layout, list[str]]:  # fmt: skip
    """Fill in what the user left open: the smallest replica that fits, then replicas up to ``count``.

    Raises
    ------
    BadInput : a number below 1 or above 1,024, or tp*pp*dp that is not ``count``.
    """
    for name, value in (("count", count), ("tp", tp), ("pp", pp), ("ep", ep), ("dp", dp)):
        if value is not None and not 1 <= value <= MOST_ACCELERATORS:
            raise BadInput(f"{value} is out of range", field=name, allowed=f"1 to {MOST_ACCELERATORS}")
    given = {name: value for name, value in (("tp", tp), ("pp", pp), ("dp", dp)) if value is not None}
    if count is not None and len(given) == 3 and (product := np.prod(list(given.values()))) != count:
        raise BadInput(f"tp x pp x dp is {product}, not {count}", field="count", allowed=str(product))
    if count is not None and (fixed := int(np.prod(list(given.values()) or [1]))) and count % fixed:
        raise BadInput(
            f"{count} accelerators cannot be divided into {' x '.join(given)} = {fixed}",
            field="count",
            allowed=f"multiples of {fixed}",
        )
    part = table.platforms[0].device
    most = count or MOST_ACCELERATORS
    if tp is not None and pp is not None:
        replica = Layout(tp, pp, ep or 1, dp or (count // (tp * pp) if count else 1))
        return replica, []
    found = layouts.enumerate_layouts(ops, part, most, every_count=False)
    keep = np.ones(len(found), dtype=bool)
    for name, value in (("tp", tp), ("pp", pp), ("ep", ep or 1)):
        if value is not None:
            keep &= getattr(found, name) == value
    # one replica decides the fit; dp then fills the count
    keep &= found.dp == 1
    replicas = dp or 1
    if count is not None:
        keep &= count % (found.tp * found.pp) == 0
        if dp is not None:
            keep &= found.tp * found.pp == count // dp
    rows = [
        Layout(int(t), int(p), int(e), 1)
        for t, p, e in zip(found.tp[keep], found.pp[keep], found.ep[keep], strict=True)
    ]
    rows.sort(key=lambda x: (x.count, x.pp))
    if not rows:  # nothing legal: let the prediction say why
        return Layout(tp or 1, pp or 1, ep or 1, dp or (max(count // ((tp or 1) * (pp or 1)), 1) if count else 1)), []
    # on-chip memory is so scarce that chips follow from the requests in flight, not from one of them
    flying = load.concurrency or 1 if layouts.is_resident(part) else 1
    light = replace(load, concurrency=flying, request_rate=None)
    found_batch = predict(ops, table, points_of(light, rows), checked=True).batch
    wanted = min(flying, int(table.max_sequences[0]), ops.layers)
    fits = np.flatnonzero(np.nan_to_num(found_batch) >= min(wanted, np.nan_to_num(found_batch).max()))
    fits = fits[np.nan_to_num(found_batch)[fits] > 0]
    best = rows[int(fits[0])] if fits.size else rows[-1]
    if count is not None and dp is None:
        replicas = count // best.count
    chosen = replace(best, dp=replicas)
    words = ", ".join(
        f"{k} {v}" for k, v in asdict(chosen).items() if {"tp": tp, "pp": pp, "ep": ep, "dp": dp}[k] is None
    )
    return chosen, [f"layout not given in full: {words} chosen, the smallest replica that fits"]


def least_count(ops: Operators, table: PlatformTable, load: Workload) -> int | None:
    """The smallest number of accelerators on which one request of this workload fits in any legal layout."""
    part = table.platforms[0].device
    light = replace(load, concurrency=1, request_rate=None)
    if layouts.is_resident(part):
        rows = [Layout(1, n, 1, 1) for n in range(1, MOST_ACCELERATORS + 1)]
    else:
        found = layouts.enumerate_layouts(ops, part, MOST_ACCELERATORS, every_count=False)
        one = np.flatnonzero(found.dp == 1)
        rows = [Layout(int(found.tp[i]), int(found.pp[i]), int(found.ep[i]), 1) for i in one]
    if not rows:
        return None
    fits = predict(ops, table, points_of(light, rows), checked=True).fits
    return min((row.count for row, ok in zip(rows, fits, strict=True) if ok), default=None)


def reason_of(
    code: int, ops: Operators, table: PlatformTable, load: Workload, *, count: int | None = None
) -> dict[str, Any]:
    """Reason code, words and the least count that would do."""
    least = least_count(ops, table, load) if code in (reasons.WEIGHTS, reasons.KV_CACHE) else None
    detail = reasons.DETAILS[code]
    if least:
        detail += f"; it fits from {least} accelerators on" + (f" (asked: {count})" if count else "")
    elif code in (reasons.WEIGHTS, reasons.KV_CACHE):
        detail += f"; it does not fit on up to {MOST_ACCELERATORS} either"
    return {"code": reasons.CODES[code], "detail": detail, "least_count": least}


def _answer(
    config: ModelConfig, ops: Operators, table: PlatformTable, platform: Platform, load: Workload, layout: Layout,
    points: Points, predictions: Predictions, money: Economics, notes: list[str],
) -> Answer:  # fmt: skip
    fits = bool(predictions.fits[0])
    inputs = {
        "model": config.id,
        "accelerator": platform.device.id,
        "count": layout.count,
        "layout": asdict(layout),
        "engine": platform.engine.name,
        "weights": platform.precision.weights,
        "activations": platform.precision.activations,
        "kv_cache": platform.precision.kv_cache,
        "compute": platform.compute,
        "workload": asdict(load),
        "economics": money.as_dict(),
        "power_scope": platform.device.power.scope,
    }
    row = table.rows(points.platform)
    budget = memory_budget(ops, row, shard_of(row, points), points, bool(table.resident[0]))
    held = memory_words(budget, predictions)
    if not fits:
        why = reason_of(int(predictions.reason[0]), ops, table, load, count=layout.count)
        return Answer(inputs, False, why, {}, None, None, held, [], platform.label, [*platform.notes, *notes])
    per_request = load.total_tokens / load.output_tokens
    arrays = metric_arrays(
        predictions, [money], points.platform, layout.count, per_request, load.request_rate is not None, table.rated_w
    )
    metrics = {name: metric.at() for name, metric in arrays.items()}
    if money.usd_per_hour is None:
        notes = [*notes, f"no price of {platform.device.id} with a source is known: give a price"]
    percentiles = {
        name: {
            q: float(percentile_of(getattr(predictions, f"{name}_s")[0], getattr(predictions, f"{name}_cv")[0], q))
            for q in ("p50", "p90", "p95", "p99")
        }
        for name in ("ttft", "itl", "latency")
        if np.isfinite(getattr(predictions, f"{name}_s")[0])
    }
    return Answer(
        inputs,
        True,
        None,
        metrics,
        BOUNDS[int(predictions.bound[0])],
        float(predictions.batch[0]),
        held,
        [asdict(spent) | {"seconds": spent.seconds} for spent in breakdown(ops, table, points, predictions)],
        platform.label,
        [*platform.notes, *notes],
        percentiles,
    )


def memory_words(budget: memory.Budget, predictions: Predictions, i: int = 0) -> dict[str, float]:
    """Bytes per engine device of point i; ``kv_bytes`` at the predicted batch, ``sequences`` that would fit."""
    batch = float(np.nan_to_num(predictions.batch[i]))
    return {
        "weights_bytes": float(budget.weights[i]),
        "kv_bytes": float(budget.kv_per_sequence[i]) * batch,
        "kv_bytes_per_sequence": float(budget.kv_per_sequence[i]),
        "activations_bytes": float(budget.activations[i]),
        "reserve_bytes": float(budget.reserve[i]),
        "usable_bytes": float(budget.usable[i]),
        "capacity_bytes": float(budget.capacity[i]),
        "sequences": float(budget.sequences[i]),
    }
