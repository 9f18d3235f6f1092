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
from inferatlas.predict.performance.arrivals import arrival_noise, boundary_noise
from inferatlas.predict.performance.parts import TINY, Parts
from inferatlas.predict.performance.points import BOUNDS
from inferatlas.predict.performance.priors import spread
from inferatlas.predict.performance.roots import root
from inferatlas.predict.performance.serving_question import Question

OneStep = Callable[..., Parts]
LN2 = 0.6931471805599453
SATURATED = 0.98  # a rate above this share of the capacity has no steady state worth stating
STAIRS, HAIR = 12, 1e-5  # compiled batches are at most so many powers of two; to either side of one


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
class Load:
    """Times with ``running`` sequences in flight per replica."""

    batch: Floats  # sequences that a decode step computes
    prefill_s: Floats  # all chunks of a prompt, once started
    prompt_s: Floats  # what a prompt adds to the steps that carry it
    fastest: Floats  # prompts per second if steps carried nothing else
    itl_s: Floats
    itl_median_s: Floats
    decode: Parts
    mixed: Parts  # a step that carries prompts
    carried: Floats  # chunks of other requests' prompts per step and micro-batch
    added: Floats  # seconds that a chunk adds to a step
    share: Floats  # of the steps are mixed ones
    together: Floats  # chunks in a mixed step


def image(compiled: NDArray[np.bool_], batch: Floats) -> Floats:
    """Sequences that a step costs: with fixed images, those of the next compiled batch (powers of two).

    >>> image(np.array([True, False]), np.array([5.0, 5.0])).tolist()
    [8.0, 5.0]
    """
    return np.where(compiled, np.exp2(np.ceil(np.log2(batch))), batch) if compiled.any() else batch


def load_of(one_step: OneStep, q: Question, running: Floats, rate: Floats | None = None) -> Load:
    """Evaluate the steps with a given number of running sequences, a request's own among them.

    Of the others, those under way in their prompts do not decode. In a closed loop their prompts come as their
    answers end; ``rate``: in an open loop, requests per second bring them, whoever is running.

    With pipeline stages p, a token passes all stages in one step time of a micro-batch of B/p sequences,
    and p micro-batches are under way (equation (27) with m = p); they follow one another as the fullest stage lets
    them. Prompts that come faster than steps share a step, as many as its token budget holds: a step of many is not
    the sum of steps of one.
    """
    cycle = q.decode_steps + q.prompt_steps
    answers = q.gaps > 0  # one output token: prompts only
    held = q.decoding(running)
    batch = image(q.compiled, held)
    decode = one_step(prefill=None, cached=None, decode=batch, context=q.context)
    carried = np.maximum(running - 1.0, 0.0) * q.chunks / (cycle * q.stages)
    carried = np.where(answers, np.minimum(carried, q.prompts), 0.0)  # within the token budget
    together = np.maximum(np.where(answers, carried, np.minimum(held, q.prompts)), 1.0)
    # beside a prompt run the others: none of one, all of many (a fraction is an average of both)
    others = np.where(answers, batch * np.clip(batch - 1.0, 0.0, 1.0), 0.0)
    mixed = one_step(prefill=q.chunk, cached=q.cached, decode=others, context=q.context, prompts=together)
    own = mixed.total * (1.0 + (q.chunks - 1.0) * q.slowest)
    behind = np.minimum(np.maximum(running, 1.0), q.stages) * q.slowest  # micro-batches before one's own comes again
    if (behind > 1.0 + 1e-6).any():
        longer = np.maximum(behind, 1.0)
        decode, mixed = decode.times(longer), mixed.times(longer)
    t_decode = np.where(answers, decode.total, 0.0)
    added = np.maximum(mixed.total - t_decode, 0.0) * q.interference / together
    if rate is not None:  # those that come in a step join the next one, the first after one's own prompt included
        each, later = rate * q.chunks / q.stages, np.maximum(q.decode_steps - 1.0, 0.0)
        brought = each * (mixed.total + later * t_decode) / (later + 1.0 - np.minimum(each * added, SATURATED) * later)
        brought = np.where(answers, brought, 0.0)
        carried = np.where(np.isnan(rate), carried, np.minimum(brought, q.prompts))
    prompt_s = q.chunks * added
    with np.errstate(divide="ignore"):  # prompts that cost nothing extra
        fastest = q.stages / (prompt_s + q.fill * t_decode)
    itl = (t_decode + carried * added) / q.accepted
    # the median of a Poisson count is 0 up to a mean of ln 2 and about that much below its mean from there on
    median = (t_decode + np.maximum(carried - LN2, 0.0) * added) / q.accepted
    share = np.where(answers, np.minimum(carried / together, 1.0), 1.0)
    return Load(batch, own, prompt_s / q.stages, fastest, itl, median, decode, mixed, carried, added, share, together)


