"""Prefix identity: a prompt as a chain of units, where an equal unit is an equal text from the start up to its end.

Out: `Chains` for the prompts of all requests, as arrays; made here from the block ids that Mooncake publishes
(https://github.com/kvcache-ai/Mooncake: one id per 512 tokens, equal leading ids mean an equal prefix).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.errors import BadInput

MOONCAKE_BLOCK = 512  # tokens of the prompt behind one id
MOST_UNITS = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """The prompts of n requests as chains of units.

    An equal unit means an equal text from the start of the prompt up to the end of the unit. So the units of all
    requests form a forest: each has one `parent`, the unit before it in every chain, and begins where that ends.

    Parameters
    ----------
    start : shape (n + 1,), rows: the units of request i are ``unit[start[i]:start[i + 1]]``, possibly none.
    unit : shape (start[-1],), ids from 0 to units - 1, each of which occurs.
    begin, end : shape (units,), tokens of the prompt that the unit covers: begin inclusive, end exclusive.

    Raises
    ------
    BadInput : arrays that break these rules.

    Examples
    --------
    Two prompts that share their first 512 tokens:

    >>> two = Chains(np.array([0, 2, 4]), np.array([0, 1, 0, 2]), np.array([0, 512, 512]), np.array([512, 900, 600]))
    >>> len(two), two.units, two.parent.tolist(), two.of(1).tolist()
    (2, 3, [-1, 0, 0], [0, 2])
    """

    start: NDArray[np.int64]
    unit: NDArray[np.int32]
    begin: NDArray[np.int32]
    end: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name, dtype in (("start", np.int64), ("unit", np.int32), ("begin", np.int32), ("end", np.int32)):
            object.__setattr__(self, name, whole_numbers(getattr(self, name), dtype, f"chains.{name}"))
        rows = self.start
        if not (len(rows) > 1 and rows[0] == 0 and np.all(rows[1:] >= rows[:-1]) and rows[-1] == len(self.unit)):
            raise _wrong("start", "are no rows", "ascending from 0 to the number of units in all chains")
        if len(self.unit) and not (self.unit.min() >= 0 and self.unit.max() < self.units):
            raise _wrong("unit", "a unit is not one of those that begin and end tell", f"0 to {self.units - 1}")
        if self.end.shape != self.begin.shape:
            raise _wrong("end", "begin and end differ in length", "one of each per unit")
        before = self._before()
        parent = np.full(self.units, -2, np.int32)
        parent[self.unit] = before
        if np.any(parent == -2):
            raise _wrong("unit", f"unit {int(np.argmin(parent))} is in no chain", "each unit in a chain")
        if not np.array_equal(parent[self.unit], before):
            raise _wrong("unit", "a unit stands after different ones", "one unit before it in every chain, or none")
        after = np.where(parent < 0, 0, self.end[parent]) if self.units else self.begin
        if np.any(self.begin != after) or np.any(self.end <= self.begin):
            raise _wrong("begin", "units do not follow each other", "from 0, each where the one before it ends")

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def units(self) -> int:
        """Different units in all chains."""
        return len(self.begin)

    @property
    def parent(self) -> NDArray[np.int32]:
        """Shape (units,), the unit before each in every chain, -1 where it is the first."""
        parent = np.full(self.units, -1, np.int32)
        parent[self.unit] = self._before()
        return parent

    def of(self, request: int) -> NDArray[np.int32]:
        """Units of one request, from the start of its prompt."""
        return self.unit[self.start[request] : self.start[request + 1]]

    def take(self, rows: NDArray[np.int64]) -> Chains:
        """The chains of some requests, in the order given; units get new ids, in the order in which they occur."""
        length = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(length)])
        old = self.unit[np.arange(start[-1]) + np.repeat(self.start[rows] - start[:-1], length)]
        unit, first = dense(old)
        return Chains(start, unit, self.begin[old[first]], self.end[old[first]])  # pyright: ignore[reportArgumentType]

    def seen_tokens(self, input_tokens: NDArray[np.int64], owner: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Shape (n,), tokens of each prompt whose leading units an earlier request has had, as prompt or as answer.

        Parameters
        ----------
        input_tokens : shape (n,), where prompts end; what a chain holds beyond is the answer.
        owner : shape (n,), whole numbers: only requests of the same owner (model, adapter) share. None: all do.
        """
        request = np.repeat(np.arange(len(self)), np.diff(self.start))
        key: NDArray[Any] = self.unit
        if owner is not None:
            key, _ = dense(self.unit + owner[request].astype(np.int64) * self.units)
        earliest = np.empty(int(key.max(initial=-1)) + 1, np.int64)
        earliest[key[::-1]] = request[::-1]  # of equal indices the last one written stays: the first request
        found = (earliest[key] < request) & (self.end[self.unit] <= input_tokens[request])
        seen = np.zeros(len(self), np.int64)
        filled = self.start[:-1] < self.start[1:]
        if filled.any():
            seen[filled] = np.maximum.reduceat(np.where(found, self.end[self.unit], 0), self.start[:-1][filled])
        return seen

    def _before(self) -> NDArray[np.int32]:
        """Shape (start[-1],), the unit before each in its chain, -1 for the first."""
        before = np.empty_like(self.unit)
        before[1:] = self.unit[:-1]
        before[self.start[:-1][self.start[:-1] < self.start[1:]]] = -1
        return before


