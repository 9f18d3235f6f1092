"""One point of load, from its first request to its record; or what is left of it, after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inferatlas.errors import BadInput
from inferatlas.measure.bench.apart import apart
from inferatlas.measure.bench.client.answer import Answer
from inferatlas.measure.bench.client.sending import Progress, Sender, Sent
from inferatlas.measure.bench.loads import Loaded, load_of, warm_up
from inferatlas.measure.bench.plan import Plan, Point
from inferatlas.measure.bench.record.document import CLIENT, RUN, Facts, finish
from inferatlas.measure.bench.record.energy import IDLE, readings_file
from inferatlas.measure.bench.record.journal import NAME as JOURNAL
from inferatlas.measure.bench.record.journal import Journal, State, read_state
from inferatlas.measure.bench.server.scraping import JOURNAL as SCRAPES
from inferatlas.measure.bench.server.scraping import Scraper
from inferatlas.measure.bench.setting import LOOPBACK, Setting
from inferatlas.measure.bench.watching import Recent, Watcher
from inferatlas.measure.metering.live import Live, take_all
from inferatlas.measure.metering.meter import Meter

LOOK_NS = 500_000_000  # between two looks of whoever watches
STAGGER_S, MOST_STAGGER_S = 0.002, 1.0  # per client of a closed loop, and for all


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a point. ``interrupted`` : it was stopped, and can go on."""

    folder: Path
    document: dict[str, Any]
    interrupted: bool


def run_point(folder: Path, plan: Plan, point: Point, setting: Setting, watcher: Watcher, facts: Facts) -> Ran:
    """Measure a point into its folder, or what is left of it.

    Parameters
    ----------
    folder : new, or of a run that was killed. facts : of the bench, for the record.

    Raises
    ------
    BadInput : a load that cannot be made, a folder that cannot be written.
    KeyboardInterrupt : it was stopped before its first request.
    """
    loaded = load_of(plan, point, setting)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN).unlink(missing_ok=True)  # of a start that was interrupted
    state = read_state(folder / JOURNAL) if (folder / JOURNAL).exists() else State()
    segment = len(state.segments)
    warm = warm_up(plan, loaded, setting)
    if warm and _sent(plan, point, setting, warm, lambda _: None, tick=lambda _: watcher.stopped()).stopped:
        raise KeyboardInterrupt  # before anything counts
    watcher.begun(point, len(loaded.requests))
    journal = Journal(folder)
    try:
        with _metered(folder, segment, plan, setting, watcher) as meter:
            idle_s = _idle(plan, meter, segment, watcher)
            journal.segment(segment)
            if idle_s:
                journal.event(IDLE, str(idle_s))
            with _scraped(folder, journal, plan, setting, state):
                sent = _load(plan, point, setting, loaded, journal, state, watcher, meter)
            journal.event(CLIENT, json.dumps(asdict(sent.health)))
            if sent.stopped:
                journal.event("interrupted", "stopped by whoever ran it")
    finally:
        journal.close()
    document = apart(lambda: finish(folder, plan, point, setting, loaded, facts, interrupted=sent.stopped))
    return Ran(folder, document, sent.stopped)


def _load(
    plan: Plan, point: Point, setting: Setting, loaded: Loaded, journal: Journal, state: State, watcher: Watcher,
    meter: Meter | None,
) -> Sent:  # fmt: skip
    """Send what is left, and show how it goes."""
    recent, total = Recent(), len(loaded.requests)
    lives = [] if meter is None else [Live(channel) for source in meter.sources for channel in source.channels]
    seen = [0] * (0 if meter is None else len(meter.sources))
    looked, full = 0, False
    place = 1 + next((n for n, one in enumerate(plan.points) if one.name == point.name), 0), len(plan.points)

    def ended(answer: Answer) -> None:
        journal.answer(answer)
        recent.take(answer)

    def tick(progress: Progress) -> bool:
        nonlocal looked, seen, full
        now = time.monotonic_ns()
        if now - looked >= LOOK_NS:
            looked = now
            journal.retry()
            if journal.trouble is not None and not full:
                watcher.told(f"{journal.trouble}; kept in memory and tried again until the end: make room")
            full = journal.trouble is not None
            if meter is not None and not meter.ended:
                fresh, seen = meter.fresh(seen)
                take_all(lives, fresh)
            watcher.look(recent.view(point, total, len(state.done), progress, _watts(lives), place))
        return watcher.stopped()

    stagger = plan.rules.stagger_s
    if stagger is None:
        stagger = min(STAGGER_S * (loaded.requests.clients or 0), MOST_STAGGER_S)
    return _sent(
        plan, point, setting, loaded, ended, done=frozenset(state.done), replies=state.replies, tick=tick,
        ramp_s=stagger, duration_s=_left_s(point, state),
    )  # fmt: skip


