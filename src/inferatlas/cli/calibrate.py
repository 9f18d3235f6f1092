"""``inferatlas calibrate``: learn coefficients and interval widths from measured points."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink


def calibrate(
    table: Path,
    /,
    *more: Path,
    output: flags.CoefficientOutput,
    format: flags.ResultFormat = None,
    quiet: flags.Quiet = False,
) -> int:
    """Fit the predictor to measured points and write the coefficients that `predict` and `validate` read.

    A column ``weight`` (or ``trust``: A, B, C) says how much a row counts. The report gives the median error of every
    metric in-sample and with groups, accelerators, models, sources and all that is large left out. Takes two to four
    minutes.

    Parameters
    ----------
    table
        Evidence table (.csv, .parquet or .jsonl).
    more
        More tables, fitted together with the first.
    """
    import polars as pl

    from inferatlas.errors import BadInput
    from inferatlas.evidence import fitting
    from inferatlas.evidence.calibration import calibrate as fit
    from inferatlas.evidence.table import read_table
    from inferatlas.show.calibrated import calibration_page

    sink = Sink(flags.Out(format=format, quiet=quiet))
    if output.expanduser().is_file():
        raise BadInput("is a file; a folder is written", field="output", file=output)
    frame = pl.concat([read_table(one) for one in (table, *more)], how="diagonal_relaxed")
    rounds = iter(sink.tracked(range(2 * fitting.ROUNDS), "fitting"))  # of times, then of power

    def advance(_: int) -> None:
        next(rounds, None)

    found = fit(frame, date=date.today().isoformat(), progress=advance)
    for _ in rounds:  # a fit that converged early leaves some
        pass
    written = [str(path) for path in found.write(output.expanduser())]
    summary = {name: found.document[name] for name in ("version", "rows", "figures", "sources")}
    sink.put(
        found.scores,
        page=lambda scores, typed: calibration_page(summary, scores, found.skipped, written, typed),
        document=lambda: {"written": written, **summary, "skipped": found.skipped, "scores": found.scores},
    )
    return 0
