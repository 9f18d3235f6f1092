"""What other clients were found to measure wrongly, each as a test (reference/load-generation.md, sections 3.3 and 4).

The mock is never early, so lower bounds on times hold on every machine; upper ones are so wide that only a wrong
definition passes them. Figures of the schedule are said beside each test.
"""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from bench_plans import DONE, GOOD, fewer, streamed, told, without_usage
from bench_runs import LONGEST_S, Ran, environment, words

WIDE_S = 0.5  # later than this is no lateness of a busy machine


def one_by_one(*words, count=4, osl=33):
    return ("--concurrency", 1, "--requests", count, "--osl", osl, *words)


def test_a_role_event_is_no_token(mock, bench):
    """1. The role comes at once, the first token after 150 ms: a client that takes it for one shows 9 ms."""
    server = mock("--role", "2", "--ttft-ms", "150", "--itl-ms", "1")
    record = bench(server.base_url, *one_by_one(count=2)).record
    assert all(0.15 <= ttft < WIDE_S for ttft in record.column("ttft_s"))
    first_byte = [
        byte - sent for byte, sent in zip(record.column("first_byte_s"), record.column("sent_s"), strict=True)
    ]
    assert all(byte < 0.15 for byte in first_byte), "the role's own time is the first byte's"
    assert record.run["metrics"]["ttft_s"]["p50"] >= 0.15


def test_a_role_event_beside_the_first_token_adds_no_gap(mock, bench):
    """2. A gap of nothing would bias the mean by one part in the number of tokens."""
    server = mock("--role", "1", "--ttft-ms", "5", "--itl-ms", "5")
    record = bench(server.base_url, *one_by_one(osl=17)).record
    assert record.column("chunks") == [17] * 4
    for stamps in record.column("token_s"):
        assert len(stamps) == 17
        assert stamps[-1] - stamps[0] >= 16 * 0.005 - 0.004, "16 gaps of 5 ms"
    assert min(record.column("itl_s")) > 0.0045


def test_gaps_of_chunks_are_not_gaps_of_tokens(mock, bench):
    """3, 4, 7. Four tokens a chunk, 10 ms a token: 9.06 ms per token, 36.25 ms per chunk; no token takes 0 ms."""
    server = mock("--role", "2", "--tokens-per-chunk", "4", "--ttft-ms", "50", "--itl-ms", "10")
    record = bench(server.base_url, *one_by_one(count=2)).record
    metrics = record.run["metrics"]
    assert record.column("output_tokens") == [33] * 2 and record.column("chunks") == [9] * 2
    assert record.column("chunk_tokens") == [[1, *[4] * 8]] * 2
    assert all(0.008 < itl < 0.02 for itl in record.column("itl_s"))
    assert 0.008 < metrics["token_gap_s"]["p50"] < 0.02, "not 0: the chunk's gap is its tokens' alike"
    assert metrics["chunk_gap_s"]["mean"] == pytest.approx(4 * metrics["itl_s"]["mean"], rel=0.1)
    rates = metrics["rates"]["output_tokens_per_s"]
    assert rates["peak_1s"] is None or rates["peak_1s"] >= 0.9 * rates["whole_run"], "a peak counts tokens too"


def test_a_stall_shows_in_the_tail_of_gaps(mock, bench):
    """5. One pause of 200 ms in 16 tokens: percentiles of means per request would hide it."""
    server = mock("--ttft-ms", "5", "--itl-ms", "2", "--stall-at", "8", "--stall-ms", "200")
    metrics = bench(server.base_url, *one_by_one(count=3, osl=16)).record.run["metrics"]
    assert metrics["token_gap_s"]["p99"] >= 0.19
    assert metrics["token_gap_s"]["p50"] < 0.1 and metrics["itl_s"]["p99"] < 0.2


def test_time_between_tokens_holds_no_time_to_the_first(mock, bench):
    """6. TTFT 100 ms, then 2 ms a token; and one token alone has none between."""
    server = mock("--ttft-ms", "100", "--itl-ms", "2")
    record = bench(server.base_url, *one_by_one(count=2, osl=3)).record
    assert max(record.column("itl_s")) < 0.05
    latency, ttft = record.column("latency_s"), record.column("ttft_s")
    parts = [(whole - first) / 2 for whole, first in zip(latency, ttft, strict=True)]
    assert record.column("itl_s") == pytest.approx(parts, abs=1e-8)
    record = bench(server.base_url, *one_by_one(count=2, osl=1)).record
    assert record.column("itl_s") == [None, None] and record.run["metrics"]["itl_s"]["mean"] is None


