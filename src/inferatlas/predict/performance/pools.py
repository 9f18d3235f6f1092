"""Prefill and decode on machines of their own: what each pool sees of a load, and what passes between them, (49).

A prefill pool runs steps of prompts only, a decode pool steps that carry none. Both take the points, the steps and
the memory of predictions (`predictor.predict`), so that they differ from a mixed server in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping import memory, reasons
from inferatlas.predict.performance.arguments import Array, floats
from inferatlas.predict.performance.arrivals import arrival_noise, boundary_noise
from inferatlas.predict.performance.budget import budget_of, memory_budget, memory_reason
from inferatlas.predict.performance.parts import TINY, Parts
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points, Predictions
from inferatlas.predict.performance.power import draw
from inferatlas.predict.performance.predictor import collectives_in_use
from inferatlas.predict.performance.roots import root
from inferatlas.predict.performance.serving import HAIR, SATURATED, STAIRS, Load, OneStep, image, load_of
from inferatlas.predict.performance.serving_question import Question
from inferatlas.predict.performance.shard import shard_of
from inferatlas.predict.performance.stepping import one_step_of
from inferatlas.predict.performance.under_load import under_load

CROWD = 256.0  # prompts in one step; more neither speed it up nor come together


@dataclass(frozen=True, slots=True)
class Uses:
    """Shares in use of the peak compute, the peak memory bandwidth and the memory of a deployment."""

    compute: Floats
    bandwidth: Floats
    capacity: Floats


@dataclass(frozen=True, slots=True)
class PrefillPool:
    """Prompts alone, arrays of one entry a point; means over requests, seconds, W of the pool.

    ``prompt_s`` is T_pre, all chunks of a prompt once started and alone; ``ttft_s`` with the wait and the prompts that
    share its steps; ``batch`` prompts per replica, waiting or computed; ``fastest`` requests/s of the pool if it never
    waits (``n_p/D_p`` of (49)); ``reason`` is 0 where the pool serves the rate of the point.
    """

    ttft_s: Floats
    ttft_cv: Floats
    prompt_s: Floats
    batch: Floats
    fastest: Floats
    power_w: Floats
    average: Parts
    duty: Floats
    reason: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class DecodePool:
    """Answers alone, arrays of one entry a point; means over requests, seconds, W of the pool.

    ``itl_s`` between two tokens, once decoding; ``wait_s`` for a free place and the end of the step that runs;
    ``batch`` sequences that decode per replica; ``fastest`` requests/s of the pool with every place taken.
    """

    itl_s: Floats
    itl_cv: Floats
    wait_s: Floats
    batch: Floats
    fastest: Floats
    power_w: Floats
    average: Parts
    duty: Floats
    reason: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of points and what serving needs to know of them."""

    one_step: OneStep
    question: Question
    budget: memory.Budget
    row: PlatformTable


def _steps(ops: Operators, table: PlatformTable, points: Points) -> _Steps:
    resident = bool(table.resident[points.platform].all()) if len(points) else False
    row = table.rows(points.platform)
    shard = shard_of(row, points)
    collectives = collectives_in_use(ops, table, points, resident)
    budget = memory_budget(ops, row, shard, points, resident)
    one_step = one_step_of(ops, row, shard, collectives, points, budget, resident=resident)
    return _Steps(one_step, Question.of(points, row, shard, budget, ops, resident), budget, row)


def undisturbed(table: PlatformTable) -> PlatformTable:
    """A table whose prompts cost what their steps take: no answers share the steps of a prefill pool.

    ``interference`` was learned from steps that answers share (0.9 or so of the step's own time).
    """
    return replace(table, interference=np.ones_like(table.interference))


def prefill_points(points: Points) -> Points:
    """The same requests, each with its first token only."""
    return replace(points, output_tokens=np.ones_like(points.output_tokens), output_cv=np.zeros_like(points.output_cv))


