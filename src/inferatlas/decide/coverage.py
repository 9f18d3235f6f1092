"""What answers about many accelerators rest on, in one line each: calibrated or extrapolated, and assumed hops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.replicas import Layout, assumes_hops, hops_note

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


def assumed_hops(chosen: Iterable[tuple[Platform, Layout]]) -> Iterator[str]:
    """A line for the accelerators whose chosen layouts hop between nodes at a bandwidth that is assumed."""
    assume = {platform.device.id: platform for platform, layout in chosen if assumes_hops(platform, layout)}
    if assume:
        yield hops_note(next(iter(assume.values())), _listed(sorted(assume)))


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    words = ", ".join(names[:SHOWN]) or "none"
    return f"{words} and {more} more" if more > 0 else words
