"""Which targets a run missed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferatlas.workload.targets import ServiceTarget


def missed_targets(document: dict[str, Any], targets: Iterable[ServiceTarget]) -> list[str]:
    """Targets that a run missed; one whose metric is unknown is missed."""
    metrics, missed = document["metrics"], []
    for target in targets:
        value = metrics.get(target.metric)
        if target.metric in ("ttft", "itl", "latency"):
            value = (metrics.get(f"{target.metric}_s") or {}).get(target.statistic)
        if value is None or not target.met(value):
            missed.append(target.text())
    return missed
