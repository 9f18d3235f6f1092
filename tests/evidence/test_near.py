"""The measured points nearest to a question: a distance that people can follow."""

import polars as pl
import pytest

from inferatlas.errors import BadInput, UnknownName
from inferatlas.evidence.near import VARIABLE, evidence_tables, near
from inferatlas.evidence.table import conform, write_table


def points(**columns: object) -> pl.DataFrame:
    rows = {"model": "llama-3.1-8b", "accelerator": "nvidia-h100-sxm", "itl_s": 0.01}
    return conform(pl.DataFrame(rows | columns, strict=False), "t")


def order(frame: pl.DataFrame, column: str, **asked: object) -> list[object]:
    question = {"model": "llama-3.1-8b", "accelerator": "h100"} | asked
    return frame.join(near(frame, **question), on="row_id", maintain_order="right")[column].to_list()  # type: ignore[arg-type]


def test_the_same_question_is_at_distance_0(measured):
    found = near(measured(), model="qwen3-8b", accelerator="nvidia-h200-sxm", concurrency=8, isl=512, osl=256,
                 engine="vllm", weights="bf16", count=1, n=2)  # fmt: skip
    assert found.select("row_id", "distance", "why").row(0) == ("r10", 0.0, "the same in all that was asked")
    assert found["distance"][1] > 0


def test_the_size_of_a_model_counts():
    frame = points(model=["llama-3.1-405b", "llama-3.1-70b", "llama-3-8b", "llama-3.1-8b", "no-such-model"])
    ranked = order(frame, "model")
    assert ranked[:3] == ["llama-3.1-8b", "llama-3-8b", "llama-3.1-70b"]


def test_the_rates_of_an_accelerator_count_and_its_class():
    frame = points(accelerator=["cerebras-wse-3", "nvidia-l4", "nvidia-h200-sxm", "nvidia-h100-sxm", "no-such-part"])
    ranked = order(frame, "accelerator")
    assert ranked[:2] == ["nvidia-h100-sxm", "nvidia-h200-sxm"]
    assert ranked.index("nvidia-l4") < ranked.index("cerebras-wse-3")


@pytest.mark.parametrize(
    ("column", "asked"),
    [("concurrency", "concurrency"), ("input_tokens", "isl"), ("output_tokens", "osl"), ("accelerators", "count")],
)
def test_numbers_count_by_their_ratio_and_unknown_ones_last(column: str, asked: str):
    frame = points(**{column: [4.0, 16.0, 100.0, None]})
    assert order(frame, column, **{asked: 12}) == [16.0, 4.0, 100.0, None]
    assert near(frame, model="llama-3.1-8b", accelerator="h100")["distance"].to_list() == [0.0] * 4  # not asked


def test_requests_in_flight_are_compared_per_accelerator_where_the_count_is_asked():
    frame = points(concurrency=[64.0, 512.0], accelerators=[1.0, 8.0])
    assert order(frame, "concurrency", concurrency=64) == [64.0, 512.0]
    found = near(frame, model="llama-3.1-8b", accelerator="h100", concurrency=512, count=8)
    assert found["concurrency"][0] == 512.0
    assert found["why"][1] == "accelerators: 1, not 8"  # 64 in flight on each of both


def test_engine_and_weights_count_only_where_they_are_asked():
    frame = points(engine=["sglang", "vllm"], weights=["fp8", "bf16"])
    assert near(frame, model="llama-3.1-8b", accelerator="h100")["distance"].to_list() == [0.0, 0.0]
    assert order(frame, "engine", engine="vLLM") == ["vllm", "sglang"]
    assert order(frame, "weights", weights="fp8") == ["fp8", "bf16"]


def test_equal_distances_keep_the_order_of_their_ids_whatever_the_order_of_the_table():
    frame = points(itl_s=[0.01] * 30)
    asked = {"model": "llama-3.1-8b", "accelerator": "h100", "n": 30}
    assert near(frame, **asked).equals(near(frame.sample(fraction=1.0, shuffle=True, seed=1), **asked))


def test_rows_without_a_figure_are_no_evidence():
    assert near(points(itl_s=[None, 0.01]), model="llama-3.1-8b", accelerator="h100").height == 1


@pytest.mark.parametrize(
    ("change", "field"), [({"n": 0}, "n"), ({"concurrency": -1}, "concurrency"), ({"isl": 0}, "isl")]
)
def test_numbers_must_be_above_0(change: dict[str, float], field: str):
    with pytest.raises(BadInput) as refused:
        near(points(), **({"model": "llama-3.1-8b", "accelerator": "h100"} | change))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_an_unknown_model_gets_near_names():
    with pytest.raises(UnknownName, match=r"llama-3\.1-8c"):
        near(points(), model="llama-3.1-8c", accelerator="h100")


def test_tables_come_from_files_or_from_the_environment(tmp_path, monkeypatch: pytest.MonkeyPatch):
    one, two = tmp_path / "one.parquet", tmp_path / "two.csv"
    write_table(points(row_id="a"), one)
    write_table(points(row_id="b"), two)
    monkeypatch.setenv(VARIABLE, f"{one}:{two}")
    assert evidence_tables()["row_id"].to_list() == ["a", "b"]
    assert evidence_tables([two])["row_id"].to_list() == ["b"]
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(BadInput, match="none ships with the package") as refused:
        evidence_tables()
    assert "evidence import" in str(refused.value.hint)
