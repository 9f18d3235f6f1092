"""Median errors as bars, one panel a metric and one row a slice, with a mark where a baseline stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from inferatlas.show.charts.style import INK, PALETTE, AnyChart, data, dress, rows_axis

WIDTH, ROW = 150, 20
FARTHEST = 1.0  # errors beyond 100 % are drawn there: their numbers are in the table


def median_errors(panels: Mapping[str, Mapping[str, tuple[float, float | None]]], names: Sequence[str]) -> AnyChart:
    """Bars of the median error.

    Parameters
    ----------
    panels : heading of a metric -> slice -> (median error, that of the baseline or None), shares.
    names : the slices, one row each in this order; a slice without figures of a metric has no bar there.
    """
    charts = []
    for number, (heading, held) in enumerate(panels.items()):
        bars = [
            {
                "name": name,
                "error": 100 * min(held[name][0], FARTHEST),
                "text": f"{100 * held[name][0]:,.0f}",
                "end": 100 * min(max(held[name][0], held[name][1] or 0.0), FARTHEST),  # numbers stand behind marks
            }
            for name in names
            if name in held
        ]
        ticks = [
            {"name": name, "error": 100 * min(base, FARTHEST)}
            for name in names
            if name in held and (base := held[name][1]) is not None
        ]
        scale = alt.Scale(domain=[0, 125], nice=False)
        x = alt.X(
            "error:Q",
            scale=scale,
            axis=alt.Axis(title=f"{heading} (%)", values=[0, 50, 100], grid=True),
        )
        y = rows_axis(names, labels=number == 0)
        base = alt.Chart(data(bars))
        layers = [
            base.mark_bar(height=11, color=PALETTE[0]).encode(x=x, y=y),
            base.mark_text(align="left", dx=4, fontSize=11).encode(x=alt.X("end:Q", scale=scale), y=y, text="text:N"),
            alt.Chart(data(ticks)).mark_tick(color=INK, thickness=2, size=15).encode(x=x, y=y),
        ]
        charts.append(alt.layer(*layers).properties(width=WIDTH, height=ROW * len(names)))
    return dress(alt.hconcat(*charts, spacing=14))
