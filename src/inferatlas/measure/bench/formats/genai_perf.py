"""Reader of ``profile_export.json`` of Perf Analyzer, from which GenAI-Perf computes its figures.

Format: https://github.com/triton-inference-server/perf_analyzer, ``src/profile_data_exporter.cc`` (069e4034) and
``genai-perf/genai_perf/profile_data_parser/llm_profile_data_parser.py`` (00168fe7). A list of ``experiments``, each at
a concurrency or request rate, with ``requests``: ``timestamp`` of the send and ``response_timestamps`` in ns of the
wall clock, and what came (``response_outputs``; server-sent events with ``service_kind`` openai, which may be split
over several responses or lie together in one). An event counts where it holds text, reasoning or a tool call, so an
empty event of the role does not. Tokens are those of the server's usage; without it they are unknown, for the tokenizer
is not in the file. Unverified: ``service_kind`` triton, where any text counts as an event.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known
from inferatlas.measure.bench.formats.foreign import Foreign, defined
from inferatlas.measure.bench.formats.rows import Rows, reason


def recognises(document: Any) -> bool:
    """Whether a document is an export of Perf Analyzer."""
    return isinstance(document, dict) and isinstance(document.get("experiments"), list)


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """A benchmark per experiment."""
    document, where = loaded.documents[0][1], Where(loaded.file)
    found = []
    for number, one in enumerate(document["experiments"]):
        here = where.within(f"experiments[{number}]")
        if not isinstance(one, dict):
            raise here.bad("", "not an experiment", "a table with experiment and requests")
        found.append(_one(here, one, where.text(document, "version"), where.text(document, "service_kind")))
    if not found:
        raise where.bad("experiments", "the export holds no experiment", "a list of experiments")
    return tuple(found)


def _one(where: Where, one: dict[str, Any], version: str | None, kind: str | None) -> Foreign:
    asked = where.table(one, "experiment")
    mode, level = where.text(asked, "mode"), where.within("experiment").number(asked, "value")
    if mode not in ("concurrency", "request_rate") or level is None:
        raise where.bad("experiment.mode", f"'{mode}' at {level}", "concurrency, request_rate, with a value")
    is_open = mode == "request_rate"
    requests = where.rows(one, "requests")
    stamps = [request.get("timestamp") for request in requests if isinstance(request, dict)]
    origin = min((stamp for stamp in stamps if isinstance(stamp, int)), default=0)
    rows = Rows(open_loop=is_open)
    for number, request in enumerate(requests):
        here = where.within(f"requests[{number}]")
        if not isinstance(request, dict) or not isinstance(request.get("timestamp"), int):
            raise here.bad("timestamp", "missing", "the time of the send in ns, a whole number")
        rows.add(**_row(here, request, origin, openai=kind == "openai"))
    ours = ("ttft_service_s", "latency_service_s", "itl_s") if is_open else ("ttft_s", "latency_s", "itl_s")
    metrics = known({name: rows.statistics(name) for name in ours})
    return Foreign(
        tool="genai-perf", version=version, requests=rows.columns, metrics=metrics, definitions=defined(metrics, {}),
        load=known({"kind": "open" if is_open else "closed", "concurrency": None if is_open else int(level),
                    "request_rate": level if is_open else None, "requests": len(rows)}),
        notes=("the run starts with its first request", "figures computed from the requests"), counts=rows.counts(),
        remarks=("wall_clock",),
    )  # fmt: skip


def _row(where: Where, request: dict[str, Any], origin: int, *, openai: bool) -> dict[str, Any]:
    stamps = where.rows(request, "response_timestamps")
    outputs = where.rows(request, "response_outputs", len(stamps))
    if not all(isinstance(stamp, int) for stamp in stamps):
        raise where.bad("response_timestamps", "not whole numbers", "times in ns")
    heard = _heard([
        (stamp, output.get("response" if openai else "text_output", "") if isinstance(output, dict) else "")
        for stamp, output in zip(stamps, outputs, strict=True)
    ], openai=openai)  # fmt: skip
    row: dict[str, Any] = {
        "sent_s": (request["timestamp"] - origin) / 1e9, "output_tokens": heard.tokens, "input_tokens": heard.read,
        "output_tokens_source": None if heard.tokens is None else "usage", "finish_reason": heard.finish,
        "end_s": (stamps[-1] - origin) / 1e9 if stamps else None, "chunks": len(heard.times) or None,
    }  # fmt: skip
    if heard.error or not heard.times:
        why = reason(heard.error) if heard.error else "no_tokens"
        return row | {"status": "failed", "failed_s": row["end_s"], "detail": heard.error,
                      "reason": "error_event" if why == "unknown" else why}  # fmt: skip
    times = [(stamp - origin) / 1e9 for stamp in heard.times]
    row |= {"status": "done", "first_token_s": times[0], "finish_s": times[-1]}
    if heard.tokens == len(times):
        row |= {"token_s": times, "chunk_tokens": [1] * len(times), "chunk_tokens_source": "single"}
    return row


class _Heard:
    """What a request was answered: times of events with tokens, usage, why it ended, an error."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.tokens: int | None = None
        self.read: int | None = None
        self.finish: str | None = None
        self.error: str | None = None


def _heard(responses: list[tuple[int, str]], *, openai: bool) -> _Heard:
    heard, rest = _Heard(), ""
    for stamp, text in responses:
        if not openai:
            if text:
                heard.times.append(stamp)
            continue
        parts, rest = (rest + text).split("\n\n"), ""
        for part in map(str.strip, parts):
            data = part.removeprefix("data:").strip()
            if not data or data == "[DONE]" or part.startswith(":"):
                continue
            try:
                event = msgspec.json.decode(data)
            except msgspec.DecodeError:
                rest = part  # the event goes on in the next response
                continue
            if isinstance(event, dict):
                _hear(heard, event, stamp)
    return heard


def _hear(heard: _Heard, event: dict[str, Any], stamp: int) -> None:
    if event.get("error"):
        heard.error = str(event["error"])
    if isinstance(usage := event.get("usage"), dict):
        heard.tokens, heard.read = usage.get("completion_tokens", heard.tokens), usage.get("prompt_tokens", heard.read)
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return
    choice = choices[0]
    said = choice.get("delta") or choice.get("message") or {}
    parts = [choice.get("text")] + [said.get(name) for name in ("content", "reasoning", "reasoning_content",
                                                                 "tool_calls")]  # fmt: skip
    heard.finish = choice.get("finish_reason") or heard.finish
    if any(parts) and (not heard.times or heard.times[-1] != stamp):
        heard.times.append(stamp)  # events that share a response share its time: one chunk
