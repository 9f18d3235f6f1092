"""`inferatlas evidence` in words: what an import found, and the measured points nearest to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.evidence.importers import Imported
from inferatlas.evidence.table import METRICS
from inferatlas.show.numbers import NONE, as_given, figure, quantity
from inferatlas.show.page import Column, Command, Heading, Items, Page, Paragraph, Table

KINDS = {
    "broken_physics": "faster than the hardware can be",
    "unit": "of another unit than the column's",
    "unreadable": "unreadable",
    "duplicate": "there already",
    "invalid": "invalid by their own verdict (--invalid keeps them)",
}
SHOWN = 5  # problems of each kind told in full


def import_words(done: Imported) -> list[str]:
    """What an import read, left out and did not know; names once each, other problems counted with the first few."""
    counts = done.counts
    lines = [f"{counts['kept']:,} of {counts['rows']:,} rows kept from {_files(counts['files'])}"]
    if counts["skipped"]:
        lines.append(f"{counts['skipped']:,} rows of other tasks than text generation left out")
    for problem in done.problems:
        if problem.kind.startswith("unknown_"):
            lines.append(f"{problem.detail}{f': {problem.hint}' if problem.hint else ''}")
    for kind, words in KINDS.items():
        found = [problem for problem in done.problems if problem.kind == kind]
        if found:
            lines.append(f"{len(found):,} {words}, left out:")
            lines += [f"  {problem}" for problem in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"  and {len(found) - SHOWN:,} more")
    return lines


def near_page(rows: Sequence[Mapping[str, Any]], typed: str) -> Page:
    """The points as a table, nearest first."""
    if not rows:
        return [Heading("The table holds no measured point."), Command("Reproduce", typed)]
    known = [name for name in METRICS if any(row[name] is not None for row in rows)]
    cells = [
        [
            f"{row['distance']:.2f}", row["why"],
            f"{as_given(row['accelerators'])} x {row['accelerator'] or NONE}\n{row['model'] or NONE}",
            f"{row['engine'] or NONE}\n{row['weights'] or NONE}",
            f"{row['load'] or NONE}\n{as_given(row['concurrency'])} in flight",
            f"{as_given(row['input_tokens'])}\n{as_given(row['output_tokens'])}",
            *(figure(row[name], quantity(name)[1]) for name in known), row["row_id"],
        ]
        for row in rows
    ]  # fmt: skip
    columns = [
        Column("distance", right=True), Column("what differs", wraps=True), Column("accelerators\nmodel"),
        Column("engine\nweights"), Column("load"), Column("tokens in\nout", right=True),
        *(Column(quantity(name)[0], right=True) for name in known), Column("row"),
    ]  # fmt: skip
    sources = sorted({f"{row['source'] or 'no source'}: {row['licence'] or 'licence not stated'}" for row in rows})
    return [
        Heading(
            f"The {f'{len(rows)} measured points' if len(rows) > 1 else 'point'} nearest to the question [measured]."
        ),
        Table("", columns, cells),
        Items("Sources", sources),
        Paragraph(
            "The distance is in natural logarithms of what counts: 0 is the same question, 1 a factor of e.", quiet=True
        ),
        Command("Reproduce", typed),
    ]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
