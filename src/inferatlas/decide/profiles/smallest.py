"""The smallest deployment of each accelerator that serves a workload, and why there may be none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferatlas.decide.advisor.judge import Budget, probability
from inferatlas.decide.advisor.search import Designs, Rejected
from inferatlas.decide.advisor.why_not import explain
from inferatlas.errors import NoFeasibleAnswer
from inferatlas.predict.answer import Metric
from inferatlas.predict.mapping.reasons import field_of
from inferatlas.predict.platforms import checkpoint_format
from inferatlas.workload import ServiceTarget

EVEN = 0.5  # a design counts where it is as likely as not to meet the targets
DECIDES = ("slo", "engine", "weights")  # inputs of a profile that a reason may be about, beside the count
NEAREST = ("target", "rate_beyond_capacity", "kv_cache", "memory")  # why nothing serves, nearest to success first


def native(designs: Designs) -> Designs:
    """Those in the format in which accelerators are compared: narrower ones change a model's answers."""
    own = [p.precision.weights == checkpoint_format(designs.model, p.device) for p in designs.table.platforms]
    keep = np.flatnonzero(np.array(own, dtype=bool)[designs.points.platform])
    metrics = {
        name: Metric(*(np.broadcast_to(x, metric.value.shape)[keep] for x in (metric.value, metric.sigma, metric.most)))
        for name, metric in designs.metrics.items()
    }
    return replace(designs, points=designs.points[keep], predictions=designs.predictions[keep], metrics=metrics)


def smallest(designs: Designs, targets: tuple[ServiceTarget, ...]) -> dict[str, int]:
    """Of every accelerator that serves the trace, the design of fewest devices, the fastest of those.

    Raises
    ------
    NoFeasibleAnswer : there is none.
    """
    keep = np.flatnonzero(designs.predictions.fits & (probability(designs, targets) >= EVEN))
    if not keep.size:
        raise _nothing_serves(designs, targets)
    latency = designs.metrics["latency_s"].value[keep]
    order = keep[np.lexsort((latency, designs.points.accelerators[keep]))]
    index, owner = designs.accelerator_index()
    out: dict[str, int] = {}
    for i in order.tolist():
        out.setdefault(index[owner[i]], i)
    return out


def _nothing_serves(designs: Designs, targets: tuple[ServiceTarget, ...]) -> NoFeasibleAnswer:
    """The reason of what came nearest to serving: by the reason, then by the odds of its best design."""
    index, owner = designs.accelerator_index()
    never = {name for k, name in enumerate(index) if not (owner == k).any()}
    odds = np.where(designs.predictions.fits, probability(designs, targets), 0.0)
    best = {name: float(odds[owner == k].max(initial=0.0)) for k, name in enumerate(index)}

    def far(one: Rejected) -> tuple[float, ...]:
        place = NEAREST.index(one.code) if one.code in NEAREST else len(NEAREST)
        return place, -best.get(one.accelerator, 0.0), one.least_count or np.inf

    out = sorted(explain(designs, targets, Budget(), never, EVEN), key=far)
    more = len(out) - 1
    others = f", and {more} other accelerator{'s do' if more > 1 else ' does'} not either" if more else ""
    field = field_of(out[0].code)
    return NoFeasibleAnswer(
        f"nothing within the limits serves the trace ({out[0].accelerator}: {out[0].detail}){others}",
        code=out[0].code,
        least_count=out[0].least_count,
        field=field if field in DECIDES else "max_count",
    )
