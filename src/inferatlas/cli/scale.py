"""``inferatlas scale``: every scaling strategy side by side, and the best hybrid."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import DEPLOYMENT, TARGET, flag, integer


def scale(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    count: Annotated[int, integer("Accelerators in all.", DEPLOYMENT, "--count", "--total-gpus")],
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008 - frozen
    objective: Annotated[flags.Objective, flag("What is best.", TARGET)] = "throughput",
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    experts: flags.Experts = flags.Experts(),  # noqa: B008
    price: Annotated[float | None, flag("USD per accelerator-hour, instead of the catalogue's.", flags.COST)] = None,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Tensor, pipeline, expert, data and context parallelism, offload, and their hybrids, side by side.

    Exit code 3 if no strategy places the model.
    """
    from inferatlas.decide.scaling.compare import scale as compare
    from inferatlas.show.scaling import scaling_html, scaling_page, scaling_rows

    sink = Sink(out)
    with sink.working("searching"):
        found = compare(
            model,
            accelerator,
            count=count,
            **asdict(traffic),
            objective=objective,
            engine=engine,
            weights=weights,
            kv_cache=kv_cache,
            routing=experts.routing(),
            price=price,
        )
    sink.put(found, rows=scaling_rows, page=scaling_page, html=scaling_html)
    return 0 if any(one.fits for one in found.strategies) else 3
