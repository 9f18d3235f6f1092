"""`inferatlas bench compare` with its flags, in every format."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from inferatlas.cli.bench_compare import compare
from inferatlas.cli.flags import Out
from inferatlas.errors import BadInput, ConflictingData


def record(folder: Path, shift: float, **more: object) -> str:
    """200 requests of two users, one after the other."""
    rng = np.random.default_rng(int(shift * 100))
    ttft = 0.1 * shift * rng.lognormal(0, 0.1, 200)
    sent = np.concatenate([[0.0], np.cumsum(ttft + 0.19)[:-1]])
    folder.mkdir()
    pl.DataFrame(
        {"sent_s": sent, "status": "done", "ttft_s": ttft, "itl_s": 0.01, "latency_s": ttft + 0.19,
         "first_token_s": sent + ttft, "finish_s": sent + ttft + 0.19, "input_tokens": 50, "output_tokens": 20},
    ).write_parquet(folder / "requests.parquet")  # fmt: skip
    load = {"kind": "closed", "concurrency": 2, "input_tokens": 50, "output_tokens": 20}
    document = {"schema_version": 1, "kind": "measured", "label": "measured", "load": load, **more}
    (folder / "run.json").write_text(json.dumps(document))
    return str(folder)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    return record(tmp_path / "a", 1.0), record(tmp_path / "b", 1.3, software={"engine": "vllm"})


def test_the_contract_of_its_json(two: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert compare(*two, out=Out(format="json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "a", "b", "confidence", "seed", "forced", "conflicts", "points", "unmatched", "differences", "warnings",
    }  # fmt: skip
    one = found["points"][0]["metrics"][0]
    assert (one["metric"], one["statistic"], one["better"], one["verdict"]) == ("ttft_s", "mean", "lower", "worse")
    assert one["low"] < one["ratio"] < one["high"] and one["p"] <= one["p_adjusted"] < 0.05
    assert one["difference"] == pytest.approx(one["b"] - one["a"])
    assert found["differences"] == [{"what": "software.engine", "a": "not told", "b": "vllm"}]


def test_people_read_verdicts_and_what_differs(two: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    compare(*two, metric=("ttft:mean", "itl:mean"))
    out = capsys.readouterr().out
    for words in ("of 2 figures 1 worse and 1 no difference shown", "TTFT mean", "2 in flight, 50 in, 20 out", "<0.001",
                  "software.engine", "no steady window", "unpaired, n = 200"):  # fmt: skip
        assert words in out


@pytest.mark.parametrize("style", ["csv", "jsonl", "md", "html"])
def test_every_format_has_a_row_per_figure(two: tuple[str, str], capsys: pytest.CaptureFixture[str], style: str):
    compare(*two, metric=("ttft:mean", "ttft:p50"), out=Out(format=style))
    assert capsys.readouterr().out.count("worse") >= 2


def test_bad_input(two: tuple[str, str], tmp_path: Path):
    with pytest.raises(BadInput, match="seed"):
        compare(*two, seed=-1)
    other = record(tmp_path / "c", 1.0, definitions={"ttft_s": "one"})
    another = record(tmp_path / "d", 1.0, definitions={"ttft_s": "two"})
    with pytest.raises(ConflictingData, match="definitions of ttft_s"):
        compare(other, another)
    assert compare(other, another, metric=("itl",), out=Out(format="csv")) == 0
