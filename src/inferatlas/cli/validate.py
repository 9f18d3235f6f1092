"""``inferatlas validate``: predictions against a table of measurements, and the scoreboard."""

from __future__ import annotations

from pathlib import Path

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink


def validate(
    table: Path,
    /,
    *,
    by: flags.By = (),
    rows: flags.Rows = None,
    coefficients: flags.CoefficientFolder = None,
    in_sample: flags.InSample = False,
    report: flags.Reports = (),
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Error, bias and interval coverage of predictions for the rows of a table.

    Rows that cannot be predicted are counted by reason; exit code 5 if no row can.

    Parameters
    ----------
    table
        Evidence table (.csv, .parquet or .jsonl).
    """
    from inferatlas.evidence import validation
    from inferatlas.evidence.scoreboard import check_by
    from inferatlas.evidence.table import read_table
    from inferatlas.show.scores import slice_rows, validation_page

    sink = Sink(out)
    check_by(by)
    rows_file, reports = validation_files(rows, report)
    frame = read_table(table)
    folder = None if coefficients is None else existing_folder(coefficients)
    with sink.working("predicting"):
        found = validation.validate(frame, by=by, coefficients=folder, in_sample=in_sample)
    if rows_file is not None:
        from inferatlas.evidence.table import write_table

        write_table(found.figures.select(validation.ROWS), rows_file)
        sink.tell(f"wrote {rows_file}")
    if reports:
        from inferatlas.evidence.accuracy import accuracy
        from inferatlas.show.accuracy_page import write_accuracy

        with sink.working("drawing"):
            scores = accuracy(frame, found, by=by, coefficients=folder, name=table.name)
            for path in reports:
                write_accuracy(scores, path, command=TYPED.get())
                sink.tell(f"wrote {path}")
    sink.put(found, rows=lambda found: slice_rows(found.slices), page=validation_page, document=found.document)
    return 0


def validation_files(rows: str | None, report: tuple[str, ...]) -> tuple[Path | None, list[Path]]:
    """The files to write beside the result, checked before the work is done."""
    from inferatlas.errors import BadInput
    from inferatlas.show.output import check_writable

    def checked(text: str, field: str, allowed: tuple[str, ...]) -> Path:
        if Path(text).suffix.lower() not in allowed:
            raise BadInput(f"'{Path(text).suffix or text}' is no format here", field=field, allowed=", ".join(allowed))
        return check_writable(text, field)

    one = None if rows is None else checked(rows, "rows", (".parquet", ".pq", ".csv", ".jsonl"))
    return one, [checked(path, "report", (".md", ".html")) for path in report]


def existing_folder(path: Path) -> Path:
    """A folder that is there; `BadInput` else."""
    from inferatlas.errors import BadInput

    path = path.expanduser()
    if not path.is_dir():
        raise BadInput("no such folder", field="coefficients", file=path, hint="`inferatlas calibrate` writes one")
    return path
