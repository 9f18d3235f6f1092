"""`inferatlas validate` as a page and as rows: errors, bias and coverage of every slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inferatlas.evidence.scoreboard import DEFINITIONS
from inferatlas.evidence.validation import Validation
from inferatlas.quantities import percent
from inferatlas.show.numbers import NONE, quantity
from inferatlas.show.page import Block, Column, Command, Heading, Items, Page, Paragraph, Table


def share(value: float | None) -> str:
    """An error as percent: one decimal below 10, none above; a dash where there is none.

    >>> share(0.0312), share(0.314), share(12.5), share(None)
    ('3.1 %', '31 %', '1,250 %', '—')
    """
    if value is None or not math.isfinite(value):
        return NONE
    return f"{100 * value:.1f} %" if abs(value) < 0.0995 else f"{100 * value:,.0f} %"


def bias_words(bias: float | None) -> str:
    """A bias (natural logarithm) as the percent that predictions lie above or below.

    >>> bias_words(0.0953), bias_words(-0.6931), bias_words(0.0)
    ('+10 %', '-50 %', '0.0 %')
    """
    if bias is None or not math.isfinite(bias):
        return NONE
    text = share(math.expm1(bias))
    return f"+{text}" if bias > 0 and text.strip("0. %") else text


def validation_page(found: Validation, typed: str) -> Page:
    """Scores of all figures, then of each slice, then what was skipped; ``typed`` is the command."""
    overall = [one for one in found.slices if not one["by"]]
    medians = ", ".join(f"{quantity(one['metric'])[0]} {share(one['median_ape'])}" for one in overall)
    families = list(dict.fromkeys(name for one in found.slices for name in one["by"]))
    blocks: list[Block] = [
        Heading(f"{found.scored:,} of {found.rows:,} rows scored, {found.fit['mode']}; median error: {medians}."),
        score_table("All figures", overall),
        *(score_table(f"By {name}", [one for one in found.slices if name in one["by"]]) for name in families),
    ]
    if found.skipped:
        blocks.append(skipped_items(found.skipped))
    fit = found.fit
    seen = f"{fit['figures_left_out']:,} of {fit['figures']:,} figures come from a fit that their row had no part in"
    blocks.append(Paragraph(f"Coefficients {fit['coefficients']}: {seen}.", quiet=True))
    if assumed := fit.get("assumed"):
        words = ", ".join(f"{name} in {count:,} rows" for name, count in assumed.items())
        blocks.append(Paragraph(f"Not stated, so a default answers: {words}.", quiet=True))
    blocks.append(Items("Read as", [f"{name}: {text}" for name, text in DEFINITIONS.items()]))
    blocks.append(Command("Reproduce", typed))
    return blocks


def score_table(title: str, slices: Sequence[Mapping[str, Any]], beside: Mapping[str, str] | None = None) -> Table:
    """Slices of one family as a table; the column of their values is left out where there are none.

    ``beside``: heading to name of further errors that stand on the right.
    """
    beside = beside or {}
    named = any(one["by"] for one in slices)
    rows = [
        [
            *one["by"].values(), quantity(one["metric"])[0], f"{one['n']:,}",
            *(share(one[name]) for name in ("median_ape", "mean_ape", "p90_ape")),
            bias_words(one["bias"]), percent(one["coverage"]),
            *(share(one[name]) for name in beside.values()),
        ]
        for one in slices
    ]  # fmt: skip
    family = next((name for one in slices for name in one["by"]), "")
    names = ("n", "median", "mean", "p90", "bias", "coverage", *beside)
    first = [Column(family.replace("_", " "))] if named else []
    columns = [*first, Column("metric"), *(Column(name, right=True) for name in names)]
    return Table(title, columns, rows, keys=1 + named)


def skipped_items(skipped: Mapping[str, int]) -> Items:
    """Rows that were not scored, by reason."""
    return Items(
        "Not scored", [f"{count:,} {'row' if count == 1 else 'rows'}: {reason}" for reason, count in skipped.items()]
    )


def slice_rows(slices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Slices as flat rows: ``by`` and ``value`` are None for the overall ones.

    >>> slice_rows([{"by": {"load": "offline"}, "metric": "itl_s", "n": 3}])
    [{'by': 'load', 'value': 'offline', 'metric': 'itl_s', 'n': 3}]
    """
    return [
        {"by": next(iter(one["by"]), None), "value": next(iter(one["by"].values()), None)}
        | {name: value for name, value in one.items() if name != "by"}
        for one in slices
    ]
