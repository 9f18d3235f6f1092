"""Ways in which servers answer a streamed completion: right, odd, and wrong. Each is a plan for `FaultServer`.

What real engines send is in engines' own sources and was seen from llama.cpp (see `test_real_engine.py`); the rest is
what proxies, gateways and crashes make of it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from typing import Any

from bench_faults import Asked, Plan, Wire, reply

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DONE = "[DONE]"
END = b"0\r\n\r\n"
Event = dict[str, Any] | str


# Events


def chunk(delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """An event of a streamed chat."""
    event = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return event | ({"usage": usage} if usage else {})


def used(output: float, prompt: float = 7) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def usage_event(output: int) -> dict[str, Any]:
    """Usage alone, as ``stream_options.include_usage`` gives it: no choice."""
    return chunk({}) | {"choices": [], "usage": used(output)}


def told(n: int, *, role: dict[str, Any] | None = None, text: Any = " ok", field: str = "content") -> list[Event]:
    """The events of a well-behaved engine: a role, ``n`` tokens, usage, the end."""
    first: list[Event] = [chunk(role)] if role else []
    tokens: list[Event] = [chunk({field: text}, "length" if k == n - 1 else None) for k in range(n)]
    return [*first, *tokens, usage_event(n), DONE]


def encoded(event: Event, before: bytes = b"data: ", after: bytes = b"\n\n") -> bytes:
    """An event on the wire."""
    return before + (event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)).encode() + after


def boxed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


# Plans that a client must take as good


def streamed(make: Callable[[int], Iterable[Event]], gap_s: float = 0.0, before: bytes = b"data: ") -> Plan:
    """Events in HTTP chunks of their own, each sent alone; ``make``: events for so many tokens."""

    def plan(wire: Wire, asked: Asked) -> bool:
        wire.send(CHUNKED)
        for event in make(asked.tokens):
            wire.send(boxed(encoded(event, before)))
            wire.pause(gap_s)
        wire.send(END)
        return True

    return plan


def at_once(make: Callable[[Asked], bytes], head: bytes = CHUNKED, end: bytes = END, keep: bool = True) -> Plan:
    """Head and body in one write; ``make``: the body."""

    def plan(wire: Wire, asked: Asked) -> bool:
        wire.send(head + make(asked) + end)
        return keep

    return plan


def in_pieces(size: int, make: Callable[[int], Iterable[Event]] = told, gap_s: float = 0.0) -> Plan:
    """The reply cut into pieces of so many bytes wherever they fall: within headers, chunk sizes and letters."""

    def plan(wire: Wire, asked: Asked) -> bool:
        whole = CHUNKED + b"".join(boxed(encoded(event)) for event in make(asked.tokens)) + END
        for start in range(0, len(whole), size):
            wire.send(whole[start : start + size])
            wire.pause(gap_s)
        return True

    return plan


def whole(asked: Asked, before: bytes = b"data: ", after: bytes = b"\n\n") -> bytes:
    """The body of a good stream as it is without chunks."""
    return b"".join(encoded(event, before, after) for event in told(asked.tokens))


def usage_on_the_last(n: int) -> list[Event]:
    """Usage beside the last token, and no ``[DONE]``: transformers serve."""
    return [*told(n)[: n - 1], chunk({"content": " ok"}, "length", used(n))]


def finish_apart(n: int) -> list[Event]:
    """The reason of the end in an empty delta of its own: llama.cpp."""
    return [*(chunk({"content": " ok"}) for _ in range(n)), chunk({}, "length"), usage_event(n), DONE]


def four_a_chunk(n: int) -> list[Event]:
    """Several tokens in an event, each event with the usage so far: speculative decoding in vLLM."""
    counts = [1, *range(5, n, 4), n]
    return [*(chunk({"content": " ok"}, None, used(count)) for count in counts), usage_event(n), DONE]


def thought(n: int, field: str) -> list[Event]:
    """The first half reasoned, the rest answered."""
    return [
        *(chunk({field: " hm"}) for _ in range(n // 2)),
        *(chunk({"content": " ok"}) for _ in range(n - n // 2)),
        usage_event(n),
        DONE,
    ]


def called(n: int) -> list[Event]:
    """A call of a tool, argument by argument; content stays null."""
    start = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": "1"}}
    calls = [start, *[rest] * (n - 1)]
    return [
        *(chunk({"content": None, "tool_calls": [one]}) for one in calls),
        chunk({}, "tool_calls"),
        usage_event(n),
        DONE,
    ]


def twice(n: int) -> list[Event]:
    """Every token event comes twice, as from a proxy that repeats; usage tells how many tokens there were."""
    return [event for event in told(n)[:n] for _ in range(2)] + told(n)[n:]


def without_usage(n: int) -> list[Event]:
    return [event for event in told(n) if event == DONE or event["choices"]]  # type: ignore[index]


def fewer(n: int) -> list[Event]:
    """Half as many tokens as asked, and no word about it but the reason of the end."""
    return [*(chunk({"content": " ok"}) for _ in range(n // 2)), chunk({}, "stop"), usage_event(n // 2), DONE]


def halves(n: int) -> list[Event]:
    """A letter outside the first plane, as the two halves in which JavaScript keeps it, one an event."""
    texts = ("\ud83c", "\udf88")
    return [json.dumps(chunk({"content": texts[k % 2]})) for k in range(n)] + told(n)[n:]


def one_line(size: int) -> Callable[[int], list[Event]]:
    """An event of so many bytes among ordinary ones."""
    return lambda n: [*told(n)[: n - 1], chunk({"content": "x" * size}, "length"), usage_event(n), DONE]


GOOD: dict[str, Plan] = {
    "plain": streamed(told),
    "role with empty content": streamed(lambda n: told(n, role={"role": "assistant", "content": ""})),
    "role with null": streamed(lambda n: told(n, role={"role": "assistant", "content": None})),
    "role without content": streamed(lambda n: told(n, role={"role": "assistant"})),
    "no space after data:": streamed(told, before=b"data:"),
    "comments": streamed(told, before=b": ping\n\ndata: "),
    "event lines": streamed(told, before=b"event: message\nid: 1\nretry: 10\ndata: "),
    "CR LF": at_once(lambda asked: boxed(whole(asked, after=b"\r\n\r\n"))),
    "byte order mark": at_once(lambda asked: boxed(b"\xef\xbb\xbf" + whole(asked))),
    "all in one write": at_once(lambda asked: b"".join(boxed(encoded(e)) for e in told(asked.tokens))),
    "all in one chunk": at_once(lambda asked: boxed(whole(asked))),
    "a byte a chunk": at_once(lambda asked: b"".join(boxed(bytes([byte])) for byte in whole(asked))),
    "a byte a write": in_pieces(1),
    "seven bytes a write": in_pieces(7),
    "letters of several bytes cut": in_pieces(1, lambda n: told(n, text="é漢🎈")),
    "escaped letters": streamed(lambda n: [e if e == DONE else json.dumps(e) for e in told(n, text='"\\\n\0é🎈')]),
    "slowly": in_pieces(16, gap_s=0.001),
    "chunk extensions and trailers": at_once(
        lambda asked: b"%x;name=value\r\n%s\r\n" % (len(whole(asked)), whole(asked)), end=b"0\r\nX-Sum: 1\r\n\r\n"
    ),
    "length given": at_once(
        lambda asked: b"Content-Length: %d\r\n\r\n%s" % (len(whole(asked)), whole(asked)), head=HEAD, end=b""
    ),
    "until closed": at_once(whole, head=HEAD + b"Connection: close\r\n\r\n", end=b"", keep=False),
    "HTTP/1.0": at_once(whole, head=HEAD.replace(b"1.1", b"1.0") + b"\r\n", end=b"", keep=False),
    "closed after the stream": at_once(lambda asked: boxed(whole(asked)), keep=False),
    "continue first": at_once(lambda asked: boxed(whole(asked)), head=b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED),
    "usage on the last token": streamed(usage_on_the_last),
    "finish in an event of its own": streamed(finish_apart),
    "no [DONE]": streamed(lambda n: told(n)[:-1]),
    "several tokens a chunk": streamed(four_a_chunk),
    "reasoning_content": streamed(lambda n: thought(n, "reasoning_content")),
    "reasoning": streamed(lambda n: thought(n, "reasoning")),
    "tool calls": streamed(called),
    "every token twice": streamed(twice),
    "a line of 10 MB": streamed(one_line(10_000_000)),
    "an answer that nobody asked for after it": at_once(
        lambda asked: boxed(whole(asked)), end=END + CHUNKED + boxed(encoded(chunk({"content": "more"}))) + END
    ),
    "junk after it": at_once(lambda asked: boxed(whole(asked)), end=END + b"junk\r\n\r\n"),
    "half a letter of UTF-16": streamed(halves),
    "content in parts": streamed(lambda n: told(n, text=[{"type": "text", "text": " ok"}])),
    "early hints first": at_once(
        lambda asked: boxed(whole(asked)),
        head=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Type: application/json\r\n\r\n" + CHUNKED,
    ),
    "usage in decimals": streamed(lambda n: [*told(n)[:n], {"choices": [], "usage": used(float(n), 7.0)}, DONE]),
}
"""Answers with every token asked for and with usage: the request is done, and its tokens are as many as asked."""


# Plans that end a request


def cut(after: int, how: Callable[[Wire], Any] = lambda _: None, tail: bytes = b"") -> Plan:
    """``after`` token events, ``tail``, and then what ``how`` does; the connection is closed."""

    def plan(wire: Wire, asked: Asked) -> None:
        wire.send(CHUNKED + b"".join(boxed(encoded(event)) for event in told(asked.tokens)[:after]) + tail)
        how(wire)

    return plan


def says(data: bytes) -> Plan:
    """These bytes and the end of the connection."""
    return lambda wire, _: wire.send(data)


def kept(data: bytes) -> Plan:
    """These bytes; the connection stays open."""

    def plan(wire: Wire, _: Asked) -> bool:
        wire.send(data)
        return True

    return plan


def error(status: int, message: str, **headers: str) -> Plan:
    """An error in OpenAI's form."""
    body = json.dumps({"error": {"message": message, "type": "error", "param": None, "code": status}})
    return kept(reply(status, body.encode(), **headers))


