"""What an input is once it is looked up: a number with its rounding in base units, a vector of such, or words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.predict.answer import Interval
from inferatlas.quantities import show
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.claims.units import base_factor, formula_unit

Number = float | np.ndarray


def said(value: float, unit: str, digits: int = 3) -> str:
    """A value for people; a rate of tokens is so many per second, a share printed in percent is shown so.

    Examples
    --------
    >>> said(55.8, "1/s"), said(0.86, "1/J"), said(8e12, "B/s"), said(0.38, "%")
    ('55.8/s', '0.860/J', '8.00 TB/s', '38.0 %')
    """
    if unit == "%":
        return f"{show(100 * value, '1', digits)} %"
    return show(value, unit, digits).replace(" 1/", "/")


def finite(x: float | None) -> float | None:
    """What JSON can hold: None for what is undefined or unbounded.

    Examples
    --------
    >>> finite(2.0), finite(math.inf)
    (2.0, None)
    """
    return x if x is not None and math.isfinite(x) else None


@dataclass(frozen=True, slots=True)
class Known:
    """One input. Numbers are in base units of ``unit`` (joules, seconds); ``missing`` says what would be needed.

    ``rows`` names the entries of a vector. ``sure``: a document, a paper or a derivation stands behind it.
    ``rivals``: what other documents say, each with the condition under which it is right.
    """

    origin: str
    unit: str = "1"
    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    text: str | None = None
    rows: tuple[str, ...] = ()
    missing: str = ""
    sure: bool = True
    rivals: tuple[tuple[Known, str], ...] = field(default=())
    shown: str = ""  # the unit for people, where it is another: %

    def as_dict(self, name: str) -> dict[str, Any]:
        """The input in the JSON of a finding, with its interval where it has one.

        A vector is its entries by row; what is not stated, and an end that nothing bounds, are None.
        """
        found: dict[str, Any] = {"name": name, "value": self.text, "unit": self.unit, "from": self.origin}
        if self.value is None:
            return found
        found["value"] = self._in_unit(self.value)
        if not np.array_equal(self.low, self.high, equal_nan=True):  # pyright: ignore[reportArgumentType]
            found |= {"low": self._in_unit(self.low), "high": self._in_unit(self.high)}
        return found

    def _in_unit(self, number: Number | None) -> Any:
        factor = base_factor(self.unit)
        if isinstance(number, np.ndarray):
            return {row: finite(float(x) / factor) for row, x in zip(self.rows, number, strict=True)}
        return number if number is None else finite(float(number) / factor)

    @property
    def words(self) -> str:
        """The value for people."""
        unit = self.shown or self.unit
        if self.value is None:
            return self.text or "—"
        if isinstance(self.value, np.ndarray):
            there = [said(float(x) / base_factor(self.unit), unit) for x in self.value if np.isfinite(x)]
            return f"[{', '.join(there)}]"
        if not math.isfinite(self.value):
            return f"in {self.unit}"
        return said(float(self.value) / base_factor(self.unit), unit, digits=4)


def of_printed(printed: Printed | None, origin: str) -> Known:
    """An input that a paper prints; what it does not state is missing."""
    if printed is None or not printed.stated:
        return Known(origin, missing=f"{origin}, which is not stated")
    if printed.value is None:
        return Known(origin, text=printed.word or printed.text)
    factor = base_factor(printed.unit)
    low, high = (printed.value if end is None else end for end in (printed.low, printed.high))
    if printed.relation == "at_least":  # "more than 5" may be anything above
        high = math.inf
    elif printed.relation == "at_most":
        low = min(0.0, low)
    shown = shown_in(printed)
    return Known(origin, printed.unit, printed.value * factor, low * factor, high * factor, shown=shown)


def shown_in(printed: Printed) -> str:
    """The unit in which people read it, where it is not the SI unit."""
    return "%" if printed.unit == "1" and "%" in printed.text else ""


def of_constant(printed: Printed, origin: str) -> Known:
    """A constant is exact, as are the ends of a range; "about" has its margin, and "more than" no end."""
    if printed.value is None or printed.relation != "equal":
        return of_printed(printed, origin)
    found, ends = exact(printed.value, printed.unit, origin, shown=shown_in(printed)), printed.ends
    factor = base_factor(printed.unit)
    return found if ends is None else replace(found, low=ends[0] * factor, high=ends[1] * factor)


def exact(value: float, unit: str, origin: str, **more: Any) -> Known:
    """An input without rounding, ``value`` in ``unit``."""
    x = value * base_factor(unit)
    return Known(origin, unit, x, x, x, **more)


def of_interval(found: Interval, unit: str, origin: str, widen: float = 1.0) -> Known:
    """A predicted input; ``widen`` stretches its interval on a logarithmic scale (1.0: the 80 % that it has)."""
    factor = base_factor(unit)
    low, high = found.value * (found.low / found.value) ** widen, found.value * (found.high / found.value) ** widen
    return Known(origin, unit, found.value * factor, low * factor, high * factor)


def vector(entries: Sequence[tuple[str, Known]], origin: str) -> Known:
    """A column: entries that are missing, or words, are NaN; entirely missing where all are."""
    there = [one for _, one in entries if isinstance(one.value, float)]
    units = list(dict.fromkeys(one.unit for one in there))
    if len({formula_unit(unit).dimensionality for unit in units}) > 1:
        raise BadInput(f"{origin} mixes {' and '.join(units)}", allowed="quantities of one unit")
    if not there:
        return Known(origin, missing=f"{origin}, of which none is stated")

    def column(end: str) -> np.ndarray:
        return np.array([np.nan if one.value is None else getattr(one, end) for _, one in entries], dtype=float)

    return Known(
        origin, there[0].unit, column("value"), column("low"), column("high"),
        rows=tuple(row for row, _ in entries), sure=all(one.sure for one in there),
    )  # fmt: skip


def aligned(known: dict[str, Known]) -> dict[str, Known]:
    """Vectors brought to the same rows: those of all of them, what one does not have being NaN."""
    rows = tuple(dict.fromkeys(row for one in known.values() for row in one.rows))

    def spread(one: Known) -> Known:
        if not isinstance(one.value, np.ndarray) or one.rows == rows:
            return one
        index = {row: i for i, row in enumerate(one.rows)}

        def column(end: Any) -> np.ndarray:
            return np.array([end[index[row]] if row in index else np.nan for row in rows])

        return Known(
            one.origin, one.unit, column(one.value), column(one.low), column(one.high), rows=rows, sure=one.sure
        )

    return {name: spread(one) for name, one in known.items()}