def prefill_pool(ops: Operators, table: PlatformTable, points: Points, rounds: int = 6) -> PrefillPool:
    """A pool of ``points.dp`` replicas that computes prompts only, under Poisson arrivals at ``request_rate``.

    Prompts wait as in M/G/1 (42), at the pace of full steps. Those that come faster than steps share a step, as many
    as come while one runs and its token budget holds; then they also wait for half of the step that runs (43).

    Examples
    --------
    >>> from inferatlas.predict.llm.operators import operators
    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.performance.platform_table import platform_table
    >>> from inferatlas.predict.performance.points import make_points
    >>> from inferatlas.predict.platforms import bind
    >>> ops, table = operators(load_model("llama-3.1-8b")), platform_table([bind("h100")])
    >>> pool = prefill_pool(ops, table, make_points(0, request_rate=[1, 2], input_tokens=4096, output_tokens=512))
    >>> bool(pool.ttft_s[0] < pool.ttft_s[1]), bool((pool.ttft_s > pool.prompt_s).all())
    (True, True)
    """
    first = prefill_points(points)
    steps = _steps(ops, undisturbed(table), first)
    q = steps.question
    most = np.maximum(np.minimum(q.prompts, q.slots / q.stages), 1.0)

    def load(k: Floats) -> Load:
        """Steps of k prompts each."""
        return load_of(steps.one_step, q, k * q.stages)

    one = np.ones(len(points))
    alone, full = load(one), load(np.minimum(most, CROWD))
    together = one
    if ((most > 1.0) & (q.rate * alone.prompt_s > 1.0)).any():  # some come faster than steps of one
        together = root(lambda k: q.rate * k * load(k).prompt_s - k, one, np.minimum(most, CROWD), rounds)
    now = load(together)
    fastest = np.maximum(np.maximum(alone.fastest, full.fastest), now.fastest)
    busy = np.minimum(q.rate / fastest, SATURATED)
    wait = busy * (1.0 + q.input_cv**2) / (2.0 * (1.0 - busy)) * now.prompt_s
    wait += 0.5 * now.mixed.total * (1.0 - 1.0 / together)
    ttft = now.prefill_s + wait + q.request_s
    prefill_share, wait_share = now.prefill_s / ttft, wait / ttft
    duty = np.minimum(q.rate * now.prompt_s, 1.0)
    return PrefillPool(
        ttft, np.sqrt((prefill_share * q.input_cv) ** 2 + wait_share**2), alone.prefill_s, q.rate * ttft,
        fastest * points.dp, draw(steps.row, points.accelerators, _Busy(now.mixed, duty))[0], now.mixed, duty,
        _reason(ops, steps, points, q.rate >= SATURATED * fastest),
    )  # fmt: skip


def decode_pool(
    ops: Operators, table: PlatformTable, points: Points, held_s: Floats | float = 0.0, rounds: int = 8
) -> DecodePool:
    """A pool of ``points.dp`` replicas whose steps carry no prompt, under Poisson arrivals at ``request_rate``.

    Sequences that decode follow from Little's law (44): the least n that solves ``n = λ G s(n + 1)`` per replica, a
    request being one more than those that it finds (44b). At most as many as memory and engine let run (46), less
    those places that are taken while a cache is under way.

    Parameters
    ----------
    points : requests; all but the first of their output tokens are decoded here.
    held_s : seconds that a place is held before decoding starts: blocks are free before the cache is sent.

    Examples
    --------
    >>> from inferatlas.predict.llm.operators import operators
    >>> from inferatlas.catalogue.models import load_model
    >>> from inferatlas.predict.performance.platform_table import platform_table
    >>> from inferatlas.predict.performance.points import make_points
    >>> from inferatlas.predict.platforms import bind
    >>> ops, table = operators(load_model("llama-3.1-8b")), platform_table([bind("h100")])
    >>> pool = decode_pool(ops, table, make_points(0, request_rate=[1, 8], input_tokens=1024, output_tokens=256))
    >>> bool(pool.batch[0] < pool.batch[1]), bool(pool.itl_s[0] < pool.itl_s[1])
    (True, True)
    """
    steps = _steps(ops, table, points)
    q, row = steps.question, steps.row

    def decoding(n: Floats) -> tuple[Floats, Parts]:
        """Time between two tokens with n sequences per replica, and the steps behind it."""
        parts = steps.one_step(
            prefill=None, cached=None, decode=image(q.compiled, np.maximum(n / q.stages, 1.0)), context=q.context
        )
        parts = parts.times(np.maximum(np.minimum(np.maximum(n, 1.0), q.stages) * q.slowest, 1.0))
        return parts.total / q.accepted, parts

    held = np.minimum(q.rate * held_s, q.slots)
    most = np.maximum(q.slots - held, 1.0)
    full = decoding(q.slots)[0]
    fastest = q.slots / (q.gaps * full + held_s)
    n = _least(q, lambda x: q.rate * q.gaps * decoding(np.clip(x + 1.0, 1.0, most))[0] - x, most, rounds)
    itl, parts = decoding(np.clip(n + 1.0, 1.0, most))
    running = np.minimum(q.rate * q.gaps * itl, most)
    duty = np.minimum(running / q.stages, 1.0)
    busy = np.minimum(q.rate / fastest, SATURATED)
    crowd = busy ** (np.sqrt(2.0 * (q.slots + 1.0)) - 1.0) / (1.0 - busy)  # Sakasegawa, as mixed servers (46)
    door = 0.5 * (1.0 + q.output_cv**2) * (q.gaps * full + held_s) / q.slots * crowd
    boundary = 0.5 * parts.total * np.minimum(running, 1.0)
    slope = np.maximum(decoding(n + 2.0)[0] - itl, 0.0)
    noise = arrival_noise(slope * running / itl, np.zeros_like(n), running)
    return DecodePool(
        itl, np.sqrt(noise.request + boundary_noise(running, np.maximum(q.gaps, 1.0))), door + boundary, running,
        fastest * points.dp, draw(row, points.accelerators, _Busy(parts, duty))[0], parts, duty,
        _reason(ops, steps, points, q.rate >= SATURATED * fastest),
    )  # fmt: skip


