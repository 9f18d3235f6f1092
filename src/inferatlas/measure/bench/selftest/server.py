"""The built-in mock: a small OpenAI-compatible server that streams on a schedule which is known.

    python -m inferatlas.measure.bench.selftest.server --port 8999 --ttft-ms 200 --itl-ms 50

Token k (from 0) of an answer is due at ``received + ttft + itl * k``, where ``received`` is when the whole request had
been read. Due times are absolute, so that lateness never adds up, and nothing leaves early. A token is an event and an
HTTP chunk; what is due of a stream goes out in one piece, with the last token usage, where asked for, and [DONE]. As
many tokens come as the request names. ``GET /stats`` tells how late it was itself (`account.py`); ``/stats?reset``
forgets that afterwards.

One thread, epoll, the standard library: it starts in a tenth of a second on any machine with Python. It listens on
127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from inferatlas.measure.bench.client.poller import READ, WRITE, poller
from inferatlas.measure.bench.selftest.account import Account
from inferatlas.measure.bench.selftest.wire import CHAT, HEAD, MODEL, TEXT, Asked, asked, reply, request_in

# Between two rounds of sending: a wake-up takes some 40 to 100 µs, and serves all streams that have become due.
PACE_NS = 500_000
MOST_AT_ONCE = 1024  # events of a stream in one piece
READ_BYTES = 64 * 1024
IDLE_S = 1.0  # a wait without anything to do
clock = time.monotonic_ns


class Stream:
    """An answer on its way. ``due_ns``: of its next event."""

    __slots__ = ("asked", "due_ns", "first_ns", "late_ns", "received_ns", "sent")

    def __init__(self, asked: Asked, received_ns: int, due_ns: int) -> None:
        self.asked, self.received_ns, self.due_ns = asked, received_ns, due_ns
        self.sent = self.first_ns = self.late_ns = 0


class Connection:
    """A client's connection: bytes that were read and not used, bytes that could not be sent yet, its stream."""

    __slots__ = ("descriptor", "out", "read", "sock", "stream")

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.descriptor = sock, sock.fileno()
        self.read, self.out = bytearray(), b""
        self.stream: Stream | None = None


