"""Conversations of several turns: each prompt is all that was said before and something new."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.arrivals import ArrivalKind, arrival_times
from inferatlas.workload.chains import MOST_UNITS, Chains
from inferatlas.workload.lengths import draw_tokens
from inferatlas.workload.requests import Requests
from inferatlas.workload.seeds import random_stream
from inferatlas.workload.workload import Workload

MOST_TURNS = 10_000


def conversations(
    load: Workload,
    count: int,
    seed: int,
    *,
    turns: float,
    think_s: float,
    fixed_turns: bool = False,
    longest: int | None = None,
    arrival: ArrivalKind = "poisson",
    **shape: float,
) -> Requests:
    """Requests that are turns of conversations, which begin in an open loop.

    A turn's input is the whole conversation so far and new tokens; its answer is part of the next turn's input. The
    first turn's input has the workload's input lengths; a later turn adds new tokens of the same lengths, less
    ``load.prefix_tokens`` on average, which all conversations begin with. Chains say what prompts share.

    Parameters
    ----------
    load : lengths, and the rate of requests, all turns counted: conversations begin at the rate over the mean number
        of turns. count : requests; of the last conversation only the first turns, if it takes more.
    turns : mean number of turns, geometrically distributed; with ``fixed_turns`` a whole number that all have.
    think_s : mean seconds from an answer to the next turn, exponentially distributed; 0: none.
    longest : most tokens of a request, input and output; a conversation ends before it, which is noted.
    arrival, shape : the process by which conversations begin (`arrivals.arrival_times`).

    Raises
    ------
    BadInput : a workload without a rate; turns, think time or a limit out of range.

    Examples
    --------
    >>> talk = conversations(Workload("talk", 100, 50, request_rate=6.0), 6, 1, turns=3, think_s=0, fixed_turns=True)
    >>> talk.input_tokens.tolist(), talk.previous.tolist()
    ([100, 250, 400, 100, 250, 400], [-1, 0, 1, -1, 3, 4])
    >>> talk.chains.of(1).tolist(), talk.chains.end[talk.chains.of(1)].tolist()
    ([0, 1, 2, 3], [100, 150, 250, 300])
    """
    if load.request_rate is None:
        message = "conversations begin at a rate, not when a client is free"
        raise BadInput(message, field="concurrency", allowed="a workload with a request rate")
    _check(turns, think_s, fixed_turns, longest)
    random = random_stream(seed, "arrivals")
    begun = arrival_times(arrival, count, load.request_rate / turns, random, **shape)  # no more than these are needed
    chance = random_stream(seed, "turns")
    lasting = np.full(count, turns, np.int64) if fixed_turns else chance.geometric(1 / turns, count)
    lasting = np.minimum(lasting, MOST_TURNS)
    prefix = round(load.prefix_tokens)
    rows = count
    while True:
        turn, owner = _turns(lasting, rows)
        inputs, outputs = _lengths(load, turn, prefix, seed)
        kept = np.ones(len(turn), np.bool_) if longest is None else inputs + outputs <= longest
        if np.count_nonzero(kept) >= count or owner[-1] == count - 1:
            break
        rows *= 2
    notes = _left_out(kept, count, longest)
    rows_kept = np.flatnonzero(kept)[:count]
    turn, owner, inputs, outputs = (values[rows_kept] for values in (turn, owner, inputs, outputs))
    think = random_stream(seed, "think").standard_exponential(len(rows_kept)) * think_s
    return Requests(
        name=load.name,
        arrival_s=np.where(turn == 0, begun[owner], think),
        input_tokens=inputs,
        output_tokens=outputs,
        previous=np.where(turn == 0, -1, np.arange(len(turn)) - 1).astype(np.int32),
        chains=_chains(turn, inputs, outputs, prefix),
        notes=tuple(notes),
    )


def _turns(lasting: NDArray[np.int64], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first so many requests: which turn of its conversation each is, from 0, and which conversation."""
    ends = np.cumsum(lasting)
    whole = int(np.searchsorted(ends, rows)) + 1  # conversations that these rows begin
    owner = np.repeat(np.arange(min(whole, len(lasting))), lasting[:whole])[:rows]
    return np.arange(len(owner)) - (ends - lasting)[owner], owner


