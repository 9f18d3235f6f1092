"""``inferatlas power``: what devices draw, measured."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from inferatlas.cli import flags
from inferatlas.cli.emitting import TYPED, Sink, say
from inferatlas.cli.flags import COST, OUTPUT, SUBJECT, flag, integer, several
from inferatlas.errors import BadInput, InferAtlasError

if TYPE_CHECKING:
    from inferatlas.measure.metering.live import Live
    from inferatlas.measure.metering.meter import Meter

app = App(name="power", help="Power and energy of real devices, with their uncertainty.")
METER = Group("Meter", sort_key=3)
PER = Group("Per request and token", sort_key=4)
SINCE = "A date and time, 10s (after the first reading), -10s (before the last), or a bare time_s."
STDERR = 2  # file descriptor
NAMES = {  # of inputs, as flags have them
    "record": "log", "window_s": "window", "usd_per_kwh": "electricity", "wue_site": "water_site",
    "count of request": "requests", "count of output_token": "output_tokens",
}  # fmt: skip
PROBE_S = 1.5  # a sensor that is renewed every 100 ms shows a dozen values in it


def seconds(_: Any, tokens: Any) -> float:
    """A time with its unit: ``100ms``, ``30s``; a bare number is seconds."""
    from inferatlas.quantities import parse

    name = (tokens[0].keyword or "").lstrip("-").replace("-", "_") or None
    return parse(tokens[0].value, "s", field=name, default_unit="s")


@contextmanager
def by_flags() -> Iterator[None]:
    """Errors name the flag that was typed."""
    try:
        yield
    except InferAtlasError as error:
        error.field = NAMES.get(error.field or "", error.field)
        raise


def check_words(command: Sequence[str], typed: str) -> None:
    """Refuse a command that is not all of what was typed last: a flag of ours in it was meant for it, or is misspelt.

    Raises
    ------
    BadInput : with how to tell them apart.

    Examples
    --------
    >>> check_words(["ls", "-l"], "inferatlas power run --interval 1 -- ls -l")
    >>> check_words(["ls"], "inferatlas power run ls --format json")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: command: flags stand in it (allowed: power run FLAGS -- COMMAND ...)
    """
    allowed = "power run FLAGS -- COMMAND ..."
    if command and command[0].startswith("-"):
        raise BadInput(f"'{command[0]}' is neither a flag nor a program", field="command", allowed=allowed)
    if command and list(command) != shlex.split(typed)[-len(command) :]:
        raise BadInput("flags stand in it", field="command", allowed=allowed)


SOURCES = several(
    "Sources to read (`power sources`), as in nvml or redfish:https://bmc. Default: all here.", METER, "--source"
)
Interval = Annotated[
    float, flag("Time between readings: 0.1, 100ms.", METER, "--interval", converter=seconds, n_tokens=1)
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was served."""

    requests: Annotated[int | None, integer("Requests in the window: energy per request.", PER)] = None
    output_tokens: Annotated[int | None, integer("Output tokens in the window: energy per token.", PER)] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the energy is used; without --region neither carbon nor cost is told."""

    region: Annotated[str | None, flag("Grid whose carbon and water count: USA, FRA.", COST)] = None
    site: Annotated[str | None, flag("Kind of data centre, for its PUE.", COST)] = None
    pue: Annotated[float | None, flag("Overhead of the site, instead.", COST)] = None
    usd_per_kwh: Annotated[float | None, flag("Price of electricity.", COST, "--electricity")] = None
    wue_site: Annotated[float | None, flag("Litres of water per kWh at the site.", COST, "--water-site")] = None
    carbon_series: Annotated[
        str | None, flag("CSV of the grid over time: timestamp, gco2e_per_kwh.", COST, "--carbon-series")
    ] = None


@app.command
def sources(
    *,
    source: Annotated[tuple[str, ...], SOURCES] = (),
    probe: Annotated[
        float, flag("Read for so long to see how often values change; 0: do not.", METER, converter=seconds, n_tokens=1)
    ] = PROBE_S,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """What can be read on this machine: meaning, scope, how often it changes; and what is missing for the rest."""
    from inferatlas.measure.metering.finding import find, survey
    from inferatlas.measure.metering.updating import measured_updates
    from inferatlas.show.power_sources import source_rows, sources_page

    sink = Sink(out)
    found = find(source)
    with sink.working("reading sensors"):
        updates = measured_updates(found.sources, probe) if found.sources and probe > 0 else []
    rows = survey(found, updates)
    sink.put(rows, page=sources_page, rows=source_rows, document=lambda: [one.as_dict() for one in rows])
    return 0


@app.command
def watch(
    *,
    source: Annotated[tuple[str, ...], SOURCES] = (),
    interval: Interval = 0.1,
    duration: Annotated[
        float | None, flag("Stop after: 10s, 24h. Default: Ctrl-C.", METER, "--for", converter=seconds, n_tokens=1)
    ] = None,
    prometheus: Annotated[str | None, flag("Serve metrics on: 127.0.0.1:9400.", OUTPUT)] = None,
    log: Annotated[
        str | None, flag("File for the readings: .parquet or .csv.", OUTPUT, "--output", "-o", "--log")
    ] = None,
    format: Annotated[flags.Format | None, flag("Of the energies at the end. Default: a table.", OUTPUT)] = None,
    quiet: flags.Quiet = False,
) -> int:
    """Live power of every source on a terminal; energies at the end (Ctrl-C, SIGTERM, or --for)."""
    from inferatlas.measure.metering.watching import watch as watched
    from inferatlas.show.power import report_html, report_page, report_rows

    sink = Sink(flags.Out(format=format, quiet=quiet))
    with sink.drawing() as draw, by_flags():
        view = Watched(sink, draw)
        found = watched(
            source, interval_s=interval, seconds=duration, record=log, prometheus=prometheus,
            begun=view.begun, look=view.look,
        )  # fmt: skip
    sink.put(found, page=report_page, rows=report_rows, html=report_html)
    if view.meter is not None and view.meter.trouble is not None:  # the energies stand, the file was asked for
        say(str(view.meter.trouble), badge="error")
        return view.meter.trouble.exit_code
    if log is not None:
        sink.tell(f"wrote {log}")
    return 0


class Watched:
    """What is shown while it lasts: a table that moves, on a terminal."""

    def __init__(self, sink: Sink, draw: Callable[[Any], None] | None) -> None:
        self.sink, self.draw, self.meter, self.lives = sink, draw, None, ()
        self.since, self.told = time.monotonic(), False

    def begun(self, meter: Meter, lives: Sequence[Live], address: str | None) -> None:
        self.meter, self.lives, self.since = meter, lives, time.monotonic()
        if address is not None:
            self.sink.tell(f"metrics at {address}")
        if not lives:
            self.sink.tell("nothing on this machine can be read: `inferatlas power sources` says why")

    def look(self) -> None:
        from inferatlas.show.power_live import LiveTable

        if self.meter is not None and self.meter.trouble is not None and not self.told:
            self.told = True
            self.sink.tell(f"readings stay in memory: {self.meter.trouble}")
        if self.draw is not None:
            self.draw(LiveTable(self.lives, time.monotonic() - self.since))


@app.command
def integrate(
    log: Annotated[str, Parameter(name="LOG", help="Our log, or a CSV of nvidia-smi, amd-smi, xpu-smi, a PDU, ...")],
    /,
    *,
    start: Annotated[str | None, flag(SINCE, SUBJECT, "--from", allow_leading_hyphen=True)] = None,
    stop: Annotated[str | None, flag("The same of the end.", SUBJECT, "--to", allow_leading_hyphen=True)] = None,
    idle: Annotated[
        str | None, flag("A span in which nothing ran, to take off: 0s..30s.", SUBJECT, allow_leading_hyphen=True)
    ] = None,
    scope: Annotated[
        str | None, flag("What is read, where the log does not say: gpu, board, node_ac, ...", METER)
    ] = None,
    semantics: Annotated[
        Literal["instant", "average"] | None, flag("What a value is, where it does not say.", METER)
    ] = None,
    window: Annotated[
        float | None, flag("Time that a value averages over.", METER, converter=seconds, n_tokens=1)
    ] = None,
    counts: Counts = Counts(),
    site: Site = Site(),
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Energy of a recorded log between two moments, with uncertainty and validity."""
    from inferatlas.measure.metering import reporting
    from inferatlas.show.power import report_html, report_page, report_rows

    sink = Sink(out)
    with sink.working("reading"), by_flags():
        found = reporting.integrated(
            log, start=start, stop=stop, idle=idle, scope=scope, semantics=semantics, window_s=window,
            counts=reporting.Counts(**asdict(counts)), site=reporting.Site(**asdict(site)),
        )  # fmt: skip
    sink.put(found, page=report_page, rows=report_rows, html=report_html)
    return 0


