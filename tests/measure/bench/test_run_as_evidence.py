"""A measured run meets predictions: as a row of evidence, as a trace to simulate, as a timeline, as a power log."""

import json
from pathlib import Path

import polars as pl
import pytest
from bench_runs import Record, within

SERVED = "meta-llama/Llama-3.1-8B-Instruct"
WHAT = ("--accelerator", "h100", "--count", "2", "--tp", "2", "--weights", "bf16", "--power", "manual:350W@gpu")


@pytest.fixture
def run(mock, tmp_path: Path) -> Record:
    server = mock("--ttft-ms", "20", "--itl-ms", "3", "--model", SERVED)
    words = ["bench", "run", "--base-url", server.base_url, "--output", str(tmp_path / "runs"), "--isl", "64", "--osl"]
    words += ["16", "--request-rate", "40", "--requests", "60", "--quiet", "--format", "csv", *WHAT]
    assert within(words) == 0
    (file,) = (tmp_path / "runs").glob("*/r40/run.json")
    return Record(file.parent)


def test_a_run_becomes_evidence_and_predictions_are_scored_by_it(run: Record, tmp_path: Path, capsys):
    assert run.run["hardware"] == {
        "accelerator": "nvidia-h100-sxm", "accelerators": 2, "tp": 2, "pp": None, "ep": None, "dp": None,
        "weights": "bf16", "kv_cache": None,
    }  # fmt: skip
    table, rows = tmp_path / "measured.parquet", tmp_path / "rows.csv"
    assert within(["evidence", "import", "run-records", str(tmp_path / "runs"), "-o", str(table), "--invalid"]) == 0
    row = pl.read_parquet(table).row(0, named=True)
    assert (row["model"], row["accelerator"], row["accelerators"]) == ("llama-3.1-8b", "nvidia-h100-sxm", 2)
    assert (row["load"], row["output_tokens"]) == ("poisson", 16)
    metrics = run.run["metrics"]
    assert (row["ttft_s"], row["latency_s"]) == (metrics["ttft_s"]["mean"], metrics["latency_s"]["mean"])
    assert row["power_w"] is None and "scope gpu" in row["notes"]  # one meter, two accelerators
    capsys.readouterr()
    assert within(["validate", str(table), "--rows", str(rows), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["scored"] == 1
    figures = pl.read_csv(rows)
    assert set(figures["metric"]) == {"ttft_s", "itl_s", "latency_s"}
    assert (figures["low"] < figures["value"]).all() and (figures["value"] < figures["high"]).all()


def test_a_run_is_replayed_in_the_simulator_and_compared_with_it(run: Record, tmp_path: Path, capsys):
    trace, simulated = tmp_path / "trace.csv", tmp_path / "replay"
    sql = "SELECT coalesce(due_s, sent_s) AS arrival_s, input_tokens, output_tokens FROM requests WHERE status = 'done'"
    assert within(["runs", "query", sql, str(run.folder), "--output", str(trace)]) == 0
    words = f"simulate --model llama-3.1-8b --accelerator h100 --tp 2 --trace {trace} --quiet --output {simulated}/"
    assert within(words.split()) == 0
    assert pl.read_parquet(simulated / "requests.parquet")["output_tokens"].to_list() == run.column("output_tokens")
    capsys.readouterr()
    assert within(["bench", "compare", str(run.folder), str(simulated), "--format", "json"]) == 0
    assert "ttft_s" in capsys.readouterr().out


def test_a_run_is_a_timeline_and_a_power_log(run: Record, tmp_path: Path, capsys):
    timeline = tmp_path / "trace.json"
    assert within(["export", "trace", str(run.folder), "--output", str(timeline)]) == 0
    requests = [one for one in json.loads(timeline.read_text())["traceEvents"] if one.get("cat") == "request"]
    assert sum(one["ph"] == "b" and one["name"] == "request" for one in requests) == 60
    capsys.readouterr()
    assert within(["power", "integrate", str(run.folder), "--format", "json"]) == 0
    (window,) = json.loads(capsys.readouterr().out)["windows"]
    assert (window["source"], window["scope"], window["mean_w"]) == ("manual", "gpu", pytest.approx(350.0))


def test_an_accelerator_that_nobody_knows_is_refused_before_a_server_is_asked(tmp_path: Path, capsys):
    words = ["bench", "run", "--base-url", "http://127.0.0.1:9", "--isl", "16", "--osl", "4", "--concurrency", "1"]
    assert within([*words, "--output", str(tmp_path / "runs"), "--accelerator", "h1000"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert within([*words, "--output", str(tmp_path / "runs"), "--tp", "0"]) == 2
    assert "tp: 0" in capsys.readouterr().err
