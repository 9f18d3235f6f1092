"""Bars of the probability of meeting every target: which candidate can be promised?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.quantities import percent
from inferatlas.show.charts.style import INK, ROW_HEIGHT, TICKS, AnyChart, colour, data, dress, rows_axis


@dataclass(frozen=True, slots=True)
class Chance:
    """One row: ``probability`` from 0 to 1; ``name`` is unique."""

    name: str
    accelerator: str
    probability: float


def probabilities(rows: Sequence[Chance], asked: float | None = None) -> AnyChart:
    """A bar per candidate, with a line at the probability that was asked for."""
    names = [row.name for row in rows]
    table = data(
        [
            {
                "name": r.name,
                "percent": 100 * r.probability,
                "text": percent(r.probability),
                "colour": colour(r.accelerator),
            }
            for r in rows
        ]
    )  # fmt: skip
    x = alt.X(
        "percent:Q",
        scale=alt.Scale(domain=[0, 110], nice=False),
        axis=alt.Axis(
            title="Probability of meeting every target (%), higher is better",
            labelExpr=TICKS,
            values=[0, 25, 50, 75, 100],
        ),
    )
    base = alt.Chart(table).properties(width=640, height=ROW_HEIGHT * len(names))
    layers = [
        base.mark_bar(height=14).encode(x=x, y=rows_axis(names), color=alt.Color("colour:N", scale=None, legend=None)),
        base.mark_text(align="left", dx=6).encode(x=x, y=rows_axis(names), text="text:N"),
    ]
    if asked:
        line = alt.Chart(data([{"percent": 100 * asked}])).mark_rule(color=INK, strokeDash=[5, 3], strokeWidth=1.5)
        layers.append(line.encode(x=x))
    return dress(alt.layer(*layers))
