"""A bench of a real engine: llama.cpp's server with a model made on the spot (its habits: `test_bench_servers.py`)."""

import pytest
from bench_runs import Ran, alone, words

LOAD = ("--concurrency", "1,3", "--requests", 12, "--isl", 40, "--osl", 16)


@pytest.fixture(scope="module")
def benched(llama, tmp_path_factory) -> Ran:
    """One bench for all tests, of two loads."""
    output = tmp_path_factory.mktemp("llama")
    return alone(words(llama.base_url, output, *LOAD, "--scrape-interval", "50ms"), output)


def test_the_record_is_whole(benched):
    assert benched.code == 0, benched.err
    assert [record.folder.name for record in benched.records] == ["c1", "c3"]
    for record in benched.records:
        document = record.run
        assert document["requests"] == {"sent": 12, "completed": 12, "failed": {}}
        assert (document["software"]["engine"], document["models"]) == ("llama.cpp", ["tiny"])
        assert document["label"] == document["kind"] == "measured"
        tables = {path.name for path in record.folder.iterdir()}
        assert {"run.json", "requests.parquet", "server.parquet", "events.parquet"} <= tables
        assert not [name for name in tables if name.endswith((".journal", ".tmp"))]


def test_lengths_are_what_was_asked(benched):
    """``ignore_eos`` is taken, so that answers are as long as asked; prompts are as long as the server counts them."""
    for record in benched.records:
        assert record.column("output_tokens") == record.column("asked_output_tokens") == [16] * 12
        assert set(record.column("output_tokens_source")) == {"usage"}
        assert set(record.column("finish_reason")) == {"length"}
        assert record.run["load"]["force"] == "ignore_eos"
        assert "lengths_not_met" not in record.run["validity"]["reasons"]
        off = [abs(found - 40) for found in record.column("input_tokens")]
        assert max(off) <= 12 and sum(off) / len(off) <= 4


def test_events_are_counted_apart_from_tokens(benched):
    for record in benched.records:
        assert all(1 <= chunks <= 16 for chunks in record.column("chunks"))
        assert [sum(one) for one in record.column("chunk_tokens")] == [16] * 12


def test_times_make_sense(benched):
    for record in benched.records:
        rows = record.table()
        assert rows.select("ttft_s", "latency_s", "itl_s").null_count().sum_horizontal().item() == 0
        assert rows["ttft_s"].min() > 0 and (rows["latency_s"] >= rows["ttft_s"]).all()
        assert (rows["first_byte_s"] >= rows["sent_s"]).all() and (rows["end_s"] >= rows["finish_s"]).all()
        assert (rows["first_token_s"] >= rows["first_byte_s"]).all() and (rows["itl_s"] >= 0).all()


def test_the_engines_own_metrics_are_read(benched):
    for record in benched.records:
        seen = record.table("server").sort("time_s")
        assert len(seen) >= 1 and seen["output_tokens_total"].null_count() == 0
        total = seen["output_tokens_total"].to_list()
        assert total == sorted(total)


def test_connections_that_it_closes_cost_nothing(benched):
    """It hangs up after every stream, though it says it would not."""
    for record in benched.records:
        assert record.run["requests"]["failed"] == {}
        assert record.run["client"]["opened"] >= 12


def test_completions_with_token_ids(llama, bench):
    words = ("--concurrency", 2, "--requests", 6, "--isl", 24, "--osl", 5, "--endpoint-type", "completions")
    record = bench(llama.base_url, *words).record
    assert record.column("output_tokens") == [5] * 6 and record.run["requests"]["completed"] == 6


def test_conversations_go_on_from_what_was_answered(llama, bench):
    words = ("--request-rate", 50, "--turns", 3, "--requests", 9, "--isl", 20, "--osl", 8)
    record = bench(llama.base_url, *words).record
    assert record.run["requests"]["completed"] == 9
    rows = record.table().sort("conversation", "turn")
    later = [
        (a, b) for a, b in zip(rows.iter_rows(named=True), rows[1:].iter_rows(named=True), strict=False) if b["turn"]
    ]
    assert later and all(b["sent_s"] >= a["end_s"] and b["input_tokens"] > a["input_tokens"] for a, b in later)
