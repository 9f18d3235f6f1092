"""Brunetta et al., Beyond Throughput: its tables and figures beside our predictions, its guidelines tested.

In: the paper's ledger (what it prints), the catalogue, predictions. Out: `exhibits` and `guidelines`; drawing is
another floor's. Nothing here is fitted to the paper (`provenance` checks that and says so in every note).

``protocol`` holds what was run, ``asking`` predicts many configurations in one pass per model, ``pairs`` and
``comparing`` turn predictions into pairs and trials, ``judging`` says when a guideline holds: its docstring has the
rule. ``tables`` to ``dataflow`` are the exhibits, ``rules_*`` the guidelines, a file per figure or family. Implements
no equation of its own.
"""

from __future__ import annotations

from inferatlas.studies.exhibits import Exhibit, Guideline
from inferatlas.studies.reproducing.brunetta import (
    dataflow,
    experts,
    nodes,
    quantised,
    rules_accelerators,
    rules_dataflow,
    rules_experts,
    rules_memory,
    rules_parallel,
    rules_precision,
    rules_single,
    single,
    sizes,
    tables,
)


def exhibits() -> tuple[Exhibit, ...]:
    """Every table and figure of the paper in its order, and the numbers that its text prints of them."""
    return (
        *tables.exhibits(),
        single.figure_1(), single.power(), single.figure_2(),
        quantised.figure_3(), quantised.printed(),
        nodes.figure_4(), nodes.printed(),
        sizes.figure_5(), sizes.printed(),
        experts.figure_6(), experts.printed(),
        dataflow.figure_7(), dataflow.figure_8(), dataflow.printed(),
    )  # fmt: skip


def guidelines() -> tuple[Guideline, ...]:
    """Every boxed statement of the paper, tested."""
    rules = (
        *rules_single.ALL, *rules_accelerators.ALL, *rules_precision.ALL, rules_parallel.data_parallel,
        *rules_memory.ALL, rules_parallel.larger_memory, *rules_experts.ALL, *rules_dataflow.ALL,
    )  # fmt: skip
    return tuple(rule() for rule in rules)
