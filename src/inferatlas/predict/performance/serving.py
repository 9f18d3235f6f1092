"""From step times to what a user sees: TTFT, ITL, latency and throughput under a load.

Steps are mixed (equation (12)): every running sequence yields a token, and some steps also carry a chunk
of a prompt. Batch size follows from Little's law and from the KV limit (equations (44) and (46)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.mapping.memory import Budget
from inferatlas.predict.performance.arrivals import arrival_noise, boundary_noise
from inferatlas.predict.performance.platform import PlatformTable
from inferatlas.predict.performance.points import BOUNDS, Points
from inferatlas.predict.performance.priors import spread
from inferatlas.predict.performance.shard import Shard
from inferatlas.predict.performance.step import TINY, Parts

OneStep = Callable[..., Parts]
LN2 = 0.6931471805599453
SATURATED = 0.98  # a rate above this share of the capacity has no steady state worth stating


@dataclass(frozen=True, slots=True)
class Question:
    """What serving needs of a chunk of points; per replica, arrays of equal length.

    ``gaps``: inter-token gaps of a request (output tokens - 1). ``chunks``: steps a prompt takes,
    ``chunk`` its tokens in each, ``fill`` the steps' token budgets it takes (short prompts share a step).
    ``accepted``: tokens a sequence yields per step. ``slots``: sequences that can run at once. ``prompts`` that
    one step of a static batch can hold.
    """

    concurrency: Floats
    rate: Floats
    gaps: Floats
    chunk: Floats
    chunks: Floats
    fill: Floats
    context: Floats
    stages: Floats
    slots: Floats
    memory_slots: Floats
    compiled: NDArray[np.bool_]
    request_s: Floats
    prompts: Floats
    interference: Floats
    grouping: Floats
    straggling: Floats
    accepted: Floats
    input_cv: Floats
    output_cv: Floats
    sigmas: tuple[Floats, Floats, Floats]  # compute, memory, overhead
    sigma_request: Floats
    experts: bool

    @staticmethod
    def of(
        points: Points, row: PlatformTable, shard: Shard, budget: Budget, ops: Operators, resident: bool
    ) -> Question:
        kind = row.dies.dtype
        step_tokens = row.step_tokens if shard.cp_f is None else row.step_tokens * shard.cp_f
        tokens, replicas = points.input_tokens.astype(kind), points.dp.astype(kind)
        # a fraction where the last chunk is short: a jump at whole chunks would make longer prompts faster
        chunks = np.maximum(tokens / step_tokens, 1.0) if not resident else np.ones_like(tokens)
        held = budget.sequences * row.room  # in flight, of those that memory has room for
        return Question(
            concurrency=points.concurrency.astype(kind) / replicas,
            rate=points.request_rate.astype(kind) / replicas,
            gaps=points.output_tokens.astype(kind) - 1.0,
            chunk=tokens / chunks,
            chunks=chunks,
            fill=tokens / step_tokens if not resident else np.zeros_like(tokens),
            context=tokens + 0.5 * points.output_tokens.astype(kind),
            stages=np.ones_like(tokens) if resident else shard.stages_f,
            slots=np.maximum(np.minimum(held, row.max_sequences), 1.0),
            memory_slots=np.maximum(held, 1.0),
            compiled=row.compiled > 0,
            request_s=row.request_s + tokens * row.prompt_token_s,
            prompts=np.maximum(step_tokens / tokens, 1.0) if not resident else np.full_like(tokens, np.inf),
            interference=row.interference,
            grouping=row.grouping,
            straggling=row.straggling,
            accepted=row.accepted,
            input_cv=points.input_cv.astype(kind),
            output_cv=points.output_cv.astype(kind),
            sigmas=(row.sigma_compute, row.sigma_memory, row.sigma_overhead),
            sigma_request=row.sigma_request,
            experts=bool(ops.experts),
        )


@dataclass(frozen=True, slots=True)
class Served:
    """What the load sees, per replica; means over requests. ``average`` is the average step.

    ``itl_median_s`` is the median gap over all tokens: most steps carry no prompt.
    """

    ttft_s: Floats
    itl_s: Floats
    itl_median_s: Floats
    latency_s: Floats
    requests_per_s: Floats
    batch: Floats
    duty: Floats
    average: Parts
    bound: NDArray[np.int8]
    saturated: NDArray[np.bool_]
    ttft_sigma: Floats
    itl_sigma: Floats
    latency_sigma: Floats
    ttft_cv: Floats
    itl_cv: Floats
    latency_cv: Floats


@dataclass(frozen=True, slots=True)
class _Load:
    """Times with ``running`` sequences in flight per replica."""

    prefill_s: Floats  # all chunks of a prompt, once started
    prompt_s: Floats  # what a prompt adds to the steps that carry it
    fastest: Floats  # prompts per second if steps carried nothing else
    itl_s: Floats
    itl_median_s: Floats
    decode: Parts
    mixed: Parts
    carried: Floats  # chunks of other requests' prompts per step and micro-batch


def image(compiled: NDArray[np.bool_], batch: Floats) -> Floats:
    """Sequences that a step costs: with fixed images, those of the next compiled batch (powers of two).

    >>> image(np.array([True, False]), np.array([5.0, 5.0])).tolist()
    [8.0, 5.0]
    """
    return np.where(compiled, np.exp2(np.ceil(np.log2(batch))), batch) if compiled.any() else batch


def _load(one_step: OneStep, q: Question, running: Floats) -> _Load:
    """Evaluate the steps with a given number of running sequences.

    With pipeline stages p, a token passes all stages in one step time of a micro-batch of B/p sequences,
    and p micro-batches are under way (equation (27) with m = p).
    """
    batch = np.maximum(running / q.stages, 1.0)  # a step that runs has a sequence in it
    batch = image(q.compiled, batch)
    decodes = (q.gaps > 0).astype(batch.dtype)  # one output token: prompts only
    decode = one_step(prefill=None, cached=None, decode=batch, context=q.context)
    # beside a prompt run the others: none of one, all of many (a fraction is an average of both)
    others = batch * np.clip(batch - 1.0, 0.0, 1.0) * decodes
    mixed = one_step(prefill=q.chunk, cached=0.5 * q.chunk * (q.chunks - 1.0), decode=others, context=q.context)
    t_decode, t_mixed = decode.total * decodes, mixed.total
    added = np.maximum(t_mixed - t_decode, 0.0) * q.interference
    prompt_s = q.chunks * added
    with np.errstate(divide="ignore", invalid="ignore"):  # no gaps, or prompts that cost nothing extra
        carried = np.maximum(running - 1.0, 0.0) * q.chunks * q.accepted / (q.gaps * q.stages)
        carried = np.where(q.gaps > 0, np.minimum(carried, q.chunks / q.fill), 0.0)  # within the token budget
        fastest = q.stages / (prompt_s + q.fill * t_decode)
    own = t_mixed * (q.chunks + q.stages - 1.0) / q.stages
    itl = (t_decode + carried * added) / q.accepted
    # the median of a Poisson count is 0 up to a mean of ln 2 and about that much below its mean from there on
    median = (t_decode + np.maximum(carried - LN2, 0.0) * added) / q.accepted
    return _Load(own, prompt_s / q.stages, fastest, itl, median, decode, mixed, carried)


def closed_loop(one_step: OneStep, q: Question) -> Served:
    """A fixed number of requests in flight; each client sends its next when the last is done.

    Prompts are admitted as fast as steps can carry them: with more sequences decoding than prompts can
    replace, the system is bound by prefill and the surplus waits, so by Little's law TTFT = n/X - (G-1)*ITL.
    """
    admitted = np.minimum(q.concurrency, q.slots)
    running = np.minimum(admitted, _fed(q))
    load = _load(one_step, q, running)
    others = np.maximum(running - 1.0, 0.0)
    boundary = 0.5 * load.decode.total * np.minimum(others, 1.0) * (q.gaps > 0)
    cycle = load.prefill_s + boundary + q.request_s + q.gaps * load.itl_s
    busy = np.minimum(admitted / cycle / load.fastest, 0.95)
    # prompts ahead of one's own: independent arrivals (M/D/1), or the group that ended together with one's
    # own; lengths as variable as an exponential dissolve the groups
    grouped = q.grouping * np.maximum(1.0 - q.output_cv, 0.0)
    wait = np.maximum(np.minimum(0.5 * busy / (1.0 - busy), 0.5 * others), 0.5 * others * grouped) * load.prompt_s
    # of each round of n requests, some find their predecessor's slot still taken and wait for the next to end
    wait += q.straggling * np.minimum(others, 1.0) / np.maximum(q.concurrency, 1.0) * q.gaps * load.itl_s
    light = load.prefill_s + boundary + wait + q.request_s
    rate = np.minimum(admitted / (light + q.gaps * load.itl_s), load.fastest)
    ttft = np.maximum(light, admitted / rate - q.gaps * load.itl_s)
    door = (q.concurrency - admitted) / rate  # those that found no slot
    latency = ttft + door + q.gaps * load.itl_s
    return _served(
        q, load, ttft + door, latency, rate, running, np.minimum(running / q.stages, 1.0), wait + door, admitted
    )


def static_batch(one_step: OneStep, q: Question) -> Served:
    """All requests start together and none joins: all prompts, then decode steps of the whole batch.

    TTFT is the time until every request of the batch has its first token, as such batches are measured. More
    requests than fit run in waves that overlap (continuous batching leaves no step idle).
    """
    running = np.minimum(q.concurrency, q.slots)
    batch = np.maximum(running / q.stages, 1.0)
    batch = image(q.compiled, batch)
    decode = one_step(prefill=None, cached=None, decode=batch, context=q.context)
    prompts = np.minimum(q.prompts, batch)  # in one step
    mixed = one_step(
        prefill=q.chunk, cached=0.5 * q.chunk * (q.chunks - 1.0), decode=np.zeros_like(batch), context=q.context,
        prompts=prompts,
    )  # fmt: skip
    # micro-batches follow one another through the stages of a pipeline
    steps, groups = q.chunks * batch / prompts, np.minimum(running, q.stages)
    waves = np.maximum(q.concurrency / q.slots, 1.0)
    prefill = mixed.total * (steps * groups + q.stages - 1.0) / q.stages
    first = prefill * waves + q.request_s
    itl = decode.total / q.accepted * waves
    latency = first + q.gaps * itl
    carried = steps / np.maximum(q.gaps, 1.0)
    load = _Load(prefill, mixed.total, np.full_like(first, np.inf), itl, itl, decode, mixed, carried)
    return _served(
        q, load, first, latency, q.concurrency / latency, running, np.ones_like(first), np.zeros_like(first), running
    )


def _fed(q: Question) -> Floats:
    """Sequences that prompts, within the token budget of the steps, can keep decoding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(q.gaps > 0, np.maximum(q.stages * q.gaps / (q.fill * q.accepted), 1.0), 1.0)


