"""What comes back for one request: events of a stream, stamped as they are read.

An event counts when it carries text, reasoning or a part of a tool call; an event that only names the role, ends the
answer or gives the usage does not (reference/load-generation.md, sections 2 and 4). How many tokens an event carries
is known from usage in every event, from token ids or from log probabilities; else it stays unknown here.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any

import msgspec

from inferatlas.measure.bench.asks import Ask

DETAIL = 300  # characters of a server's words that are kept
MOST = 10_000_000  # no usage tells of more tokens: a record holds the time of each
NO_ERROR = (b"null", b"false", b"{}", b'""', b"[]")  # as some servers send with every event
BOM = b"\xef\xbb\xbf"  # may open a stream


class _Details(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None  # vLLM before 0.12, SGLang, DeepSeek
    reasoning: str | None = None  # vLLM, OpenRouter
    tool_calls: list[msgspec.Raw] | None = None


class _Logprobs(msgspec.Struct, gc=False):
    content: list[msgspec.Raw] | None = None  # chat
    tokens: list[msgspec.Raw] | None = None  # completions


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    text: str | None = None  # completions
    message: _Delta | None = None  # an answer that was not streamed
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None


class _Event(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw | None = None


_decode: Callable[[bytes], _Event] = msgspec.json.Decoder(_Event).decode


class Answer:
    """A request on its way and what came of it; times in ns of the monotonic clock, None where it did not happen.

    ``stamps``, ``marks``: of each event that counts, when it was read, and its tokens; where nothing says how many,
    less than 0: its characters. ``first_answer_ns``: the first event that is not reasoning. ``status``: None in flight.
    """

    __slots__ = (
        "ask", "cached_tokens", "connect_ns", "detail", "done", "due_ns", "end_ns", "endpoint", "failing",
        "finish_reason", "first_answer_ns", "first_byte_ns", "http_status", "input_tokens", "marked", "marks", "number",
        "output_tokens", "parts", "pending", "reason", "rest", "retries", "sent_ns", "stamps", "status", "streamed",
        "told",
    )  # fmt: skip

    def __init__(self, number: int, ask: Ask, due_ns: int, endpoint: int, *, keep_text: bool = False) -> None:
        self.number, self.ask, self.due_ns, self.endpoint = number, ask, due_ns, endpoint
        self.status: str | None = None
        self.reason: str | None = None
        self.retries = 0
        self.parts: list[str] | None = [] if keep_text else None
        self.sent_ns: int | None = None
        self.connect_ns: int | None = None
        self.end_ns: int | None = None
        self.begin()

    def begin(self) -> None:
        """Forget what came: the request is about to be sent, or sent again."""
        self.stamps, self.marks = array("q"), array("i")
        self.first_byte_ns: int | None = None
        self.first_answer_ns: int | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.finish_reason: str | None = None
        self.http_status: int | None = None
        self.detail: str | None = None
        self.marked: str | None = None  # what told the tokens of events: "usage", "ids"
        self.told = 0  # tokens that usage has told of so far
        self.done = False  # the stream said that it is at its end
        self.streamed = True
        self.rest = b""  # of a line that is not whole
        self.pending: bytes | None = None  # of an event that is not whole
        self.failing = False  # the event has the name "error"
        if self.parts:
            self.parts.clear()

    @property
    def text(self) -> str | None:
        """The answer without its reasoning, where it was to be kept."""
        return None if self.parts is None else _whole_letters("".join(self.parts))

    def read(self, body: bytes, now: int) -> str | None:
        """Take a piece of the stream, read at this time; the reason where it is none of the API's."""
        begun = self.rest or self.pending is not None
        if not begun and body.startswith(b"data: ") and body.find(b"\n") == len(body) - 2 and body.endswith(b"\n\n"):
            return self.event(body[6:-2], now)  # one whole event, as most pieces are
        if self.rest:
            body = self.rest + body
        lines = body.split(b"\n")
        self.rest = lines.pop()
        for each in lines:
            line = each[:-1] if each.endswith(b"\r") else each
            if not line:
                if (event := self.pending) is not None:
                    self.pending = None
                    if (reason := self.event(event, now)) is not None:
                        return reason
            elif line.startswith((b"data:", BOM)):
                line = line.removeprefix(BOM)
                content = line[6:] if line.startswith(b"data: ") else line[5:]
                self.pending = content if self.pending is None else self.pending + b"\n" + content
            elif line.startswith(b"event:"):
                self.failing = line[6:].strip() == b"error"
        return None

    def last(self, now: int) -> str | None:
        """The stream is over: an event that lacks its empty line is taken all the same."""
        line, self.rest = self.rest.rstrip(b"\r"), b""
        if line.startswith(b"data:"):
            content = line[5:].removeprefix(b" ")
            self.pending = content if self.pending is None else self.pending + b"\n" + content
        event, self.pending = self.pending, None
        return None if event is None else self.event(event, now)

    def event(self, content: bytes, now: int) -> str | None:
        """Take the data of one event."""
        if self.failing:
            self.detail = _words(content)
            return "error_event"
        try:
            event = _decode(content)
        except (msgspec.MsgspecError, RecursionError):
            if content.strip() == b"[DONE]":
                self.done = True
                return None
            event = _loosely(content)
            if event is None:
                self.detail = _words(content)
                return "malformed_sse"
        choices = event.choices
        if choices is None and event.usage is None and event.error is None and b'"error"' in content:
            event = _loosely(content) or event  # {"object": "error", ...}: vLLM before 0.9, LMDeploy
        if choices is not None and len(choices) == 1 and event.usage is None and event.error is None:
            choice = choices[0]
            text = None if choice.delta is None else choice.delta.content
            plain = choice.finish_reason is None and choice.token_ids is None and choice.logprobs is None
            if text and plain and self.parts is None:  # what nearly every event is, on the shortest way
                self.stamps.append(now)
                self.marks.append(-len(text))
                if self.first_answer_ns is None:
                    self.first_answer_ns = now
                return None
        return self._other(event, now)

    def _other(self, event: _Event, now: int) -> str | None:
        if event.error is not None and bytes(event.error) not in NO_ERROR:
            self.detail = _words(bytes(event.error))
            return "error_event"
        size = known = 0
        answered = False
        for choice in event.choices or ():
            text, thought, calls = _said(choice)
            size += len(text) + thought + calls
            answered = answered or bool(text) or calls > 0
            if text and self.parts is not None:
                self.parts.append(text)
            if choice.finish_reason is not None:
                self.finish_reason = _whole_letters(choice.finish_reason)
            known += _counted(choice)
        if known and size:
            self.marked = "ids"
        if event.usage is not None and (new := self._usage(event.usage)):
            known = new
            if size:
                self.marked = "usage"
        if size:
            self.stamps.append(now)
            self.marks.append(known or -size)
            if answered and self.first_answer_ns is None:
                self.first_answer_ns = now
        return None

    def _usage(self, usage: _Usage) -> int:
        """Keep what usage says; the tokens since it was told last."""
        if (tokens := _whole(usage.prompt_tokens)) is not None:
            self.input_tokens = tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens = _whole(usage.prompt_tokens_details.cached_tokens)
        if (tokens := _whole(usage.completion_tokens)) is None:
            return 0
        new, self.told = tokens - self.told, tokens
        self.output_tokens = tokens
        return max(new, 0)


