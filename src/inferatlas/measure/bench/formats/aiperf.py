"""Reader of AIPerf's ``profile_export.jsonl`` and ``profile_export_aiperf.json`` or ``.csv``, and GenAI-Perf's JSON.

Format: https://github.com/ai-dynamo/aiperf, ``docs/tutorials/working-with-profile-exports.md`` (13992dbd),
``src/aiperf/common/models/export_models.py`` (26240f9e), ``src/aiperf/exporters/metrics_csv_exporter.py`` (309c4e8c).
A metric is a ``unit`` with statistics (``avg``, ``p50``, ...) in the JSON, one row with its unit in its name in the
CSV, and a value with its unit in the records. A record is a line per request, with Unix times in ns. ITL is ours per
request, ICL is our chunk gap. Tokens are counted by a local tokenizer unless ``--use-server-token-count`` was set,
which the records do not say: their source stays unknown. GenAI-Perf's ``profile_export_genai_perf.json`` has the same
form. Unverified: the spelling of units beyond those in `_SCALES`.
"""

from __future__ import annotations

import csv
import re
from itertools import accumulate
from typing import Any

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, seek, statistics
from inferatlas.measure.bench.formats.foreign import Foreign, defined
from inferatlas.measure.bench.formats.rows import Rows, reason

_SCALES = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_STATISTICS = {"mean": "avg", "std": "std", "min": "min", "max": "max"} | {
    f"p{rank}": f"p{rank}" for rank in (1, 5, 10, 25, 50, 75, 90, 95, 99)
}
_COUNTED = {"output_tokens_per_s": "output_token_throughput", "total_tokens_per_s": "total_token_throughput",
            "requests_per_s": "request_throughput", "goodput_per_s": "goodput"}  # fmt: skip
# Names in the CSV, which prints headers where the JSON has tags.
_HEADERS = {
    "time to first token": "time_to_first_token", "request latency": "request_latency",
    "inter token latency": "inter_token_latency", "inter chunk latency": "inter_chunk_latency",
    "output token throughput": "output_token_throughput", "total token throughput": "total_token_throughput",
    "request throughput": "request_throughput", "goodput": "goodput", "request count": "request_count",
    "error request count": "error_request_count", "output sequence length": "output_sequence_length",
    "input sequence length": "input_sequence_length", "benchmark duration": "benchmark_duration",
}  # fmt: skip
_TOKENS = "counted by a local tokenizer, unless AIPerf was told to take the server's"


def recognises(document: Any) -> bool:
    """Whether a document is a summary of AIPerf or GenAI-Perf, or the first record of an export."""
    if not isinstance(document, dict):
        return False
    record = isinstance(document.get("metadata"), dict) and "request_start_ns" in document["metadata"]
    figure = document.get("request_latency") or document.get("request_throughput")
    return record or (isinstance(figure, dict) and "unit" in figure)


def recognises_text(text: str) -> bool:
    """Whether a text is the CSV summary."""
    return text.lstrip("\ufeff").startswith("Metric,avg,")


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """The benchmark of a summary (JSON or CSV) or of the records."""
    if loaded.text is not None:
        return (_summary(Where(loaded.file), _csv(Where(loaded.file), loaded.text)),)
    where, document = Where(loaded.file, loaded.documents[0][0]), loaded.documents[0][1]
    if "metadata" in document and "request_start_ns" in document["metadata"]:
        return (_records(loaded),)
    return (_summary(where, document),)


def joined(records: Foreign, summary: Foreign) -> Foreign:
    """One benchmark of its records and its summary: the requests of the one, load and figures of the other."""
    return Foreign(
        tool=summary.tool, version=summary.version, load=records.load | summary.load, requests=records.requests,
        metrics=summary.metrics, foreign=summary.foreign, definitions=records.definitions | summary.definitions,
        notes=summary.notes + records.notes, counts=records.counts,
        remarks=tuple(dict.fromkeys(summary.remarks + records.remarks)),
    )  # fmt: skip


