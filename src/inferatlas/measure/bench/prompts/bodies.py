"""The JSON that is sent: made of parts that are the same for all requests, and of what differs.

In: a `Form` (API, model, what is asked of sampling and of length). Out: bodies, as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from inferatlas.errors import BadInput, UnknownName
from inferatlas.measure.bench.asks import Ask

Api = Literal["chat", "completions"]
Force = Literal["none", "ignore_eos", "min_max"]
LengthField = Literal["max_tokens", "max_completion_tokens"]
Message = tuple[str, str]  # who says it, and what

PATHS: dict[str, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
SEEDS = 2**31  # seeds of sampling stay below this: servers differ in what they hold
OURS = ("model", "stream", "messages", "prompt", "max_tokens", "max_completion_tokens", "n")  # not for extra fields


@dataclass(frozen=True, slots=True)
class Form:
    """What all bodies of a run have in common.

    Parameters
    ----------
    model : as the server calls it.
    api : ``chat`` (messages) or ``completions`` (a text, or token ids).
    force : how the length of answers is forced (`forcing`). ``min_max``: least and most tokens are both the wanted
        ones, and the end token is ignored; ``ignore_eos``: that alone; ``none``: at most the wanted ones.
    length_field : what the API calls the most tokens of an answer.
    temperature : of sampling; None: not sent.
    seed : of sampling: request i asks for ``seed`` + i; None: not sent.
    continuous_usage : ask for the usage with every event (``continuous_usage_stats`` of vLLM), so that the tokens of
        each can be counted.
    extra : further fields, put last: they replace ours, and None (null) takes a field away.

    Raises
    ------
    BadInput : a value out of its range; an extra field that has its own parameter, or that makes no stream.

    Examples
    --------
    >>> Form("tiny", force="ignore_eos").path
    '/v1/chat/completions'
    """

    model: str
    api: Api = "chat"
    force: Force = "none"
    length_field: LengthField = "max_tokens"
    temperature: float | None = None
    seed: int | None = None
    continuous_usage: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise BadInput(f"{self.model!r} names no model", field="model", allowed="the name the server knows")
        for value, kinds, name in ((self.api, Api, "api"), (self.force, Force, "force")):
            if value not in get_args(kinds):
                raise UnknownName(name, str(value), get_args(kinds))
        if self.length_field not in get_args(LengthField):
            raise UnknownName("length_field", str(self.length_field), get_args(LengthField))
        warm = self.temperature
        if warm is not None and not (isinstance(warm, int | float) and not isinstance(warm, bool) and 0 <= warm <= 100):
            raise BadInput(f"{warm!r} is no temperature", field="temperature", allowed="0 to 100")
        seed = self.seed
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEEDS):
            raise BadInput(f"{seed!r} is no seed", field="seed", allowed=f"a whole number, 0 to {SEEDS - 1}")
        for name in self.extra:
            if name in OURS:
                raise BadInput(
                    f"'{name}' is set elsewhere", field="extra", allowed=f"fields other than {', '.join(OURS)}"
                )
        _dumped(dict(self.extra), "extra")

    @property
    def path(self) -> str:
        """Where on the server such bodies go."""
        return PATHS[self.api]


class Bodies:
    """Bodies of a `Form`, each from the JSON of its prompt and the tokens wanted.

    Examples
    --------
    >>> bodies = Bodies(Form("tiny", api="completions", force="min_max", extra={"top_k": 1, "stream_options": None}))
    >>> bodies.ask(text_json("Once upon"), 2, 16).body.decode()
    '{"model":"tiny","stream":true,"ignore_eos":true,"top_k":1,"max_tokens":16,"min_tokens":16,"prompt":"Once upon"}'
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self._common = self._constant()
        self._heads: dict[str, bytes] = {}
        self._length = f',"{form.length_field}":'.encode()
        self._minimum = b',"min_tokens":' if form.force == "min_max" and "min_tokens" not in form.extra else b""
        self._seeded = form.seed is not None and "seed" not in form.extra
        self._prompt = b',"messages":' if form.api == "chat" else b',"prompt":'

    def _constant(self) -> bytes:
        """The fields that are the same in every body, without the braces around them."""
        form = self.form
        usage: dict[str, bool] = {"include_usage": True}
        if form.continuous_usage:
            usage["continuous_usage_stats"] = True
        fields: dict[str, Any] = {"stream": True, "stream_options": usage}
        if form.temperature is not None:
            fields["temperature"] = form.temperature
        if form.force != "none":
            fields["ignore_eos"] = True
        fields |= form.extra
        return _dumped({name: value for name, value in fields.items() if value is not None}, "extra")[1:-1]

    def _head(self, model: str) -> bytes:
        head = self._heads.get(model)
        if head is None:
            head = b'{"model":' + text_json(model) + b"," + self._common
            self._heads[model] = head
        return head

    def ask(
        self, prompt: bytes, input_tokens: int | None, output_tokens: int, number: int = 0, model: str | None = None
    ) -> Ask:
        """The request for a prompt.

        Parameters
        ----------
        prompt : JSON: of messages (`messages_json`) for chat; of a text (`text_json`) or a list of token ids for
            completions. input_tokens : meant, for the record. output_tokens : wanted. number : of the request, for
            its seed. model : instead of the form's.
        """
        length = str(output_tokens).encode()
        parts = [self._head(model or self.form.model), self._length, length]
        if self._minimum:
            parts += (self._minimum, length)
        if self._seeded:
            parts.append(b',"seed":%d' % (((self.form.seed or 0) + number) % SEEDS))
        parts += (self._prompt, prompt, b"}")
        return Ask(b"".join(parts), sha256(prompt).hexdigest()[:16], input_tokens, output_tokens)


