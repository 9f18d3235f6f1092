"""Which parts of an answer the calibration covers, in one line for every page."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 12  # extrapolated names in full; a longer list is counted


def coverage(labelled: Iterable[tuple[str, str]]) -> str:
    """What is calibrated (``predicted``) and what is ``extrapolated``; a name with both labels is said to be both.

    Examples
    --------
    >>> coverage([("a100", "predicted"), ("h100", "predicted"), ("h100", "extrapolated")])
    'calibrated (predicted): a100, h100; extrapolated: h100 in part'
    """
    by: dict[str, set[str]] = {}
    for name, label in labelled:
        by.setdefault(label, set()).add(name)
    calibrated, beyond = by.get("predicted", set()), by.get("extrapolated", set())
    both = [f"{name} in part" if name in calibrated else name for name in sorted(beyond)]
    return f"calibrated (predicted): {', '.join(sorted(calibrated)) or 'none'}; extrapolated: {_listed(both)}"


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    words = ", ".join(names[:SHOWN]) or "none"
    return f"{words} and {more} more" if more > 0 else words
