"""Which runs of two benches belong together, and which requests of two runs had the same prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.measure.bench.record.finding import Record
from inferatlas.measure.bench.record.flat import flat

Key = tuple[Hashable, ...]
LOAD = ("load", "concurrency", "request_rate", "arrival", "input_tokens", "output_tokens", "dataset")
LENGTHS = ("input_tokens", "output_tokens")
SAME_LENGTH = 0.05  # relative difference of mean tokens asked for: lengths that are drawn at random vary


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Runs of one load on both sides; several of a side are repetitions. ``load``: of the first of them."""

    load: Mapping[str, Any]
    a: tuple[Record, ...]
    b: tuple[Record, ...]


def points_of(a: Sequence[Record], b: Sequence[Record]) -> tuple[list[Point], list[Record], list[Record]]:
    """Points that both sides have, and the runs of each side without a partner.

    Runs are matched by load, and among those of one load by lengths; where one length is left on each side they are
    matched too, and the difference is told. Two single runs are always a point.
    """
    if len(a) == len(b) == 1:
        return [Point(load_of(a[0]), tuple(a), tuple(b))], [], []
    found: list[Point] = []
    sides = [_by_load(one) for one in (a, b)]
    for key in sides[0]:
        groups_a, groups_b = ([] if key not in side else _by_length(side[key]) for side in sides)
        for x in list(groups_a):
            y = next((one for one in groups_b if same_lengths(load_of(x[0]), load_of(one[0]))), None)
            if y is None and len(groups_a) == len(groups_b) == 1:
                y = groups_b[0]
            if y is not None:
                groups_a.remove(x)
                groups_b.remove(y)
                found.append(Point(load_of(x[0]), tuple(x), tuple(y)))
    taken = {one.name for point in found for one in (*point.a, *point.b)}
    left = [[one for one in side if one.name not in taken] for side in (a, b)]
    order = {one.name: place for place, one in enumerate(a)}
    return sorted(found, key=lambda point: order[point.a[0].name]), left[0], left[1]


def load_of(record: Record) -> dict[str, Any]:
    """Load and lengths of a run, as a flat row has them."""
    row = flat(record)
    return {name: row[name] for name in LOAD}


def same_lengths(x: Mapping[str, Any], y: Mapping[str, Any]) -> bool:
    """Whether two rows ask for as many tokens; what one of them does not say is no difference.

    >>> same_lengths({"input_tokens": 512.0, "output_tokens": 64.0}, {"input_tokens": 520.0, "output_tokens": None})
    True
    """
    pairs = [(x[name], y[name]) for name in LENGTHS if x[name] is not None and y[name] is not None]
    return all(abs(a - b) <= SAME_LENGTH * max(a, b) for a, b in pairs)


def clock_of(load: str | None) -> str | None:
    """Kinds of load in which times mean the same: in a trace or a ramp a request is due as in an open loop.

    >>> clock_of("trace"), clock_of("closed"), clock_of(None)
    ('open', 'closed', None)
    """
    return "open" if load in {"trace", "ramp"} else load


def _by_load(records: Sequence[Record]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = defaultdict(list)
    for one in records:
        load = load_of(one)
        rate = load["request_rate"]
        key = clock_of(load["load"]), load["concurrency"], None if rate is None else float(f"{rate:.4g}")
        groups[key].append(one)
    return groups


def _by_length(records: Sequence[Record]) -> list[list[Record]]:
    """Runs of one length each; those of one are repetitions."""
    groups: list[list[Record]] = []
    for one in records:
        mine = next((group for group in groups if same_lengths(load_of(group[0]), load_of(one))), None)
        groups.append([one]) if mine is None else mine.append(one)
    return groups


def same_prompts(a: NDArray[np.str_], b: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of requests with equal prompts, in the order of ``a``; the n-th of a prompt with the n-th of it.

    >>> first, second = same_prompts(np.array(["x", "y", "x", ""]), np.array(["x", "z", "", "x"]))
    >>> first.tolist(), second.tolist()
    ([0, 2], [0, 3])
    """
    places: dict[str, list[int]] = defaultdict(list)
    for i in range(b.size - 1, -1, -1):
        places[str(b[i])].append(i)
    pairs = [(i, places[name].pop()) for i, name in enumerate(map(str, a)) if name and places.get(name)]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


__all__ = ["Point", "clock_of", "load_of", "points_of", "same_lengths", "same_prompts"]
