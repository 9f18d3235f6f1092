"""The end of a run: tables, metrics, verdict and `run.json`, made of what lies in its folder, and again if asked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferatlas.measure.bench.loads import Loaded
from inferatlas.measure.bench.metrics.definitions import definitions
from inferatlas.measure.bench.metrics.efficiency import EnergySum
from inferatlas.measure.bench.metrics.flow import flow_of
from inferatlas.measure.bench.metrics.measured import Metrics, measure
from inferatlas.measure.bench.metrics.reading import read_timings, stretches
from inferatlas.measure.bench.metrics.steady import steady_window
from inferatlas.measure.bench.metrics.validity import judge
from inferatlas.measure.bench.plan import Plan, Point
from inferatlas.measure.bench.record.energy import energies_of, headline, idle_power, read_readings, write_power
from inferatlas.measure.bench.record.journal import NAME as JOURNAL
from inferatlas.measure.bench.record.journal import State
from inferatlas.measure.bench.record.tables import Clock, write_tables
from inferatlas.measure.bench.server.environment import finished
from inferatlas.measure.bench.server.scraping import JOURNAL as SCRAPES
from inferatlas.measure.bench.server.tables import engine_latencies, tables
from inferatlas.measure.bench.setting import Setting
from inferatlas.measure.metering.energy import Energy
from inferatlas.workload import parse_targets

RUN, SCHEMA, UNFINISHED = "run.json", 1, ".tmp"
STRETCH = 200_000  # tokens in memory at once
CLIENT = "client"  # event of the journal: how the client did in a segment
ADDED = ("duration_s", "cpu_s", "opened", "retries", "reads")  # of the client's account; of the others the most counts
OF_LONG = (
    "cpu_share", "event_loop_lag_p50_s", "event_loop_lag_p99_s", "stamp_delay_p50_s", "stamp_delay_p99_s",
)  # fmt: skip
LEAST_ACCOUNT_S = 1.0  # a start that is shorter has no share and no percentile worth the name, unless all are
CLOCKS = {
    "requests, events": "monotonic clock of the client, seconds since the first start of the run; starts lie apart as "
    "the wall clock has it",
    "latency": "from when a request was due in an open loop, from its sending in a closed one; *_service_s from its "
    "sending in both",
    "server": "the middle of each question for metrics, on the same clock; u_time_s is its standard uncertainty",
    "power": "readings on the same clock",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record says of the bench around it."""

    environment: dict[str, Any]
    command: str
    notes: tuple[str, ...] = ()
    hardware: dict[str, Any] = field(default_factory=dict)


def finish(
    folder: Path, plan: Plan, point: Point, setting: Setting, loaded: Loaded, facts: Facts, *, interrupted: bool
) -> dict[str, Any]:
    """Make the record whole; journals go when it is, unless the run was interrupted and may go on.

    Raises
    ------
    BadInput : a journal that is damaged; a disk that is full, with the journals as they were.
    """
    exact = setting.counter if setting.counter.exact and not setting.stream.usage else None
    state = write_tables(
        folder, open_loop=loaded.requests.clients is None, conversations=loaded.conversations, model=setting.model,
        counter=exact,
    )  # fmt: skip
    load = load_document(plan, point, loaded, setting)
    _write_scrapes(folder)
    clock = Clock(state)
    logs = read_readings(folder, len(state.segments))
    write_power(folder, logs, clock)
    metrics, energies = _measured(folder, plan, point, load, state, clock, logs)
    health = client_of(state)
    forced = setting.form.force != "none"
    verdict = judge(metrics, health, forced=forced, metered=any(log is not None for log in logs))
    if _unstreamed(folder):
        word = "degraded" if verdict.verdict == "valid" else verdict.verdict
        verdict = replace(verdict, verdict=word, remarks=(*verdict.remarks, "not_streamed"))
    document = {
        "schema_version": SCHEMA, "kind": "measured", "label": "measured", "command": facts.command,
        "started": _moment(state.segments[0][0]) if state.segments else None,
        "written": datetime.now(UTC).isoformat(timespec="seconds"), "unfinished": interrupted,
        "environment": finished(facts.environment), "hardware": facts.hardware,
        "software": _software(setting), "models": [setting.model],
        "endpoints": [str(one) for one in setting.endpoints], "seed": plan.seed, "load": load,
        "protocol": plan.protocol, "slo": list(plan.slo), "prompts": asdict(plan.prompts),
        "tokens": {"counter": setting.counter.name, "exact": setting.counter.exact, "usage": setting.stream.usage},
        "definitions": definitions(), "clocks": CLOCKS, "validity": verdict.as_dict(),
        "requests": {"sent": metrics.sent, "completed": metrics.completed, "failed": metrics.failed},
        "metrics": metrics.as_dict(), "client": health, "segments": len(state.segments),
        "energy": [one.as_dict() for one in energies],
        "engine": _engine_means(folder, metrics),
        "notes": [*dict.fromkeys([*facts.notes, *setting.notes, *loaded.requests.notes, *loaded.asks.notes])],
    }  # fmt: skip
    if plan.protocol is not None and plan.protocol.startswith("brunetta"):
        document["protocol_metrics"] = _brunetta(document["metrics"])
    target = folder / (RUN + UNFINISHED)
    target.write_text(_json(document), encoding="utf-8")
    target.replace(folder / RUN)
    if not interrupted:
        for name in (JOURNAL, SCRAPES):
            (folder / name).unlink(missing_ok=True)
    return document


