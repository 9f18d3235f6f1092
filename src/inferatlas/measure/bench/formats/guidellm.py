"""Reader of GuideLLM's ``benchmarks.json`` and ``.yaml``, report versions 1 and 2.

Format: https://github.com/vllm-project/guidellm, ``src/guidellm/benchmark/schemas`` (report 2ffffa8d and metrics
1a145a40), ``src/guidellm/schemas/base/request_stats.py`` (31c74ea2) and ``info.py`` (1053a039). A report holds
``metadata`` (version, from 0.5 on), ``args`` (version 1) or ``config`` (version 2), and ``benchmarks``; each has the
strategy, distributions of metrics by status, and requests by status, of which ``sample_requests`` may have dropped
some. Moments are Unix times of the wall clock. Tokens are those of the server's usage: where that is missing
GuideLLM counts events as tokens, which we do not. ``inter_token_latency_ms`` is ours per request, but its
statistics weigh each request by its tokens; ``time_per_output_token_ms`` includes the first token. Rates are of the
window without warm-up and cool-down. Unverified: reports before 0.4, whose requests lie flat and are left out.
"""

from __future__ import annotations

from typing import Any

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, seek, statistics
from inferatlas.measure.bench.formats.foreign import Foreign, defined
from inferatlas.measure.bench.formats.rows import Rows, reason

OPEN = {"constant": "constant", "poisson": "poisson", "async": None}  # strategies with a schedule, and its arrivals
_KINDS = {"synchronous": "closed", "concurrent": "closed", "throughput": "offline", "trace": "trace",
          "replay": "trace"} | dict.fromkeys(OPEN, "open")  # fmt: skip
_STATISTICS = {"mean": "mean", "std": "std_dev", "min": "min", "max": "max", "p50": "median"}
_TAILS = {"p90": "p90", "p95": "p95", "p99": "p99", "p99.9": "p999"}
_DEFINITIONS = {
    "inter_token_latency_ms": "(last token - first token) / (output tokens - 1) per request; statistics weigh a "
    "request by its output tokens - 1",
    "time_per_output_token_ms": "(last token - request start) / output tokens: includes the first token; statistics "
    "weigh a request by its output tokens",
    "output_tokens_per_second": "tokens/s of the window without warm-up and cool-down, token times drawn evenly",
    "tokens_per_second": "input and output tokens/s of the window without warm-up and cool-down",
    "requests_per_second": "requests/s of the window without warm-up and cool-down",
}


def recognises(document: Any) -> bool:
    """Whether a document is a report of GuideLLM."""
    return isinstance(document, dict) and isinstance(document.get("benchmarks"), list) and "version" not in document


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """A benchmark per strategy that the report holds."""
    found: list[Foreign] = []
    for line, report in loaded.documents:
        where = Where(loaded.file, line)
        metadata = where.table(report, "metadata")
        version = where.whole(metadata, "version")
        if version is not None and version not in (1, 2):
            raise where.bad("metadata.version", f"report version {version} is not known", "1, 2")
        for number, benchmark in enumerate(report["benchmarks"]):
            here = where.within(f"benchmarks[{number}]")
            if not isinstance(benchmark, dict) or not benchmark.get("metrics"):
                raise here.bad("metrics", "missing", "the metrics of a benchmark")
            found.append(_one(here, report, benchmark, where.text(metadata, "guidellm_version")))
    if not found:
        raise Where(loaded.file).bad("benchmarks", "the report holds no benchmark", "a list of benchmarks")
    return tuple(found)


def _one(where: Where, report: dict[str, Any], benchmark: dict[str, Any], version: str | None) -> Foreign:
    load, notes = _load(where, report, benchmark), ["moments are of the wall clock"]
    is_open = load["kind"] in ("open", "trace")
    rows = _requests(where, benchmark, is_open=is_open, model=load.get("model"))
    metrics_table = where.table(benchmark, "metrics")
    totals = where.table(metrics_table, "request_totals")
    counts = {"sent": where.whole(totals, "total"), "completed": where.whole(totals, "successful"), "failed": known({
        "interrupted": where.whole(totals, "incomplete") or None, "unknown": where.whole(totals, "errored") or None,
    })}  # fmt: skip
    whole = rows is not None and counts["sent"] in (None, len(rows))
    if rows is None:
        notes.append("no requests in the report")
    elif whole:
        counts = rows.counts()
    else:
        notes.append(f"the report holds {len(rows)} of {counts['sent']} requests (sample_requests)")
    metrics, foreign = _figures(where.within("metrics"), metrics_table, is_open=is_open, trimmed=_trimmed(benchmark))
    if rows is not None and whole and (itl := rows.statistics("itl_s")):
        metrics["itl_s"] = itl
    told = {name: text for name, text in _DEFINITIONS.items() if name in foreign}
    return Foreign(
        tool="guidellm", version=version, load=load, requests=None if rows is None else rows.columns, metrics=metrics,
        foreign=foreign, definitions=defined(metrics, told), notes=tuple(notes), counts=counts,
        remarks=("wall_clock",),
    )  # fmt: skip


