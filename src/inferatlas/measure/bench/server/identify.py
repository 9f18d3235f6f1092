"""A server before load: it is waited for, its model chosen, its engine named, the way to it measured."""

from __future__ import annotations

import ssl
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.address import Endpoint, headers_for
from inferatlas.measure.bench.server.engines import engine_of, told
from inferatlas.measure.bench.server.models import chosen_model, context_tokens, json_of, listed_in, names_of
from inferatlas.measure.bench.server.series import PATHS, kept_lines
from inferatlas.measure.web import Connection, NoAnswer, Reply

ANSWER_S = 10.0  # for one answer: an engine that loads a model may be busy for seconds
WAIT_S = (0.05, 1.0)  # between two questions to a server that is not ready: at first, and at most
MOST_BYTES = 8 * 2**20  # of an answer
ROUND_TRIPS = 7  # small questions whose median is the round trip; the first opens the connection and does not count
NOT_READY = (408, 425, 429, 500, 502, 503, 504)  # what proxies and engines answer while a model is loaded
NO_SUCH_PAGE = (404, 405, 501)

Wait = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Engine:
    """A server that is ready.

    ``model`` : what requests call it; ``models`` : all that it lists. ``name``, ``version``, ``flags``,
    ``context_tokens`` (prompt and output together) : as it says itself, None or empty where it does not.
    ``metrics_url`` : where it publishes series that are known. ``round_trip_s`` : from a small question to the head of
    its answer, over an open connection, median. ``waited_s`` : until it was ready. ``notes`` : in sentences.
    """

    model: str
    models: tuple[str, ...]
    name: str | None
    version: str | None
    flags: Mapping[str, Any]
    context_tokens: int | None
    metrics_url: str | None
    round_trip_s: float | None
    waited_s: float
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"models": list(self.models), "flags": dict(self.flags), "notes": list(self.notes)}


def identify(
    endpoint: Endpoint, *, model: str | None = None, headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None, patience_s: float = 60.0, metrics_url: str | None = None,
    waiting: Wait | None = None,
) -> Engine:  # fmt: skip
    """What answers at an endpoint.

    Parameters
    ----------
    model : as requests will name it; None takes the only one that the server lists. headers : sent along, the key among
    them (`authorisation`). context : how TLS is checked. patience_s : how long to wait for a server that does not
    answer or says that it is not ready. metrics_url : where the metrics are, when they are not at `PATHS`.
    waiting : called with the seconds waited and why, before each further question.

    Raises
    ------
    BadInput : it does not answer in time, refuses the key, redirects, speaks something else, or does not serve the
    model.
    """
    headers = dict(headers or {})
    with closing(endpoint.connect(context)) as connection:
        reply, waited_s = _ready(endpoint, connection, headers, patience_s, waiting)
        listed = listed_in(reply)
        server = reply.headers.get("server")
        url, metrics = _metrics(endpoint, connection, headers, context, metrics_url)
        name = engine_of([str(one.get("owned_by")) for one in listed], server, metrics)
        more = told(name, metrics, lambda path: json_of(_asked(connection, endpoint.path(path), headers)))
        chosen, note = chosen_model(model, listed, more.name)
        round_trip_s = _round_trip(endpoint, connection, headers)
    own = next((one for one in listed if chosen in names_of(one)), {})
    notes = [note] if note else []
    if url is None:
        notes.append("no metrics of the engine are published" + (f" ({_how(more.name)})" if _how(more.name) else ""))
    return Engine(
        chosen, tuple(str(one["id"]) for one in listed), more.name, more.version, more.flags,
        context_tokens(own) or more.context_tokens, url, round_trip_s, waited_s, tuple(notes),
    )  # fmt: skip


def _how(name: str | None) -> str | None:
    """What makes an engine publish metrics (SGLang's production_metrics page, llama.cpp's tools/server/README.md)."""
    return {"SGLang": "start it with --enable-metrics", "llama.cpp": "start it with --metrics"}.get(name or "")


def _ready(
    endpoint: Endpoint, connection: Connection, headers: Mapping[str, str], patience_s: float, waiting: Wait | None
) -> tuple[Reply, float]:
    """The server's list of models, or whatever it answers instead, once it answers; and the time that took."""
    begin_s, wait_s = time.monotonic(), WAIT_S[0]
    while True:
        left_s = begin_s + patience_s - time.monotonic()
        why, reply = _once(endpoint, connection, headers, min(max(left_s, WAIT_S[1]), ANSWER_S))
        waited_s = time.monotonic() - begin_s
        if reply is not None:
            return reply, waited_s
        if waited_s + wait_s > patience_s:
            raise BadInput(
                f"{endpoint} {why}, after {waited_s:.1f} s",
                field="base_url", hint="is the server running, and its address right?",
            )  # fmt: skip
        if waiting is not None:
            waiting(waited_s, why)
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, WAIT_S[1])


