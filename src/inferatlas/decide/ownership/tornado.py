"""How far each input moves each total over its range, and the interval that all of them make together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferatlas.decide.ownership.owner import FIELDS, Figure
from inferatlas.predict.answer import Interval
from inferatlas.predict.cost.owned import Owned, token_totals

# totals of `predict.cost.owned` -> their names in results
TOTALS = {
    "usd": "usd_per_million_tokens", "gco2e": "gco2e_per_million_tokens", "water_l": "water_l_per_million_tokens",
}  # fmt: skip
STILL = 1e-9  # relative change of a total below which an input does not move it


@dataclass(frozen=True, slots=True)
class Bar:
    """One input at both ends of its range and the total there; ``given``: the user's figure, not in the interval."""

    metric: str
    parameter: str
    value: float
    low: float
    high: float
    unit: str
    at_low: float
    at_high: float
    given: bool


def tornado(it: Owned, figures: Sequence[Figure]) -> list[Bar]:
    """Bars of every total that is known, the longest first; inputs that do not move it have none."""
    whole, bars = {name: float(value) for name, value in token_totals(it).items()}, []
    for one in figures:
        if one.value is None or one.low is None or one.high is None or not one.low < one.high:
            continue
        ends = token_totals(replace(it, **{FIELDS[one.parameter]: np.array([one.low, one.high])}))
        for total, metric in TOTALS.items():
            at_low, at_high = np.broadcast_to(ends[total], 2).tolist()
            if abs(at_high - at_low) > STILL * whole[total]:  # NaN, where the total is unknown, is not
                bar = Bar(metric, one.parameter, one.value, one.low, one.high, one.unit, at_low, at_high, one.given)
                bars.append(bar)
    order = list(TOTALS.values())
    return sorted(bars, key=lambda bar: (order.index(bar.metric), -abs(bar.at_high - bar.at_low)))


def interval(value: float, bars: Iterable[Bar]) -> Interval | None:
    """The 80 % interval of a total from the bars of its inputs, which err independently of one another.

    Equation (54) with each input's own bar in place of elasticity times range, so that a lopsided range gives a
    lopsided interval: above, ``value exp(sqrt(Σ ln²(upper end/value)))``, and below likewise. What the user gave is
    taken as it is. None where the total is unknown.

    Examples
    --------
    >>> bars = [Bar("usd", name, 1, 0.5, 2, "", 5.0, 20.0, False) for name in "ab"]
    >>> found = interval(10.0, bars)
    >>> round(found.low, 2), found.value, round(found.high, 2)
    (3.75, 10.0, 26.65)
    """
    if not math.isfinite(value):
        return None
    ends = [(bar.at_low, bar.at_high) for bar in bars if not bar.given]
    if value == 0 or not ends:
        return Interval(value, value, value)
    up, down = (
        math.sqrt(sum(max(sign * math.log(extreme(pair) / value), 0.0) ** 2 for pair in ends))
        for sign, extreme in ((1.0, max), (-1.0, min))
    )
    return Interval(value * math.exp(-down), value, value * math.exp(up))
