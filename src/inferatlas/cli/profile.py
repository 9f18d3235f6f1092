"""``inferatlas profile``: a trace's regimes, its primary constraint, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import LIMITS, WORKLOAD, flag


def profile(
    *,
    model: flags.Model,
    trace: Annotated[Path, flag("Requests: Azure, BurstGPT or other CSV, Mooncake or other JSONL.", WORKLOAD)],
    accelerator: Annotated[
        str | None, flag("Look at this one; default: the best for the mix.", LIMITS, *flags.ACCELERATOR)
    ] = None,
    targets: flags.Targets = flags.Targets(),  # noqa: B008 - frozen
    weights: flags.WeightChoices = (),
    engine: flags.Engine = None,
    max_count: flags.MaxCount = 64,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Regime mix of a trace, what limits it, which class, layout and software, what would go wrong, what to try.

    Exit code 3 if nothing within the limits serves the trace.
    """
    from inferatlas.decide.profiles.profile import profile as follow
    from inferatlas.show.profile import profile_html, profile_page, profile_rows

    sink = Sink(out)
    with sink.working("profiling"):
        found = follow(
            model,
            trace,
            accelerator=accelerator,
            slo=targets.texts(),
            weights=weights or None,
            engine=engine,
            max_count=max_count,
        )
    sink.put(found, rows=profile_rows, page=profile_page, html=profile_html)
    return 0
