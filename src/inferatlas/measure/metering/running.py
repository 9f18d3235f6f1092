"""The energy of a command: run it while a meter runs."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from inferatlas.errors import BadInput, InferAtlasError
from inferatlas.measure.metering.energy import Energy
from inferatlas.measure.metering.meter import Meter, Window
from inferatlas.measure.metering.reporting import Counts, Report, Site, rehearse, report

COMMAND, IDLE = "command", "idle"
MOST_IDLE_S = 86400.0
LEAD_S = 0.3  # of readings before the command, so that its start lies between two
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_command(
    words: Sequence[str],
    meter: Meter,
    *,
    idle_s: float = 0.0,
    stdout: int | None = None,
    counts: Counts = Counts(),  # noqa: B008 - frozen
    site: Site = Site(),  # noqa: B008
    waiting: Callable[[float], None] = time.sleep,
) -> Report:
    """Run a command, without a shell, and measure it until it ends; what it leaves running is not waited for.

    Signals that are to end us end the command (SIGTERM, SIGHUP; Ctrl-C as terminals have it), and its energy is told.

    Parameters
    ----------
    words : the program and its arguments. meter : not started yet; it is closed at the end.
    idle_s : measure the machine idle for so long before, 0 for not at all.
    stdout : file descriptor that the command's output goes to; None for ours.
    counts, site : as `reporting.report`. waiting : sleeps through the idle time.

    Returns
    -------
    Report : with the command's exit status, or 128 + signal, as shells have it. What could not be said of a command
        that ran, or where its readings could not be written, is among the notes.

    Raises
    ------
    BadInput : no command, or one that cannot be started; an idle time out of range; what `report` refuses of counts
        and site, before the command runs.

    Examples
    --------
    >>> import sys
    >>> done = run_command([sys.executable, "-c", "raise SystemExit(3)"], Meter(["manual:250W@node_ac"]))
    >>> done.exit_code, done.windows[0].joules > 0
    (3, True)
    """
    exit_code = None
    try:
        if not words:
            raise BadInput("no command to run", field="command", allowed="power run -- COMMAND ...")
        if not 0 <= idle_s <= MOST_IDLE_S:
            raise BadInput(f"{idle_s!r} s of idle time", field="idle", allowed="0 s to a day")
        rehearse(counts, site)
        with meter:
            waiting(LEAD_S)
            if idle_s:
                with meter.window(IDLE):
                    waiting(idle_s)
            with meter.window(COMMAND):
                exit_code = _run(words, stdout)
    except BadInput:
        if exit_code is None:
            raise
    finally:  # of a meter that never ran: its sources
        meter.close()
    found = _reported(meter, meter[COMMAND], meter[IDLE].energies if idle_s else (), counts, site)
    return replace(found, command=tuple(words), exit_code=exit_code, cost=meter.cost, refusals=meter.refusals)


def _reported(meter: Meter, window: Window, idle: Sequence[Energy], counts: Counts, site: Site) -> Report:
    """What is to be said; where a part cannot, the energies all the same: nobody runs the command again for it."""
    log, span = meter.log(), window.spans[0]
    try:
        found = report(window.energies, log, span, idle=idle, counts=counts, site=site)
    except InferAtlasError as error:
        found = report(window.energies, log, span, counts=counts)
        found = replace(found, notes=(*found.notes, f"neither idle nor footprint: {error}"))
    if meter.trouble is None:
        return found
    return replace(found, notes=(*found.notes, f"the readings were not kept: {meter.trouble}"))


def _run(words: Sequence[str], stdout: int | None) -> int:
    with _signals_passed_on() as begun:
        try:
            process = subprocess.Popen(list(words), stdout=stdout)
        except FileNotFoundError:
            raise BadInput(f"'{words[0]}' is not a program", field="command", allowed="a program on PATH") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise BadInput(f"'{words[0]}' cannot be started: {reason}", field="command") from None
        begun(process)
        code = process.wait()
        return 128 - code if code < 0 else code


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Whoever ends us means the command: it is never left behind, and what it took until then still counts.

    SIGTERM and SIGHUP go on to it. Ctrl-C reaches it by the terminal already; a second one ends it by SIGTERM, a third
    by SIGKILL. Gives a function that is told of the process; what came before goes on to it then.
    """
    came: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def handle(number: int, _: object) -> None:
        came.append(number)
        times = came.count(signal.SIGINT)
        for process in running:
            if number != signal.SIGINT:
                process.send_signal(number)
            elif times > 1:
                process.send_signal(signal.SIGTERM if times == 2 else signal.SIGKILL)

    def begun(process: subprocess.Popen[bytes]) -> None:
        running.append(process)
        for number in list(came):
            process.send_signal(number)  # the terminal's Ctrl-C may have come before there was anything to reach

    here = threading.current_thread() is threading.main_thread()  # only there signals can be handled
    before = {one: signal.getsignal(one) for one in ENDING if here}
    before = {one: was for one, was in before.items() if was not in (signal.SIG_IGN, None)}  # as nohup leaves it
    for one in before:
        signal.signal(one, handle)
    try:
        yield begun
    finally:
        for one, was in before.items():
            signal.signal(one, was)
