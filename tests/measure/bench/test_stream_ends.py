"""However a reply is framed, cut and ended, each event has the time of the piece that made it whole, and the end is
seen with the last byte: the connection alone, with a socket that gives exactly these pieces."""

from __future__ import annotations

import json
import socket
from itertools import pairwise

import pytest
from bench_plans import DONE, chunk
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client import connection as module
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Connection, Target
from inferatlas.measure.bench.client.health import Watch
from inferatlas.measure.bench.client.poller import READ

STEP = 10  # ns between pieces
TARGET = Target("tiny", socket.AF_INET, ("127.0.0.1", 1), b"POST /v1/completions HTTP/1.1\r\nContent-Length: ")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOOM = b'{"error": {"message": "boom"}}'


class Scripted:
    """A socket that takes everything and gives one piece, or one fault, at a time."""

    def __init__(self) -> None:
        self.next: bytes | OSError | None = None

    def send(self, part: bytes) -> int:
        return len(part)

    def recv(self, size: int) -> bytes:
        given, self.next = self.next, None
        if isinstance(given, OSError):
            raise given
        assert given is not None and len(given) <= size
        return given

    def close(self) -> None:
        pass


class Run:
    """One request on a connection that stands: ``ended`` has its fate and when that was known."""

    def __init__(self, pieces: list[bytes], after: bytes | OSError | None) -> None:
        now, before = 0, module.clock
        self.ended: list[tuple[str | None, int]] = []
        module.clock = lambda: now
        try:
            self.connection = Connection(TARGET, Watch(), lambda _, reason: self.ended.append((reason, now)))
            self.connection.sock.close()
            self.connection.sock = script = Scripted()
            self.connection.state = "idle"
            self.answer = Answer(0, Ask(b"{}", ""), 0, 0)
            self.connection.ask(self.answer, now)
            for piece in [*pieces, *([] if after is None else [after])]:
                now += STEP
                if not self.ended:
                    script.next = piece
                    self.connection.ready(READ)
        finally:
            module.clock = before


def framed(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def event(content: object) -> bytes:
    return b"data: " + (content if isinstance(content, bytes) else json.dumps(content).encode()) + b"\n\n"


TOKEN, FINISH = event(chunk({"content": " a"})), event(chunk({}, "stop"))


@pytest.mark.parametrize("after", [b"", ConnectionResetError("reset")], ids=["closed", "reset"])
def test_what_was_held_back_is_read_when_the_connection_breaks(after):
    run = Run([CHUNKED, *(framed(TOKEN) for _ in range(5))], after)
    assert run.ended == [("closed_mid_stream", 7 * STEP)]
    assert list(run.answer.stamps) == [2 * STEP, 3 * STEP, 4 * STEP, 5 * STEP, 6 * STEP]


@pytest.mark.parametrize("after", [b"", ConnectionResetError("reset")], ids=["closed", "reset"])
def test_an_answer_that_said_it_was_done_is_done_although_the_connection_breaks(after):
    run = Run([CHUNKED, framed(TOKEN), framed(FINISH), framed(event(b"[DONE]"))], after)
    assert run.ended == [(None, 5 * STEP)] and list(run.answer.stamps) == [2 * STEP]


@pytest.mark.parametrize("error", [event(BOOM), b"event: error\n" + event(b'{"message": "boom"}')])
def test_an_error_is_seen_at_once_even_if_the_server_then_says_nothing_more(error):
    run = Run([CHUNKED, framed(TOKEN), framed(error)], None)
    assert run.ended == [("error_event", 3 * STEP)] and list(run.answer.stamps) == [2 * STEP]


def test_a_malformed_event_is_the_reason_also_when_the_connection_breaks():
    run = Run([CHUNKED, framed(TOKEN), framed(event(b"{nonsense" + 20 * b" "))], b"")
    assert run.ended == [("malformed_sse", 4 * STEP)]


KINDS = {
    "token": TOKEN,
    "long": event(chunk({"content": 20 * " ab"})),
    "thought": event(chunk({"reasoning_content": "x"})),
    "role": event(chunk({"role": "assistant", "content": ""})),
    "finish": FINISH,
    "done": event(DONE.encode()),
    "comment": b": ping\n\n",
    "error": event(BOOM),
}
SPOKEN = ("token", "long", "thought")
ENDS = [b"0\r\n\r\n", b"0\r\nX-Trailer: abcdefghijklmnop\r\n\r\n", b"0;ext=abcdefghijklmnop\r\n\r\n"]


@st.composite
def replies(draw):
    """Kinds of events; pieces; where on the wire each event is whole; whether the reply is; what comes after it."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), max_size=12))
    carriage = draw(st.booleans())
    texts = [KINDS[kind].replace(b"\n", b"\r\n") if carriage else KINDS[kind] for kind in kinds]
    body, ends = b"".join(texts), [sum(map(len, texts[: n + 1])) for n in range(len(texts))]
    framing = draw(st.sampled_from(["chunked", "length", "until closed"]))
    after = draw(st.sampled_from([None, b"", ConnectionResetError("reset")]))
    marks: list[int]
    if framing == "chunked":
        inner = draw(st.sampled_from(["events", "any"]))
        cuts = ends if inner == "events" else draw(st.lists(st.integers(1, max(len(body), 1)), max_size=8))
        edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
        wire, place, marks = CHUNKED, {}, [len(CHUNKED)]
        for low, high in pairwise(edges):
            begin = len(wire) + len(b"%x\r\n" % (high - low))
            place |= {end: begin + end - low for end in ends if low < end <= high}
            wire += framed(body[low:high])
            marks.append(len(wire))
        whole = after is None or draw(st.booleans())
        wire += draw(st.sampled_from(ENDS)) if whole else b""
    else:
        head = HEAD + (b"Content-Length: %d\r\n\r\n" % len(body) if framing == "length" else b"\r\n")
        wire, place, marks = head + body, {end: len(head) + end for end in ends}, [len(head)]
        marks += place.values()
        after = b"" if framing == "until closed" and after is None else after
        whole = framing == "length" or after == b""
    near = [len(wire) - back for back in draw(st.lists(st.integers(1, 8), max_size=3))]
    some = draw(st.lists(st.integers(1, len(wire)), max_size=6)) + near + (marks if draw(st.booleans()) else [])
    points = sorted({0, len(wire), *(one for one in some if 0 < one < len(wire))})
    pieces = [wire[low:high] for low, high in pairwise(points)]
    at = [next(STEP * n for n, high in enumerate(points) if high >= place[end]) for end in ends]
    return kinds, pieces, at, framing, whole, after


@given(replies())
def test_every_event_once_with_its_time_and_the_end_with_the_last_byte(case):
    kinds, pieces, at, framing, whole, after = case
    run = Run(list(pieces), after)
    assert len(run.ended) == 1, "one fate, and no waiting for a timeout"
    reason, known = run.ended[0]
    until = kinds.index("error") if "error" in kinds else len(kinds)
    stamps = [t for kind, t in zip(kinds[:until], at[:until], strict=True) if kind in SPOKEN]
    assert list(run.answer.stamps) == stamps
    if until < len(kinds):
        assert (reason, known) == ("error_event", at[until])
    elif whole:
        told = "done" in kinds or "finish" in kinds
        assert reason == (None if stamps and told else "closed_mid_stream" if stamps else "no_tokens")
        assert framing == "until closed" or known == STEP * len(pieces)
    else:
        assert reason == ("closed_mid_stream" if "done" not in kinds else None if stamps else "no_tokens")
