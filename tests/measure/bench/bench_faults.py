"""A server that answers as badly as a test asks, byte by byte.

Every completion is answered by a plan: a function of the connection and the request. The plans of `bench_plans` are the
ways in which real servers, proxies and networks fail or merely surprise. Anything else is answered as a well-behaved
engine would (one model, no metrics), unless told otherwise, so that what is tested is the request and not the search
for the model.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

MODELS = (
    b'{"object":"list","data":[{"id":"tiny","object":"model","created":1,"owned_by":"tests","max_model_len":4096}]}'
)
PATIENCE_S = 20.0  # no connection of a test is open longer, whatever the client does


@dataclass
class Asked:
    """A request as it came: ``headers`` by lower-case name, ``connection`` counted from 0, ``time_s`` monotonic."""

    number: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    time_s: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def tokens(self) -> int:
        """How many tokens it wants; 4 where it does not say."""
        wanted = self.json
        return int(wanted.get("max_completion_tokens") or wanted.get("max_tokens") or 4)

    @property
    def prompt(self) -> str:
        """The prompt as text, to tell requests apart."""
        wanted = self.json
        return json.dumps(wanted.get("messages", wanted.get("prompt")))


class Wire:
    """The server's end of a connection."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self.socket = connection
        self.over = over
        self._read = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def pause(self, seconds: float) -> None:
        """Wait; shorter when the test is over."""
        self.over.wait(seconds)

    def hang(self) -> None:
        """Say nothing until the client goes away or the test is over."""
        self.socket.settimeout(0.02)
        for _ in range(int(PATIENCE_S / 0.02)):
            try:
                if self.over.is_set() or not self.socket.recv(65536):
                    return
            except TimeoutError:
                continue

    def reset(self) -> None:
        """End the connection with RST: what a crashed process or a proxy out of memory looks like."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def until(self, mark: bytes) -> bytes | None:
        while mark not in self._read:
            if not self._more():
                return None
        found, _, self._read = self._read.partition(mark)
        return found

    def take(self, count: int) -> bytes | None:
        while len(self._read) < count:
            if not self._more():
                return None
        found, self._read = self._read[:count], self._read[count:]
        return found

    def _more(self) -> bool:
        got = self.socket.recv(65536)
        self._read += got
        return bool(got)


Plan = Callable[[Wire, Asked], bool | None]
"""Answers one request; True: the connection stays open for the next."""


class FaultServer:
    """Answers the n-th completion with the n-th plan and begins again after the last.

    ``requests`` holds what was asked; ``others`` everything else, such as GETs and counts of tokens.
    A body that was seen before is answered as it was then: a client that tries again finds what it found. ``get``:
    answers other requests by path, before the usual answers. ``tls``: a context; a handshake that fails is no request.
    ``first``: answers completions of other lengths than ``tokens``, such as those by which a bench gets to know the
    server; they are among ``others``.
    """

    def __init__(
        self, *plans: Plan, get: dict[str, Plan] | None = None, tls: ssl.SSLContext | None = None,
        first: Plan | None = None, tokens: int | None = None,
    ) -> None:  # fmt: skip
        self.requests: list[Asked] = []
        self.others: list[Asked] = []
        self.connections = 0
        self._plans = itertools.cycle(plans)
        self._seen: dict[bytes, Plan] = {}
        self._get = get or {}
        self._tls = tls
        self._first, self._tokens = first, tokens
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.base_url = f"http{'s' if tls else ''}://{self.host}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which `close` alone does not
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                number, self.connections = self.connections, self.connections + 1
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:  # the client went away, or refused the certificate
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                wire = Wire(connection, self._over)
                for asked, plan in self._asked(wire, number):
                    if not plan(wire, asked):
                        return

    def _asked(self, wire: Wire, connection: int) -> Iterator[tuple[Asked, Plan]]:
        while (head := wire.until(b"\r\n\r\n")) is not None:
            first, *lines = head.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = wire.take(int(headers.get("content-length", 0)))
            if body is None:
                return
            with self._lock:
                asked = Asked(0, connection, method, path, headers, body)
                plan = self._plan(asked)
            yield asked, plan

    def _plan(self, asked: Asked) -> Plan:
        """How to answer; the request is put where it belongs, with its number."""
        plan, log = self._get.get(asked.path, usual_get), self.others
        if asked.method == "POST" and asked.path.endswith("/completions"):
            if self._first is not None and asked.tokens != self._tokens:
                plan = self._first
            else:
                plan, log = self._turn(asked.body), self.requests
        asked.number = len(log)
        log.append(asked)
        return plan

    def _turn(self, body: bytes) -> Plan:
        if body not in self._seen:
            self._seen[body] = next(self._plans)
        return self._seen[body]


def usual_get(wire: Wire, asked: Asked) -> bool:
    """What an engine without metrics says: its model, its health, and 404 for the rest."""
    answers = {"/v1/models": MODELS, "/health": b"{}"}
    body = answers.get(asked.path)
    wire.send(reply(200, body) if body else reply(404, b'{"error":{"message":"Not Found","code":404}}'))
    return True


def reply(status: int, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """A whole reply with its length; names of headers are written with _ for -."""
    given = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + body


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """The address of a port on which nobody listens and that nobody else is given meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextlib.contextmanager
def deaf_port() -> Iterator[str]:
    """The address of a port whose queue of connections is full: connecting is neither answered nor refused."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # Linux admits one more than asked, and leaves the others without an answer
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def prompts_asked(requests: list[Asked]) -> dict[str, int]:
    """How often each prompt was asked."""
    counts: dict[str, int] = {}
    for one in requests:
        counts[one.prompt] = counts.get(one.prompt, 0) + 1
    return counts


def without_address(text: str) -> str:
    """Text without the ports that the system chose."""
    return re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
