"""Tabulate the steps of one replica: the law of `predict`, evaluated once on a grid, and the memory it leaves.

In: deployments that are ready to be predicted (`question.Asked`). Out: a `StepLaw` of each, on common axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.arrays import Floats
from inferatlas.predict.mapping import memory
from inferatlas.predict.performance.budget import memory_budget, memory_reason
from inferatlas.predict.performance.parts import Parts
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.power import draw, idle_power
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.serving import image
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.stepping import one_step_of
from inferatlas.predict.question import Asked, reason_of
from inferatlas.simulate.imbalance import imbalance_of
from inferatlas.simulate.law import HOST_LINK, Grid, StepLaw

PER_OCTAVE = 3.0  # knots of a grid between a number and its double
FEW = 1e-9
FAR = 1 << 17  # prompt tokens of a step beyond which its time grows in proportion: products long fill the machine


def knots(low: float, high: float, per_octave: float) -> Floats:
    """Numbers from ``low`` to ``high``, each about 2^(1/per_octave) times the one before.

    >>> knots(1, 8, 1).tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    many = max(int(np.ceil(np.log2(max(high / low, 1.0)) * per_octave)), 1)
    return low * (high / low) ** (np.arange(many + 1) / many) if high > low else np.array([low, low * 2.0])


class Wanted(NamedTuple):
    """A deployment of which one replica is to be tabulated; limits of its steps that are not the engine's."""

    one: Asked
    max_sequences: int | None = None
    step_tokens: int | None = None


def law_of(one: Asked, longest: int, *, max_sequences: int | None = None, step_tokens: int | None = None) -> StepLaw:
    """Tabulate the steps of one replica of a deployment.

    Parameters
    ----------
    one : the deployment; its layout's replicas are alike.
    longest : most tokens of a request, input and output.
    max_sequences, step_tokens : of a step, instead of the engine's; images are compiled up to the engine's batch.

    Raises
    ------
    NoFeasibleAnswer : the model does not fit.
    """
    return laws_of([Wanted(one, max_sequences, step_tokens)], longest)[0]


def laws_of(wanted: Sequence[Wanted], longest: int) -> list[StepLaw]:
    """Laws whose grids have the same axes, as those of one fleet must: each reaches as far as the largest needs.

    A machine keeps its own limits in ``max_sequences`` and ``step_tokens``. Batches that differ are tabulated up to a
    power of two, so that those of compiled images stay on the grid.

    Raises
    ------
    NoFeasibleAnswer : a model does not fit.
    """
    machines = [_machine(one, longest) for one in wanted]
    limits = {machine.sequences for machine in machines}
    most = max(limits) if len(limits) == 1 else int(2 ** np.ceil(np.log2(max(limits))))
    chunk = max(machine.chunk for machine in machines)
    return [_law(machine, most, longest, chunk) for machine in machines]


@dataclass(frozen=True, slots=True, eq=False)
class _Machine:
    """One replica before it is tabulated; ``chunk``: most prompt tokens of a step for which it has to be exact."""

    one: Asked
    points: Points
    row: Any
    shard: Any
    budget: memory.Budget
    resident: bool
    room: dict[str, Any]
    sequences: int
    step_tokens: int
    chunk: int


def _machine(wanted: Wanted, longest: int) -> _Machine:
    one = wanted.one
    points = one.points[[0]]
    row = one.table.rows(points.platform, points.clock)
    shard = shard_of(row, points)
    resident = bool(one.table.resident[points.platform[0]])
    budget = memory_budget(one.ops, row, shard, points, resident, 0, one.speculation)
    code = int(memory_reason(budget)[0])
    if code:
        reason = reason_of(code, one.ops, one.table, one.load, count=one.layout.count, speculation=one.speculation)
        raise NoFeasibleAnswer(reason["detail"], code=reason["code"], least_count=reason["least_count"], field="count")
    room = _room(one, row, shard, points, resident, budget)
    own = int(min(row.max_sequences[0], 1024))
    most = int(wanted.max_sequences or own)
    if row.compiled[0] > 0:
        held = max(1, int(room["sequences"]))
        most = int(2 ** np.floor(np.log2(min(most, own, held))))
    most = max(1, min(most, room["blocks"] if room["blocks"] < 1 << 30 else most))
    tokens = int(wanted.step_tokens or row.step_tokens[0])
    whole = resident or one.ops.whole_prompts
    return _Machine(one, points, row, shard, budget, resident, room, most, longest if whole else tokens,
                    longest if whole else min(tokens, longest * most, FAR))  # fmt: skip


