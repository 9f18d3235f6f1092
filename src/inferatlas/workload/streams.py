"""Streams of requests: from a workload's means, from a trace, and with a model or an adapter for each.

Every source of chance (arrivals, input lengths, output lengths, models, ...) has a seeded stream of its own
(`seeds.py`): a change of one leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.arrivals import ArrivalKind, arrival_times, unit_process
from inferatlas.workload.chains import Chains
from inferatlas.workload.lengths import Pairs, draw_lengths, draw_pairs
from inferatlas.workload.requests import Requests
from inferatlas.workload.seeds import random_stream
from inferatlas.workload.traces import Trace
from inferatlas.workload.workload import Workload


def make_requests(
    load: Workload,
    count: int,
    seed: int,
    *,
    arrival: ArrivalKind = "poisson",
    think_s: float = 0.0,
    longest: int | None = None,
    lengths: Pairs | None = None,
    **shape: float,
) -> Requests:
    """Requests of a workload: an open loop at its rate, or a closed one of so many clients.

    Lengths are fixed where they have no variation, else lognormal with the mean and coefficient of variation of the
    workload (`lengths.draw_tokens`). With ``load.prefix_tokens`` every prompt begins with the same tokens.

    Parameters
    ----------
    count : requests. seed : a whole number; the first requests are the same for every count.
    arrival, shape : the process of an open loop and its parameters, by name (`arrivals.arrival_times`).
    think_s : closed loop: mean seconds that a client waits before each request, exponentially distributed.
    longest : most tokens of a request, input and output; longer ones are drawn anew, and noted.
    lengths : pairs to draw from instead of the workload's means (`Lengths`, `Trace`), whole pairs at a time.

    Raises
    ------
    BadInput, UnknownName : what `arrival_times` refuses; arrivals of a closed loop; a ``longest`` below the mean.

    Examples
    --------
    >>> some = make_requests(Workload("mine", 1024, 256, request_rate=4.0), 10_000, 1)
    >>> len(some), round(some.offered_rate, 1), some.input_tokens[:3].tolist()
    (10000, 4.0, [1024, 1024, 1024])
    >>> make_requests(Workload("mine", 1024, 256, concurrency=32), 100, 1).clients
    32
    """
    if load.request_rate is None:
        times = _think_times(count, seed, think_s, arrival, shape)
    elif think_s:
        raise BadInput("an open loop waits for no client", field="think_s", allowed="0, or a concurrency")
    else:
        times = arrival_times(arrival, count, load.request_rate, random_stream(seed, "arrivals"), **shape)
    prefix = round(load.prefix_tokens)
    if lengths is None:
        inputs, outputs, notes = draw_lengths(load, count, seed, least_input=prefix + 1, longest=longest)
    else:
        inputs, outputs, notes = draw_pairs(lengths, count, seed, longest=longest)
    return Requests(
        name=load.name if lengths is None else lengths.name,
        arrival_s=times,
        input_tokens=inputs,
        output_tokens=outputs,
        clients=load.concurrency,
        chains=shared_prefix(inputs, prefix) if prefix else None,
        notes=tuple(notes),
    )


def _think_times(
    count: int, seed: int, think_s: float, arrival: ArrivalKind, shape: dict[str, float]
) -> NDArray[np.float64]:
    """Seconds that a client waits before each request."""
    if arrival != "poisson" or shape:
        field = "arrival" if arrival != "poisson" else next(iter(shape))
        raise BadInput("clients of a closed loop set their own times", field=field, allowed="with a request rate")
    if isinstance(think_s, bool) or not isinstance(think_s, int | float) or not 0 <= think_s <= 1e9:
        raise BadInput(f"{think_s!r} seconds", field="think_s", allowed="0 to 1e+09")
    return np.diff(unit_process(count, random_stream(seed, "think")), prepend=0.0) * think_s


def shared_prefix(input_tokens: NDArray[np.int64], prefix_tokens: int) -> Chains:
    """Chains of prompts that all begin with the same tokens and are different after them.

    Raises
    ------
    BadInput : a prompt that is no longer than that.
    """
    if input_tokens.min() <= prefix_tokens:
        message = f"{prefix_tokens:,} tokens are no beginning of a prompt of {input_tokens.min():,}"
        raise BadInput(message, field="prefix_tokens", allowed="less than the shortest prompt")
    count = len(input_tokens)
    return Chains(np.arange(count + 1), np.zeros(count, np.int32), np.array([0]), np.array([prefix_tokens]))


def replay(trace: Trace, *, speed: float = 1.0, seed: int | None = None) -> Requests:
    """The requests of a trace, at their times or faster.

    Arrivals that were recorded in steps are spread over them: evenly (`Trace.apart_s`), or with a seed at random,
    as Poisson arrivals of which only the step is known. Notes say so.

    Parameters
    ----------
    speed : the time axis is divided by it: 2 is twice the rate. seed : for the place within a step.

    Raises
    ------
    BadInput : a speed that is not above 0.

    Examples
    --------
    >>> trace = Trace("three", np.array([0.0, 1.0, 4.0]), np.array([100, 200, 300]), np.array([8, 8, 8]))
    >>> twice = replay(trace, speed=2)
    >>> twice.arrival_s.tolist(), twice.offered_rate, twice.notes
    ([0.0, 0.5, 2.0], 1.0, ('replayed 2 times as fast: times are divided by 2',))
    """
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 1e-6 <= speed <= 1e6:
        raise BadInput(f"{speed!r} times as fast", field="speed", allowed="a number from 1e-06 to 1e+06")
    times, notes = trace.apart_s, list(trace.notes)
    if trace.step_s is not None:
        if seed is not None:
            times = _at_random(trace.arrival_s, trace.step_s, random_stream(seed, "arrivals"))
        place = "evenly" if seed is None else "at random"
        notes.append(f"arrivals of one step of {trace.step_s:.3g} s are spread {place} over it")
    if speed != 1:
        notes.append(f"replayed {speed:g} times as fast: times are divided by {speed:g}")
    return Requests(
        name=trace.name,
        arrival_s=times / speed,
        input_tokens=trace.input_tokens,
        output_tokens=trace.output_tokens,
        model=None if trace.model_index is None else trace.model_index.astype(np.int32),
        models=trace.models,
        chains=trace.chains,
        notes=tuple(notes),
    )


def _at_random(arrival_s: NDArray[np.float64], step_s: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Times recorded in steps, those of one step at random places of it, ascending; rows keep their order."""
    times, count = np.unique(arrival_s, return_counts=True)
    width = np.minimum(np.diff(times, append=times[-1] + step_s), step_s)
    return np.sort(arrival_s + np.repeat(width, count) * random.random(len(arrival_s)))


