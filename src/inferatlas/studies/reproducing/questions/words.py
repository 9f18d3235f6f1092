"""Numbers as the answers write them."""

from __future__ import annotations

from collections.abc import Sequence

from inferatlas.predict.answer import Interval


def number(value: float) -> str:
    """Two or three significant digits: ``0.024``, ``1.3``, ``31``, ``1,780``.

    >>> number(31.35), number(1.349), number(0.02384), number(1777.4)
    ('31', '1.3', '0.024', '1,780')
    """
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{float(f'{value:.2g}'):g}"


def times(found: Interval) -> str:
    """``31 times (23 to 43)``; without the interval where there is none.

    >>> times(Interval(23.1, 31.35, 43.2)), times(Interval(4.0, 4.0, 4.0))
    ('31 times (23 to 43)', '4 times')
    """
    return f"{number(found.value)} times{within(found)}"


def within(found: Interval) -> str:
    """`` (23 to 43)``, nothing where both ends are the value."""
    ends = number(found.low), number(found.high)
    return "" if found.low == found.high else f" ({ends[0]} to {ends[1]})"


def listed(words: Sequence[str]) -> str:
    """``a, b and c``.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"


def spoken(name: str) -> str:
    """The name of an architecture class for the reader.

    >>> spoken("gpu_simt"), spoken("wafer_scale")
    ('GPU', 'wafer-scale')
    """
    known = {"gpu_simt": "GPU", "manycore_sram": "many-core SRAM", "dataflow_rdu": "dataflow"}
    return known.get(name, name.replace("_", "-"))
