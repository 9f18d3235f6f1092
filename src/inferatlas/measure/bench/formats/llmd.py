"""Reader of llm-d's benchmark report, version 0.2, YAML or JSON.

Format: https://github.com/llm-d/llm-d-benchmark, ``benchmark_report/schema_v0_2.py`` (08e0c227) and the newer one
vendored in https://github.com/kubernetes-sigs/inference-perf, ``inference_perf/reportgen/br/v0_2/schema_v0_2.py``
(2a355e05): ``version``, ``run``, ``scenario`` (stack, load) and ``results``, with a unit at every statistic. The older
schema says ``requests_rate`` where the newer says ``request_rate``; both are read, the newer is written. The report
keeps each tool's own meaning of TTFT, TPOT and ITL, so which of them are ours hangs on the tool in
``scenario.load.standardized.tool``. Power stands in ``results.observability.components[].aggregate``. Unverified: the
names of tools other than those in `_OURS`.
"""

from __future__ import annotations

from typing import Any

from inferatlas.measure.bench.formats.documents import Loaded
from inferatlas.measure.bench.formats.fields import Where, known, seek, statistics
from inferatlas.measure.bench.formats.foreign import NAME, ROLE, Foreign, defined

VERSIONS = ("0.2", "0.2.1")
_STATISTICS = {"mean": "mean", "std": "stddev", "min": "min", "max": "max", "p0.1": "p0p1", "p99.9": "p99p9"} | {
    f"p{rank}": f"p{rank}" for rank in (1, 5, 10, 25, 50, 75, 90, 95, 99)
}
_SCALES = {"s": 1.0, "ms": 1e-3, "s/token": 1.0, "ms/token": 1e-3, "tokens/s": 1.0, "queries/s": 1.0, "count": 1.0,
           "Watts": 1.0}  # fmt: skip
_LATENCIES = {"time_to_first_token": "ttft_s", "time_per_output_token": "itl_s", "inter_token_latency": "token_gap_s"}
# Which latencies of a tool mean what ours mean (reference/load-generation.md, section 2.1).
_OURS = {
    NAME: ("time_to_first_token", "time_per_output_token", "inter_token_latency"),
    "inference-perf": ("time_to_first_token", "time_per_output_token"),
    "guidellm": ("time_to_first_token",),
    "vllm-benchmark": (), "inference-max": (),
}  # fmt: skip
_DEFINITIONS = {
    "guidellm": {"time_per_output_token": "(last token - start) / output tokens: includes the first token, s",
                 "inter_token_latency": "our ITL per request, weighted by its output tokens - 1, s"},
    "inference-perf": {"inter_token_latency": "every gap between tokens, 0 inside an event, s"},
    "vllm-benchmark": {"time_to_first_token": f"first event - sent, s; {ROLE}",
                       "time_per_output_token": f"(last event - first event) / (output tokens - 1), s; {ROLE}",
                       "inter_token_latency": "gaps between events, undivided, s"},
}  # fmt: skip
_RATES = {"output_token_rate": "output_tokens_per_s", "total_token_rate": "total_tokens_per_s",
          "request_rate": "requests_per_s", "requests_rate": "requests_per_s"}  # fmt: skip


def recognises(document: Any) -> bool:
    """Whether a document is a benchmark report."""
    return isinstance(document, dict) and {"version", "results"} <= document.keys()


def read(loaded: Loaded) -> tuple[Foreign, ...]:
    """The benchmark of the report."""
    line, report = loaded.documents[0]
    where = Where(loaded.file, line)
    version = where.text(report, "version")
    if version not in VERSIONS:
        raise where.bad("version", f"report version {version} is not known", ", ".join(VERSIONS))
    results = where.table(report, "results")
    performance = where.within("results").table(results, "request_performance")
    total = where.within("results.request_performance").table(performance, "aggregate")
    here = where.within("results.request_performance.aggregate")
    if not total:
        raise here.bad("", "missing", "figures of the run")
    load, tool, tool_version = _load(where, report)
    is_open = load.get("kind") == "open"
    metrics, foreign, told = _figures(here, total, tool, is_open=is_open)
    power, scope = _power(where, results)
    if power is not None:
        metrics["power_w"] = power
    asked = where.table(total, "requests")
    sent, failed, cut = (here.within("requests").whole(asked, name) for name in ("total", "failures", "incomplete"))
    for name in ("input", "output"):
        length = here.within("requests").table(asked, f"{name}_length")
        if (mean := here.within("requests").number(length, "mean")) is not None:
            load[f"{name}_tokens"] = mean
    return (Foreign(
        tool="llm-d", version=tool_version, load=load, requests=None, metrics=metrics, foreign=foreign,
        definitions=defined(metrics, told),
        notes=tuple(note for note in (f"measured by {tool}" if tool else "the tool is not named", scope) if note),
        counts=known({"sent": sent, "completed": None if sent is None else sent - (failed or 0) - (cut or 0),
                      "failed": known({"unknown": failed or None, "interrupted": cut or None})}),
    ),)  # fmt: skip


