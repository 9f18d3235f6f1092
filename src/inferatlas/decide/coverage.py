"""What answers about many accelerators rest on, in one line each: calibrated or extrapolated, and assumed hops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferatlas.predict.performance.platform import Platform
from inferatlas.predict.replicas import Layout, assumes_hops, hops_note

SHOWN = 12  # extrapolated names in full; of more, all are the others


def coverage(labelled: Iterable[tuple[str, str]]) -> str:
    """What is calibrated (``predicted``), what in part, and what is ``extrapolated``: each name once.

    More than `SHOWN` extrapolated names are the others: what is calibrated, in part or whole, is named in full.

    Examples
    --------
    >>> coverage([("a100", "predicted"), ("h100", "predicted"), ("h100", "extrapolated"), ("l4", "extrapolated")])
    'calibrated (predicted): a100; in part: h100; extrapolated: l4'
    """
    by: dict[str, set[str]] = {"predicted": set(), "extrapolated": set()}
    for name, label in labelled:
        by[label].add(name)
    whole, partly, beyond = (
        by["predicted"] - by["extrapolated"],
        by["predicted"] & by["extrapolated"],
        by["extrapolated"] - by["predicted"],
    )
    others = f"{'the other' if whole or partly else 'all'} {len(beyond)}" if len(beyond) > SHOWN else _listed(beyond)
    middle = f"; in part: {_listed(partly)}" if partly else ""
    return f"calibrated (predicted): {_listed(whole)}{middle}; extrapolated: {others}"


def assumed_hops(chosen: Iterable[tuple[Platform, Layout]]) -> Iterator[str]:
    """A line for the accelerators whose chosen layouts hop between nodes at a bandwidth that is assumed."""
    assume = {platform.device.id: platform for platform, layout in chosen if assumes_hops(platform, layout)}
    if assume:
        yield hops_note(next(iter(assume.values())), _listed(assume))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
