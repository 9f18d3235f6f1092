"""Files hold what the result holds: unknown is nothing, and JSON is JSON."""

import io
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.show.output import (
    check_writable,
    format_for,
    plain,
    to_csv,
    to_json,
    to_jsonl,
    to_parquet,
)  # fmt: skip

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def refuse(name: str) -> float:
    raise AssertionError(name)


@given(ANYTHING)
def test_json_never_holds_what_json_has_not(value):
    assert json.loads(to_json(value), parse_constant=refuse) == plain(value)


def test_arrays_and_their_scalars_become_json():
    document = {
        "a": np.array([1.0, np.nan]),
        "b": np.float32(0.5),
        "c": np.int64(3),
        "d": np.str_("x"),
        "e": np.bool_(True),
    }
    assert plain(document) == {"a": [1.0, None], "b": 0.5, "c": 3, "d": "x", "e": True}


COLUMNS = {"name": np.array(["a", "b"]), "n": np.array([1, 2]), "x": np.array([0.5, np.nan])}
ROWS = [{"name": "a", "n": 1, "x": 0.5}, {"name": "b", "n": 2, "x": float("nan")}]


@pytest.mark.parametrize("rows", [COLUMNS, ROWS], ids=["columns", "rows"])
def test_unknown_is_empty_in_every_format(rows):
    assert to_csv(rows) == "name,n,x\na,1,0.5\nb,2,\n"
    assert [json.loads(line)["x"] for line in to_jsonl(rows).splitlines()] == [0.5, None]
    table = pl.read_parquet(io.BytesIO(to_parquet(rows)))
    assert table.to_dicts() == [{"name": "a", "n": 1, "x": 0.5}, {"name": "b", "n": 2, "x": None}]


def test_rows_need_not_have_the_same_names():
    assert to_csv([{"a": 1}, {"b": 2}]) == "a,b\n1,\n,2\n"


def test_a_column_of_numbers_and_words_is_words_in_parquet():
    table = pl.read_parquet(io.BytesIO(to_parquet([{"v": 1.5}, {"v": "gpu"}, {"v": None}])))
    assert table["v"].to_list() == ["1.5", "gpu", None]


def test_parquet_is_compressed_with_zstd():
    many = {"x": np.zeros(100_000)}
    assert len(to_parquet(many)) < 20_000


@pytest.mark.parametrize("name", ["answer.xml", "answer", ".json"])
def test_an_extension_that_names_no_format_is_refused(name: str):
    with pytest.raises(BadInput, match="parquet"):
        format_for(None, name)


def test_checking_a_path_leaves_what_is_there(tmp_path):
    file = tmp_path / "kept.json"
    file.write_text("kept", encoding="utf-8")
    assert check_writable(file) == file
    assert file.read_text(encoding="utf-8") == "kept"
    check_writable(tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()


def test_no_rows_are_an_empty_file_that_can_be_read():
    assert to_csv([]) == to_jsonl([]) == ""
    assert pl.read_parquet(io.BytesIO(to_parquet([]))).is_empty()
