"""A chain of operators as one fused section, equation (37): a plain form, to check and teach.

No prediction passes through here: the predictor charges a dataflow part no launch per operator. The tiers of its memory
are in `tiers.py`. Rates in byte/s, sizes in bytes, times in seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.arguments import floats


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
