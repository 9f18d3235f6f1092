"""`inferatlas runs` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Cli = Callable
RUN = {
    "schema_version": 1, "kind": "measured", "label": "measured", "started": "2026-11-29T12:00:00+00:00",
    "models": ["tiny"], "load": {"kind": "closed", "concurrency": 2},
    "requests": {"sent": 2, "completed": 2, "failed": {}},
    "validity": {"valid": False, "verdict": "invalid", "reasons": ["cpu_share"], "remarks": []},
    "metrics": {"ttft_s": {"mean": 0.1, "p50": 0.1, "p90": 0.2, "p99": None}, "output_tokens_per_s": 20.0,
                "power_w": None, "window": {"kind": "steady", "spans_s": [[0, 1]]}},
    "definitions": {"ttft_s": "first token - sent"}, "notes": ["a note"],
}  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `runs` with one record, beside an unfinished and a damaged one."""
    folder = tmp_path / "runs" / "b" / "c2"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(RUN))
    times = [[0.1, 0.2, 0.3, 0.4], [0.2, None, 0.4]]
    pl.DataFrame({"id": [0, 1], "ttft_s": [0.1, None], "token_s": times}).write_parquet(folder / "requests.parquet")
    (tmp_path / "runs" / "begun").mkdir()
    (tmp_path / "runs" / "begun" / "requests.journal").touch()
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "run.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_list(cli: Cli, runs: Path):
    found = cli("runs", "list")
    assert found.code == 0 and found.err == ""
    for words in (
        "1 run record below runs",
        "runs/b/c2",
        "2 in flight",
        "invalid: cpu_share",
        "--resume runs/begun",
        "runs/bad: run.json is no JSON",
    ):
        assert words in found.out
    document = cli("runs", "list", str(runs), "--format", "json").json()
    assert [one["concurrency"] for one in document["runs"]] == [2]
    assert [len(document[name]) for name in ("unfinished", "damaged")] == [1, 1]
    assert len(cli("runs", "list", "--format", "csv").out.splitlines()) == 2


def test_show(cli: Cli, runs: Path):
    found = cli("runs", "show", "b/c2")
    for words in ("tiny [measured]", "100 ms", "cpu_share", "first token - sent", "a note"):
        assert words in found.out
    assert "window" not in found.out
    assert cli("runs", "show", "b/c2", "--format", "csv").out.splitlines() == [
        "run,metric,statistic,value", "runs/b/c2,ttft_s,mean,0.1",
        "runs/b/c2,ttft_s,p50,0.1", "runs/b/c2,ttft_s,p90,0.2",
        "runs/b/c2,output_tokens_per_s,,20.0",
    ]  # fmt: skip
    document = cli("runs", "show", "runs/b/c2", "--format", "json").json()
    assert document["run"] == RUN and document["tables"] == ["requests.parquet"]
    cli("runs", "show", "bad").refused("is no JSON")
    cli("runs", "show", "begun").refused("unfinished")
    cli("runs", "show", "none").refused("does not exist")


def test_query_in_every_format(cli: Cli, runs: Path, tmp_path: Path):
    sql = "SELECT run, id, ttft_s, token_s FROM requests ORDER BY id"
    assert cli("runs", "query", sql, "--quiet", "--format", "json").json()[1] == {
        "run": "runs/b/c2", "id": 1, "ttft_s": None, "token_s": [0.2, None, 0.4],
    }  # fmt: skip
    assert "[0.1, 0.2, 0.3, … 4]" in cli("runs", "query", sql).out
    assert '"[0.1, 0.2, 0.3, 0.4]"' in cli("runs", "query", sql, "--format", "csv").out
    assert json.loads(cli("runs", "query", sql, "--format", "jsonl").out.splitlines()[0])["id"] == 0
    assert cli("runs", "query", sql, "--format", "md").out.startswith("| run | id |")
    assert cli("runs", "query", sql, str(runs), "--output", "x.parquet").code == 0
    assert pl.read_parquet("x.parquet")["token_s"].to_list()[0] == [0.1, 0.2, 0.3, 0.4]


def test_query_refuses(cli: Cli, runs: Path, tmp_path: Path):
    cli("runs", "query").refused("sql: is missing")
    cli("runs", "query", "--quiet", "SELECT x FROM runs").refused("x")
    cli("runs", "query", "--quiet", f"COPY runs TO '{tmp_path}/x.csv'").refused("is no question but COPY")
    cli("runs", "query", "SELECT 1", "nowhere").refused("does not exist")
    assert not (tmp_path / "x.csv").exists()


def test_schema(cli: Cli, runs: Path):
    rows = cli("runs", "query", "--schema", "runs", "--quiet", "--format", "json").json()
    assert {"table": "requests", "column": "token_s", "type": "DOUBLE[]"} in rows


def test_no_folder_runs(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    cli("runs", "list").refused("runs: folder: does not exist")
