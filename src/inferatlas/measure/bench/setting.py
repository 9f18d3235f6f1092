"""What all points of a bench share: the servers as they answered, the client's targets, how tokens are counted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Target
from inferatlas.measure.bench.client.pool import Limits
from inferatlas.measure.bench.client.sending import Sender
from inferatlas.measure.bench.plan import Plan
from inferatlas.measure.bench.prompts.bodies import Bodies, Form, forcing, messages_json, text_json
from inferatlas.measure.bench.prompts.counting import Counter, Estimate, Overhead, TokenizerFile, calibrated
from inferatlas.measure.bench.prompts.server_counting import ServerCounter
from inferatlas.measure.bench.prompts.stock import word_stock
from inferatlas.measure.bench.server.address import Endpoint, Secret, authorisation, endpoint_at
from inferatlas.measure.bench.server.identify import Engine, identify
from inferatlas.measure.web import secrets_of
from inferatlas.workload.requests import Requests

PROBE_WORDS = (16, 256)  # prompts of two lengths: what a word costs, and what the server adds
PROBE_TOKENS = 8
PROBE_SEED = 2**30  # no point's
AGENT = b"inferatlas-bench"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Stream:
    """How answers come, as a first request showed. ``usage`` : whether the server tells tokens. ``tokens_per_event`` :
    None where that is unknown. ``streamed`` : in events, as asked.
    """

    usage: bool
    tokens_per_event: float | None
    streamed: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """See above. ``counter`` : of any text; ``words`` : of made-up prompts, None where a word is taken for a token.
    ``notes`` : what was found out, in sentences.
    """

    endpoints: tuple[Endpoint, ...]
    engines: tuple[Engine, ...]
    targets: tuple[Target, ...]
    headers: Secret
    tls: ssl.SSLContext | None
    form: Form
    counter: Counter
    words: Counter | None
    overhead: Overhead
    stream: Stream
    limits: Limits
    notes: tuple[str, ...] = field(default=())

    @property
    def model(self) -> str:
        return self.form.model


def prepare(
    plan: Plan, *, waiting: Callable[[float, str], None] | None = None, stopped: Callable[[], bool] = lambda: False
) -> Setting:
    """Ask the servers what they are, and learn how they answer from two small requests.

    Parameters
    ----------
    waiting : called while a server is not ready, with the seconds waited and why. stopped : asked while the first
        requests are in flight; True ends them.

    Raises
    ------
    BadInput : a server that is not there, refuses, or does not serve the model; a first request that fails.
    KeyboardInterrupt : it was stopped.
    """
    endpoints = tuple(endpoint_at(one) for one in plan.base_urls)
    if not endpoints:
        raise BadInput("no server", field="base_url", allowed="http://host:port")
    private = all(one.scheme == "https" or one.host in LOOPBACK for one in endpoints)
    headers = (
        authorisation(plan.api_key_env) if plan.api_key_env or private else Secret()
    )  # no key unasked in the clear
    tls = _tls(plan) if any(one.scheme == "https" for one in endpoints) else None
    engines = tuple(
        identify(
            one, model=plan.model, headers=headers, context=tls, patience_s=plan.rules.wait_ready_s, waiting=waiting
        )
        for one in endpoints
    )
    first = engines[0]
    rules = plan.rules
    limits = Limits(rules.connect_timeout_s, rules.timeout_s, rules.stall_timeout_s, rules.drain_s)
    force: Any = plan.force or forcing(first.name).force
    form = Form(first.model, plan.api, force, temperature=plan.temperature, extra=plan.extra)
    targets = tuple(_target(one, form, headers, tls) for one in endpoints)
    counted = _counter(plan, endpoints[0], first.model, headers, tls)
    known = [engine.context_tokens for engine in engines if engine.context_tokens is not None]
    words = _probe_words(min(known, default=None))
    answers = [_probe(target, _Probes(form, words), limits, stopped) for target in targets]
    notes = [note for engine in engines for note in engine.notes]
    if counted is None:
        counted, note = _learnt(answers[0], _Probes(form, words))
        notes.append(note)
    made_by = None if counted == Estimate() else counted
    overhead = Overhead()
    if isinstance(counted, ServerCounter):
        with suppress(BadInput):  # a server may count texts and not chats
            overhead = counted.overhead(plan.api)
    if not overhead.known and made_by is not None:
        overhead = _added(answers[0], _Probes(form, words), made_by)
    stream = _stream([one for own in answers for one in own])
    if not stream.usage:
        notes.append(
            "the server tells no usage: output tokens are counted by the tokenizer"
            if counted.exact
            else "the server tells no usage, and no tokenizer is known: output tokens stay unknown (--tokenizer)"
        )
    if stream.usage and (stream.tokens_per_event or 1.0) > 1.0 and "continuous_usage_stats" not in plan.extra:
        form = Form(first.model, plan.api, force, temperature=plan.temperature, continuous_usage=True, extra=plan.extra)
        notes.append("events carry several tokens: usage is asked for with each, so that they can be counted")
    return Setting(
        endpoints,
        engines,
        targets,
        headers,
        tls,
        form,
        counted,
        made_by,
        overhead,
        stream,
        limits,
        tuple(dict.fromkeys(notes)),
    )


def _tls(plan: Plan) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=plan.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"no certificates can be read: {error}", field="ca_file", file=plan.ca_file) from None
    if plan.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _target(endpoint: Endpoint, form: Form, headers: Secret, tls: ssl.SSLContext | None) -> Target:
    """The address behind a name, found once; the first one that can be connected to."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadInput(f"'{endpoint.host}' is not known: {error.strerror}", field="base_url") from None
    family, _, _, _, address = found[0]
    for other in found:
        with suppress(OSError), socket.socket(other[0], socket.SOCK_STREAM) as trial:
            trial.settimeout(5.0)
            trial.connect(other[4])
            family, address = other[0], other[4]
            break
    lines = [
        f"POST {endpoint.path(form.api)} HTTP/1.1".encode("ascii"),
        b"Host: " + endpoint.netloc.encode("idna" if not endpoint.netloc.isascii() else "ascii"),
        b"User-Agent: " + AGENT,
        b"Accept: text/event-stream",
        b"Content-Type: application/json",
        *(f"{name}: {value}".encode("latin-1") for name, value in headers.items()),
        b"Content-Length: ",
    ]
    head, context = b"\r\n".join(lines), tls if endpoint.scheme == "https" else None
    return Target(endpoint.host, family, address, head, context, secrets_of(headers))


