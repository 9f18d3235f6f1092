"""``inferatlas regimes``: the fitness matrix of accelerators and operating regimes."""

from __future__ import annotations

from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink
from inferatlas.cli.flags import LIMITS, SUBJECT, several

DEFAULT_MODEL = "llama-3.3-70b"

Regimes = Annotated[
    tuple[str, ...],
    several("Only these regimes: single-stream, ... or YAML files of your own.", SUBJECT, "--regime", "-r"),
]
Asked = Annotated[
    tuple[str, ...], several("Only these accelerators; `all`.", LIMITS, "--accelerators", *flags.ACCELERATOR)
]


def regimes(
    *,
    model: Annotated[str, flags.MODEL] = DEFAULT_MODEL,
    regime: Regimes = (),
    accelerators: Asked = (),
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Grade accelerators in operating regimes, with the numbers behind each grade.

    One regime shows its numbers; several show the matrix. Exit code 3 if nothing can be graded.
    """
    from inferatlas.decide.regimes.fitness import fitness
    from inferatlas.show.fitness import fitness_html, fitness_page, fitness_rows
    from inferatlas.show.output import Result

    sink = Sink(out.format, out.output, out.quiet)
    with sink.working("grading"):
        found = fitness(model, names=regime, accelerator_names=() if accelerators == ("all",) else accelerators)
    sink.put(
        Result(
            found.as_dict,
            lambda: fitness_rows(found),
            lambda: fitness_page(found, TYPED.get()),
            lambda: fitness_html(found, TYPED.get()),
        )
    )
    return 0 if any(cell.grade for one in found.regimes for cell in one.cells) else 3
