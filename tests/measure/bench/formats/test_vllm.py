"""Results of ``vllm bench serve``: what is ours, what may be counted from the event of the role, and what failed."""

from __future__ import annotations

import json

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign

# Fields: https://github.com/vllm-project/vllm, vllm/benchmarks/serve.py
SUMMARY = {
    "date": "20261120-101112", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": None,
    "model_id": "meta-llama/Llama-3.1-8B-Instruct", "tokenizer_id": "x", "num_prompts": 3, "request_rate": "inf",
    "burstiness": 1.0, "max_concurrency": 2, "duration": 4.0, "completed": 2, "failed": 1, "total_input_tokens": 30,
    "total_output_tokens": 8, "request_throughput": 0.5, "request_goodput": None, "output_throughput": 2.0,
    "total_token_throughput": 9.5, "max_output_tokens_per_s": 5.0, "max_concurrent_requests": 2,
    "mean_ttft_ms": 9.3, "median_ttft_ms": 9.2, "std_ttft_ms": 0.1, "p99_ttft_ms": 11.0, "mean_tpot_ms": 15.3,
    "median_tpot_ms": 15.0, "std_tpot_ms": 0.2, "p99_tpot_ms": 16.0, "mean_itl_ms": 54.5, "median_itl_ms": 36.2,
    "std_itl_ms": 1.0, "p99_itl_ms": 190.0, "mean_e2el_ms": 490.0, "median_e2el_ms": 489.0, "std_e2el_ms": 2.0,
    "p99_e2el_ms": 495.0,
}  # fmt: skip
DETAIL = {
    "input_lens": [10, 20, 15], "output_lens": [3, 5, 0], "ttfts": [0.2, 0.3, 0.0], "itls": [[0.05, 0.06], [0.1], []],
    "start_times": [1000.5, 1000.6, 1001.0], "errors": ["", "", "Too Many Requests"], "generated_texts": ["", "", ""],
}  # fmt: skip


def test_on_the_chat_route_ttft_stays_foreign(write):
    # the trap of reference/load-generation.md, 3.3: 9 ms printed for a TTFT of 200 ms
    found = read_foreign(write(SUMMARY | DETAIL))[0]
    assert set(found.metrics) == {"latency_s", "output_tokens_per_s", "total_tokens_per_s", "requests_per_s"}
    assert found.foreign["ttft"]["mean"] == pytest.approx(0.0093)
    assert "role" in found.definitions["ttft"]
    assert "undivided" in found.definitions["itl"]
    assert found.remarks == ("ttft_may_count_role_event",)
    assert found.requests["ttft_s"] == found.requests["first_token_s"] == found.requests["itl_s"] == [None] * 3
    assert found.requests["latency_s"] == pytest.approx([0.31, 0.4, None])


def test_on_the_completions_route_ttft_is_ours(write):
    found = read_foreign(write(SUMMARY | DETAIL | {"backend": "vllm"}))[0]
    assert found.metrics["ttft_s"] == pytest.approx({"mean": 0.0093, "std": 0.0001, "p50": 0.0092, "p99": 0.011})
    assert found.metrics["itl_s"]["mean"] == pytest.approx(0.0153)  # TPOT
    assert found.metrics["chunk_gap_s"]["mean"] == pytest.approx(0.0545)  # what vLLM calls ITL
    assert found.requests["sent_s"] == pytest.approx([0.0, 0.1, 0.5])
    assert found.requests["ttft_s"] == pytest.approx([0.2, 0.3, None])
    assert found.requests["latency_s"] == pytest.approx([0.31, 0.4, None])  # ttft and the sum of itls
    assert found.requests["itl_s"] == pytest.approx([0.055, 0.1 / 4, None])
    assert found.requests["chunks"] == [3, 2, None]
    # as many events as tokens: one each; else nobody knows which event held how many
    assert found.requests["chunk_tokens"] == [[1, 1, 1], None, None]
    assert found.requests["token_s"][0] == pytest.approx([0.2, 0.25, 0.31])
    assert found.requests["reason"] == [None, None, "http_429"]
    assert found.counts == {"sent": 3, "completed": 2, "failed": {"http_429": 1}}
    assert found.load == {
        "kind": "closed", "concurrency": 2, "requests": 3, "duration_s": 4.0, "model": SUMMARY["model_id"],
        "api": "vllm", "input_tokens": 15.0, "output_tokens": 4.0,
    }  # fmt: skip


def test_an_open_loop_is_due_before_it_waits_for_a_place(write):
    run = SUMMARY | DETAIL | {"backend": "openai", "request_rate": 4.0, "latencies": [0.31, 0.4, 0.0],
                              "queue_times": [0.0, 0.02, 0.0]}  # fmt: skip
    found = read_foreign(write(run))[0]
    assert (found.load["kind"], found.load["arrival"]) == ("open", "poisson")
    assert found.requests["due_s"] == pytest.approx([0.0, 0.08, 0.5])
    assert found.requests["ttft_s"][1] == pytest.approx(0.32)
    assert found.requests["ttft_service_s"][1] == pytest.approx(0.3)
    assert "ttft_s" not in found.metrics  # vLLM's counts from the send
    assert "ttft_service_s" in found.metrics


def test_without_start_times_durations_are_known_and_moments_are_not(write):
    run = SUMMARY | DETAIL | {"backend": "vllm"}
    del run["start_times"]
    found = read_foreign(write(run))[0]
    assert found.requests["sent_s"] == [None] * 3
    assert found.requests["ttft_s"] == [0.2, 0.3, None]
    assert found.requests["itl_s"] == pytest.approx([0.055, 0.025, None])


def test_a_summary_has_no_requests(write):
    found = read_foreign(write(SUMMARY))[0]
    assert found.requests is None
    assert found.counts == {"sent": 3, "completed": 2, "failed": {"unknown": 1}}
    assert read_foreign(write(SUMMARY | {"max_concurrency": None}))[0].load["kind"] == "offline"


def test_appended_results_are_several_benchmarks(write):
    lines = "\n".join(json.dumps(SUMMARY | {"max_concurrency": users}) for users in (1, 2, 4))
    assert [one.load["concurrency"] for one in read_foreign(write(lines))] == [1, 2, 4]


def test_all_requests_failed(write):
    run = SUMMARY | {name: 0.0 for name in SUMMARY if name.endswith("_ms")} | {"completed": 0, "failed": 3}
    found = read_foreign(write(run | DETAIL | {"ttfts": [0.0] * 3, "itls": [[]] * 3, "output_lens": [0] * 3}))[0]
    assert found.counts["completed"] == 0
    assert "latency_s" not in found.metrics  # 0 ms of no request is no latency


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"duration": "long"}, "duration"),
        ({"completed": 1.5}, "completed"),
        ({"itls": [[0.1], ["x"], []]}, r"\[1\].itls"),
        ({"itls": [[0.1]]}, "itls"),
        ({"ttfts": [0.1, None, 0.0]}, r"\[1\].ttfts"),
        ({"start_times": ["a", "b", "c"]}, "start_times"),
        ({"mean_ttft_ms": -1.0}, "mean_ttft_ms"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(write, broken, field):
    with pytest.raises(BadInput, match=f"result.json.*{field}"):
        read_foreign(write(SUMMARY | DETAIL | {"backend": "vllm"} | broken))
