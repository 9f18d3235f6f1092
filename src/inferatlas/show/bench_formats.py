"""Results of other tools: what was read, and what can be read and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferatlas.measure.bench.formats import EXPORTS, IMPORTS, Foreign
from inferatlas.quantities import show
from inferatlas.show.numbers import NONE
from inferatlas.show.page import Column, Command, Heading, Items, Page, Table


def imported_rows(found: Sequence[Foreign], folders: Sequence[Path]) -> list[dict[str, Any]]:
    """A row per result that was read."""
    return [
        {
            "directory": str(folder), "tool": one.tool, "version": one.version, "load": one.load,
            "requests": one.counts, "rows": one.requests is not None, "metrics": one.metrics, "foreign": one.foreign,
            "remarks": list(one.remarks), "notes": list(one.notes),
        }
        for one, folder in zip(found, folders, strict=True)
    ]  # fmt: skip


def imported_page(rows: Sequence[dict[str, Any]], typed: str) -> Page:
    """What was read, and what of it is not as we define it."""
    columns = [
        Column("run", wraps=True), Column("tool"), Column("requests", right=True), Column("TTFT p50", right=True),
        Column("ITL p50", right=True), Column("output tok/s", right=True),
        Column("kept in the tool's own definition", wraps=True),
    ]  # fmt: skip
    cells = []
    for row in rows:
        metrics = row["metrics"]
        sent = (row["requests"] or {}).get("sent")
        tokens = metrics.get("output_tokens_per_s")
        cells.append([
            row["directory"], f"{row['tool']} {row['version'] or ''}".strip(), NONE if sent is None else f"{sent:,}",
            show((metrics.get("ttft_s") or {}).get("p50"), "s"), show((metrics.get("itl_s") or {}).get("p50"), "s"),
            NONE if tokens is None else f"{tokens:,.0f}", ", ".join(row["foreign"]) or NONE,
        ])  # fmt: skip
    notes = list(dict.fromkeys(note for row in rows for note in row["notes"]))
    return [
        Heading(f"{len(rows)} run record{'s' * (len(rows) != 1)} written [measured, by {rows[0]['tool']}]."),
        Table("", columns, cells),
        *([Items("Notes", notes)] if notes else []),
        Command("Reproduce", typed),
    ]


def formats_rows() -> list[dict[str, Any]]:
    """A row per tool and direction."""
    read = [{"tool": name, "direction": "import", "what": one.says} for name, one in IMPORTS.items()]
    return read + [{"tool": name, "direction": "export", "what": one.says} for name, one in EXPORTS.items()]


def formats_page(rows: Sequence[dict[str, Any]], typed: str) -> Page:
    """What can be read and written."""
    columns = [Column("tool"), Column("direction"), Column("what", wraps=True)]
    return [
        Heading("Results of other tools: `bench import FILE`, `bench export RUN --to TOOL`."),
        Table("", columns, [[row["tool"], row["direction"], row["what"]] for row in rows]),
    ]