def _law(it: _Machine, most: int, longest: int, chunk: int) -> StepLaw:
    one, row, room = it.one, it.row, it.room
    collectives = collectives_in_use(one.ops, one.table, it.points, it.resident)
    step = one_step_of(
        one.ops, row, it.shard, collectives, it.points, it.budget, resident=it.resident, speculation=one.speculation
    )
    stages = 1 if it.resident else int(it.points.pp[0])
    grid = _tabulate(step, row, it.points, most, longest, chunk, stages, float(row.interference[0]),
                     bool(row.compiled[0] > 0), one.ops.layers)  # fmt: skip
    replica = one.layout.count // one.layout.dp
    drafts = one.speculation if one.speculation is not None and one.speculation.gamma else None
    return StepLaw(
        grid=grid, blocks=room["blocks"], block_tokens=room["block_tokens"], fixed_blocks=room["fixed_blocks"],
        block_bytes=room["block_bytes"], request_s=float(row.request_s[0]),
        prompt_token_s=float(row.prompt_token_s[0]), idle_w=float(idle_power(row)[0]) * replica, accelerators=replica,
        max_sequences=it.sequences, step_tokens=it.step_tokens, lanes=stages,
        weight_bytes=float(it.budget.weights[0]) * replica, queries=1 if drafts is None else drafts.queries,
        speculation=drafts, imbalance=imbalance_of(step, one.ops, row, it.shard),
        host_bytes_per_s=_host_rate(one) * replica,
    )  # fmt: skip


