"""``inferatlas disaggregate``: prefill and decode on machines of their own, against fleets that do both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Token

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import DEPLOYMENT, SUBJECT, flag, integer


def bytes_per_s(_: Any, tokens: tuple[Token, ...]) -> float:
    """A rate with its unit: ``50 GB/s``, ``400 Gb/s``."""
    from inferatlas.quantities import parse

    return parse(tokens[0].value, "B/s", field="link")


def disaggregate(
    *,
    model: flags.Model,
    prefill: Annotated[str, flag("Accelerator of the prefill pool.", SUBJECT)],
    decode: Annotated[str | None, flag("Accelerator of the decode pool; default: the same.", SUBJECT)] = None,
    workload: flags.Named = None,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    targets: flags.Targets = flags.Targets(),  # noqa: B008 - frozen
    count: Annotated[
        int | None,
        integer("Accelerators in all; default: the fewest that show the best ratio.", DEPLOYMENT, "--count"),
    ] = None,
    link: Annotated[
        float | None,
        flag(
            "Rate of the link between the pools: 50GB/s. Default: their network ports.", DEPLOYMENT,
            converter=bytes_per_s, n_tokens=1,
        ),
    ] = None,
    first_token: Annotated[
        Literal["prefill", "decode"], flag("Side that sends the first token to the user.", DEPLOYMENT)
    ] = "decode",
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Format of the weights.", DEPLOYMENT)] = None,
    kv_cache: flags.KvCache = None,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:  # fmt: skip
    """The best split into a prefill and a decode pool, the link it needs, and its gain over mixed fleets.

    Rates are the largest that keep every target. The gain is shown over prompts per answer and over the bound on ITL.
    Exit code 3 if no split keeps the targets.
    """
    from inferatlas.decide.disaggregation.compare import disaggregate as compare
    from inferatlas.show.disaggregation import disaggregation_html, disaggregation_page, disaggregation_rows

    sink = Sink(out)
    with sink.working("searching"):
        found = compare(
            model,
            prefill,
            decode,
            slo=targets.texts(),
            workload=workload,
            isl=isl,
            osl=osl,
            count=count,
            link=link,
            first_token=first_token,
            engine=engine,
            weights=weights,
            kv_cache=kv_cache,
        )
    sink.put(found, rows=disaggregation_rows, page=disaggregation_page, html=disaggregation_html)
    return 0