def _reason(ops: Operators, steps: _Steps, points: Points, saturated: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Why a pool cannot be, by `reasons`; 0 where it can."""
    reason = memory_reason(steps.budget)
    long = ops.model.span(points.input_tokens, points.output_tokens) > (ops.model.context_length or np.inf)
    reason = np.where((reason == 0) & long, reasons.CONTEXT, reason)
    return np.where((reason == 0) & saturated, reasons.RATE, reason).astype(np.int8)


@dataclass(frozen=True, slots=True)
class _Busy:
    average: Parts
    duty: Floats


def _least(q: Question, more: Callable[[Floats], Floats], most: Floats, rounds: int) -> Floats:
    """The least number of sequences that settles; of compiled batches, below the smallest that suffices."""
    low, high = np.zeros_like(most), most - 1.0
    seeking = q.compiled.copy()
    for size in 2.0 ** np.arange(STAIRS):
        if not seeking.any():
            break
        end = np.minimum(size * q.stages * (1.0 - HAIR), most) - 1.0
        onward = seeking & (more(end) > 0) & (end < most - 1.0)
        high = np.where(seeking & ~onward, end, high)
        low = np.where(onward, np.minimum(size * q.stages * (1.0 + HAIR), most) - 1.0, low)
        seeking = onward
    return root(more, low, np.maximum(high, low), rounds)


def served_uses(ops: Operators, table: PlatformTable, points: Points, predictions: Predictions) -> Uses:
    """What predictions of mixed servers keep busy."""
    under = under_load(ops, table, points, predictions)
    row = table.rows(points.platform)
    stages = np.where(row.resident, 1.0, points.pp.astype(np.float64))
    batch = np.nan_to_num(predictions.batch.astype(np.float64))
    average = under.decode.towards(under.mixed, under.share)
    return _uses(ops, table, points, average, np.minimum(batch / stages, 1.0), batch)


def pool_uses(ops: Operators, table: PlatformTable, points: Points, pool: PrefillPool | DecodePool) -> Uses:
    """What a pool keeps busy; the points of a prefill pool are those of `prefill_points`."""
    return _uses(ops, table, points, pool.average, pool.duty, pool.batch)


def _uses(ops: Operators, table: PlatformTable, points: Points, average: Parts, duty: Floats, running: Floats) -> Uses:
    row, budget = table.rows(points.platform), budget_of(ops, table, points)
    total = np.maximum(average.total, TINY)
    held = budget.weights + budget.activations + budget.reserve + budget.kv_per_sequence * running
    return Uses(
        np.minimum(average.flop_s * row.compute_efficiency / total, 1.0) * duty,
        np.minimum(average.byte_s * row.memory_efficiency / total, 1.0) * duty,
        np.minimum(held / budget.capacity, 1.0),
    )


def pool_ratio(
    prompt_s: ArrayLike, prefill_use: ArrayLike, tokens: ArrayLike, step_s: ArrayLike, batch: ArrayLike,
    decode_use: ArrayLike = 1.0,
) -> Array:  # fmt: skip
    """Prefill over decode replicas, equation (49): ``(T_pre/ρ_p)/(G s(b)/(b ρ_d))``; the rate cancels.

    Parameters
    ----------
    prompt_s : T_pre, seconds that a prompt keeps a prefill replica busy.
    prefill_use, decode_use : ρ_p and ρ_d, shares of the time in which they may be busy.
    tokens, step_s, batch : G tokens a request, steps of s seconds with b sequences.

    Examples
    --------
    >>> float(pool_ratio(0.4, 0.8, 500, 0.02, 40, 1.0))
    2.0
    """
    prefill = floats(prompt_s, "prompt_s", 0) / floats(prefill_use, "prefill_use", above=0, high=1)
    decode = floats(tokens, "tokens", above=0) * floats(step_s, "step_s", above=0)
    return prefill * floats(batch, "batch", above=0) * floats(decode_use, "decode_use", above=0, high=1) / decode


def goodput(
    prefill: ArrayLike, prompt_s: ArrayLike, decode: ArrayLike, batch: ArrayLike, tokens: ArrayLike, step_s: ArrayLike
) -> Array:
    """Requests per second that both pools keep up with, equation (49): ``min(n_p/D_p, n_d b/(G s))``.

    Parameters
    ----------
    prefill, decode : replicas of each pool. prompt_s : D_p. batch, tokens, step_s : b, G and s(b) of decode.

    Examples
    --------
    >>> float(goodput(2, 0.4, 1, 40, 500, 0.02))
    4.0
    """
    first = floats(prefill, "prefill", 0) / floats(prompt_s, "prompt_s", above=0)
    steps = floats(tokens, "tokens", above=0) * floats(step_s, "step_s", above=0)
    return np.minimum(first, floats(decode, "decode", 0) * floats(batch, "batch", 0) / steps)
