"""llm-d's report keeps each tool's own meaning of TTFT, TPOT and ITL: which are ours hangs on the tool."""

from __future__ import annotations

import pytest
import yaml

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign


def report(tool, **standardized):
    # Fields: https://github.com/llm-d/llm-d-benchmark, benchmark_report/schema_v0_2.py; power and request_rate: the
    # newer schema in https://github.com/kubernetes-sigs/inference-perf, inference_perf/reportgen/br/v0_2
    said = {"tool": tool, "tool_version": "1.0", "source": "random", "stage": 2, "concurrency": 8,
            "input_seq_len": {"distribution": "fixed", "value": 512}} | standardized  # fmt: skip
    engine = {"metadata": {"label": "vllm", "cfg_id": "a"}, "native": {},
              "standardized": {"kind": "inference_engine", "tool": "vllm", "tool_version": "0.11", "role": "replica",
                               "model": {"name": "tiny"}, "accelerator": {"model": "H100", "count": 2,
                                                                          "parallelism": {"tp": 2}}}}  # fmt: skip
    latency = {"time_to_first_token": {"units": "ms", "mean": 200.0, "p99": 300.0, "p99p9": 310.0, "stddev": 3.0},
               "time_per_output_token": {"units": "ms/token", "mean": 9.0},
               "inter_token_latency": {"units": "s/token", "mean": 0.01},
               "request_latency": {"units": "s", "mean": 1.5}}  # fmt: skip
    return {
        "version": "0.2",
        "run": {"uid": "u", "time": {"start": "2026-11-20T10:00:00Z", "duration": "PT1M30S"}},
        "scenario": {"stack": [engine], "load": {"metadata": {}, "native": {}, "standardized": said}},
        "results": {
            "request_performance": {"aggregate": {
                "requests": {"total": 100, "failures": 3, "incomplete": 1, "input_length": {"units": "count",
                             "mean": 510.0}, "output_length": {"units": "count", "mean": 128.0}},
                "latency": latency,
                "throughput": {"output_token_rate": {"units": "tokens/s", "mean": 1000.0},
                               "requests_rate": {"units": "queries/s", "mean": 8.0}},
            }},
            "observability": {"components": [
                {"component_label": "vllm", "aggregate": {"power_consumption": {"units": "Watts", "mean": 500.0}}},
                {"component_label": "vllm", "aggregate": {"power_consumption": {"units": "Watts", "mean": 450.0}}},
            ]},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "ours"),
    [
        ("inference-perf", {"ttft_s", "itl_s"}),
        ("guidellm", {"ttft_s"}),
        ("vllm-benchmark", set()),
        ("something-else", set()),
    ],
)
def test_what_is_ours_hangs_on_the_tool(write, tool, ours):
    found = read_foreign(write(yaml.safe_dump(report(tool)), "report.yaml"))[0]
    assert {"ttft_s", "itl_s"} & set(found.metrics) == ours
    assert found.metrics["latency_s"]["mean"] == 1.5
    assert set(found.foreign) | ours >= {"inter_token_latency"}
    assert all(name in found.definitions for name in found.foreign)


def test_units_counts_load_and_power(write):
    found = read_foreign(write(report("inference-perf")))[0]  # JSON as well
    assert found.metrics["ttft_s"] == pytest.approx({"mean": 0.2, "p99": 0.3, "p99.9": 0.31, "std": 0.003})
    assert found.metrics["itl_s"]["mean"] == pytest.approx(0.009)
    assert found.metrics["output_tokens_per_s"] == 1000.0
    assert found.metrics["requests_per_s"] == 8.0
    assert found.metrics["power_w"] == 950.0
    assert any("2 components" in note for note in found.notes)
    assert found.counts == {"sent": 100, "completed": 96, "failed": {"unknown": 3, "interrupted": 1}}
    assert found.load == {
        "kind": "closed", "concurrency": 8, "stage": 2, "model": "tiny", "duration_s": 90.0, "input_tokens": 510.0,
        "output_tokens": 128.0,
    }  # fmt: skip


def test_a_rate_is_an_open_loop_and_other_tools_count_from_the_send(write):
    found = read_foreign(write(report("inference-perf", rate_qps=4.0)))[0]
    assert found.load["kind"] == "open"
    assert "ttft_service_s" in found.metrics
    assert "latency_service_s" in found.metrics


def test_what_is_wrong_is_told(write):
    with pytest.raises(BadInput, match=r"version: report version 0.1.*0.2"):
        read_foreign(write(report("guidellm") | {"version": "0.1"}))
    broken = report("guidellm")
    latency = broken["results"]["request_performance"]["aggregate"]["latency"]
    latency["time_to_first_token"]["units"] = "furlongs"
    with pytest.raises(BadInput, match=r"latency.time_to_first_token.units: unit 'furlongs'"):
        read_foreign(write(broken))
    with pytest.raises(BadInput, match=r"request_performance.aggregate: missing"):
        read_foreign(write(report("guidellm") | {"results": {}}))
    with pytest.raises(BadInput, match=r"report.yaml:5: not YAML"):
        read_foreign(write("version: '0.2'\nresults:\n  a: [1, 2\nb", "report.yaml"))
