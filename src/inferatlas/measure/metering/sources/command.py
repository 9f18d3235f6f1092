"""What a command-line tool prints, within a time limit: for interfaces that only a tool of the vendor reads."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from inferatlas.measure.metering.channel import Fault

LAST_S = 0.5  # for a tool that was killed to go


def run_tool(words: Sequence[str], timeout_s: float) -> tuple[str, Fault]:
    """Run a tool without a shell and without input, and return what it printed on stdout.

    Its messages and numbers are those of the C locale. It has no terminal, so a tool that would ask for a password
    fails instead of waiting. When the time is over it is ended together with whatever it started; one that the kernel
    holds, as a driver that hangs does, is left behind. Never raises.

    Parameters
    ----------
    words : the tool, by name on PATH or by path, and its arguments.
    timeout_s : in seconds, from start to end of its output.

    Returns
    -------
    text, fault : stdout and `Fault.NONE`; with a fault, why (what the tool wrote on stderr, else on stdout):
        ``DRIVER_GONE`` there is no such tool, ``PERMISSION_DENIED`` it may not be run, ``TIMEOUT`` no end in time,
        ``FAILED`` an exit status other than 0, or it could not be started.

    Examples
    --------
    >>> import sys
    >>> run_tool([sys.executable, "-c", "print('55 W')"], 10.0)
    ('55 W\\n', <Fault.NONE: 0>)
    >>> run_tool(["no-such-tool"], 10.0)
    ('no-such-tool is not installed, or not on PATH', <Fault.DRIVER_GONE: 6>)
    """
    try:
        tool = subprocess.Popen(
            list(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", env=os.environ | {"LC_ALL": "C"}, start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        return f"{words[0]} is not installed, or not on PATH", Fault.DRIVER_GONE
    except PermissionError:
        return f"{words[0]} may not be run by this user", Fault.PERMISSION_DENIED
    except (OSError, ValueError) as error:  # no program file; a NUL among the words
        return f"{words[0]} could not be started: {error}", Fault.FAILED
    try:
        out, complaint = tool.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _end(tool)
        return f"{words[0]} gave no answer within {timeout_s:g} s", Fault.TIMEOUT
    except BaseException:  # Ctrl-C as well: what ends the wait ends the tool
        _end(tool)
        raise
    if tool.returncode != 0:
        return (complaint.strip() or out.strip() or f"{words[0]} ended with {tool.returncode}"), Fault.FAILED
    return out, Fault.NONE


def _end(tool: subprocess.Popen[str]) -> None:
    """End a tool and what it started: they hold its output open, and share its process group."""
    with suppress(OSError):  # it ended meanwhile
        os.killpg(tool.pid, signal.SIGKILL)
    for pipe in (tool.stdout, tool.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        tool.wait(LAST_S)
