"""``inferatlas variance``: how much latency varies at a load, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink
from inferatlas.cli.flags import DEPLOYMENT, WORKLOAD, flag, integer
from inferatlas.cli.predict import Count, Cp, Dp, Ep, Pp, Tp


def variance(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    count: Count = None,
    tp: Tp = None,
    pp: Pp = None,
    ep: Ep = None,
    dp: Dp = None,
    cp: Cp = None,
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008 - frozen
    skew: Annotated[float, flag("Zipf exponent of the experts' popularity; 0: uniform.", WORKLOAD)] = 0.0,
    counts: Annotated[Path | None, flag("File of measured visits per expert, instead of --skew.", WORKLOAD)] = None,
    placement: Annotated[Literal["balanced", "contiguous"], flag("Where experts sit.", DEPLOYMENT)] = "balanced",
    redundant: Annotated[int, integer("Spare copies of experts per layer.", DEPLOYMENT)] = 0,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Coefficient of variation of latency and its causes: routing, batching, queueing, prefill, stragglers, lengths.

    Of a mixture of experts also the routing distribution: what spreading experts over more devices would add.
    """
    from inferatlas.decide.variability import variability
    from inferatlas.predict.llm.placement import Routing
    from inferatlas.show.output import Result
    from inferatlas.show.variability import variability_html, variability_page, variability_rows

    sink = Sink(out.format, out.output, out.quiet)
    found = variability(
        model,
        accelerator,
        layout={"count": count, "tp": tp, "pp": pp, "ep": ep, "dp": dp, "cp": cp},
        engine=engine,
        weights=weights,
        kv_cache=kv_cache,
        traffic={
            "name": traffic.workload,
            "isl": traffic.isl,
            "osl": traffic.osl,
            "concurrency": traffic.concurrency,
            "request_rate": traffic.request_rate,
        },
        routing=Routing(skew, placement, redundant),
        counts=counts,
    )
    sink.put(
        Result(
            found.as_dict,
            lambda: variability_rows(found),
            lambda: variability_page(found, TYPED.get()),
            lambda: variability_html(found, TYPED.get()),
        )
    )
    return 0
