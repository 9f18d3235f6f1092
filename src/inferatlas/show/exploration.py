"""`inferatlas explore` as a page: the best designs of each accelerator among all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.decide.advisor.explore import best_designs
from inferatlas.predict.answer import Interval
from inferatlas.show.deployment import figures_words, layout_words
from inferatlas.show.numbers import counted, heading, quantity, with_interval
from inferatlas.show.page import Column, Command, Heading, Page, Paragraph, Table

Columns = Mapping[str, NDArray[Any]]
SHOWN = ("output_tokens_per_s", "ttft_s", "itl_s", "tokens_per_joule", "usd_per_million_tokens")


def exploration_page(table: Columns, typed: str) -> Page:
    """How many designs there are, and the best of each accelerator by throughput and by cost.

    Examples
    --------
    >>> from inferatlas.decide.advisor.explore import explore
    >>> found = explore("llama-3.1-8b", isl=128, osl=128, weights=("bf16", "fp8"), accelerators=("h100",),
    ...                 concurrency=(1,), max_count=1)
    >>> exploration_page(found, "inferatlas explore ...")[0].text
    '2 feasible designs of llama-3.1-8b on 1 accelerator.'
    """
    names = np.unique(table["accelerator"])
    count = len(table["accelerator"])
    if not count:
        return [Heading("No feasible design."), Command("Reproduce", typed)]
    per_device = table["output_tokens_per_s"] / table["count"]
    cost = table["usd_per_million_tokens"]
    levels = ", ".join(f"{level:g}" for level in np.unique(table["concurrency"]))
    tables = [
        _best(table, per_device, "Most output tokens/s per accelerator"),
        _best(table, -cost, "Cheapest per million output tokens (where a price is known)"),
    ]
    lengths = f"{table['input_tokens'][0]:,.0f} input and {table['output_tokens'][0]:,.0f} output tokens"
    return [
        Heading(f"{counted(count, 'feasible design')} of {table['model'][0]} on {counted(len(names), 'accelerator')}."),
        Paragraph(f"{lengths}, closed loop with {levels} requests in flight."),
        *tables,
        Paragraph(figures_words(SHOWN, tables, unless="a heading says per accelerator"), quiet=True),
        Paragraph("Every row and column: --format parquet, csv, jsonl or json, or --output FILE.", quiet=True),
        Command("Reproduce", typed),
    ]


def _best(table: Columns, score: NDArray[np.float64], title: str) -> Table:
    columns = [Column("deployment\nlayout"), Column("weights\nengine"), Column("requests\nin flight", right=True)]
    columns += [Column("tokens/s per\naccelerator", right=True)]
    columns += [Column(heading(name), right=True) for name in SHOWN]
    columns += [Column("bound"), Column("label")]
    return Table(title, columns, [_row(table, i) for i in best_designs(table, score)])


def _row(table: Columns, i: int) -> list[str]:
    layout = {name: int(table[name][i]) for name in ("tp", "pp", "ep", "dp")}
    devices = int(table["count"][i])
    return [
        f"{devices} x {table['accelerator'][i]}\n{layout_words(layout)}",
        f"{table['weights'][i]}\n{table['engine'][i]}",
        f"{table['concurrency'][i]:g}", with_interval(_interval(table, "output_tokens_per_s", i, devices), "1"),
        *(with_interval(_interval(table, name, i), quantity(name)[1]) for name in SHOWN),
        str(table["bound"][i]).replace("_", "\n", 1), str(table["label"][i]),
    ]  # fmt: skip


def _interval(table: Columns, name: str, i: int, share: int = 1) -> Interval | None:
    low, value, high = (float(table[key][i]) / share for key in (f"{name}_low", name, f"{name}_high"))
    return Interval(low, value, high) if np.isfinite(value) else None
