"""Tokens counted by the server under test, with its own tokenizer and its own chat template.

vLLM (and servers that copy it) answer ``POST /tokenize`` with ``{"model", "prompt"}``, and with ``{"model",
"messages"}`` after the chat template: https://docs.vllm.ai/en/v0.15.0/api/vllm/entrypoints/serve/tokenize/protocol/.
llama.cpp's server wants ``{"content"}``, and applies the template at ``POST /apply-template``:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from inferatlas.errors import BadInput
from inferatlas.measure.bench.prompts.bodies import Api
from inferatlas.measure.bench.prompts.counting import Overhead

Dialect = Literal["vllm", "llama.cpp"]
MOST_BYTES = 64 * 2**20  # of a reply: the ids of several million tokens
HINT = "give a tokenizer.json, or go without exact lengths"


class ServerCounter:
    """Counts by asking a server; one call per text.

    Parameters
    ----------
    base_url : of the server, with or without ``/v1``. model : as the server calls it.
    headers : sent with every call, for example a key; they are never shown, and no redirect is followed.
    timeout_s : seconds for each call. tls : None: the system's authorities.

    Raises
    ------
    BadInput : the server cannot be reached, or does not count.
    """

    exact = True

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{base_url!r} is no address", field="base_url", allowed="http://… or https://…")
        self._root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1')}"
        self._model, self._timeout_s = model, timeout_s
        self._headers = {**(headers or {}), "Content-Type": "application/json"}
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), _NoRedirect(), HTTPSHandler(context=tls))
        self.dialect: Dialect = self._probe()
        self.name = f"the server's /tokenize ({self.dialect})"

    def _probe(self) -> Dialect:
        """Which of the two forms the server understands."""
        status, reply = self._post("/tokenize", {"model": self._model, "prompt": "the"})
        if status == 200 and type(reply.get("count")) is int and _ids(reply):
            return "vllm"
        said = status
        status, reply = self._post("/tokenize", {"content": "the"})
        if status == 200 and _ids(reply):
            return "llama.cpp"
        message = f"the server does not count tokens: POST /tokenize gave status {said} and {status}"
        raise BadInput(message, field="tokenizer", allowed="a server with /tokenize", hint=HINT)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(self.ids(text)) for text in texts]

    def ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._tokens(text, special=False) if text else []

    def overhead(self, api: Api) -> Overhead:
        """What this server adds around texts.

        For chat found with one message and with three (user, assistant, user), which takes the same for each message.
        """
        word = "the"
        one = len(self.ids(word))
        if api == "completions":
            return Overhead(prompt=max(len(self._tokens(word, special=True)) - one, 0), known=True)
        first = self._chat([("user", word)]) - one
        third = self._chat([("user", word), ("assistant", word), ("user", word)]) - 3 * one
        message = max(round((third - first) / 2), 0)
        return Overhead(prompt=max(first - message, 0), message=min(message, first), known=True)

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        if self.dialect == "vllm":
            asked = {"model": self._model, "prompt": text, "add_special_tokens": special}
        else:
            asked = {"content": text, "add_special": special}
        return self._counted("/tokenize", asked)

    def _chat(self, messages: Sequence[tuple[str, str]]) -> int:
        """Tokens of a prompt of messages, after the chat template."""
        said = [{"role": role, "content": text} for role, text in messages]
        if self.dialect == "vllm":
            return len(self._counted("/tokenize", {"model": self._model, "messages": said}))
        status, reply = self._post("/apply-template", {"messages": said})
        prompt = reply.get("prompt")
        if status != 200 or not isinstance(prompt, str):
            message = f"the server does not apply its template: POST /apply-template gave status {status}"
            raise BadInput(message, field="tokenizer", hint=HINT)
        return len(self._counted("/tokenize", {"content": prompt, "add_special": True, "parse_special": True}))

    def _counted(self, path: str, asked: dict[str, Any]) -> list[int]:
        status, reply = self._post(path, asked)
        found = _ids(reply)
        if status != 200 or found is None:
            raise BadInput(
                f"the server stopped counting: POST {path} gave status {status}", field="tokenizer", hint=HINT
            )
        return found

    def _post(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a reply; an empty object where it is no JSON object."""
        request = Request(self._root + path, json.dumps(asked).encode(), self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as reply:
                status, text = reply.status, reply.read(MOST_BYTES)
        except HTTPError as error:
            with error:
                return error.code, {}
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            message = f"the server cannot be asked to count tokens: {reason}"
            raise BadInput(message, field="base_url", hint=HINT) from None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return status, {}
        return status, found if isinstance(found, dict) else {}


class _NoRedirect(HTTPRedirectHandler):
    """A key must not travel to another address: a redirect is an answer like any other."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return


def _ids(reply: dict[str, Any]) -> list[int] | None:
    """Token ids of a reply; None: there are none."""
    tokens = reply.get("tokens")
    return tokens if isinstance(tokens, list) and all(type(one) is int for one in tokens) else None