def _summary(where: Where, run: dict[str, Any]) -> Foreign:
    config = where.table(run, "input_config")
    concurrency, rate = seek(config, "concurrency"), seek(config, "request_rate")
    concurrency = concurrency if isinstance(concurrency, int) and not isinstance(concurrency, bool) else None
    rate = float(rate) if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0 else None
    is_open = rate is not None
    model = seek(config, "model_names", "models", "model")
    model = model[0] if isinstance(model, list) and len(model) == 1 else model
    model = model.get("name") if isinstance(model, dict) else model

    def average(name: str) -> float | None:
        return where.within(name).number(where.table(run, name), "avg")

    load = {"kind": "open" if is_open else "closed" if concurrency else None, "concurrency": concurrency,
            "request_rate": rate, "arrival": _arrival(config) if is_open else None,
            "input_tokens": average("input_sequence_length"), "output_tokens": average("output_sequence_length"),
            "duration_s": _seconds(where, run, "benchmark_duration", single=True),
            "model": model if isinstance(model, str) else None}  # fmt: skip
    metrics: dict[str, Any] = {
        ("ttft_service_s" if is_open else "ttft_s"): _seconds(where, run, "time_to_first_token"),
        ("latency_service_s" if is_open else "latency_s"): _seconds(where, run, "request_latency"),
        "itl_s": _seconds(where, run, "inter_token_latency"),
        "chunk_gap_s": _seconds(where, run, "inter_chunk_latency"),
    } | {ours: average(theirs) for ours, theirs in _COUNTED.items()}  # fmt: skip
    metrics = known(metrics)
    if not metrics:
        raise where.bad("request_latency", "no figure that is known", "metrics of a benchmark of a language model")
    completed, failed = average("request_count"), average("error_request_count")
    told = {name: f"{text}; {_TOKENS}" for name, text in defined(metrics, {}).items() if "tokens" in name}
    notes = [] if load["kind"] else ["neither concurrency nor request rate is stated"]
    if run.get("was_cancelled"):
        notes.append("the run was cancelled")
    return Foreign(
        tool="genai-perf" if "perf_analyzer" in config else "aiperf", version=where.text(run, "aiperf_version"),
        load=known(load), requests=None, metrics=metrics, definitions=defined(metrics, told), notes=tuple(notes),
        counts=known({
            "sent": None if completed is None else int(completed + (failed or 0)),
            "completed": None if completed is None else int(completed),
            "failed": {"unknown": int(failed)} if failed else {},
        }),
    )  # fmt: skip


def _arrival(config: dict[str, Any]) -> str:
    told = str(seek(config, "arrival_pattern", "request_rate_mode") or "poisson").lower()
    return "constant" if "constant" in told else "gamma" if "gamma" in told else "poisson"


def _seconds(where: Where, run: dict[str, Any], name: str, *, single: bool = False) -> Any:
    figure = where.table(run, name)
    if not figure:
        return None
    found = statistics(where.within(name), figure, _STATISTICS, _scale(where.within(name), figure))
    return (found or {}).get("mean") if single else found


def _scale(where: Where, figure: dict[str, Any]) -> float:
    unit = where.text(figure, "unit")
    if unit is None or unit.lower() not in _SCALES:
        raise where.bad("unit", f"unit '{unit}' is not known", ", ".join(_SCALES))
    return _SCALES[unit.lower()]


def _csv(where: Where, text: str) -> dict[str, Any]:
    """The CSV's sections as the JSON has them; what follows about GPUs is left out."""
    run: dict[str, Any] = {}
    header: list[str] = []
    lines = csv.reader(text.lstrip("\ufeff").splitlines())
    for cells in lines:
        if not cells:
            continue
        if cells[0] in ("Metric", "Endpoint"):
            header = ["avg" if cell == "Value" else cell for cell in cells]
            continue
        if header[0] == "Endpoint":
            continue
        here = Where(where.file, lines.line_num)
        if len(cells) != len(header):
            raise here.bad("", f"{len(cells)} fields where the header has {len(header)}")
        name = re.fullmatch(r"(.*?)(?: \(([^()]*)\))?", cells[0])
        tag = _HEADERS.get(name[1].strip().lower()) if name else None
        if name is None or tag is None:
            continue
        try:
            figures = {key: float(cell) for key, cell in zip(header[1:], cells[1:], strict=True) if cell}
        except ValueError as problem:
            raise here.bad(cells[0], str(problem), "numbers") from None
        run[tag] = {"unit": name[2] or ""} | figures
    return run