def _once(
    endpoint: Endpoint, connection: Connection, headers: Mapping[str, str], answer_s: float
) -> tuple[str, Reply | None]:
    """Why the server is not ready, or its answer. What waiting does not change is raised."""
    try:
        reply = connection.ask(
            endpoint.path("models"), time.monotonic() + answer_s, headers=headers, most_bytes=MOST_BYTES
        )
    except NoAnswer as error:
        if error.kind in ("tls", "malformed", "too_large"):
            hint = "is it https, not http? is it the right port?"
            if error.kind == "tls":
                hint = "is it http, not https?"
                if "certificate" in error.why:
                    hint = "--ca-file FILE trusts the authority that signed it, --insecure any certificate"
            raise BadInput(f"{endpoint} {error.why}", field="base_url", hint=hint) from None
        return error.why, None
    if reply.status in NOT_READY:
        return f"answers HTTP {reply.status}", None
    if reply.status in (401, 403):
        known = "Authorization" in headers
        raise BadInput(
            f"{endpoint} {'refuses the key' if known else 'asks for a key'} (HTTP {reply.status})",
            field="api_key_env", allowed="--api-key-env NAME: an environment variable with the key",
        )  # fmt: skip
    if 300 <= reply.status < 400:
        raise BadInput(
            f"{endpoint} redirects, which is not followed", field="base_url",
            hint=f"name the address that it redirects to: {_redirected(endpoint, reply)}",
        )  # fmt: skip
    if reply.status != 200 and reply.status not in NO_SUCH_PAGE:
        raise BadInput(f"{endpoint} answers HTTP {reply.status} to a question for its models", field="base_url")
    # llama.cpp lists its model while it loads it, and says at /health that it does
    health = _asked(connection, endpoint.path("health"), headers, any_status=True)
    if health is not None and health.status == 503:
        return "answers HTTP 503 at /health", None
    return "", reply


def _redirected(endpoint: Endpoint, reply: Reply) -> str:
    """Where a redirect leads, without what may be secret in it."""
    try:
        parts = urlsplit(urljoin(endpoint.url("models"), reply.headers.get("location", "")))
    except ValueError:
        return "unknown"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _metrics(
    endpoint: Endpoint, connection: Connection, headers: Mapping[str, str], context: ssl.SSLContext | None,
    named: str | None,
) -> tuple[str | None, str]:  # fmt: skip
    """Where series that are known are published, and the page.

    Raises
    ------
    BadInput : an address was named, and there are none.
    """
    if named is None:
        for path in PATHS:
            reply = _asked(connection, endpoint.path(path), headers)
            if reply is not None and kept_lines(reply.body):
                return endpoint.url(path), reply.text
        return None, ""
    parts = urlsplit(named)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in named:
        raise BadInput("is no address", field="metrics_url", allowed="http://host:port/metrics")
    with closing(Connection(parts.scheme, parts.hostname, parts.port, context=context)) as other:
        reply = _asked(
            other,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers_for(named, endpoint, headers),
        )
    if reply is None or not kept_lines(reply.body):
        raise BadInput(
            "no known metrics of an engine are there", field="metrics_url", allowed="http://host:port/metrics"
        )
    return named, reply.text


def _asked(connection: Connection, path: str, headers: Mapping[str, str], *, any_status: bool = False) -> Reply | None:
    """A page that may not be there."""
    try:
        reply = connection.ask(path, time.monotonic() + ANSWER_S, headers=headers, most_bytes=MOST_BYTES)
    except NoAnswer:
        return None
    return reply if any_status or reply.status == 200 else None


def _round_trip(endpoint: Endpoint, connection: Connection, headers: Mapping[str, str]) -> float | None:
    """The median time to the head of a small answer, whatever it says; None where the server does not answer.

    /health is not asked: SGLang's may generate a token first (SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION).
    """
    taken = []
    for _ in range(ROUND_TRIPS):
        try:
            reply = connection.ask(endpoint.path("models"), time.monotonic() + ANSWER_S, headers=headers)
        except NoAnswer:
            return None
        taken.append(reply.answered_s - reply.asked_s)
    return statistics.median(taken[1:])
