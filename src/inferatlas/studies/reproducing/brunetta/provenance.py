"""What our predictions owe to this paper: no measured point, and a few starting values, which are named."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from inferatlas.catalogue.accelerators import load_accelerator
from inferatlas.predict.performance.calibrated import current
from inferatlas.predict.performance.priors import table
from inferatlas.studies.reproducing.brunetta.protocol import DATAFLOW
from inferatlas.studies.reproducing.phrases import listed

AUTHOR = "brunetta"
# origins of priors that rest on this paper's readings: by its name, or as conflicts 35 and the SN40L's ms per token
MARKS = ("brunetta", "cs-3 idles", "published 5.6 ms")


def fitted_on() -> list[str]:
    """Sources of the calibration in use that are this paper; there must be none."""
    return [name for name in current().sources if AUTHOR in name.lower() or "beyond throughput" in name.lower()]


def priors_from_here() -> list[str]:
    """Starting values whose origin is a number of this paper: ``dataflow memory_efficiency``."""
    return [
        f"{group} {name}"
        for kind in ("styles", "parts")
        for group, entries in table()[kind].items()
        for name, entry in _entries(entries)
        if any(mark in str(entry.get("origin", "")).lower() for mark in MARKS)
    ]


def facts_from_here() -> list[str]:
    """Chosen facts of the dataflow machines whose source is this paper: ``Cerebras CS-3 power.idle``."""
    return [
        f"{title} {fact.field}"
        for title, slug in DATAFLOW.items()
        for fact in load_accelerator(slug).facts
        if fact.used and AUTHOR in fact.source.lower()
    ]


def _entries(entries: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((name, entry) for name, entry in entries.items() if isinstance(entry, dict))


@lru_cache(maxsize=1)
def calibration_note() -> str:
    """One sentence on what was fitted, and on what."""
    found = fitted_on()
    rows = sum(current().sources.values())
    if found:
        return f"The calibration in use was fitted on numbers of this paper ({listed(found)}): this is no test of it."
    return (
        f"No number of this paper is among the {rows:,} measured rows that the calibration {current().version} was "
        "fitted on."
    )


@lru_cache(maxsize=1)
def dataflow_note() -> str:
    """What the predictions of dataflow machines owe to this paper."""
    return (
        "Dataflow machines have no measured point of their own, so their figures are extrapolated from starting "
        f"values. Of these, {listed(priors_from_here())} rest on this paper, and so do the facts "
        f"{listed(facts_from_here())}: agreement in the SN40L's inter-token latency and in the CS-3's power is no "
        "independent test."
    )
