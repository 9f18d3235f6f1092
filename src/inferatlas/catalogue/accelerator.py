"""What an accelerator is to the rest of the house: identity, classification and a sheet of facts."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.catalogue.facts import FactSheet

ARCHITECTURAL_CLASSES = (
    "gpu_simt", "systolic_array", "manycore_sram", "wafer_scale", "deterministic_pipeline", "dataflow_rdu",
)  # fmt: skip
EXECUTION_STYLES = ("kernel", "static_pipeline", "wafer", "dataflow")
TOPOLOGIES = ("switch", "full_mesh", "ring", "torus2d", "torus3d", "mesh2d", "dragonfly", "pcie", "pipeline")
ENGINES = ("vllm", "sglang", "tensorrt-llm", "deepspeed", "native")
SUPPORT = ("official", "experimental", "none")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Accelerators of one kind that somebody has or may buy; what is None keeps the catalogue's figure.

    ``usd_per_hour``: of one accelerator; ``pue`` and ``gco2e_per_kwh`` of the site; ``source`` says where these
    figures come from. Its network is among the facts of the accelerator that holds it.
    """

    id: str
    name: str
    nodes: int
    accelerators_per_node: int
    usd_per_hour: float | None
    pue: float | None
    gco2e_per_kwh: float | None
    source: str

    @property
    def count(self) -> int:
        """Accelerators in all."""
        return self.nodes * self.accelerators_per_node


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One device as sold, with everything known about it.

    ``execution`` says how programs run on it (`EXECUTION_STYLES`), ``topology`` how devices of one
    scale-up domain are joined, ``devices_per_card`` how many devices an engine sees per card.
    The numbers are facts: ``facts.number("mem.hbm.bandwidth")``.
    """

    id: str
    name: str
    vendor: str
    aliases: tuple[str, ...]
    architectural_class: str
    execution: str
    topology: str
    devices_per_card: int
    facts: FactSheet
    file: str
    cluster: Cluster | None = None  # where it was read from a cluster's file
