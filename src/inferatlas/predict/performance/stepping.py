"""The step of a set of points, put together: kernels or on-chip memory, what waits in slower memory, drafts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.mapping.memory import Budget
from inferatlas.predict.performance.exchange import Collectives
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.prepared import prepare
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.speculation import OneStep, Speculation, own_head, speculative
from inferatlas.predict.performance.step import run


def one_step_of(
    ops: Operators, row: PlatformTable, shard: Shard, collectives: Collectives, points: Points, budget: Budget, *,
    resident: bool, routing: Routing = UNIFORM, speculation: Speculation | None = None,
) -> OneStep:  # fmt: skip
    """A function from loads to `Parts`, as `step.run` takes them, for points that are all resident or none."""
    waits = waiting_cache(shard, points, budget)

    def of(some: Operators, shard: Shard, bytes_waiting: Floats | float) -> OneStep:
        if resident:
            return partial(resident_step, some, row, shard, collectives, routing=routing, cache_bytes=bytes_waiting)
        return partial(run, prepare(some, row, shard, collectives, routing, bytes_waiting))

    if speculation is None or speculation.gamma == 0:
        return of(ops, shard, waits)
    # drafts stay in main memory, their experts divided as everything else
    at_hand = replace(shard, offload=None, kv_offload=None, ep=np.ones_like(shard.ep), ep_f=np.ones_like(shard.ep_f))
    drafts = of(speculation.draft or own_head(ops.model), at_hand, 0.0)
    return speculative(of(ops, shard, waits), drafts, speculation)


def waiting_cache(shard: Shard, points: Points, budget: Budget) -> Floats | float:
    """Bytes of the KV cache in slower memory per engine device, of the requests in flight that memory holds."""
    if shard.kv_offload is None:
        return 0.0
    flying = np.where(np.isnan(points.concurrency), np.inf, points.concurrency / points.dp)
    held = np.minimum(np.nan_to_num(budget.sequences, posinf=0.0), flying)
    return budget.kv_waiting * np.maximum(held, 1.0)
