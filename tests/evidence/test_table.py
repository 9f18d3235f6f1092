"""Reading and writing evidence tables: whatever the file lacks or garbles, the columns are those of the schema."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.evidence.table import NUMBERS, READERS, SCHEMA, TEXT, conform, read_table, write_table


@pytest.mark.parametrize("extension", READERS)
def test_what_is_written_is_read_back(measured, tmp_path: Path, extension: str):
    frame = measured(engine_version=["0.11.0", None] * 6, power_w=[512.25, None] * 6, extra="kept")
    file = tmp_path / f"table{extension}"
    write_table(frame, file)
    assert read_table(file).equals(frame)


@pytest.mark.parametrize("extension", READERS)
def test_capitals_in_an_extension_do_not_matter(measured, tmp_path: Path, extension: str):
    file = tmp_path / f"table{extension.upper()}"
    write_table(measured(), file)
    assert read_table(file).height == 12


@pytest.mark.parametrize("text", ["fast", "n/a", "12 ms", "", "nan", "inf", "-inf"])
def test_what_is_no_finite_number_is_none(tmp_path: Path, text: str):
    file = tmp_path / "t.csv"
    file.write_text(f"model,itl_s,accelerators\nm,{text},8\nm,0.5,4\n")
    frame = read_table(file)
    assert frame["itl_s"].to_list() == [None, 0.5]
    assert frame["accelerators"].to_list() == [8.0, 4.0]


def test_text_among_the_numbers_of_json_lines_is_none(tmp_path: Path):
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ({"model": "m", "tp": "two"}, {"model": "m", "tp": "2"})))
    assert read_table(file)["tp"].to_list() == [None, 2.0]


def test_missing_columns_come_back_empty_in_their_type_and_others_are_kept_behind(tmp_path: Path):
    file = tmp_path / "t.csv"
    file.write_text("mine,itl_s\nx,0.5\n")
    frame = read_table(file)
    assert frame.columns == [*SCHEMA, "mine"]
    assert all(frame.schema[name] == pl.String for name in TEXT)
    assert all(frame.schema[name] == pl.Float64 for name in NUMBERS)
    assert frame["mine"].to_list() == ["x"]
    empty = [name for name in SCHEMA if name not in ("itl_s", "row_id")]
    assert frame.select(pl.col(empty).null_count()).row(0) == (1,) * len(empty)


def test_numbers_in_a_text_column_become_text():
    assert conform(pl.DataFrame({"engine_version": [0.5], "model": ["m"]}))["engine_version"].to_list() == ["0.5"]


def test_rows_without_an_id_are_named_after_the_file_and_counted_from_1(tmp_path: Path):
    file = tmp_path / "runs.csv"
    file.write_text("row_id,model\n,a\nmine,b\n,c\n")
    assert read_table(file)["row_id"].to_list() == ["runs.csv:1", "mine", "runs.csv:3"]


def test_a_table_without_rows_is_a_table(tmp_path: Path):
    file = tmp_path / "t.csv"
    file.write_text("model,itl_s\n")
    assert read_table(file).shape == (0, len(SCHEMA))


@given(st.lists(st.tuples(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.floats())), max_size=20))
def test_conforming_twice_changes_nothing(rows: list[tuple[str | None, float | None]]):
    data = pl.DataFrame(rows, schema={"model": pl.String, "itl_s": pl.Float64}, orient="row")
    once = conform(data)
    assert conform(once).equals(once)
    assert once["model"].to_list() == data["model"].to_list()
    assert all(x is None or abs(x) < float("inf") for x in once["itl_s"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.xlsx", b"", "no table"),
        ("table", b"", "no table"),
        ("t.csv", None, "no such file"),
        ("t.csv", b"", "not readable"),
        ("t.csv", b"a,b\n1,2\n", "names no column"),
        ("t.parquet", b"PAR1 not really", "not readable"),
        ("t.jsonl", b"{not json\n", "not readable"),
        ("t.csv", b"model\n\xff\xfe\xfa\n", "not readable"),
    ],
)
def test_what_is_no_table_is_refused_with_its_file(tmp_path: Path, name: str, content: bytes | None, says: str):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=says) as refused:
        read_table(file)
    assert refused.value.file == str(file)
    assert refused.value.exit_code == 2


def test_a_folder_is_no_table(tmp_path: Path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(BadInput, match="not readable"):
        read_table(tmp_path / "t.csv")


def test_an_unknown_extension_is_not_written(measured, tmp_path: Path):
    with pytest.raises(BadInput, match="no table") as refused:
        write_table(measured(), tmp_path / "t.xlsx")
    assert ".csv" in str(refused.value.allowed)
    assert not list(tmp_path.iterdir())
