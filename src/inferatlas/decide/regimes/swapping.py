"""Several models on one deployment: which share of them memory holds, and what loading the others costs."""

from __future__ import annotations

import numpy as np

from inferatlas.decide.advisor.search import Designs
from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.budget import budget_of


def swap_seconds(designs: Designs, hosted: int) -> Floats:
    """Expected seconds of loading per request that goes to one of ``hosted`` equal models at random.

    Memory holds as many models as fit beside the caches of the batch; a request to another one waits for its
    weights, which every device loads over its own link (a second memory, or the host). NaN where the rate of
    that link is unknown and not all models fit.
    """
    out = np.zeros(len(designs))
    for on_chip in (False, True):
        at = np.flatnonzero(designs.table.resident[designs.points.platform] == on_chip)
        if not at.size:
            continue
        points = designs.points[at]
        budget = budget_of(designs.ops, designs.table, points)
        batch = np.maximum(np.nan_to_num(designs.predictions.batch[at]), 1.0)
        fixed = budget.activations + budget.reserve + batch * budget.kv_per_sequence
        held = np.clip(np.floor((budget.usable - fixed) / budget.weights), 1.0, hosted)
        missed = 1.0 - held / hosted
        out[at] = np.where(missed > 0, missed * budget.weights * designs.table.offload_s[points.platform], 0.0)
    return out