def _load(where: Where, report: dict[str, Any], benchmark: dict[str, Any]) -> dict[str, Any]:
    config = where.table(benchmark, "config") or where.table(benchmark, "args")
    strategy = where.within("config").table(config, "strategy")
    name = next((text for key in ("type_", "kind", "type") if (text := where.text(strategy, key))), None)
    if name not in _KINDS:
        raise where.bad("config.strategy", f"strategy '{name}' is not known", ", ".join(_KINDS))
    metrics = where.table(benchmark, "metrics")

    def mean(figure: str) -> float | None:
        summary = where.table(where.table(metrics, figure), "successful")
        return where.number(summary, "mean") or None

    model = seek(config.get("backend"), "model", "model_id") or seek(report, "model")
    return known({
        "kind": _KINDS[name], "strategy": name,
        "concurrency": 1 if name == "synchronous" else where.whole(strategy, "streams")
        or where.whole(strategy, "max_concurrency"),
        "request_rate": where.number(strategy, "rate") or None, "arrival": OPEN.get(name or ""),
        "input_tokens": mean("prompt_token_count"), "output_tokens": mean("output_token_count"),
        "duration_s": where.number(benchmark, "duration"),
        "model": model if isinstance(model, str) else None,
    })  # fmt: skip


def _trimmed(benchmark: dict[str, Any]) -> bool:
    """Whether warm-up or cool-down was cut off, so that rates are not of the whole run."""
    if any(benchmark.get(name) for name in ("warmup_duration", "cooldown_duration")):
        return True
    phases = [seek(benchmark.get("config"), name) for name in ("warmup", "cooldown")]
    return any(one.get("percent") or one.get("value") if isinstance(one, dict) else one for one in phases)


def _requests(where: Where, benchmark: dict[str, Any], *, is_open: bool, model: str | None) -> Rows | None:
    held = where.table(benchmark, "requests")
    listed = [
        (status, where.within(f"requests.{status}[{number}]"), one)
        for status in ("successful", "incomplete", "errored")
        for number, one in enumerate(where.within("requests").rows(held, status))
    ]
    if not listed or not all(isinstance(one, dict) and isinstance(one.get("info"), dict) for _, _, one in listed):
        return None
    moments = [(here.within("info").table(one["info"], "timings"), here, status, one) for status, here, one in listed]
    starts = [t for timings, here, _, _ in moments if (t := here.number(timings, "request_start")) is not None]
    origin = where.number(where.table(benchmark, "scheduler_metrics"), "start_time")
    if origin is None:
        origin = where.number(where.table(benchmark, "scheduler_state"), "start_time")
    origin = min(starts, default=0.0) if origin is None else origin
    # requests that were never sent come last
    sent = [(float("inf") if (t := here.number(timings, "request_start")) is None else t, number)
            for number, (timings, here, _, _) in enumerate(moments)]  # fmt: skip
    moments = [moments[number] for _, number in sorted(sent)]
    rows, talks = Rows(open_loop=is_open), dict[str, int]()
    for timings, here, status, one in moments:
        rows.add(model=model, **_row(here, one, timings, status, origin, talks, is_open=is_open))
    return rows


def _row(
    where: Where, one: dict[str, Any], timings: dict[str, Any], status: str, origin: float, talks: dict[str, int],
    *, is_open: bool,
) -> dict[str, Any]:  # fmt: skip
    def at(name: str) -> float | None:
        moment = where.within("info.timings").number(timings, name)
        return None if moment is None else moment - origin

    info, used = one["info"], where.table(one, "output_metrics")
    tokens = where.whole(used, "total_tokens") or where.whole(used, "text_tokens")
    asked = where.table(one, "input_metrics")
    talk = where.text(info, "conversation_id")
    row: dict[str, Any] = {
        "due_s": at("targeted_start") if is_open else None, "sent_s": at("request_start"),
        "first_token_s": at("first_token_iteration"), "first_answer_s": at("first_output_token_iteration"),
        "finish_s": at("last_token_iteration"), "end_s": at("request_end"),
        "input_tokens": where.whole(asked, "total_tokens") or where.whole(asked, "text_tokens"),
        "output_tokens": tokens, "output_tokens_source": "usage" if tokens else None,
        "cached_tokens": where.whole(asked, "cached_tokens"),
        "chunks": where.whole(timings, "token_iterations") or None,
        "conversation": None if talk is None else talks.setdefault(talk, len(talks)),
        "chunk_tokens": where.rows(one, "chunk_tokens") or None,  # ours: see `guidellm_out`
        "turn": None if talk is None else where.whole(info, "turn_index"),
    }  # fmt: skip
    if status == "successful":
        return row | {"status": "done"}
    error = where.text(info, "error")
    why = "interrupted" if status == "incomplete" else reason(error)
    return row | {"status": "failed", "failed_s": row["end_s"], "detail": error, "reason": why}


def _figures(
    where: Where, metrics: dict[str, Any], *, is_open: bool, trimmed: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    def figure(name: str, scale: float = 1.0) -> dict[str, float] | None:
        summary = where.within(name).table(where.table(metrics, name), "successful")
        tails = statistics(where.within(name), where.table(summary, "percentiles") | {"mean": 1.0},
                           _TAILS | {"mean": "mean"}, scale)  # fmt: skip
        found = statistics(where.within(name), summary, _STATISTICS, scale)
        return None if found is None else (tails or {}) | found

    def mean(name: str) -> float | None:
        return (figure(name) or {}).get("mean")

    ours: dict[str, Any] = {
        ("ttft_service_s" if is_open else "ttft_s"): figure("time_to_first_token_ms", 1e-3),
        ("latency_service_s" if is_open else "latency_s"): figure("request_latency"),
    }
    theirs: dict[str, Any] = {
        "inter_token_latency_ms": figure("inter_token_latency_ms"),
        "time_per_output_token_ms": figure("time_per_output_token_ms"),
    }
    rates = {"output_tokens_per_second": "output_tokens_per_s", "tokens_per_second": "total_tokens_per_s",
             "requests_per_second": "requests_per_s"}  # fmt: skip
    for name, our in rates.items():
        if trimmed:
            theirs[name] = mean(name)
        else:
            ours[our] = mean(name)
    return known(ours), known(theirs)
