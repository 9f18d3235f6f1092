"""The client's loop alone, driven against a server: requests in, what became of each out, no files."""

from __future__ import annotations

import hashlib
import json
import socket
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np

from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.connection import Target
from inferatlas.measure.bench.client.pool import Limits
from inferatlas.measure.bench.client.sending import Sender
from inferatlas.workload.requests import Requests

TOKENS = 6
QUICK = Limits(connect_s=0.3, total_s=0.6, stalled_s=0.3)  # for servers that never end
PATIENT = Limits(connect_s=10.0, total_s=30.0, stalled_s=10.0)  # for a machine with other work


class Numbered:
    """Every prompt is the request's number, so that a server's log says which request was asked."""

    name, notes, live = "numbered", (), False

    def __init__(self, tokens: int = TOKENS, **fields: Any) -> None:
        self.tokens, self.fields = tokens, fields

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        messages = [{"role": "user", "content": f"request {number}"}]
        body = {"model": "tiny", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        text = json.dumps(body | {"max_tokens": self.tokens, "ignore_eos": True} | self.fields).encode()
        return Ask(text, hashlib.sha256(text).hexdigest()[:16], 7, self.tokens)


def target(base_url: str, tls: Any = None, key: str | None = None) -> Target:
    url = urllib.parse.urlsplit(base_url)
    address = (socket.gethostbyname(url.hostname or ""), url.port)
    secret = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n{secret}"
    return Target(url.hostname or "", socket.AF_INET, address, f"{head}Content-Length: ".encode(), tls)


def closed_loop(count: int, clients: int = 1, tokens: int = TOKENS) -> Requests:
    lengths = np.full(count, tokens)
    return Requests("closed", np.zeros(count), np.full(count, 7), lengths, clients=clients)


def drive(to: Target, requests: Requests, limits: Limits = PATIENT, **how: Any) -> list[Answer]:
    """What became of each request, by number; every request has one fate and no more."""
    ended: list[Answer] = []
    asks = how.pop("asks", Numbered())
    Sender([to], requests, asks, ended.append, limits=limits, **how).run()
    numbers = [answer.number for answer in ended]
    assert sorted(numbers) == list(range(len(requests))), "every request once"
    assert all(answer.status in ("done", "failed") for answer in ended)
    assert all((answer.reason is None) == (answer.status == "done") for answer in ended)
    return sorted(ended, key=lambda answer: answer.number)
