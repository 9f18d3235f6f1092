"""``inferatlas bench``: load on a real endpoint, measured."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from inferatlas.cli import flags
from inferatlas.cli.bench_compare import compare
from inferatlas.cli.bench_flags import Asking, Loading, Meters, Patience, Server, plan_of
from inferatlas.cli.bench_selftest import selftest
from inferatlas.cli.emitting import Sink, say
from inferatlas.cli.flags import OUTPUT, SUBJECT, TARGET, flag
from inferatlas.errors import BadInput

if TYPE_CHECKING:
    from inferatlas.measure.bench.formats import Foreign
    from inferatlas.measure.bench.plan import Plan, Point
    from inferatlas.measure.bench.watching import View

app = App(name="bench", help="Load on a real endpoint, measured; runs compared; results of other tools.")
MISSED, INTERRUPTED = 4, 130


app.command(compare)
app.command(selftest)


@app.command
def run(
    *,
    server: Server = Server(),  # noqa: B008 - frozen
    asking: Asking = Asking(),  # noqa: B008
    loading: Loading = Loading(),  # noqa: B008
    patience: Patience = Patience(),  # noqa: B008
    meters: Meters = Meters(),  # noqa: B008
    slo: Annotated[
        tuple[str, ...], flag('Target such as "ttft:p95<500ms"; repeat for more.', TARGET, "--slo", "--goodput")
    ] = (),
    resume: Annotated[str | None, flag("Folder of a bench that was stopped: go on with it.", SUBJECT)] = None,
    dry_run: Annotated[bool, flag("Print the plan, and send nothing.", OUTPUT)] = False,
    output: Annotated[Path, flag("Folder for the folder of this bench.", OUTPUT, "--output", "-o")] = Path("runs"),
    format: Annotated[flags.Format | None, flag("Of what is printed. Default: a table.", OUTPUT)] = None,
    quiet: flags.Quiet = False,
) -> int:
    """Load an endpoint, and keep a record of every request. Exit code 4 if a target is missed, 130 after Ctrl-C."""
    from inferatlas.measure.bench.running import begin
    from inferatlas.measure.bench.running import resume as go_on
    from inferatlas.show.bench import bench_page, bench_rows
    from inferatlas.show.bench_html import bench_html

    sink = Sink(flags.Out(format=format, quiet=quiet))
    words = tuple(sys.argv)
    if resume is not None and server.base_url:
        raise BadInput("a bench that goes on has its endpoint", field="resume", allowed="without --base-url")
    with _watching(sink) as watcher:
        if resume is not None:
            bench = go_on(Path(resume), watcher, typed=words)
        else:
            plan = plan_of(server, asking, loading, patience, meters, slo)
            if dry_run:
                return _told(plan)
            bench = begin(plan, output, watcher, typed=words)
    sink.put(bench, page=bench_page, rows=bench_rows, html=bench_html)
    if bench.interrupted:
        say(f"stopped; go on with: inferatlas bench run --resume {shlex.quote(str(bench.folder))}")
        return INTERRUPTED
    for folder, document in bench.runs:
        if not document["validity"]["valid"]:
            sink.tell(f"{folder.name} is invalid: {', '.join(document['validity']['reasons'])}")
    return MISSED if bench.missed else 0


def _told(plan: Plan) -> int:
    from dataclasses import asdict

    from inferatlas.measure.bench import protocols
    from inferatlas.measure.bench.loads import check_loads
    from inferatlas.measure.bench.plan import check

    plan = check(protocols.apply(plan))
    check_loads(plan)
    print(json.dumps(asdict(plan), indent=2))
    return 0


@app.command(name="import")
def import_(
    path: Annotated[Path, Parameter(name="PATH", help="Results of another tool: a file, or its folder.")],
    /,
    *,
    source: Annotated[str | None, flag("Which tool (`bench formats`). Default: by content.", SUBJECT, "--from")] = None,
    output: Annotated[Path, flag("Folder for the run records.", OUTPUT, "--output", "-o")] = Path("runs"),
    format: Annotated[flags.Format | None, flag("Of what is printed. Default: a table.", OUTPUT)] = None,
    quiet: flags.Quiet = False,
) -> int:
    """Read what another tool measured into run records, with its definitions beside ours."""
    from inferatlas.measure.bench.formats import read_foreign, write_imported
    from inferatlas.show.bench_formats import imported_page, imported_rows

    sink = Sink(flags.Out(format=format, quiet=quiet))
    found = read_foreign(path, source)
    folders = imported_folders(found, path, output)
    for one, folder in zip(found, folders, strict=True):
        write_imported(one, folder)
    rows = imported_rows(found, folders)
    sink.put(rows, page=imported_page, document=lambda: rows)
    return 0


def imported_folders(found: Sequence[Foreign], path: Path, output: Path) -> list[Path]:
    """A folder for each result, below one that is named after the tool and the file."""
    stem = f"{found[0].tool}-{path.stem or 'results'}"
    whole = next(one for n in range(1, 10_000) if not (one := output / (stem if n == 1 else f"{stem}-{n}")).exists())
    names: list[str] = []
    for one in found:
        load = one.load
        clients, rate = load.get("concurrency"), load.get("request_rate")
        name = f"c{clients}" if clients else f"r{rate:g}" if rate else str(load.get("kind") or "run")
        names.append(f"{name}-{names.count(name) + 1}" if name in names else name)
    return [whole] if len(found) == 1 else [whole / name for name in names]


@app.command
def export(
    run: Annotated[Path, Parameter(name="RUN", help="Folder of a run record.")],
    /,
    *,
    to: Annotated[str, flag("Which tool's form (`bench formats`).", SUBJECT, "--to")],
    output: Annotated[Path | None, flag("File, or folder for one. Default: stdout.", OUTPUT, "--output", "-o")] = None,
    quiet: flags.Quiet = False,
) -> int:
    """Write a run as another tool would have written it, in that tool's own definitions."""
    from inferatlas.measure.bench.formats import EXPORTS
    from inferatlas.measure.bench.formats import export as exported
    from inferatlas.show.output import check_writable, write_file, write_stdout

    text = exported(run, to)
    if output is None:
        write_stdout(text)
        return 0
    path = check_writable(str(output / EXPORTS[to].file if output.is_dir() else output))
    write_file(text, path)
    if not quiet:
        say(f"wrote {path}")
    return 0


