"""A bench against a server whose schedule is known: what it measures is the schedule, as closely as this machine runs.

The server's own account and log are the second computation. Nothing here is a bar on the client: those are measured by
`benchmarks`, on cores of their own.
"""

import numpy as np
import pytest
from bench_runs import Record

BUSY_S = 0.25  # lateness of a machine with other work, at most


def stamps(record: Record) -> np.ndarray:
    """Times of tokens, shape (requests, tokens)."""
    return np.array(record.column("token_s"))


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_every_token_comes_when_it_was_due(mock, bench, endpoint):
    """Token k of a request is due at its arrival + 30 ms + k * 4 ms, and never earlier."""
    server = mock("--ttft-ms", "30", "--itl-ms", "4")
    words = ("--concurrency", 4, "--requests", 24, "--osl", 12, "--endpoint-type", endpoint)
    record = bench(server.base_url, *words).record
    after = stamps(record) - np.array(record.column("sent_s"))[:, None]
    late = after - (0.030 + 0.004 * np.arange(12))
    assert late.shape == (24, 12) and late.min() > 0 and np.median(late) < 0.01 and late.max() < BUSY_S
    assert record.column("ttft_s") == pytest.approx(after[:, 0].tolist(), abs=1e-8)
    assert record.column("latency_s") == pytest.approx(after[:, -1].tolist(), abs=1e-8)
    assert record.column("itl_s") == pytest.approx(((after[:, -1] - after[:, 0]) / 11).tolist(), abs=1e-8)
    assert record.column("output_tokens") == record.column("chunks") == [12] * 24
    assert set(record.column("output_tokens_source")) == {"usage"}


def test_the_servers_log_and_the_record_agree(mock, bench):
    """Both on one monotonic clock of one machine: requests arrive after they were sent, tokens after they left."""
    server = mock("--ttft-ms", "10", "--itl-ms", "2")
    ran = bench(server.base_url, "--concurrency", 3, "--requests", 30, "--osl", 8)
    log = sorted(server.log(), key=lambda row: row["recv_ns"])[-30:]  # without the first requests that look at it
    record = ran.record
    rows = record.table().sort("sent_s")
    received = np.array([row["recv_ns"] for row in log]) / 1e9
    delay = received - rows["sent_s"].to_numpy()
    start = delay.min()  # of the run's clock on the other, less the quickest way: below the true one by some 0.1 ms
    assert np.ptp(delay) < BUSY_S
    first = rows["first_token_s"].to_numpy() + start - received
    assert (first > np.array([row["first_ns"] for row in log]) / 1e9 - 1e-3).all()
    assert rows["output_tokens"].to_list() == [row["ntok"] for row in log]


def test_counts_are_those_of_the_server(mock, bench):
    server = mock("--ttft-ms", "2", "--itl-ms", "0")
    ran = bench(server.base_url, "--concurrency", "1,4", "--requests", 40, "--osl", 9, "--repeat", 2)
    assert [record.folder.name for record in ran.records] == ["c1", "c1-2", "c4", "c4-2"]
    told = server.stats()
    assert 4 * 40 <= told["requests"] <= 4 * 40 + 8, "a few to get to know the server"
    assert (told["client_aborts"], told["active"]) == (0, 0)
    for record in ran.records:
        assert record.run["requests"] == {"sent": 40, "completed": 40, "failed": {}}
        assert record.column("id") == list(range(40)) and sum(record.column("output_tokens")) == 360


def test_prompts_differ_between_requests_and_are_the_same_again(mock, bench):
    server = mock("--ttft-ms", "1", "--itl-ms", "0")
    words = ("--concurrency", 4, "--requests", 30)
    one, same, other = (bench(server.base_url, *words, "--seed", seed).record.column("prompt") for seed in (1, 1, 2))
    assert one == same and len(set(one)) == 30 and not set(one) & set(other)


def test_an_open_loop_sends_by_its_schedule_whatever_the_server_does(mock, bench):
    """40 requests of 100 ms, 200 of them wanted per second: 20 would be in flight at least."""
    server = mock("--ttft-ms", "100", "--itl-ms", "0")
    words = ("--request-rate", 200, "--arrival", "constant", "--requests", 40, "--osl", 2)
    record = bench(server.base_url, *words).record
    due, sent = (np.array(record.column(name)) for name in ("due_s", "sent_s"))
    assert np.diff(due) == pytest.approx(np.full(39, 0.005), abs=1e-6)
    assert ((sent - due) >= 0).all() and (sent - due).max() < BUSY_S
    assert server.stats()["peak_active"] >= 15
    assert record.run["load"]["request_rate"] == 200


