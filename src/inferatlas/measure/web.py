"""Questions to a server over HTTP or HTTPS, each within a time limit, on a connection that is kept.

The limit is for all of an answer, so that a server that accepts and never answers, or sends a byte now and then, holds
nobody: the standard library's own is for each step, and starts again with each byte. Proxies are not used, and
redirects are not followed: whoever asks sees them. Controllers, exporters and inference servers are asked through this;
load is not (`bench/client/`).
"""

from __future__ import annotations

import http.client
import io
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

MOST_BYTES = 64 * 2**20  # exporters of large machines send a few MB
LEAST_S = 1e-3  # a time limit of 0 would mean not to wait at all

HUNG_UP = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class NoAnswer(Exception):
    """No answer to a question.

    ``kind`` : ``timeout``, ``refused``, ``unreachable`` (no such name, no route, hung up), ``tls``, ``cut`` (an answer
    that ends early), ``malformed``, ``too_large``. ``why`` : in words that go on from "the server", without any header.
    """

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind, self.why = kind, why


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    ``headers`` : by name in lower case. ``asked_s``, ``answered_s``, ``end_s`` : on the monotonic clock, when the
    question was sent (the connection was open), when the head of the answer was there, and all of it.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    asked_s: float
    answered_s: float
    end_s: float

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Connection:
    """A connection to a server, opened when it is needed. One thread asks; `hang_up` may come from another.

    Parameters
    ----------
    scheme : ``http`` or ``https``. host : a name or an address, without brackets. port : None for the scheme's own.
    context : how TLS is checked; the system's authorities unless given.
    """

    def __init__(self, scheme: str, host: str, port: int | None, *, context: ssl.SSLContext | None = None) -> None:
        self._tls, self._context = scheme == "https", context
        usual = http.client.HTTPS_PORT if self._tls else http.client.HTTP_PORT
        self._host, self._port = host, port or usual
        written = f"[{host}]" if ":" in host else host
        self._name = written if self._port == usual else f"{written}:{self._port}"
        self._sock: socket.socket | None = None

    def ask(
        self, path: str, end_s: float, *, method: str = "GET", headers: Mapping[str, str] | None = None,
        body: bytes | None = None, most_bytes: int = MOST_BYTES,
    ) -> Reply:  # fmt: skip
        """The answer to one question, whatever its status.

        Parameters
        ----------
        path : with what follows ``?``. end_s : on the monotonic clock, when to give up. most_bytes : of the body.

        Raises
        ------
        NoAnswer : there is none, or not in time.
        """
        again = self._sock is not None  # a server may close what it had kept, which is no answer to this question
        while True:
            try:
                return self._ask(path, end_s, method, headers or {}, body, most_bytes)
            except (http.client.HTTPException, OSError, ValueError) as error:
                self.close()
                if not (again and isinstance(error, HUNG_UP)):
                    raise _no_answer(error) from None
            except BaseException:
                self.close()
                raise
            again = False

    def _ask(
        self, path: str, end_s: float, method: str, headers: Mapping[str, str], body: bytes | None, most_bytes: int
    ) -> Reply:
        if self._sock is None:
            self._sock = self._opened(end_s)
        sock = self._sock
        sock.settimeout(_left(end_s))
        question = http.client.HTTPConnection(self._host, self._port)  # the socket is opened and read here, in time
        question.sock = sock
        asked_s = time.monotonic()
        question.request(method, path, body=body, headers={"Host": self._name} | dict(headers))
        with closing(_answer(sock, end_s, method)) as answer:
            answered_s = time.monotonic()
            found = {name.lower(): value for name, value in answer.getheaders()}
            content = _read(answer, most_bytes)
            for secret in secrets_of(headers):  # a server may repeat what it was asked
                content = content.replace(secret.encode("latin-1"), b"***")
            stays = not answer.will_close
        done_s = time.monotonic()
        if not stays:
            self.close()
        return Reply(answer.status, answer.reason, found, content, asked_s, answered_s, done_s)

    def _opened(self, end_s: float) -> socket.socket:
        opened = _opened(self._host, self._port, end_s)
        if not self._tls:
            return opened
        try:
            return (self._context or _trusted()).wrap_socket(opened, server_hostname=self._host)
        except BaseException:
            opened.close()
            raise

    def hang_up(self) -> None:
        """End a question that another thread waits for: it gets `NoAnswer`."""
        if (sock := self._sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be repeated of headers: the key after its scheme, as it is and as JSON writes it.

    Examples
    --------
    >>> secrets_of({"Authorization": 'Bearer k"1', "Accept": "text/plain"})
    ('k"1', 'k\\\\"1')
    """
    key = headers.get("Authorization", "").partition(" ")[2]
    return tuple(dict.fromkeys((key, json.dumps(key, ensure_ascii=False)[1:-1]))) if key else ()


def _opened(host: str, port: int, end: float) -> socket.socket:
    """A connection to the first address of a host that answers."""
    last: OSError = OSError("has no address")
    for family, kind, protocol, _, address in _addresses(host, port, end):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(_left(end))
            opened.connect(address)
            opened.settimeout(_left(end))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            opened.close()
            last = error
        else:
            return opened
    raise last


def _addresses(host: str, port: int, end: float) -> list[Any]:
    """Where a host is. The system's own search for a name knows no limit: it is left behind when the time is over."""
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # raised below, in the thread that asks
            found.put(error)

    threading.Thread(target=look, daemon=True, name="search for a host").start()
    try:
        answer = found.get(timeout=_left(end))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


def _left(end: float) -> float:
    return max(end - time.monotonic(), LEAST_S)


class _InTime(io.RawIOBase):
    """What a server sends, for as long as there is time: of each wait, what is left of it."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, end: float) -> None:
        self.raw, self.sock, self.end = raw, sock, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.end:
            raise TimeoutError
        self.sock.settimeout(_left(self.end))
        return self.raw.readinto(buffer)

    def close(self) -> None:
        self.raw.close()
        super().close()


def _answer(sock: socket.socket, end: float, method: str) -> http.client.HTTPResponse:
    """What comes back on a question, its head read."""
    answer = http.client.HTTPResponse(sock, method=method)
    answer.fp = io.BufferedReader(_InTime(answer.fp.detach(), sock, end))
    answer.begin()
    return answer


def _read(answer: http.client.HTTPResponse, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(65536):
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise NoAnswer("too_large", f"sends more than {most_bytes // 2**20} MiB")
    if answer.length:  # of what it announced, not sent
        raise NoAnswer("cut", "ends in the middle of its answer")
    return b"".join(parts)


def _no_answer(reason: Exception) -> NoAnswer:
    if isinstance(reason, TimeoutError):
        return NoAnswer("timeout", "does not answer in time")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return NoAnswer("tls", f"has a certificate that is not trusted: {reason.verify_message}")
    if isinstance(reason, ssl.SSLError):
        return NoAnswer("tls", f"does not speak TLS as expected: {reason.reason or 'connection closed'}")
    if isinstance(reason, http.client.IncompleteRead):
        return NoAnswer("cut", "ends in the middle of its answer")
    if isinstance(reason, OSError):  # among them a name that does not resolve, and a server that hangs up
        kind = "refused" if isinstance(reason, ConnectionRefusedError) else "unreachable"
        return NoAnswer(kind, f"cannot be reached: {reason.strerror or type(reason).__name__}")
    return NoAnswer("malformed", f"does not speak HTTP as expected: {type(reason).__name__}")