def _counter(plan: Plan, endpoint: Endpoint, model: str, headers: Secret, tls: ssl.SSLContext | None) -> Counter | None:
    """The model's own tokenizer, or the server that counts with it; None where there is neither."""
    if plan.tokenizer is not None:
        return TokenizerFile(plan.tokenizer)
    with suppress(BadInput):
        return ServerCounter(str(endpoint), model, headers=headers, tls=tls)
    return None


class _Probes:
    """Small requests that show how a server answers and counts: two lengths, and for chat three messages."""

    live, name, notes = False, "first requests", ()

    def __init__(self, form: Form, words: tuple[int, int]) -> None:
        self._bodies, self._chat = Bodies(form), form.api == "chat"
        stock = word_stock()
        self.texts = [stock.text(PROBE_SEED, "own", n, many) for n, many in enumerate(words)]

    def __len__(self) -> int:
        return len(PROBE_WORDS) + self._chat

    def said(self, number: int) -> list[str]:
        """Texts of the messages of a request."""
        return self.texts[:1] * 3 if number == len(PROBE_WORDS) else [self.texts[number]]

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        texts = self.said(number)
        roles = ("user", "assistant", "user")
        prompt = messages_json(list(zip(roles, texts, strict=False))) if self._chat else text_json(texts[0])
        return self._bodies.ask(prompt, None, PROBE_TOKENS, number)


def _probe_words(context_tokens: int | None) -> tuple[int, int]:
    """Lengths of two prompts, of which three short ones fit into the context as well."""
    short, long = PROBE_WORDS
    if context_tokens is None:
        return short, long
    room = max(context_tokens // 4, 2)  # words may be several tokens, and a template adds some
    return min(short, max(room // 4, 1)), min(long, room)


def _probe(target: Target, probes: _Probes, limits: Limits, stopped: Callable[[], bool]) -> list[Answer]:
    """Small requests before anything is measured: their answers, in the order of `_Probes`.

    Raises
    ------
    BadInput : one of them failed. KeyboardInterrupt : it was stopped.
    """
    many = len(probes)
    requests = Requests("first", np.zeros(many), np.ones(many, int), np.full(many, PROBE_TOKENS), clients=many)
    answers: list[Answer] = []
    if Sender([target], requests, probes, answers.append, limits=limits, tick=lambda _: stopped()).run().stopped:
        raise KeyboardInterrupt
    for one in answers:
        if one.status != "done":
            detail = f": {one.detail}" if one.detail else ""
            raise BadInput(f"a first request failed, {one.reason}{detail}", field="base_url")
    return sorted(answers, key=lambda one: one.number)


def _learnt(answers: list[Answer], probes: _Probes) -> tuple[Counter, str]:
    """How long texts are, from what the server said of prompts of two lengths."""
    told = [one.input_tokens for one in answers[: len(PROBE_WORDS)]]
    texts = probes.texts
    if None not in told:
        with suppress(BadInput):
            estimate, _ = calibrated([len(text) for text in texts], [one or 0 for one in told])
            return estimate, f"prompts are made by an {estimate.name}, from the server's usage of two"
    return Estimate(), "a word is taken for a token: neither a tokenizer nor usage tells of tokens"


def _added(answers: list[Answer], probes: _Probes, counter: Counter) -> Overhead:
    """What the server adds to a prompt and to each message, where the text can be counted."""
    told = [one.input_tokens for one in answers]
    if None in told:
        return Overhead()
    more = [(tokens or 0) - sum(counter.count(probes.said(n))) for n, tokens in enumerate(told)]
    each = max(round((more[-1] - more[0]) / 2), 0) if len(more) > len(PROBE_WORDS) else 0
    return Overhead(prompt=max(more[0] - each, 0), message=min(each, max(more[0], 0)), known=True)


def _stream(answers: list[Answer]) -> Stream:
    told = [one for one in answers if one.output_tokens is not None]
    events = sum(len(one.stamps) for one in told)
    each = sum(one.output_tokens or 0 for one in told) / events if events else None
    return Stream(bool(told) and len(told) == len(answers), each, all(one.streamed for one in answers))
