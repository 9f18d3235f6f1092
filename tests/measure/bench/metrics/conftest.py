"""Runs as arrays: written down event by event, or of servers whose truth is known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from inferatlas.measure.bench.metrics.timings import Timings, timings_of

Event = tuple[float, float]  # s, tokens


def written(
    requests: Sequence[tuple[float, Sequence[Event]]],
    *,
    closed: bool = True,
    clients: int | None = None,
    **columns: Any,
) -> Timings:
    """Timings of requests, each the time of sending and the events with tokens; further columns overrule."""
    sent = np.array([one for one, _ in requests], np.float64)
    chunks = [list(events) for _, events in requests]
    start = np.concatenate([[0], np.cumsum([len(one) for one in chunks])]).astype(int)
    flat = [event for one in chunks for event in one]
    filled: dict[str, Any] = {
        "sent_s": sent,
        "first_token_s": [one[0][0] if one else np.nan for one in chunks],
        "finish_s": [one[-1][0] if one else np.nan for one in chunks],
        "output_tokens": [sum(k for _, k in one) if one else np.nan for one in chunks],
        "chunks": [len(one) for one in chunks],
        "done": [bool(one) for one in chunks],
        "input_tokens": np.full(sent.size, 100.0),
    }
    filled["end_s"] = filled["finish_s"]
    if not closed:
        filled["due_s"] = sent
    times, tokens = ([one[n] for one in flat] for n in (0, 1))
    return timings_of(filled | columns, times, tokens, start, closed=closed, clients=clients)


def paced(sent: np.ndarray, ttft: np.ndarray | float, itl: np.ndarray | float, tokens: int, **told: Any) -> Timings:
    """Requests that answer at a pace of their own, a token an event."""
    ttft, itl = np.broadcast_to(ttft, sent.shape), np.broadcast_to(itl, sent.shape)
    at = (sent + ttft)[:, None] + itl[:, None] * np.arange(tokens)
    return written([(float(s), [(float(t), 1.0) for t in row]) for s, row in zip(sent, at, strict=True)], **told)


def loop(clients: int, rounds: int, ttft: float, itl: float, tokens: int, *, seed: int = 0, drift: float = 0.0):
    """A closed loop: users send again when they are answered; the pace varies by 10 %, and slows by ``drift``."""
    random = np.random.default_rng(seed)
    sent = np.empty((clients, rounds))
    gaps = np.empty((clients, rounds))
    now = random.uniform(0, 0.01, clients)
    for one in range(rounds):
        sent[:, one] = now
        gaps[:, one] = itl * random.uniform(0.9, 1.1, clients) * (1 + drift * one / rounds)
        now = now + ttft + gaps[:, one] * (tokens - 1) + 1e-4
    return paced(sent.ravel(), ttft, gaps.ravel(), tokens, clients=clients)


@pytest.fixture(name="written", scope="session")
def written_fixture() -> Callable[..., Timings]:
    return written


@pytest.fixture(name="paced", scope="session")
def paced_fixture() -> Callable[..., Timings]:
    return paced


@pytest.fixture(name="loop", scope="session")
def loop_fixture() -> Callable[..., Timings]:
    return loop


@pytest.fixture
def healthy() -> dict[str, float]:
    """A client that had nothing else to do."""
    return {"cpu_share": 0.2, "stamp_delay_p99_s": 0.0002, "event_loop_lag_p99_s": 0.0003}
