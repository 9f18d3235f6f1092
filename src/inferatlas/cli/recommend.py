"""``inferatlas recommend``: search every accelerator and layout, rank what meets the targets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink
from inferatlas.cli.flags import LIMITS, OUTPUT, TARGET, flag, integer, watts


def recommend(
    *,
    model: flags.Model,
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008 - frozen
    targets: flags.Targets = flags.Targets(),  # noqa: B008
    objective: Annotated[flags.Objective, flag("What to rank by.", TARGET)] = "cost",
    min_probability: Annotated[float, flag("Least probability of meeting all targets.", TARGET)] = 0.8,
    accelerator: flags.Accelerators = (),
    vendor: flags.Vendors = (),
    weights: flags.WeightChoices = (),
    engine: flags.Engine = None,
    kv_cache: flags.KvCache = None,
    max_count: flags.MaxCount = 64,
    max_usd_per_hour: Annotated[float | None, flag("Budget of the deployment.", LIMITS)] = None,
    max_power: Annotated[
        float | None, flag('Power of the deployment: "10 kW".', LIMITS, converter=watts, n_tokens=1, metavar="POWER")
    ] = None,
    economics: flags.Economics = flags.Economics(),  # noqa: B008
    utilisation: flags.Utilisation = 1.0,
    simulate: Annotated[
        bool, flag("Simulate the candidates, and rank first those whose percentiles keep the targets.", TARGET)
    ] = False,
    top: Annotated[int, integer("Candidates to show; 0 for all.", OUTPUT)] = 10,
    report: Annotated[str | None, flag("Also write a self-contained HTML page.", OUTPUT, metavar="FILE.html")] = None,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Search every accelerator, precision and layout, and rank what meets the targets.

    Exit code 3 if nothing meets them: the reasons are printed then.
    """
    from inferatlas.decide.advisor.recommend import recommend as search
    from inferatlas.show.recommendation import recommendation_page, recommendation_rows
    from inferatlas.show.report import render, write_report

    sink, page = Sink(out), _html(report)
    with sink.working("searching"):
        found = search(
            model,
            **asdict(traffic),
            slo=targets.texts(),
            objective=objective,
            accelerators=accelerator,
            vendors=vendor,
            engine=engine,
            weights=weights,
            kv_cache=kv_cache,
            max_count=max_count,
            max_usd_per_hour=max_usd_per_hour,
            max_power_w=max_power,
            min_probability=min_probability,
            top=top,
            **asdict(economics),
            utilisation=utilisation,
            simulate=simulate,
        )
    if page is not None:
        with sink.working("drawing"):
            write_report(found, page, command=TYPED.get())
        sink.tell(f"wrote {page}")
    sink.put(found, rows=recommendation_rows, page=recommendation_page, html=render)
    return 0 if found.candidates else 3


def _html(report: str | None) -> Path | None:
    from inferatlas.errors import BadInput
    from inferatlas.show.output import check_writable

    if report is not None and Path(report).suffix.lower() not in (".html", ".htm"):
        raise BadInput(
            f"'{report}' is no HTML file", field="report", allowed=".html, .htm", hint="--output writes tables"
        )
    return None if report is None else check_writable(report, "report")
