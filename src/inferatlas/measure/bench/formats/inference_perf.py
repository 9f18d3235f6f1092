"""Reader of inference-perf's reports: ``*_lifecycle_metrics.json`` of a stage or a run, and of single requests.

Format: https://github.com/kubernetes-sigs/inference-perf, ``inference_perf/reportgen/base.py`` (010d12fb) and
``inference_perf/apis/base.py`` (03e89d4a); a real report: ``demos/kubecon-na-2025/vllm+eagle/results`` (f22baac6).
Durations are in seconds. TPOT is our ITL; its "inter-token latency" is every gap between tokens, in which the first
token of an event has the whole gap and the others none; NTPOT is latency / tokens. Latency ends with the reply, not
with its last token. ``per_request_lifecycle_metrics.json`` is a list with ``start_time``, ``end_time`` and the times
of tokens, of one monotonic clock; tokens are the server's where ``server_usage`` is there, else re-tokenised text.
"""

from __future__ import annotations

from typing import Any

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, statistics
from inferatlas.measure.bench.formats.foreign import Foreign, defined
from inferatlas.measure.bench.formats.rows import Rows, reason

_STATISTICS = {"mean": "mean", "min": "min", "max": "max", "p50": "median"} | {
    f"p{rank}": f"p{rank}" for rank in ("1", "5", "10", "25", "75", "90", "95", "99", "99.9")
}
_DEFINITIONS = {
    "inter_token_latency": "every gap between tokens, s; the first token of an event has the whole gap, the rest 0",
    "normalized_time_per_output_token": "(end of the reply - start) / output tokens, s",
}


def recognises(document: Any) -> bool:
    """Whether a document is a report of inference-perf, of a run or of its requests."""
    if isinstance(document, dict):
        return "load_summary" in document and "successes" in document
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, dict) and {"start_time", "end_time", "info"} <= first.keys()


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """The benchmark of the report: one stage, or the whole run."""
    line, document = loaded.documents[0]
    where = Where(loaded.file, line)
    return (_report(where, document) if isinstance(document, dict) else _requests(where, document),)


def _report(where: Where, report: dict[str, Any]) -> Foreign:
    asked, good, bad = (where.table(report, name) for name in ("load_summary", "successes", "failures"))
    rate, users = (where.within("load_summary").number(asked, name) for name in ("requested_rate", "concurrency"))
    kind = "closed" if users else "open" if rate else None
    is_open = kind != "closed"
    latency, throughput = where.within("successes").table(good, "latency"), where.table(good, "throughput")

    def figure(name: str) -> dict[str, float] | None:
        here = where.within(f"successes.latency.{name}")
        return statistics(here, where.within("successes.latency").table(latency, name), _STATISTICS)

    def mean(*names: str) -> float | None:
        return next((value for name in names if (value := where.number(where.table(good, name), "mean"))), None)

    metrics = known({
        ("ttft_service_s" if is_open else "ttft_s"): figure("time_to_first_token"),
        ("latency_service_s" if is_open else "latency_s"): figure("request_latency"),
        "itl_s": figure("time_per_output_token"),
        "output_tokens_per_s": where.number(throughput, "output_tokens_per_sec"),
        "total_tokens_per_s": where.number(throughput, "total_tokens_per_sec"),
        "requests_per_s": where.number(throughput, "requests_per_sec"),
    })  # fmt: skip
    delay = where.table(asked, "schedule_delay")
    lag = known({ours: where.within("load_summary.schedule_delay").number(delay, theirs, least=None)
                 for ours, theirs in _STATISTICS.items()})  # fmt: skip
    metrics |= {"send_lag_s": lag} if lag else {}
    foreign = known({name: figure(name) for name in _DEFINITIONS})
    completed, failed = where.whole(good, "count"), where.whole(bad, "count")
    if completed is None:
        raise where.bad("successes.count", "missing", "the number of requests that succeeded")
    return Foreign(
        tool="inference-perf", version=None, requests=None, metrics=metrics, foreign=foreign,
        load=known({"kind": kind, "concurrency": None if users is None else int(users),
                    "request_rate": None if kind == "closed" else rate, "requests": where.whole(asked, "count"),
                    "input_tokens": mean("prompt_len", "prompt_tokens"),
                    "output_tokens": mean("output_len", "output_tokens")}),
        definitions=defined(metrics, {name: text for name, text in _DEFINITIONS.items() if name in foreign}),
        notes=("latency ends with the reply", *(() if kind else ("the report does not say how requests arrive",))),
        counts={"sent": completed + (failed or 0), "completed": completed,
                "failed": {"unknown": failed} if failed else {}},
    )  # fmt: skip


