"""Servers that are programs of their own: the mock with its schedule, and llama.cpp with a model of random weights."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

START_S = 60.0  # a machine with other work
GRACE_S = 2.0  # then it is killed: an engine may go on with what nobody waits for


class Program:
    """A server that runs until `close`; it says its address, on stdout or stderr, when it listens.

    Raises
    ------
    RuntimeError
        It ended before that, or said nothing within `START_S`.
    """

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._told = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line.rstrip())
                self._told.notify_all()

    def address(self, pattern: str = r"(http://127\.0\.0\.1:\d+)\b") -> str:
        """The address in what it says, by a pattern with one group."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, "\n".join(self.lines))

        with self._told:
            self._told.wait_for(lambda: found() or self.process.poll() is not None, START_S)
        if (address := found()) is None:
            self.close()
            raise RuntimeError("the server did not start: " + "\n".join(self.lines[-20:]))
        return address[1]

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_S)
        self.process.kill()
        self.process.wait()


class Mock(Program):
    """The mock of shared/tools/mock_openai_server with its flags, on a free port."""

    def __init__(self, program: Path, log: Path, *flags: str) -> None:
        super().__init__(program, "--port", "0", "--log", log, *flags)
        self.base_url = self.address()
        self._log = log

    def stats(self, reset: bool = False) -> dict[str, Any]:
        """Its own account: requests, tokens, peak_active, lateness."""
        return get_json(self.base_url + ("/stats?reset" if reset else "/stats"))

    def log(self) -> list[dict[str, int]]:
        """A row per request that was answered in full; ends the mock, which writes it then."""
        self.close()
        with self._log.open() as rows:
            return [{name: int(value) for name, value in row.items()} for row in csv.DictReader(rows)]


class Llama(Program):
    """llama.cpp's server with the model of `tiny_gguf`."""

    def __init__(self, model: Path) -> None:
        super().__init__(sys.executable, Path(__file__).with_name("llama_server.py"), model)
        # lines of its two outputs run into each other: a port with the time of the next line behind it is none
        self.base_url = self.address(r"<(http://127\.0\.0\.1:\d+)>")
        self.tokenizer = model.with_name("tokenizer.json")
        wait_healthy(self.base_url)


def wait_healthy(base_url: str) -> None:
    """Until ``/health`` answers with 200: the model is loaded."""
    until = time.monotonic() + START_S
    while True:
        try:
            get_json(base_url + "/health")
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=START_S) as reply:
        return json.load(reply)