def echoing(status: int) -> Plan:
    """An error that repeats the request's headers, as debug pages do."""

    def plan(wire: Wire, asked: Asked) -> bool:
        wire.send(reply(status, json.dumps({"error": {"message": f"bad request: {asked.headers}"}}).encode()))
        return True

    return plan


def echoing_event(wire: Wire, asked: Asked) -> bool:
    """A stream whose error repeats the request's headers."""
    wire.send(CHUNKED + boxed(encoded({"error": {"message": str(asked.headers)}})) + END)
    return True


def echoing_junk(wire: Wire, asked: Asked) -> None:
    """A status line that repeats the request's headers."""
    wire.send(f"{asked.headers}\r\n\r\n".encode())


def echoing_event_junk(wire: Wire, asked: Asked) -> bool:
    """An event that is no JSON and repeats the request's headers."""
    wire.send(CHUNKED + boxed(f"data: {asked.headers}\n\n".encode()) + END)
    return True


def redirected(location: str) -> Plan:
    return kept(reply(302, b"", Location=location))


FAILURE = {"error": {"message": "the engine died", "type": "internal", "code": 500}}
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
WHOLE_JSON = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": " ok ok"}, "finish_reason": "length"}],
        "usage": used(2),
    }
).encode()

BAD: dict[str, tuple[Plan, frozenset[str]]] = {
    "closed before a reply": (says(b""), frozenset({"closed_before_reply"})),
    "reset before a reply": (lambda wire, _: wire.reset(), frozenset({"closed_before_reply"})),
    "closed in the head": (says(b"HTTP/1.1 200 OK\r\nContent-"), frozenset({"closed_mid_stream"})),
    "closed before the first token": (cut(0), frozenset({"closed_mid_stream"})),
    "closed in the middle": (cut(2), frozenset({"closed_mid_stream"})),
    "closed within an event": (cut(2, tail=b'40\r\ndata: {"choi'), frozenset({"closed_mid_stream"})),
    "closed within a chunk's size": (cut(2, tail=b"4"), frozenset({"closed_mid_stream"})),
    "reset in the middle": (cut(2, Wire.reset), frozenset({"closed_mid_stream"})),
    "fewer bytes than the length": (
        says(HEAD + b"Content-Length: 100000\r\n\r\n" + encoded(chunk({"content": "a"}))),
        frozenset({"closed_mid_stream"}),
    ),
    "chunk size that is no number": (cut(2, tail=b"zz\r\n"), frozenset({"malformed_http"})),
    "chunk size below zero": (cut(2, tail=b"-5\r\n"), frozenset({"malformed_http"})),
    "chunk size without end": (cut(2, tail=b"1" * 40 + b"\r\n"), frozenset({"malformed_http"})),
    "no HTTP at all": (says(b"220 mail.example.org ESMTP\r\n\r\n"), frozenset({"malformed_http"})),
    "HTTP/2": (says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18), frozenset({"malformed_http"})),
    "status that is no number": (says(b"HTTP/1.1 OK OK\r\n\r\n"), frozenset({"malformed_http"})),
    "no JSON in an event": (cut(2, tail=boxed(b"data: {oops\n\n") + END), frozenset({"malformed_sse"})),
    "JSON that is no object": (cut(2, tail=boxed(b"data: [1, 2]\n\n") + END), frozenset({"malformed_sse"})),
    "choices that are no list": (cut(2, tail=boxed(b'data: {"choices":3}\n\n') + END), frozenset({"malformed_sse"})),
    "letters that are no UTF-8": (
        cut(2, tail=boxed(b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n') + END),
        frozenset({"malformed_sse"}),
    ),
    "first event no JSON": (cut(0, tail=boxed(b"data: oops\n\n") + END), frozenset({"malformed_sse"})),
    "error in the stream": (cut(2, tail=boxed(encoded(FAILURE)) + END), frozenset({"error_event"})),
    "error as an event's name": (
        cut(2, tail=boxed(encoded(FAILURE, b"event: error\ndata: ")) + END),
        frozenset({"error_event"}),
    ),
    "error by its name alone": (
        cut(2, tail=boxed(b'event: error\ndata: {"message": "the engine died"}\n\n') + END),
        frozenset({"error_event"}),
    ),
    "error as an object of its own": (
        cut(2, tail=boxed(encoded({"object": "error", "message": "the engine died", "code": 500})) + END),
        frozenset({"error_event"}),
    ),
    "error as the first event": (cut(0, tail=boxed(encoded(FAILURE)) + END), frozenset({"error_event"})),
    "no event": (cut(0, tail=END), frozenset({"no_tokens"})),
    "no token": (
        cut(0, tail=boxed(encoded(chunk({"role": "assistant"}))) + boxed(encoded(DONE)) + END),
        frozenset({"no_tokens"}),
    ),
    "a line of 20 MB": (streamed(one_line(20_000_000)), frozenset({"too_large"})),
    "a head without end": (
        says(b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"x" * 20_000_000),
        frozenset({"too_large", "malformed_http"}),
    ),
    "compressed though not asked": (
        at_once(
            lambda asked: boxed(gzip.compress(whole(asked))),
            head=HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        frozenset({"malformed_http", "malformed_sse"}),
    ),
    "too many requests": (error(429, "slow down", Retry_After="1"), frozenset({"http_429"})),
    "error of the server": (kept(reply(500, PAGE, "text/html")), frozenset({"http_500"})),
    "bad gateway": (kept(reply(502, PAGE, "text/html")), frozenset({"http_502"})),
    "error without a body": (kept(reply(503, b"")), frozenset({"http_503"})),
    "error in a stream's form": (
        kept(b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n" + boxed(encoded(FAILURE)) + END),
        frozenset({"http_400"}),
    ),
    "error until closed": (says(b"HTTP/1.1 500 Oops\r\n\r\n" + PAGE), frozenset({"http_500"})),
    "no such model": (error(404, "The model `tiny` does not exist."), frozenset({"http_404"})),
    "wrong key": (error(401, "Incorrect API key provided"), frozenset({"http_401"})),
    "field not known": (error(422, "Unexpected fields in the request: {'ignore_eos'}"), frozenset({"http_422"})),
    "no content": (kept(b"HTTP/1.1 204 No Content\r\n\r\n"), frozenset({"http_204", "no_tokens"})),
    "JSON nested too deep": (kept(reply(200, b"[" * 200_000)), frozenset({"malformed_sse"})),
    "an event nested too deep": (
        cut(2, tail=boxed(b'data: {"choices":' + b"[" * 200_000 + b"\n\n") + END),
        frozenset({"malformed_sse"}),
    ),
    "a page instead of a stream": (kept(reply(200, PAGE, "text/html")), frozenset({"malformed_sse", "no_tokens"})),
}
"""Answers that end a request, each with the reasons that are right for it."""

SILENT: dict[str, tuple[Plan, str]] = {
    "no reply": (lambda wire, _: wire.hang(), "timeout_first_token"),
    "a head and no token": (cut(0, Wire.hang), "timeout_first_token"),
    "a role and no token": (
        cut(0, Wire.hang, tail=boxed(encoded(chunk({"role": "assistant", "content": ""})))),
        "timeout_first_token",
    ),
    "half a head": (lambda wire, _: (wire.send(b"HTTP/1.1 200 OK\r\nX-"), wire.hang())[1], "timeout_first_token"),
    "stalled in the middle": (cut(2, Wire.hang), "timeout_stalled"),
    "stalled within an event": (cut(2, Wire.hang, tail=b'40\r\ndata: {"choi'), "timeout_stalled"),
}
"""Answers that never come to an end, each with the time limit that must end them."""


def pinging(wire: Wire, asked: Asked) -> None:
    """A token and then comments for ever: bytes come, tokens do not."""
    wire.send(CHUNKED + boxed(encoded(told(asked.tokens)[0])))
    for _ in range(1000):
        wire.send(boxed(b": ping\n\n"))
        wire.pause(0.01)


def dripping(wire: Wire, asked: Asked) -> None:
    """A token every 10 ms, for ever: only a limit of the whole request ends it."""
    wire.send(CHUNKED)
    for _ in range(1000):
        wire.send(boxed(encoded(chunk({"content": " ok"}))))
        wire.pause(0.01)
