"""``inferatlas runs``: all run records below folders, measured and simulated alike."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import SUBJECT, flag

app = App(name="runs", help="Run records, measured and simulated: list them, show one, ask them in SQL.")
Folders = Annotated[str, Parameter(name="FOLDER", help="Folders with records. Default: runs.")]


@app.command(name="list")
def list_(*folder: Folders, out: flags.Out = flags.Out()) -> int:  # noqa: B008 - frozen
    """Every run record below folders, and what is unfinished or damaged."""
    from inferatlas.measure.bench.record.finding import find
    from inferatlas.show.runs import list_document, list_page, list_rows

    sink = Sink(out)
    found = find(folder)
    sink.put(found, page=list_page, rows=list_rows, document=lambda: list_document(found))
    return 0


@app.command
def show(
    run: Annotated[str, Parameter(name="RUN", help="Folder of a record, or its name below runs.")],
    /,
    *,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """One run: what was asked of what, its verdict and its figures."""
    from inferatlas.measure.bench.record.finding import read_run
    from inferatlas.show.runs import run_document, run_page, run_picture, run_rows

    sink = Sink(out)
    found = read_run(run)
    html = run_picture if found.document.get("kind") == "measured" else None
    sink.put(found, page=run_page, rows=run_rows, document=lambda: run_document(found), html=html)
    return 0


@app.command
def query(
    *words: Annotated[str, Parameter(name="SQL", help='"SELECT ...", then folders with records. Default: runs.')],
    schema: Annotated[bool, flag("Show tables and columns instead; no SQL then, only folders.", SUBJECT)] = False,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """One question in SQL (DuckDB) across runs.

    Tables: runs (a row per run), requests, power, server, events (with the column run). Nothing else can be read.
    """
    from inferatlas.errors import BadInput
    from inferatlas.measure.bench.record import querying
    from inferatlas.measure.bench.record.finding import find
    from inferatlas.show.runs import answer_columns, answer_page

    sink = Sink(out)
    if not schema and not words:
        raise BadInput("is missing", field="sql", allowed='"SELECT ...", or --schema')
    found = find(words if schema else words[1:])
    if found.unfinished or found.damaged:
        left = len(found.unfinished) + len(found.damaged)
        sink.tell(f"{left} unfinished or damaged left out: `inferatlas runs list` says why")
    answer = querying.schema(found.records) if schema else querying.query(found.records, words[0])
    for remark in answer.remarks:
        sink.tell(remark)
    rows = answer_columns if sink.style == "parquet" else querying.Answer.rows
    sink.put(answer, page=answer_page, rows=rows, document=answer.rows)
    return 0
