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
from inferatlas.measure.bench.client.health import EACH, EVERY, ROOM, STAMP, Watch, stamped
from inferatlas.measure.bench.client.poller import READ, WRITE
from inferatlas.measure.bench.fates import HTTP

MOST_BYTES = 16 * 1024 * 1024  # of one event or one reply; longer is refused
MOST_HEAD_BYTES = 1024 * 1024  # of the headers
LEAST_HELD = 16  # bytes: what is left of an end that was cut in two is shorter
FIELDS = (b"data:", b"event:", b"id:", b":")  # how a stream of events begins
HELD = 16  # pieces of a stream that are read together: they take less time than one by one, and some 4 kB
READ_BYTES = 64 * 1024  # a piece of this size is allocated at once; one of 256 kB costs 12 µs more
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
        "answer", "asked_ns", "connect_ns", "descriptor", "ended", "failed", "head_bytes", "heard_ns", "held", "keep",
        "length", "mask", "out", "parser", "place", "refuse", "reply", "reused", "sock", "stamps", "state", "status",
        "stream", "target", "watch", "whole",
    )  # fmt: skip

    def __init__(
        self, target: Target, watch: Watch, ended: Callable[[Connection, str | None], None], place: int = 0
    ) -> None:
        self.target, self.watch, self.ended, self.place = target, watch, ended, place
        self.connect_ns: int | None = None  # that connecting took, until a request has it
        self.answer: Answer | None = None
        self.out: memoryview | None = None
        self.state, self.mask = "connecting", READ | WRITE
        self.reused = self.stamps = False
        self.held = None
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
            answer.connect_ns, self.connect_ns = self.connect_ns, None
            self._send()

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        if self.state == "waiting":
            self._receive()
        elif self.state == "idle":
            self.close()  # the server closed it, or speaks unasked: nothing was lost
            self.ended(self, "idle")
        elif self.state == "connecting":
            self._connected()
        elif self.state == "securing":
            self._secure()
        elif self.state == "sending":
            if mask & ~WRITE:
                self._receive()  # an answer before the whole request went out: 413, or a close
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
            self.watch.stamped &= self.stamps
            self._stands()
            return
        self.watch.stamped = False
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
        took = clock() - self.asked_ns
        if self.answer is None:  # opened before it is needed; a server may close it before it is used
            self.connect_ns, self.state, self.mask, self.reused = took, "idle", READ, True
            self.ended(self, None)
            return
        self.answer.connect_ns = took
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
        self.held: list[tuple[bytes, int]] | None = None  # pieces with their times; None: each is read as it comes
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

    def _receive(self) -> None:
        try:
            if self.stamps:
                part, now = self._receive_stamped()
            else:
                part, now = self.sock.recv(READ_BYTES), clock()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, ValueError) as error:
            self._closed(str(error))
            return
        self.watch.reads += 1
        if not (self.held is not None and self._hold(self.held, part, now)):
            if not part:
                self._closed("")
                return
            self.flush()
            self.heard_ns = now
            self._take(part, now)
        if self.target.tls is not None and self.state == "waiting" and self.sock.pending():
            self._receive()  # what TLS has unpacked already is not announced again

    def _hold(self, held: list[tuple[bytes, int]], part: bytes, now: int) -> bool:
        """Whether a piece may wait to be read with others: it is whole chunks, and neither the end nor an error.

        Nothing that ends an answer may wait: after an error some servers say no more, and keep the connection.
        """
        whole = len(part) > LEAST_HELD and part[-2:] == b"\r\n" and part[-4:-2] != b"\r\n"
        if whole and len(held) < HELD and b"error" not in part:
            held.append((part, now))
            self.heard_ns = now
            return True
        return False

    def _take(self, part: bytes, now: int) -> None:
        answer, parser = self.answer, self.parser
        assert answer is not None and parser is not None
        if answer.first_byte_ns is None:
            answer.first_byte_ns = now
        self._parse(parser, part, answer)
        if not self.status:
            self.head_bytes += len(part)
            if self.head_bytes > MOST_HEAD_BYTES:
                self.failed = self.failed or "too_large"
        if self.failed is not None:
            self._end(self.failed, answer.detail)
        elif self.whole:
            self._whole(now)

    def flush(self) -> None:
        """Read the pieces of a stream that were held back, each with its own time."""
        held, answer, parser = self.held, self.answer, self.parser
        if held and answer is not None and parser is not None:
            now, self.held = self.heard_ns, []
            for part, self.heard_ns in held:
                self._parse(parser, part, answer)
            self.heard_ns = now

    def _parse(self, parser: httptools.HttpResponseParser, part: bytes, answer: Answer) -> None:
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

    def _receive_stamped(self) -> tuple[bytes, int]:
        """As ``recv``, and when the kernel had the last packet of it, on our clock.

        A stamp that is not between the last one and now was made before the wall clock was set: then it is now.
        """
        part, notes, _, _ = self.sock.recvmsg(READ_BYTES, ROOM)
        now = clock()
        if notes and len(content := notes[0][2]) == STAMP.size:
            seconds, ns = STAMP.unpack(content)
            came = seconds * 1_000_000_000 + ns - self.watch.lead_ns
            if self.heard_ns <= came <= now:
                if self.watch.reads < EACH or not self.watch.reads % EVERY:
                    self.watch.stamp.add(now - came)
                return part, came
        return part, now

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
        if self.status == 200 and self.stream and self.length == -1:
            self.held = []
        if self.refuse is not None:
            self.failed, self.answer.detail = "malformed_http", self.refuse

    def on_body(self, body: bytes) -> None:
        answer = self.answer
        if self.failed is not None or answer is None:
            return
        if not self.stream and not self.reply and body.lstrip().startswith(FIELDS):
            self.stream = True  # whatever the header says
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
        self.flush()
        if self.failed is not None:
            self._end(self.failed, answer.detail)
        elif answer.first_byte_ns is None:
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
        refused = reason is not None and reason.startswith(HTTP)
        if (reason is None or refused) and self.keep and self.state == "waiting":
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