def _measured(
    folder: Path, plan: Plan, point: Point, load: dict[str, Any], state: State, clock: Clock, logs: Sequence[Any]
) -> tuple[Metrics, tuple[Energy, ...]]:
    """Metrics of the steady window, with the energy of the same window."""
    timings = read_timings(folder, load, events=False)

    def parts() -> Any:
        return stretches(folder, load, STRETCH)

    flow = flow_of(timings, parts())
    # a ramp and a trace change all the time, as they should: their metrics are of the whole run
    window = None if point.kind in ("ramp", "trace") else steady_window(timings, flow)
    steady = window is not None and window.steady
    spans = window.spans if window is not None and steady else tuple(map(tuple, timings.spans().tolist()))
    energies = energies_of(logs, clock, spans)
    main = headline(energies)
    energy = None
    if main is not None and main.joules is not None:
        scope = "unknown" if main.scope is None else main.scope.label
        seconds = sum(high - low for low, high in spans)
        idle_w = idle_power(state, logs, main)
        energy = EnergySum(main.joules, main.uncertainty_j, scope, seconds, idle_w, main.reasons)
    return measure(timings, parse_targets(plan.slo), window, energy, parts=parts, flow=flow, seed=plan.seed), energies


def load_document(plan: Plan, point: Point, loaded: Loaded, setting: Setting) -> dict[str, Any]:
    """The load, as it was asked."""
    return {
        "kind": "closed" if point.kind == "closed" else "open" if point.kind in ("open", "ramp") else point.kind,
        "name": point.name, "concurrency": point.concurrency, "request_rate": point.request_rate,
        "arrival": point.arrival if point.kind == "open" else None, "burstiness": point.burstiness,
        "rates": None if point.rates is None else list(point.rates),
        "trace": None if point.trace is None else Path(point.trace).name, "speed": point.speed,
        "duration_s": point.duration_s, "repetition": point.repetition, "api": plan.api,
        "force": setting.form.force, "dataset": plan.prompts.dataset and loaded.requests.name,
        "stagger_s": plan.rules.stagger_s, "warmup": plan.rules.warmup,
    } | loaded.about  # fmt: skip


def client_of(state: State) -> dict[str, Any]:
    """The client's account over all starts of the run: counts and times added, of delays and shares the worst.

    Shares and delays of a start that was short, as one that had nothing left to send, say nothing and do not count.
    ``unwatched`` : starts that were killed before they could give an account.
    """
    told = {segment: json.loads(detail) for segment, _, kind, detail in state.events if kind == CLIENT}
    if not told:
        return {}
    long_s = min(max(one["duration_s"] for one in told.values()), LEAST_ACCOUNT_S)
    found: dict[str, Any] = {"unwatched": len(set(state.segment_of.values()) - set(told))}
    for name in dict.fromkeys(name for one in told.values() for name in one):
        chosen = [one for one in told.values() if name not in OF_LONG or one["duration_s"] >= long_s]
        values = [one[name] for one in chosen if one.get(name) is not None]
        if not values:
            found[name] = None
        elif isinstance(values[0], list):
            found[name] = [sum(each) for each in zip(*values, strict=True)]
        else:
            found[name] = sum(values) if name in ADDED else max(values)
    return found


def _unstreamed(folder: Path) -> bool:
    """Whether answers came in one piece though streams were asked for."""
    import polars as pl

    told = pl.scan_parquet(folder / "requests.parquet").select((~pl.col("streamed")).any()).collect().item()
    return bool(told)


def _write_scrapes(folder: Path) -> None:
    """server.parquet, engine_metrics.parquet, and what happened to scraping among the events."""
    import polars as pl

    if not (folder / SCRAPES).exists():
        return
    found = tables(folder / SCRAPES)
    events = pl.read_parquet(folder / "events.parquet")
    together = pl.concat([events, found.events.cast(dict(events.schema))]).sort("time_s")  # pyright: ignore
    for name, table in (("server", found.server), ("engine_metrics", found.engine_metrics), ("events", together)):
        target = folder / f"{name}.parquet{UNFINISHED}"
        table.write_parquet(target, compression="zstd")
        target.replace(folder / f"{name}.parquet")


def _engine_means(folder: Path, metrics: Metrics) -> dict[str, Any]:
    """The engine's own mean times over the window, as far as it tells them."""
    if not (folder / SCRAPES).exists() or not metrics.spans:
        return {}
    found = engine_latencies(folder / SCRAPES, metrics.spans[0][0], metrics.spans[-1][1])
    return {name: asdict(one) for name, one in found.items()}


def _software(setting: Setting) -> dict[str, Any]:
    first = setting.engines[0]
    return {
        "engine": first.name, "version": first.version, "flags": dict(first.flags),
        "context_tokens": first.context_tokens, "round_trip_s": first.round_trip_s,
        "endpoints": [one.as_dict() for one in setting.engines],
    }  # fmt: skip


def _brunetta(metrics: dict[str, Any]) -> dict[str, Any]:
    """The study's own metrics: throughput and efficiency over input + output, ITL as the mean over tokens."""
    return {
        "throughput_total_tokens_per_s": metrics["rates"]["total_tokens_per_s"]["whole_run"],
        "itl_mean_over_tokens_s": metrics["token_gap_s"]["mean"],
        "ttft_mean_s": metrics["ttft_service_s"]["mean"],
        "total_tokens_per_joule": metrics["total_tokens_per_joule"],
    }


def _moment(unix_ns: int) -> str:
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _json(document: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(name): plain(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        if hasattr(value, "item"):
            value = value.item()
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
