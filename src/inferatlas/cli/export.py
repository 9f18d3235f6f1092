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

    Steps of every replica, what it holds, power, and every request with its phases.
    """
    from inferatlas.show.output import check_writable
    from inferatlas.show.timeline import write_trace
    from inferatlas.simulate.recorded import read_record

    if not output.lower().endswith(ENDINGS):
        raise BadInput(f"'{output}' names no trace", field="output", allowed=" or ".join(ENDINGS))
    path = check_writable(output)
    count = write_trace(read_record(record), path)
    if not quiet:
        say(f"wrote {path}: {count:,} events")
    return 0