def closed_loop(one_step: OneStep, q: Question) -> Served:
    """A fixed number of requests in flight; each client sends its next when the last is done.

    Prompts are admitted as fast as steps can carry them: with more sequences decoding than prompts can
    replace, the system is bound by prefill and the surplus waits, so by Little's law TTFT = n/X - (G-1)*ITL.
    """
    admitted = np.minimum(q.concurrency, q.slots)
    running = np.minimum(admitted, _fed(q))
    load = load_of(one_step, q, running)
    others = np.maximum(running - 1.0, 0.0)
    boundary = 0.5 * load.decode.total * np.minimum(others, 1.0) * (q.gaps > 0)
    cycle = load.prefill_s + boundary + q.request_s + q.gaps * load.itl_s
    # prompts ahead of the step with one's own: those of clients who are independent of one another, or the group
    # that ended together with one's own; lengths as variable as an exponential dissolve the groups
    grouped = q.grouping * np.maximum(1.0 - q.output_cv, 0.0)
    ahead = 0.5 * np.maximum(running - load.together, 0.0)
    wait = np.minimum(_behind_others(others, cycle, 1.0 / load.fastest, load.prompt_s), ahead * load.prompt_s)
    wait = np.maximum(wait, ahead * grouped * load.prompt_s)
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


def _behind_others(others: Floats, cycle: Floats, service: Floats, prompt: Floats) -> Floats:
    """Mean wait for the prompts of ``others`` who each come back after ``cycle`` seconds and their own wait.

    Mean-value analysis of a closed queue: who arrives sees what the others see. With a wait W, each other one is
    waiting for a share W/(cycle + W) of the time, which costs ``service`` seconds, and under way for
    service/(cycle + W), of which half a ``prompt`` is left: ``W (cycle + W) = others service (W + prompt/2)``.
    Shorter cycles and longer prompts never serve more: ``cycle + W`` grows with both.

    >>> float(_behind_others(np.array(0.0), np.array(1.0), np.array(0.1), np.array(0.1)))
    0.0
    """
    most = others * service
    idle = cycle - most
    return 0.5 * (np.sqrt(idle * idle + 2.0 * most * prompt) - idle)


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
        prefill=q.chunk, cached=q.cached, decode=np.zeros_like(batch), context=q.context,
        prompts=prompts,
    )  # fmt: skip
    # micro-batches follow one another through the stages of a pipeline
    steps, groups = q.chunks * batch / prompts, np.minimum(running, q.stages)
    waves = np.maximum(q.concurrency / q.slots, 1.0)
    prefill = mixed.total * (1.0 + (steps * groups - 1.0) * q.slowest)
    first = prefill * waves + q.request_s
    itl = decode.total * np.maximum(groups * q.slowest, 1.0) / q.accepted * waves
    latency = first + q.gaps * itl
    carried = steps / np.maximum(q.gaps, 1.0)
    added = np.maximum(mixed.total - decode.total, 0.0) * q.interference
    load = Load(
        batch, prefill, mixed.total, np.full_like(first, np.inf), itl, itl, decode, mixed, carried, added, carried,
        prompts,
    )  # fmt: skip
    return _served(
        q, load, first, latency, q.concurrency / latency, running, np.ones_like(first), np.zeros_like(first), running
    )


def _fed(q: Question) -> Floats:
    """Sequences that prompts, within the token budget of the steps, can keep decoding; of prompts alone, those."""
    with np.errstate(divide="ignore"):
        return np.maximum(q.stages * (q.decode_steps + q.prompt_steps) / q.fill, 1.0)


def open_loop(one_step: OneStep, q: Question, rounds: int = 8) -> Served:
    """Poisson arrivals: the mean number in flight is the least that solves ``n = λ R(n + 1)``, up to the slots.

    A request runs beside those that it finds, as many as on average (equation (44)), and is one more itself.
    ``saturated`` where λ exceeds 98 % of the throughput with all slots running (equation (46)).
    """
    most = np.minimum(q.slots, _fed(q))
    full = _residence(one_step, q, most)
    capacity = np.minimum(most / full[0], full[1].fastest)
    saturated = q.rate >= SATURATED * capacity
    fastest = full[1].fastest  # prompts that wait go into one step together, as many as it holds

    def more(n: Floats) -> Floats:
        """How many more would be in flight with n of them; R grows with n, so n is too small as long as it is > 0."""
        return q.rate * _residence(one_step, q, np.clip(n + 1.0, 1.0, most), fastest)[0] - n

    low, top = _stair(q, more, most) if q.compiled.any() else (np.zeros_like(most), most - 1.0)
    n = root(more, low, top, rounds)
    residence, load, wait = _residence(one_step, q, np.clip(n + 1.0, 1.0, most), fastest)
    running = np.minimum(q.rate * residence, most)
    door = np.where(q.slots <= most, _admission(q, full[0], full[1]), 0.0)
    ttft = residence - q.gaps * load.itl_s + door
    duty = np.minimum(running / q.stages, 1.0)
    varies = _arriving(one_step, q, load, running)
    served = _served(q, load, ttft, residence + door, q.rate, running, duty, wait + door, running, varies)
    return replace(served, saturated=saturated)


