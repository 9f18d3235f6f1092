"""One GET of a text over HTTP or HTTPS, within a time limit: for controllers and exporters on the network.

The limit is for all of it, so that a server that accepts and never answers, or sends a byte now and then, holds nobody:
the standard library's own is for each step, and starts again with each byte.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from inferatlas.measure.metering.channel import Fault

MOST_BYTES = 64 * 2**20  # exporters of large machines send a few MB
MOST_REDIRECTS = 5
LEAST_S = 1e-3  # a time limit of 0 would mean not to wait at all

_STATUS = {
    401: Fault.PERMISSION_DENIED,
    403: Fault.PERMISSION_DENIED,
    404: Fault.NOT_SUPPORTED,
    405: Fault.NOT_SUPPORTED,
    408: Fault.TIMEOUT,
    410: Fault.NOT_SUPPORTED,
    501: Fault.NOT_SUPPORTED,
    504: Fault.TIMEOUT,
}


class _Refused(Exception):
    """No text; why, in words, and the fault."""


def fetch(
    url: str, timeout_s: float, *, headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
) -> tuple[str, Fault]:
    """The text at an address. Proxies are not used: controllers and exporters are near. Never raises.

    Redirects are followed within a server only: a password is not carried to another one.

    Parameters
    ----------
    url : http or https. timeout_s : for all of it, in seconds. headers : sent along. context : how TLS is checked.

    Returns
    -------
    text, fault : the text and `Fault.NONE`; with a fault, why, without the address and without any header.

    Examples
    --------
    >>> fetch("http://127.0.0.1:9/metrics", 1.0)
    ('cannot be reached: Connection refused', <Fault.DEVICE_LOST: 4>)
    """
    end = time.monotonic() + timeout_s
    try:
        for _ in range(MOST_REDIRECTS):
            text, other = _get(url, end, headers or {}, context)
            if other is None:
                return text, Fault.NONE
            url = other
        raise _Refused("redirects without end", Fault.FAILED)
    except _Refused as error:
        why, fault = error.args
        return why, fault
    except (http.client.HTTPException, OSError, ValueError) as error:
        return _unreachable(error)


def _get(url: str, end: float, headers: Mapping[str, str], context: ssl.SSLContext | None) -> tuple[str, str | None]:
    """The text at an address, or the address that it redirects to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Refused("has no address", Fault.FAILED)
    with closing(_connection(parts.scheme, parts.hostname, parts.port, end, context)) as connection:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Connection": "close"} | dict(headers))
        with closing(_answer(connection.sock, end)) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                other = urljoin(url, answer.getheader("Location", ""))
                if _origin(other) != _origin(url):
                    raise _Refused("redirects to another server, which is not followed", Fault.FAILED)
                return "", other
            if answer.status != 200:
                said = f"answers HTTP {answer.status} {answer.reason}".strip()
                raise _Refused(said, _STATUS.get(answer.status, Fault.FAILED))
            return _read(answer), None


def _connection(
    scheme: str, host: str, port: int | None, end: float, context: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    """A connection to a host, whose every step takes the time that is left at most."""
    if scheme == "http":
        connection = http.client.HTTPConnection(host, port)
        connection.sock = _opened(host, connection.port, end)
        return connection
    context = context or _trusted()
    connection = http.client.HTTPSConnection(host, port, context=context)
    opened = _opened(host, connection.port, end)
    try:
        connection.sock = context.wrap_socket(opened, server_hostname=host)
    except BaseException:
        opened.close()
        raise
    return connection


def _opened(host: str, port: int, end: float) -> socket.socket:
    """A connection to the first address of a host that answers."""
    last: OSError = OSError("has no address")
    for family, kind, protocol, _, address in _addresses(host, port, end):
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(_left(end))
            opened.connect(address)
            opened.settimeout(_left(end))
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

    threading.Thread(target=look, daemon=True, name="metering").start()
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


def _answer(sock: socket.socket, end: float) -> http.client.HTTPResponse:
    """What comes back on a request, its head read."""
    answer = http.client.HTTPResponse(sock, method="GET")
    answer.fp = io.BufferedReader(_InTime(answer.fp.detach(), sock, end))
    answer.begin()
    return answer


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _read(answer: http.client.HTTPResponse) -> str:
    parts: list[bytes] = []
    while part := answer.read1(65536):
        parts.append(part)
        if sum(map(len, parts)) > MOST_BYTES:
            raise _Refused(f"sends more than {MOST_BYTES // 2**20} MiB", Fault.UNREADABLE)
    if answer.length:  # of what it announced, not sent
        raise _Refused("ends in the middle of its answer", Fault.UNREADABLE)
    return b"".join(parts).decode("utf-8", "replace")


def _unreachable(reason: Exception) -> tuple[str, Fault]:
    if isinstance(reason, TimeoutError):
        return "does not answer in time", Fault.TIMEOUT
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {reason.verify_message}", Fault.FAILED
    if isinstance(reason, ssl.SSLError):
        return f"does not speak TLS as expected: {reason.reason or 'connection closed'}", Fault.FAILED
    if isinstance(reason, http.client.IncompleteRead):
        return "ends in the middle of its answer", Fault.UNREADABLE
    if isinstance(reason, OSError):  # among them a name that does not resolve, and a server that hangs up
        return f"cannot be reached: {reason.strerror or type(reason).__name__}", Fault.DEVICE_LOST
    return f"does not speak HTTP as expected: {type(reason).__name__}", Fault.FAILED
