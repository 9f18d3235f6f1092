"""``inferatlas whatif``: a device of one's own beside another, what its parameters buy, and the front of a family."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import COST, DEPLOYMENT, LIMITS, SUBJECT, flag, several


def whatif(
    device: Annotated[str, Parameter(help="Name in the catalogue, or YAML file.", group=SUBJECT)],
    /,
    *,
    model: flags.Model,
    against: Annotated[str | None, flag("Accelerator to compare with: name, or YAML file.", SUBJECT)] = None,
    spread: flags.Spread = flags.Spread(),  # noqa: B008 - frozen
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    traffic: flags.Traffic = flags.Traffic(),  # noqa: B008
    vary: Annotated[
        tuple[str, ...],
        several("Range of a parameter: mem.hbm.bandwidth=2TB/s..8TB/s:7, compute=0.5..2:4; up to three.", LIMITS),
    ] = (),
    by: Annotated[
        tuple[str, ...],
        several("Two objectives of the front: latency, ttft, itl, throughput, energy, cost, power.", LIMITS),
    ] = ("latency", "energy"),
    cost_share: Annotated[
        str | None, flag("Shares of the price that grow: compute=0.4,memory=0.35,link=0.1.", COST)
    ] = None,
    economics: flags.Economics = flags.Economics(),  # noqa: B008
    utilisation: flags.Utilisation = 1.0,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Compare a device, real or not, with another; what each of its parameters buys; the Pareto front of a family.

    Exit code 3 if nothing holds the model.
    """
    from inferatlas.decide.whatif.whatif import whatif as ask
    from inferatlas.show.whatif import whatif_html, whatif_page, whatif_rows

    sink = Sink(out)
    with sink.working("predicting"):
        found = ask(
            device,
            model=model,
            against=against,
            **asdict(spread),
            engine=engine,
            weights=weights,
            kv_cache=kv_cache,
            **asdict(traffic),
            vary=vary,
            by=by,
            cost_share=cost_share,
            **asdict(economics),
            utilisation=utilisation,
        )
    sink.put(found, rows=whatif_rows, page=whatif_page, html=whatif_html)
    return 0
