"""Requests as a server meets them: when each is sent, how long it is, what it waits for and what it shares.

In: arrays, from `streams.py`, `turns.py` or by hand. Out: `Requests`, checked, which the simulator and the
load generator consume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains, whole_numbers
from inferatlas.workload.workload import MOST_IN_FLIGHT, MOST_TOKENS


class Context(Protocol):
    """What of a model's configuration (`catalogue.model.ModelConfig`) says how long a request may be."""

    @property
    def id(self) -> str: ...
    @property
    def context_length(self) -> int: ...
    @property
    def encoder(self) -> tuple[Any, ...]: ...
    def span(self, input_tokens: Any, output_tokens: Any) -> Any: ...
    def holds(self, tokens: float) -> bool: ...


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """n requests (1 or more), in the order in which they are sent where that is known beforehand.

    Parameters
    ----------
    name : what they are.
    arrival_s : shape (n,), seconds, 0 or more. Open loop: from the start to the sending, ascending. A request with a
        ``previous``: think time, from the end of that one to the sending. Closed loop (``clients``): think time of the
        client before each request.
    input_tokens, output_tokens : shape (n,), at least 1.
    previous : shape (n,), index, below its own, of the request whose end this one waits for (the turn before it in a
        conversation); -1: none. None: none at all.
    clients : closed loop: so many clients, each of which sends the next unsent request when its last is done. None:
        open loop. Not together with ``previous``.
    model : shape (n,), which of ``models`` each asks for; None: all for the same.
    adapter : shape (n,), which of ``adapters`` (LoRA) each asks for, -1: none; None: none at all.
    chains : prefix identity of prompts; None: unknown, nothing is shared. A unit lies within the prompt or after it:
        units from the end of the prompt on are the answer, which the next turn finds.
    notes : what was assumed, left out or estimated.

    Raises
    ------
    BadInput : arrays that break these rules, with the field.

    Examples
    --------
    >>> three = Requests("three", np.array([0.0, 1.0, 4.0]), np.array([100, 200, 300]), np.array([8, 8, 8]))
    >>> len(three), three.offered_rate, three.head(2).input_tokens.tolist()
    (3, 0.5, [100, 200])
    """

    name: str
    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    previous: NDArray[np.int32] | None = None
    clients: int | None = None
    model: NDArray[np.int32] | None = None
    models: tuple[str, ...] = ()
    adapter: NDArray[np.int32] | None = None
    adapters: tuple[str, ...] = ()
    chains: Chains | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("input_tokens", "output_tokens"):
            object.__setattr__(self, field, whole_numbers(getattr(self, field), np.int64, field))
        for field in ("previous", "model", "adapter"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, whole_numbers(getattr(self, field), np.int32, field))
        object.__setattr__(self, "arrival_s", np.ascontiguousarray(self.arrival_s, np.float64))
        _check_shapes(self)
        _check_clients(self)
        _check_previous(self)
        _check_times(self)
        for index, names, least in (("model", "models", 0), ("adapter", "adapters", -1)):
            _check_names(getattr(self, index), index, getattr(self, names), names, least)
        if self.chains is not None:
            _check_chains(self.chains, self.input_tokens, self.output_tokens)

    def __len__(self) -> int:
        return len(self.arrival_s)

    def __getitem__(self, kept: slice | NDArray[Any]) -> Requests:
        """Some of the requests, in the same order: a slice, a mask, or ascending indices.

        Raises
        ------
        BadInput : none is kept; indices that do not ascend; a request is kept and the one it waits for is not.
        """
        rows = np.arange(len(self))[kept]
        if rows.ndim != 1 or not len(rows) or np.any(rows[1:] <= rows[:-1]):
            raise BadInput("are no requests of these", field="requests", allowed="one or more, each once, in order")
        previous = self.previous
        if previous is not None:
            place = np.full(len(self) + 1, -1, np.int32)  # the last place stands for "none"
            place[rows] = np.arange(len(rows))
            waits = previous[rows]
            if np.any((waits >= 0) & (place[waits] < 0)):
                raise BadInput("a turn is kept without the one before it", field="previous", allowed="both or neither")
            previous = place[waits]
        return replace(
            self,
            arrival_s=self.arrival_s[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
            previous=previous,
            model=None if self.model is None else self.model[rows],
            adapter=None if self.adapter is None else self.adapter[rows],
            chains=None if self.chains is None else self.chains.take(rows),
        )

    def head(self, count: int) -> Requests:
        """The first requests; all, where there are no more than so many."""
        if count < 1:
            raise BadInput(f"the first {count} requests", field="count", allowed="1 or more")
        return self if count >= len(self) else self[:count]

    @property
    def first_turns(self) -> NDArray[np.bool_]:
        """Shape (n,), which requests wait for no other."""
        return np.ones(len(self), np.bool_) if self.previous is None else self.previous < 0

    @property
    def offered_rate(self) -> float | None:
        """Requests per second that are sent, whatever the server does; None in a closed loop or without intervals.

        One over the mean interval, as `Trace.rate`; with conversations, that of their first turns times the mean
        number of turns, which holds in the long run.
        """
        if self.clients is not None:
            return None
        times = self.arrival_s[self.first_turns]
        span = times[-1] - times[0]
        return float((len(times) - 1) / span * (len(self) / len(times))) if span > 0 else None

    @property
    def owner(self) -> NDArray[np.int64] | None:
        """Shape (n,), a number per pair of model and adapter: only equal ones share a cache. None: all do."""
        if self.model is None and self.adapter is None:
            return None
        model = np.zeros(len(self), np.int64) if self.model is None else self.model.astype(np.int64)
        return model if self.adapter is None else model * (len(self.adapters) + 1) + self.adapter + 1


def ideal_hit_share(requests: Requests, block_tokens: int) -> float:
    """Share of input tokens whose leading units were in an earlier request, of the same model and adapter.

    That is what a cache without limit would find, if all were served one after the other in their order. Blocks are
    shared whole; a block that ends with its prompt counts part-filled, where the whole prompt was there before.

    Parameters
    ----------
    block_tokens : tokens per block of the cache, at least 1; 1: a cache that matches by token.

    Raises
    ------
    BadInput : requests without chains, no such block.

    Examples
    --------
    >>> chains = Chains(np.array([0, 1, 3]), np.array([0, 0, 1]), np.array([0, 100]), np.array([100, 150]))
    >>> two = Requests("two", np.array([0.0, 1.0]), np.array([100, 150]), np.array([9, 9]), chains=chains)
    >>> ideal_hit_share(two, 1), ideal_hit_share(two, 16)
    (0.4, 0.384)
    """
    if requests.chains is None:
        raise BadInput("no prompt is known to begin like another", field="chains", allowed="requests with chains")
    if not 1 <= block_tokens <= MOST_TOKENS:
        raise BadInput(f"{block_tokens} tokens per block", field="block_tokens", allowed="1 or more")
    seen = requests.chains.seen_tokens(requests.input_tokens, requests.owner)
    hits = np.where(seen >= requests.input_tokens, seen, seen // block_tokens * block_tokens)
    return float(hits.sum() / requests.input_tokens.sum())


def check_context(
    requests: Requests, config: Context, lines: NDArray[np.int64] | None = None, *, file: str | Path | None = None
) -> None:
    """Refuse requests that a model cannot serve because they are longer than its context.

    Parameters
    ----------
    config : the model's configuration.
    lines, file : of the trace that these requests were read from, shape (n,), to name the line (`Trace.lines`).

    Raises
    ------
    BadInput : names the first such request, with its line where that is known.
    """
    span = config.span(requests.input_tokens, requests.output_tokens)
    if config.holds(float(span.max())):
        return
    longer = span > config.context_length
    first = int(np.argmax(longer))
    raise BadInput(
        f"request {first + 1:,} of {len(requests):,} has {requests.input_tokens[first]:,} input and "
        f"{requests.output_tokens[first]:,} output tokens, which exceed the context of {config.id}; in all "
        f"{int(np.count_nonzero(longer)):,} do",
        field="isl" if lines is None else "trace",
        allowed=f"{'isl and osl' if config.encoder else 'isl + osl'} up to {config.context_length}",
        hint=f"with longest = {config.context_length} longer requests are left out, and counted",
        file=file,
        line=None if lines is None else int(lines[first]),
    )


# Checks


def _check_shapes(it: Requests) -> None:
    count = len(it.arrival_s) if it.arrival_s.ndim == 1 else 0
    if not count:
        raise BadInput("no requests", field="arrival_s", allowed="a flat array of one or more")
    for field in ("input_tokens", "output_tokens", "previous", "model", "adapter"):
        values = getattr(it, field)
        if values is not None and len(values) != count:
            raise BadInput(f"{len(values):,} values for {count:,} requests", field=field, allowed="one per request")
    for field in ("input_tokens", "output_tokens"):
        values = getattr(it, field)
        if values.min() < 1 or values.max() > MOST_TOKENS:
            row = int(np.argmax((values < 1) | (values > MOST_TOKENS)))
            message = f"request {row + 1:,} has {values[row]:,}"
            raise BadInput(message, field=field, allowed=f"1 to {MOST_TOKENS:,} tokens")


def _check_clients(it: Requests) -> None:
    if it.clients is None:
        return
    if isinstance(it.clients, bool) or not isinstance(it.clients, int) or not 1 <= it.clients <= MOST_IN_FLIGHT:
        allowed = f"a whole number, 1 to {MOST_IN_FLIGHT:,}"
        raise BadInput(f"{it.clients!r} clients", field="clients", allowed=allowed)
    if it.previous is not None:
        message = "clients of a closed loop take the next unsent request, and so wait for no other"
        raise BadInput(message, field="previous", allowed="either clients or previous")


def _check_previous(it: Requests) -> None:
    if it.previous is None:
        return
    wrong = (it.previous < -1) | (it.previous >= np.arange(len(it)))
    if wrong.any():
        row = int(np.argmax(wrong))
        message = f"request {row + 1:,} (index {row:,}) waits for index {it.previous[row]:,}"
        raise BadInput(message, field="previous", allowed="an index below its own, or -1")


def _check_times(it: Requests) -> None:
    wrong = ~((it.arrival_s >= 0) & (it.arrival_s < np.inf))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadInput(f"request {row + 1:,} has {it.arrival_s[row]} s", field="arrival_s", allowed="0 or more")
    sent = it.arrival_s if it.previous is None else it.arrival_s[it.first_turns]
    if it.clients is None and np.any(sent[1:] < sent[:-1]):
        raise BadInput("are not in order", field="arrival_s", allowed="ascending, for requests that wait for no other")


def _check_names(
    index: NDArray[np.int32] | None, field: str, names: tuple[str, ...], names_field: str, least: int
) -> None:
    if len(set(names)) != len(names) or not all(names):
        raise BadInput("a name is empty or given twice", field=names_field, allowed="different names")
    if index is not None and (index.min() < least or index.max() >= len(names)):
        message = f"index {int(index.max()) if index.max() >= len(names) else int(index.min())} is no name"
        raise BadInput(message, field=field, allowed=f"{least} to {len(names) - 1}, the places of {names_field}")


def _check_chains(chains: Chains, input_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]) -> None:
    if len(chains) != len(input_tokens):
        message = f"chains of {len(chains):,} requests, not {len(input_tokens):,}"
        raise BadInput(message, field="chains", allowed="one per request")
    filled = chains.start[:-1] < chains.start[1:]
    covered, units = np.zeros_like(input_tokens), np.diff(chains.start)
    covered[filled] = chains.end[chains.unit[chains.start[1:][filled] - 1]]
    wrong = covered > input_tokens + output_tokens
    longer = covered > input_tokens  # one of its units must begin where the prompt ends
    begins = chains.begin[chains.unit] == np.repeat(input_tokens.astype(np.int32), units)
    if longer.any():
        wrong[filled] |= longer[filled] & ~np.logical_or.reduceat(begins, chains.start[:-1][filled])
    if wrong.any():
        row = int(np.argmax(wrong))
        message = f"the chain of request {row + 1:,} does not end where its prompt or its answer does"
        raise BadInput(message, field="chains", allowed="units within the prompt, or after it and within the answer")
