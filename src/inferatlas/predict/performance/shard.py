"""How design points divide a model: ranks, stages and experts as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferatlas.predict.arrays import Floats, Ints
from inferatlas.predict.performance.platform_table import PlatformTable
from inferatlas.predict.performance.points import Points


@dataclass(frozen=True, slots=True)
class Shard:
    """How the points divide a model: arrays of equal length.

    ``ranks`` are tensor-parallel engine devices per replica (tp times dies), ``stages`` of the pipeline,
    ``ep`` expert ranks, ``cp`` shards of the context, ``index`` the platform of each point. ``ranks_f``,
    ``stages_f`` and ``ep_f`` are the same as floats; ``cp_f``, ``offload`` and ``kv_offload`` (shares of weights
    and of the cache in slower memory) are None where no point has any. ``prompt``: tokens of a whole one that are new.
    """

    index: Ints
    ranks: Ints
    stages: Ints
    ep: Ints
    ranks_f: Floats
    stages_f: Floats
    ep_f: Floats
    cp: Ints
    cp_f: Floats | None
    offload: Floats | None
    kv_offload: Floats | None
    prompt: Floats


def shard_of(row: PlatformTable, points: Points) -> Shard:
    """The division of each point; floats in the precision of the gathered table."""
    kind = row.dies.dtype
    ranks = points.tp * row.dies.astype(np.int32)
    return Shard(
        points.platform, ranks, points.pp, points.ep, ranks.astype(kind), points.pp.astype(kind),
        points.ep.astype(kind), points.cp, points.cp.astype(kind) if (points.cp > 1).any() else None,
        points.offload.astype(kind) if points.offload.any() else None,
        points.kv_offload.astype(kind) if points.kv_offload.any() else None,
        (points.input_tokens - points.prefix).astype(kind),
    )  # fmt: skip
