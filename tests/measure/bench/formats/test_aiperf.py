"""AIPerf's records and summaries, alone and together."""

from __future__ import annotations

import json

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign

START = 1759813207532900363  # a Unix time in ns has more digits than a double


def record(number, *, ttft=200.0, gaps=(5.0, 6.0), tokens=3, **told):
    # Fields: https://github.com/ai-dynamo/aiperf, docs/tutorials/working-with-profile-exports.md
    start = START + number * 100_000_000
    latency = ttft + sum(gaps)
    meta = {"session_num": number, "x_request_id": f"r{number}", "x_correlation_id": f"c{number // 2}",
            "conversation_id": "d", "turn_index": number % 2, "request_start_ns": start,
            "request_ack_ns": start + 1000, "request_end_ns": start + int(latency * 1e6) + 2_000_000,
            "worker_id": "w", "benchmark_phase": "profiling", "was_cancelled": False}  # fmt: skip
    metrics = {"input_sequence_length": {"value": 550, "unit": "tokens"},
               "output_sequence_length": {"value": tokens, "unit": "tokens"},
               "time_to_first_token": {"value": ttft, "unit": "ms"},
               "request_latency": {"value": latency, "unit": "ms"},
               "inter_chunk_latency": {"value": list(gaps), "unit": "ms"},
               "inter_token_latency": {"value": sum(gaps) / max(tokens - 1, 1), "unit": "ms"}}  # fmt: skip
    return {"metadata": meta, "metrics": metrics, "error": None} | told


FAILED = record(4) | {"metrics": {"error_isl": {"value": 550, "unit": "tokens"}},
                      "error": {"code": 503, "type": "HTTPError", "message": "busy"}}  # fmt: skip
CANCELLED = record(5) | {"metrics": {}, "error": {"code": 499, "type": "RequestCancellationError", "message": "late"}}
WARMUP = record(0)
WARMUP = WARMUP | {"metadata": WARMUP["metadata"] | {"benchmark_phase": "warmup"}}
LINES = "\n".join(json.dumps(one) for one in (WARMUP, record(1), record(2, tokens=7), FAILED, CANCELLED)) + "\n"
# Fields: src/aiperf/common/models/export_models.py (JsonExportData)
SUMMARY = {
    "schema_version": "1.0", "aiperf_version": "0.13.0", "input_config": {"loadgen": {"concurrency": 8},
    "endpoint": {"model_names": ["tiny"]}}, "request_latency": {"unit": "ms", "avg": 211.0, "p50": 210.0, "p99": 220.0,
    "std": 1.0, "min": 200.0, "max": 230.0}, "time_to_first_token": {"unit": "ms", "avg": 200.0, "p99": 210.0},
    "inter_token_latency": {"unit": "ms", "avg": 5.5}, "inter_chunk_latency": {"unit": "ms", "avg": 5.6},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 300.0},
    "request_throughput": {"unit": "requests/sec", "avg": 30.0}, "request_count": {"unit": "requests", "avg": 20.0},
    "error_request_count": {"unit": "requests", "avg": 2.0}, "was_cancelled": False,
    "benchmark_duration": {"unit": "sec", "avg": 10.0}, "output_sequence_length": {"unit": "tokens", "avg": 3.0},
}  # fmt: skip
# Sections: src/aiperf/exporters/metrics_csv_exporter.py
CSV = """Metric,avg,min,max,sum,p1,p5,p10,p25,p50,p75,p90,p95,p99,std
Inter Token Latency (ms),5.50,5.00,6.00,,5.00,5.00,5.00,5.00,5.50,6.00,6.00,6.00,6.00,0.50
Request Latency (ms),211.00,200.00,230.00,,200.00,200.00,200.00,205.00,210.00,215.00,218.00,219.00,220.00,1.00
Time to First Token (ms),200.00,190.00,210.00,,190.00,190.00,191.00,195.00,200.00,204.00,208.00,209.00,210.00,5.00

Metric,Value
Output Token Throughput (tokens/sec),300.00
Request Count,20


Endpoint,GPU_Index,GPU_Name,GPU_UUID,Metric,avg,min,max
localhost:9401,0,H100,GPU-1,GPU Power Usage (W),500.00,100.00,700.00
"""