def _left_s(point: Point, state: State) -> float | None:
    """Of the time in which requests are sent, what earlier starts of the run left; None: no such limit."""
    if point.duration_s is None:
        return None
    past_ns = sum(last_ns - begin_ns for (_, begin_ns), last_ns in zip(state.segments, state.last_ns, strict=True))
    return max(point.duration_s - past_ns / 1e9, 0.0)


def _sent(plan: Plan, point: Point, setting: Setting, loaded: Loaded, ended: Any, **more: Any) -> Sent:
    keep = not setting.stream.usage and setting.counter.exact
    return Sender(
        setting.targets, loaded.requests, loaded.asks, ended, limits=setting.limits,
        most_in_flight=plan.rules.most_in_flight, keep_text=keep, **more,
    ).run()  # fmt: skip


def _watts(lives: list[Live]) -> float | None:
    """Of the channel that a window's energy would be told of: the first."""
    return next((one.watts for one in lives if one.watts is not None), None)


@contextmanager
def _metered(folder: Path, segment: int, plan: Plan, setting: Setting, watcher: Watcher) -> Iterator[Meter | None]:
    """Power while it runs: of sources that were named, or of this machine where the server runs on it."""
    here = all(one.host in LOOPBACK for one in setting.endpoints)
    if plan.no_power or not (plan.power or here):
        yield None
        return
    meter = Meter(plan.power, interval_s=plan.power_interval_s, record=readings_file(folder, segment))
    if not meter.sources:
        meter.close()
        yield None
        return
    try:
        with meter:
            yield meter
    except BadInput as error:
        if not meter.ended:
            raise
        watcher.told(f"readings of power: {error}")  # the run stands, with what is in the journal


def _idle(plan: Plan, meter: Meter | None, segment: int, watcher: Watcher) -> float:
    """Let the server rest while its power is read, before the first request of a run; how long."""
    if meter is None or segment or not plan.idle_s:
        return 0.0
    until = time.monotonic() + plan.idle_s
    while (left := until - time.monotonic()) > 0:
        if watcher.stopped():
            raise KeyboardInterrupt
        time.sleep(min(left, LOOK_NS / 1e9))
    meter.wait_for(time.monotonic_ns())
    return plan.idle_s


@contextmanager
def _scraped(folder: Path, journal: Journal, plan: Plan, setting: Setting, state: State) -> Iterator[None]:
    """The engine's own metrics while it runs."""
    urls = [engine.metrics_url for engine in setting.engines]
    known = [url for url in urls if url is not None]
    if not plan.scrape_s or len(known) < len(urls):
        yield
        return
    scraper = Scraper(
        known, folder / SCRAPES, origin_s=time.monotonic() - _passed_s(state), interval_s=plan.scrape_s,
        headers=setting.headers, context=setting.tls,
    )  # fmt: skip
    scraper.start()
    try:
        yield
    finally:
        health = scraper.stop()
        if health.failures:
            total = health.scrapes + health.failures
            journal.event("scrape_failed", f"{health.failures} of {total}: {health.last_failure}")


def _passed_s(state: State) -> float:
    """Time since the run was first begun, as the wall clock has it."""
    if not state.segments:
        return 0.0
    return max((time.time_ns() - state.segments[0][0]) / 1e9, 0.0)