@app.command(name="formats")
def formats_(*, out: flags.Out = flags.Out()) -> int:  # noqa: B008 - frozen
    """Tools whose results can be read, and those in whose form runs can be written."""
    from inferatlas.show.bench_formats import formats_page, formats_rows

    rows = formats_rows()
    Sink(out).put(rows, page=formats_page, document=lambda: rows)
    return 0


class Watched:
    """What is shown while a bench runs, and how it is stopped: Ctrl-C or SIGTERM once, and it ends in order."""

    def __init__(self, sink: Sink, draw: Any) -> None:
        self._sink, self._draw, self._stop = sink, draw, False

    def begun(self, point: Point, total: int) -> None:
        if self._draw is None:
            self._sink.tell(f"{point.name}: {total:,} requests")

    def look(self, view: View) -> None:
        if self._draw is not None:
            from inferatlas.show.bench_live import live_view

            self._draw(live_view(view))

    def told(self, text: str) -> None:
        self._sink.tell(text)

    def stopped(self) -> bool:
        return self._stop

    def stop(self, *_: object) -> None:
        if self._stop:  # a second time: at once, and what is in flight is lost
            raise KeyboardInterrupt
        self._stop = True


@contextmanager
def _watching(sink: Sink) -> Iterator[Watched]:
    with sink.drawing() as draw:
        watcher = Watched(sink, draw)
        if threading.current_thread() is not threading.main_thread():
            yield watcher
            return
        before = {one: signal.signal(one, watcher.stop) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield watcher
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
