"""What all charts share: a colour and a shape per accelerator, axes in readable units, SVG for a page.

Colours come from the place of an accelerator in the catalogue, never from the set that is shown, so that
filtering changes none. Text and grid are drawn in ``currentColor`` and follow the theme of the page.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape

import altair as alt

from inferatlas.catalogue.accelerators import accelerator_ids

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart | alt.ConcatChart

# At least 3:1 against white and against the dark page, and at least 20 apart in CIE76 for every pair under
# protanopia, deuteranopia and tritanopia (tests/show/test_style.py computes both).
PALETTE = ("#5358f2", "#ae911b", "#c3356f", "#619da4", "#b533ad", "#5b7627", "#dc766e", "#bf71f2")
SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "triangle-left", "triangle-right")
LABELS = {"measured": "circle", "published": "square", "predicted": "diamond", "extrapolated": "triangle-up"}
INK = "currentColor"
FONT = "Arial, Helvetica, sans-serif"
NAMED = 8  # series named in one chart
ROW_HEIGHT = 26
LARGER, WIDEST = 1.35, 860.0  # a small chart is drawn larger where there is room, up to so many pixels
# "~s" alone prints 0.1 as "100m"; below a thousand the plain number is right
TICKS = "abs(datum.value) < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"


@lru_cache(maxsize=1)
def _places() -> dict[str, int]:
    return {name: place for place, name in enumerate(accelerator_ids())}


def place(accelerator: str) -> int:
    """The number that fixes colour and shape: the place in the catalogue, or a hash for a part of one's own."""
    known = _places().get(accelerator)
    return zlib.crc32(accelerator.encode()) if known is None else known


def colour(accelerator: str) -> str:
    """The colour of an accelerator, the same in every chart.

    >>> colour(accelerator_ids()[0]) == PALETTE[0]
    True
    """
    return PALETTE[place(accelerator) % len(PALETTE)]


def shape(accelerator: str) -> str:
    """The shape of an accelerator: parts that share a colour differ in shape."""
    return SHAPES[place(accelerator) // len(PALETTE) % len(SHAPES)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A quantity on an axis: its name, unit ("s" is scaled to ms where that reads better) and better direction.

    ``unit`` "1" is that of a plain number; ``smaller_is_better`` is None where neither direction is better.
    """

    name: str
    unit: str
    smaller_is_better: bool | None


@dataclass(frozen=True, slots=True)
class Span:
    """An axis with its range settled: numbers are multiplied by ``factor`` before they are drawn."""

    axis: Axis
    factor: float
    unit: str
    low: float
    high: float
    log: bool

    def fraction(self, value: float) -> float:
        """Place of an SI value on the axis, 0 to 1."""
        f = math.log if self.log else float
        return (f(value * self.factor) - f(self.low)) / (f(self.high) - f(self.low))

    def at(self, fraction: float) -> float:
        """The drawn number at a place (the inverse of `fraction`)."""
        if self.log:
            return self.low * (self.high / self.low) ** fraction
        return self.low + (self.high - self.low) * fraction

    @property
    def title(self) -> str:
        unit = "" if self.unit == "1" else f" ({self.unit})"
        better = {True: ", lower is better", False: ", higher is better", None: ""}[self.axis.smaller_is_better]
        return f"{self.axis.name[:1].upper()}{self.axis.name[1:]}{unit}{better}"

    def scale(self) -> alt.Scale:
        return alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False, zero=False)

    def ticks(self) -> alt.Axis:
        if not self.log:
            return alt.Axis(title=self.title, labelExpr=TICKS, tickCount=6)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [m * 10.0**k for k in decades for m in (1, 2, 5) if self.low <= m * 10.0**k <= self.high]
        return alt.Axis(title=self.title, labelExpr=TICKS, values=values)


def span(axis: Axis, values: Iterable[float], *, room: float = 0.06, zero: bool = False) -> Span:
    """Settle unit and range of an axis from the SI values on it.

    A range of more than 20 to 1 is drawn on a logarithmic axis. ``room`` is the share of the axis left free at
    the right, ``zero`` lets a linear axis begin at 0.

    >>> span(Axis("TTFT", "s", True), [0.1, 0.4]).title
    'TTFT (ms), lower is better'
    """
    values = list(values)
    least, most = min(values), max(values)
    factor, unit = (1e3, "ms") if axis.unit == "s" and most < 1.0 else (1.0, axis.unit)
    least, most = least * factor, most * factor
    if least > 0 and most / least > 20:
        width = math.log(most / least)
        return Span(axis, factor, unit, least * math.exp(-0.05 * width), most * math.exp(room * width), True)
    width = (most if zero else most - least) or abs(most) or 1.0
    low = 0.0 if zero else least - 0.06 * width
    return Span(axis, factor, unit, max(low, 0.0) if least >= 0 else low, most + room * width, False)


def rows_axis(names: Sequence[str], *, labels: bool = True) -> alt.Y:
    """One row per name in the order given."""
    axis = alt.Axis(title=None, labelLimit=330, labels=labels, ticks=False, domain=False, grid=False)
    return alt.Y("name:N", sort=list(names), axis=axis, scale=alt.Scale(domain=list(names)))


def data(rows: Sequence[dict[str, object]]) -> alt.Data:
    """Rows written into the specification itself."""
    return alt.Data(values=list(rows))  # pyright: ignore[reportArgumentType] - a list of mappings is inline data


def dress(chart: AnyChart) -> AnyChart:
    """The look of every chart: the ink of the page, light grid, no frame."""
    words = {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    lines = {"tickColor": INK, "domainColor": INK, "gridColor": INK, "gridOpacity": 0.14, "domainOpacity": 0.4}
    # one call: each call of configure copies the whole chart with its data
    return chart.configure(
        font=FONT,
        background="transparent",
        aria=False,
        padding=4,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(**words, **lines, tickOpacity=0.4, titlePadding=8, labelPadding=6),
        legend=alt.LegendConfig(**words),
        text=alt.MarkConfig(color=INK, fontSize=12),
    )


def to_svg(chart: AnyChart, description: str) -> str:
    """The chart as SVG to stand inside a page: named for screen readers, without namespaces, scaling with the page."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
    start, _, rest = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', start)
    found = re.search(r'\bwidth="([\d.]+)"', start)
    width = float(found[1]) if found else 900.0
    head = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(description, quote=True)}"'
    most = max(width, min(LARGER * width, WIDEST))
    return f'{head} style="--width:{width:g}px;max-width:{most:g}px">{rest}'


def to_file(svg: str) -> str:
    """The SVG of a page as a file of its own: with namespace and size, black on white.

    >>> to_file('<svg viewBox="0 0 30 20" role="img" style="x"><g></g></svg>')[:89]
    '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20" viewBox="0 0 30 20" role="'
    """
    head, _, rest = svg.partition(">")
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', head)
    size = f'width="{box[1]}" height="{box[2]}" ' if box else ""
    paper = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}{head.removeprefix("<svg ")}>{paper}{rest}'
