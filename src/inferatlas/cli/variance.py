"""``inferatlas variance``: how much latency varies at a load, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import DEPLOYMENT, WORKLOAD, flag


def variance(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    spread: flags.Spread = flags.Spread(),  # noqa: B008 - frozen
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008
    experts: flags.Experts = flags.Experts(),  # noqa: B008
    counts: Annotated[Path | None, flag("File of measured visits per expert, instead of --skew.", WORKLOAD)] = None,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Coefficient of variation of latency and its causes: routing, batching, queueing, prefill, stragglers, lengths.

    Of a mixture of experts also the routing distribution: what spreading experts over more devices would add.
    """
    from inferatlas.decide.variability import variability
    from inferatlas.show.variability import variability_html, variability_page, variability_rows

    sink = Sink(out)
    found = variability(
        model,
        accelerator,
        **asdict(spread),
        engine=engine,
        weights=weights,
        kv_cache=kv_cache,
        **asdict(traffic),
        routing=experts.routing(),
        counts=counts,
    )
    sink.put(found, rows=variability_rows, page=variability_page, html=variability_html)
    return 0
