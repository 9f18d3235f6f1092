"""GuideLLM's reports: TPOT includes the first token, tokens are the server's, requests may have been dropped."""

from __future__ import annotations

import copy

import pytest
import yaml

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign


def summary(mean, **percentiles):
    ranks = dict.fromkeys(("p001", "p01", "p05", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999"), mean)
    return {"successful": {"mean": mean, "median": mean, "mode": mean, "variance": 0.0, "std_dev": 0.1, "min": mean,
                           "max": mean, "count": 2, "total_sum": 2 * mean, "percentiles": ranks | percentiles,
                           "pdf": None}}  # fmt: skip


def request(start, first, last, tokens, status="completed", **told):
    timings = {"targeted_start": start - 0.01, "queued": start - 0.1, "resolve_start": start, "request_start": start,
               "first_token_iteration": first, "last_token_iteration": last, "token_iterations": 3,
               "request_end": last, "resolve_end": last}  # fmt: skip
    info = {"request_id": "r", "status": status, "timings": timings, "conversation_id": None, "turn_index": 0}
    return {"type_": "generative_request_stats", "request_id": "r", "info": info | told,
            "input_metrics": {"text_tokens": 100}, "output_metrics": {"text_tokens": tokens}}  # fmt: skip


# Fields: https://github.com/vllm-project/guidellm, src/guidellm/benchmark/schemas, schemas/base/request_stats.py
BENCHMARK = {
    "type_": "generative_benchmark",
    "config": {"run_id": "a", "strategy": {"type_": "concurrent", "streams": 2}, "constraints": {},
               "backend": {"model": "tiny"}, "warmup": {"percent": None, "value": None, "mode": "prefer_duration"},
               "cooldown": {"percent": None, "value": None, "mode": "prefer_duration"}},
    "scheduler_metrics": {"start_time": 1700000000.0},
    "metrics": {
        "request_totals": {"successful": 2, "incomplete": 1, "errored": 1, "total": 4},
        "time_to_first_token_ms": summary(200.0, p99=250.0), "inter_token_latency_ms": summary(9.0),
        "time_per_output_token_ms": summary(15.0), "request_latency": summary(0.5),
        "output_tokens_per_second": summary(12.0), "tokens_per_second": summary(100.0),
        "requests_per_second": summary(2.0), "prompt_token_count": summary(100.0), "output_token_count": summary(6.0),
    },
    "requests": {
        "successful": [request(1700000001.0, 1700000001.5, 1700000002.5, 6),
                       request(1700000000.5, 1700000000.75, 1700000001.75, 5)],
        "incomplete": [request(1700000003.0, None, None, None, "cancelled")],
        "errored": [request(1700000002.0, None, None, None, "errored", error="ReadTimeout: timed out")],
        "total": None,
    },
    "duration": 4.0, "warmup_duration": 0.0, "cooldown_duration": 0.0,
}  # fmt: skip
REPORT = {"metadata": {"version": 1, "guidellm_version": "0.5.0"}, "args": {"target": "http://a"},
          "benchmarks": [BENCHMARK]}  # fmt: skip


def changed(path, value, report=REPORT):
    """The report with another value at a path."""
    whole = copy.deepcopy(report)
    table = whole
    for step in path[:-1]:
        table = table[step]
    table[path[-1]] = value
    return whole


def test_figures_that_are_ours_and_that_are_not(write):
    found = read_foreign(write(REPORT))[0]
    assert (found.tool, found.version) == ("guidellm", "0.5.0")
    assert found.metrics["ttft_s"]["mean"] == pytest.approx(0.2)
    assert found.metrics["ttft_s"]["p99"] == pytest.approx(0.25)
    assert found.metrics["latency_s"]["mean"] == 0.5
    assert found.metrics["output_tokens_per_s"] == 12.0
    # computed from the requests, each counted once: 1 s / 5 and 1 s / 4
    assert found.metrics["itl_s"]["mean"] == pytest.approx((0.2 + 0.25) / 2)
    assert set(found.foreign) == {"inter_token_latency_ms", "time_per_output_token_ms"}
    assert "includes the first token" in found.definitions["time_per_output_token_ms"]
    assert found.load == {
        "kind": "closed", "strategy": "concurrent", "concurrency": 2, "input_tokens": 100.0, "output_tokens": 6.0,
        "duration_s": 4.0, "model": "tiny",
    }  # fmt: skip


def test_requests_stand_in_the_order_of_their_sends(write):
    rows = read_foreign(write(REPORT))[0].requests
    assert rows["sent_s"] == pytest.approx([0.5, 1.0, 2.0, 3.0])
    assert rows["ttft_s"] == pytest.approx([0.25, 0.5, None, None])
    assert rows["itl_s"] == pytest.approx([0.25, 0.2, None, None])
    assert rows["reason"] == [None, None, "timeout_total", "interrupted"]
    assert rows["due_s"] == [None] * 4  # a closed loop has no schedule


def test_an_open_loop_has_a_schedule(write):
    path = ("benchmarks", 0, "config", "strategy")
    found = read_foreign(write(changed(path, {"type_": "constant", "rate": 2.0})))[0]
    assert (found.load["kind"], found.load["arrival"], found.load["request_rate"]) == ("open", "constant", 2.0)
    assert found.requests["ttft_s"][0] == pytest.approx(0.26)
    assert found.requests["send_lag_s"][0] == pytest.approx(0.01)
    assert "ttft_service_s" in found.metrics


def test_iterations_are_no_tokens(write):
    # without usage GuideLLM counts events: reference/load-generation.md, section 4, item 8
    path = ("benchmarks", 0, "requests", "successful", 0, "output_metrics")
    rows = read_foreign(write(changed(path, {"text_tokens": None})))[0].requests
    assert rows["output_tokens"][1] is None
    assert rows["itl_s"][1] is None
    assert rows["chunks"][1] == 3


def test_a_sample_of_the_requests_says_so(write):
    found = read_foreign(write(changed(("benchmarks", 0, "metrics", "request_totals", "total"), 400)))[0]
    assert any("4 of 400" in note for note in found.notes)
    assert found.counts["sent"] == 400
    assert "itl_s" not in found.metrics  # not that of the whole run


def test_rates_of_a_window_are_not_those_of_the_run(write):
    found = read_foreign(write(changed(("benchmarks", 0, "warmup_duration"), 1.0)))[0]
    assert found.foreign["output_tokens_per_second"] == 12.0
    assert "output_tokens_per_s" not in found.metrics


def test_version_2_yaml_and_several_benchmarks(write):
    other = changed(("config", "strategy"), {"kind": "synchronous"}, BENCHMARK)
    report = {"metadata": {"version": 2}, "config": {"spec": {}}, "benchmarks": [BENCHMARK, other]}
    found = read_foreign(write(yaml.safe_dump(report), "benchmarks.yaml"))
    assert [one.load["concurrency"] for one in found] == [2, 1]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("metadata", "version"), 3, "report version 3"),
        (("benchmarks",), [], "no benchmark"),
        (("benchmarks", 0, "metrics"), None, r"benchmarks\[0\].metrics"),
        (("benchmarks", 0, "config", "strategy"), {"type_": "psychic"}, "strategy 'psychic'"),
        (("benchmarks", 0, "requests", "successful", 0, "info", "timings", "request_end"), "now", "request_end"),
        (("benchmarks", 0, "metrics", "request_latency", "successful", "mean"), "slow", "request_latency.mean"),
    ],
)
def test_what_is_wrong_is_told(write, path, value, told):
    with pytest.raises(BadInput, match=told):
        read_foreign(write(changed(path, value)))