def _stair(q: Question, more: Callable[[Floats], Floats], most: Floats) -> tuple[Floats, Floats]:
    """Between which numbers in flight the least that settles lies: those of one compiled decode batch."""
    low, high, seeking = np.zeros_like(most), most - 1.0, q.compiled
    for size in 2.0 ** np.arange(STAIRS):
        running = size * q.stages / q.decoding_share  # the most whose decode batch is no larger
        end = np.minimum(running * (1.0 - HAIR), most) - 1.0
        onward = seeking & (more(end) > 0) & (end < most - 1.0)
        high = np.where(seeking & ~onward, end, high)
        low = np.where(onward, np.minimum(running * (1.0 + HAIR), most) - 1.0, low)
        seeking = onward
        if not seeking.any():
            break
    return low, np.maximum(high, low)


def _admission(q: Question, residence: Floats, load: Load) -> Floats:
    """Mean wait for one of the slots, M/G/c (46) with the service of a full batch; Sakasegawa's form of Erlang C.

    Errs to the long side: a batch that is not full is faster.
    """
    busy = np.minimum(q.rate * residence / q.slots, SATURATED)
    decoding = q.gaps * load.itl_s / residence
    varies = (decoding * q.output_cv) ** 2 + ((1.0 - decoding) * q.input_cv) ** 2
    full = busy ** (np.sqrt(2.0 * (q.slots + 1.0)) - 1.0)
    return 0.5 * (1.0 + varies) * residence / q.slots * full / (1.0 - busy)


def _arriving(one_step: OneStep, q: Question, load: Load, running: Floats) -> Floats:
    """Squared variation of the steps of a request where the batch comes and goes at random, prompts with it (45)."""
    one, more = (
        one_step(prefill=None, cached=None, decode=batch, context=q.context).total
        for batch in (load.batch, load.batch + 1.0)
    )
    whole = _whole(q, load)
    slope = np.maximum(more - one, 0.0) / q.stages
    batch = q.rate * q.gaps * load.itl_s  # that decodes
    met = load.carried * q.decode_steps * q.stages / q.chunks
    noise = arrival_noise(slope * batch / whole, q.rate * load.prompt_s, batch, met)
    return noise.request + noise.prompts + boundary_noise(running, np.maximum(q.gaps, 1.0))


def _whole(q: Question, load: Load) -> Floats:
    """The mean step, prompts included; any number where nobody waits for a second token."""
    return np.where(q.gaps > 0, load.itl_s * q.accepted, 1.0)


def _residence(
    one_step: OneStep, q: Question, running: Floats, fastest: Floats | float = 0.0
) -> tuple[Floats, Load, Floats]:
    """Mean time in the system with ``running`` in flight, the load it makes and the wait for other prompts.

    ``fastest``: prompts per second that steps can carry at most, where more than this load lets them.
    """
    load = load_of(one_step, q, running, q.rate)
    busy = np.minimum(q.rate / np.maximum(load.fastest, fastest), SATURATED)
    # M/G/1 (42): service varies with the prompt length
    wait = busy * (1.0 + q.input_cv**2) / (2.0 * (1.0 - busy)) * load.prompt_s
    boundary = 0.5 * load.decode.total * np.minimum(np.maximum(running - 1.0, 0.0), 1.0) * (q.gaps > 0)
    return load.prefill_s + boundary + wait + q.request_s + q.gaps * load.itl_s, load, wait


def _served(
    q: Question, load: Load, ttft: Floats, latency: Floats, rate: Floats, running: Floats, duty: Floats,
    wait: Floats, admitted: Floats, varies: Floats | None = None,
) -> Served:  # fmt: skip
    average = load.decode.towards(load.mixed, load.share)
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
        varies = load.carried * (load.added / _whole(q, load)) ** 2 / np.maximum(q.gaps, 1.0)
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


def _bound(q: Question, load: Load, average: Parts, admitted: Floats) -> NDArray[np.int8]:
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
