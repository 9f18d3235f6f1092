"""Ranked interval dots: how far apart are the candidates, and do their intervals overlap?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.quantities import show
from inferatlas.show.charts.style import (
    INK,
    LABELS,
    ROW_HEIGHT,
    AnyChart,
    Axis,
    Span,
    colour,
    data,
    dress,
    rows_axis,
    span,
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """One row: SI values with the ends of their interval; ``label`` is the kind of evidence, ``name`` is unique."""

    name: str
    accelerator: str
    low: float
    value: float
    high: float
    label: str


def dots(rows: Sequence[Estimate], drawn: Span, y: alt.Y, size: tuple[int, int], *, legend: bool) -> list[alt.Chart]:
    """Layers of dots with intervals; the shape of a dot tells the kind of evidence."""
    f = drawn.factor
    table = data(
        [
            {"name": r.name, "low": r.low * f, "value": r.value * f, "high": r.high * f, "label": r.label,
             "colour": colour(r.accelerator)}
            for r in rows
        ]
    )  # fmt: skip
    base = alt.Chart(table).properties(width=size[0], height=size[1])
    hue = alt.Color("colour:N", scale=None, legend=None)
    x = drawn.scale()
    present = [label for label in LABELS if label in {r.label for r in rows}]
    marks = alt.Shape(
        "label:N",
        scale=alt.Scale(domain=list(LABELS), range=list(LABELS.values())),
        legend=alt.Legend(title=None, orient="top", values=present, symbolFillColor=INK, symbolStrokeWidth=0)
        if legend
        else None,
    )
    return [
        base.mark_rule(strokeWidth=3, opacity=0.55, strokeCap="round").encode(
            x=alt.X("low:Q", scale=x, axis=drawn.ticks()), x2="high:Q", y=y, color=hue
        ),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=alt.X("value:Q", scale=x, axis=drawn.ticks()), y=y, color=hue, shape=marks
        ),
    ]


def ranked(rows: Sequence[Estimate], axis: Axis) -> AnyChart:
    """Candidates in the order given, each as a dot with its 80 % interval.

    Examples
    --------
    >>> chart = ranked([Estimate("1. H100", "nvidia-h100-sxm", 0.4, 0.5, 0.6, "predicted")], Axis("cost", "USD", True))
    >>> chart.to_dict()["layer"][1]["mark"]["type"]
    'point'
    """
    drawn = span(axis, [v for r in rows for v in (r.low, r.high)], room=0.12)
    y = rows_axis([r.name for r in rows])
    layers = dots(rows, drawn, y, (640, ROW_HEIGHT * len(rows)), legend=True)
    f = drawn.factor
    texts = data([{"name": r.name, "high": r.high * f, "text": show(r.value * f, "1")} for r in rows])
    numbers = (
        alt.Chart(texts)
        .mark_text(align="left", dx=10)
        .encode(x=alt.X("high:Q", scale=drawn.scale(), axis=drawn.ticks()), y=y, text="text:N")
    )
    return dress(alt.layer(*layers, numbers))


@dataclass(frozen=True, slots=True)
class Target:
    """A bound in SI and its wording, drawn as a line."""

    bound: float
    text: str


def latency(panels: Sequence[tuple[Axis, Sequence[Estimate], Target | None]]) -> AnyChart:
    """Times side by side (TTFT, ITL), rows shared, each with its target as a line.

    ``panels``: axis, rows and the target or None; rows of all panels carry the same names in the same order.
    """
    names = list(dict.fromkeys(row.name for _, rows, _ in panels for row in rows))
    width = 690 // len(panels)
    charts = []
    for i, (axis, rows, target) in enumerate(panels):
        values = [v for r in rows for v in (r.low, r.high)] + ([target.bound] if target else [])
        drawn = span(axis, values, zero=True)
        y = rows_axis(names, labels=i == 0)
        layers: list[alt.Chart] = dots(rows, drawn, y, (width, ROW_HEIGHT * len(names)), legend=i == 0)
        if target:
            at = data([{"bound": target.bound * drawn.factor, "text": target.text}])
            x = alt.X("bound:Q", scale=drawn.scale(), axis=drawn.ticks())
            right = drawn.fraction(target.bound) > 0.5
            layers += [
                alt.Chart(at).mark_rule(color=INK, strokeDash=[5, 3], strokeWidth=1.5).encode(x=x),
                alt.Chart(at)
                .mark_text(align="right" if right else "left", baseline="bottom", dx=4 if right else -4, dy=-4)
                .encode(x=x, y=alt.value(0), text="text:N"),
            ]
        charts.append(alt.layer(*layers))
    return dress(alt.hconcat(*charts, spacing=24) if len(charts) > 1 else charts[0])
