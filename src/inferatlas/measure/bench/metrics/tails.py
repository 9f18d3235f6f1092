"""What a percentile of n requests is worth: how many are needed, and what bounds it from above.

The rule of MLPerf LoadGen's early stopping (https://github.com/mlcommons/inference/tree/master/loadgen), as
reference/load-generation.md, section 7, states it: with t requests over the limit among n, "the p-th percentile is
within the limit at 99 % confidence" needs the smallest n with P(Binomial(n, 1 - p) <= t) <= 1 %. Requests are taken to
be independent, which those of a closed loop are not quite.
"""

from __future__ import annotations

from inferatlas.errors import BadInput
from inferatlas.measure.bench.metrics.timings import Floats

CONFIDENCE = 0.99
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def needed(p: float, over: int = 0, confidence: float = CONFIDENCE) -> int:
    """Requests that are needed to say that the p-th percentile is within a limit which ``over`` of them exceed.

    Parameters
    ----------
    p : between 0 and 1.

    Raises
    ------
    BadInput : a share that is none.

    Examples
    --------
    >>> [needed(0.99, t) for t in range(4)]
    [459, 662, 838, 1001]
    """
    from scipy.special import bdtr  # the binomial distribution; scipy.stats would load 60 MB for it

    if not 0 < p < 1:
        raise BadInput(f"{p} is no share", field="p", allowed="between 0 and 1")
    low, high = over, max(2 * over, 16)  # so few do not suffice; so many may
    while bdtr(over, high, 1 - p) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if bdtr(over, middle, 1 - p) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def upper_bound(ordered: Floats, p: float, confidence: float = CONFIDENCE) -> float | None:
    """A value that the p-th percentile does not exceed, at that confidence; None: the values are too few.

    It is the smallest of the values, which are ascending, shape (n,), that fewer than so many of n would lie under by
    chance (order statistics; no form of the distribution is assumed).

    Examples
    --------
    >>> import numpy as np
    >>> upper_bound(np.arange(1.0, 460.0), 0.99), upper_bound(np.arange(1.0, 459.0), 0.99)
    (459.0, None)
    """
    from scipy.special import bdtr

    n = ordered.size
    below, rank = 0, n + 1  # the least rank with P(Binomial(n, p) <= rank - 1) >= confidence
    while rank - below > 1:
        middle = (below + rank) // 2
        if bdtr(middle - 1, n, p) >= confidence:
            rank = middle
        else:
            below = middle
    return float(ordered[rank - 1]) if rank <= n else None


def too_small(n: int) -> tuple[str, ...]:
    """Percentiles that n values cannot bound at all.

    Examples
    --------
    >>> too_small(100)
    ('p99',)
    """
    least = {"p50": 7, "p90": 44, "p95": 90, "p99": 459}  # needed(p, 0)
    return tuple(name for name, few in least.items() if n < few)