def open_loop(one_step: OneStep, q: Question, rounds: int = 5) -> Served:
    """Poisson arrivals: the number in flight solves ``n = λ R(n)``, found between 0 and the slots.

    ``saturated`` where λ exceeds 98 % of the throughput with all slots running (equation (46)).
    """
    most = np.minimum(q.slots, _fed(q))
    full = _residence(one_step, q, most)
    capacity = np.minimum(most / full[0], full[1].fastest)
    saturated = q.rate >= SATURATED * capacity
    few = _residence(one_step, q, np.ones_like(most))
    low = np.minimum(q.rate * few[0], most)
    n = low
    for _ in range(rounds):  # R grows with n and is nearly linear, so the secant from below converges
        here = _residence(one_step, q, np.clip(n, 1.0, most))
        slope = np.where(most > n + 1e-6, (full[0] - here[0]) / np.maximum(most - n, 1e-6), 0.0)
        step_to = q.rate * (here[0] - slope * n) / np.maximum(1.0 - q.rate * slope, 1e-6)
        n = np.clip(step_to, low, most)
    residence, load, wait = _residence(one_step, q, np.clip(n, 1.0, most))
    running = np.minimum(q.rate * residence, most)
    ttft = residence - q.gaps * load.itl_s
    duty = np.minimum(running / q.stages, 1.0)
    varies = _arriving(one_step, q, load, running)
    served = _served(q, load, ttft, residence, q.rate, running, duty, wait, running, varies)
    return replace(served, saturated=saturated)


