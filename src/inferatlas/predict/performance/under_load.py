"""The steps behind predictions, looked at again: what they are spent on, and what they depend on.

Predictions keep means. Whoever asks why (what binds, what varies) needs the steps at the predicted batch: a decode
step, one that also carries a chunk of a prompt, and how often that happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.platform import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.resident import resident_step
from inferatlas.predict.performance.serving import image
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.step import Parts, prepare, run

HIDDEN = 1e-9  # of a step: what a prompt adds below this is rounding


@dataclass(frozen=True, slots=True)
class UnderLoad:
    """Steps at the predicted batch, arrays of one entry a point; seconds.

    ``batch`` sequences of a micro-batch; ``slope`` seconds per further sequence; ``added`` by a chunk of a prompt;
    ``carried`` such chunks per step; ``chunks`` of a request's own prompt; ``experts`` share of the decode step.
    """

    batch: Floats
    decode: Parts
    mixed: Parts
    slope: Floats
    added: Floats
    carried: Floats
    chunks: Floats
    experts: Floats


def under_load(
    ops: Operators, table: PlatformTable, points: Points, predictions: Predictions, routing: Routing = UNIFORM
) -> UnderLoad:
    """Evaluate the steps of predictions; platforms of one kind (resident or not) at a time."""
    resident = bool(table.resident[points.platform].all()) if len(points) else False
    row = table.rows(points.platform)
    shard = shard_of(row, points)
    collectives = collectives_in_use(ops, table, points, resident)
    if resident:
        one_step = partial(resident_step, ops, row, shard, collectives)
    else:
        one_step = partial(run, prepare(ops, row, shard, collectives, routing))
    tokens = points.input_tokens.astype(np.float64)
    stages = np.ones(len(points)) if resident else shard.stages_f
    running = np.nan_to_num(predictions.batch.astype(np.float64), nan=1.0)
    batch = np.maximum(running / stages, 1.0)
    size = image(row.compiled > 0, batch)
    context = tokens + 0.5 * points.output_tokens
    chunks = np.ones(len(points)) if resident else np.maximum(tokens / (row.step_tokens * points.cp), 1.0)
    zero = np.zeros(len(points))
    spent: dict[str, Floats] = {}

    def sink(name: str, count: int, **seconds: Floats) -> None:
        for part in seconds.values():
            spent[name] = spent.get(name, zero) + part

    decode = one_step(prefill=None, cached=None, decode=size, context=context, sink=sink)
    more = one_step(prefill=None, cached=None, decode=size + 1.0, context=context)
    others = size * np.clip(size - 1.0, 0.0, 1.0)
    mixed = one_step(
        prefill=tokens / chunks, cached=0.5 * tokens * (chunks - 1.0) / chunks, decode=others, context=context
    )
    added = np.maximum(mixed.total - decode.total, 0.0) * row.interference
    itl = np.where(points.output_tokens > 1, predictions.itl_s, decode.total)
    gaps = np.maximum(points.output_tokens.astype(np.float64) - 1.0, 0.0)
    room = np.inf if resident else row.step_tokens * points.cp / tokens  # prompts in the token budget of a step
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.maximum(itl * row.accepted - decode.total, 0.0) / added
        # prompts that hide behind streams of weights leave no trace in the gaps: each of the others brings one
        due = chunks * np.minimum(np.maximum(running - 1.0, 0.0) * row.accepted / (gaps * stages), room)
    carried = np.where(added > HIDDEN * decode.total, seen, np.where(gaps > 0, due, 0.0))
    return UnderLoad(
        batch, decode, mixed, np.maximum(more.total - decode.total, 0.0), added, carried, chunks,
        spent.get("experts", zero) / decode.total,
    )  # fmt: skip


def spending(under: UnderLoad, points: Points) -> dict[str, Floats]:
    """Shares of a request's time by what it waits for, prompts of its own and of others included; they add to 1.

    The same account as ``bound`` of `Predictions`: the largest share binds, unless memory limits the batch. Steps of
    several chunks are extrapolated from one; what such a chunk would hide more than there is, counts as 0.
    """
    gaps = np.maximum(points.output_tokens.astype(np.float64) - 1.0, 0.0)
    average = under.decode.towards(under.mixed, under.carried)
    names = {"compute": "compute", "memory": "memory_bandwidth", "network": "interconnect", "overhead": "overhead"}
    seconds = {
        name: np.maximum(getattr(under.mixed, part) * under.chunks + gaps * getattr(average, part), 0.0)
        for part, name in names.items()
    }
    whole = np.sum(list(seconds.values()), axis=0)
    return {name: spent / whole for name, spent in seconds.items()}
