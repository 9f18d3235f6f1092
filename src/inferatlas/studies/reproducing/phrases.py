"""Words that findings share: lists, counts and spans, built from numbers."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.quantities import show


def listed(names: Sequence[str]) -> str:
    """Names as a list in words.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"]), listed([])
    ('a', 'a and b', 'a, b and c', 'none')
    """
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def span(values: Sequence[float], unit: str = "1") -> str:
    """The least and the largest of some values; one where they print alike, and whole numbers as such.

    >>> span([3.5, 1.0]), span([2e12, 2e12], "B/s"), span([750, 1])
    ('1.00 to 3.50', '2.00 TB/s', '1 to 750')
    """
    whole = unit == "1" and all(float(value).is_integer() for value in values)
    low, high = (f"{end:,.0f}" if whole else show(end, unit) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def times(ratio: float) -> str:
    """How many times something is something else.

    >>> times(3.14159), times(42.3), times(1234.0), times(0.25)
    ('3.1 times', '42 times', '1,234 times', '0.25 times')
    """
    digits = 2 if ratio < 1 else 1 if ratio < 10 else 0
    return f"{ratio:,.{digits}f} times"


def plural(count: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> plural(1, "cell"), plural(3, "cell"), plural(0, "entry", "entries")
    ('1 cell', '3 cells', '0 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