def test_all_at_once(mock, bench):
    server = mock("--ttft-ms", "50", "--itl-ms", "0")
    bench(server.base_url, "--concurrency", "all", "--requests", 64, "--osl", 2)
    assert server.stats()["peak_active"] == 64


def test_a_duration_ends_the_sending(mock, bench):
    server = mock("--ttft-ms", "5", "--itl-ms", "1")
    record = bench(server.base_url, "--concurrency", 4, "--duration", "400ms").record
    sent, end = record.column("sent_s"), record.column("end_s")
    assert 0.3 < max(sent) - min(sent) <= 0.41 and record.run["requests"]["completed"] == len(sent) > 20
    assert max(end) - min(sent) < 0.4 + BUSY_S and set(record.column("status")) == {"done"}, (
        "what was in flight was waited for"
    )


def test_several_servers_are_taken_in_turn(mock, bench):
    first, second = mock("--ttft-ms", "5", "--itl-ms", "0"), mock("--ttft-ms", "5", "--itl-ms", "0")
    record = bench(first.base_url, "--base-url", second.base_url, "--concurrency", 4, "--requests", 20).record
    assert sorted(record.column("replica")) == [0] * 10 + [1] * 10
    assert min(first.stats()["requests"], second.stats()["requests"]) >= 10


def test_the_engines_metrics_are_on_the_same_clock(mock, bench):
    server = mock("--ttft-ms", "60", "--itl-ms", "2")
    words = ("--concurrency", 4, "--requests", 16, "--osl", 8, "--scrape-interval", "20ms")
    record = bench(server.base_url, *words).record
    seen = record.table("server").sort("time_s")
    assert seen["running"].max() == 4.0 and seen["running"].min() >= 0
    tokens = seen["output_tokens_total"].drop_nulls().to_list()
    assert tokens == sorted(tokens) and 0 < tokens[-1] - tokens[0] <= 16 * 8
    assert seen["time_s"][0] < min(record.column("first_token_s")), "begun before the first answer"


def test_reasoning_comes_before_the_answer(mock, bench):
    server = mock("--ttft-ms", "10", "--itl-ms", "5", "--reasoning", "6")
    record = bench(server.base_url, "--concurrency", 1, "--requests", 3, "--osl", 12).record
    for first, answer in zip(record.column("ttft_s"), record.column("ttft_answer_s"), strict=True):
        assert answer - first > 6 * 0.005 - 0.004
    assert record.column("output_tokens") == [12] * 3


@pytest.mark.parametrize(
    "flags", [("--finish-chunk",), ("--no-done",), ("--close",), ("--usage-always",), ("--role", "0")]
)
def test_shapes_of_streams_change_no_number(mock, bench, flags):
    server = mock("--ttft-ms", "2", "--itl-ms", "1", *flags)
    record = bench(server.base_url, "--concurrency", 2, "--requests", 12, "--osl", 7).record
    assert record.run["requests"] == {"sent": 12, "completed": 12, "failed": {}}
    assert record.column("output_tokens") == record.column("chunks") == [7] * 12


def test_answers_shorter_than_asked(mock, bench):
    server = mock("--ttft-ms", "2", "--itl-ms", "1", "--short", "3")
    record = bench(server.base_url, "--concurrency", 2, "--requests", 12, "--osl", 9, "--ignore-eos").record
    assert record.column("output_tokens") == [6] * 12 and record.column("asked_output_tokens") == [9] * 12
    assert record.run["validity"]["valid"] is False and "lengths_not_met" in record.run["validity"]["reasons"]


def test_refusals_are_counted_by_reason(mock, bench):
    """Every tenth is refused: the two first requests, and then 60."""
    server = mock("--ttft-ms", "2", "--itl-ms", "0", "--fail-every", "10")
    ran = bench(server.base_url, "--concurrency", 3, "--requests", 60)
    record = ran.record
    assert record.run["requests"] == {"sent": 60, "completed": 54, "failed": {"http_503": 6}}
    assert "too_many_failures" in record.run["validity"]["reasons"]
    failed = record.table().filter(record.table()["status"] == "failed")
    assert failed["http_status"].to_list() == [503] * 6 and set(failed["detail"]) == {
        '{"error":{"message":"overloaded","code":503}}'
    }
    assert failed["failed_s"].null_count() == 0 and failed["output_tokens"].null_count() == 6
    assert ran.json()["runs"][0]["requests"] == record.run["requests"]
