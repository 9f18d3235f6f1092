"""The scoreboard as one page: Markdown (`docs/accuracy.md`), or HTML that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.evidence.accuracy import IN_SAMPLE, Accuracy
from inferatlas.evidence.baselines import ONE_EFFICIENCY, ROOFLINE
from inferatlas.evidence.scoreboard import DEFINITIONS
from inferatlas.show import accuracy_pictures as pictures
from inferatlas.show.accuracy import counts, headline
from inferatlas.show.html import Section, html_page
from inferatlas.show.numbers import NONE, as_given, figure, quantity
from inferatlas.show.page import Block, Column, Items, Paragraph, Table
from inferatlas.show.scores import score_table, skipped_items

TITLE = "How accurate are the predictions?"
BESIDE = {"in-sample": IN_SAMPLE, "roofline": ROOFLINE, "one efficiency": ONE_EFFICIENCY}  # other errors in a table
BARS = (
    "Bars and numbers: median error with the group left out. The mark is where one efficiency for every machine "
    "stands. Errors beyond 100 % are drawn at 100. The slices with most figures are drawn; the table holds all."
)
LEVELS = (
    "Intervals are to hold 80 % of the measurements. The level says what the coefficients rest on: the fewer "
    "measured points stand behind a question, the wider its interval has to be."
)
REASONS = (
    "The rows with the largest ratio between predicted and measured value, each by its worst figure, with what the "
    "table itself says about them. A reason is an observation, not a proof."
)
OTHERS = (
    "As published by their authors (claimed), as a user reported them, or as this project found when it ran the tool "
    "on its own test set (run). No two rows were measured on the same points, so they are no ranking."
)


def sections(scores: Accuracy) -> list[Section]:
    """The parts of the page in reading order."""
    parts = [
        Section(
            "overall", "All figures", [score_table("", scores.overall, BESIDE)],
            lambda: pictures.predictors(scores), "Bars of the median error of four predictors, one panel a metric.",
        ),
        Section(
            "agreement", "Predicted against measured", [Paragraph(pictures.AGREEMENT)],
            lambda: pictures.points(scores), "Scatter of predicted against measured values, one panel a metric.",
        ),
    ]  # fmt: skip
    for family, rows in scores.families.items():
        words = family.replace("_", " ")
        parts.append(
            Section(
                f"by-{family}", f"By {words}", [score_table("", rows, BESIDE)], _family_chart(scores, family),
                f"Bars of the median error by {words}, one panel a metric.", BARS,
            )
        )  # fmt: skip
    parts += [
        Section("coverage", "Interval coverage by level", [Paragraph(LEVELS), score_table("", scores.levels, BESIDE)]),
        Section("worst", f"The {len(scores.worst)} worst rows", [Paragraph(REASONS), _worst_table(scores.worst)]),
        Section("others", "Errors of other tools", [Paragraph(OTHERS), _published_table()]),
        Section("definitions", "How to read this", _reading(scores)),
    ]
    return parts


def _family_chart(scores: Accuracy, family: str) -> Callable[[], Any]:
    return lambda: pictures.family(scores.families[family])


def _worst_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    cells = []
    for row in rows:
        heading, unit = quantity(row["metric"])
        cells.append(
            [
                row["row_id"],
                f"{row['model']} on {as_given(row['accelerators'])} x {row['accelerator']}, {row['engine'] or NONE}",
                f"{row['load'] or NONE}, {as_given(row['concurrency'])} in flight, {as_given(row['input_tokens'])} in, "
                f"{as_given(row['output_tokens'])} out",
                heading, figure(row["measured"], unit), figure(row["value"], unit), f"{row['ratio']:.2g}x",
                row["reason"],
            ]
        )  # fmt: skip
    columns = [
        Column("row"), Column("deployment", wraps=True), Column("load", wraps=True), Column("metric"),
        *(Column(name, right=True) for name in ("measured", "predicted", "ratio")), Column("reason", wraps=True),
    ]  # fmt: skip
    return Table("", columns, cells)


@lru_cache(maxsize=1)
def published_errors() -> list[dict[str, str]]:
    """Errors of other tools with their addresses (``published_errors.yaml`` beside this file)."""
    import yaml

    text = resources.files("inferatlas.show").joinpath("published_errors.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _published_table() -> Table:
    keys = ("tool", "metric", "error", "how", "set", "address")
    names = ("tool", "metric", "error", "how known", "test set", "address")
    rows = [[one[key] for key in keys] for one in published_errors()]
    return Table("", [Column(name, wraps=name in ("error", "test set")) for name in names], rows)


def _reading(scores: Accuracy) -> list[Block]:
    words = dict(DEFINITIONS)
    words["bias"] = "median of ln(predicted / measured), printed as percent above (+) or below (-) the measurement"
    words["in-sample"] = "median error of rows that the coefficients were fitted to, predicted by these coefficients"
    words["roofline"] = "median error of the bare roofline: every unit at its published peak, no overhead; rated power"
    words["one efficiency"] = (
        "median error of the bare roofline at one share of peak speed for every machine, the median over all other "
        "groups of accelerator, engine and model"
    )
    blocks: list[Block] = [Items("", [f"{name}: {text}" for name, text in words.items()])]
    return [*blocks, skipped_items(scores.found.skipped)] if scores.found.skipped else blocks


def markdown(scores: Accuracy, command: str) -> str:
    """The page as Markdown, without charts."""
    from inferatlas.show.tables import to_markdown

    parts = [f"# {TITLE}\n", f"{headline(scores)} {counts(scores)}.\n"]
    for part in sections(scores):
        shown = [block for block in part.blocks if part.key != "agreement"]
        if shown:
            parts += [f"## {part.title}\n", to_markdown(shown).replace("****\n\n", "")]
    parts.append(f"This page again:\n\n```console\n{command}\n```\n")
    return "\n".join(parts)


def html(scores: Accuracy, command: str) -> str:
    """The page as HTML with its charts inside; it loads nothing."""
    return html_page(TITLE, headline(scores), sections(scores), command, lead=f"{counts(scores)}.")


def write_accuracy(scores: Accuracy, path: Path, *, command: str) -> Path:
    """Write the page, as Markdown or HTML by its extension.

    Raises
    ------
    BadInput : another extension, or a file that cannot be written.
    """
    from inferatlas.show.output import write_file

    makers = {".md": markdown, ".html": html}
    if path.suffix.lower() not in makers:
        raise BadInput(f"'{path.suffix}' is no page", field="report", allowed=", ".join(makers), file=path)
    write_file(makers[path.suffix.lower()](scores, command), path, "report")
    return path
