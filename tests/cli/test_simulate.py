"""`inferatlas simulate` as it is typed."""

import json
from pathlib import Path

import polars as pl
import pytest

from inferatlas.cli.main import run

FIRST = [
    "simulate", "--model", "llama-3.1-8b", "--accelerator", "nvidia-h100-sxm", "--tp", "1", "--isl", "1024",
    "--osl", "256", "--quiet",
]  # fmt: skip
QUANTILES = {"mean", "p50", "p90", "p95", "p99"}


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:
    seed = () if "--seed" in words else ("--seed", "1")
    code = run([*FIRST, *words, *seed, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_contract_of_its_json(capsys: pytest.CaptureFixture[str]):
    code, found = asked(capsys, "--request-rate", "6", "--requests", "2000")
    assert code == 0
    assert (found["requests"], found["completed"], found["saturated"]) == (2000, 2000, False)
    assert found["duration_s"] > 2000 / 6 * 0.9
    assert found["wall_s"] > 0
    metrics = found["metrics"]
    for name in ("ttft_s", "itl_s", "latency_s"):
        assert set(metrics[name]) >= QUANTILES
        values = [metrics[name][q] for q in ("p50", "p90", "p95", "p99")]
        assert values == sorted(values)
    assert metrics["latency_s"]["mean"] == pytest.approx(metrics["ttft_s"]["mean"] + 255 * metrics["itl_s"]["mean"])
    assert metrics["output_tokens_per_s"] == pytest.approx(6 * 256, rel=0.05)
    assert metrics["total_tokens_per_s"] == pytest.approx(5 * metrics["output_tokens_per_s"], rel=0.01)
    assert metrics["tokens_per_joule"] == pytest.approx(metrics["output_tokens_per_s"] / metrics["power_w"], rel=1e-6)
    assert set(found["batch"]) >= {"mean", "max"}
    assert 0 < found["kv_used_fraction"]["mean"] < found["kv_used_fraction"]["max"] < 1
    assert found["preemptions"] == 0
    assert found["label"] == "predicted"


def test_the_same_seed_gives_the_same_answer_and_another_one_another(capsys: pytest.CaptureFixture[str]):
    words = ("--request-rate", "6", "--requests", "300")
    first, again = (asked(capsys, *words)[1] for _ in range(2))
    assert first["metrics"] == again["metrics"]
    other = asked(capsys, *words, "--seed", "2")[1]
    assert other["metrics"] != first["metrics"]


@pytest.mark.parametrize("rate", ["60", "100000"])
def test_more_than_it_can_serve_is_said(capsys: pytest.CaptureFixture[str], rate: str):
    code, found = asked(capsys, "--request-rate", rate, "--requests", "4000", "--slo", "ttft:p95<500ms")
    assert code == 4
    assert found["saturated"]
    assert found["steady"] is None
    assert found["queue"]["growth_per_s"] > 0
    assert found["completed"] == 4000


def test_a_target_that_is_missed_is_exit_code_4(capsys: pytest.CaptureFixture[str]):
    words = ("--request-rate", "6", "--requests", "300")
    assert asked(capsys, *words, "--slo", "itl:p99<60ms")[0] == 0
    code, found = asked(capsys, *words, "--slo", "itl:p99<1ms")
    assert code == 4
    assert not found["meets"]


def test_replications_give_intervals_that_hold_the_first_run(capsys: pytest.CaptureFixture[str]):
    found = asked(capsys, "--request-rate", "6", "--requests", "400", "--replications", "5")[1]
    assert found["intervals"]["by"] == "replications"
    assert found["intervals"]["runs"] == 5
    over = found["intervals"]["latency_s"]["mean"]
    assert over["low"] < over["mean"] < over["high"]


def test_the_highest_load_lies_between_what_keeps_and_what_misses_the_targets(capsys: pytest.CaptureFixture[str]):
    targets = ("--slo", "ttft:p95<500ms", "--slo", "itl:p99<20ms")
    code, found = asked(capsys, "--request-rate", "6", "--requests", "2000", "--find-capacity", *targets)
    assert code == 0
    assert found["low"] < found["rate"] < found["high"]
    assert found["missed"]
    for factor, kept in ((0.95, 0), (1.1, 4)):
        rate = f"{found['rate'] * factor:g}"
        assert asked(capsys, "--request-rate", rate, "--requests", "2000", *targets)[0] == kept


def test_ways_of_serving_side_by_side(capsys: pytest.CaptureFixture[str]):
    words = ("--dp", "2", "--request-rate", "8", "--requests", "500")
    code, found = asked(capsys, *words, "--compare", "colocated,disaggregated,chunked")
    assert code == 0
    names = [one["name"] for one in found["deployments"]]
    assert names == ["colocated", "disaggregated 1:1", "chunked"]
    assert len({one["requests"] for one in found["deployments"]}) == 1


def test_a_run_record_and_its_timeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "run"
    assert run([*FIRST, "--request-rate", "6", "--requests", "200", "--output", f"{folder}/"]) == 0
    table = pl.read_parquet(folder / "requests.parquet")
    assert len(table) == 200
    assert table["model"].unique().to_list() == ["llama-3.1-8b"]
    assert table["token_s"].list.len().to_list() == [256] * 200
    assert (table["token_s"].list.diff().explode().drop_nulls() > 0).all()
    assert json.loads((folder / "run.json").read_text())["kind"] == "simulated"
    assert run(["export", "trace", str(folder), "--output", str(tmp_path / "trace.json.gz"), "--quiet"]) == 0
    assert (tmp_path / "trace.json.gz").stat().st_size > 1000
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["--request-rate", "-1"], "request_rate"),
        (["--request-rate", "6", "--requests", "0"], "requests"),
        (["--request-rate", "6", "--scheduler", "nope"], "scheduler"),
        (["--request-rate", "6", "--router", "nope"], "router"),
        (["--request-rate", "6", "--compare", "nope"], "compare"),
        (["--request-rate", "6", "--find-capacity"], "slo"),
        (["--request-rate", "6", "--replications", "0"], "replications"),
        (["--request-rate", "6", "--replications", "3", "--compare", "colocated,chunked"], "replications"),
        (["--request-rate", "6", "--concurrency", "4"], "request_rate"),
        (["--request-rate", "6", "--arrival", "nope"], "arrival"),
        (["--request-rate", "6", "--max-num-seqs", "0"], "max_sequences"),
    ],
)
def test_wrong_input_names_its_field(words: list[str], field: str, capsys: pytest.CaptureFixture[str]):
    code, found = asked(capsys, *words)
    assert code == 2
    assert found["field"] == field
