"""Which requests kept every limit: goodput counts them and their tokens (DistServe, https://arxiv.org/abs/2401.09670)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from inferatlas.measure.bench.metrics.timings import Flags, Timings
from inferatlas.workload.targets import LATENCIES, ServiceTarget


def limits(targets: Iterable[ServiceTarget]) -> list[ServiceTarget]:
    """The targets that bound something of a request: TTFT, ITL and latency; of whatever statistic, they are read as a
    limit of each request."""
    return [one for one in targets if one.metric in LATENCIES]


def good(timings: Timings, targets: Iterable[ServiceTarget]) -> Flags:
    """Which requests were completed within every limit, shape (n,).

    A failed request misses, and so does one whose value is unknown; a request whose tokens all came in one event has
    no gap that could be too long.

    Examples
    --------
    >>> from inferatlas.measure.bench.metrics.timings import timings_of
    >>> from inferatlas.workload.targets import parse_targets
    >>> columns = {"sent_s": [0.0, 0.0, 0.0], "first_token_s": [0.2, 0.6, 0.1], "done": [True, True, False]}
    >>> good(timings_of(columns, closed=True), parse_targets("ttft:p95<500ms")).tolist()
    [True, False, False]
    """
    no_gap = timings.output_tokens <= timings.first_tokens
    values = {
        "ttft": timings.ttft_s,
        "itl": np.where(no_gap, 0.0, timings.itl_s),
        "latency": timings.latency_s,
    }
    kept = timings.done.copy()
    for one in limits(targets):
        kept &= one.met(values[one.metric])
    return kept