def _room(one: Asked, row: Any, shard: Any, points: Points, resident: bool, budget: memory.Budget) -> dict[str, Any]:
    """Blocks of the cache: what one token adds, what a sequence keeps whatever its length, how many fit (section 3)."""
    left = float(((budget.usable - budget.weights - budget.activations - budget.reserve) * row.room)[0])
    block = int(row.block[0])
    ranks = 1.0 if resident else shard.ranks_f

    def held(tokens: float) -> float:
        size = memory.kv_bytes(one.ops, ranks, shard.stages_f, tokens, row.bytes_kv, block=1, resident=resident)
        return float((size if shard.cp_f is None else size / shard.cp_f)[0])

    usual = float(points.input_tokens[0] + 0.5 * points.output_tokens[0])
    if shard.kv_offload is not None:  # what does not wait elsewhere
        left = float(budget.sequences[0] * budget.kv_per_sequence[0])
    fixed, whole = held(0.0), held(usual)
    per_token = (whole - fixed) / usual
    devices = one.layout.count / one.layout.dp
    many = float(budget.sequences[0] * row.room[0])
    if per_token * usual <= FEW * max(fixed, 1.0):  # states of one size: a block is a sequence
        count = int(left // fixed) if fixed > 0 else 1 << 30
        return {"blocks": count, "block_tokens": 1 << 30, "fixed_blocks": 0, "block_bytes": fixed * devices,
                "sequences": many}  # fmt: skip
    size = per_token * block
    return {"blocks": int(left // size), "block_tokens": block, "fixed_blocks": int(np.ceil(fixed / size)),
            "block_bytes": size * devices, "sequences": many}  # fmt: skip


def _host_rate(one: Asked) -> float:
    """B/s between one accelerator and its host."""
    known = (tier.bytes_per_s for tier in one.platform.device.behind if tier.name == "host")
    return next((rate for rate in known if rate), HOST_LINK)


@dataclass(frozen=True, slots=True)
class _Working:
    """A step that is all there is, for `power.draw`."""

    average: Parts
    duty: Floats


def _tabulate(
    step: Any, row: Any, points: Points, most: int, longest: int, chunk: int, stages: int, interference: float,
    compiled: bool, layers: int,
) -> Grid:  # fmt: skip
    batch = np.arange(most + 1, dtype=np.float64)
    batches = np.unique(np.concatenate(([0.0], np.round(knots(1.0, float(max(most, 2)), PER_OCTAVE)))))
    batches = batches[batches <= most] if most > 1 else np.array([0.0, 1.0])
    context = knots(min(16.0, longest / 2), float(longest), 2)
    wide = knots(min(64.0, longest / 2), float(longest), 0.5)
    tokens = knots(1.0, float(max(chunk, 2)), PER_OCTAVE)
    pairs = np.concatenate(([0.5], knots(min(64.0, longest / 2), float(longest), 2)))
    outputs = np.concatenate(([0.0], knots(1.0, float(most + min(chunk, most)), PER_OCTAVE)))
    slowest = max(np.ceil(layers / stages) / layers * stages, 1.0) if stages > 1 else 1.0
    replica = int(points.tp[0] * points.pp[0] * points.cp[0])
    idle = float(idle_power(row)[0]) * replica

    def joules(parts: Parts, seconds: Floats) -> Floats:
        """Above idle, which runs all the time; of a lane of a pipeline its share."""
        busy = _Working(parts, np.ones_like(parts.total))
        active = draw(row, replica, busy, points.clock)[1]
        return (active - idle) * seconds / stages

    def steps(b: Floats, m: Floats, n: Floats | None = None, p: Floats | None = None, k: Floats | float = 1.0):
        b = image(np.full(b.shape, compiled), np.maximum(b, 1.0)) * (b > 0) if compiled else b
        if n is None or p is None:
            parts = step(prefill=None, cached=None, decode=b, context=m)
        else:  # so many pairs, whatever the prompts: several have fewer than one that is as long as all of them
            parts = step(prefill=n / k, cached=p - 0.5 * n / k, decode=b, context=m, prompts=k)
        parts = parts.times(slowest) if slowest > 1 else parts
        return parts.total, parts

    def both(seconds: Floats, parts: Parts, shape: tuple[int, ...]) -> Floats:
        return np.stack([seconds, joules(parts, seconds)], axis=-1).reshape(*shape, 2)

    b, m = (x.ravel() for x in np.meshgrid(batch[1:], context, indexing="ij"))
    decode = np.concatenate([np.zeros((1, context.size, 2)), both(*steps(b, m), (most, context.size))])
    shape = (batches.size, wide.size, tokens.size, pairs.size)
    b, m, n, p = (x.ravel() for x in np.meshgrid(batches, wide, tokens, pairs, indexing="ij"))
    seconds, parts = steps(b, m, n, p)
    b2, m2 = (x.ravel() for x in np.meshgrid(batches, wide, indexing="ij"))
    alone = np.where(b2 > 0, steps(np.maximum(b2, 1.0), m2)[0], 0.0).reshape(shape[:2])[:, :, None, None]
    alone = np.broadcast_to(alone, shape).ravel()
    # what a prompt adds to the decode step it joins is calibrated (interference)
    felt = np.where(b > 0, alone + np.maximum(seconds - alone, 0.0) * interference, seconds)
    mixed = both(felt, parts, shape)
    k = np.maximum(outputs, 1.0)
    one = np.full_like(k, k[-1])  # as many tokens and pairs, in one prompt or in many
    seconds, parts = steps(np.zeros_like(k), np.ones_like(k), one, 0.0 * one, k)
    several = both(seconds, parts, k.shape)
    return Grid(batches, context, tokens, pairs, outputs, wide, decode, mixed, several - several[0])
