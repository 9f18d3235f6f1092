"""What an input is once it is looked up: a number with its rounding in base units, a vector of such, or words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferatlas.predict.answer import Interval
from inferatlas.quantities import show
from inferatlas.studies.claims.printed import Printed
from inferatlas.studies.claims.units import base_factor

Number = float | np.ndarray


def said(value: float, unit: str, digits: int = 3) -> str:
    """A value for people; a rate of tokens is so many per second.

    Examples
    --------
    >>> said(55.8, "1/s"), said(0.86, "1/J"), said(8e12, "B/s")
    ('55.8/s', '0.860/J', '8.00 TB/s')
    """
    return show(value, unit, digits).replace(" 1/", "/")


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

    def as_dict(self, name: str) -> dict[str, Any]:
        """The input in the JSON of a finding; a vector as its entries, what is not stated as None."""
        factor = base_factor(self.unit)
        if self.value is None:
            value: Any = self.text
        elif isinstance(self.value, np.ndarray):
            value = {
                row: float(x) / factor if np.isfinite(x) else None
                for row, x in zip(self.rows, self.value, strict=True)
            }  # fmt: skip
        else:
            value = float(self.value) / factor if np.isfinite(self.value) else None
        return {"name": name, "value": value, "unit": self.unit, "from": self.origin}

    @property
    def words(self) -> str:
        """The value for people."""
        if self.value is None:
            return self.text or "—"
        if isinstance(self.value, np.ndarray):
            there = [said(float(x) / base_factor(self.unit), self.unit) for x in self.value if np.isfinite(x)]
            return f"[{', '.join(there)}]"
        return said(float(self.value) / base_factor(self.unit), self.unit, digits=4)


def of_printed(printed: Printed | None, origin: str) -> Known:
    """An input that a paper prints; what it does not state is missing."""
    if printed is None or not printed.stated:
        return Known(origin, missing=f"{origin}, which is not stated")
    if printed.value is None:
        return Known(origin, text=printed.word or printed.text)
    factor = base_factor(printed.unit)
    low, high = (printed.value if end is None else end for end in (printed.low, printed.high))
    return Known(origin, printed.unit, printed.value * factor, low * factor, high * factor)


def of_constant(printed: Printed, origin: str) -> Known:
    """A constant is exact, unless it is given as a range or as about so much."""
    if printed.value is None or printed.relation == "about" or _is_range(printed):
        return of_printed(printed, origin)
    return exact(printed.value, printed.unit, origin)


def _is_range(printed: Printed) -> bool:
    return any(mark in printed.text[1:] for mark in ("-", "–", "..", " to "))


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
