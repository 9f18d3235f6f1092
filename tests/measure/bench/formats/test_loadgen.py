"""LoadGen's logs: latencies from the scheduled issue, tokens as the system under test tells them."""

from __future__ import annotations

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign

# Lines: https://github.com/mlcommons/inference, loadgen/results.cc (PerformanceSummary::LogSummary)
SERVER = """================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : Server
Mode     : PerformanceOnly
Completed samples per second    : 74.96
Result is : VALID
  Performance constraints satisfied : Yes
  Min duration satisfied : Yes
TTFT Early Stopping Result:
 * Run successful.

================================================
Additional Stats
================================================
Scheduled samples per second : 76.17
Min latency (ns)                : 818130000
Max latency (ns)                : 45708791529
Mean latency (ns)               : 8000000000
99.00 percentile latency (ns)   : 12180175728

Completed tokens per second                 : 22020.92
Min First Token latency (ns)                : 46040396
Max First Token latency (ns)                : 2522969250
Mean First Token latency (ns)               : 963332124
99.00 percentile first token latency (ns)   : 1760966679
99.90 percentile first token latency (ns)   : 2226588311

Min Time to Output Token (ns)                : 32461425
Max Time to Output Token (ns)                : 1358427611
Mean Time to Output Token (ns)               : 126269215
99.00 percentile time to output token (ns)   : 164964162

================================================
Test Parameters Used
================================================
samples_per_query : 1
target_qps : 77
ttft_latency (ns): 2000000000
min_duration (ms): 600000
"""
OFFLINE = """================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : Offline
Mode     : PerformanceOnly
Samples per second: 4.49829
Tokens per second: 1337.46
Result is : INVALID
  Min duration satisfied : NO

================================================
Additional Stats
================================================
Min latency (ns)                : 5463226219538
Mean latency (ns)               : 5463316299885
"""


def entry(key, value):
    # Form: a line of a real log in https://github.com/mlcommons/mobile_app_open, loadgen_info tests
    told = f'"{value}"' if isinstance(value, str) else value
    return (f':::MLLOG {{"key": "{key}", "value": {told}, "time_ms": 273.0054, "namespace": "mlperf::logging", '
            '"event_type": "POINT_IN_TIME", "metadata": {"is_error": false, "is_warning": false, '
            '"file": "results.cc", "line_no": 1119, "pid": 38760, "tid": 37352}}')  # fmt: skip


DETAIL = "\n".join([
    entry("loadgen_version", "5.0"), entry("effective_scenario", "Server"),
    entry("effective_target_qps", 77), entry("result_validity", "VALID"), entry("result_query_count", 46200),
    entry("result_completed_samples_per_sec", 74.961234), entry("result_mean_latency_ns", 8000000001),
    entry("result_99.00_percentile_latency_ns", 12180175728), entry("result_first_token_mean_latency_ns", 963332124),
    entry("result_first_token_99.00_percentile_latency_ns", 1760966679),
    entry("result_time_per_output_token_99.00_percentile_ns", 164964162),
    entry("result_time_to_output_token_mean", 126269215),
]) + "\n"  # fmt: skip


def test_a_server_run_counts_from_the_scheduled_issue(write):
    found = read_foreign(write(SERVER, "mlperf_log_summary.txt"))[0]
    assert found.load == {
        "kind": "open", "scenario": "Server", "protocol": "mlperf-server", "request_rate": 77.0, "arrival": "poisson",
    }  # fmt: skip
    assert found.metrics["ttft_s"]["p99"] == pytest.approx(1.760966679)
    assert found.metrics["ttft_s"]["p99.9"] == pytest.approx(2.226588311)
    assert found.metrics["itl_s"]["mean"] == pytest.approx(0.126269215)
    assert found.metrics["latency_s"]["max"] == pytest.approx(45.708791529)
    assert found.metrics["output_tokens_per_s"] == 22020.92
    assert found.foreign["completed_samples_per_second"] == 74.96
    assert "LoadGen says VALID" in found.notes
    assert found.requests is None


def test_offline_latency_is_a_place_in_the_queue(write):
    found = read_foreign(write(OFFLINE))[0]
    assert found.load["kind"] == "offline"
    assert "latency_s" not in found.metrics
    assert found.foreign["offline_latency_s"]["mean"] == pytest.approx(5463.316299885)
    assert found.metrics["output_tokens_per_s"] == 1337.46
    assert found.metrics["requests_per_s"] == 4.49829
    assert found.remarks == ("loadgen_invalid",)


def test_both_logs_are_read_together(write, tmp_path):
    write(SERVER, "mlperf_log_summary.txt")
    detail = write(DETAIL, "mlperf_log_detail.txt")
    both, alone = read_foreign(tmp_path)[0], read_foreign(detail)[0]
    assert both.version == alone.version == "5.0"
    assert both.metrics["latency_s"]["mean"] == pytest.approx(8.000000001)  # the detail log has the digits
    assert both.metrics["output_tokens_per_s"] == 22020.92  # the summary has the tokens
    assert "output_tokens_per_s" not in alone.metrics
    assert alone.metrics["itl_s"] == pytest.approx({"p99": 0.164964162, "mean": 0.126269215})
    assert both.counts == {"completed": 46200}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVER[:140], "Scenario: missing"),
        (SERVER[:200], "no figure of the run"),
        (SERVER.replace("Server", "Waiter"), "scenario 'Waiter'"),
        (SERVER.replace("74.96", "many"), r":7: Completed samples per second: 'many' is not a number"),
        (DETAIL[:-60], r":12: not an entry of the log"),
        (":::MLLOG [1]\n", r":1: not an entry of the log"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, text, told):
    with pytest.raises(BadInput, match=told):
        read_foreign(write(text, "mlperf_log.txt"))
