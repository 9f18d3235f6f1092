"""Predictions as pairs: a figure of ours beside what the paper prints, ratios of two figures, ranges over a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import exp, hypot, isfinite, log

import numpy as np

from inferatlas.catalogue.models import load_model
from inferatlas.predict.answer import Interval
from inferatlas.predict.llm.parameters import Parameters, count
from inferatlas.studies.claims.ledger import ledger
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.exhibits import Pair
from inferatlas.studies.reproducing.brunetta.asking import UNITS, Answers, Case

PAPER = "brunetta"
TITLES = {
    "total_tokens_per_s": "throughput", "total_tokens_per_s_per_accelerator": "throughput per GPU",
    "total_tokens_per_s_per_instance": "throughput per instance", "total_tokens_per_joule": "tokens per joule",
    "latency_s": "latency", "ttft_s": "TTFT", "itl_s": "inter-token latency",
}  # fmt: skip


def claimed(name: str) -> Printed:
    """What a claim of the paper asserts, a number.

    Raises
    ------
    UnknownName : the ledger has no such claim.
    """
    found = ledger(PAPER).claim(name).asserted
    assert isinstance(found, Printed)  # those that are reproduced here are no formulas
    return found


@lru_cache(maxsize=64)
def parameters(model: str) -> Parameters:
    return count(load_model(model))


def model_name(model: str) -> str:
    return load_model(model).name


def billions(model: str) -> str:
    """All parameters of a model in billions, as a column's number.

    >>> billions("llama-3.1-8b")
    '8.03'
    """
    return f"{parameters(model).total / 1e9:.3g}"


def named(case: Case, **more: str) -> dict[str, str]:
    """The columns that most figures have."""
    return {"accelerator": case.accelerator, "model": model_name(case.model), "batch": f"{case.in_flight:g}"} | more


def pair_of(
    answers: Answers,
    case: Case,
    quantity: str,
    what: Mapping[str, str],
    published: Printed | None = None,
    note: str = "",
) -> Pair:
    """One figure of one case; where it cannot be, the note says why."""
    i = answers.rows[case]
    ours = answers.at(quantity, i)
    why = answers.why_not(i) if ours is None else ""
    words = "; ".join(filter(None, (why, note)))
    return Pair(what, quantity, UNITS[quantity], published, ours, answers.labels[i], words)


def ratio_of(top: Interval | None, bottom: Interval | None) -> Interval | None:
    """A ratio with its interval, as if the errors of both sides were independent: at most that wide.

    >>> found = ratio_of(Interval(1.0, 2.0, 4.0), Interval(1.0, 1.0, 1.0))
    >>> [round(end, 6) for end in (found.low, found.value, found.high)]
    [1.0, 2.0, 4.0]
    """
    if top is None or bottom is None:
        return None
    value = top.value / bottom.value
    down = hypot(log(top.value / top.low), log(bottom.high / bottom.value))
    up = hypot(log(top.high / top.value), log(bottom.value / bottom.low))
    return Interval(value * exp(-down), value, value * exp(up))


def less_one(ratio: Interval | None) -> Interval | None:
    """A ratio as a gain: 1.2 is 0.2."""
    return None if ratio is None else Interval(ratio.low - 1.0, ratio.value - 1.0, ratio.high - 1.0)


def saved(ratio: Interval | None) -> Interval | None:
    """A ratio as a saving: 0.8 is 0.2."""
    return None if ratio is None else Interval(1.0 - ratio.high, 1.0 - ratio.value, 1.0 - ratio.low)


OVER = "80 % of the cases of our grid lie in the interval, half of them below its middle"


def range_over(values: Iterable[float]) -> Interval | None:
    """The interval that holds 80 % of a grid's values, with their median; None without any.

    >>> range_over([1.0, 2.0, 3.0]).value, range_over([float("nan")])
    (2.0, None)
    """
    known = [value for value in values if isfinite(value)]
    return Interval(*(float(end) for end in np.quantile(known, (0.1, 0.5, 0.9)))) if known else None


def meet(a: Interval | None, b: Interval | None) -> bool:
    """Whether two intervals have a point in common."""
    return a is not None and b is not None and a.low <= b.high and b.low <= a.high


def met(pairs: Iterable[Pair]) -> str:
    """How many of the printed numbers meet our intervals: "3 of 10"."""
    inside = [pair.inside for pair in pairs if pair.inside is not None]
    return f"{sum(inside)} of {len(inside)}"


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Exponent b of value = a size^b by least squares of the logarithms; NaN with fewer than three known values.

    >>> slope([1.0, 2.0, 4.0], [3.0, 6.0, 12.0])
    1.0
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(y)
    if known.sum() < 3:
        return float("nan")
    return round(float(np.polyfit(np.log(x[known]), np.log(y[known]), 1)[0]), 6)


def span(values: Iterable[float], digits: int = 2) -> str:
    """The least and the largest of some numbers; one where they print alike.

    >>> span([0.98, 1.204]), span([2.0, 2.001])
    ('0.98 to 1.2', '2')
    """
    known = [value for value in values if isfinite(value)]
    if not known:
        return "unknown"
    low, high = f"{min(known):.{digits}g}", f"{max(known):.{digits}g}"
    return low if low == high else f"{low} to {high}"


def percents(values: Iterable[float]) -> str:
    """The least and the largest of some shares, in per cent.

    >>> percents([0.2, 0.379]), percents([-0.1])
    ('20 to 38 %', '-10 %')
    """
    known = [round(100 * value) for value in values if isfinite(value)]
    if not known:
        return "unknown"
    return f"{min(known)} %" if min(known) == max(known) else f"{min(known)} to {max(known)} %"