def _requests(where: Where, listed: list[Any]) -> Foreign:
    held = [(where.within(f"[{number}]"), one) for number, one in enumerate(listed)]
    for here, one in held:
        if not isinstance(one, dict):
            raise here.bad("", "not a request", "a table per request")
        if here.number(one, "start_time", least=None) is None:
            raise here.bad("start_time", "missing", "a number")
    held.sort(key=lambda one: one[1]["start_time"])
    origin = held[0][1]["start_time"]
    lags = [one.get("scheduled_time") for _, one in held]
    rows = Rows(open_loop=all(lag is not None for lag in lags))
    for here, one in held:
        rows.add(**_row(here, one, origin))
    metrics = known({name: rows.statistics(name) for name in ("ttft_service_s", "latency_service_s", "itl_s")})
    return Foreign(
        tool="inference-perf", version=None, load={"requests": len(rows)}, requests=rows.columns, metrics=metrics,
        definitions=defined(metrics, {}), counts=rows.counts(),
        notes=("the run starts with its first request", "figures computed from the requests",
               "the file does not say how requests arrive; stages are not told apart"),
    )  # fmt: skip


def _row(where: Where, one: dict[str, Any], origin: float) -> dict[str, Any]:
    def moment(name: str) -> float | None:
        value = where.number(one, name, least=None)
        return None if value is None else value - origin

    info = where.table(one, "info")
    answer = where.within("info").table(info, "response_metrics") or info
    usage = where.within("info").table(answer, "server_usage")
    asked = where.table(where.table(info, "request_metrics"), "text")
    used = where.whole(usage, "completion_tokens")
    counted = where.within("info").whole(answer, "output_tokens") or None
    tokens = counted if used is None else used
    details = where.table(usage, "prompt_tokens_details")
    row: dict[str, Any] = {
        "due_s": moment("scheduled_time"), "sent_s": moment("start_time"), "end_s": moment("end_time"),
        "input_tokens": where.whole(usage, "prompt_tokens") or where.whole(asked, "input_tokens")
        or where.whole(info, "input_tokens"), "output_tokens": tokens,
        "output_tokens_source": "usage" if used is not None else "tokenizer" if counted else None,
        "cached_tokens": where.whole(details, "cached_tokens"), "retries": where.whole(info, "retries_attempted"),
        "adapter": where.text(info, "lora_adapter"),
    }  # fmt: skip
    if one.get("error") is not None:
        error = where.table(one, "error")
        kind, said = str(error.get("error_type", "")), str(error.get("error_msg", ""))
        code = int(kind.rsplit(" ", 1)[-1]) if kind.startswith("HTTP Error ") and kind[-1:].isdigit() else None
        return row | {"status": "failed", "failed_s": row["end_s"], "http_status": code,
                      "detail": f"{kind}: {said}", "reason": reason(f"{kind} {said}", code)}  # fmt: skip
    times = [time - origin for time in where.within("info").numbers(answer, "output_token_times")]
    if not times:
        return row | {"status": "done", "finish_s": row["end_s"]}  # a reply in one piece ends with its last token
    row |= {"status": "done", "first_token_s": times[0], "finish_s": times[-1]}
    groups: dict[float, int] = {}
    for time in times:
        groups[time] = groups.get(time, 0) + 1
    row["chunks"] = len(groups)
    if len(times) == tokens:  # the times are of the text re-tokenised: kept where the counts agree
        row |= {"token_s": times, "chunk_tokens": list(groups.values())}
    return row
