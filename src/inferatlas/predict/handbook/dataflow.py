"""Machines with several tiers of memory and fused sections, equations (29) and (37): plain forms, to check and teach.

No prediction passes through here: the predictor charges a dataflow part no launch per operator and the rate of the tier
that holds the weights. Rates in byte/s, sizes in bytes, times in seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.arguments import floats


def tier_time(size: ArrayLike, shares: ArrayLike, rates: ArrayLike, *, one_path: bool = False) -> Floats:
    """Seconds to read ``size`` bytes of which ``shares`` [..., tier] lie in each tier, equation (29).

    Channels that work at the same time take ``max_i(f_i Q/W_i)``; on one path the parts follow one another.

    >>> float(tier_time(100e9, [0.8, 0.2], [1.6e12, 0.1e12])), float(tier_time(1e9, [1.0, 0.0], [1e9, 1e8]))
    (0.2, 1.0)
    """
    held = floats(shares, "shares", 0, 1)
    parts = held * np.asarray(size, dtype=np.float64)[..., None] / floats(rates, "rates", above=0)
    return parts.sum(axis=-1) if one_path else parts.max(axis=-1)


def best_shares(size: float, rates: ArrayLike, capacities: ArrayLike) -> Floats:
    """The split that reads fastest over concurrent tiers, equation (29): ``W_i/ΣW``, as far as capacities permit.

    What does not fit into a tier goes to the others in proportion to their rates. NaN if all of them are too small.

    >>> best_shares(100.0, [3.0, 1.0], [1000.0, 1000.0]).tolist(), best_shares(100.0, [3.0, 1.0], [50.0, 90.0]).tolist()
    ([0.75, 0.25], [0.5, 0.5])
    """
    speed, room = floats(rates, "rates", above=0), floats(capacities, "capacities", 0)
    if room.sum() < size:
        return np.full(speed.shape, np.nan)
    held, left, together = np.zeros_like(speed), float(size), float(speed.sum())
    for i in np.argsort(room / speed):  # the tier that fills up first takes its part first
        held[i] = min(room[i], left * speed[i] / together)
        left, together = left - held[i], together - speed[i]
    return held / size


def section_time(
    flop: ArrayLike, weight_bytes: ArrayLike, edge_bytes: ArrayLike, launch_s: float, flop_per_s: float,
    bytes_per_s: float, *, fused: bool = True,
) -> Floats:  # fmt: skip
    """Seconds of a chain of operators as one fused section, or one by one: equation (37) on the law of (7), q = 2.

    Parameters
    ----------
    flop, weight_bytes : of each operator of the chain, [operator].
    edge_bytes : activations between operators, [operator + 1]: the input of the first up to the output of the last.
    launch_s : fixed cost; charged once per fused section, and the edges inside it are never written to memory.

    >>> one_by_one = section_time([1e9, 1e9], [1e6, 1e6], [1e6, 1e6, 1e6], 1e-5, 1e15, 1e12, fused=False)
    >>> float(section_time([1e9, 1e9], [1e6, 1e6], [1e6, 1e6, 1e6], 1e-5, 1e15, 1e12)) < float(one_by_one)
    True
    """
    work, weights, edges = (
        floats(x, n, 0) for x, n in ((flop, "flop"), (weight_bytes, "weights"), (edge_bytes, "edges"))
    )
    if fused:
        moved = weights.sum() + edges[0] + edges[-1]
        return np.asarray(launch_s + np.hypot(work.sum() / flop_per_s, moved / bytes_per_s))
    each = np.hypot(work / flop_per_s, (weights + edges[:-1] + edges[1:]) / bytes_per_s)
    return np.asarray(work.size * launch_s + each.sum())
