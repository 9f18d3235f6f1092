"""``inferatlas bench compare``: two runs or benches beside each other."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import LIMITS, SUBJECT, flag, integer, several

A_RUN = "Folder of a run or of a bench, measured or simulated."


def compare(
    a: Annotated[str, Parameter(name="A", help=A_RUN)],
    b: Annotated[str, Parameter(name="B", help="The same, which is compared with A.")],
    /,
    *,
    metric: Annotated[tuple[str, ...], several("ttft, itl:p99, output_tokens_per_s, ...; default: all.", SUBJECT)] = (),
    force: Annotated[bool, flag("Compare although definitions, data sets or lengths differ.", LIMITS)] = False,
    seed: Annotated[int, integer("Of the resampling.", LIMITS)] = 0,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """How B differs from A: ratios with confidence intervals, and whether they are more than chance.

    Benches are matched by load; exit code 5 if the figures of A and B do not mean the same.
    """
    from inferatlas.errors import BadInput
    from inferatlas.measure.bench.comparison.comparing import compare as compared
    from inferatlas.show.comparison import comparison_page, comparison_rows

    if seed < 0:
        raise BadInput(f"{seed}", field="seed", allowed="0 or more")
    sink = Sink(out)
    with sink.working("comparing"):
        found = compared(a, b, metrics=metric, force=force, seed=seed)
    sink.put(found, page=comparison_page, rows=comparison_rows)
    return 0