def _arriving(one_step: OneStep, q: Question, load: _Load, running: Floats) -> Floats:
    """Squared variation of the steps of a request where the batch comes and goes at random, prompts with it (45)."""
    batch = image(q.compiled, np.maximum(running / q.stages, 1.0))
    more = one_step(prefill=None, cached=None, decode=batch + 1.0, context=q.context)
    whole = _whole(q, load)
    slope = np.maximum(more.total - load.decode.total, 0.0) / q.stages
    ahead = load.carried * _added(q, load) / whole
    noise = arrival_noise(slope * running / whole, ahead, running)
    return noise.request + noise.prompts + boundary_noise(running, np.maximum(q.gaps, 1.0))


def _whole(q: Question, load: _Load) -> Floats:
    """The mean step, prompts included; any number where nobody waits for a second token."""
    return np.where(q.gaps > 0, load.itl_s * q.accepted, 1.0)


def _added(q: Question, load: _Load) -> Floats:
    """What a chunk of a prompt adds to a step."""
    return np.maximum(load.mixed.total - load.decode.total, 0.0) * q.interference


def _residence(one_step: OneStep, q: Question, running: Floats) -> tuple[Floats, _Load, Floats]:
    """Mean time in the system with ``running`` in flight, the load it makes and the wait for other prompts."""
    load = _load(one_step, q, running)
    busy = np.minimum(q.rate / load.fastest, 0.98)
    # M/G/1 (42): service varies with the prompt length
    wait = busy * (1.0 + q.input_cv**2) / (2.0 * (1.0 - busy)) * load.prompt_s
    boundary = 0.5 * load.decode.total * np.minimum(np.maximum(running - 1.0, 0.0), 1.0) * (q.gaps > 0)
    return load.prefill_s + boundary + wait + q.request_s + q.gaps * load.itl_s, load, wait


