"""The energy of a command: run it while a meter runs."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from inferatlas.errors import BadInput
from inferatlas.measure.metering.meter import Meter
from inferatlas.measure.metering.reporting import Counts, Report, Site, report

COMMAND, IDLE = "command", "idle"
MOST_IDLE_S = 86400.0
LEAD_S = 0.3  # of readings before the command, so that its start lies between two


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
    """Run a command, without a shell, and measure it.

    Parameters
    ----------
    words : the program and its arguments. meter : not started yet; it is closed at the end.
    idle_s : measure the machine idle for so long before, 0 for not at all.
    stdout : file descriptor that the command's output goes to; None for ours.
    counts, site : as `reporting.report`. waiting : sleeps through the idle time.

    Returns
    -------
    Report : with the command's exit status, or 128 + signal, as shells have it.

    Raises
    ------
    BadInput : no command, or one that cannot be started; an idle time out of range, or not valid.

    Examples
    --------
    >>> import sys
    >>> done = run_command([sys.executable, "-c", "raise SystemExit(3)"], Meter(["manual:250W@node_ac"]))
    >>> done.exit_code, done.windows[0].joules > 0
    (3, True)
    """
    if not words:
        raise BadInput("no command to run", field="command", allowed="power run -- COMMAND ...")
    if not 0 <= idle_s <= MOST_IDLE_S:
        raise BadInput(f"{idle_s!r} s of idle time", field="idle", allowed="0 s to a day")
    with meter:
        waiting(LEAD_S)
        if idle_s:
            with meter.window(IDLE):
                waiting(idle_s)
        with meter.window(COMMAND):
            exit_code = _run(words, stdout)
    window = meter[COMMAND]
    idle = meter[IDLE].energies if idle_s else ()
    found = report(window.energies, meter.log(), window.spans[0], idle=idle, counts=counts, site=site)
    return replace(found, command=tuple(words), exit_code=exit_code, cost=meter.cost, refusals=meter.refusals)


def _run(words: Sequence[str], stdout: int | None) -> int:
    try:
        process = subprocess.Popen(list(words), stdout=stdout)
    except FileNotFoundError:
        raise BadInput(f"'{words[0]}' is not a program", field="command", allowed="a program on PATH") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"'{words[0]}' cannot be started: {reason}", field="command") from None
    while True:
        try:
            code = process.wait()
            return 128 - code if code < 0 else code
        except KeyboardInterrupt:  # the terminal sends it to the command as well: what it took until then still counts
            _let_end(process)


def _let_end(process: subprocess.Popen[bytes]) -> None:
    """A command that was told to end by Ctrl-C gets time to do so; a second Ctrl-C ends it."""
    try:
        process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
