"""The engine's own figures while load runs: its /metrics page is fetched at an interval, and the lines that matter are
appended to a file.

The load client shares this process, so nothing is read here: a line per scrape holds the values as they came
(`tables.py` reads them after the run). The file, `server.journal`, is JSON lines:

    {"opened": "2026-11-29T12:13:16Z", "targets": ["http://h:8000/metrics"]}    once per start
    {"n": 305419896, "series": ["vllm:num_requests_running{...}", ...]}         when the names on a page changed
    {"r": 0, "t": 12.5, "u": 0.0004, "n": 305419896, "v": ["3", ...]}           the values, in the order of the names
    {"r": 0, "t": 13.5, "failed": "does not answer in time"}

``r`` counts the endpoints, ``n`` is the CRC-32 of the names, ``t`` is the middle of the question, in s since the start
of the run, ``u`` its standard uncertainty. A kill at any moment tears the last line at most, which readers leave out.
"""

from __future__ import annotations

import json
import math
import os
import ssl
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.series import kept_lines
from inferatlas.measure.web import Connection, NoAnswer

JOURNAL = "server.journal"
INTERVAL_S = 1.0
TIMEOUT_S = 5.0  # of one scrape: engines under load answer late, and a late page still has its place in time
MOST_BYTES = 8 * 2**20  # a page of a large deployment has some 100 kB
LAST_S = 1.0  # for the scrape after the end, which counters of the whole run need


@dataclass(frozen=True, slots=True)
class Health:
    """How scraping went, of all endpoints. ``cpu_s``: what it cost here; ``unwritten``: lines that were lost."""

    scrapes: int
    failures: int
    cpu_s: float
    last_failure: str | None
    unwritten: int


@dataclass(slots=True)
class _Target:
    """An endpoint and its thread, which alone writes here."""

    replica: int
    url: str
    connection: Connection
    names: list[bytes] | None = None  # those that the journal has
    number: int = 0
    thread: threading.Thread | None = None
    scrapes: int = 0
    failures: int = 0
    cpu_s: float = 0.0
    last_failure: str | None = None


class Scraper:
    """Threads, one per endpoint, that scrape until `stop`.

    Parameters
    ----------
    urls : of the metrics, one per endpoint. path : of the journal, which is appended to.
    origin_s : on the monotonic clock, when the run began. interval_s : from scrape to scrape; one that takes longer
    leaves out those that it missed. headers : sent along, to these servers only. context : how TLS is checked.

    Raises
    ------
    BadInput : the journal cannot be written, or the interval is not above 0.
    """

    def __init__(
        self, urls: Sequence[str], path: str | Path, *, origin_s: float, interval_s: float = INTERVAL_S,
        headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        if not 0 < interval_s < math.inf:
            raise BadInput("is no time between scrapes", field="interval_s", allowed="above 0 s")
        self._path, self._origin_s, self._interval_s = Path(path), origin_s, interval_s
        self._headers = dict(headers or {}) | {"Accept": "text/plain; version=0.0.4"}
        self._targets = [_Target(n, url, _connection(url, context)) for n, url in enumerate(urls)]
        self._over, self._lock, self._torn, self._unwritten = threading.Event(), threading.Lock(), False, 0
        self._last_end_s = math.inf
        try:
            self._file: int | None = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._torn = os.fstat(self._file).st_size > 0  # a kill may have left half a line
        except OSError as error:
            raise BadInput(f"cannot be written: {error.strerror}", file=self._path) from None

    def start(self) -> None:
        """Scrape from now on."""
        opened = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._write({"opened": opened, "targets": [shown(one.url) for one in self._targets]})
        for one in self._targets:
            one.thread = threading.Thread(target=self._run, args=(one,), daemon=True, name=f"scraping {one.replica}")
            one.thread.start()

    def stop(self, timeout_s: float = LAST_S) -> Health:
        """Scrape once more, so that counters cover the whole run, and end in the time given."""
        self._last_end_s = time.monotonic() + timeout_s
        self._over.set()
        for one in self._targets:
            if one.thread is not None:
                one.thread.join(max(self._last_end_s - time.monotonic(), 0.0))
                one.connection.hang_up()  # a thread that still waits ends soon after, and writes nothing any more
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
        return self.health

    @property
    def health(self) -> Health:
        ones = self._targets
        last = next((one.last_failure for one in ones if one.last_failure), None)
        return Health(
            sum(one.scrapes for one in ones), sum(one.failures for one in ones), sum(one.cpu_s for one in ones), last,
            self._unwritten,
        )  # fmt: skip

    def _run(self, target: _Target) -> None:
        due_s = time.monotonic()
        try:
            while not self._over.wait(max(due_s - time.monotonic(), 0.0)):
                self._scrape(target, time.monotonic() + TIMEOUT_S)
                # no bursts after a slow page: what was missed is left out
                due_s += self._interval_s * max(math.ceil((time.monotonic() - due_s) / self._interval_s), 1)
            self._scrape(target, self._last_end_s)
        finally:
            target.connection.close()

    def _scrape(self, target: _Target, end_s: float) -> None:
        self._page(target, end_s)
        target.cpu_s = time.thread_time()

    def _page(self, target: _Target, end_s: float) -> None:
        asked_s = time.monotonic()
        try:
            parts = urlsplit(target.url)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            reply = target.connection.ask(path, end_s, headers=self._headers, most_bytes=MOST_BYTES)
        except NoAnswer as error:
            self._failed(target, asked_s, error.why)
            return
        if reply.status != 200:
            self._failed(target, asked_s, f"answers HTTP {reply.status}")
            return
        lines = [line.rpartition(b" ") for line in kept_lines(reply.body)]
        names = [name for name, _, _ in lines]
        if names != target.names:
            target.number = zlib.crc32(b"\n".join(names))
            written = self._write({"n": target.number, "series": [one.decode("utf-8", "replace") for one in names]})
            target.names = names if written else None
        # the page was made between question and answer: any moment is as likely
        middle_s = (reply.asked_s + reply.answered_s) / 2 - self._origin_s
        uncertain_s = (reply.answered_s - reply.asked_s) / math.sqrt(12)
        values = [value.decode("ascii", "replace") for _, _, value in lines]
        self._write(
            {"r": target.replica, "t": round(middle_s, 6), "u": round(uncertain_s, 6), "n": target.number, "v": values}
        )
        target.scrapes += 1

    def _failed(self, target: _Target, asked_s: float, why: str) -> None:
        target.failures += 1
        target.last_failure = why
        self._write({"r": target.replica, "t": round(asked_s - self._origin_s, 6), "failed": why})

    def _write(self, line: dict[str, Any]) -> bool:
        """Append a line, or say that it was not written: a full disk costs the line and not the run."""
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._file is None:
                return False
            try:
                content = b"\n" + content if self._torn else content
                self._torn = os.write(self._file, content) < len(content)
            except OSError:
                self._torn = True
            self._unwritten += self._torn
            return not self._torn


def _connection(url: str, context: ssl.SSLContext | None) -> Connection:
    parts = urlsplit(url)
    return Connection(parts.scheme, parts.hostname or "", parts.port, context=context)


def shown(url: str) -> str:
    """An address without what is asked behind it, which may be a token.

    Examples
    --------
    >>> shown("http://node-7:8000/metrics?token=1")
    'http://node-7:8000/metrics'
    """
    return url.partition("?")[0]
