"""From design points to predictions: feasibility, steps, serving, power, intervals, in one pass.

Work is cut into chunks that fit into the cache of a core, so memory beside inputs and outputs is
constant and a million points cost a thousand times a thousand points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.mapping import layouts, reasons
from inferatlas.predict.performance.budget import memory_budget, memory_reason
from inferatlas.predict.performance.collectives import group_cost
from inferatlas.predict.performance.exchange import WIDEST, Collectives, context_code
from inferatlas.predict.performance.group_costs import group_costs, group_table, hop_costs
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import OFFLINE, Points, Predictions, empty_predictions
from inferatlas.predict.performance.power import draw
from inferatlas.predict.performance.priors import spread
from inferatlas.predict.performance.serving import Served, closed_loop, open_loop, static_batch
from inferatlas.predict.performance.serving_question import Question
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.performance.stepping import one_step_of
from inferatlas.predict.performance.widths import beyond

CHUNK_BYTES = 32_768  # of one array in a pass: the live ones stay near the core


def predict(
    ops: Operators,
    table: PlatformTable,
    points: Points,
    *,
    checked: bool = False,
    proven: bool = False,
    routing: Routing = UNIFORM,
    speculation: Speculation | None = None,
    dtype: type[np.floating] = np.float64,
) -> Predictions:
    """Predict every point.

    Parameters
    ----------
    ops : operators of the model.
    table : platforms, indexed by ``points.platform``.
    points : the questions.
    checked : the layouts are known to be legal (they come from `enumerate_layouts`).
    proven : the points were measured: where our account of layout or memory says no, it is the account that errs.
    routing : how tokens choose experts and where these sit.
    speculation : drafts to verify; None decodes token by token.
    dtype : ``np.float32`` for sweeps: the same formulas with half the memory traffic, equal to five digits.

    Returns
    -------
    Predictions, with a reason code where a point cannot be; nothing infeasible has a value.
    """
    table = table.astype(dtype)
    out = empty_predictions(len(points), like=table.byte_s)
    chunk = CHUNK_BYTES // np.dtype(dtype).itemsize
    if not (checked or proven):
        _check_layouts(ops, table, points, out)
    resident = table.resident[points.platform]
    load = np.where(np.isnan(points.concurrency), 1, np.where(points.together, 2, 0)).astype(np.int8)
    compiled = table.compiled.take(points.platform) > 0  # which take more rounds
    for on_chip, fixed, (kind, serve) in product((False, True), (False, True), enumerate(SERVED)):
        chosen = np.flatnonzero((resident == on_chip) & (compiled == fixed) & (load == kind))
        if not chosen.size:
            continue
        whole = chosen.size == len(points)
        group = points if whole else points[chosen]
        collectives = collectives_in_use(ops, table, group, on_chip).astype(dtype)
        for start in range(0, chosen.size, chunk):
            index = slice(start, start + chunk) if whole else chosen[start : start + chunk]
            part = points[index]
            _chunk(ops, table, part, out, index, collectives, on_chip, serve, proven, routing, speculation)
    return out


def _check_layouts(ops: Operators, table: PlatformTable, points: Points, out: Predictions) -> None:
    for i in np.flatnonzero(np.bincount(points.platform)):  # np.unique would import numpy.ma
        at = np.flatnonzero(points.platform == i)
        device = table.platforms[i].device
        out.reason[at] = layouts.legal(
            ops, device, points.tp[at], points.pp[at], points.ep[at], points.dp[at], points.cp[at], points.offload[at]
        )


def collectives_in_use(ops: Operators, table: PlatformTable, points: Points, resident: bool) -> Collectives:
    """Group costs of the group sizes that the points use."""
    ranks = points.tp * table.dies.take(points.platform).astype(np.int32)
    largest = int(max(ranks.max(), points.ep.max(), 2)) + 1

    def used(sizes: NDArray[np.int32]) -> NDArray[np.bool_] | None:
        marks = np.zeros((len(table.platforms), largest), dtype=bool)
        marks[points.platform, sizes] = True
        marks[:, :2] = False
        return marks if marks.any() else None

    def costs(op: str, sizes: NDArray[np.int32]):
        marks = used(sizes)
        return None if marks is None else group_costs(table, op, _reachable(table, marks))

    tensor = None if resident else costs("all_reduce", ranks)
    return Collectives(
        all_reduce=tensor,
        all_gather=None if resident or tensor is None else costs("all_gather", ranks),
        all_to_all=costs("all_to_all", np.where(points.ep > ranks, points.ep, 1)) if ops.experts else None,
        send=hop_costs(table) if ((points.pp > 1) | (points.cp > 1)).any() else None,
        **(_context_costs(table, points, ranks) if (points.cp > 1).any() else {}),
    )


def _context_costs(table: PlatformTable, points: Points, ranks: NDArray[np.int32]) -> dict[str, Any]:
    """All-reduce over shards of the context; groups that no network reaches cost nothing (their points say why)."""
    codes = np.unique(np.append(context_code(points.cp, ranks), 0)).astype(np.int32)
    costs: dict[tuple[int, int], tuple[float, float, float]] = {}
    for i in np.flatnonzero(np.bincount(points.platform)).tolist():
        network = table.platforms[i].network
        for column, code in enumerate(codes.tolist()):
            shards, stride = divmod(code, WIDEST)
            if shards and (network.scale_out or shards * stride <= network.domain):
                costs[i, column] = group_cost(network, "all_reduce", shards, stride)
    return {"context": group_table((len(table.platforms), codes.size), costs), "codes": codes}


def _reachable(table: PlatformTable, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Groups beyond the domain of a platform without scale-out have no cost (their points carry a reason)."""
    for i, platform in enumerate(table.platforms):
        if not platform.network.scale_out:
            marks[i, platform.network.domain + 1 :] = False
    return marks


