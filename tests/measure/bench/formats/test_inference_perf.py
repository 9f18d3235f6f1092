"""inference-perf's reports of stages and of requests."""

from __future__ import annotations

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign


def figure(mean):
    return {"mean": mean, "min": mean / 2, "p0.1": mean / 2, "median": mean, "p99": mean * 2, "max": mean * 2}


# Fields: https://github.com/kubernetes-sigs/inference-perf, demos/kubecon-na-2025/vllm+eagle/results (f22baac6)
STAGE = {
    "load_summary": {"count": 60, "schedule_delay": figure(0.0002) | {"min": -0.001}, "send_duration": 59.9,
                     "requested_rate": 1.0, "achieved_rate": 1.0},
    "successes": {
        "count": 58,
        "latency": {"request_latency": figure(0.8), "normalized_time_per_output_token": figure(0.008),
                    "time_per_output_token": figure(0.0057), "time_to_first_token": figure(0.04),
                    "inter_token_latency": figure(0.0058) | {"median": 3e-5}},
        "throughput": {"input_tokens_per_sec": 74.0, "output_tokens_per_sec": 103.0, "total_tokens_per_sec": 177.0,
                       "requests_per_sec": 0.98},
        "prompt_len": figure(75.0), "output_len": figure(105.0),
    },
    "failures": {"count": 2, "request_latency": None, "prompt_len": None},
}  # fmt: skip


def request(start, times, **told):
    # Fields: inference_perf/apis/base.py (RequestLifecycleMetric, StreamedResponseMetrics)
    answer = {"output_tokens": len(times), "output_token_times": times, "chunk_times": sorted(set(times)),
              "server_usage": {"prompt_tokens": 12, "completion_tokens": len(times)}}  # fmt: skip
    info = {"request_metrics": {"text": {"input_tokens": 11}}, "response_metrics": answer, "input_tokens": 11}
    return {"scheduled_time": start - 0.01, "start_time": start, "end_time": times[-1] + 0.1 if times else start + 1.0,
            "request": "", "response": "", "info": info, "error": None} | told  # fmt: skip


def test_a_stage_has_figures_and_its_tpot_is_our_itl(write):
    found = read_foreign(write(STAGE))[0]
    assert (found.load["kind"], found.load["request_rate"]) == ("open", 1.0)
    assert found.metrics["ttft_service_s"]["mean"] == 0.04
    assert found.metrics["itl_s"]["p99"] == pytest.approx(0.0114)
    assert found.metrics["send_lag_s"]["min"] == -0.001  # early is a lag below 0
    # its ITL is 0 inside an event: median 30 us, of no use to us
    assert found.foreign["inter_token_latency"]["p50"] == 3e-5
    assert "0" in found.definitions["inter_token_latency"]
    assert found.counts == {"sent": 60, "completed": 58, "failed": {"unknown": 2}}
    assert found.load["output_tokens"] == 105.0


def test_a_stage_at_a_concurrency_is_a_closed_loop(write):
    stage = STAGE | {"load_summary": STAGE["load_summary"] | {"concurrency": 16}}
    found = read_foreign(write(stage))[0]
    assert (found.load["kind"], found.load["concurrency"]) == ("closed", 16)
    assert "ttft_s" in found.metrics
    assert "request_rate" not in found.load


def test_requests_have_times_of_tokens(write):
    failed = request(102.0, [], error={"error_type": "HTTP Error 429", "error_msg": "slow down"})
    found = read_foreign(write([request(101.0, [101.2, 101.2, 101.4]), request(100.0, [100.5, 100.7]), failed]))[0]
    rows = found.requests
    assert rows["sent_s"] == pytest.approx([0.0, 1.0, 2.0])
    assert rows["ttft_service_s"] == pytest.approx([0.5, 0.2, None])
    assert rows["ttft_s"] == pytest.approx([0.51, 0.21, None])  # from when they were due
    assert rows["itl_s"] == pytest.approx([0.2, 0.2, None])  # (last - first) / (3 - 2 of the first event)
    assert rows["chunk_tokens"] == [[1, 1], [2, 1], None]
    assert rows["output_tokens_source"][:2] == ["usage", "usage"]
    assert rows["input_tokens"] == [12, 12, 12]
    assert rows["reason"][2] == "http_429"


def test_times_of_text_tokenised_again_are_kept_only_where_the_counts_agree(write):
    one = request(100.0, [100.5, 100.7])
    one["info"]["response_metrics"]["server_usage"]["completion_tokens"] = 5
    rows = read_foreign(write([one]))[0].requests
    assert rows["output_tokens"] == [5]
    assert rows["token_s"] == [None]
    assert rows["ttft_service_s"] == pytest.approx([0.5])


def test_older_files_have_no_usage_and_no_schedule(write):
    old = {"start_time": 10.0, "end_time": 12.0, "request": "", "response": "", "error": None,
           "info": {"input_tokens": 7, "output_tokens": 2, "output_token_times": [10.5, 11.5]}}  # fmt: skip
    rows = read_foreign(write([old]))[0].requests
    assert rows["output_tokens_source"] == ["tokenizer"]
    assert (rows["input_tokens"], rows["due_s"], rows["ttft_s"]) == ([7], [None], [0.5])


def test_what_is_wrong_is_told(write):
    with pytest.raises(BadInput, match=r"successes.latency.request_latency.mean: 'x' is not a number"):
        broken = {"count": 1, "latency": {"request_latency": {"mean": "x"}}}
        read_foreign(write(STAGE | {"successes": broken}))
    with pytest.raises(BadInput, match=r"successes.count: missing"):
        read_foreign(write(STAGE | {"successes": {}}))
    one = request(1.0, [2.0])
    one["info"]["response_metrics"]["output_token_times"] = ["soon"]
    with pytest.raises(BadInput, match="output_token_times"):
        read_foreign(write([one]))