def text_json(text: str) -> bytes:
    """A text as JSON, in ASCII.

    Examples
    --------
    >>> text_json('say "é"')
    b'"say \\\\"\\\\u00e9\\\\""'
    """
    return json.dumps(text).encode("ascii")


def messages_json(messages: Sequence[Message]) -> bytes:
    """Messages of the chat API as JSON, in ASCII.

    Examples
    --------
    >>> messages_json([("user", "Why?")])
    b'[{"role":"user","content":"Why?"}]'
    """
    parts = (b'{"role":%b,"content":%b}' % (text_json(role), text_json(text)) for role, text in messages)
    return b"[" + b",".join(parts) + b"]"


def parse_extra(text: str) -> dict[str, Any]:
    """Further fields of a body from the text of a JSON object.

    Raises
    ------
    BadInput : no JSON, or no object.

    Examples
    --------
    >>> parse_extra('{"top_k": 1}')
    {'top_k': 1}
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = getattr(error, "msg", "nested too deep")
        raise BadInput(f"is not JSON: {said}", field="extra", allowed='an object such as {"top_k": 1}') from None
    if not isinstance(fields, dict):
        raise BadInput("is no object", field="extra", allowed='an object such as {"top_k": 1}')
    return fields


def _dumped(fields: dict[str, Any], name: str) -> bytes:
    """Fields as JSON without spaces; refuses what JSON cannot hold."""
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot be written as JSON: {error}", field=name, allowed="JSON values") from None


@dataclass(frozen=True, slots=True)
class Forcing:
    """How an engine is made to answer with a wanted number of tokens.

    ``force``: as in `Form`. ``exact``: whether it was seen to give exactly as many; None: not known, so the lengths
    of answers have to be compared with what was asked in any case. ``source``: where that was found.
    """

    force: Force
    exact: bool | None
    source: str


FORCINGS: dict[str, Forcing] = {
    # vLLM 0.32.0: min_tokens alone gave one token more than asked, ignore_eos exactly as many (measured, reference/
    # engines.md, section 2); both together are Brunetta's minimum = maximum (load-generation.md, section 8.1).
    "vllm": Forcing("min_max", True, "reference/engines.md, section 2: measured on vLLM 0.32.0"),
    "sglang": Forcing("min_max", None, "reference/load-generation.md, section 8.1: documented, not run"),
    # min_tokens is silently ignored there, ignore_eos gave 50 of 50
    "llama.cpp": Forcing("ignore_eos", True, "reference/engines.md, section 3: measured on xllamacpp 2026.10"),
    # no ban of the end token in the API of these; transformers answers 422 to either field
    "tgi": Forcing("none", None, "reference/load-generation.md, section 8.1: no such field, unverified"),
    "transformers": Forcing("none", False, "reference/engines.md, section 4: both fields give 422"),
}
NOT_FORCED = Forcing("none", None, "engine not known: only the most tokens are asked, as hosted services allow")


def forcing(engine: str | None) -> Forcing:
    """How to force the length of an engine's answers.

    Parameters
    ----------
    engine : its name (``vllm``, ``sglang``, ``llama.cpp``, ``tgi``, ``transformers``), in any case; None or another:
        not known, and no field is sent that a server may refuse.

    Examples
    --------
    >>> forcing("vLLM").force, forcing("llama.cpp").force, forcing(None).force
    ('min_max', 'ignore_eos', 'none')
    """
    return FORCINGS.get((engine or "").strip().lower(), NOT_FORCED)
