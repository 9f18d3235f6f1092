"""``inferatlas evidence``: measured points, read from public formats and found again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import Sink, say
from inferatlas.cli.flags import DEPLOYMENT, EVIDENCE, OUTPUT, SUBJECT, flag, integer

app = App(name="evidence", help="Measured points: read public formats, find those nearest to a question.")
FORMATS = "argonne, aiconfigurator, inferencex, mlperf, mlenergy, vllm-bench, guidellm, aiperf or run-records."
EMPTY = "For columns that are empty: "


@app.command(name="import")
def import_(
    kind: Annotated[str, Parameter(name="FORMAT", help=FORMATS)],
    path: Path,
    /,
    *,
    output: Annotated[str, flag("Table to write (.parquet, .csv or .jsonl).", OUTPUT, "--output", "-o")],
    accelerator: Annotated[str | None, flag(f"{EMPTY}accelerator.", DEPLOYMENT, "--accelerator", "-a", "--gpu")] = None,
    accelerators: Annotated[
        int | None, integer(f"{EMPTY}how many of them.", DEPLOYMENT, "--accelerators", "--count")
    ] = None,
    engine: Annotated[str | None, flag(f"{EMPTY}engine.", DEPLOYMENT)] = None,
    engine_version: Annotated[str | None, flag(f"{EMPTY}version of the engine.", DEPLOYMENT)] = None,
    model: Annotated[str | None, flag(f"{EMPTY}model.", SUBJECT, "--model", "-m")] = None,
    weights: Annotated[str | None, flag(f"{EMPTY}weight format.", DEPLOYMENT)] = None,
    tp: Annotated[int | None, integer(f"{EMPTY}tensor-parallel ranks.", DEPLOYMENT)] = None,
    pp: Annotated[int | None, integer(f"{EMPTY}pipeline stages.", DEPLOYMENT)] = None,
    ep: Annotated[int | None, integer(f"{EMPTY}expert-parallel ranks.", DEPLOYMENT)] = None,
    invalid: Annotated[bool, flag("Keep runs whose own verdict is that they are invalid.", EVIDENCE)] = False,
    source: Annotated[str | None, flag(f"{EMPTY}name of the source.", EVIDENCE)] = None,
    licence: Annotated[str | None, flag(f"{EMPTY}licence of the data.", EVIDENCE)] = None,
    quiet: Annotated[bool, flag("No remarks.", OUTPUT, "--quiet", "-q")] = False,
) -> int:
    """Read results of a public benchmark into an evidence table.

    What is wrong with a file is told on stderr; exit code 5 if no row could be kept.

    Parameters
    ----------
    path
        A file, or a folder of them.
    """
    from inferatlas.errors import ConflictingData
    from inferatlas.evidence.importers import import_evidence
    from inferatlas.evidence.table import write_table
    from inferatlas.show.evidence import import_words

    file = table_file(output)
    given = {
        "accelerator": accelerator, "accelerators": accelerators, "engine": engine, "engine_version": engine_version,
        "model": model, "weights": weights, "tp": tp, "pp": pp, "ep": ep, "source": source, "licence": licence,
    }  # fmt: skip
    done = import_evidence(
        kind, path, given={name: one for name, one in given.items() if one is not None}, invalid=invalid
    )
    if not quiet:
        for line in import_words(done):
            say(line)
    if not done.frame.height:
        raise ConflictingData(f"none of {done.counts['rows']} rows could be kept", field="path", file=path)
    write_table(done.frame, file)
    if not quiet:
        say(f"wrote {file}")
    return 0


@app.command
def near(
    *,
    model: flags.Model,
    accelerator: flags.Accelerator,
    table: Annotated[
        tuple[str, ...], flag("Evidence table; repeat for more. Default: $INFERATLAS_EVIDENCE.", EVIDENCE)
    ] = (),
    concurrency: flags.InFlight = None,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    engine: flags.Engine = None,
    weights: Annotated[str | None, flag("Weight format (bf16, fp8, int4, ...).", DEPLOYMENT)] = None,
    count: Annotated[int | None, integer("How many accelerators.", DEPLOYMENT)] = None,
    n: Annotated[int, integer("How many points.", EVIDENCE, "--n", "-n", "--limit")] = 10,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """Measured points nearest to a question, and what differs between them and it."""
    from inferatlas.evidence.near import evidence_tables
    from inferatlas.evidence.near import near as nearest
    from inferatlas.show.evidence import near_page

    sink = Sink(out)
    found = nearest(
        evidence_tables(table), model=model, accelerator=accelerator, concurrency=concurrency, isl=isl, osl=osl,
        engine=engine, weights=weights, count=count, n=n,
    )  # fmt: skip
    rows = found.to_dicts()
    sink.put(rows, page=near_page, document=lambda: {"count": len(rows), "label": "measured", "points": rows})
    return 0


def table_file(text: str) -> Path:
    """A file that a table can be written to, checked before the work is done."""
    from inferatlas.errors import BadInput
    from inferatlas.evidence.table import READERS
    from inferatlas.show.output import check_writable

    if Path(text).suffix.lower() not in READERS:
        allowed = ", ".join(READERS)
        raise BadInput(f"'{Path(text).suffix or text}' is no table", field="output", allowed=allowed)
    return check_writable(text)