def _chunk(
    ops: Operators, table: PlatformTable, points: Points, out: Predictions, index: slice | NDArray[np.intp],
    collectives: Collectives, resident: bool, serve: Callable[..., Served], proven: bool,
    routing: Routing, speculation: Speculation | None,
) -> None:  # fmt: skip
    row = table.rows(points.platform, points.clock)
    shard = shard_of(row, points)
    budget = memory_budget(ops, row, shard, points, resident, routing.redundant, speculation)
    reason = out.reason[index]
    if proven:
        budget = replace(budget, sequences=np.where(budget.sequences < 1, np.inf, budget.sequences))
    else:
        reason = np.where(reason, reason, memory_reason(budget))
        longest = ops.model.context_length or np.inf
        too_long = ops.model.span(points.input_tokens, points.output_tokens) > longest
        reason = np.where((reason == 0) & too_long, np.int8(reasons.CONTEXT), reason)
    one_step = one_step_of(
        ops, row, shard, collectives, points, budget, resident=resident, routing=routing, speculation=speculation
    )
    question = Question.of(points, row, shard, budget, ops, resident, speculation)
    served = serve(one_step, question)
    reason = np.where((reason == 0) & served.saturated, np.int8(reasons.RATE), reason)
    power, active = draw(row, points.accelerators, served, points.clock)
    ok = reason == 0
    all_ok = bool(ok.all())
    values = {
        "ttft_s": served.ttft_s,
        "itl_s": np.where(points.output_tokens > 1, served.itl_s, np.nan),
        "itl_median_s": np.where(points.output_tokens > 1, served.itl_median_s, np.nan),
        "latency_s": served.latency_s,
        "output_tokens_per_s": served.requests_per_s * points.dp.astype(row.dies.dtype) * points.output_tokens,
        "power_w": power,
        "active_w": active,
        "batch": served.batch,
        **{f.name: getattr(served, f.name) for f in fields(served) if f.name.endswith("_cv")},
        **_sigmas(table, points, served, serve, speculation),
    }
    for name, value in values.items():
        getattr(out, name)[index] = value if all_ok else np.where(ok, value, np.nan)
    out.bound[index] = served.bound
    out.reason[index] = reason


SERVED = (closed_loop, open_loop, static_batch)  # in the order of `widths.LOADS`


def _sigmas(
    table: PlatformTable, points: Points, served: Served, serve: Callable[..., Served], speculation: Speculation | None
) -> dict[str, Floats]:
    """Log standard deviations of the error of every metric; see `widths`."""
    width = table.width[SERVED.index(serve)].take(points.platform, axis=0, mode="clip")
    extra = table.surplus.take(points.platform, axis=0, mode="clip")
    factor = table.factor.take(points.platform, axis=0, mode="clip")
    # an offline run was measured at the batch that memory holds, however large
    batch = np.where(points.concurrency >= OFFLINE, 1.0, served.batch)
    far = beyond(table.platforms[0].calibration.width, batch, points.input_tokens + points.output_tokens)
    own = (served.ttft_sigma, served.itl_sigma, served.latency_sigma, served.latency_sigma, None)
    names = ("ttft_sigma", "itl_sigma", "latency_sigma", "rate_sigma", "power_sigma")
    beyond_all = np.array([bool(p.unmeasured) for p in table.platforms]).take(points.platform)
    unseen = (points.cp > 1) | (points.offload > 0) | (points.kv_offload > 0) | (points.prefix > 0) | beyond_all
    unseen = spread("technique") * (unseen | (points.clock < 1) | (speculation is not None))
    out = {}
    for i, (name, sigma) in enumerate(zip(names, own, strict=True)):
        scaled = width[:, i] if sigma is None else width[:, i] * sigma ** table.elasticity[i]
        out[name] = np.hypot(np.hypot(scaled, extra[:, i]) * factor[:, i] * far[i], unseen)
    # of one token, the latency is the time to it, and is known no better
    out["latency_sigma"] = np.where(points.output_tokens > 1, out["latency_sigma"], out["ttft_sigma"])
    return out
