"""Rows as texts: files that are split at once, and the same line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.measure.metering.logs.formats_grid import read_grid
from inferatlas.measure.metering.logs.formats_text import head, header_of
from inferatlas.measure.metering.logs.log import Log
from inferatlas.measure.metering.logs.tables import read_log

times = st.floats(0, 2e6).map(lambda t: round(t, 6)) | st.integers(0, 10**6)  # floats are exact to the ns so far
watts = st.floats(0, 1e4) | st.integers(0, 5000)
devices = st.sampled_from(["a", "b", "GPU-0", "with space", "0"])
rows = st.lists(st.tuples(times, devices, st.just("x"), watts), min_size=2, max_size=12)
separators = st.sampled_from([",", ";", "\t", ", ", " ,"])
ends = st.sampled_from(["\n", "\r\n"])


def same(one: Log, other: Log) -> None:
    assert one.channels == other.channels
    assert (one.unix_ns, one.reasons) == (other.unix_ns, other.reasons)
    for mine, its in zip(one.series, other.series, strict=True):
        np.testing.assert_array_equal(mine.t_ns, its.t_ns)
        np.testing.assert_array_equal(mine.value, its.value)
        np.testing.assert_array_equal(mine.fault, its.fault)


def read(path: Path, text: str) -> Log:
    path.write_bytes(text.encode())
    return read_log(path)


@settings(max_examples=60, deadline=None)
@given(
    rows=rows,
    separator=separators,
    end=ends,
    names=st.sampled_from(["time_s device note power_w", "ts gpu note power_mw"]),
)
def test_a_blank_line_and_a_value_that_is_missing_change_nothing_else(tmp_path_factory, rows, separator, end, names):
    lines = [separator.join(str(cell) for cell in row) for row in ([*names.split()], *rows)]
    path = tmp_path_factory.mktemp("grid") / "power.csv"
    whole = read(path, end.join(lines) + end)
    same(whole, read(path, end.join([*lines[:2], "", *lines[2:]]) + end))
    last = separator.join(str(cell) for cell in (2e6 + 1, rows[0][1], "x", "N/A"))
    more = read(path, end.join([*lines, last]) + end)
    assert more.channels == whole.channels
    assert sum(one.t_ns.size for one in more.series) == len(rows) + 1
    values = np.concatenate([one.value for one in more.series])
    assert np.array_equal(
        np.sort(values[~np.isnan(values)]), np.sort(np.concatenate([one.value for one in whole.series]))
    )


@pytest.mark.parametrize("names", ["time_s,note,power_w", "ts,note,Power (W)"])
@pytest.mark.parametrize(("row", "found"), [("2,x,3,4", 4), ("2,x", 2), ("2,x,302,x,31", 5)])
def test_a_row_of_another_width_is_refused_though_its_column_is_not_read(tmp_path, names, row, found):
    path = tmp_path / "power.csv"
    path.write_text(f"{names}\n0,x,1\n1,x,2\n{row}\n3,x,4\n")
    with pytest.raises(BadInput) as caught:
        read_log(path)
    assert (caught.value.line, caught.value.message) == (4, f"{found} values in a row")


@pytest.mark.parametrize("cell", ['"a,b"', ' "a,b"', '"a,b" '])
def test_a_separator_in_quotes_separates_nothing(tmp_path, cell):
    log = read(tmp_path / "power.csv", f"time_s,device,power_w\n0,{cell},400\n1,{cell},410\n")
    assert [one.device for one in log.channels] == ["a,b"]


def test_a_quote_that_does_not_end_swallows_no_line(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text('time_s,note,power_w\n0,"x,1\n1,y",2\n2,z,3\n')
    with pytest.raises(BadInput) as caught:
        read_log(path)
    assert caught.value.line == 2


def test_lines_are_those_of_the_file(tmp_path):
    path = tmp_path / "power.csv"
    for text, lines in (
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("title\na,b\n1,2\n3,4", [3, 4]),
        ("a,b\n1,2\n\n3,4\n", [2, 4]),
        ("a,b\n1,2\na,b\n3,4\n", [2, 4]),
        ("a,b\n1,2\n3,\n", [2, 3]),
    ):
        path.write_text(text)
        first = next(header_of(line, number) for number, line in head(path) if "," in line)
        grid = read_grid(path, first)
        assert (grid.lines.tolist(), grid.cells.width) == (lines, 2)


def test_only_what_is_asked_for_is_kept_and_in_its_type(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("a,b,c,d\n1,x,2,3\n4,,5,6\n")
    kinds = {"a": pl.Int64, "b": pl.Categorical}
    cells = read_grid(path, header_of("a,b,c,d", 1), kinds).cells
    assert cells.columns == ["0", "1", "3"]  # and the last, which shows that rows are whole
    assert cells["0"].to_list() == [1, 4] and cells["1"].to_list() == ["x", None]
    path.write_text("a,b,c,d\n1,x,2,3\nN/A,,5,6\n")
    assert read_grid(path, header_of("a,b,c,d", 1), kinds).cells["0"].to_list() == ["1", "N/A"]


def test_a_last_number_of_thousands_of_digits_without_its_end_is_read_or_refused(tmp_path):
    path = tmp_path / "power.csv"
    path.write_text("time_s,power_w\n0," + "9" * 5000 + "\n1," + "9" * 5000)
    with pytest.raises(BadInput, match="not finite"):
        read_log(path)
