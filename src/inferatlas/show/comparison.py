"""`inferatlas bench compare` in words: what changed, how sure that is, and what else differs between the two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from inferatlas.measure.bench.comparison.comparing import BETTER, NEITHER, WORSE, ComparedPoint, Comparison
from inferatlas.measure.bench.comparison.measuring import TOO_FEW, Compared
from inferatlas.show.numbers import NONE, counted, figure, listed, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table
from inferatlas.show.runs import load_words

HOW = (
    "Ratios are B/A, their 95 % interval below. p is adjusted for all figures shown (Holm), and a verdict needs it "
    "below 0.05, so an interval alone may leave out 1. Paired: requests with the same prompt are compared; unpaired: "
    "requests are resampled, in blocks where they depend on each other; batches: rates over stretches of time; "
    "repetitions: figures of whole runs."
)


def comparison_rows(found: Comparison) -> list[dict[str, Any]]:
    """A row per metric and point."""
    return [
        {**point["load"], **one, "a_runs": ", ".join(point["a"]["runs"]), "b_runs": ", ".join(point["b"]["runs"])}
        for point in found.as_dict()["points"]
        for one in point["metrics"]
    ]


def comparison_page(found: Comparison, typed: str) -> Page:
    """The verdicts, a table per load, then what differs beside the figures."""
    blocks: list[Block] = [Heading(_headline(found))]
    if found.conflicts:
        blocks.append(Items("Compared by force: the figures do not mean the same", found.conflicts))
    blocks += [_table(point, found.labels) for point in found.points]
    blocks.append(Paragraph(HOW, quiet=True))
    if found.warnings:
        blocks.append(Items("To know before reading on", found.warnings))
    if found.differences:
        cells = [[one.what, one.a, one.b] for one in found.differences]
        columns = [Column("what"), Column("A", wraps=True), Column("B", wraps=True)]
        blocks.append(Table("What else differs", columns, cells))
    for name, left in zip("AB", found.unmatched, strict=True):
        if left:
            blocks.append(Items(f"Only in {name}, without a partner", left))
    return [*blocks, Command("Reproduce", typed)]


def _headline(found: Comparison) -> str:
    sides = " against ".join(
        f"{name}, {path} [{label}]"
        for name, path, label in zip("BA", found.paths[::-1], found.labels[::-1], strict=True)
    )
    told = Counter(one.verdict for point in found.points for one in point.metrics)
    words = listed([f"{told[name]} {name}" for name in (BETTER, WORSE, NEITHER, TOO_FEW) if told[name]])
    return f"{sides}: of {counted(sum(told.values()), 'figure')} {words}."


def _table(point: ComparedPoint, labels: Sequence[str]) -> Table:
    columns = [
        Column("metric"), *(Column(f"{name}\n{label}", right=True) for name, label in zip("AB", labels, strict=True)),
        Column("difference", right=True), Column("ratio", right=True), Column("p", right=True), Column("verdict"),
        Column("by"),
    ]  # fmt: skip
    load = load_words(point.point.load).replace("\n", ", ")
    runs = [counted(len(side), "run") for side in (point.point.a, point.point.b)]
    requests = [f"{many:,} requests in {run}" for many, run in zip(point.requests, runs, strict=True)]
    return Table(f"{load} (A: {requests[0]}; B: {requests[1]})", columns, [_row(one) for one in point.metrics])


def _row(one: Compared) -> list[str]:
    name, unit = quantity(one.metric)
    between = f"\n{one.low:.3f}–{one.high:.3f}" if one.low is not None and one.high is not None else ""
    return [
        f"{name} {one.statistic}" if one.statistic else name, figure(one.a, unit), figure(one.b, unit),
        _signed(one.difference, unit), f"{NONE if one.ratio is None else f'{one.ratio:.3f}'}{between}",
        p_words(one.p_adjusted), one.verdict, f"{one.method}, n = {min(one.n_a, one.n_b):,}",
    ]  # fmt: skip


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return NONE
    if value == 0:
        return "0"
    return f"{'+' if value > 0 else '−'}{figure(abs(value), unit)}"


def p_words(p: float | None) -> str:
    """A p-value.

    >>> p_words(0.0312), p_words(1e-9), p_words(None)
    ('0.031', '<0.001', '—')
    """
    return NONE if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


__all__ = ["comparison_page", "comparison_rows", "p_words"]
