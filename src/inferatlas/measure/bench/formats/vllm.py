"""Reader of what ``vllm bench serve --save-result`` writes, with or without ``--save-detailed``.

Format: https://github.com/vllm-project/vllm, ``vllm/benchmarks/serve.py`` (commit 009e6d4a) and
``vllm/benchmarks/lib/endpoint_request_func.py`` (02cfb534). With ``--save-detailed`` there is a list per column, a
place per request sent: ``ttfts`` and ``itls`` in seconds (0 and empty where the request failed), ``start_times`` of a
monotonic clock, ``errors``; ``latencies`` and ``queue_times`` in newer versions only. ``itls`` are gaps between events,
whatever they hold. On the chat route the event that names the role counts as the first token, and the file does not
say whether the server sent one: TTFT and what follows from it stay foreign there. Older versions have no
``start_times``: durations are known then, moments are not. The start of the run is not written: the first request's
moment is taken. Unverified: other back ends than the OpenAI routes.
"""

from __future__ import annotations

from itertools import accumulate, repeat
from typing import Any

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, statistics
from inferatlas.measure.bench.formats.foreign import NAME, OWN, REMARK, ROLE, Foreign, defined
from inferatlas.measure.bench.formats.rows import Rows, reason

COMPLETIONS = ("vllm", "openai")  # back ends that ask the completions route, which has no event for the role
_STATISTICS = {"mean": "mean_{}_ms", "std": "std_{}_ms", "p50": "median_{}_ms"} | {
    f"p{rank}": f"p{rank}_{{}}_ms" for rank in ("90", "95", "99", "99.9")
}
_DEFINITIONS = {
    "ttft": "first event with choices - sent, s",
    "tpot": "(last event - first event with choices) / (output tokens - 1), per request, s",
    "itl": "gaps between events with choices, undivided, s",
}


def recognises(document: Any) -> bool:
    """Whether a document is a result of ``vllm bench serve`` (not one of InferenceX, which has ``hw``)."""
    return isinstance(document, dict) and "model_id" in document and "duration" in document and "hw" not in document


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """A benchmark per document: one, or one per line where ``--append-result`` was used."""
    return tuple(_one(Where(loaded.file, line), document) for line, document in loaded.documents)


def _one(where: Where, run: dict[str, Any]) -> Foreign:
    completed = where.whole(run, "completed")
    if completed is None:
        raise where.bad("completed", "missing", "the number of requests that succeeded")
    load = _load(where, run)
    own = where.text(run, OWN) == NAME
    backend = where.text(run, "backend") or where.text(run, "endpoint_type")
    safe = own or backend in COMPLETIONS
    is_open = load["kind"] == "open"
    rows = _requests(where, run, is_open=is_open, safe=safe, own=own)
    metrics, foreign = _figures(where, run, is_open=is_open, safe=safe, own=own)
    told = {name: f"{text}; {ROLE}" for name, text in _DEFINITIONS.items() if name in foreign and name != "itl"}
    if "itl" in foreign:
        told["itl"] = _DEFINITIONS["itl"]
    if safe and "itl_s" in metrics:
        told["itl_s"] = "TPOT: " + _DEFINITIONS["tpot"]
    notes = [f"{rate}={run[rate]}" for rate in ("ramp_up_strategy", "label") if run.get(rate)]
    if rows is not None and not own:
        notes.append("the run starts with its first request: the file does not tell an earlier moment")
    failed = where.whole(run, "failed")
    counts = {
        "sent": completed + (failed or 0) if failed is not None else where.whole(run, "num_prompts"),
        "completed": completed, "failed": {"unknown": failed} if failed else {},
    } if rows is None else rows.counts()  # fmt: skip
    return Foreign(
        tool="vllm", version=where.text(run, "vllm_version"), load=load,
        requests=None if rows is None else rows.columns, metrics=metrics, foreign=foreign,
        definitions=defined(metrics, told), notes=tuple(notes), counts=counts, remarks=() if safe else (REMARK,),
    )  # fmt: skip


def _load(where: Where, run: dict[str, Any]) -> dict[str, Any]:
    rate, limit = where.number(run, "request_rate"), where.whole(run, "max_concurrency")
    completed = where.whole(run, "completed") or None
    tokens = {name: where.number(run, f"total_{name}") for name in ("input_tokens", "output_tokens")}
    return known({
        "kind": "open" if rate else "closed" if limit else "offline", "concurrency": limit, "request_rate": rate,
        "burstiness": where.number(run, "burstiness") if rate else None,
        "arrival": None if not rate else "poisson" if run.get("burstiness", 1.0) == 1.0 else "gamma",
        "requests": where.whole(run, "num_prompts"), "duration_s": where.number(run, "duration"),
        "model": where.text(run, "model_id"), "api": where.text(run, "backend") or where.text(run, "endpoint_type"),
    } | {name: total / completed for name, total in tokens.items() if total and completed})  # fmt: skip


