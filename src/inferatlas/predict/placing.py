"""What waits in slower memory where a model does not fit: the least of its weights and cache, for the best result.

The predictor says what a share costs (`performance/waiting.py`); here the shares are chosen. A layout that fits with
all its requests keeps everything in the main memory: slower memory holds what does not fit, and nothing else unless it
is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inferatlas.predict.arrays import Floats
from inferatlas.predict.llm.operators import Operators
from inferatlas.predict.llm.placement import UNIFORM, Routing
from inferatlas.predict.performance.budget import budget_of
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.speculation import Speculation
from inferatlas.predict.replicas import Layout, points_of, replicas_of
from inferatlas.workload import Workload

CACHE_SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
OPEN = 256.0  # requests in flight that are tried where a rate brings them, per replica
HALVINGS = 22  # of the interval in which the least share lies: to a part in four million
MARGIN = 1e-6  # shares are held in single precision


def least_offload(
    ops: Operators, table: PlatformTable, points: Points, sequences: Floats | float = 1.0,
    speculation: Speculation | None = None, redundant: int = 0,
) -> Floats:  # fmt: skip
    """The least share of the layers' weights that must wait so that ``sequences`` fit; NaN where all is not enough.

    ``redundant``: spare copies of experts per layer.
    """

    def holds(share: Floats) -> np.ndarray:
        asked = replace(points, offload=share.astype(np.float32))
        return budget_of(ops, table, asked, redundant, speculation).sequences >= sequences

    low, high = np.zeros(len(points)), np.ones(len(points))
    never = ~holds(high)
    high = np.where(holds(low), 0.0, high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        enough = holds(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(never, np.nan, np.where(high > 0, np.minimum(high + MARGIN, 1.0), 0.0))


def place_points(
    ops: Operators, table: PlatformTable, points: Points, speculation: Speculation | None = None,
    cache_shares: Sequence[float] = CACHE_SHARES, routing: Routing = UNIFORM,
) -> Points:  # fmt: skip
    """Each point with the shares in slower memory at which its requests take the least time.

    For each share of the cache, and for powers of two of requests that shall run at once, the least share of weights is
    tried. A point stays as it is where that is no slower; one that no share makes fit keeps none.
    """
    flying = np.where(np.isnan(points.concurrency), OPEN, points.concurrency / points.dp)
    sizes = 2.0 ** np.arange(int(np.log2(max(flying.max(), 1.0))) + 1)
    n, wanted, shares = len(points), np.repeat(sizes, len(cache_shares)), np.tile(cache_shares, len(sizes))
    index = np.repeat(np.arange(n), len(wanted))
    wanted, shares = np.tile(wanted, n), np.tile(shares, n)
    keep = wanted <= np.maximum(flying[index], 1.0)
    index, wanted, shares = index[keep], wanted[keep], shares[keep]
    tried = replace(points[index], kv_offload=shares.astype(np.float32))
    least = least_offload(ops, table, tried, wanted, speculation, routing.redundant)
    possible = np.isfinite(least)
    tried = replace(tried, offload=np.where(possible, least, 0.0).astype(np.float32))
    found = predict(ops, table, tried, speculation=speculation, routing=routing)
    asis = predict(ops, table, points, speculation=speculation, routing=routing)
    latency = np.where(possible & found.fits, found.latency_s, np.inf)
    best = np.lexsort((latency, index))[np.searchsorted(index, np.arange(n))]
    chosen = tried[best]
    stay = (asis.fits & (asis.latency_s <= latency[best] * (1.0 + MARGIN))) | ~np.isfinite(latency[best])
    return replace(
        chosen, offload=np.where(stay, points.offload, chosen.offload),
        kv_offload=np.where(stay, points.kv_offload, chosen.kv_offload),
    )  # fmt: skip


def place(
    ops: Operators, table: PlatformTable, load: Workload, layouts: Sequence[Layout],
    speculation: Speculation | None = None, kv_offload: float | None = None, routing: Routing = UNIFORM,
) -> Layout | None:  # fmt: skip
    """The best of several layouts with what must wait in slower memory waiting there; None where nothing fits.

    ``kv_offload``: the share of the cache, where it is given.
    """
    if not layouts:
        return None
    shares = CACHE_SHARES if kv_offload is None else (kv_offload,)
    points = place_points(ops, table, points_of(load, list(layouts)), speculation, shares, routing)
    found = predict(ops, table, points, speculation=speculation, routing=routing)
    latency = np.where(found.fits, found.latency_s, np.inf)
    best = int(np.argmin(latency))
    if not np.isfinite(latency[best]):
        return None
    return replace(layouts[best], offload=float(points.offload[best]), kv_offload=float(points.kv_offload[best]))


def with_tiers(
    ops: Operators, table: PlatformTable, load: Workload, layout: Layout, count: int | None,
    given: dict[str, int | None], speculation: Speculation | None = None, kv_offload: float | None = None,
) -> tuple[Layout, list[str]]:  # fmt: skip
    """The layout as it is where it fits; else the best of ``count`` accelerators with what does not fit in the tiers.

    Requests beyond those that main memory holds wait, as without tiers: no engine streams the cache of requests that
    run unless it is told to (``kv_offload``).
    """
    if predict(ops, table, points_of(load, [layout]), speculation=speculation).fits[0]:
        if layout.waits:
            return layout, []
        return layout, ["weights and a request fit in the main memory: the tiers hold nothing"]
    found = place(ops, table, load, replicas_of(ops, table, count or layout.count, given), speculation, kv_offload)
    return (layout, []) if found is None else (found, ["layout and shares in slower memory: the least latency found"])
