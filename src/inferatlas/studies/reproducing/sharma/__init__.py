"""Sharma 2025, AI Accelerators for Large Language Model Inference, reproduced: tables, figures, guidelines.

In: the ledger ``sharma-2025``, the catalogue, the model and the laboratory. Out: `exhibits` (Tables I to IV, Figs. 1,
7, 8, 9 and 11, Section V) and `guidelines` (the insights of Section IV-E and the promise of Section V-C). One file
each; ``serving`` and ``systems`` predict what several of them show.
"""

from __future__ import annotations

from functools import lru_cache

from inferatlas.studies.exhibits import Exhibit, Guideline
from inferatlas.studies.reproducing import catalogued
from inferatlas.studies.reproducing.sharma import (
    bandwidth,
    batch,
    batch_table,
    dominance,
    efficiency,
    growing,
    hierarchies,
    interactive,
    pooled,
    regimes,
    sizes,
    software,
    strategies,
    targets,
    tiered,
    tradeoff,
)
from inferatlas.studies.reproducing.sharma.published import PAPER


def exhibits() -> tuple[Exhibit, ...]:
    """The tables and figures, in the order of the paper."""
    rows, matrix = _interactive(), _regimes()
    return (
        sizes.exhibit(),
        targets.exhibit(rows),
        hierarchies.exhibit(),
        catalogued.exhibit(PAPER, "table-ii"),
        regimes.exhibit(matrix),
        interactive.exhibit(rows),
        batch_table.exhibit(batch.batched()),
        strategies.exhibit(strategies.scaled()),
        strategies.supported(),
        tiered.exhibit(tiered.tiered()),
        pooled.exhibit(pooled.demands(matrix)),
    )


def guidelines() -> tuple[Guideline, ...]:
    """The statements that work as rules, tested."""
    return (
        bandwidth.guideline(),
        tradeoff.guideline(),
        software.guideline(),
        efficiency.guideline(_interactive()),
        dominance.guideline(_regimes()),
        growing.guideline(),
    )


@lru_cache(maxsize=1)
def _interactive() -> tuple[interactive.Interactive, ...]:
    """The rows of Table III: exhibits and guidelines ask for them."""
    return tuple(interactive.interactive())


@lru_cache(maxsize=1)
def _regimes() -> tuple[regimes.Graded, ...]:
    """The matrix of Fig. 8, likewise."""
    return tuple(regimes.graded())
