"""Imported results as run records: marked, whole, and never over something that is there."""

from __future__ import annotations

import json

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.formats import export, read_foreign, write_imported
from inferatlas.measure.bench.formats.foreign import Foreign
from inferatlas.measure.bench.formats.rows import COLUMNS, Rows, reason


def test_a_record_says_where_it_comes_from(make_record, tmp_path, write):
    found = read_foreign(write(export(make_record(), "vllm"), "vllm.json"))[0]
    file = write_imported(found, tmp_path / "kept")
    run = json.loads(file.read_text())
    assert (run["kind"], run["label"], run["imported_from"]) == ("measured", "measured", "vllm")
    assert run["validity"] == {"valid": None, "verdict": None, "reasons": [], "remarks": ["imported"]}
    assert run["requests"] == {"sent": 5, "completed": 4, "failed": {"http_429": 1}}
    assert run["definitions"]["itl_s"]
    assert run["models"] == ["tiny"]
    table = pl.read_parquet(file.parent / "requests.parquet")
    assert table.columns == list(COLUMNS)
    assert table["token_s"].dtype == pl.List(pl.Float64)
    assert table["chunk_tokens"].dtype == pl.List(pl.Int32)
    assert sorted(one.name for one in file.parent.iterdir()) == ["requests.parquet", "run.json"]


def test_figures_alone_make_no_table(tmp_path):
    file = write_imported(Foreign("loadgen", None, {}, None, {}), tmp_path / "kept")
    assert [one.name for one in file.parent.iterdir()] == ["run.json"]


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "here.txt").write_text("mine")
    with pytest.raises(BadInput, match="something in the folder"):
        write_imported(Foreign("vllm", None, {}, None, {}), tmp_path)
    with pytest.raises(BadInput, match="cannot be written"):
        write_imported(Foreign("vllm", None, {}, None, {}), tmp_path / "here.txt" / "in")


def test_values_that_fit_no_column_are_refused(tmp_path):
    rows = Rows(open_loop=False)
    rows.add(input_tokens="many", status="done")
    with pytest.raises(BadInput, match="does not fit its column"):
        write_imported(Foreign("vllm", None, {}, rows.columns, {}), tmp_path / "kept")


def test_what_follows_from_a_row_is_computed():
    rows = Rows(open_loop=True)
    rows.add(due_s=1.0, sent_s=1.25, first_token_s=2.0, first_answer_s=2.5, finish_s=4.0, output_tokens=9,
             chunk_tokens=[5, 4], status="done")  # fmt: skip
    rows.add(sent_s=1.0, first_token_s=1.5, finish_s=1.5, output_tokens=4, chunk_tokens=[4], status="done")
    got = {name: rows.columns[name] for name in ("ttft_s", "ttft_service_s", "ttft_answer_s", "latency_s", "itl_s")}
    # the second is not known to have been due, and its tokens came in one event
    assert got == {"ttft_s": [1.0, None], "ttft_service_s": [0.75, 0.5], "ttft_answer_s": [1.5, None],
                   "latency_s": [3.0, None], "itl_s": [0.5, None]}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("Service Unavailable", None, "http_503"),
        ("", 429, "http_429"),
        ("x", 200, "unknown"),
        ("aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected", None, "closed_before_reply"),
        ("asyncio.exceptions.TimeoutError", None, "timeout_total"),
        ("RequestCancellationError late", 499, "interrupted"),
        (None, None, "unknown"),
    ],
)
def test_failures_have_our_codes(text, status, code):
    assert reason(text, status) == code