def _said(choice: _Choice) -> tuple[str, int, int]:
    """Text of the answer, characters of reasoning, bytes of tool calls."""
    delta = choice.delta if choice.delta is not None else choice.message
    if delta is None:
        return choice.text or "", 0, 0
    calls = sum(len(bytes(call)) for call in delta.tool_calls or ())
    return delta.content or "", len(delta.reasoning_content or delta.reasoning or ""), calls


def _counted(choice: _Choice) -> int:
    """Tokens that ids or log probabilities tell of; 0 where there are none."""
    if choice.token_ids:
        return len(choice.token_ids)
    return 0 if choice.logprobs is None else len(choice.logprobs.content or choice.logprobs.tokens or ())


def _loosely(content: bytes) -> _Event | None:
    """An event whose fields are not of the types that are usual; None where it is no object of the API.

    Python's own reader takes halves of UTF-16 letters, which servers in JavaScript send, and NaN.
    """
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    choices = found.get("choices")
    if choices is not None and not (isinstance(choices, list) and all(isinstance(one, dict) for one in choices)):
        return None
    event = _Event(choices=[_choice(one) for one in choices or ()])
    if found.get("object") == "error":
        event.error = msgspec.Raw(content)
    elif found.get("error") is not None:
        event.error = msgspec.Raw(json.dumps(found["error"]).encode())
    if isinstance(usage := found.get("usage"), dict):
        details = usage.get("prompt_tokens_details")
        cached = _whole(details.get("cached_tokens")) if isinstance(details, dict) else None
        event.usage = _Usage(
            _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")),
            None if cached is None else _Details(cached),
        )  # fmt: skip
    return event


def _choice(found: dict[str, Any]) -> _Choice:
    delta = found.get("delta", found.get("message"))
    finish, ids = found.get("finish_reason"), found.get("token_ids")
    choice = _Choice(
        text=_text(found.get("text")),
        finish_reason=finish if isinstance(finish, str) else None,
        token_ids=ids if isinstance(ids, list) else None,
    )
    if isinstance(delta, dict):
        calls = delta.get("tool_calls")
        choice.delta = _Delta(
            _text(delta.get("content")), _text(delta.get("reasoning_content")), _text(delta.get("reasoning")),
            [msgspec.Raw(json.dumps(one).encode()) for one in calls] if isinstance(calls, list) else None,
        )  # fmt: skip
    return choice


def _text(value: Any) -> str | None:
    """Text as it is, or as a list of parts with a text each, as some servers send it."""
    if isinstance(value, list):
        return "".join(str(one.get("text") or "") for one in value if isinstance(one, dict))
    return value if isinstance(value, str) else None


def _whole_letters(text: str) -> str:
    """Halves of UTF-16 letters joined; a half that stays alone can be written nowhere and is replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(value: Any) -> int | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 0 <= value <= MOST else None


def _words(content: bytes) -> str:
    """The beginning of what a server said, on one line: more than is kept, so that no secret is cut and then missed."""
    return " ".join(content[: 4 * DETAIL].decode("utf-8", "replace").split())
