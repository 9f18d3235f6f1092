"""Where a server is, from a base URL as people type it, and the key that it asks for, from the environment only."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, quote, urlsplit

from inferatlas.errors import BadInput
from inferatlas.measure.web import Connection

FIELD = "base_url"
ALLOWED = "http://host:port or https://host:port, with or without a path"
DEFAULT_KEY = "OPENAI_API_KEY"  # the name that clients of the OpenAI API share

# What is asked of a server, below its base URL without the "/v1".
PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "models": "/v1/models",
    "metrics": "/metrics",
    "tokenize": "/tokenize",
    "health": "/health",
    "version": "/version",
    "props": "/props",
}
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, as `endpoint_at` reads it.

    ``host`` without brackets; ``prefix`` is "" or begins with "/" and does not end so; nothing in it is secret.

    Examples
    --------
    >>> endpoint = endpoint_at("http://[::1]:8000/v1/")
    >>> str(endpoint), endpoint.url("chat"), endpoint.host
    ('http://[::1]:8000', 'http://[::1]:8000/v1/chat/completions', '::1')
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def netloc(self) -> str:
        """As the Host header has it: with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def path(self, name: str) -> str:
        """The path of one of `PATHS`, or of any path that begins with "/"."""
        return self.prefix + PATHS.get(name, name)

    def url(self, name: str) -> str:
        return f"{self.scheme}://{self.netloc}{self.path(name)}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.prefix}"

    def connect(self, context: ssl.SSLContext | None = None) -> Connection:
        """A connection to it, not opened yet; ``context``: how TLS is checked."""
        return Connection(self.scheme, self.host, self.port, context=context)


def endpoint_at(text: str) -> Endpoint:
    """The server at a base URL: with or without scheme, port, path, "/v1" or the path of an API behind it.

    Raises
    ------
    BadInput : no such address; or a user, password, query or fragment in it, which is not repeated.

    Examples
    --------
    >>> for text in ("node-7:8000", "https://api.example.org/openai/v1", "localhost:8000/v1/chat/completions"):
    ...     print(endpoint_at(text))
    http://node-7:8000
    https://api.example.org/openai
    http://localhost:8000
    >>> endpoint_at("https://me:secret@node-7/v1")
    Traceback (most recent call last):
    inferatlas.errors.BadInput: base_url: the address holds a user or password (allowed: http://host:port ...)
      put the key into the environment: --api-key-env NAME
    """
    text = text.strip()
    _no_secrets(text)
    written = text if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) else f"http://{text}"
    try:
        parts = urlsplit(written)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # brackets without an IPv6 address, a port that is none
        raise _no_address(text, _hint(text)) from None
    if parts.scheme not in PORTS:
        raise _no_address(text, None)
    if not host or port == 0 or parts.netloc.endswith(":") or re.search(r"[\s\x00-\x1f\x7f\\]", written):
        raise _no_address(text, _hint(text))
    return Endpoint(parts.scheme, _host(text, host), port or PORTS[parts.scheme], _prefix(parts))


def _no_secrets(text: str) -> None:
    for found, what in (("@" in text, "a user or password"), ("?" in text, "a query"), ("#" in text, "a fragment")):
        if found:
            hint = "put the key into the environment: --api-key-env NAME"
            raise BadInput(f"the address holds {what}", field=FIELD, allowed=ALLOWED, hint=hint)


def _host(text: str, host: str) -> str:
    """A host as it stands in a request: names beyond ASCII in the form that resolvers know."""
    try:
        if ":" in host:
            return str(IPv6Address(host))
        found = host.encode("idna").decode("ascii").lower()
    except ValueError:  # among them what cannot be encoded
        found = ""
    if not re.fullmatch(r"[a-z0-9_.-]+", found):
        raise _no_address(text, _hint(text))
    return found


def _prefix(parts: SplitResult) -> str:
    """What stands before the paths of the APIs, whichever of them was typed along."""
    path = quote(parts.path, safe="/%:!$&'()*+,;=~-._").rstrip("/")
    for one in (PATHS["chat"], PATHS["completions"], PATHS["models"], "/v1"):
        if path.endswith(one):
            return path.removesuffix(one).rstrip("/")
    return path


def _no_address(text: str, hint: str | None) -> BadInput:
    return BadInput(f"'{text}' is no address of a server", field=FIELD, allowed=ALLOWED, hint=hint)


def _hint(text: str) -> str | None:
    bare = text.rsplit("://", maxsplit=1)[-1].split("/", maxsplit=1)[0]
    return "an IPv6 address stands in brackets: http://[::1]:8000" if bare.count(":") > 1 and "[" not in bare else None


class Secret(dict[str, str]):
    """Headers that are not shown when they are printed."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "***"))

    __str__ = __repr__


def authorisation(name: str | None = None, environment: Mapping[str, str] = os.environ) -> Secret:
    """The header that carries an API key, from an environment variable; no header where there is no key.

    Parameters
    ----------
    name : of the variable; None takes `DEFAULT_KEY` where that is set.

    Raises
    ------
    BadInput : the variable that was named is not set, or holds what cannot stand in a header.

    Examples
    --------
    >>> authorisation("KEY", {"KEY": "sk-1"})
    {'Authorization': '***'}
    >>> authorisation(None, {})
    {}
    """
    key = environment.get(name or DEFAULT_KEY, "").strip()
    field = "api_key_env"
    if not key:
        if name is None:
            return Secret()
        raise BadInput(f"the environment variable {name} is not set", field=field, allowed="the name of one with a key")
    if re.search(r"[^\x20-\x7e\xa0-\xff]", key):  # what HTTP allows in a header: latin-1 without controls
        raise BadInput(
            f"the key in {name or DEFAULT_KEY} cannot stand in a header",
            field=field, allowed="one line of printable characters of Latin-1",
        )  # fmt: skip
    return Secret(Authorization=f"Bearer {key}")


def headers_for(url: str, endpoint: Endpoint, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers that an address may see: those of a server, its key among them, go to no other one.

    Examples
    --------
    >>> server, headers = endpoint_at("https://api.example.org"), {"Authorization": "Bearer sk-1"}
    >>> headers_for("https://api.example.org/metrics", server, headers) == headers
    True
    >>> headers_for("http://api.example.org:8002/metrics", server, headers)
    {}
    """
    parts = urlsplit(url)
    same = (parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)) == (
        endpoint.scheme, endpoint.host, endpoint.port,
    )  # fmt: skip
    return headers if same else {}