def test_without_usage_tokens_are_unknown_and_not_chunks(served, bench):
    """8. And a rate of tokens is unknown too."""
    record = bench(served(streamed(without_usage)).base_url, *one_by_one(osl=6)).record
    assert record.column("output_tokens") == [None] * 4 and record.column("chunks") == [6] * 4
    assert record.column("output_tokens_source") == [None] * 4 and record.column("itl_s") == [None] * 4
    assert record.run["metrics"]["output_tokens_per_s"] is None
    assert "tokens_unknown" in record.run["validity"]["remarks"]
    assert record.run["requests"]["completed"] == 4 and min(record.column("ttft_s")) > 0


def test_without_usage_a_tokenizer_counts(llama, served, bench):
    """8. The model's own, for which " the" is one token."""
    server = served(streamed(lambda n: [*told(n, text=" the")[:n], DONE]))
    ran = bench(server.base_url, *one_by_one(osl=6), "--tokenizer", llama.tokenizer)
    assert ran.record.column("output_tokens") == [6] * 4
    assert ran.record.column("output_tokens_source") == ["tokenizer"] * 4


STEPPED = """
import sys, time
offsets = [0.0, -7200.0, 86400.0, 3.0]  # where the wall clock is put, every 50 ms of the other one
wall, mono = time.time, time.monotonic
wall_ns = time.time_ns
offset = lambda: offsets[int(mono() / 0.05) % len(offsets)]
time.time = lambda: wall() + offset()
time.time_ns = lambda: wall_ns() + int(offset() * 1e9)
from inferatlas.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_a_wall_clock_that_is_set_moves_no_result(mock, tmp_path):
    """9. It is put forth and back by hours every 50 ms."""
    server = mock("--ttft-ms", "20", "--itl-ms", "2")
    given = words(server.base_url, tmp_path, *one_by_one(osl=16))
    done = subprocess.run(
        [sys.executable, "-c", STEPPED, *given], capture_output=True, text=True, timeout=LONGEST_S, env=environment(),
        check=False,
    )  # fmt: skip
    ran = Ran(done.returncode, done.stdout, done.stderr, tmp_path)
    assert ran.code == 0, ran.err
    record = ran.record
    for name, least in (("ttft_s", 0.02), ("latency_s", 0.02 + 15 * 0.002), ("itl_s", 0.0015)):
        assert all(least <= value < WIDE_S for value in record.column(name)), name
    sent = record.column("sent_s")
    assert sent == sorted(sent) and sent[0] >= 0 and sent[-1] < 10


def test_concurrency_that_was_not_reached_is_said(mock, bench):
    """10. Eight clients, the server takes them; then eight clients of which the load gives work to two only."""
    server = mock("--ttft-ms", "20", "--itl-ms", "5")
    ran = bench(server.base_url, "--concurrency", 8, "--requests", 64, "--osl", 8, "--stagger", 0)
    assert server.stats()["peak_active"] == 8
    assert ran.record.run["client"]["most_in_flight"] == 8
    assert "concurrency_not_reached" not in ran.record.run["validity"]["reasons"]
    ran = bench(server.base_url, "--concurrency", 8, "--requests", 2, "--osl", 8)
    document = ran.record.run
    assert "concurrency_not_reached" in [*document["validity"]["reasons"], *document["validity"]["remarks"]]


def test_latency_counts_from_when_a_request_was_due(mock, bench):
    """12. One request at a time of 50 ms, 100 wanted per second: what waits here waits in the latency too."""
    server = mock("--ttft-ms", "50", "--itl-ms", "0")
    load = ("--request-rate", 100, "--arrival", "constant", "--requests", 10, "--most-in-flight", 1, "--osl", 2)
    record = bench(server.base_url, *load).record
    ttft, service, lag = (record.column(name) for name in ("ttft_s", "ttft_service_s", "send_lag_s"))
    assert ttft == pytest.approx([a + b for a, b in zip(service, lag, strict=True)], abs=1e-8)
    assert ttft[-1] > 9 * 0.05 + 0.05 - 9 * 0.01 - 1e-6, "nine before it, 10 ms apart"
    assert min(service) >= 0.05
    assert {"sends_late", "load_not_delivered"} & {
        *record.run["validity"]["reasons"],
        *record.run["validity"]["remarks"],
    }
    due = record.column("due_s")
    assert np.diff(due) == pytest.approx(np.full(9, 0.01), abs=1e-6), "the schedule is kept as it was"


def test_connections_are_used_again(mock, bench):
    """15. As many connections as clients, and a few to look at the server."""
    server = mock("--ttft-ms", "1", "--itl-ms", "0")
    ran = bench(server.base_url, "--concurrency", 2, "--requests", 60, "--scrape-interval", 0)
    assert ran.record.run["client"]["opened"] == 2
    assert ran.record.column("connect_s").count(None) == 58
    assert server.stats()["conns"] < 20


def test_total_throughput_adds_input_to_output(mock, bench):
    """16. Not the input twice: prompts of 40 tokens or so, answers of 8."""
    server = mock("--ttft-ms", "5", "--itl-ms", "1")
    load = ("--concurrency", 2, "--requests", 20, "--isl", 40, "--osl", 8)
    record = bench(server.base_url, *load).record
    rates = record.run["metrics"]["rates"]
    told_in, told_out = sum(record.column("input_tokens")), sum(record.column("output_tokens"))
    assert told_out == 160 and told_in > 160
    share = rates["total_tokens_per_s"]["whole_run"] / rates["output_tokens_per_s"]["whole_run"]
    assert share == pytest.approx((told_in + told_out) / told_out, rel=1e-6)


def test_answers_that_stop_early_are_told_and_make_the_run_invalid(served, bench):
    """20. Half the length that was asked for, with a friendly "stop"."""
    record = bench(served(streamed(fewer)).base_url, *one_by_one("--ignore-eos", osl=6)).record
    assert record.column("output_tokens") == [3] * 4 and record.column("asked_output_tokens") == [6] * 4
    assert record.column("finish_reason") == ["stop"] * 4
    assert "lengths_not_met" in record.run["validity"]["reasons"] and record.run["validity"]["valid"] is False


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (("--concurrency", "0"), "concurrency"),
        (("--concurrency", "two"), "concurrency"),
        (("--request-rate", "-1"), "request_rate"),
        (("--concurrency", "1", "--request-rate", "1"), "concurrency"),
        (("--concurrency", "1", "--tokenizer", "/nowhere/tokenizer.json"), "tokenizer"),
        (("--concurrency", "1", "--api-key-env", "NO_SUCH_NAME"), "NO_SUCH_NAME"),
        (("--concurrency", "1", "--slo", "ttft<fast"), "slo"),
        ((), "concurrency"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(served, bench, given, field):
    """18. In one line, with exit code 2, without a folder and without a request."""
    server = served(GOOD["plain"])
    ran = bench(server.base_url, *given)
    assert ran.code == 2 and "error" in ran.err and field.replace("_", "-") in ran.err.replace("_", "-")
    assert "Traceback" not in ran.err
    assert not server.requests and not [one for one in ran.output.iterdir() if one.is_dir()]


def test_the_program_above_steps_the_wall_clock():
    """Else the test of it would be none."""
    looking = "seen = set()\nwhile len(seen) < 3:\n    seen.add(round(time.time() - wall(), -1))\nprint(len(seen))"
    code = STEPPED.split("from inferatlas", maxsplit=1)[0] + looking
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "3"


def test_definitions_stand_in_every_record(mock, bench):
    """Section 2: a number without its definition compares with nothing."""
    ran = bench(mock("--ttft-ms", "1", "--itl-ms", "0").base_url, *one_by_one())
    document = ran.record.run
    for name in ("ttft_s", "itl_s", "latency_s", "token_gap_s", "chunk_gap_s", "output_tokens_per_s", "send_lag_s"):
        assert len(document["definitions"][name]) > 20, name
    assert ran.json()["runs"][0]["metrics"] == json.loads(json.dumps(document["metrics"]))
    assert isinstance(ran.record.table(), pl.DataFrame)
