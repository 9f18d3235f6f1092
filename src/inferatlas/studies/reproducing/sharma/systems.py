"""The systems of Table IV: so many accelerators of a kind, the best layout of the model on them at each batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs
from inferatlas.decide.fleet import fleet
from inferatlas.predict.answer import Interval
from inferatlas.predict.performance.points import Points
from inferatlas.predict.performance.predictor import predict
from inferatlas.predict.performance.variance import Variance, variance
from inferatlas.predict.replicas import label_of
from inferatlas.studies.exhibits import Label
from inferatlas.studies.reproducing.sharma.serving import ISL, MODEL, OSL
from inferatlas.workload import make_workload

BATCHES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 256, 512, 1024, 2048, 4096)  # those that the table prints among them
NEARLY = 0.95  # of the largest throughput: from here on more requests in flight gain little
RATE = "output_tokens_per_s"


@dataclass(frozen=True)
class System:
    """So many accelerators of a kind with the model in every layout, at every one of `BATCHES`."""

    count: int
    designs: Designs

    @property
    def holds(self) -> bool:
        """Whether any layout fits."""
        return len(self.designs) > 0

    @property
    def least(self) -> int | None:
        """The fewest accelerators that hold the model, where these do not."""
        return next((one.least_count for one in self.designs.rejected), None)

    @property
    def why_not(self) -> str:
        return next((one.detail for one in self.designs.rejected), "")

    def best(self, batch: float) -> int | None:
        """The design with most tokens per second at a batch."""
        at = np.flatnonzero(self.designs.predictions.fits & (self.designs.points.concurrency == batch))
        return int(at[np.argmax(self._rates[at])]) if at.size else None

    def running(self, batch: float) -> float:
        """How many of the requests of a batch run at a time in its best design; the others wait."""
        i = self.best(batch)
        if i is None:
            return 0.0
        return min(batch, float(self.designs.predictions.batch[i]) * float(self.designs.points.dp[i]))

    @property
    def _rates(self) -> np.ndarray:
        return self.designs.metrics[RATE].value

    def rate(self, batch: float) -> Interval | None:
        """Tokens per second of the best design at a batch."""
        i = self.best(batch)
        return None if i is None else self.designs.metrics[RATE].at(i)

    def largest(self) -> tuple[int, int] | None:
        """The design with most tokens per second at any batch, and the least batch that comes near it."""
        best = {batch: i for batch in BATCHES if (i := self.best(batch)) is not None}
        if not best:
            return None
        top = max(best.values(), key=lambda i: self._rates[i])
        near = min(batch for batch, i in best.items() if self._rates[i] >= NEARLY * self._rates[top])
        return top, near

    def label(self, i: int) -> Label:
        label = label_of(self.designs.platform(i), self.designs.layout(i))
        return "predicted" if label == "predicted" else "extrapolated"

    def spread(self, i: int) -> dict[str, float]:
        """Coefficients of variation of design i by what varies: gaps and latencies of a closed loop and of a batch.

        A closed loop replaces each request that ends, so that steps carry prompts; a batch starts and ends together.
        """
        one = self.designs.points[i : i + 1]
        together = replace(one, together=np.ones(1, dtype=bool))
        loop = self._variance(one)
        batch = self._variance(together)
        return {
            "gap_cov, closed loop": float(loop.cov("gap")[0]), "latency_cov, closed loop": float(loop.cov()[0]),
            "gap_cov, one batch": float(batch.cov("gap")[0]),
        }  # fmt: skip

    def _variance(self, points: Points) -> Variance:
        designs = self.designs
        return variance(designs.ops, designs.table, points, predict(designs.ops, designs.table, points))


def system(accelerator: Accelerator, count: int, batches: Sequence[int] = BATCHES) -> System:
    """The model on so many accelerators in its checkpoint's format; prompts of `ISL` and answers of `OSL` tokens.

    Examples
    --------
    >>> from inferatlas.catalogue.accelerators import load_accelerator
    >>> four = system(load_accelerator("groq-lpu-v1"), 4, [1])
    >>> four.holds, four.least > 100
    (False, True)
    """
    load = make_workload(None, isl=ISL, osl=OSL, concurrency=1)
    levels = {"concurrency": [float(batch) for batch in batches]}
    return System(count, fleet(load_model(MODEL), [accelerator], load, levels, within=count))


def scaling(large: System, small: System, batches: tuple[int, int]) -> float | None:
    """Throughput of the large system over the small one's, over the ratio of their accelerators; None: one has none.

    ``batches`` of both.
    """
    up, down = (one.rate(batch) for one, batch in zip((large, small), batches, strict=True))
    if up is None or down is None:
        return None
    return up.value / down.value * small.count / large.count
