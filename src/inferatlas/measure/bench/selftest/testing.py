"""The client against the mock: level by level on a schedule, and once as fast as both can.

The client is the one of `bench run`, with its stagger; the mock runs on another core where there is one, so that what
is seen is the client's and this machine's.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferatlas.errors import BadInput
from inferatlas.measure.bench.asks import Ask
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.pool import Limits
from inferatlas.measure.bench.client.sending import Progress, Sender, Sent
from inferatlas.measure.bench.metrics.measured import measure
from inferatlas.measure.bench.metrics.validity import judge
from inferatlas.measure.bench.point import MOST_STAGGER_S, STAGGER_S
from inferatlas.measure.bench.selftest.child import Child, apart, mock
from inferatlas.measure.bench.selftest.errors import errors_of, gap_errors, stamp_errors, timings_from, ttft_errors
from inferatlas.measure.bench.selftest.found import Ceiling, Lateness, Level, SelfTest
from inferatlas.measure.bench.selftest.wire import MODEL
from inferatlas.measure.bench.server.environment import environment, finished
from inferatlas.workload.requests import Requests

STREAMS = (1, 16, 128, 512)  # those of reference/load-generation.md, section 3.2
MOST_STREAMS = 10_000
MOST_DURATION_S = 600.0
BURST_STREAMS, BURST_TOKENS = 64, 128  # section 3.1
BURST_REQUESTS_PER_S = 20_000  # more than any client in Python sends: the burst ends by its time
PROMPT = "the quick brown fox jumps over the lazy dog"
PATIENT = Limits(connect_s=10.0, total_s=60.0, stalled_s=30.0, drain_s=30.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is due when. The default is that of reference/load-generation.md, section 3.2: 20 tokens/s a stream."""

    ttft_s: float = 0.2
    itl_s: float = 0.05
    tokens: int = 32

    @property
    def latency_s(self) -> float:
        """Of an answer."""
        return self.ttft_s + self.itl_s * (self.tokens - 1)


