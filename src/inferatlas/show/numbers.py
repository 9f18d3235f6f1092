"""Figures in words: units, intervals, shares. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inferatlas.predict.answer import Interval
from inferatlas.quantities import show, unit_factor

NONE = "—"
GIVEN = "given"  # an interval without width: the question fixes the figure, the model has no say in it

# quantity -> (heading of a column, SI unit); headings carry the unit where the cells do not
QUANTITIES = {
    "ttft_s": ("TTFT", "s"),
    "itl_s": ("ITL", "s"),
    "latency_s": ("latency", "s"),
    "output_tokens_per_s": ("output tokens/s", "1"),
    "total_tokens_per_s": ("total tokens/s", "1"),
    "power_w": ("power", "W"),
    "tokens_per_joule": ("tokens/J", "1"),
    "joules_per_output_token": ("J/token", "1"),
    "usd_per_million_tokens": ("USD/Mtok", "1"),
    "usd_per_million_tokens_owned": ("USD/Mtok owned", "1"),
    "gco2e_per_million_tokens": ("gCO2e/Mtok", "1"),
    "gco2e_embodied_per_million_tokens": ("embodied gCO2e/Mtok", "1"),
}


def quantity(name: str) -> tuple[str, str]:
    """Heading and SI unit of a quantity by its name; one that is not listed speaks for itself.

    Examples
    --------
    >>> quantity("itl_s"), quantity("standby_power_w")
    (('ITL', 's'), ('standby power', 'W'))
    """
    if name in QUANTITIES:
        return QUANTITIES[name]
    for ending, unit in (("_per_s", "1"), ("_s", "s"), ("_w", "W")):
        if name.endswith(ending):
            stem = name if unit == "1" else name.removesuffix(ending)
            return stem.replace("_", " "), unit
    return name.replace("_", " "), "1"


def heading(name: str) -> str:
    """The heading of a column; of several words, the last stands on a line of its own.

    Examples
    --------
    >>> heading("output_tokens_per_s"), heading("ttft_s")
    ('output\\ntokens/s', 'TTFT')
    """
    return "\n".join(part for part in quantity(name)[0].rpartition(" ") if part.strip())


def span(low: float, high: float, unit: str) -> str:
    """The ends of an interval, both in the unit that suits the upper one.

    Examples
    --------
    >>> span(0.13, 0.278, "s"), span(0.9, 1.1, "s"), span(2059, 3771, "1")
    ('130–278 ms', '0.900–1.10 s', '2,060–3,770')
    """
    last, _, shown = figure(high, unit).partition(" ")
    factor = (unit_factor(shown) or (1.0, unit))[0] if shown else 1.0
    return f"{figure(low / factor, '1')}–{last} {shown}".strip()


def figure(value: float | None, unit: str) -> str:
    """A figure of three significant digits with its unit; a dash where it is unknown.

    Examples
    --------
    >>> figure(844.52, "1"), figure(12345.6, "1"), figure(None, "W")
    ('845', '12,300', '—')
    """
    # rounded first, since `show` keeps every digit before the point
    return NONE if value is None or not math.isfinite(value) else show(float(f"{value:.2e}"), unit)


def as_given(value: float | None) -> str:
    """A number that somebody chose, a count, a rate, a bound: six significant digits, and all before the point.

    Examples
    --------
    >>> as_given(1154.7), as_given(8), as_given(2_000_000), as_given(None)
    ('1,154.7', '8', '2,000,000', '—')
    """
    if value is None:
        return NONE
    return f"{value:,.6g}" if value < 1e6 else f"{value:,.0f}"


def with_interval(interval: Interval | None, unit: str) -> str:
    """Value, and on a second line its 80 % interval (for cells of a table).

    Examples
    --------
    >>> with_interval(Interval(0.13, 0.19, 0.278), "s"), with_interval(None, "s"), with_interval(Interval(4, 4, 4), "1")
    ('190 ms\\n130–278 ms', '—\\nunknown', '4.00\\ngiven')
    """
    if interval is None:
        return f"{NONE}\nunknown"
    between = GIVEN if interval.low == interval.high else span(interval.low, interval.high, unit)
    return f"{figure(interval.value, unit)}\n{between}"


def in_words(interval: Interval | None, unit: str) -> str:
    """The same in one line, for a sentence: ``190 ms (130–278 ms)``."""
    return with_interval(interval, unit).replace("\n", " (") + ")"


def counted(count: int, what: str) -> str:
    """So many of something, in the singular where it is one.

    >>> counted(1, "grade"), counted(1200, "layout"), counted(0, "cell")
    ('1 grade', '1,200 layouts', '0 cells')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def signed(value: float | None) -> str:
    """A change with its sign and two digits; nothing is rounded to "-0.00".

    >>> signed(-0.7512), signed(0.0), signed(0.001), signed(None)
    ('−0.75', '0', '<0.01', '—')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0 or abs(value) < 1e-9:
        return "0"
    if abs(value) < 0.005:
        return "<0.01" if value > 0 else "−<0.01"
    return f"{value:+.2f}".replace("-", "−")
