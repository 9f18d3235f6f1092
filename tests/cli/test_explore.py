"""``explore``: every design as columns in files, the best of each accelerator on the page."""

import polars as pl
import pytest

ASKED = (
    "explore",
    "-m",
    "llama-3.1-8b",
    "--isl",
    "128",
    "--osl",
    "128",
    "-a",
    "h100,l4",
    "--max-count",
    "2",
    "--concurrency",
    "1,8",
)


@pytest.mark.parametrize("name", ["points.parquet", "points.csv", "points.jsonl", "points.json"])
def test_the_extension_of_the_file_decides_the_format(cli, tmp_path, name: str):
    file = tmp_path / name
    ran = cli(*ASKED, "--output", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {file}\n")
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
    table = pl.DataFrame(pl.read_json(file)["rows"][0].to_list()) if name.endswith(".json") else read[file.suffix](file)
    assert set(table["accelerator"]) == {"nvidia-h100-sxm", "nvidia-l4"}
    assert set(table["concurrency"]) == {1, 8}
    assert (table["itl_s_low"] <= table["itl_s"]).all()
    # no price of the L4 is known: unknown is nothing, not a NaN and not a 0
    assert table.filter(pl.col("accelerator") == "nvidia-l4")["usd_per_million_tokens"].null_count() > 0


def test_a_format_given_wins_over_the_extension_and_quiet_says_nothing(cli, tmp_path):
    file = tmp_path / "points.csv"
    ran = cli(*ASKED, "--format", "jsonl", "--output", str(file), "--quiet")
    assert (ran.out, ran.err) == ("", "")
    assert file.read_text(encoding="utf-8").startswith("{")


def test_the_page_counts_the_designs_and_shows_the_best_of_each_accelerator(cli):
    ran = cli(*ASKED)
    count = len(cli(*ASKED, "--format", "jsonl").out.splitlines())
    assert ran.out.startswith(f"{count:,} feasible designs of llama-3.1-8b on 2 accelerators.")
    throughput, cost = ran.out.split("Cheapest per million output tokens")
    assert "nvidia-h100-sxm" in throughput and "nvidia-l4" in throughput
    assert "nvidia-h100-sxm" in cost and "nvidia-l4" not in cost  # without a price there is no cheapest


def test_a_load_given_twice_counts_once(cli):
    twice = cli(*ASKED, "--concurrency", "8,1", "--format", "jsonl")
    assert twice.out == cli(*ASKED, "--format", "jsonl").out


@pytest.mark.parametrize("flag", ["-a", "--accelerator", "--accelerators"])
def test_all_is_every_accelerator_wherever_several_may_be_named(cli, flag: str):
    load = ("-m", "llama-3.1-8b", "--isl", "128", "--osl", "128")
    one = ("--concurrency", "1", "--max-count", "1", "--weights", "FP8", "--format", "jsonl")
    explored = cli("explore", *load, *one, flag, "all")
    assert explored.code == 0 and explored.out == cli("explore", *load, *one).out
    recommended = cli("recommend", *load, *one[:4], "--top", "0", flag, "all", "--format", "json").json()
    assert len(recommended["candidates"]) + len(recommended["rejected"]) > 50
    swept = cli("crossover", *load, flag, "all", "--values", "1,8", "--over", "batch", "--format", "json").json()
    assert len(swept["inputs"]["accelerators"]) > 50


def test_the_footnote_knows_of_the_column_per_accelerator(cli):
    assert "of the whole deployment, unless a heading says per accelerator" in " ".join(cli(*ASKED).out.split())


def test_parquet_never_goes_to_a_terminal(cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = cli(*ASKED, "--format", "parquet")
    assert ran.code == 2
    assert "--output FILE" in ran.err
