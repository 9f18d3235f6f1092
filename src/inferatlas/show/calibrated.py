"""`inferatlas calibrate` as a page: what was fitted, and how far off it is where it may not look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.show.numbers import NONE, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Table
from inferatlas.show.scores import share

LEFT_OUT = {
    "nothing": "nothing (in-sample)",
    "group": "accelerator, engine and model together",
    "accelerator": "the accelerator",
    "model": "the model",
    "source": "the source",
    "batch": "batches above a quarter of the largest",
    "context": "contexts above a quarter of the largest",
}


def calibration_page(
    summary: Mapping[str, Any], scores: Sequence[Mapping[str, Any]], skipped: Mapping[str, int],
    written: Sequence[str], typed: str,
) -> Page:  # fmt: skip
    """Median errors per metric (columns) and kind of leaving out (rows)."""
    metrics = list(dict.fromkeys(str(one["metric"]) for one in scores))
    found = {(one["left_out"], one["metric"]): one["median_ape"] for one in scores}
    rows = [
        [words, *(share(found[kind, m]) if (kind, m) in found else NONE for m in metrics)]
        for kind, words in LEFT_OUT.items()
        if any(left == kind for left, _ in found)
    ]
    blocks: list[Block] = [
        Heading(f"{summary['rows']:,} rows, {summary['figures']:,} independent figures fitted ({summary['version']})."),
        Table(
            "Median error by what was left out",
            [Column("left out"), *(Column(quantity(m)[0], right=True) for m in metrics)],
            rows,
        ),
    ]
    if skipped:
        blocks.append(Items("Not fitted", [f"{count} x {reason}" for reason, count in skipped.items()]))
    blocks += [Items("Written", list(written)), Command("Again", typed)]
    return blocks
