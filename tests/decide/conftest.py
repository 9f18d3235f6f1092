"""What the tests of the advisor share: one small search, clusters on disk, and designs with metrics of one's choice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferatlas.catalogue.models import load_model
from inferatlas.decide.advisor.search import Designs, Limits, evaluate
from inferatlas.predict.answer import Metric
from inferatlas.workload import make_workload

PARTS = ("nvidia-h100-sxm", "amd-mi300x", "amd-mi250", "nvidia-l4", "groq-lpu-v1", "google-tpu-v5e")


@pytest.fixture(scope="session")
def designs() -> Designs:
    """Six accelerators: some without a price, one without a rated power, one too small for the model."""
    load = make_workload(None, isl=1024, osl=256, concurrency=16)
    return evaluate(load_model("llama-3.1-8b"), load, Limits(accelerators=PARTS, max_count=4))


@pytest.fixture(scope="session")
def with_metrics(designs: Designs) -> Callable[..., Designs]:
    """The same designs, all feasible, with metrics given as ``name=(values, sigmas)``."""

    def changed(**metrics: tuple[Any, Any]) -> Designs:
        n = len(designs)
        reason = np.zeros(n, dtype=np.int8)
        given = {
            name: Metric(*(np.broadcast_to(np.asarray(x, dtype=np.float64), n).copy() for x in pair))
            for name, pair in metrics.items()
        }
        return replace(
            designs, predictions=replace(designs.predictions, reason=reason), metrics=designs.metrics | given
        )

    return changed


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., str]:
    """A cluster's file: ``cluster("h100", price=1.3)``, large enough not to bound a search unless told otherwise."""

    def written(accelerator: str, *, price: float | None = None, nodes: int = 1000, per_node: int = 8) -> str:
        file = tmp_path / f"{accelerator}-{price}-{nodes}.yaml"
        lines = [f"id: my-{accelerator}", f"accelerator: {accelerator}", f"nodes: {nodes}"]
        lines += [f"accelerators_per_node: {per_node}", "source: an offer"]
        lines += [f"price: {price!r} USD/h"] if price is not None else []
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(file)

    return written
