"""What sharing saves: each node alone must hold its own peak, a pool only the peak of the sum; equation (50).

In: nodes, variation of their demand, correlation, service level. Out: the gain, and its price, remote accesses by (29)
and (30). What it is worth in money is `ownership` and `money`, equation (51).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.errors import BadInput
from inferatlas.predict.performance.arguments import Array, floats


def service_quantile(level: float) -> float:
    """Standard deviations above the mean that serve a share ``level`` of the time: z of (50).

    Parameters
    ----------
    level : 0.5 or more (half of the time the mean is enough), below 1.

    Raises
    ------
    BadInput : outside that.

    Examples
    --------
    >>> round(service_quantile(0.99), 4), service_quantile(0.5)
    (2.3263, 0.0)
    """
    if not 0.5 <= level < 1.0:
        raise BadInput(f"{level!r} is not a service level", field="service", allowed="0.5 up to, not including, 1")
    return NormalDist().inv_cdf(level)


def independent_nodes(nodes: ArrayLike, correlation: ArrayLike = 0.0) -> Array:
    """How many independent nodes vary as little together as these: ``N/(1 + (N-1) r)``.

    Examples
    --------
    >>> independent_nodes(16, [0.0, 0.2, 1.0]).tolist()
    [16.0, 4.0, 1.0]
    """
    count = floats(nodes, "nodes", 1)
    return np.asarray(count / (1.0 + (count - 1.0) * floats(correlation, "correlation", 0, 1)))


def pooling_gain(nodes: ArrayLike, cv: ArrayLike, z: ArrayLike, correlation: ArrayLike = 0.0) -> Array:
    """Capacity of nodes that each hold their own peak over that of a pool for all: equation (50).

    ``(1 + z c)/(1 + z c/sqrt(N))``, with ``sqrt(N/(1 + (N-1) r))`` for demands that correlate. It is also the gain in
    use, since the demand is the same.

    Parameters
    ----------
    nodes : 1 or more. cv : standard deviation of a node's demand over its mean. z : `service_quantile`.
    correlation : of the demands of any two nodes, 0 to 1; at 1 all peak together and nothing is gained.

    Examples
    --------
    >>> [round(float(pooling_gain(n, 0.6, 2.33)), 3) for n in (1, 4, 16, 64)]
    [1.0, 1.411, 1.777, 2.041]
    """
    peak = floats(z, "z", 0) * floats(cv, "cv", 0)
    return np.asarray((1.0 + peak) / (1.0 + peak / np.sqrt(independent_nodes(nodes, correlation))))


def pooled_share(nodes: ArrayLike, cv: ArrayLike, z: ArrayLike, correlation: ArrayLike = 0.0) -> Array:
    """Part of a pooled fleet's capacity above the mean demand, where each node keeps its own mean.

    Examples
    --------
    >>> round(float(pooled_share(16, 0.6, 2.33)), 3), float(pooled_share(16, 0.0, 2.33))
    (0.259, 0.0)
    """
    peak = floats(z, "z", 0) * floats(cv, "cv", 0) / np.sqrt(independent_nodes(nodes, correlation))
    return np.asarray(peak / (1.0 + peak))


def access_ratio(
    local_s: ArrayLike, penalty_s: ArrayLike, local_bytes_per_s: ArrayLike | None = None,
    remote_bytes_per_s: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Time of a remote access over a local one, at most: the worse of the ratios of latencies and of bandwidths.

    By (30) a tier gives ``min(W_peak, N_out z/l)``; however many lines N_out are under way, two tiers differ by no
    more than this. Bandwidths that are not given do not count.

    Examples
    --------
    >>> float(access_ratio(100e-9, 80e-9)), float(access_ratio(100e-9, 80e-9, 300e9, 64e9))
    (1.8, 4.6875)
    """
    local = floats(local_s, "local_latency", above=0)
    ratio = (local + floats(penalty_s, "latency_penalty", 0)) / local
    if local_bytes_per_s is not None and remote_bytes_per_s is not None:
        near, far = (floats(x, "bandwidth", above=0) for x in (local_bytes_per_s, remote_bytes_per_s))
        ratio = np.maximum(ratio, near / far)
    return np.asarray(ratio)


def slowdown(remote_share: ArrayLike, ratio: ArrayLike, bound: ArrayLike = 1.0) -> Array:
    """Time of work with remote accesses over that with local ones: ``1 + m f (k - 1)``, accesses one by one (29).

    Parameters
    ----------
    remote_share : f, share of the accesses that go to the pool. ratio : k, time of a remote access over a local one.
    bound : m, share of the time that waits for this memory.

    Examples
    --------
    >>> round(float(slowdown(0.25, 1.8)), 2), round(float(slowdown(0.25, 1.8, 0.5)), 2)
    (1.2, 1.1)
    """
    share, waiting = floats(remote_share, "remote_share", 0, 1), floats(bound, "memory_bound", 0, 1)
    return np.asarray(1.0 + waiting * share * (floats(ratio, "ratio", 1) - 1.0))


def nodes_for(gain: ArrayLike, cv: ArrayLike, z: ArrayLike, correlation: ArrayLike = 0.0) -> Array:
    """The nodes from which (50) gives a gain, not rounded; infinite where no number does.

    Examples
    --------
    >>> round(float(nodes_for(1.777, 0.6, 2.33)), 1), float(nodes_for(3.0, 0.6, 2.33))
    (16.0, inf)
    """
    wanted, peak = floats(gain, "gain", 1), floats(z, "z", 0) * floats(cv, "cv", 0)
    r = floats(correlation, "correlation", 0, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        independent = (peak / ((1.0 + peak) / wanted - 1.0)) ** 2
        found = independent * (1.0 - r) / (1.0 - r * independent)
    never = ((1.0 + peak) / wanted <= 1.0) | (r * independent >= 1.0)
    return np.asarray(np.where(wanted == 1.0, 1.0, np.where(never, np.inf, found)))
