"""One connection: a socket that never blocks, TLS where asked, and HTTP/1.1 by llhttp (package httptools).

A connection carries one request at a time. What it reads goes to the request's `Answer`; how it ended goes to
`ended`, once: ``None`` for a whole answer, else the code of `fates.py`.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httptools

from inferatlas.measure.bench.client.answer import DETAIL, Answer, _words
from inferatlas.measure.bench.client.health import EVERY, ROOM, SO_TIMESTAMPNS, STAMP, Watch, stamped
from inferatlas.measure.bench.client.poller import READ, WRITE
from inferatlas.measure.bench.fates import HTTP

MOST_BYTES = 16 * 1024 * 1024  # of one event or one reply; longer is refused
MOST_HEAD_BYTES = 1024 * 1024  # of the headers
READ_BYTES = 256 * 1024
clock = time.monotonic_ns


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. ``head``: request line and headers up to the length of the body, secrets among them.

    ``secrets``: what no word of the server's may bring into a record, as it may stand in an error that repeats it.
    """

    host: str
    family: int
    address: Any
    head: bytes = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Connection:
    """A connection to a target.

    ``state``: connecting, securing (TLS), sending, waiting (for the answer), idle, closed.
    """

    __slots__ = (
        "answer", "asked_ns", "descriptor", "ended", "failed", "head_bytes", "heard_ns", "keep", "length", "mask",
        "out", "parser", "reads", "refuse", "reply", "reused", "sock", "stamps", "state", "status", "stream", "target",
        "watch", "whole",
    )  # fmt: skip

    def __init__(self, target: Target, watch: Watch, ended: Callable[[Connection, str | None], None]) -> None:
        self.target, self.watch, self.ended = target, watch, ended
        self.answer: Answer | None = None
        self.out: memoryview | None = None
        self.state, self.mask = "connecting", READ | WRITE
        self.reads = watch.opened % EVERY  # which reads ask the kernel is spread over connections
        self.reused = self.stamps = False
        self.parser: httptools.HttpResponseParser | None = None
        self.asked_ns = self.heard_ns = clock()
        watch.opened += 1
        self.sock: Any = socket.socket(target.family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor = self.sock.fileno()

    def open(self) -> str | None:
        """Begin to connect; the reason where it fails at once."""
        code = self.sock.connect_ex(self.target.address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            return _refused(code)
        return None

    def ask(self, answer: Answer, now: int) -> None:
        """Send a request, now or as soon as the connection stands."""
        self.answer = answer
        self.asked_ns = self.heard_ns = now
        if self.state == "idle":
            answer.connect_ns = None
            self._send()

    def ready(self, mask: int, buffer: bytearray) -> None:
        """The socket can be read or written."""
        if self.state == "waiting":
            self._receive(buffer)
        elif self.state == "idle":
            self.close()  # the server closed it, or speaks unasked: nothing was lost
            self.ended(self, "idle")
        elif self.state == "connecting":
            self._connected()
        elif self.state == "securing":
            self._secure()
        elif self.state == "sending":
            if mask & ~WRITE:
                self._receive(buffer)  # an answer before the whole request went out: 413, or a close
            if self.state == "sending":
                self._push()

    def close(self) -> None:
        if self.state != "closed":
            self.state = "closed"
            self.sock.close()

    # Connecting

    def _connected(self) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._end(_refused(code), _why(code))
            return
        if self.target.tls is None:
            self.stamps = stamped(self.sock)
            self._stands()
            return
        try:
            self.sock = self.target.tls.wrap_socket(
                self.sock, server_hostname=self.target.host, do_handshake_on_connect=False
            )
        except (OSError, ValueError) as error:
            self._end("tls_failed", str(error))
            return
        self.state = "securing"
        self._secure()

    def _secure(self) -> None:
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self.mask = READ
        except ssl.SSLWantWriteError:
            self.mask = READ | WRITE
        except (OSError, ValueError) as error:
            self._end("tls_failed", _tls_words(error))
        else:
            self._stands()

    def _stands(self) -> None:
        if self.answer is None:  # nobody waits for it any more
            self.state, self.mask = "idle", READ
            return
        self.answer.connect_ns = clock() - self.asked_ns
        self._send()

    # Asking

    def _send(self) -> None:
        answer = self.answer
        assert answer is not None
        body = answer.ask.body
        self.parser = httptools.HttpResponseParser(self)
        self.length: int | None = None
        self.keep, self.whole, self.stream = True, False, True
        self.status = self.head_bytes = 0
        self.refuse: str | None = None
        self.failed: str | None = None
        self.reply = bytearray()
        self.out = memoryview(b"%b%d\r\n\r\n%b" % (self.target.head, len(body), body))
        self.state = "sending"
        answer.sent_ns = self.heard_ns = clock()
        self._push()

    def _push(self) -> None:
        out = self.out
        assert out is not None
        try:
            while out:
                out = out[self.sock.send(out) :]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self.out, self.mask = out, READ | WRITE
            return
        except (OSError, ValueError) as error:
            self._end("send_failed", str(error))
            return
        self.out, self.state, self.mask = None, "waiting", READ

    # The answer

    def _receive(self, buffer: bytearray) -> None:
        self.reads += 1
        try:
            if self.stamps and self.reads % EVERY == 0:
                count, now = self._receive_stamped(buffer)
            else:
                count, now = self.sock.recv_into(buffer), clock()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, ValueError) as error:
            self._closed(str(error))
            return
        self.watch.reads += 1
        if not count:
            self._closed("")
            return
        self.heard_ns = now
        answer, parser = self.answer, self.parser
        assert answer is not None and parser is not None
        if answer.first_byte_ns is None:
            answer.first_byte_ns = now
        self._parse(parser, memoryview(buffer)[:count], answer)
        if not self.status:
            self.head_bytes += count
            if self.head_bytes > MOST_HEAD_BYTES:
                self.failed = self.failed or "too_large"
        if self.failed is not None:
            self._end(self.failed, answer.detail)
        elif self.whole:
            self._whole(now)
        elif self.target.tls is not None and self.sock.pending():
            self._receive(buffer)  # what TLS has unpacked already is not announced again

    def _parse(self, parser: httptools.HttpResponseParser, part: memoryview, answer: Answer) -> None:
        try:
            parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            self.failed = "malformed_http"
        except httptools.HttpParserError as error:
            if self.whole:  # the answer was there; what comes after it was not asked for
                self.keep = False
            elif self.failed is None:
                self.failed = "malformed_http"
                answer.detail = str(error)[:DETAIL]

    def _receive_stamped(self, buffer: bytearray) -> tuple[int, int]:
        """As ``recv_into``, and how long ago the kernel had the last packet of it."""
        count, notes, _, _ = self.sock.recvmsg_into([buffer], ROOM)
        now = clock()
        for level, kind, content in notes:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(content) == STAMP.size:
                seconds, ns = STAMP.unpack(content)
                delay = time.time_ns() - (clock() - now) - (seconds * 10**9 + ns)
                if 0 <= delay < 10**10:  # else the wall clock was set meanwhile
                    self.watch.stamp.add(delay)
        return count, now

    def on_message_begin(self) -> None:
        if self.whole:
            raise ValueError("an answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self.length = int(value) if value.isdigit() else None
        elif name == b"transfer-encoding":
            self.length = -1  # told by the body itself
        elif name == b"content-type":
            self.stream = b"json" not in value.lower()
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self.refuse = f"content-encoding {value.decode('latin-1')!r} was not asked for"

    def on_headers_complete(self) -> None:
        assert self.parser is not None and self.answer is not None
        self.status = self.answer.http_status = self.parser.get_status_code()
        self.keep = self.parser.should_keep_alive()
        if self.refuse is not None:
            self.failed, self.answer.detail = "malformed_http", self.refuse

    def on_body(self, body: bytes) -> None:
        answer = self.answer
        if self.failed is not None or answer is None:
            return
        if self.status == 200 and self.stream:
            self.failed = answer.read(body, self.heard_ns)
            if answer.rest and len(answer.rest) + len(answer.pending or b"") > MOST_BYTES:
                self.failed = "too_large"
            return
        self.reply += body
        if len(self.reply) > MOST_BYTES:
            self.failed = "too_large"

    def on_message_complete(self) -> None:
        if self.status < 200:  # 100 Continue: the answer is still to come
            self.status = 0
            self.length = None
            return
        self.whole = True

    def _whole(self, now: int) -> None:
        """The reply is whole: as a stream, as one document, or a refusal."""
        answer = self.answer
        assert answer is not None
        if self.status != 200:
            answer.detail = _words(bytes(self.reply))
            self._end(f"{HTTP}{self.status}", answer.detail)
            return
        if self.stream:
            reason = answer.last(now)
        else:
            answer.streamed = False
            reason = answer.event(bytes(self.reply), now)
        if reason is None and not answer.stamps:
            reason = "no_tokens"
        elif reason is None and not (answer.done or answer.finish_reason or answer.told):
            reason = "closed_mid_stream"  # nothing says that this was all: a gateway ends a broken answer like this
        self._end(reason, answer.detail)

    def _closed(self, words: str) -> None:
        """The other side closed: at the end of an answer without a length, or too early."""
        answer = self.answer
        assert answer is not None
        if answer.first_byte_ns is None:
            self._end("closed_before_reply" if self.state == "waiting" else "send_failed", words)
        elif self.status >= 200 and self.length is None and not words:
            self.keep = False
            self._whole(clock())
        else:
            if self.status == 200 and self.stream and answer.done:  # [DONE] was there: nothing is missing
                self.keep = False
                self._whole(clock())
                return
            self._end("closed_mid_stream", words)

    def _end(self, reason: str | None, detail: str | None = None) -> None:
        answer = self.answer
        if answer is not None and reason is not None and detail:
            for secret in self.target.secrets:
                detail = detail.replace(secret, "***")
            answer.detail = detail[:DETAIL]
        if reason is None and self.keep and self.state == "waiting":
            self.state, self.mask, self.reused = "idle", READ, True
            self.parser = None
        else:
            self.close()
        self.ended(self, reason)


def _refused(code: int) -> str:
    if code == errno.ECONNREFUSED:
        return "refused"
    return "connect_timeout" if code == errno.ETIMEDOUT else "unreachable"


def _why(code: int) -> str:
    import os

    return os.strerror(code)


def _tls_words(error: Exception) -> str:
    message = getattr(error, "verify_message", "")
    return f"certificate: {message}" if message else str(error)
