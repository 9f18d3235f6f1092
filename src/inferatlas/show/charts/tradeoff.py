"""What one objective costs in another: attained points, their staircase, and the candidates by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.show.charts.front import WIDTH_OF_LETTER, set_names, staircase
from inferatlas.show.charts.style import INK, NAMED, AnyChart, Axis, Span, colour, data, dress, shape, span

WIDTH, HEIGHT = 780, 300


@dataclass(frozen=True, slots=True)
class Attained:
    """One design: SI values by the name of their axis (unknown ones absent); ``name`` for those to be named.

    A ``candidate`` is drawn larger than the other designs.
    """

    accelerator: str
    values: dict[str, float]
    name: str | None = None
    candidate: bool = True


def tradeoff(points: Sequence[Attained], panels: Sequence[tuple[tuple[str, Axis], tuple[str, Axis]]]) -> AnyChart:
    """A panel per pair of axes, each (key of ``values``, axis); at most eight points are named.

    Designs without one of the two values are left out of that panel.
    """
    charts = [_panel([p for p in points if x[0] in p.values and y[0] in p.values], x, y) for x, y in panels]
    return dress(alt.vconcat(*charts, spacing=28) if len(charts) > 1 else charts[0])


def _panel(points: Sequence[Attained], x: tuple[str, Axis], y: tuple[str, Axis]) -> alt.LayerChart | alt.FacetChart:
    (kx, ax), (ky, ay) = x, y
    across, up = span(ax, [p.values[kx] for p in points]), span(ay, [p.values[ky] for p in points], room=0.12)
    named = [p for p in points if p.name is not None]
    front = staircase(
        [(p.values[kx], p.values[ky]) for p in points],
        x_smaller=bool(ax.smaller_is_better),
        y_smaller=bool(ay.smaller_is_better),
    )
    table = data(
        [
            {"x": p.values[kx] * across.factor, "y": p.values[ky] * up.factor, "colour": colour(p.accelerator),
             "shape": shape(p.accelerator), "size": 110 if p.candidate else 32, "opacity": 1.0 if p.candidate else 0.7}
            for p in sorted(points, key=lambda p: p.candidate)  # candidates on top
        ]
    )  # fmt: skip
    steps = data([{"x": a * across.factor, "y": b * up.factor, "i": i} for i, (a, b) in enumerate(front)])
    fx = alt.X("x:Q", scale=across.scale(), axis=across.ticks())
    fy = alt.Y("y:Q", scale=up.scale(), axis=up.ticks())

    def pixel(p: Attained) -> tuple[float, float]:
        return across.fraction(p.values[kx]) * WIDTH, (1 - up.fraction(p.values[ky])) * HEIGHT

    shown = named[:NAMED]
    line_pixels = [(across.fraction(a) * WIDTH, (1 - up.fraction(b)) * HEIGHT) for a, b in front]
    at, others = [pixel(p) for p in shown], [pixel(p) for p in points]
    places = set_names([p.name or "" for p in shown], at, others, (WIDTH, HEIGHT), line_pixels)
    texts = data([_label(p, pixel(p), at, across, up) for p, at in zip(shown, places, strict=True) if at is not None])
    line = alt.Chart(steps).mark_line(color=INK, opacity=0.5, strokeWidth=1.5, interpolate="linear")
    marks = alt.Chart(table).mark_point(filled=True)
    leaders = alt.Chart(texts).mark_rule(color=INK, opacity=0.35)
    labels = alt.Chart(texts).mark_text(fontSize=11, align=alt.ExprRef("datum.align"), dx=alt.ExprRef("datum.dx"))
    return alt.layer(
        line.encode(x=fx, y=fy, order="i:Q"),
        marks.encode(
            x=fx,
            y=fy,
            color=alt.Color("colour:N", scale=None, legend=None),
            shape=alt.Shape("shape:N", scale=None, legend=None),
            size=alt.Size("size:Q", scale=None, legend=None),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
        ),
        leaders.encode(x=fx, y=fy, x2="px:Q", y2="py:Q"),
        labels.encode(x=fx, y=fy, text="text:N"),
    ).properties(width=WIDTH, height=HEIGHT)


def _label(
    point: Attained, own: tuple[float, float], at: tuple[float, float], across: Span, up: Span
) -> dict[str, object]:
    """A name where it was set, and the line from its near end to its point."""
    half = WIDTH_OF_LETTER * len(point.name or "") / 2
    near = min(max(own[0], at[0] - half), at[0] + half)  # where the name is next to its point
    beside = abs(own[1] - at[1]) < 13 and abs(own[0] - near) < 12  # then a name needs no line
    end = (near, at[1]) if beside else own
    return {
        "text": point.name,
        "align": "left" if own[0] < near else "right" if own[0] > near else "center",
        "dx": 3 if own[0] < near else -3 if own[0] > near else 0,
        "x": across.at(near / WIDTH),
        "y": up.at(1 - at[1] / HEIGHT),
        "px": across.at(end[0] / WIDTH),
        "py": up.at(1 - end[1] / HEIGHT),
    }
