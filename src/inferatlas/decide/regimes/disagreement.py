"""Where a published grade and ours differ: constraint, condition and evidence, in one sentence each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from inferatlas.workload import GRADES, Regime

if TYPE_CHECKING:
    from inferatlas.decide.regimes.cells import Cell


def explained(cell: Cell, regime: Regime) -> Cell:
    """The cell with ``differs`` set where a published grade is not ours."""
    theirs = cell.paper_grade
    if theirs is None or theirs == cell.grade:
        return cell
    if cell.grade is None or cell.grades is None:
        return replace(cell, differs=f"constraint: {cell.reason}; condition: {_stated(regime)}")
    worse, better = (GRADES.index(word) for word in cell.grades)
    reached = better <= GRADES.index(theirs) <= worse
    interval = (
        "our interval reaches their grade" if reached
        else f"our interval, {cell.grades[0]} to {cell.grades[1]}, does not reach their grade"
    )  # fmt: skip
    each = f" per accelerator of {cell.count}" if regime.per == "accelerator" else f" on {cell.count} accelerators"
    evidence = (
        f"{cell.label}, {cell.evidence['points']:,} measured points at the level of its {cell.evidence['level']}"
        if cell.evidence.get("points") else f"{cell.label}, nothing near it was measured"
    )  # fmt: skip
    return replace(
        cell,
        differs=f"constraint: {cell.reason}; condition: ours is{each}, {cell.weights} weights, {_stated(regime)}; "
        f"evidence: {evidence}, {interval}",
    )


def _stated(regime: Regime) -> str:
    """What the source leaves open."""
    return f"theirs states neither value, count nor format ({regime.published.source})" if regime.published else ""
