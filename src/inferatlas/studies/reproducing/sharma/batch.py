"""Table IV: batch processing of Llama 2 70B: the systems that it names, predicted."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.accelerator import Accelerator
from inferatlas.studies.claims.ledger import Row
from inferatlas.studies.reproducing.sharma.published import machines, stated
from inferatlas.studies.reproducing.sharma.serving import MODEL, served
from inferatlas.studies.reproducing.sharma.systems import BATCHES, System, scaling, system

TABLE = "table-iv"
MAXIMUM, BATCH, COV, EFFICIENCY, SOURCE = "throughput", "batch", "cov", "scaling", "source"
SIZES = {  # accelerators of a row, as its name says; one where it says nothing
    "nvidia-b200-sxm": 8, "google-tpu-v7": 8, "amd-mi300x": 8, "intel-gaudi-3": 8, "cerebras-wse-3": 1,
    "graphcore-gc200": 64, "groq-lpu-v1": 4,
}  # fmt: skip
SCALED = 8  # "Scaling Eff. (8 acc.)"


@dataclass(frozen=True)
class Scaled:
    """Efficiency of ``SCALED`` accelerators against ``least``, at batches of both: the same, and in proportion."""

    least: int
    same: float | None
    proportion: float | None


@dataclass(frozen=True)
class Batched:
    """A row: the system as its name says, and one that holds the model and the batch where that does not.

    ``scaled`` None: no fewer than `SCALED` accelerators hold the model, or not even so many.
    """

    row: Row
    accelerator: Accelerator
    batch: int
    named: System
    fewest: System | None
    scaled: Scaled | None

    @property
    def serving(self) -> System | None:
        """The system that holds the model."""
        return self.named if self.named.holds else self.fewest


def batched() -> list[Batched]:
    """Every row of the table, predicted."""
    return [_batched(row, accelerator) for row, accelerator in machines(TABLE).values()]


def _batched(row: Row, accelerator: Accelerator) -> Batched:
    printed = stated(row, BATCH)
    batch = round(printed.value) if printed is not None and printed.value else 1
    named = system(accelerator, SIZES.get(accelerator.id, 1))
    holding = None if named.holds else served(accelerator, MODEL, [batch])
    fewest = system(accelerator, holding[0].count) if holding else None
    return Batched(row, accelerator, batch, named, fewest, _scaled(accelerator, named, batch))


def _scaled(accelerator: Accelerator, named: System, batch: int) -> Scaled | None:
    least = named.least if not named.holds else served(accelerator, MODEL, [1])[0].count
    if least is None or least >= SCALED:
        return None
    few = max(round(batch * least / SCALED), 1)
    large = named if named.count == SCALED else system(accelerator, SCALED)
    small = system(accelerator, least, sorted({*BATCHES, few}))
    return Scaled(least, scaling(large, small, (batch, batch)), scaling(large, small, (batch, few)))