class _Asks:
    """Every request says its number, so that the mock's log says which one it was."""

    name, notes, live = "self-test", (), False

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._document = {
            "model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": tokens, "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip

    def ask(self, number: int, replies: Sequence[str] = ()) -> Ask:
        body = json.dumps(self._document | {"user": str(number)}).encode()
        return Ask(body, "", len(PROMPT.split()), self._tokens)


Look = Callable[[str, float], None]


def _nobody(what: str, seconds: float) -> None: ...


def planned_s(streams: Sequence[int], duration_s: float, schedule: Schedule = Schedule()) -> float:
    """How long a self-test takes, in s, without what is reckoned in between.

    Examples
    --------
    >>> round(planned_s((1, 16), 5.0), 2)
    15.53
    """
    levels = (_rounds(duration_s, schedule) * schedule.latency_s + _stagger_s(one) for one in streams)
    return sum(levels) + duration_s


def selftest(
    streams: Sequence[int] = STREAMS,
    duration_s: float = 5.0,
    *,
    schedule: Schedule = Schedule(),
    look: Look = _nobody,
) -> SelfTest:
    """Test this machine's client.

    Parameters
    ----------
    streams : levels of load, each a number of requests in flight. duration_s : of each, rounded to whole answers and at
        least one, and of the burst. schedule : of the levels.
    look : told, every 0.1 s or so, what is done and how many s of `planned_s` have been.

    Raises
    ------
    BadInput : no such level or duration, with the field; more streams than this system allows; a mock that does not
        start.
    """
    levels = sorted(set(streams))
    if not levels or levels[0] < 1 or levels[-1] > MOST_STREAMS:
        raise BadInput(f"{', '.join(map(str, streams))} streams", field="streams", allowed=f"1 to {MOST_STREAMS:,}")
    if not 0 < duration_s <= MOST_DURATION_S:
        raise BadInput(f"{duration_s:g} s", field="duration", allowed=f"above 0, up to {MOST_DURATION_S:g} s")
    machine = environment(sys.argv, look_s=0)
    found: list[Level] = []
    with apart() as core:
        with mock(schedule.ttft_s, schedule.itl_s, core) as child:
            _warm_up(child)
            for at, one in enumerate(levels):
                passed = planned_s(levels[:at], duration_s, schedule) - duration_s
                found.append(_level(child, one, duration_s, schedule, _since(look, f"{one:,} in flight", passed)))
        with mock(0.0, 0.0, core) as child:
            _warm_up(child)
            passed = planned_s(levels, duration_s, schedule) - duration_s
            ceiling = _burst(child, duration_s, core is None, _since(look, "a burst", passed))
    return SelfTest(schedule.ttft_s, schedule.itl_s, schedule.tokens, tuple(found), ceiling, finished(machine))


def _level(child: Child, streams: int, duration_s: float, schedule: Schedule, tick: _Tick) -> Level:
    """So many streams on the schedule, for some rounds."""
    count = streams * _rounds(duration_s, schedule)
    child.stats()
    answers, sent = _drive(child, count, streams, schedule.tokens, tick=tick, ramp_s=_stagger_s(streams))
    told = child.stats()
    timings = timings_from(answers, sent.begin_ns, streams)
    metrics = measure(timings)
    of_mock = Lateness(told["late_p50_s"], told["late_p99_s"], told["late_max_s"], told["cpu_s"] / told["seconds"])
    return Level(
        streams, told["peak_active"], metrics.completed, _tokens(answers), metrics.failed,
        errors_of(ttft_errors(answers, schedule.ttft_s)), errors_of(gap_errors(answers, schedule.itl_s)),
        errors_of(stamp_errors(answers, told["log"])), of_mock, sent.health, judge(metrics, asdict(sent.health)),
        schedule.itl_s,
    )  # fmt: skip


def _burst(child: Child, duration_s: float, shared: bool, tick: _Tick) -> Ceiling:
    """Answers that come at once, for so long."""
    count = max(round(BURST_REQUESTS_PER_S * duration_s), BURST_STREAMS)
    child.stats()
    answers, sent = _drive(child, count, BURST_STREAMS, BURST_TOKENS, tick=tick, duration_s=duration_s)
    told = child.stats()
    failed = Counter(one.reason for one in answers if one.reason is not None)
    return Ceiling(
        BURST_STREAMS, sum(one.status == "done" for one in answers), dict(failed), _tokens(answers),
        (sent.end_ns - sent.begin_ns) / 1e9, sent.health.cpu_share, told["cpu_s"] / told["seconds"], shared,
    )  # fmt: skip


def _tokens(answers: Sequence[Answer]) -> int:
    """Of the whole answers."""
    return sum(one.output_tokens or 0 for one in answers if one.status == "done")


def _warm_up(child: Child) -> None:
    """A short answer, which shows that all is there, and loads what is loaded at first use.

    Raises
    ------
    BadInput : it failed.
    """
    (answer,), _ = _drive(child, 1, 1, 2)
    if answer.status != "done":
        raise BadInput(f"the built-in mock does not answer: {answer.reason} {answer.detail or ''}".strip())


def _drive(child: Child, count: int, clients: int, tokens: int, **how: Any) -> tuple[list[Answer], Sent]:
    ended: list[Answer] = []
    lengths = np.full(count, len(PROMPT.split())), np.full(count, tokens)
    requests = Requests("self-test", np.zeros(count), *lengths, clients=clients)
    sent = Sender([child.target], requests, _Asks(tokens), ended.append, limits=PATIENT, **how).run()
    return ended, sent


def _rounds(duration_s: float, schedule: Schedule) -> int:
    """Answers of a stream, one after the other."""
    return max(round(duration_s / schedule.latency_s), 1)


def _stagger_s(streams: int) -> float:
    """Within which the streams begin, as `bench run` lets them."""
    return min(STAGGER_S * streams, MOST_STAGGER_S)


_Tick = Callable[[Progress], bool]


def _since(look: Look, what: str, passed_s: float) -> _Tick:
    """Tell whoever looks of a part that begins after so many s."""
    begun = time.monotonic()

    def tick(_: Progress) -> bool:
        look(what, passed_s + time.monotonic() - begun)
        return False

    look(what, passed_s)
    return tick
