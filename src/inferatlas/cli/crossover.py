"""``inferatlas crossover``: where the best accelerator changes along one quantity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Group, Token

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import DEPLOYMENT, LIMITS, SUBJECT, flag, integer, several

SWEEP = Group("Sweep", sort_key=0)
Over = Literal["batch", "isl", "osl", "rate", "count"]
Metric = Literal[
    "itl_s", "ttft_s", "latency_s", "output_tokens_per_s", "output_tokens_per_s_per_accelerator", "tokens_per_joule",
    "power_w", "usd_per_million_tokens",
]  # fmt: skip


def numbers(_: Any, tokens: Sequence[Token]) -> tuple[float, ...]:
    """Numbers of a flag that may be repeated or hold several, separated by commas."""
    from inferatlas.errors import BadInput

    found = []
    for token in tokens:
        name = (token.keyword or "").lstrip("-") or None
        for part in token.value.split(","):
            try:
                found.append(float(part))
            except ValueError:
                raise BadInput(f"'{part}' is not a number", field=name, allowed="numbers: 1,8,64") from None
    return tuple(found)


def number(_: Any, tokens: Sequence[Token]) -> float:
    """One number."""
    return numbers(_, tokens[:1])[0]


Asked = Annotated[tuple[str, ...], several("Accelerators to compare, or `all`.", SUBJECT, *flags.ACCELERATORS)]
Values = Annotated[
    tuple[float, ...], flag("Values of the sweep: 1,8,64.", SWEEP, converter=numbers, n_tokens=1, metavar="NUMBERS")
]
From = Annotated[float | None, flag("First value.", SWEEP, "--from", converter=number, n_tokens=1)]
To = Annotated[float | None, flag("Last value.", SWEEP, "--to", converter=number, n_tokens=1)]
Primary = Annotated[Metric | None, flag("Primary metric. Default: tokens/s per accelerator; latency for rates.", SWEEP)]


def crossover(
    *,
    model: flags.Model,
    accelerators: Asked = (),
    over: Annotated[Over, flag("batch: requests in flight; isl, osl: tokens; rate: requests/s.", SWEEP)] = "batch",
    values: Values = (),
    first: From = None,
    last: To = None,
    steps: Annotated[int, integer("Values between --from and --to, in equal ratios.", SWEEP)] = 60,
    metric: Primary = None,
    workload: flags.Named = None,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    concurrency: flags.InFlight = None,
    count: Annotated[int | None, integer("Accelerators in all, instead of whole nodes.", DEPLOYMENT)] = None,
    weights: Annotated[tuple[str, ...], several("Only these weight formats.", LIMITS)] = (),
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Sweep one quantity: where the best accelerator changes, and where what binds each of them changes.

    Exit code 3 if no accelerator serves anywhere.
    """
    from inferatlas.decide.sweeps.crossover import crossover as found_by
    from inferatlas.show.crossover import crossover_html, crossover_page, crossover_rows

    sink = Sink(out)
    with sink.working("sweeping"):
        found = found_by(
            model,
            accelerators,
            over=over,
            values=values or None,
            first=first,
            last=last,
            steps=steps,
            metric=metric,
            workload=workload,
            isl=isl,
            osl=osl,
            concurrency=concurrency,
            count=count,
            weights=weights,
        )
    sink.put(found, rows=crossover_rows, page=crossover_page, html=crossover_html)
    return 0
