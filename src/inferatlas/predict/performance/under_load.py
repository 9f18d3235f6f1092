"""The steps behind predictions, looked at again: what they are spent on, and what they depend on.

Predictions keep means. Whoever asks why (what binds, what varies) needs the steps at the predicted batch: a decode
step, one that also carries a chunk of a prompt, and how often that happens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.budget import memory_budget
from inferatlas.predict.performance.parts import Parts
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.serving import load_of
from inferatlas.predict.performance.serving_question import Question
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.performance.stepping import one_step_of


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """Steps at the predicted batch, arrays of one entry a point; seconds.

    ``batch`` sequences that decode in a micro-batch; ``slope`` seconds per further sequence; ``added`` by a chunk of
    a prompt; ``carried`` such chunks per step, in a ``share`` of the steps; ``chunks`` of a request's own prompt;
    ``experts`` share of the decode step.
    """

    batch: Floats
    decode: Parts
    mixed: Parts
    slope: Floats
    added: Floats
    carried: Floats
    share: Floats
    chunks: Floats
    experts: Floats


def under_load(
    ops: Operators, table: PlatformTable, points: Points, predictions: Predictions, routing: Routing = UNIFORM,
    speculation: Speculation | None = None,
) -> UnderLoad:  # fmt: skip
    """Evaluate the steps of predictions; platforms of one kind (resident or not) at a time."""
    resident = bool(table.resident[points.platform].all()) if len(points) else False
    row = table.rows(points.platform, points.clock)
    shard = shard_of(row, points)
    collectives = collectives_in_use(ops, table, points, resident)
    budget = memory_budget(ops, row, shard, points, resident, routing.redundant, speculation)
    one_step = one_step_of(
        ops, row, shard, collectives, points, budget, resident=resident, routing=routing, speculation=speculation
    )
    question = Question.of(points, row, shard, budget, ops, resident, speculation)
    running = np.nan_to_num(predictions.batch.astype(np.float64), nan=1.0)
    seen = np.where(np.isnan(points.request_rate), running, np.minimum(running + 1.0, question.slots))
    load = load_of(one_step, question, seen, question.rate)
    zero = np.zeros(len(points))
    spent: dict[str, Floats] = {}

    def sink(name: str, count: int, **seconds: Floats) -> None:
        for part in seconds.values():
            spent[name] = spent.get(name, zero) + part

    alone = one_step(prefill=None, cached=None, decode=load.batch, context=question.context, sink=sink)
    more = one_step(prefill=None, cached=None, decode=load.batch + 1.0, context=question.context)
    alive = ~points.together  # none joins a static batch
    return UnderLoad(
        question.decoding(seen), load.decode, load.mixed, np.maximum(more.total - alone.total, 0.0), load.added,
        load.carried * alive, load.share * alive, question.chunks, spent.get("experts", zero) / alone.total,
    )  # fmt: skip


def spending(under: UnderLoad, points: Points) -> dict[str, Floats]:
    """Shares of a request's time by what it waits for, prompts of its own and of others included; they add to 1.

    The same account as ``bound`` of `Predictions`: the largest share binds, unless memory limits the batch. Steps of
    several chunks are extrapolated from one; what such a chunk would hide more than there is, counts as 0.
    """
    gaps = np.maximum(points.output_tokens.astype(np.float64) - 1.0, 0.0)
    average = under.decode.towards(under.mixed, under.share)
    names = {"compute": "compute", "memory": "memory_bandwidth", "network": "interconnect", "overhead": "overhead"}
    seconds = {
        name: np.maximum(getattr(under.mixed, part) * under.chunks + gaps * getattr(average, part), 0.0)
        for part, name in names.items()
    }
    whole = np.sum(list(seconds.values()), axis=0)
    return {name: spent / whole for name, spent in seconds.items()}