class Mock:
    """The server.

    Parameters
    ----------
    port : 0: a free one, see ``port``. ttft_s, itl_s : the schedule. tokens : of an answer, where a request does not
        name them.

    Raises
    ------
    OSError : the port cannot be had.
    """

    def __init__(self, port: int = 0, *, ttft_s: float = 0.2, itl_s: float = 0.05, tokens: int = 128) -> None:
        self._ttft_ns, self._itl_ns, self._tokens = round(ttft_s * 1e9), round(itl_s * 1e9), tokens
        self._account = Account()
        self._open: dict[int, Connection] = {}
        self._due: list[tuple[int, int, Connection, Stream]] = []  # a heap; the second is a number, never twice
        self._number = 0
        self._listening = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        self._poller = poller()
        self._poller.add(self._listening.fileno(), READ)

    def run(self) -> None:
        """Serve, until a signal's handler raises."""
        listening = self._listening.fileno()
        sent_ns = 0
        while True:
            until = max(self._due[0][0], sent_ns + PACE_NS) if self._due else clock() + round(IDLE_S * 1e9)
            for descriptor, mask in self._poller.wait((until - clock()) / 1e9):
                if descriptor == listening:
                    self._accept()
                elif (connection := self._open.get(descriptor)) is not None:
                    if mask & WRITE:
                        self._push(connection, b"")
                    if mask & ~WRITE:
                        self._receive(connection)
            if self._due and self._due[0][0] <= (now := clock()):
                sent_ns = now
                self._send_due(now)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listening.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = Connection(sock)
                self._open[connection.descriptor] = connection
                self._poller.add(connection.descriptor, READ)

    def _close(self, connection: Connection) -> None:
        if self._open.pop(connection.descriptor, None) is None:
            return
        self._poller.forget(connection.descriptor)
        connection.sock.close()
        if connection.stream is not None:
            connection.stream = None
            self._account.active -= 1
            self._account.aborts += 1

    # Requests

    def _receive(self, connection: Connection) -> None:
        try:
            part = connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        if not part:
            self._close(connection)
            return
        connection.read += part
        self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        """Take the next request, unless one is being answered."""
        while connection.stream is None and connection.read:
            try:
                found = request_in(connection.read)
            except ValueError as error:
                self._refuse(connection, str(error))
                self._close(connection)
                return
            if found is None:
                return
            self._take(connection, *found)

    def _take(self, connection: Connection, method: str, path: str, body: bytes) -> None:
        now = clock()
        if (method, path) == ("POST", CHAT) or (method, path) == ("POST", TEXT):
            try:
                wanted = asked(path, body, self._tokens)
            except ValueError as error:
                self._refuse(connection, str(error))
                return
            stream = connection.stream = Stream(wanted, now, now + self._ttft_ns)
            self._number += 1
            heapq.heappush(self._due, (stream.due_ns, self._number, connection, stream))
            account = self._account
            account.active += 1
            account.peak = max(account.peak, account.active)
        elif (document := self._told(method, path)) is not None:
            self._push(connection, reply(200, document))
        else:
            self._push(connection, reply(404, {"error": {"message": f"{method} {path} is not served", "code": 404}}))

    def _told(self, method: str, path: str) -> Any:
        if method != "GET":
            return None
        if path in ("/stats", "/stats?reset"):
            document = self._account.told()
            if path != "/stats":
                self._account.begin()
            return document
        models = {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
        return {"/health": {"status": "ok"}, "/v1/models": models}.get(path)

    def _refuse(self, connection: Connection, why: str) -> None:
        self._account.refused += 1
        self._push(connection, reply(400, {"error": {"message": why, "code": 400}}))

    # Answers

    def _send_due(self, now: int) -> None:
        """Send all events that are due by ``now``."""
        due = self._due
        while due and due[0][0] <= now:
            _, number, connection, stream = due[0]
            if connection.stream is stream and self._send(connection, stream):
                heapq.heapreplace(due, (stream.due_ns, number, connection, stream))
            else:
                heapq.heappop(due)

    def _send(self, connection: Connection, stream: Stream) -> bool:
        """Send what is due of a stream; whether more is to come."""
        now, itl, of = clock(), self._itl_ns, stream.asked
        late, left = now - stream.due_ns, of.tokens - stream.sent
        many = min(late // itl + 1 if itl else left, left, MOST_AT_ONCE)
        account = self._account
        if itl:
            for n in range(many):
                account.late(late - n * itl, 1)
        else:
            account.late(late, many)
        stream.late_ns = max(stream.late_ns, late)
        ends = many == left
        data = of.form.token * (many - ends) + (of.form.last + of.end if ends else b"")
        if not stream.sent:
            stream.first_ns = now
            data = HEAD + data
        stream.sent += many
        stream.due_ns += many * itl
        account.tokens += many
        if ends:
            connection.stream = None
            account.active -= 1
            account.requests += 1
            account.log.append((of.user, stream.received_ns, of.tokens, stream.first_ns, now, stream.late_ns))
        self._push(connection, data)
        if ends:
            self._answer(connection)
        return not ends

    def _push(self, connection: Connection, data: bytes) -> None:
        """Send bytes after those that wait already, as far as the socket takes them."""
        waiting = bool(connection.out)
        out = connection.out + data
        try:
            sent = connection.sock.send(out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.out = out[sent:]
        if waiting != bool(connection.out):
            self._poller.change(connection.descriptor, READ | WRITE if connection.out else READ)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on stdout names the address and means "ready"."""
    parser = argparse.ArgumentParser(description="A mock of an OpenAI-compatible server, with a known schedule.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--ttft-ms", type=float, default=200.0)
    parser.add_argument("--itl-ms", type=float, default=50.0)
    parser.add_argument("--tokens", type=int, default=128, help="where a request does not say")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin is closed")
    of = parser.parse_args()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _ended)
    _raise_descriptors()
    mock = Mock(of.port, ttft_s=of.ttft_ms / 1e3, itl_s=of.itl_ms / 1e3, tokens=of.tokens)
    if of.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    gc.disable()  # no cycles are made, and a collection would make events late
    print(f"listening on http://127.0.0.1:{mock.port}", flush=True)
    mock.run()


def _ended(*_: object) -> None:
    sys.exit(0)


def _end_with_stdin() -> None:
    """Whoever started this has gone, however it ended: a pipe is closed even by SIGKILL."""
    while os.read(0, 1):
        pass
    os._exit(0)


def _raise_descriptors() -> None:
    """As many connections as this process may have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
