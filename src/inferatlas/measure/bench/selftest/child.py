"""The mock in a process of its own, on a core of its own where there are two, and gone when this one is."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.client.connection import Target
from inferatlas.measure.bench.selftest.wire import CHAT

ROOT = Path(__file__).parents[4]  # where the package is
PROGRAM = "inferatlas.measure.bench.selftest.server"
REPLY_S, END_S = 20.0, 2.0  # to tell its account, to end: a machine with other work


class Child:
    """The mock, from its start to `close`.

    Parameters
    ----------
    ttft_s, itl_s : its schedule. core : to keep it on; None: any.

    Raises
    ------
    BadInput : it did not start.
    """

    def __init__(self, ttft_s: float, itl_s: float, core: int | None = None) -> None:
        # nothing of the current folder, and no packages: the mock needs the standard library and this package alone
        words = [sys.executable, "-S", "-P", "-m", PROGRAM, "--end-with-stdin"]
        words += ["--ttft-ms", f"{1e3 * ttft_s:g}", "--itl-ms", f"{1e3 * itl_s:g}"]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, text=True,
        )  # fmt: skip
        try:
            self._port = self._listening()
            if core is not None:
                os.sched_setaffinity(self.process.pid, {core})
        except BaseException:
            self.close()
            raise

    def _listening(self) -> int:
        out = self.process.stdout
        assert out is not None
        line = out.readline()  # empty where it has ended
        port = line.rpartition(":")[2].strip()
        if not port.isdigit():
            raise self._gone("did not start")
        return int(port)

    def _gone(self, what: str) -> BadInput:
        """What it said last, on stderr."""
        self.process.kill()
        said = self.process.communicate()[1].strip().splitlines()
        return BadInput(f"the built-in mock {what}{': ' + said[-1] if said else ''}")

    @property
    def target(self) -> Target:
        """Where its chat completions are."""
        host = f"127.0.0.1:{self._port}"
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
        return Target("127.0.0.1", socket.AF_INET, ("127.0.0.1", self._port), head.encode())

    def stats(self) -> dict[str, Any]:
        """Its account since this was asked last (`account.Account`).

        Raises
        ------
        BadInput : it does not answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=REPLY_S)
        try:
            connection.request("GET", "/stats?reset")
            return json.load(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._gone("does not answer") from error
        finally:
            connection.close()

    def close(self) -> None:
        """End it; at once where it does not."""
        process = self.process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def mock(ttft_s: float, itl_s: float, core: int | None = None) -> Iterator[Child]:
    """A `Child` that is ended whatever happens."""
    child = Child(ttft_s, itl_s, core)
    try:
        yield child
    finally:
        child.close()


@contextmanager
def apart() -> Iterator[int | None]:
    """A core for the mock, while this thread keeps off it; None where there is but one, or nobody may choose."""
    try:
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise OSError
        os.sched_setaffinity(0, allowed[1:])
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield allowed[0]
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, allowed)