def _served(
    q: Question, load: _Load, ttft: Floats, latency: Floats, rate: Floats, running: Floats, duty: Floats,
    wait: Floats, admitted: Floats, varies: Floats | None = None,
) -> Served:  # fmt: skip
    average = load.decode.towards(load.mixed, load.carried)
    itl_sigma = _step_sigma(q, average)
    first = _step_sigma(q, load.mixed)
    prefill_share = np.clip(load.prefill_s / ttft, 0.0, 1.0)
    wait_share = np.clip(wait / ttft, 0.0, 1.0)
    request_share = np.clip(q.request_s / ttft, 0.0, 1.0)
    ttft_sigma = np.sqrt(
        ((prefill_share + wait_share) * first) ** 2
        + (wait_share * spread("queue")) ** 2
        + (request_share * q.sigma_request) ** 2
    )
    ttft_part = ttft / latency
    # errors of the two phases come from the same constants: they add, they do not cancel
    latency_sigma = ttft_part * ttft_sigma + (1.0 - ttft_part) * itl_sigma
    # spread over requests: prompt length moves prefill, waiting is nearly exponential (its spread is its mean)
    ttft_cv = np.sqrt((prefill_share * q.input_cv) ** 2 + wait_share**2)
    if varies is None:  # chunks met while decoding come one by one, independent of each other
        varies = load.carried * (_added(q, load) / _whole(q, load)) ** 2 / np.maximum(q.gaps, 1.0)
    latency_cv = np.sqrt((ttft_part * ttft_cv) ** 2 + (1.0 - ttft_part) ** 2 * (varies + q.output_cv**2))
    return Served(
        ttft, load.itl_s, load.itl_median_s, latency, rate, running, duty, average, _bound(q, load, average, admitted),
        np.zeros(ttft.shape, dtype=bool), ttft_sigma, itl_sigma, latency_sigma, ttft_cv, np.sqrt(varies), latency_cv,
    )  # fmt: skip


def _step_sigma(q: Question, parts: Parts) -> Floats:
    """Equation (54): elasticities are the shares of the step; independent constants add in squares."""
    total = np.maximum(parts.total, TINY)
    compute, memory, overhead = q.sigmas
    shares = (
        (parts.compute / total * compute) ** 2
        + (parts.memory / total * memory) ** 2
        + (parts.network / total * spread("network")) ** 2
        + (parts.overhead / total * overhead) ** 2
    )
    return np.sqrt(shares + spread("scheduler") ** 2 + (spread("experts") ** 2 if q.experts else 0.0))


def _bound(q: Question, load: _Load, average: Parts, admitted: Floats) -> NDArray[np.int8]:
    """What a request waits for most, over prefill and decode; KV capacity where it limits the batch."""
    spent = [
        getattr(load.mixed, name) * q.chunks + q.gaps * getattr(average, name)
        for name in ("compute", "memory", "network", "overhead")
    ]
    bound = (spent[1] > spent[0]).astype(np.int8)
    most = np.maximum(spent[0], spent[1])
    for code in (2, 3):
        np.copyto(bound, np.int8(code), where=spent[code] > most)
        np.maximum(most, spent[code], out=most)
    full = (admitted >= q.memory_slots) & (q.concurrency > q.memory_slots)  # NaN in an open loop: never
    np.copyto(bound, np.int8(BOUNDS.index("memory_capacity")), where=full)
    return bound
