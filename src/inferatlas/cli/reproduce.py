"""``inferatlas reproduce``: a published study again: its claims, tables, figures, guidelines and open questions."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import OUTPUT, SUBJECT, Format, Out, Quiet, flag


def reproduce(
    paper: Annotated[str, Parameter(help="sharma-2025, park-review or brunetta.", group=SUBJECT)],
    /,
    *,
    output: Annotated[
        str | None,
        flag("Folder: report (HTML, Markdown), JSON, a table and a picture per exhibit.", OUTPUT, "--output", "-o"),
    ] = None,
    format: Annotated[Format | None, flag("Of what is printed. Default: a table.", OUTPUT)] = None,
    quiet: Quiet = False,
) -> int:  # fmt: skip
    """Reproduce a published study: every table and figure, ours beside theirs, and a verdict on each guideline."""
    from inferatlas.show.studies.files import check_folder, write_study
    from inferatlas.show.studies.pages import study_html, study_page, study_rows
    from inferatlas.studies.reproducing.study import reproduce as run

    sink = Sink(Out(format=format, quiet=quiet))
    folder = check_folder(output, paper) if output is not None else None
    with sink.working("reproducing"):
        study = run(paper)
        files = write_study(study, folder) if folder is not None else []
    sink.put(study, rows=study_rows, page=study_page, html=study_html)
    for file in files:
        sink.tell(f"wrote {file}")
    return 0
