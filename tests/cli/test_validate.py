"""``validate``: the scores of a table, its files, and what bad tables get."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from inferatlas.evidence import validation

METRICS = ["ttft_s", "itl_s", "latency_s", "output_tokens_per_s", "power_w"]
SLICE = ["by", "metric", "n", "median_ape", "mean_ape", "p90_ape", "bias", "coverage"]


def rows(**columns: object) -> pl.DataFrame:
    """Six closed-loop points of one model on two accelerators."""
    own = {
        "row_id": list("abcdef"), "model": "llama-3.1-8b", "accelerator": ["nvidia-h100-sxm", "nvidia-h200-sxm"] * 3,
        "accelerators": 1, "engine": ["vllm"] * 4 + ["sglang"] * 2, "weights": "bf16", "load": "closed_loop",
        "concurrency": 8, "input_tokens": 512, "output_tokens": 256, "ttft_s": 0.1, "itl_s": 0.012, "latency_s": 3.16,
        "output_tokens_per_s": 640, "power_w": 500,
    }  # fmt: skip
    return pl.DataFrame(own | columns, strict=False)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    def write(name: str = "runs.csv", drop: tuple[str, ...] = (), **columns: object) -> str:
        frame = rows(**columns).drop(drop)
        if name.endswith(".csv"):
            frame.write_csv(tmp_path / name)
        else:
            frame.write_parquet(tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("name", ["runs.csv", "runs.parquet"])
def test_the_json_has_the_promised_form(cli, table, name: str):
    ran = cli("validate", table(name), "--by", "accelerator,engine,model,load", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json()
    assert (found["rows"], found["scored"], found["skipped"]) == (6, 6, {})
    assert all(list(one) == SLICE for one in found["slices"])
    assert [(one["by"], one["metric"], one["n"]) for one in found["slices"][:5]] == [({}, m, 6) for m in METRICS]
    families = {name: value for one in found["slices"] for name, value in one["by"].items()}
    assert list(families) == ["accelerator", "engine", "model", "load"]
    assert {"by": {"engine": "sglang"}, "metric": "itl_s", "n": 2}.items() <= next(
        one for one in found["slices"] if one["by"] == {"engine": "sglang"} and one["metric"] == "itl_s"
    ).items()
    assert set(found["definitions"]) >= {"ape", "bias", "coverage"}


@pytest.mark.parametrize("name", ["figures.parquet", "figures.csv"])
def test_rows_go_to_a_file_one_a_figure(cli, table, tmp_path: Path, name: str):
    file = tmp_path / name
    ran = cli("validate", table(), "--rows", str(file), "--format", "json")
    assert ran.err == f"wrote {file}\n"
    found = (pl.read_parquet if name.endswith("parquet") else pl.read_csv)(file)
    assert found.columns == ["row_id", "metric", "measured", "low", "value", "high", "label", "level"]
    assert found.height == sum(one["n"] for one in ran.json()["slices"])
    assert set(found["row_id"]) == set("abcdef")
    assert ((found["low"] < found["value"]) & (found["value"] < found["high"])).all()
    assert set(found["label"]) <= {"predicted", "extrapolated"}


def test_scores_are_those_of_the_rows(cli, table, tmp_path: Path):
    file = tmp_path / "figures.parquet"
    ran = cli("validate", table(), "--rows", str(file), "--format", "json")
    itl = pl.read_parquet(file).filter(pl.col("metric") == "itl_s")
    one = next(one for one in ran.json()["slices"] if one["metric"] == "itl_s")
    assert one["median_ape"] == pytest.approx((itl["value"] / itl["measured"] - 1).abs().median())
    assert one["coverage"] == pytest.approx(itl["measured"].is_between(itl["low"], itl["high"]).mean())


def test_the_table_names_slices_and_reasons(cli, table):
    ran = cli("validate", table(model=["llama-3.1-8b"] * 5 + ["nonesuch"]), "--by", "engine")
    assert ran.code == 0
    assert ran.out.startswith("5 of 6 rows scored, left out; median error: TTFT ")
    assert "By engine" in ran.out and "sglang" in ran.out
    assert "1 row: unknown model 'nonesuch'" in ran.out


def test_reports_are_written_beside_the_result(cli, table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = validation.predict_rows
    monkeypatch.setattr(validation, "predict_rows", lambda frame, **_: real(frame))
    pages = [tmp_path / "accuracy.md", tmp_path / "accuracy.html"]
    flags = [word for page in pages for word in ("--report", str(page))]
    ran = cli("validate", table(), "--by", "engine", *flags, "--format", "json")
    assert (ran.code, ran.err) == (0, "".join(f"wrote {page}\n" for page in pages))
    assert ran.json()["scored"] == 6
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "By engine" in text and "By model" not in text
        assert "of runs.csv" in text


def test_slices_are_the_rows_of_a_file(cli, table):
    lines = cli("validate", table(), "--by", "load", "--format", "csv").out.splitlines()
    assert lines[0] == "by,value,metric,n,median_ape,mean_ape,p90_ape,bias,coverage"
    assert len(lines) == 11
    assert lines[6].startswith("load,closed_loop,ttft_s,6,")


def test_missing_columns_are_reasons_and_what_is_left_is_scored(cli, table):
    ran = cli("validate", table(drop=("engine", "weights", "power_w", "row_id")), "--format", "json")
    assert ran.code == 0
    assert ran.json()["scored"] == 6
    ran = cli("validate", table(drop=("accelerators",)), "--format", "json")
    assert (ran.code, ran.json()["skipped"]) == (5, {"no accelerator count": 6})


def test_milliseconds_in_columns_of_seconds_are_caught(cli, table):
    ran = cli("validate", table(itl_s=[0.012] * 4 + [12.0] * 2), "--format", "json")
    assert (ran.json()["scored"], sum(ran.json()["skipped"].values())) == (4, 2)
    assert "wrong unit" in next(iter(ran.json()["skipped"]))


@pytest.mark.parametrize("columns", [{"model": "nonesuch"}, {"accelerator": "nonesuch"}, {"itl_s": 12.0}])
def test_nothing_scored_ends_with_5_and_the_reasons(cli, table, columns: dict[str, object]):
    ran = cli("validate", table(**columns), "--format", "json")
    assert ran.code == 5
    assert "none of 6 rows could be scored" in ran.err and "6 x " in ran.err
    found = ran.json()
    assert (found["rows"], found["scored"], found["slices"]) == (6, 0, [])
    assert list(found["skipped"].values()) == [6]


def test_an_empty_table_ends_with_5(cli, tmp_path: Path):
    file = tmp_path / "empty.csv"
    rows().clear().write_csv(file)
    assert cli("validate", str(file)).code == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "colour"), "allowed: accelerator, engine, model, load"),
        (("--rows", "figures.xlsx"), ".parquet"),
        (("--report", "page.pdf"), ".md, .html"),
        (("--report", "nowhere/page.html"), "folder does not exist"),
        (("--coefficients", "nowhere"), "no such folder"),
    ],
)
def test_bad_flags_end_with_2_and_what_is_allowed(cli, table, words: tuple[str, str], said: str):
    ran = cli("validate", table(), *words)
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("runs.txt", "x", "allowed: .parquet"),
        ("runs.parquet", "no parquet", "not readable"),
        ("runs.csv", "colour,size\nred,1\n", "names no column of the evidence table"),
        ("", "", "no such file"),
    ],
)
def test_files_that_are_no_table_end_with_2(cli, tmp_path: Path, name: str, content: str, said: str):
    file = tmp_path / (name or "absent.csv")
    if name:
        file.write_text(content, encoding="utf-8")
    ran = cli("validate", str(file))
    assert ran.code == 2
    assert said in ran.err


def test_help_tells_the_flags(cli):
    assert "--in-sample" in cli("validate", "--help").out
