"""The chart of an exhibit, a guideline or an open question, and that chart in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from inferatlas.show.studies.words import heading_of
from inferatlas.studies.exhibits import Exhibit, Guideline, OpenQuestion, Pair, Plot

if TYPE_CHECKING:
    from inferatlas.show.charts.style import AnyChart

READING = (
    "Open squares are what the paper prints. Filled marks are ours, and the line or band around one is its 80 % "
    "interval: we expect the truth inside it in 8 cases of 10. The shape of a mark says what it rests on."
)
_NAMES = {"bars": "Bars", "lines": "Lines", "heatmap": "Heat map", "tradeoff": "Trade-off"}


def places(pairs: Iterable[Pair]) -> dict[str, dict[str, int]]:
    """Column -> value -> its place in the order of first appearance: fixes colours over all charts of a study.

    >>> one = Pair({"chip": "A100"}, "power_w", "W", None, None, "predicted")
    >>> places([one, one])
    {'chip': {'A100': 0}}
    """
    found: dict[str, dict[str, int]] = {}
    for pair in pairs:
        for column, value in pair.what.items():
            held = found.setdefault(column, {})
            held.setdefault(value, len(held))
    return found


def chart_of(
    one: Exhibit | Guideline | OpenQuestion, at: Mapping[str, Mapping[str, int]] | None = None
) -> AnyChart | None:
    """The chart of an exhibit, guideline or question; None where it has no plot, or no number to draw."""
    return chart(one.pairs, one.plot, at) if one.plot else None


def chart(pairs: Sequence[Pair], plot: Plot, at: Mapping[str, Mapping[str, int]] | None = None) -> AnyChart | None:
    """Pairs drawn as the plot says; None where none of them holds a number.

    Parameters
    ----------
    at : column -> value -> place in the whole study (`places`): series keep their colour from chart to chart.

    Examples
    --------
    >>> from inferatlas.predict.answer import Interval
    >>> one = Pair({"accelerator": "A100"}, "power_w", "W", None, Interval(300.0, 350.0, 400.0), "predicted")
    >>> found = chart([one], Plot("bars", "accelerator"))
    >>> [layer["mark"]["type"] for layer in found.to_dict()["layer"]]
    ['rect', 'rule', 'point']
    >>> chart([Pair({"accelerator": "A100"}, "power_w", "W", None, None, "predicted")], Plot("bars", "accelerator"))
    """
    from inferatlas.show.studies import bars, curves, maps, tradeoffs
    from inferatlas.show.studies.looks import panels, values_of

    drawable = pairs if plot.kind == "heatmap" else [pair for pair in pairs if values_of([pair])]
    if not values_of(pairs) or not drawable:
        return None
    shown = panels(pairs if plot.kind == "bars" else drawable, plot)
    places = (at or {}).get(plot.colour, {})
    if plot.kind == "bars":
        return bars.bars(shown, plot, places)
    if plot.kind == "lines":
        return curves.curves(shown, plot, places)
    if plot.kind == "heatmap":
        return maps.heatmap(shown, plot)
    return tradeoffs.tradeoffs(shown, plot, places)


def in_words(pairs: Sequence[Pair], plot: Plot) -> str:
    """What a chart shows, for those who do not see it.

    >>> one = Pair({"chip": "A100", "batch": "1"}, "power_w", "W", None, None, "predicted")
    >>> in_words([one], Plot("lines", "batch", colour="chip"))
    'Lines of power by batch, a series per chip; ours and the published values. The table holds the numbers.'
    """
    if plot.kind == "tradeoff":
        what = f"{heading_of(plot.y)} against {heading_of(plot.x)}"
    else:
        names = list(dict.fromkeys(heading_of(pair.quantity) for pair in pairs))
        by = f"{plot.x} and {plot.y}" if plot.kind == "heatmap" else plot.x
        what = f"{', '.join(names)} by {by}"
    series = f", a series per {plot.colour}" if plot.colour else ""
    facet = f", a panel per {plot.facet}" if plot.facet else ""
    tail = "ours and the published values. The table holds the numbers."
    return f"{_NAMES[plot.kind]} of {what}{series}{facet}; {tail}"