def _load(where: Where, report: dict[str, Any]) -> tuple[dict[str, Any], str | None, str | None]:
    scenario = where.table(report, "scenario")
    said = where.within("scenario.load").table(where.within("scenario").table(scenario, "load"), "standardized")
    here = where.within("scenario.load.standardized")
    users, rate = here.number(said, "concurrency"), here.number(said, "rate_qps") or None
    model = next((name for one in where.within("scenario").rows(scenario, "stack")
                  if (name := seek(seek(one, "standardized"), "model")) is not None), None)  # fmt: skip
    model = model.get("name") if isinstance(model, dict) else model
    time = where.within("run").table(where.table(report, "run"), "time")
    duration = where.within("run.time").text(time, "duration")
    lengths = {
        f"{name}_tokens": here.within(f"{name}_seq_len").number(here.table(said, f"{name}_seq_len"), "value") or None
        for name in ("input", "output")
    }
    return known(lengths | {
        "kind": "open" if rate else "closed" if users else None, "concurrency": None if not users else int(users),
        "request_rate": rate, "stage": here.whole(said, "stage"), "model": model if isinstance(model, str) else None,
        "duration_s": seconds(duration),
    }), here.text(said, "tool"), here.text(said, "tool_version")  # fmt: skip


def seconds(duration: str | None) -> float | None:
    """An ISO 8601 duration in seconds, as far as it has hours, minutes and seconds; None for others.

    Examples
    --------
    >>> seconds("PT1M2.5S")
    62.5
    """
    import re

    match = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration or "")
    if match is None or not any(match.groups()):
        return None
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def _figure(where: Where, table: dict[str, Any], name: str) -> dict[str, float] | None:
    figure, here = where.table(table, name), where.within(name)
    if not figure:
        return None
    unit = here.text(figure, "units")
    if unit not in _SCALES:
        raise here.bad("units", f"unit '{unit}' is not known", ", ".join(_SCALES))
    return statistics(here, figure, _STATISTICS, _SCALES[unit])


def _figures(
    where: Where, total: dict[str, Any], tool: str | None, *, is_open: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    latency, rates = where.table(total, "latency"), where.table(total, "throughput")
    service = is_open and tool != NAME  # other tools count from the send; we from when a request was due
    metrics: dict[str, Any] = {
        "latency_service_s" if service else "latency_s": _figure(where.within("latency"), latency, "request_latency")
    }
    foreign: dict[str, Any] = {
        "normalized_time_per_output_token": _figure(
            where.within("latency"), latency, "normalized_time_per_output_token"
        )
    }
    for name, ours in _LATENCIES.items():
        figure = _figure(where.within("latency"), latency, name)
        if name in _OURS.get(tool or "", ()):
            metrics["ttft_service_s" if service and ours == "ttft_s" else ours] = figure
        else:
            foreign[name] = figure
    for name, ours in _RATES.items():
        if (figure := _figure(where.within("throughput"), rates, name)) is not None:
            metrics[ours] = figure["mean"]
    foreign = known(foreign)
    spelt = _DEFINITIONS.get("vllm-benchmark" if tool == "inference-max" else tool or "", {})
    told = {name: spelt.get(name, f"as {tool or 'the tool'} defines it, s") for name in foreign}
    if "normalized_time_per_output_token" in foreign:
        told["normalized_time_per_output_token"] = "latency / output tokens, s"
    return known(metrics), foreign, told


def _power(where: Where, results: dict[str, Any]) -> tuple[float | None, str | None]:
    """Mean power in W of all components that tell it, and a note on them."""
    seen = where.within("results").table(results, "observability")
    watts = []
    for number, one in enumerate(where.within("results.observability").rows(seen, "components")):
        here = where.within(f"results.observability.components[{number}].aggregate")
        figure = _figure(here, here.table(one, "aggregate") if isinstance(one, dict) else {}, "power_consumption")
        watts += [figure["mean"]] if figure else []
    return (sum(watts), f"power of {len(watts)} components, scope not told") if watts else (None, None)
