"""``inferatlas export``: results in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from inferatlas.cli.emitting import say
from inferatlas.cli.flags import OUTPUT, flag
from inferatlas.errors import BadInput

app = App(name="export", help="Results in the formats of other tools.")
ENDINGS = (".json", ".json.gz")


@app.command
def trace(
    record: Annotated[Path, Parameter(name="RECORD", help="Folder of a run record.")],
    /,
    *,
    output: Annotated[str, flag("Trace to write: .json, or .json.gz to compress it.", OUTPUT, "--output", "-o")],
    quiet: Annotated[bool, flag("No remarks.", OUTPUT, "--quiet", "-q")] = False,
) -> int:
    """A timeline of a run for Perfetto (ui.perfetto.dev) or chrome://tracing.

    Every request with its phases, and power; of a simulated run the steps of every replica and what it holds, of a
    measured one requests in flight, tokens per second and what engines publish.
    """
    from inferatlas.show.output import check_writable
    from inferatlas.show.timeline import write_run

    if not output.lower().endswith(ENDINGS):
        raise BadInput(f"'{output}' names no trace", field="output", allowed=" or ".join(ENDINGS))
    path = check_writable(output)
    count = write_run(record, path)
    if not quiet:
        say(f"wrote {path}: {count:,} events")
    return 0
