"""Grids of lengths in files: the same from every format, refused with the line."""

import json

import numpy as np
import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.metering.accounting.grid_files import read_grid
from inferatlas.measure.metering.accounting.lengths import fit_lengths

ROWS = [
    {"requests": 10, "input_tokens": isl, "output_tokens": osl, "joules": 0.5 * isl + 4 * osl, "uncertainty_j": 1.5}
    for isl in (128, 2048)
    for osl in (1, 256)
]
NAMES = list(ROWS[0])


def write(folder, name, rows=ROWS):
    path = folder / name
    if name.endswith("parquet"):
        pl.DataFrame(rows).write_parquet(path)
    elif name.endswith("jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        lines = [NAMES, *(list(row.values()) for row in rows)]
        path.write_text("\n".join(",".join(str(value) for value in line) for line in lines))
    return path


@pytest.mark.parametrize("name", ["grid.csv", "grid.jsonl", "grid.parquet"])
def test_every_format_gives_the_same_grid(tmp_path, name):
    grid = read_grid(write(tmp_path, name))
    assert grid.joules.tolist() == [row["joules"] for row in ROWS]
    assert grid.output_tokens.tolist() == [1, 256, 1, 256]
    assert grid.uncertainty_j is not None and grid.uncertainty_j.tolist() == [1.5] * 4
    assert np.allclose(fit_lengths(grid).coefficients, [0.05, 0.4, 0.0], atol=1e-9)


def test_other_columns_are_left_alone_and_the_uncertainty_may_be_absent(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text(
        "accelerator;requests;input_tokens;output_tokens;joules\nh100;1;128;1;6\n\nh100;1;128;9;8\n", "utf-8"
    )
    grid = read_grid(path)
    assert (grid.requests.tolist(), grid.joules.tolist(), grid.uncertainty_j) == ([1, 1], [6, 8], None)


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("", "grid", 1),
        ("requests,input_tokens,output_tokens\n1,2,3\n", "joules", 1),
        ("requests,input_tokens,output_tokens,joules\n", "grid", None),
        ("requests,input_tokens,output_tokens,joules\n1,128,1,6\n\n1,128,x,7\n", "output_tokens", 4),
        ("requests,input_tokens,output_tokens,joules\n1,128,1,6\n1,128.5,1,7\n", "input_tokens", 3),
        ("requests,input_tokens,output_tokens,joules\n1,128,1,\n", "joules", 2),
        ("requests,input_tokens,output_tokens,joules\n1,128,1,nan\n", "joules", 2),
        ("requests,input_tokens,output_tokens,joules\n1,128,1,-6\n", "joules", 2),
        ("requests,input_tokens,output_tokens,joules\n0,128,1,6\n", "requests", 2),
        ("requests,input_tokens,output_tokens,joules\n1,128,1\n", "grid", 2),
        ("requests,input_tokens,output_tokens,joules,joules\n1,128,1,6,6\n", "joules", 1),
        ("requests,input_tokens,output_tokens,joules,uncertanty_j\n1,128,1,6,1\n", "column", 1),
        ("requests,input_tokens,output_tokens,joules,uncertainty_j\n1,128,1,6,1\n1,128,2,7,\n", "uncertainty_j", 3),
        ("requests,input_tokens,output_tokens,joules,uncertainty_j\n1,128,1,6,\n1,128,2,7,1\n", "uncertainty_j", 3),
        ('requests,input_tokens,output_tokens,joules\n1,128,1,"6\n', "grid", 2),
    ],
)
def test_a_csv_that_is_wrong_is_refused_with_its_line(tmp_path, text, field, line):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_grid(path)
    assert (caught.value.file, caught.value.field, caught.value.line) == (str(path), field, line)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"joules": None}, "joules"),
        ({"joules": True}, "joules"),
        ({"joules": [1]}, "joules"),
        ({"requests": 1.5}, "requests"),
    ],
)
def test_a_value_of_json_that_is_no_number_is_refused_with_its_line(tmp_path, changed, field):
    path = write(tmp_path, "grid.jsonl", [ROWS[0], ROWS[1] | changed])
    with pytest.raises(BadInput) as caught:
        read_grid(path)
    assert (caught.value.field, caught.value.line) == (field, 2)


def test_what_is_no_json_or_no_object_is_refused_with_its_line(tmp_path):
    for text in ("{", "[1]"):
        path = tmp_path / "grid.jsonl"
        path.write_text(json.dumps(ROWS[0]) + "\n" + text)
        with pytest.raises(BadInput) as caught:
            read_grid(path)
        assert caught.value.line == 2


def test_what_is_no_parquet_and_other_kinds_of_files_are_refused(tmp_path):
    path = tmp_path / "grid.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BadInput, match="not readable as Parquet"):
        read_grid(path)
    with pytest.raises(BadInput, match="'folder' is no grid of lengths"):
        read_grid(tmp_path / "folder")
    with pytest.raises(BadInput, match=r"'.xlsx' is no grid of lengths"):
        read_grid(tmp_path / "grid.xlsx")
    with pytest.raises(BadInput, match="cannot be read"):
        read_grid(tmp_path / "absent.csv")


@pytest.mark.parametrize("value", ["9" * 9999, "1e308", "x" * 9999])
def test_numbers_that_would_overflow_are_refused_in_a_short_message(tmp_path, value):
    for name in ("input_tokens", "joules"):
        path = write(tmp_path, "grid.csv", [ROWS[0] | {name: value}, *ROWS[1:]])
        with pytest.raises(BadInput) as caught:
            read_grid(path)
        assert (caught.value.line, caught.value.field) == (2, name)
        assert len(str(caught.value)) < 300


def test_parquet_that_polars_panics_at_is_refused(tmp_path, monkeypatch):
    def panic(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("assertion failed\n  left: 0")

    path = write(tmp_path, "grid.parquet")
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(BadInput, match=r"not readable as Parquet: assertion failed$"):
        read_grid(path)
