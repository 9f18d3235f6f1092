"""``inferatlas tiers``: how much larger a model or a context slower memory holds, and at which slowdown."""

from __future__ import annotations

from typing import Annotated, Literal

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import BEYOND, DEPLOYMENT, WORKLOAD, flag, integer


def tiers(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    count: Annotated[int | None, integer("Accelerators in all.", DEPLOYMENT, "--count", "--total-gpus")] = None,
    tp: Annotated[int | None, integer("Tensor parallelism.", DEPLOYMENT, "--tp", "--tensor-parallel-size")] = None,
    pp: Annotated[int | None, integer("Pipeline parallelism.", DEPLOYMENT, "--pp", "--pipeline-parallel-size")] = None,
    ep: Annotated[int | None, integer("Expert parallelism.", DEPLOYMENT)] = None,
    dp: Annotated[int | None, integer("Replicas.", DEPLOYMENT, "--dp", "--data-parallel-size")] = None,
    tier: Annotated[
        tuple[str, ...],
        flag("Memory of each accelerator: cxl:1TiB@64GB/s. Repeat. Default: host memory and a drive.", BEYOND),
    ] = (),
    grow: Annotated[
        Literal["layers", "experts"] | None, flag("What a larger model has more of. Default: experts if any.", BEYOND)
    ] = None,
    slowdown: Annotated[float, flag("The most that a larger model may cost.", BEYOND)] = 1.3,
    skew: Annotated[float, flag("Zipf exponent of the experts' popularity; 0: uniform.", WORKLOAD)] = 0.0,
    workload: flags.Named = None,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    concurrency: flags.InFlight = None,
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    kv_compression: Annotated[float | None, flag("KV cache so many times smaller than its format.", BEYOND)] = None,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Capacity against slowdown for larger models and longer contexts, with the knee and the conditions.

    Exit code 3 if not even the model asked about fits.
    """
    from inferatlas.decide.tiering.curve import tiers as curve
    from inferatlas.predict.llm.placement import Routing
    from inferatlas.show.tiers import tiers_html, tiers_page, tiers_rows

    sink = Sink(out)
    with sink.working("placing"):
        found = curve(
            model, accelerator, count=count, tp=tp, pp=pp, ep=ep, dp=dp, tier=tier, grow=grow, slowdown=slowdown,
            workload=workload, isl=isl, osl=osl, concurrency=concurrency, engine=engine, weights=weights,
            kv_cache=kv_cache, kv_compression=kv_compression, routing=Routing(skew),
        )  # fmt: skip
    sink.put(found, rows=tiers_rows, page=tiers_page, html=tiers_html)
    return 0
