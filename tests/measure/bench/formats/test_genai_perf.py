"""Perf Analyzer's raw export: events are found in what came, whole or in splinters."""

from __future__ import annotations

import json

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import read_foreign

T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def event(**delta):
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}) + "\n\n"


ROLE = event(role="assistant", content="")
USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}\n\n'
DONE = "data: [DONE]\n\n"


def request(start_ms, *responses):
    # Fields: https://github.com/triton-inference-server/perf_analyzer, src/profile_data_exporter.cc
    return {
        "timestamp": T0 + start_ms * MS, "request_inputs": {"payload": "{}"},
        "response_timestamps": [T0 + at * MS for at, _ in responses],
        "response_outputs": [{"response": text} for _, text in responses],
    }  # fmt: skip


def export(*requests, mode="concurrency", value=2, **told):
    one = {"experiment": {"mode": mode, "value": value}, "requests": list(requests), "window_boundaries": []}
    return {"experiments": [one], "version": "2.60", "service_kind": "openai", "endpoint": "v1/chat"} | told


SPLIT = event(content="hello")
WHOLE = request(0, (9, ROLE), (200, event(content="a")), (210, event(content="b")), (230, event(content="c") + USAGE),
                (231, DONE))  # fmt: skip


def test_the_event_of_the_role_is_no_token(write):
    found = read_foreign(write(export(WHOLE)))[0]
    rows = found.requests
    assert (found.tool, found.version, found.load["concurrency"]) == ("genai-perf", "2.60", 2)
    assert rows["ttft_s"] == pytest.approx([0.2])  # not 9 ms
    assert rows["latency_s"] == pytest.approx([0.23])
    assert rows["itl_s"] == pytest.approx([0.015])
    assert (rows["output_tokens"], rows["output_tokens_source"], rows["input_tokens"]) == ([3], ["usage"], [12])
    assert rows["token_s"] == [pytest.approx([0.2, 0.21, 0.23])]
    assert found.metrics["ttft_s"]["mean"] == pytest.approx(0.2)


def test_an_event_in_splinters_counts_when_it_is_whole(write):
    splintered = request(0, (100, SPLIT[:20]), (150, SPLIT[20:]), (170, event(content="b") + event(content="c")))
    rows = read_foreign(write(export(splintered)))[0].requests
    assert rows["first_token_s"] == pytest.approx([0.15])
    assert rows["chunks"] == [2]  # two events in one response share its time
    assert rows["output_tokens"] == [None]  # no usage, no tokenizer in the file


def test_errors_and_silence_are_failures(write):
    error = request(0, (20, 'data: {"error": {"message": "out of memory"}}\n\n'))
    rows = read_foreign(write(export(error, request(5), request(6, (30, ROLE), (31, DONE)))))[0].requests
    assert rows["reason"] == ["error_event", "no_tokens", "no_tokens"]
    assert rows["detail"][0] == "{'message': 'out of memory'}"


def test_experiments_are_benchmarks_and_rates_are_open_loops(write):
    both = export(WHOLE)
    both["experiments"] += export(WHOLE, mode="request_rate", value=2.5)["experiments"]
    closed, opened = read_foreign(write(both))
    assert closed.load["kind"] == "closed"
    assert (opened.load["kind"], opened.load["request_rate"]) == ("open", 2.5)
    assert opened.requests["ttft_s"] == [None]  # when it was due is not told
    assert opened.requests["ttft_service_s"] == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (export(WHOLE, mode="guess"), "experiment.mode"),
        (export({"timestamp": "now"}), r"requests\[0\].timestamp"),
        (export(WHOLE | {"response_timestamps": [1.5]}), "response_outputs"),
        (export(WHOLE) | {"experiments": []}, "no experiment"),
    ],
)
def test_what_is_wrong_is_told(write, document, told):
    with pytest.raises(BadInput, match=told):
        read_foreign(write(document))
