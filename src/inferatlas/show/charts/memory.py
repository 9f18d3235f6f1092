"""Stacked memory of one device per candidate against its capacity: does it fit, and how much is left?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from inferatlas.quantities import show
from inferatlas.show.charts.style import INK, PALETTE, ROW_HEIGHT, TICKS, AnyChart, data, dress, rows_axis

# the parts in the order they are stacked; the two that are not in use are pale
PARTS = {
    "weights": PALETTE[0],
    "KV cache": PALETTE[1],
    "activations": PALETTE[2],
    "runtime reserve": PALETTE[3],
    "free": "#8a929c",
    "left alone by the engine": "#8a929c",
}
_OPACITY = {"free": 0.3, "left alone by the engine": 0.12}


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """Bytes on one device: what is in use, what the engine may use and what the device holds."""

    name: str
    weights_bytes: float
    kv_bytes: float
    activations_bytes: float
    reserve_bytes: float
    usable_bytes: float
    capacity_bytes: float

    def parts(self) -> dict[str, float]:
        """Bytes of every part, in the order of `PARTS`; together they are the capacity.

        >>> list(MemoryBar("x", 10.0, 5.0, 1.0, 2.0, 27.0, 30.0).parts().values())
        [10.0, 5.0, 1.0, 2.0, 9.0, 3.0]
        """
        used = [self.weights_bytes, self.kv_bytes, self.activations_bytes, self.reserve_bytes]
        free = max(self.usable_bytes - sum(used), 0.0)
        return dict(zip(PARTS, [*used, free, max(self.capacity_bytes - sum(used) - free, 0.0)], strict=True))


def memory(rows: Sequence[MemoryBar]) -> AnyChart:
    """One stacked bar per candidate and a line at the capacity of its device."""
    names = [row.name for row in rows]
    pieces: list[dict[str, object]] = []
    for row in rows:
        start = 0.0
        for part, held in row.parts().items():
            pieces.append({"name": row.name, "part": part, "start": start / 1e9, "end": (start + held) / 1e9,
                           "opacity": _OPACITY.get(part, 1.0)})  # fmt: skip
            start += held
    most = max(row.capacity_bytes for row in rows) / 1e9
    x = {
        "scale": alt.Scale(domain=[0, most * 1.14], nice=False),
        "axis": alt.Axis(
            title="Memory of one device (GB), up to the line of its capacity", labelExpr=TICKS, tickCount=7
        ),
    }
    bars = (
        alt.Chart(data(pieces))
        .mark_bar(height=15)
        .encode(
            x=alt.X("start:Q", **x),
            x2="end:Q",
            y=rows_axis(names),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(PARTS), range=list(PARTS.values())),
                legend=alt.Legend(title=None, orient="top", columns=6, values=list(PARTS)[:5], symbolType="square"),
            ),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
        )
        .properties(width=640, height=ROW_HEIGHT * len(names))
    )
    ends = data([{"name": r.name, "end": r.capacity_bytes / 1e9, "text": show(r.capacity_bytes, "B")} for r in rows])
    line = alt.Chart(ends).mark_tick(color=INK, thickness=2.5, size=22)
    text = (
        alt.Chart(ends).mark_text(align="left", dx=6).encode(x=alt.X("end:Q", **x), y=rows_axis(names), text="text:N")
    )
    return dress(alt.layer(bars, line.encode(x=alt.X("end:Q", **x), y=rows_axis(names)), text))
