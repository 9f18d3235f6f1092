"""What a bench writes down of faults: each request's fate with its reason, totals that add up, a verdict."""

from collections import Counter

import pytest
from bench_faults import closed_port, deaf_port
from bench_plans import BAD, GOOD, SILENT, WHOLE_JSON, dripping, error, kept, reply

from inferatlas.measure.bench.fates import meaning


def test_every_fault_stands_in_the_record_with_its_reason(behind, bench):
    server = behind(*(plan for plan, _ in BAD.values()), *GOOD.values())
    count = len(BAD) + len(GOOD)
    ran = bench(server.base_url, "--concurrency", 1, "--requests", count)
    assert ran.code == 0, ran.err
    rows = ran.record.table().sort("id")
    names = [*BAD, *GOOD]
    wrong = {
        name: reason
        for name, reason in zip(names, rows["reason"], strict=True)
        if (reason is not None if name in GOOD else reason not in BAD[name][1])
    }
    assert wrong == {}
    document = ran.record.run
    failed = Counter(rows["reason"].drop_nulls())
    assert document["requests"] == {"sent": count, "completed": len(GOOD), "failed": dict(failed)}
    assert document["requests"]["completed"] + sum(document["requests"]["failed"].values()) == count
    assert "too_many_failures" in document["validity"]["reasons"] and not document["validity"]["valid"]
    done = rows["status"] == "done"
    assert (done == rows["reason"].is_null()).all() and all(meaning(reason) for reason in failed)
    assert rows.filter(~done)["latency_s"].null_count() == len(BAD), "no latency of what failed"
    assert rows.filter(~done)["failed_s"].null_count() == 0 == rows.filter(done)["failed_s"].len() - done.sum()
    assert (rows["end_s"] >= rows["sent_s"]).all()
    assert document["metrics"]["latency_s"]["n"] <= len(GOOD)


@pytest.mark.parametrize("load", [("--concurrency", 4), ("--request-rate", 100)])
def test_limits_of_time_are_kept(behind, bench, load):
    server = behind(GOOD["plain"], SILENT["stalled in the middle"][0], SILENT["no reply"][0], dripping)
    limits = ("--stall-timeout", "150ms", "--timeout", "400ms", "--connect-timeout", "1s")
    ran = bench(server.base_url, *load, "--requests", 16, *limits)
    failed = {"timeout_stalled": 4, "timeout_first_token": 4, "timeout_total": 4}
    assert ran.record.run["requests"] == {"sent": 16, "completed": 4, "failed": failed}


def test_nothing_is_measured_where_nobody_answers(bench):
    with closed_port() as url:
        ran = bench(url, "--concurrency", 2)
    assert ran.code == 2 and "error" in ran.err and "Traceback" not in ran.err
    with deaf_port() as url:
        ran = bench(url, "--concurrency", 2, "--connect-timeout", "200ms")
    assert ran.code == 2 and "Traceback" not in ran.err
    assert not [one for one in ran.output.iterdir() if one.is_dir()]


def test_a_server_that_is_gone_in_the_middle(behind, bench):
    """It stops listening after ten requests; the others are refused, and the bench comes to its end."""

    def until(wire, asked) -> bool:
        if asked.number == 9:
            server.close()
        GOOD["plain"](wire, asked)
        return asked.number < 9

    server = behind(until)
    ran = bench(server.base_url, "--concurrency", 1, "--requests", 30)
    requests = ran.record.run["requests"]
    assert requests["completed"] == 10 and sum(requests["failed"].values()) == 20
    assert set(requests["failed"]) <= {"refused", "closed_before_reply"}


@pytest.mark.parametrize(
    ("status", "message"), [(401, "Incorrect API key"), (404, "The model does not exist"), (500, "no")]
)
def test_a_first_request_that_is_refused_ends_the_bench_with_the_servers_words(served, bench, status, message):
    ran = bench(served(error(status, message)).base_url, "--concurrency", 2, "--model", "tiny")
    assert ran.code == 2 and f"http_{status}" in ran.err and message in ran.err


def test_refusals_of_too_many_requests_are_told(behind, bench):
    server = behind(GOOD["plain"], error(429, "slow down", Retry_After="1"))
    record = bench(server.base_url, "--concurrency", 2, "--requests", 20).record
    assert record.run["requests"]["failed"] == {"http_429": 10}
    assert len(server.requests) == 20, "none was sent again: that would be another load"


def test_answers_that_are_not_streamed_are_marked(behind, bench):
    record = bench(behind(kept(reply(200, WHOLE_JSON))).base_url, "--concurrency", 1, "--requests", 4).record
    assert set(record.column("streamed")) == {False} and record.run["requests"]["completed"] == 4
