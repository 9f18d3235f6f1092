"""Bars to either side of nothing: how much of each metric a percent of each parameter moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from inferatlas.show.charts.style import INK, PALETTE, ROW_HEIGHT, AnyChart, data, dress, rows_axis
from inferatlas.show.numbers import signed

WIDTH = 104
BETTER, WORSE = PALETTE[3], PALETTE[2]


def effects(names: Sequence[str], panels: Sequence[tuple[str, bool, Mapping[str, float | None]]]) -> AnyChart:
    """A panel per metric, a bar per parameter, all on one scale; bars that make the metric better differ in colour.

    Parameters
    ----------
    names : parameters, in the order of the rows. panels : (metric in words, whether smaller is better, parameter ->
        elasticity; None or absent: unknown, no bar). At least one.

    Examples
    --------
    >>> chart = effects(["compute", "memory"], [("latency", True, {"compute": -0.25, "memory": -0.75})])
    >>> [row["text"] for row in chart.to_dict()["hconcat"][0]["layer"][0]["data"]["values"]]
    ['−0.25', '−0.75']
    """
    known = [abs(x) for _, _, row in panels for x in row.values() if x is not None and math.isfinite(x)]
    most = max(known, default=0.0) or 1.0
    scale = alt.Scale(domain=[-1.9 * most, 1.9 * most], nice=False)  # room for the numbers
    charts = [_panel(names, panel, scale, labels=i == 0) for i, panel in enumerate(panels)]
    return dress(alt.hconcat(*charts, spacing=10))


def _panel(
    names: Sequence[str], panel: tuple[str, bool, Mapping[str, float | None]], scale: alt.Scale, *, labels: bool
) -> alt.LayerChart | alt.FacetChart:
    title, smaller, row = panel
    bars = [
        {"name": name, "value": x, "zero": 0, "text": signed(x), "colour": BETTER if (x < 0) == smaller else WORSE}
        for name in names
        if (x := row.get(name)) is not None and math.isfinite(x) and abs(x) >= 0.005
    ]
    table = data(bars)
    x = alt.X("value:Q", scale=scale, axis=alt.Axis(title=title, tickCount=3, format="~g"))
    y = rows_axis(names, labels=labels)
    base = alt.Chart(table).properties(width=WIDTH, height=ROW_HEIGHT * len(names))
    text = {"y": y, "x": x, "text": alt.Text("text:N")}
    return alt.layer(
        base.mark_bar(height=14).encode(x=x, x2="zero:Q", y=y, color=alt.Color("colour:N", scale=None, legend=None)),
        base.transform_filter("datum.value >= 0").mark_text(align="left", dx=3, fontSize=11).encode(**text),
        base.transform_filter("datum.value < 0").mark_text(align="right", dx=-3, fontSize=11).encode(**text),
        alt.Chart(data([{"value": 0}])).mark_rule(color=INK, opacity=0.4).encode(x=x),
    )