def _records(loaded: Loaded) -> Foreign:
    records = [(Where(loaded.file, line), record) for line, record in loaded.documents]
    for where, record in records:
        if not isinstance(record, dict):
            raise where.bad("", "not a record", "a table per line")
    held = [(where, where.table(record, "metadata"), record) for where, record in records]
    profiled = [one for one in held if (one[1].get("benchmark_phase") or "profiling") == "profiling"]
    notes = [f"{len(held) - len(profiled)} requests of the warm-up left out"] if len(held) > len(profiled) else []
    profiled.sort(key=lambda one: one[0].within("metadata").number(one[1], "request_start_ns") or 0.0)
    # whole numbers: a Unix time in ns has more digits than a float
    starts = [meta.get("request_start_ns") for _, meta, _ in profiled]
    origin = min((start for start in starts if isinstance(start, int)), default=0)
    rows, talks = Rows(open_loop=False), dict[str, int]()
    for where, meta, record in profiled:
        rows.add(**_row(where, meta, record, origin, talks))
    return Foreign(
        tool="aiperf", version=None, load={}, requests=rows.columns, metrics={}, counts=rows.counts(),
        definitions={"output_tokens": _TOKENS}, remarks=("wall_clock",),
        notes=("the run starts with its first request", *notes),
    )  # fmt: skip


def _row(
    where: Where, meta: dict[str, Any], record: dict[str, Any], origin: int, talks: dict[str, int]
) -> dict[str, Any]:
    inside = where.within("metadata")

    def moment(name: str) -> float | None:
        if inside.number(meta, name) is None:
            return None
        return (meta[name] - origin) / 1e9

    figures = where.table(record, "metrics")
    talk = inside.text(meta, "x_correlation_id") or inside.text(meta, "conversation_id")
    used = _value(where, figures, "usage_completion_tokens")
    tokens = used if used is not None else _value(where, figures, "output_sequence_length")
    row: dict[str, Any] = {
        "sent_s": moment("request_start_ns"), "end_s": moment("request_end_ns"),
        "input_tokens": _whole(_value(where, figures, "input_sequence_length")), "output_tokens": _whole(tokens),
        "output_tokens_source": None if used is None else "usage", "turn": inside.whole(meta, "turn_index"),
        "conversation": None if talk is None else talks.setdefault(talk, len(talks)),
    }  # fmt: skip
    error = record.get("error")
    if error is not None or meta.get("was_cancelled"):
        told = where.table(record, "error")
        said = " ".join(str(told[key]) for key in ("type", "message") if told.get(key)) or "cancelled"
        code = where.within("error").whole(told, "code")
        why = reason(said, code)
        status = code if why.startswith("http_") else None
        return row | {
            "status": "failed", "failed_s": row["end_s"], "detail": said, "reason": why, "http_status": status,
        }  # fmt: skip
    return row | {"status": "done"} | _times(where, figures, row)


def _times(where: Where, figures: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    ttft, latency = _value(where, figures, "time_to_first_token"), _value(where, figures, "request_latency")
    found: dict[str, Any] = {
        "ttft_service_s": ttft, "latency_service_s": latency, "itl_s": _value(where, figures, "inter_token_latency"),
    }  # fmt: skip
    sent = row["sent_s"]
    if sent is None:
        return found
    found |= {"first_token_s": None if ttft is None else sent + ttft,
              "finish_s": None if latency is None else sent + latency}  # fmt: skip
    gaps = where.within("metrics").table(figures, "inter_chunk_latency")
    if ttft is not None and gaps:
        here = where.within("metrics.inter_chunk_latency")
        scale, listed = _scale(here, gaps), here.rows(gaps, "value")
        found["chunks"] = len(listed) + 1
        if found["chunks"] == row["output_tokens"]:
            steps = [here.number({"value": gap}, "value", scale) or 0.0 for gap in listed]
            found["token_s"] = list(accumulate(steps, initial=sent + ttft))
            found |= {"chunk_tokens": [1] * found["chunks"], "chunk_tokens_source": "single"}
    return found


def _value(where: Where, figures: dict[str, Any], name: str) -> float | None:
    """A metric of a record: in seconds where its unit is one of time, else as it stands."""
    figure = where.within("metrics").table(figures, name)
    unit = str(figure.get("unit", "")).lower()
    return where.within(f"metrics.{name}").number(figure, "value", _SCALES.get(unit, 1.0))


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