def _lengths(
    load: Workload, turn: NDArray[np.int64], prefix: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Input (all before, and what is new) and output tokens of each turn."""
    count = len(turn)
    new, outputs = (
        draw_tokens(
            count, mean, cv, random_stream(seed, f"{name}_tokens"), random_stream(seed, f"{name}_rounding"), least
        )
        for mean, cv, name, least in (
            (load.input_tokens, load.input_cv, "input", prefix + 1),
            (load.output_tokens, load.output_cv, "output", 1),
        )
    )
    new -= np.where(turn == 0, 0, prefix)
    said = np.cumsum(new + outputs)  # over all conversations, one after the other
    before = said - new - outputs
    return before - before[np.arange(count) - turn] + new, outputs


def _chains(turn: NDArray[np.int64], inputs: NDArray[np.int64], outputs: NDArray[np.int64], prefix: int) -> Chains:
    """Two units per turn, what is new and the answer, and one for the common prefix; a turn has all before it."""
    count, common = len(turn), int(prefix > 0)
    length = 2 * (turn + 1) + common
    start = np.concatenate([[0], np.cumsum(length)])
    first = common + 2 * (np.arange(count) - turn)  # the first unit of the conversation
    # the places of all units in chains wrap around beyond 2^31, and so do the differences: their sums are below it
    unit = np.arange(start[-1]).astype(np.int32) if start[-1] > MOST_UNITS else np.arange(start[-1], dtype=np.int32)
    unit += np.repeat((first - common - start[:-1]).astype(np.int32), length)
    if common:
        unit[start[:-1]] = 0
    end = np.empty(2 * count, np.int64)
    end[0::2], end[1::2] = inputs, inputs + outputs
    begin = np.empty_like(end)
    begin[1:] = end[:-1]
    begin[0::2][turn == 0] = prefix
    if common:
        begin, end = np.insert(begin, 0, 0), np.insert(end, 0, prefix)
    return Chains(start, unit, begin, end)  # pyright: ignore[reportArgumentType] - checked and kept as int32


def _left_out(kept: NDArray[np.bool_], count: int, longest: int | None) -> list[str]:
    """Notes on turns that would be too long; refuses where too few are left."""
    left = int(np.count_nonzero(kept))
    if left < count:
        message = f"only {left:,} of {count:,} conversations' first turns stay within {longest:,} tokens"
        raise BadInput(message, field="longest", allowed="a limit well above the mean lengths")
    last = int(np.flatnonzero(kept)[count - 1])
    cut = int(np.count_nonzero(~kept[:last]))
    if not cut:
        return []
    share = cut / (cut + count)
    return [f"left out: {share:.2%} of turns, of more than {longest:,} tokens: conversations end before them"]


def _check(turns: float, think_s: float, fixed_turns: bool, longest: int | None) -> None:
    number = isinstance(turns, int | float) and not isinstance(turns, bool) and 1 <= turns <= MOST_TURNS
    if not number or (fixed_turns and turns != int(turns)):
        kind = "a whole number" if fixed_turns else "a mean"
        raise BadInput(f"{turns!r} turns", field="turns", allowed=f"{kind}, 1 to {MOST_TURNS:,}")
    if isinstance(think_s, bool) or not isinstance(think_s, int | float) or not 0 <= think_s <= 1e9:
        raise BadInput(f"{think_s!r} seconds", field="think_s", allowed="0 to 1e+09")
    if longest is not None and not longest >= 2:
        raise BadInput(f"{longest} tokens", field="longest", allowed="2 or more")