def test_records_are_requests(write):
    found = read_foreign(write(LINES, "profile_export.jsonl"))[0]
    rows = found.requests
    assert rows["sent_s"] == pytest.approx([0.0, 0.1, 0.3, 0.4], abs=1e-12)
    assert rows["ttft_s"] == pytest.approx([0.2, 0.2, None, None])
    assert rows["itl_s"] == pytest.approx([0.0055, 0.011 / 6, None, None])
    assert rows["token_s"][0] == pytest.approx([0.2, 0.205, 0.211])
    assert rows["token_s"][1] is None  # three events of seven tokens: which held how many is not told
    assert rows["chunks"][:2] == [3, 3]
    assert rows["reason"] == [None, None, "http_503", "interrupted"]
    assert rows["http_status"] == [None, None, 503, None]
    assert rows["conversation"] == [0, 1, 2, 2]
    assert rows["turn"] == [1, 0, 0, 1]
    assert any("1 requests of the warm-up" in note for note in found.notes)
    assert found.counts["failed"] == {"http_503": 1, "interrupted": 1}


def test_the_servers_tokens_go_before_the_tokenizers(write):
    one = record(1)
    one["metrics"]["usage_completion_tokens"] = {"value": 4, "unit": "tokens"}
    rows = read_foreign(write(json.dumps(one), "profile_export.jsonl"))[0].requests
    assert rows["output_tokens"] == [4]
    assert rows["output_tokens_source"] == ["usage"]


def test_a_summary_has_figures(write):
    found = read_foreign(write(SUMMARY))[0]
    assert (found.tool, found.version) == ("aiperf", "0.13.0")
    assert found.metrics["ttft_s"] == pytest.approx({"mean": 0.2, "p99": 0.21})
    assert found.metrics["itl_s"]["mean"] == pytest.approx(0.0055)
    assert found.metrics["chunk_gap_s"]["mean"] == pytest.approx(0.0056)
    assert found.load == {
        "kind": "closed", "concurrency": 8, "output_tokens": 3.0, "duration_s": 10.0, "model": "tiny",
    }  # fmt: skip
    assert found.counts == {"sent": 22, "completed": 20, "failed": {"unknown": 2}}
    assert "tokenizer" in found.definitions["output_tokens_per_s"]


def test_the_csv_says_the_same(write):
    found = read_foreign(write(CSV, "profile_export_aiperf.csv"))[0]
    assert found.metrics["ttft_s"]["mean"] == pytest.approx(0.2)
    assert found.metrics["latency_s"]["p99"] == pytest.approx(0.22)
    assert found.metrics["output_tokens_per_s"] == 300.0
    assert found.counts["completed"] == 20
    assert found.load == {}
    assert found.notes == ("neither concurrency nor request rate is stated",)


def test_a_folder_is_read_together(write, tmp_path):
    write(LINES, "profile_export.jsonl")
    write(SUMMARY, "profile_export_aiperf.json")
    found = read_foreign(tmp_path)
    assert len(found) == 1
    assert len(found[0].requests["id"]) == 4
    assert found[0].metrics["output_tokens_per_s"] == 300.0
    assert found[0].load["concurrency"] == 8


def test_genai_perf_has_the_same_form(write):
    config = {"input_config": {"perf_analyzer": {"stimulus": {"concurrency": 4}}}}
    found = read_foreign(write(SUMMARY | config, "profile_export_genai_perf.json"))[0]
    assert (found.tool, found.load["concurrency"]) == ("genai-perf", 4)


def test_a_request_rate_is_an_open_loop(write):
    config = {"input_config": {"loadgen": {"request_rate": 5.0, "arrival_pattern": "ArrivalPattern.CONSTANT"}}}
    found = read_foreign(write(SUMMARY | config))[0]
    assert (found.load["kind"], found.load["arrival"]) == ("open", "constant")
    assert "ttft_service_s" in found.metrics


def test_what_is_wrong_is_told(write):
    with pytest.raises(BadInput, match=r"time_to_first_token.unit: unit 'fortnights'.*ms"):
        read_foreign(write(SUMMARY | {"time_to_first_token": {"unit": "fortnights", "avg": 1.0}}))
    one = record(1)
    one["metrics"]["request_latency"]["value"] = "slow"
    with pytest.raises(BadInput, match=r"profile_export.jsonl:2: metrics.request_latency.value"):
        read_foreign(write(json.dumps(record(0)) + "\n" + json.dumps(one), "profile_export.jsonl"))
    with pytest.raises(BadInput, match=r"profile_export.jsonl:5: not JSON"):
        read_foreign(write(LINES[:-40], "profile_export.jsonl"))
    with pytest.raises(BadInput, match="csv:2: 3 fields"):
        read_foreign(write("Metric,avg,min,max\nRequest Latency (ms),1.0,2.0\n", "a.csv"))
    with pytest.raises(BadInput, match="csv:2: Request Latency"):
        read_foreign(write("Metric,avg,min\nRequest Latency (ms),fast,2.0\n", "a.csv"))
