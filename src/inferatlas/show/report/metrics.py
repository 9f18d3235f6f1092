"""What each metric is called, in which unit people read it, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from inferatlas.predict.answer import Interval
from inferatlas.show.numbers import GIVEN, NONE, figure, quantity, span


@dataclass(frozen=True, slots=True)
class Quantity:
    """A metric as people read it. ``unit`` is SI (scaled when printed) or a plain word after the number."""

    name: str
    unit: str
    smaller_is_better: bool

    @property
    def short_unit(self) -> str:
        """The unit for the head of a narrow column.

        >>> METRICS["usd_per_million_tokens"].short_unit, METRICS["output_tokens_per_s"].short_unit
        ('USD/M tokens', 'tokens/s')
        """
        return self.unit.replace(" per million output tokens", "/M tokens").removeprefix("output ").partition(",")[0]

    @property
    def better(self) -> str:
        return "lower is better" if self.smaller_is_better else "higher is better"


METRICS = {
    "ttft_s": Quantity("mean TTFT", "s", True),
    "itl_s": Quantity("mean ITL", "s", True),
    "latency_s": Quantity("mean latency", "s", True),
    "output_tokens_per_s": Quantity("output throughput", "output tokens/s", False),
    "total_tokens_per_s": Quantity("total throughput", "tokens/s, input and output", False),
    "power_w": Quantity("power of the accelerators", "W", True),
    "tokens_per_joule": Quantity("energy efficiency", "output tokens/J", False),
    "usd_per_million_tokens": Quantity("cost", "USD per million output tokens", True),
    "usd_per_million_tokens_owned": Quantity("cost of ownership", "USD per million output tokens", True),
    "gco2e_per_million_tokens": Quantity("operational carbon", "gCO2e per million output tokens", True),
    "gco2e_embodied_per_million_tokens": Quantity("embodied carbon", "gCO2e per million output tokens", True),
}


def number(metric: str, value: float | None, *, unit: bool = False) -> str:
    """A value as people read it; ``unit`` adds the unit where the number does not carry one already.

    Examples
    --------
    >>> number("ttft_s", 0.19), number("usd_per_million_tokens", 0.51, unit=True), number("power_w", None)
    ('190 ms', '0.510 USD per million output tokens', '—')
    """
    text = figure(value, quantity(metric)[1])
    bare = unit and value is not None and quantity(metric)[1] == "1"
    return f"{text} {METRICS[metric].unit}" if bare else text


def middle(metric: str, interval: Interval | None) -> str:
    """The value of an interval as people read it, without a unit that the heading already names."""
    return number(metric, None if interval is None else interval.value)


def spread(metric: str, interval: Interval | None) -> str:
    """The ends of the 80 % interval; a quantity that the question fixes has none.

    Examples
    --------
    >>> spread("ttft_s", Interval(0.13, 0.19, 0.28)), spread("itl_s", Interval(0.02, 0.02, 0.02)), spread("itl_s", None)
    ('130–280 ms', 'given', '—')
    """
    if interval is None:
        return NONE
    return GIVEN if interval.low == interval.high else span(interval.low, interval.high, quantity(metric)[1])
