"""Costs of collectives by platform and group size, as tables to be gathered per design point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.collectives import group_cost, hop_cost
from inferatlas.predict.performance.platform_table import PlatformTable


@dataclass(frozen=True)
class GroupCosts:
    """Collective law of every (platform, group size) in use, to be gathered per point.

    Entry [i, g] of ``latency`` is in seconds, of ``latency_q`` latency^q, of ``per_byte`` seconds per byte of
    the full tensor, of ``q`` the exponent; all 0 (q 1) for groups of one.
    """

    latency: Floats
    latency_q: Floats
    per_byte: Floats
    q: Floats

    def astype(self, dtype: type[np.floating]) -> GroupCosts:
        return GroupCosts(*(getattr(self, f.name).astype(dtype, copy=False) for f in fields(self)))


def group_costs(table: PlatformTable, op: str, used: NDArray[np.bool_]) -> GroupCosts:
    """Costs for all platforms and the group sizes marked in ``used`` [platform, size]."""
    costs: dict[tuple[int, int], tuple[float, float, float]] = {}
    cache: dict[tuple[int, int], tuple[float, float, float]] = {}
    for i, n in zip(*np.nonzero(used), strict=True):
        network_of = table.platforms[i].network
        key = (id(network_of), int(n))
        if key not in cache:
            cache[key] = group_cost(network_of, op, int(n))
        costs[int(i), int(n)] = cache[key]
    return group_table(used.shape, costs)


def hop_costs(table: PlatformTable) -> GroupCosts:
    """Costs of one send per platform: column 0 none, 1 inside a scale-up domain, 2 between domains."""
    costs = {
        (i, 1 + across): hop_cost(platform.network, across=bool(across))
        for i, platform in enumerate(table.platforms)
        for across in (0, 1)
    }
    return group_table((len(table.platforms), 3), costs)


def group_table(shape: tuple[int, ...], costs: Mapping[tuple[int, int], tuple[float, float, float]]) -> GroupCosts:
    """(latency, per byte, q) by place as arrays; nothing elsewhere."""
    latency, per_byte, q = np.zeros(shape), np.zeros(shape), np.ones(shape)
    for at, one in costs.items():
        latency[at], per_byte[at], q[at] = one
    return GroupCosts(latency, np.where(latency > 0, latency**q, 0.0), per_byte, q)
