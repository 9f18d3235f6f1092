"""Reader of MLPerf LoadGen's ``mlperf_log_summary.txt`` and ``mlperf_log_detail.txt``.

Format: https://github.com/mlcommons/inference, ``loadgen/results.cc`` (commit 05a9cec3), which writes the same
figures into both: as lines "name : value" into the summary, as ``:::MLLOG`` JSON lines with a key into the detail.
Times are in ns. TTFT and latency count from the *scheduled* time of issue in the Server scenario: ours in open loop.
"Time to Output Token" is (latency - first token) / (tokens - 1): our ITL. Tokens are as the system under test reports
them. Offline has one query with every sample. Rates of the Server scenario end with the last completion and leave one
sample out. Neither log holds requests. Unverified: ``mlperf_log_trace.json`` and power logs, which are not read.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known
from inferatlas.measure.bench.formats.foreign import Foreign, defined

HEADER = "MLPerf Results Summary"
PREFIX = ":::MLLOG"
_NS = 1e-9
_KINDS = {"Server": "open", "Offline": "offline", "SingleStream": "closed", "MultiStream": "closed",
          "Interactive": "open"}  # fmt: skip
# Lines of the summary and keys of the detail log, in our words; a rank stands for every percentile.
_LINES = {
    "{} latency (ns)": "latency", "{} First Token latency (ns)": "ttft", "{} Time to Output Token (ns)": "tpot",
}  # fmt: skip
_RANKS = {
    r"([\d.]+) percentile latency \(ns\)": "latency", r"([\d.]+) percentile first token latency \(ns\)": "ttft",
    r"([\d.]+) percentile time to output token \(ns\)": "tpot", r"result_([\d.]+)_percentile_latency_ns": "latency",
    r"result_first_token_([\d.]+)_percentile_latency_ns": "ttft",
    r"result_time_per_output_token_([\d.]+)_percentile_ns": "tpot",
}  # fmt: skip
_KEYS = {
    "result_{}_latency_ns": "latency", "result_first_token_{}_latency_ns": "ttft",
    "result_time_to_output_token_{}": "tpot",
}  # fmt: skip
_PLAIN = {
    "Completed tokens per second": "tokens", "Tokens per second": "tokens", "result_tokens_per_second": "tokens",
    "result_completed_tokens_per_second": "tokens", "Completed samples per second": "completed",
    "result_completed_samples_per_sec": "completed", "Scheduled samples per second": "scheduled",
    "result_scheduled_samples_per_sec": "scheduled", "Samples per second": "samples",
    "result_samples_per_second": "samples", "target_qps": "target", "effective_target_qps": "target",
    "result_query_count": "queries",
}  # fmt: skip
_TEXTS = {
    "Scenario": "scenario", "effective_scenario": "scenario", "requested_scenario": "scenario", "Mode": "mode",
    "effective_test_mode": "mode", "SUT name": "sut", "sut_name": "sut", "Result is": "validity",
    "result_validity": "validity", "loadgen_version": "version",
}  # fmt: skip


def recognises_text(text: str) -> bool:
    """Whether a text is a summary or a detail log of LoadGen."""
    return text.lstrip().startswith(PREFIX) or HEADER in text[:400]


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """The benchmark of one log."""
    return (_one(Where(loaded.file), _said(loaded)),)


def read_pair(summary: Loaded, detail: Loaded) -> tuple[Foreign, ...]:
    """The benchmark of both logs of a run: the detail log tells more digits, the summary what is missing there."""
    return (_one(Where(detail.file), _said(summary) | _said(detail)),)


def _said(loaded: Loaded) -> dict[str, Any]:
    text = loaded.text or ""
    pairs = _detail(loaded.file, text) if text.lstrip().startswith(PREFIX) else _summary(text)
    found: dict[str, Any] = {}
    for line, name, value in pairs:
        where = Where(loaded.file, line)
        if name in _TEXTS:
            found.setdefault(_TEXTS[name], str(value))
        elif (key := _PLAIN.get(name) or _statistic(name)) is not None:
            number = _number(where, name, value)
            if number is not None:
                found[key] = number
    return found


def _summary(text: str) -> list[tuple[int, str, Any]]:
    lines = [(number, line.partition(":")) for number, line in enumerate(text.splitlines(), start=1)]
    return [(number, name.strip(), value.strip()) for number, (name, colon, value) in lines if colon and value.strip()]


def _detail(file: Any, text: str) -> list[tuple[int, str, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith(PREFIX):
            continue
        try:
            entry = msgspec.json.decode(line.removeprefix(PREFIX).strip())
            found.append((number, entry["key"], entry.get("value")))
        except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
            raise BadInput("not an entry of the log", file=file, line=number, allowed=f"{PREFIX} and JSON with a key",
                           hint="was the file cut short?") from None  # fmt: skip
    return found


def _statistic(name: str) -> str | None:
    """The figure and its statistic that a line or key names: "ttft p99", "tpot mean"."""
    for word, ours in (("Min", "min"), ("Max", "max"), ("Mean", "mean")):
        for form, figure in _LINES.items():
            if name == form.format(word):
                return f"{figure} {ours}"
        for form, figure in _KEYS.items():
            if name == form.format(ours):
                return f"{figure} {ours}"
    for form, figure in _RANKS.items():
        if match := re.fullmatch(form, name):
            return f"{figure} p{float(match[1]):g}"
    return None


def _number(where: Where, name: str, value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise where.bad(name, f"'{value[:40]}' is not a number", "a number") from None
    return where.number({name: value}, name)


def _one(where: Where, said: dict[str, Any]) -> Foreign:
    scenario = said.get("scenario")
    if scenario not in _KINDS:
        raise where.bad("Scenario", f"scenario '{scenario}'" if scenario else "missing", ", ".join(_KINDS),
                        hint=None if scenario else "was the file cut short?")  # fmt: skip
    if not any(name in said for name in ("tokens", "completed", "samples", "latency mean")):
        raise where.bad("", "no figure of the run", "the results of a performance run", "was the file cut short?")

    def figure(name: str) -> dict[str, float] | None:
        found = {key.split()[1]: value * _NS for key, value in said.items() if key.startswith(f"{name} ")}
        return found if found.get("mean") else None

    offline = scenario == "Offline"
    # offline every sample is issued at once: its latency is where it stands in the queue
    metrics = known({
        "ttft_s": figure("ttft"), "itl_s": figure("tpot"), "latency_s": None if offline else figure("latency"),
        "output_tokens_per_s": said.get("tokens"), "requests_per_s": said.get("samples") if offline else None,
    })  # fmt: skip
    foreign = known({
        "completed_samples_per_second": said.get("completed"), "scheduled_samples_per_second": said.get("scheduled"),
        "offline_latency_s": figure("latency") if offline else None,
    })  # fmt: skip
    told = {
        "completed_samples_per_second": "(samples - 1) / time of the last completion",
        "scheduled_samples_per_second": "(samples - 1) / scheduled time of the last sample",
        "offline_latency_s": "from the issue of all samples at once, s",
        "output_tokens_per_s": "tokens as the system under test reports them / time of the last completion, tokens/s",
    }  # fmt: skip
    notes = [f"{name}: {said[name]}" for name in ("sut", "mode") if name in said]
    if (validity := said.get("validity")) is not None:
        notes.append(f"LoadGen says {validity}")
    queries = said.get("queries")
    return Foreign(
        tool="loadgen", version=said.get("version"), requests=None, metrics=metrics, foreign=foreign,
        load=known({"kind": _KINDS[scenario], "scenario": scenario, "protocol": f"mlperf-{scenario.lower()}",
                    "request_rate": said.get("target") if _KINDS[scenario] == "open" else None,
                    "arrival": "poisson" if _KINDS[scenario] == "open" else None,
                    "concurrency": 1 if scenario == "SingleStream" else None,
                    "requests": None if queries is None else int(queries)}),
        definitions=defined(metrics, {name: text for name, text in told.items() if name in metrics | foreign}),
        notes=tuple(notes), counts=known({"completed": None if queries is None or offline else int(queries)}),
        remarks=("loadgen_invalid",) if validity == "INVALID" else (),
    )  # fmt: skip
