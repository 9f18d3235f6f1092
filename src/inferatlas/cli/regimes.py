"""``inferatlas regimes``: the fitness matrix of accelerators and operating regimes."""

from __future__ import annotations

from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import SUBJECT, several

DEFAULT_MODEL = "llama-3.3-70b"

Regimes = Annotated[
    tuple[str, ...],
    several("Only these regimes: single-stream, ... or YAML files of your own.", SUBJECT, "--regime", "-r"),
]

Against = Annotated[
    tuple[str, ...],
    several("Models with which to compare the order of accelerators, regime by regime.", SUBJECT, "--against"),
]


def regimes(
    *,
    model: Annotated[str, flags.MODEL] = DEFAULT_MODEL,
    regime: Regimes = (),
    accelerator: flags.Accelerators = (),
    against: Against = (),
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Grade accelerators in operating regimes, with the numbers behind each grade.

    One regime shows its numbers; several show the matrix. With --against, whether another model has another order of
    accelerators. Exit code 3 if nothing can be graded.
    """
    from inferatlas.decide.regimes.fitness import fitness
    from inferatlas.show.fitness import fitness_html, fitness_page, fitness_rows

    sink = Sink(out)
    with sink.working("grading"):
        found = fitness(model, against=against, regimes=regime, accelerators=accelerator)
    sink.put(found, rows=fitness_rows, page=fitness_page, html=fitness_html)
    return 0 if any(cell.grade for one in found.regimes for cell in one.cells) else 3