def block_chains(
    count: NDArray[np.int64], ids: NDArray[np.int64], input_tokens: NDArray[np.int64], block: int = MOONCAKE_BLOCK
) -> Chains | str:
    """Chains of prompts that are described by one id per block of tokens; or a text that says why they are none.

    A unit is a block; the last of a prompt ends with the prompt. Where prompts of different lengths have the same id
    for their last block, each length is a unit of its own: they share what is before, and no unit ends beyond the
    prompt of any request that has it.

    Parameters
    ----------
    count : shape (n,), ids of each request. ids : shape (sum of count,), those of all requests in their order.
    input_tokens : shape (n,).

    Examples
    --------
    >>> chains = block_chains(np.array([2, 2]), np.array([70, 71, 70, 99]), np.array([1024, 600]))
    >>> chains.unit.tolist(), chains.begin.tolist(), chains.end.tolist()
    ([0, 1, 0, 2], [0, 512, 512], [512, 1024, 600])
    >>> block_chains(np.array([3]), np.array([1, 2, 3]), np.array([1024]))
    'request 1 has 3 of them for 1,024 input tokens, not one per 512'
    """
    odd = count != -(-input_tokens // block)
    if odd.any():
        row = int(np.argmax(odd))
        there = f"{count[row]:,} of them for {input_tokens[row]:,} input tokens"
        return f"request {row + 1:,} has {there}, not one per {block}"
    start = np.concatenate([[0], np.cumsum(count)])
    place = np.arange(len(ids)) - np.repeat(start[:-1], count)
    end = np.minimum((place + 1) * block, np.repeat(input_tokens, count))
    unit, first = dense(ids)
    if np.any(end[first][unit] != end):  # one id for different ends
        unit, first = dense(unit * (int(end.max()) + 1) + end)
    try:
        return Chains(start, unit, (place * block)[first], end[first])  # pyright: ignore[reportArgumentType]
    except BadInput as wrong:
        return f"they are no prefixes: {wrong.message}"


def dense(ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids relabelled 0, 1, 2, ... in the order in which they first occur, and where that is.

    Examples
    --------
    >>> labels, first = dense(np.array([50, 7, 50, 9]))
    >>> labels.tolist(), first.tolist()
    ([0, 1, 0, 2], [0, 1, 3])
    """
    if not len(ids):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low, width = int(ids.min()), int(ids.max()) - int(ids.min()) + 1
    if width > 4 * len(ids) + 1024:  # far apart: sort
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank[inverse], first[order]
    near = ids - low
    where = np.full(width, -1, np.int64)
    where[near[::-1]] = np.arange(len(ids) - 1, -1, -1)  # of equal indices the last one written stays: the first place
    first = np.sort(where[where >= 0])
    rank = np.empty(width, np.int64)
    rank[near[first]] = np.arange(len(first))
    return rank[near], first


def whole_numbers(values: Any, dtype: type[np.signedinteger[Any]], field: str) -> NDArray[Any]:
    """A flat array of whole numbers in the type that is kept.

    Raises
    ------
    BadInput : another shape, no integers, or a value that the type cannot hold.
    """
    given = np.asarray(values)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise BadInput("is no flat array of whole numbers", field=field, allowed="one integer each")
    most = np.iinfo(dtype).max
    if len(given) and (given.max() > most or int(given.min()) < -most):
        raise BadInput("holds a value that is too large", field=field, allowed=f"up to {most:,}")
    return np.ascontiguousarray(given, dtype)


def _wrong(field: str, message: str, allowed: str) -> BadInput:
    return BadInput(message, field=f"chains.{field}", allowed=allowed)
