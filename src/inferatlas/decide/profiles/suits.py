"""Which architecture class suits a mix of regimes: scores of accelerators weighted by the shares of the mix."""

from __future__ import annotations

from typing import Any

from inferatlas.decide.regimes.result import Fitness
from inferatlas.quantities import percent


def mixed_scores(graded: Fitness, shares: dict[str, float]) -> dict[str, float]:
    """Score of every accelerator over the mix: its scores in the regimes, weighted by their shares."""
    total = sum(shares[one.regime.name] for one in graded.regimes)
    out: dict[str, float] = {}
    for one in graded.regimes:
        for cell in one.cells:
            part = (cell.score or 0.0) * shares[one.regime.name] / total
            out[cell.accelerator] = out.get(cell.accelerator, 0.0) + part
    return out


def classes(
    graded: Fitness, mixed: dict[str, float], shares: dict[str, float], counts: dict[str, int]
) -> list[dict[str, Any]]:
    """Architecture classes by their best accelerator over the mix, best first.

    ``counts``: of accelerators that serve the workload, how many that takes.
    """
    first = graded.regimes[0].cells
    kinds = {cell.accelerator: cell.architectural_class for cell in first}
    best: dict[str, str] = {}
    for name in sorted(mixed, key=lambda name: (-mixed[name], name)):
        if mixed[name] > 0:
            best.setdefault(kinds[name], name)
    out = []
    for kind, name in best.items():
        cells = {one.regime.name: next(c for c in one.cells if c.accelerator == name) for one in graded.regimes}
        out.append(
            {
                "name": kind,
                "accelerator": name,
                "score": mixed[name],
                "grades": {regime: cell.grade for regime, cell in cells.items()},
                "why": "; ".join(
                    f"{regime} ({percent(shares[regime])}): {cell.grade or 'cannot'}, {cell.reason}"
                    for regime, cell in cells.items()
                ),
                "least_count": counts.get(name),
                "label": next((c.label for c in cells.values() if c.label), None),
            }
        )
    return out
