"""``evidence import`` and ``evidence near``: from a benchmark's file to a table, and back to a question."""

import json
from pathlib import Path

import polars as pl
import pytest

from inferatlas.evidence.near import VARIABLE

GIVEN = ("--accelerator", "h100", "--accelerators", "1", "--weights", "bf16", "--engine", "vllm", "--tp", "1")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three results of ``vllm bench serve``; one names a model that nobody knows, one is no JSON."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for name, model, users in (("a", "meta-llama/Llama-3.1-8B-Instruct", 4), ("b", "meta-llama/Llama-3.1-8C", 8)):
        run = {
            "model_id": model, "duration": 10.0, "completed": 10, "max_concurrency": users, "request_rate": "inf",
            "total_input_tokens": 5120, "total_output_tokens": 2560, "output_throughput": 500.0, "mean_tpot_ms": 7.5,
            "mean_ttft_ms": 60.0,
        }  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "c.json").write_text("{", encoding="utf-8")
    return folder


def test_an_import_writes_a_table_and_tells_what_is_wrong(cli, runs: Path, tmp_path: Path):
    file = tmp_path / "table.parquet"
    ran = cli("evidence", "import", "vllm-bench", str(runs), "--output", str(file), *GIVEN)
    assert (ran.code, ran.out) == (0, "")
    table = pl.read_parquet(file)
    assert table.select("model", "accelerator", "accelerators", "weights", "tp", "itl_s").row(0) == (
        "llama-3.1-8b", "nvidia-h100-sxm", 1.0, "bf16", 1.0, 0.0075,
    )  # fmt: skip
    assert "2 of 3 rows kept from 3 files" in ran.err
    assert ran.err.count("unknown model 'meta-llama/Llama-3.1-8C' in 1 row: did you mean llama-3.1-8b") == 1
    assert "1 unreadable, left out:\n  c.json:1: unreadable" in ran.err
    assert ran.err.endswith(f"wrote {file}\n")


def test_quiet_says_nothing(cli, runs: Path, tmp_path: Path):
    ran = cli("evidence", "import", "vllm-bench", str(runs), "-o", str(tmp_path / "table.csv"), "-q", *GIVEN)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_what_is_imported_can_be_validated(cli, runs: Path, tmp_path: Path):
    file = str(tmp_path / "table.parquet")
    cli("evidence", "import", "vllm-bench", str(runs), "-o", file, *GIVEN)
    found = cli("validate", file, "--format", "json").json()
    assert (found["rows"], found["scored"]) == (2, 1)
    assert "did you mean" not in str(found["skipped"]) and "llama-3.1-8c" in str(found["skipped"])


def test_no_row_kept_ends_with_5_and_writes_nothing(cli, runs: Path, tmp_path: Path):
    file = tmp_path / "table.parquet"
    ran = cli("evidence", "import", "vllm-bench", str(runs / "c.json"), "-o", str(file))
    assert ran.code == 5
    assert "none of 1 rows could be kept" in ran.err
    assert not file.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vllm-banch", "runs", "-o", "t.csv"), "allowed: argonne, aiconfigurator"),
        (("vllm-bench", "nowhere", "-o", "t.csv"), "no such file or folder"),
        (("vllm-bench", "runs", "-o", "t.xlsx"), "'.xlsx' is no table (allowed: .parquet"),
        (("vllm-bench", "runs", "-o", "nowhere/t.csv"), "folder does not exist"),
        (("vllm-bench", "runs", "-o", "t.csv", "--accelerators", "0"), "accelerators: '0' is not a number above 0"),
        (("vllm-bench", "runs", "-o", "t.csv", "--tp", "1.5"), "whole number"),
        (("vllm-bench", "runs"), "output"),
    ],
)
def test_bad_words_end_with_2(
    cli, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
):
    monkeypatch.chdir(tmp_path)
    ran = cli("evidence", "import", *words)
    assert ran.code == 2
    assert said in ran.err


@pytest.fixture
def table(tmp_path: Path) -> str:
    file = tmp_path / "measured.csv"
    rows = {
        "row_id": ["far", "near"], "source": "a test", "licence": "CC0", "model": "llama-3.1-70b",
        "accelerator": ["nvidia-l4", "amd-mi300x"], "accelerators": 8, "engine": "vllm", "weights": "fp8",
        "load": "closed_loop", "concurrency": [32, 64], "input_tokens": 1024, "output_tokens": 128,
        "itl_s": [0.05, 0.02],
    }  # fmt: skip
    pl.DataFrame(rows, strict=False).write_csv(file)
    return str(file)


QUESTION = ("evidence", "near", "--model", "llama-3.1-70b", "--accelerator", "mi300x", "--concurrency", "32")


def test_the_nearest_points_come_first_and_say_what_differs(cli, table: str):
    found = cli(*QUESTION, "--table", table, "--format", "json").json()
    assert (found["count"], found["label"]) == (2, "measured")
    first, second = found["points"]
    assert (first["row_id"], first["why"], first["itl_s"]) == ("near", "requests in flight: 64, not 32", 0.02)
    assert (second["row_id"], second["why"]) == ("far", "nvidia-l4")
    assert 0 < first["distance"] < second["distance"]


def test_the_page_shows_figures_and_licences(cli, table: str):
    ran = cli(*QUESTION, "--table", table, "--n", "1")
    assert ran.out.startswith("The point nearest to the question [measured].")
    assert "20.0 ms" in ran.out and "a test: CC0" in ran.out and "50.0 ms" not in ran.out


def test_the_environment_names_the_table(cli, table: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, table)
    assert cli(*QUESTION, "--format", "csv").out.startswith("distance,why,row_id")


def test_without_a_table_it_is_told_how_to_make_one(cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    ran = cli(*QUESTION)
    assert ran.code == 2
    assert "none ships with the package" in ran.err and "inferatlas evidence import" in ran.err


def test_unknown_names_get_near_ones(cli, table: str):
    ran = cli("evidence", "near", "--model", "llama-3.1-70b", "--accelerator", "mi301x", "--table", table)
    assert ran.code == 2
    assert "did you mean" in ran.err