def _requests(where: Where, run: dict[str, Any], *, is_open: bool, safe: bool, own: bool) -> Rows | None:
    ttfts = where.rows(run, "ttfts")
    if not ttfts:
        return None
    many = len(ttfts)

    def column(name: str, otherwise: Any = None) -> Any:
        return where.rows(run, name, many) if run.get(name) is not None else repeat(otherwise, many)

    origin = 0.0 if own else min(where.numbers(run, "start_times"), default=0.0)
    rows = Rows(open_loop=is_open)
    columns = zip(
        ttfts, column("itls", []), column("input_lens"), column("output_lens"), column("start_times"),
        column("queue_times"), column("latencies"), column("errors", ""), column("chunk_tokens"), strict=True,
    )  # fmt: skip
    for number, (ttft, itls, asked, tokens, start, queue, latency, error, chunks) in enumerate(columns):
        here = where.within(f"[{number}]")
        sent = None if start is None else _number(here, "start_times", start) - origin
        row: dict[str, Any] = {"sent_s": sent, "input_tokens": asked or None, "model": where.text(run, "model_id")}
        if is_open and sent is not None and queue is not None:
            row["due_s"] = sent - _number(here, "queue_times", queue)
        if error or not (_number(here, "ttfts", ttft) or latency or tokens):
            row |= {"status": "failed", "detail": str(error) or None, "reason": reason(str(error) or "no valid chunk")}
        else:
            gaps = here.numbers({"itls": itls}, "itls")
            row |= _times(sent, ttft, gaps, latency, tokens or None, chunks, safe=safe and ttft > 0)
        rows.add(**row)
    return rows


def _times(
    sent: float | None, ttft: float, gaps: list[float], latency: float | None, tokens: int | None,
    chunks: list[int] | None, *, safe: bool,
) -> dict[str, Any]:  # fmt: skip
    """Columns of a request that was answered: moments where the send's is known, durations anyway."""
    latency = latency or ttft + sum(gaps)
    row: dict[str, Any] = {
        "status": "done", "latency_service_s": latency, "output_tokens": tokens,
        "finish_s": None if sent is None else sent + latency,
    }  # fmt: skip
    if not safe:
        return row
    row |= {"ttft_service_s": ttft, "chunks": len(gaps) + 1}
    source = "ids" if chunks else None
    if chunks is None and tokens == len(gaps) + 1:
        chunks, source = [1] * len(gaps) + [1], "single"
    row |= {"chunk_tokens": chunks, "chunk_tokens_source": source}
    if sent is not None:
        row["first_token_s"] = sent + ttft
        if chunks is not None and len(chunks) == len(gaps) + 1:
            times = accumulate(gaps, initial=sent + ttft)
            row["token_s"] = [time for time, many in zip(times, chunks, strict=True) for _ in range(many)]
    return row


def _number(where: Where, key: str, value: Any) -> float:
    number = where.number({key: value}, key)
    if number is None:
        raise where.bad(key, "missing", "a number")
    return number


def _figures(
    where: Where, run: dict[str, Any], *, is_open: bool, safe: bool, own: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    found = {
        name: statistics(where, run, {ours: key.format(name) for ours, key in _STATISTICS.items()}, 1e-3)
        for name in ("ttft", "tpot", "itl", "e2el", "e2el_including_client_queue")
    }
    metrics: dict[str, Any] = {
        ("latency_service_s" if is_open else "latency_s"): found["e2el"],
        "output_tokens_per_s": where.number(run, "output_throughput"),
        "total_tokens_per_s": where.number(run, "total_token_throughput"),
        "requests_per_s": where.number(run, "request_throughput"),
        "goodput_per_s": where.number(run, "request_goodput"),
    }
    if is_open:
        metrics["latency_s"] = found["e2el_including_client_queue"]
    foreign: dict[str, Any] = {"max_output_tokens_per_s": where.number(run, "max_output_tokens_per_s")}
    if safe:
        metrics |= {("ttft_service_s" if is_open else "ttft_s"): found["ttft"], "itl_s": found["tpot"],
                    "chunk_gap_s": found["itl"]}  # fmt: skip
    else:
        foreign |= {"ttft": found["ttft"], "tpot": found["tpot"], "itl": found["itl"]}
    return known(metrics), known(foreign)
