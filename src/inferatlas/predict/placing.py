"""What waits in slower memory where a model does not fit: the least of its weights and cache, for the best result.

The predictor says what a share costs (`performance/waiting.py`); here the shares are chosen. A layout that fits keeps
everything in the main memory: slower memory holds what does not fit, and nothing else unless it is asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import budget_of, predict
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.replicas import Layout, points_of
from inferatlas.workload import Workload

CACHE_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
HALVINGS = 22  # of the interval in which the least share lies: to a part in four million
MARGIN = 1e-6  # shares are held in single precision


def least_offload(
    ops: Operators, table: PlatformTable, points: Points, sequences: Floats | float = 1.0,
    speculation: Speculation | None = None,
) -> Floats:  # fmt: skip
    """The least share of the layers' weights that must wait so that ``sequences`` fit; NaN where all is not enough."""

    def holds(share: Floats) -> np.ndarray:
        asked = replace(points, offload=share.astype(np.float32))
        return budget_of(ops, table, asked, speculation=speculation).sequences >= sequences

    low, high = np.zeros(len(points)), np.ones(len(points))
    never = ~holds(high)
    high = np.where(holds(low), 0.0, high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        enough = holds(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.nan, np.where(high > 0, np.minimum(high + MARGIN, 1.0), 0.0))


def place(
    ops: Operators, table: PlatformTable, load: Workload, layouts: list[Layout],
    speculation: Speculation | None = None, cache_offload: float | None = None,
) -> Layout | None:  # fmt: skip
    """The best of several layouts with what must wait in slower memory waiting there; None where nothing fits.

    For each share of the cache, and for powers of two of requests that shall run at once, the least share of weights;
    of all these the one whose requests take the least time. ``cache_offload``: the share of the cache, where given.
    """
    shares = CACHE_SHARES if cache_offload is None else (cache_offload,)
    flying = max(load.concurrency or 1, 1)
    wanted = [2.0**k for k in range(int(np.log2(flying)) + 1)]
    rows = [(replace(x, cache_offload=s), n) for x in layouts for s in shares for n in wanted]
    points = points_of(load, [row for row, _ in rows])
    held = np.array([n for _, n in rows]) / points.dp
    least = least_offload(ops, table, points, np.maximum(held, 1.0), speculation)
    tried = [i for i, share in enumerate(least.tolist()) if np.isfinite(share)]
    if not tried:
        return None
    chosen = [replace(rows[i][0], offload=float(least[i])) for i in tried]
    found = predict(ops, table, points_of(load, chosen), speculation=speculation)
    latency = np.where(found.fits, found.latency_s, np.inf)
    best = int(np.argmin(latency))
    return chosen[best] if np.isfinite(latency[best]) else None
