"""``inferatlas explore``: every feasible design over a range of loads."""

from __future__ import annotations

from dataclasses import asdict

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink


def explore(
    *,
    model: flags.Model,
    workload: flags.Named = None,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    concurrency: flags.Levels = (),
    accelerator: flags.Accelerators = (),
    vendor: flags.Vendors = (),
    weights: flags.WeightChoices = (),
    engine: flags.Engine = None,
    kv_cache: flags.KvCache = None,
    max_count: flags.MaxCount = 8,
    economics: flags.Economics = flags.Economics(),  # noqa: B008 - frozen
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Every feasible design at every concurrency, one row each; the table shows the best of each accelerator."""
    from inferatlas.decide.advisor.explore import CONCURRENCIES
    from inferatlas.decide.advisor.explore import explore as table_of
    from inferatlas.show.exploration import exploration_page
    from inferatlas.show.output import as_rows

    sink = Sink(out)
    found = table_of(
        model,
        workload=workload,
        isl=isl,
        osl=osl,
        concurrency=concurrency or CONCURRENCIES,
        accelerators=accelerator,
        vendors=vendor,
        engine=engine,
        weights=weights,
        kv_cache=kv_cache,
        max_count=max_count,
        **asdict(economics),
        watched=lambda levels: sink.tracked(levels, "exploring"),
    )
    count = len(found["accelerator"])
    sink.put(
        found,
        page=exploration_page,
        document=lambda: {"count": count, "columns": list(found), "rows": as_rows(found)},
    )
    return 0 if count else 3