@app.command
def run(
    *command: Annotated[
        str, Parameter(name="COMMAND", help="Program and arguments, after --.", allow_leading_hyphen=True)
    ],
    source: Annotated[tuple[str, ...], SOURCES] = (),
    interval: Interval = 0.1,
    idle: Annotated[
        float, flag("Measure the machine idle for so long before: 30s.", METER, converter=seconds, n_tokens=1)
    ] = 0.0,
    log: Annotated[str | None, flag("Keep the readings: .parquet or .csv.", OUTPUT)] = None,
    counts: Counts = Counts(),
    site: Site = Site(),
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Energy of a command, per source, with uncertainty and validity.

    Ends with the command's status. What the command prints goes to stderr, unless the result goes to a file.
    """
    from inferatlas.measure.metering import reporting
    from inferatlas.measure.metering.meter import Meter
    from inferatlas.measure.metering.running import run_command
    from inferatlas.show.power import report_html, report_page, report_rows

    sink = Sink(out)
    check_words(command, TYPED.get())
    with by_flags():
        meter = Meter(source, interval_s=interval, record=log)
        found = run_command(
            command, meter, idle_s=idle, stdout=None if sink.path is not None else STDERR,
            counts=reporting.Counts(**asdict(counts)), site=reporting.Site(**asdict(site)),
        )  # fmt: skip
    if meter.trouble is not None:
        sink.tell(f"readings are not on the disk: {meter.trouble}")
    sink.put(found, page=report_page, rows=report_rows, html=report_html)
    return found.exit_code or 0


@app.command
def split(
    grid: Annotated[
        str, Parameter(name="GRID", help="Table of requests, input_tokens, output_tokens, joules[, uncertainty_j].")
    ],
    /,
    *,
    isl: flags.Isl = None,
    osl: flags.Osl = None,
    gain: Annotated[float, flag("Relative uncertainty of the meter, which all runs share.", METER)] = 0.05,
    out: flags.Out = flags.Out(),  # noqa: B008
) -> int:
    """Energy of prefill and of decode from runs over a grid of lengths, of any endpoint.

    The grid needs runs of one output token; --isl and --osl tell a request's phases.
    """
    from inferatlas.measure.metering.accounting.grid_files import read_grid
    from inferatlas.measure.metering.accounting.lengths import fit_lengths
    from inferatlas.show.power_split import Split, split_page, split_rows

    sink = Sink(out)
    found = Split(fit_lengths(read_grid(grid), gain=gain), isl, osl)
    sink.put(found, page=split_page, rows=split_rows)
    return 0