def assign(
    requests: Requests,
    names: Sequence[str],
    shares: Sequence[float],
    seed: int,
    kind: Literal["model", "adapter"] = "model",
) -> Requests:
    """The same requests, each tagged at random with a model or an adapter; turns of a conversation with the same one.

    Parameters
    ----------
    names : models or adapters. shares : of requests (of conversations), 0 or more each. Those of models add up to 1;
        where those of adapters add up to less, the rest have none.

    Raises
    ------
    BadInput : shares that are no shares of these names; an unknown kind.

    Examples
    --------
    >>> some = make_requests(Workload("mine", 100, 10, request_rate=1.0), 10_000, 1)
    >>> tagged = assign(some, ("a", "b"), (0.25, 0.25), 1, "adapter")
    >>> [round(float(np.mean(tagged.adapter == which)), 1) for which in (0, 1, -1)]
    [0.3, 0.2, 0.5]
    """
    if kind not in ("model", "adapter"):
        raise BadInput(f"{kind!r} is nothing a request asks for", field="kind", allowed="model, adapter")
    parts = np.asarray(shares, np.float64)
    if parts.shape != (len(names),) or not len(names):
        raise BadInput(f"{parts.size} shares for {len(names)} names", field="shares", allowed="one for each name")
    total = float(parts.sum())
    whole = abs(total - 1) <= 1e-9
    if not (np.all(parts >= 0) and (whole or (kind == "adapter" and total < 1))):
        allowed = "0 or more each, together 1" if kind == "model" else "0 or more each, together up to 1"
        raise BadInput(f"shares add up to {total:g}", field="shares", allowed=allowed)
    drawn = random_stream(seed, kind).random(len(requests))[_first_turn(requests)]
    edges = np.cumsum(parts)
    if whole:
        edges[np.flatnonzero(parts)[-1] :] = 1.0
    place = np.searchsorted(edges, drawn, side="right")
    tags = np.where(place < len(names), place, -1).astype(np.int32)
    if kind == "model":
        return replace(requests, model=tags, models=tuple(names))
    return replace(requests, adapter=tags, adapters=tuple(names))


def _first_turn(requests: Requests) -> NDArray[np.int64]:
    """Shape (n,), the request with which the conversation of each began: itself where it waits for none."""
    own = np.arange(len(requests))
    if requests.previous is None:
        return own
    root = np.where(requests.previous < 0, own, requests.previous)
    while np.any(root[root] != root):  # doubles the distance each time
        root = root[root]
    return root
