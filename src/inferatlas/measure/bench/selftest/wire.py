"""What the mock reads and writes: HTTP/1.1 requests out of bytes, events of a stream as bytes made beforehand."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MODEL = "selftest"
MOST_HEAD, MOST_BODY = 64 * 1024, 16 * 1024 * 1024  # bytes of a request
MOST_TOKENS = 1_000_000  # of an answer
CREATED = 1_700_000_000  # of every event: nobody reads it, and as long as a real one
LENGTH = re.compile(rb"^content-length:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
DONE = b"data: [DONE]\n\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
STATUS = {200: "OK", 400: "Bad Request", 404: "Not Found"}


class Form(NamedTuple):
    """Events of a route, each an HTTP chunk: of a token, and of the last token. ``kind``: the object that they are."""

    kind: str
    token: bytes
    last: bytes


class Asked(NamedTuple):
    """What a request asks for. ``end``: all that follows its last token. ``user``: its field of that name, a label."""

    form: Form
    tokens: int
    user: str
    end: bytes


def request_in(data: bytearray) -> tuple[str, str, bytes] | None:
    """Method, path and body of the first request, taken out of the bytes; None where it is not whole yet.

    Raises
    ------
    ValueError : it is no HTTP, or too long.

    Examples
    --------
    >>> data = bytearray(b"POST /v1/completions HTTP/1.1\\r\\nContent-Length: 2\\r\\n\\r\\n{}GET")
    >>> request_in(data), bytes(data)
    (('POST', '/v1/completions', b'{}'), b'GET')
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > MOST_HEAD:
            raise ValueError("the headers are too long")
        return None
    head = bytes(data[:end])
    found = LENGTH.search(head.replace(b"\r", b""))
    size = int(found[1]) if found else 0
    if size > MOST_BODY:
        raise ValueError("the body is too long")
    whole = end + 4 + size
    if len(data) < whole:
        return None
    method, path, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    body = bytes(data[end + 4 : whole])
    del data[:whole]
    return method, path, body


def asked(path: str, body: bytes, tokens: int) -> Asked:
    """What a body asks for.

    Parameters
    ----------
    tokens : of the answer, where the body does not say.

    Raises
    ------
    ValueError : it is no request of the API, or wants no stream.
    """
    document = json.loads(body)
    if not isinstance(document, dict) or document.get("stream") is not True:
        raise ValueError("a JSON object with stream = true is wanted")
    wanted = document.get("max_completion_tokens", document.get("max_tokens", tokens))
    if not isinstance(wanted, int) or not 1 <= wanted <= MOST_TOKENS:
        raise ValueError(f"max_tokens: 1 to {MOST_TOKENS} are allowed")
    options = document.get("stream_options")
    form = FORMS[path]
    end = _chunk(DONE) + b"0\r\n\r\n"
    if isinstance(options, dict) and options.get("include_usage"):
        words = _words(document)
        usage = {"prompt_tokens": words, "completion_tokens": wanted, "total_tokens": words + wanted}
        end = _event(form.kind, [], usage) + end
    return Asked(form, wanted, str(document.get("user", "")), end)


def reply(status: int, document: Any) -> bytes:
    """A whole reply with a JSON document."""
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _words(document: dict[str, Any]) -> int:
    """Words of the prompt, each a token here."""
    messages = document.get("messages")
    texts = [document.get("prompt")] if not isinstance(messages, list) else [
        one.get("content") for one in messages if isinstance(one, dict)
    ]  # fmt: skip
    return sum(len(one.split()) if isinstance(one, str) else len(one) for one in texts if isinstance(one, str | list))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(kind: str, choices: list[Any], usage: Any = None) -> bytes:
    document = {"id": "cmpl-selftest", "object": kind, "created": CREATED, "model": MODEL, "choices": choices}
    if usage is not None:
        document["usage"] = usage
    return _chunk(b"data: %b\n\n" % json.dumps(document, separators=(",", ":")).encode())


def _form(kind: str, content: dict[str, Any]) -> Form:
    plain, last = (
        _event(kind, [{"index": 0, **content, "logprobs": None, "finish_reason": reason}])
        for reason in (None, "length")
    )
    return Form(kind, plain, last)


FORMS = {
    CHAT: _form("chat.completion.chunk", {"delta": {"content": " the"}}),
    TEXT: _form("text_completion", {"text": " the"}),
}
