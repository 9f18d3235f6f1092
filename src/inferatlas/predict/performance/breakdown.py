"""Where the time of one point goes, operator by operator, for one decode step and one prefill step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.serving import image
from inferatlas.predict.performance.serving_question import Question
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.performance.stepping import one_step_of
from inferatlas.predict.performance.under_load import under_load


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one operator in one step, by what they are spent on; ``share`` of the step."""

    phase: str
    operator: str
    count: int
    compute_s: float
    memory_s: float
    network_s: float
    overhead_s: float
    share: float

    @property
    def seconds(self) -> float:
        return self.compute_s + self.memory_s + self.network_s + self.overhead_s


def breakdown(
    ops: Operators, table: PlatformTable, points: Points, predictions: Predictions, routing: Routing = UNIFORM,
    speculation: Speculation | None = None,
) -> list[Spent]:  # fmt: skip
    """Operators of a prompt's step alone and of a decode step at the predicted batch, for a single point.

    Where requests have one output token, or yield a vector, nothing is decoded.
    """
    row = table.rows(points.platform, points.clock)
    shard = shard_of(row, points)
    resident = bool(table.resident[points.platform[0]])
    collectives = collectives_in_use(ops, table, points, resident)
    budget = memory_budget(ops, row, shard, points, resident, routing.redundant, speculation)
    one_step = one_step_of(
        ops, row, shard, collectives, points, budget, resident=resident, routing=routing, speculation=speculation
    )
    question = Question.of(points, row, shard, budget, ops, resident, speculation)
    batch = image(row.compiled > 0, under_load(ops, table, points, predictions, routing, speculation).batch)
    zero = np.zeros(1)
    loads = {
        "prefill": {"prefill": question.chunk, "cached": question.prefix, "decode": zero, "context": zero},
        "decode": {"prefill": None, "cached": None, "decode": batch, "context": question.context},
    }
    if points.output_tokens[0] <= 1:
        del loads["decode"]
    spent: list[Spent] = []
    for phase, load in loads.items():
        rows: list[Spent] = []
        total = one_step(**load, sink=_collector(phase, rows)).total
        spent += [replace(r, share=r.seconds / float(total[0])) for r in rows if r.seconds > 0]
    return spent


def _collector(phase: str, rows: list[Spent]) -> Callable[..., None]:
    def sink(name: str, count: int, **seconds: Floats) -> None:
        values = {f"{k}_s": float(np.asarray(v).reshape(-1)[0]) for k, v in seconds.items()}
        full = {"compute_s": 0.0, "memory_s": 0.0, "network_s": 0.0, "overhead_s": 0.0} | values
        rows.append(Spent(phase, name, count, **full, share=0.0))

    return sink
