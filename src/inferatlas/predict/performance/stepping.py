"""The step of a set of points, put together: kernels or on-chip memory, what waits in slower memory, drafts."""

from __future__ import annotations

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

    def of(some: Operators, bytes_waiting: Floats | float) -> OneStep:
        if resident:
            return partial(resident_step, some, row, shard, collectives)
        return partial(run, prepare(some, row, shard, collectives, routing, bytes_waiting))

    if speculation is None or speculation.gamma == 0:
        return of(ops, waits)
    return speculative(of(ops, waits), of(speculation.draft or own_head(ops.model), 0.0), speculation)


def waiting_cache(shard: Shard, points: Points, budget: Budget) -> Floats | float:
    """Bytes of the KV cache in slower memory per engine device, of the requests in flight that memory holds."""
    if shard.cache_offload is None:
        return 0.0
    flying = np.where(np.isnan(points.concurrency), np.inf, points.concurrency / points.dp)
    held = np.minimum(np.nan_to_num(budget.sequences, posinf=0.0), flying)
    return shard.cache_offload * budget.kv_per_sequence * np.maximum(held, 1.0)
